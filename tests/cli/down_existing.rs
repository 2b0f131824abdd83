//! `milvusctl down` on a cluster that is not kind's: what milvusctl installed goes, the rest stays.

use serde_json::json;

use crate::fixture::Fixture;

/// What milvusctl asks an existing cluster for.
const GET: &str = "kubectl --context prod get";

const KINDS: &str = "deployments,statefulsets,jobs,services,configmaps,secrets,serviceaccounts,\
                     poddisruptionbudgets,persistentvolumeclaims,pods,\
                     roles.rbac.authorization.k8s.io,rolebindings.rbac.authorization.k8s.io";

/// A row for an object: kind and API version, name (its UID is `u-NAME`), day of creation, and the other
/// columns.
fn there(kind: &str, api: &str, name: &str, day: u32, rest: &str) -> String {
    format!("{kind} {api} {name} u-{name} 2026-01-{day:02}T00:00:00Z {rest}\n")
}

const PLAIN: &str = "<none> <none> <none> <none> <none> <none> <none>";

/// The Milvus `my-release`, created on the second of the month.
fn milvus(label: &str) -> serde_json::Value {
    json!({
        "apiVersion": "milvus.io/v1beta1",
        "metadata": {
            "name": "my-release", "namespace": "default", "uid": "u-milvus", "creationTimestamp": "2026-01-02T00:00:00Z",
            "labels": {"app.kubernetes.io/managed-by": label}, "finalizers": ["milvus.milvus.io/finalizer"],
        },
        "spec": {"dependencies": {"msgStreamType": "rocksmq"}},
    })
}

/// What the operator and milvusctl create for it.
fn made() -> String {
    [
        there(
            "Deployment",
            "apps/v1",
            "my-release-attu",
            3,
            "milvusctl <none> <none> <none> <none> <none> <none>",
        ),
        there(
            "Deployment",
            "apps/v1",
            "my-release-milvus-standalone",
            3,
            "milvus-operator <none> <none> <none> u-milvus <none> my-release-data",
        ),
        there(
            "StatefulSet",
            "apps/v1",
            "my-release-etcd",
            3,
            "Helm <none> my-release-etcd default <none> data <none>",
        ),
        there(
            "Secret",
            "v1",
            "sh.helm.release.v1.my-release-etcd.v1",
            3,
            "<none> deployed <none> <none> <none> <none> <none>",
        ),
        there("PersistentVolumeClaim", "v1", "data-my-release-etcd-0", 3, PLAIN),
        there("PersistentVolumeClaim", "v1", "my-release-data", 3, PLAIN),
    ]
    .concat()
}

/// Milvus's own chart, installed by hand under the name used in its documentation.
fn theirs() -> String {
    [
        there(
            "Deployment",
            "apps/v1",
            "my-release-milvus-standalone",
            3,
            "Helm <none> my-release default <none> <none> my-release-milvus",
        ),
        there(
            "StatefulSet",
            "apps/v1",
            "my-release-etcd",
            3,
            "Helm <none> my-release default <none> data <none>",
        ),
        there(
            "Secret",
            "v1",
            "sh.helm.release.v1.my-release.v1",
            3,
            "<none> deployed <none> <none> <none> <none> <none>",
        ),
        there("Secret", "v1", "other-attu", 3, "milvusctl <none> <none> <none> <none> <none> <none>"),
        there("PersistentVolumeClaim", "v1", "data-my-release-etcd-0", 3, PLAIN),
        there("PersistentVolumeClaim", "v1", "my-release-milvus", 3, PLAIN),
    ]
    .concat()
}

const OPERATOR: &str = "milvus-operator milvus-operator 1 milvusdb/milvus-operator:v1.3.8\n";

/// An existing cluster with an operator, `milvus` if given, and `rest`.
fn existing(milvus: Option<&serde_json::Value>, rest: &str) -> Fixture {
    let machine = Fixture::new();
    add_existing(&machine, milvus, rest, OPERATOR);
    machine
}

fn add_existing(machine: &Fixture, milvus: Option<&serde_json::Value>, rest: &str, operators: &str) {
    let items: Vec<_> = milvus.into_iter().collect();
    machine
        .on(&format!("{GET} milvuses.v1beta1.milvus.io --all-namespaces"))
        .says(&json!({"items": items}).to_string())
        .once();
    machine.on(&format!("{GET} milvuses.v1beta1.milvus.io --all-namespaces")).says(r#"{"items": []}"#);
    if let Some(milvus) = milvus {
        machine.on(&format!("{GET} milvuses.v1beta1.milvus.io my-release")).says(&milvus.to_string()).once();
    }
    machine
        .on(&format!("{GET} milvusclusters.milvus.io"))
        .fails(1, "error: the server doesn't have a resource type \"milvusclusters\"\n");
    machine.on(&format!("{GET} deployments --all-namespaces")).says(operators);
    machine.on(&format!("{GET} {KINDS}")).says(rest).once();
    // From then on it is gone.
    machine.on(&format!("{GET} {KINDS}")).says("");
    machine
        .on(&format!("{GET} configmap my-release-milvusctl"))
        .fails(1, "Error from server (NotFound): none\n");
    machine
        .on(&format!("{GET} milvuses.v1beta1.milvus.io my-release"))
        .fails(1, "Error from server (NotFound): none\n");
    machine.on("helm list").says(
        r#"[{"name":"milvus-operator","namespace":"milvus-operator","revision":"1","status":"deployed","chart":"milvus-operator-1.3.8"}]"#,
    );
    machine.on("helm status").says(r#"{"info":{"description":"installed by milvusctl"}}"#);
    for change in ["patch", "delete", "apply"] {
        machine.on(&format!("kubectl --context prod {change}")).says("");
    }
    machine.on("helm uninstall").says("");
}

/// The calls that delete or change something.
fn changes(machine: &Fixture) -> Vec<String> {
    let changes = ["delete", "patch", "uninstall", "apply"];
    let is_change = |call: &String| changes.iter().any(|word| call.split(' ').any(|part| part == *word));
    let short = |call: String| {
        let words = call
            .split(" <")
            .next()
            .unwrap_or_default()
            .replace(" --context prod", "")
            .replace(" --kube-context prod", "");
        words
            .replace(" --filename -", "")
            .replace(" --server-side --force-conflicts --field-manager milvusctl", "")
    };
    machine.calls().into_iter().filter(is_change).map(short).collect()
}

const DELETE_MILVUS: &str =
    "kubectl delete --raw /apis/milvus.io/v1beta1/namespaces/default/milvuses/my-release";
const UNINSTALL_OPERATOR: &str = "helm uninstall milvus-operator --namespace milvus-operator";

#[test]
fn an_existing_cluster_loses_what_milvusctl_installed_but_keeps_volumes() {
    let machine = existing(Some(&milvus("milvusctl")), &made());
    // The question and the first reads see what the operator has removed by the next.
    let outcome = machine.milvusctl(&["down", "--context", "prod", "--yes", "-o", "json"]).ends_with(0);
    assert_eq!(
        outcome.json(),
        json!({
            "cluster": "prod",
            "deleted": true,
            "removed": [
                "milvus default/my-release",
                "helm release my-release-etcd",
                "deployment default/my-release-attu",
                "deployment default/my-release-milvus-standalone",
                "statefulset default/my-release-etcd",
                "helm release milvus-operator",
            ],
            "kept": ["volume default/data-my-release-etcd-0", "volume default/my-release-data"],
        })
    );
    let patch = r#"{"metadata":{"uid":"u-milvus"},"spec":{"dependencies":{"etcd":{"inCluster":{"deletionPolicy":"Delete","pvcDeletion":false}},"storage":{"inCluster":{"deletionPolicy":"Delete","pvcDeletion":false}}}}}"#;
    assert_eq!(
        changes(&machine),
        [
            "kubectl apply",
            &format!(
                "kubectl patch milvuses.v1beta1.milvus.io my-release --namespace default --type merge --patch {patch}"
            ),
            DELETE_MILVUS,
            UNINSTALL_OPERATOR,
            "kubectl apply",
        ]
    );
}

#[test]
fn leftovers_of_the_operator_are_deleted_by_name_after_a_check() {
    let machine = Fixture::new();
    machine.on(&format!("{GET} {KINDS}")).says(&made()).once();
    let left: Vec<&str> = made().leak().lines().filter(|line| !line.contains("milvus-standalone")).collect();
    machine.on(&format!("{GET} {KINDS}")).says(&(left.join("\n") + "\n")).once();
    add_existing(&machine, Some(&milvus("milvusctl")), "", OPERATOR);
    machine.milvusctl(&["down", "--context", "prod", "--yes"]).ends_with(0);
    assert_eq!(
        changes(&machine)[2..],
        [
            DELETE_MILVUS,
            "helm uninstall my-release-etcd --namespace default",
            "kubectl delete --raw /apis/apps/v1/namespaces/default/deployments/my-release-attu",
            UNINSTALL_OPERATOR,
            "kubectl apply",
        ]
    );
}

#[test]
fn data_is_only_deleted_on_request_after_naming_each_volume() {
    let machine = existing(Some(&milvus("milvusctl")), &made());
    let outcome = machine.milvusctl(&["down", "--context", "prod", "--yes", "--delete-data"]).ends_with(0);
    let claims = "kubectl delete --raw /api/v1/namespaces/default/persistentvolumeclaims";
    assert_eq!(
        changes(&machine)[3..],
        [
            &format!("{claims}/data-my-release-etcd-0"),
            &format!("{claims}/my-release-data"),
            UNINSTALL_OPERATOR,
        ]
    );
    outcome.complains_of(&[
        "  volume default/data-my-release-etcd-0 AND ITS DATA\n",
        "  volume default/my-release-data AND ITS DATA\n",
    ]);
}

#[test]
fn a_foreign_release_with_the_same_name_keeps_its_data() {
    let machine = existing(None, &theirs());
    machine.milvusctl(&["down", "--context", "prod", "--yes", "--delete-data"]).ends_with(0).complains_of(&[
        "  helm release milvus-operator\n",
        "Kept volume default/data-my-release-etcd-0: not known to be milvusctl's\n",
        "Kept volume default/my-release-milvus: not known to be milvusctl's\n",
    ]);
    assert_eq!(changes(&machine), [UNINSTALL_OPERATOR]);
}

#[test]
fn a_foreign_milvus_is_kept_with_everything_it_owns() {
    let machine = existing(Some(&milvus("somebody")), &made());
    machine.milvusctl(&["down", "--context", "prod", "--yes", "--delete-data"]).ends_with(0).complains_of(&[
        "nothing to remove",
        "Kept Milvus `my-release`: not created by milvusctl\n",
        "Kept milvus-operator: Milvus `my-release` needs it\n",
    ]);
    assert_eq!(changes(&machine), [""; 0]);
}

#[test]
fn the_operator_stays_if_a_milvus_was_created_meanwhile() {
    let machine = Fixture::new();
    let list = format!("{GET} milvuses.v1beta1.milvus.io --all-namespaces");
    machine.on(&list).says(&json!({"items": [milvus("milvusctl")]}).to_string()).once();
    let other = json!({"metadata": {"name": "new", "namespace": "prod", "uid": "u-new"}});
    machine.on(&list).says(&json!({"items": [other]}).to_string());
    add_existing(&machine, Some(&milvus("milvusctl")), &made(), OPERATOR);
    machine
        .milvusctl(&["down", "--context", "prod", "--yes"])
        .ends_with(0)
        .complains_of(&["keeping milvus-operator: Milvus `prod/new` was created in the meantime"]);
    assert!(!changes(&machine).contains(&UNINSTALL_OPERATOR.to_owned()), "{:?}", changes(&machine));
}

#[test]
fn without_an_operator_nothing_is_deleted_and_a_hint_is_given() {
    for (operators, why, cure) in [
        ("", "the cluster has no milvus-operator", "`milvusctl up --context prod` reinstalls it"),
        (
            "o milvus-operator <none> milvusdb/milvus-operator:v1.3.8\n",
            "milvus-operator (deployment o/milvus-operator) has no ready pod",
            "`kubectl --context prod --namespace o scale deployment milvus-operator --replicas 1`",
        ),
    ] {
        let machine = Fixture::new();
        add_existing(&machine, Some(&milvus("milvusctl")), &made(), operators);
        machine.milvusctl(&["down", "--context", "prod", "--yes"]).ends_with(1).complains_of(&[
            why,
            cure,
            "patch milvus my-release --type merge",
        ]);
        assert_eq!(changes(&machine), [""; 0]);
    }
}

/// Releases, `ServiceAccount`, Secret and claims of a Milvus whose finalizer was removed by hand.
#[test]
fn leftovers_of_a_deleted_milvus_are_recognized_by_the_record() {
    let left = [
        there(
            "Secret",
            "v1",
            "sh.helm.release.v1.my-release-minio.v1",
            3,
            "<none> deployed <none> <none> <none> <none> <none>",
        ),
        there(
            "ServiceAccount",
            "v1",
            "my-release-minio",
            3,
            "<none> <none> my-release-minio default <none> <none> <none>",
        ),
        there("PersistentVolumeClaim", "v1", "my-release-data", 3, PLAIN),
        there("PersistentVolumeClaim", "v1", "data-my-release-etcd-0", 3, PLAIN),
    ]
    .concat();
    let object = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "namespace": "default", "name": name, "uid": format!("u-{name}")});
    let noted = json!({"objects": [
        object("Secret", "sh.helm.release.v1.my-release-minio.v1"),
        object("PersistentVolumeClaim", "my-release-data"),
    ]});
    let machine = Fixture::new();
    machine.on(&format!("{GET} configmap my-release-milvusctl")).says(
        &json!({
            "metadata": {"uid": "u-record", "labels": {"app.kubernetes.io/managed-by": "milvusctl"}},
            "data": {"objects": noted.to_string()},
        })
        .to_string(),
    );
    machine.on(&format!("{GET} {KINDS}")).says(&left).once();
    add_existing(&machine, None, &left, "");
    machine
        .milvusctl(&["down", "--context", "prod", "--yes", "--delete-data"])
        .ends_with(0)
        .complains_of(&["Kept volume default/data-my-release-etcd-0: not known to be milvusctl's"]);
    assert_eq!(
        changes(&machine),
        [
            "kubectl apply",
            "helm uninstall my-release-minio --namespace default",
            "kubectl delete --raw /api/v1/namespaces/default/persistentvolumeclaims/my-release-data",
            UNINSTALL_OPERATOR,
            "kubectl delete --raw /api/v1/namespaces/default/configmaps/my-release-milvusctl",
        ]
    );
}

#[test]
fn a_foreign_config_map_with_the_name_of_the_record_is_kept() {
    let machine = Fixture::new();
    machine
        .on(&format!("{GET} configmap my-release-milvusctl"))
        .says(r#"{"metadata": {"uid": "u-theirs"}, "data": {"objects": "{}"}}"#);
    add_existing(&machine, Some(&milvus("milvusctl")), &made(), OPERATOR);
    machine
        .milvusctl(&["down", "--context", "prod", "--yes"])
        .ends_with(0)
        .complains_of(&["ConfigMap `default/my-release-milvusctl` was not created by milvusctl"]);
    let changes = changes(&machine);
    assert!(!changes.iter().any(|call| call.contains("apply") || call.contains("configmaps")), "{changes:?}");
}

#[test]
fn nothing_is_deleted_from_an_existing_cluster_without_confirmation() {
    let machine = existing(Some(&milvus("milvusctl")), &made());
    machine.milvusctl(&["down", "--context", "prod"]).ends_with(2).complains_of(&[
        "  milvus default/my-release\n",
        "prod",
        "--yes",
    ]);
    assert_eq!(changes(&machine), [""; 0]);
}

#[test]
fn a_dry_run_lists_everything_to_delete_from_an_existing_cluster() {
    let machine = existing(Some(&milvus("milvusctl")), &made());
    let outcome =
        machine.milvusctl(&["down", "--context", "prod", "--dry-run"]).ends_with(0).complains_of(&[
            "  milvus default/my-release\n",
            "  helm release my-release-etcd\n",
            "  deployment default/my-release-attu\n",
            "  statefulset default/my-release-etcd\n",
            "Kept volume default/my-release-data\n",
        ]);
    assert!(outcome.out.contains("helm uninstall milvus-operator --kube-context prod"), "{}", outcome.out);
    assert_eq!(changes(&machine), [""; 0]);
}
