//! `down` deletes the cluster that it is named for, and no other.

use serde_json::json;

use crate::fixture::Fixture;

const KIND_SAYS: &str = "ERROR: failed to delete cluster \"milvus-cluster\": failed to delete nodes\n";

fn deletions(machine: &Fixture) -> Vec<String> {
    machine.calls().into_iter().filter(|call| call.contains("delete") || call.contains(" rm ")).collect()
}

#[test]
fn a_cluster_that_is_not_there_is_said_and_is_no_failure() {
    let machine = Fixture::new();
    machine.has_clusters(&["other"]);
    let outcome = machine.milvusctl(&["down", "--yes"]).ends_with(0);
    assert_eq!(outcome.err, "There is no kind cluster `milvus-cluster`; nothing to delete\n");
    assert_eq!(deletions(&machine), [""; 0]);
}

#[test]
fn a_cluster_name_with_a_typo_deletes_nothing_and_names_the_one_meant() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-cluster"]);
    let outcome = machine.milvusctl(&["down", "--yes", "--name", "milvus-clster"]).ends_with(0);
    assert_eq!(
        outcome.err,
        "There is no kind cluster `milvus-clster`; nothing to delete\n\
         hint: did you mean `--name milvus-cluster`?\n"
    );
    assert_eq!(deletions(&machine), [""; 0]);
}

#[test]
fn a_cluster_named_by_its_context_is_not_deleted_and_its_name_told() {
    let machine = Fixture::new();
    machine.has_clusters(&["dev"]);
    machine
        .milvusctl(&["down", "--yes", "--name", "kind-dev"])
        .ends_with(0)
        .complains_of(&["hint: did you mean `--name dev`?\n"]);
    assert_eq!(deletions(&machine), [""; 0]);
}

#[test]
fn the_named_cluster_is_deleted_and_no_other() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus", "milvus-ci", "milvus-ci-2"]);
    machine.on("kind delete cluster").says("");
    machine.milvusctl(&["down", "--name", "milvus-ci", "--yes"]).ends_with(0);
    assert_eq!(deletions(&machine), ["kind delete cluster --name milvus-ci"]);
}

#[test]
fn the_answer_in_json_says_whether_a_cluster_was_deleted() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-cluster"]);
    machine.on("kind delete cluster").says("");
    let deleted = machine.milvusctl(&["down", "--yes", "-o", "json"]).ends_with(0).json();
    assert_eq!(deleted, json!({"cluster": "milvus-cluster", "deleted": true}));
    let absent = machine.milvusctl(&["down", "--yes", "-o", "json", "--name", "x"]).ends_with(0).json();
    assert_eq!(absent, json!({"cluster": "x", "deleted": false}));
}

#[test]
fn without_a_terminal_and_without_yes_nothing_is_deleted() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-cluster"]);
    machine.on("kind delete cluster").says("");
    machine.milvusctl(&["down"]).ends_with(2).complains_of(&["milvus-cluster", "--yes"]);
    assert_eq!(deletions(&machine), [""; 0]);
}

#[test]
fn yes_may_come_from_the_environment() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-cluster"]);
    machine.on("kind delete cluster").says("");
    machine.milvusctl_with(&[("MILVUSCTL_YES", "true")], &["down"]).ends_with(0);
    assert_eq!(deletions(&machine), ["kind delete cluster --name milvus-cluster"]);
}

#[test]
fn a_dry_run_prints_the_deletion_and_does_not_do_it() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-cluster"]);
    let outcome = machine.milvusctl(&["down", "--dry-run"]).ends_with(0);
    assert!(outcome.out.contains("kind delete cluster --name milvus-cluster"), "{}", outcome.out);
    assert_eq!(deletions(&machine), [""; 0]);
}

#[test]
fn when_kind_fails_its_last_words_are_shown() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-cluster"]);
    machine.on("kind delete cluster").fails(1, KIND_SAYS);
    machine
        .milvusctl(&["down", "--yes"])
        .ends_with(1)
        .complains_of(&["could not delete cluster `milvus-cluster`", KIND_SAYS.trim()]);
}

/// An existing cluster with a Milvus, Attu and the operator, installed by `installer`.
fn existing(installer: &str) -> Fixture {
    let machine = Fixture::new();
    add_existing(&machine, installer);
    machine
}

fn add_existing(machine: &Fixture, installer: &str) {
    let label = if installer == "milvusctl" {
        r#","labels":{"app.kubernetes.io/managed-by":"milvusctl"}"#
    } else {
        ""
    };
    let milvus = format!(
        r#"{{"metadata":{{"name":"my-release","namespace":"default"{label}}},"spec":{{"dependencies":{{"msgStreamType":"rocksmq"}}}}}}"#
    );
    let get = "kubectl --context prod get";
    machine
        .on(&format!("{get} milvuses.v1beta1.milvus.io --all-namespaces"))
        .says(&format!(r#"{{"items":[{milvus}]}}"#));
    machine.on(&format!("{get} milvuses.v1beta1.milvus.io my-release")).says(&milvus);
    machine
        .on(&format!("{get} deployments,services,secrets --namespace default --selector app.kubernetes.io/managed-by=milvusctl"))
        .says(if installer == "milvusctl" { "Deployment default my-release-attu\nService default other-attu\n" } else { "" });
    machine.on(&format!("{get} deployments,statefulsets")).says("");
    machine.on(&format!("{get} {MADE}")).says("");
    machine
        .on(&format!(
            "{get} persistentvolumeclaims --namespace default --selector app.kubernetes.io/instance"
        ))
        .says("PersistentVolumeClaim default data-my-release-etcd-0\n");
    machine.on(&format!("{get} persistentvolumeclaims")).says("");
    machine.on("helm list").says(
        r#"[{"name":"milvus-operator","namespace":"milvus-operator","revision":"1","status":"deployed","chart":"milvus-operator-1.3.8"}]"#,
    );
    machine.on("helm status").says(&format!(r#"{{"info":{{"description":"installed by {installer}"}}}}"#));
    machine.on("kubectl --context prod patch").says("");
    machine.on("kubectl --context prod delete").says("");
    machine.on("helm uninstall").says("");
}

/// What the operator and its charts make.
const MADE: &str = "deployments,statefulsets,jobs,services,configmaps,poddisruptionbudgets";

fn changes(machine: &Fixture) -> Vec<String> {
    let changes = ["delete", "patch", "uninstall"];
    let is_change = |call: &String| changes.iter().any(|word| call.split(' ').any(|part| part == *word));
    machine.calls().into_iter().filter(is_change).collect()
}

#[test]
fn from_an_existing_cluster_goes_what_milvusctl_installed_and_volumes_stay() {
    let machine = existing("milvusctl");
    let outcome = machine.milvusctl(&["down", "--context", "prod", "--yes", "-o", "json"]).ends_with(0);
    assert_eq!(
        outcome.json(),
        json!({"cluster": "prod", "deleted": true, "kept": ["volume default/data-my-release-etcd-0"]})
    );
    let made = format!("delete {MADE} --namespace default");
    let calls = changes(&machine);
    assert!(
        calls[0].starts_with("kubectl --context prod patch milvuses.v1beta1.milvus.io my-release"),
        "{calls:?}"
    );
    assert!(calls[0].contains(r#""deletionPolicy":"Delete","pvcDeletion":false"#), "{calls:?}");
    assert!(
        calls[1].starts_with("kubectl --context prod delete milvuses.v1beta1.milvus.io my-release"),
        "{calls:?}"
    );
    assert!(calls[2..4].iter().all(|call| call.contains(&made)), "{calls:?}");
    assert!(calls[4].starts_with("kubectl --context prod delete deployment my-release-attu"), "{calls:?}");
    assert!(calls[5].starts_with("helm uninstall milvus-operator --kube-context prod"), "{calls:?}");
    assert_eq!(calls.len(), 6, "{calls:?}");
}

#[test]
fn what_comes_back_while_the_operator_goes_is_taken_away_again() {
    let machine = Fixture::new();
    let look = format!("kubectl --context prod get {MADE} --namespace default --selector release");
    machine.on(&look).says("StatefulSet default my-release-pulsar-broker\n").once();
    add_existing(&machine, "milvusctl");
    machine.milvusctl(&["down", "--context", "prod", "--yes"]).ends_with(0);
    let calls = changes(&machine);
    let last = &calls[calls.len() - 1];
    assert!(last.contains(&format!("delete {MADE}")) && last.contains("--selector release in"), "{calls:?}");
    assert!(calls[calls.len() - 2].starts_with("helm uninstall"), "{calls:?}");
}

#[test]
fn data_is_deleted_only_when_that_is_said() {
    let machine = existing("milvusctl");
    machine.milvusctl(&["down", "--context", "prod", "--yes", "--delete-data"]).ends_with(0);
    let calls = changes(&machine);
    assert!(calls[0].contains(r#""pvcDeletion":true"#), "{calls:?}");
    assert!(
        calls.iter().any(|call| call.contains("delete persistentvolumeclaim data-my-release-etcd-0")),
        "{calls:?}"
    );
}

#[test]
fn what_others_installed_into_an_existing_cluster_stays() {
    let machine = existing("somebody");
    let outcome = machine.milvusctl(&["down", "--context", "prod", "--yes", "--delete-data"]).ends_with(0);
    assert_eq!(changes(&machine), [""; 0]);
    assert!(outcome.err.contains("nothing to remove"), "{}", outcome.err);
    assert!(
        outcome.err.contains("Kept Milvus `my-release`: it was not made by milvusctl"),
        "{}",
        outcome.err
    );
}

#[test]
fn nothing_leaves_an_existing_cluster_when_nobody_can_be_asked() {
    let machine = existing("milvusctl");
    machine.milvusctl(&["down", "--context", "prod"]).ends_with(2).complains_of(&["prod", "--yes"]);
    assert_eq!(changes(&machine), [""; 0]);
}

#[test]
fn a_dry_run_says_what_would_leave_an_existing_cluster() {
    let machine = existing("milvusctl");
    let outcome = machine.milvusctl(&["down", "--context", "prod", "--dry-run"]).ends_with(0);
    assert!(outcome.out.contains("helm uninstall milvus-operator --kube-context prod"), "{}", outcome.out);
    assert_eq!(changes(&machine), [""; 0]);
}

#[test]
fn a_context_that_is_not_there_is_said() {
    let machine = Fixture::new();
    machine.on("kubectl").fails(1, "error: context \"prod\" does not exist\n");
    machine
        .milvusctl(&["down", "--context", "prod", "--yes"])
        .ends_with(1)
        .complains_of(&["context `prod`", "kubectl config get-contexts"]);
}
