//! `down` deletes the named cluster and no other.

use serde_json::json;

use crate::fixture::Fixture;

const KIND_SAYS: &str = "ERROR: failed to delete cluster \"milvus-cluster\": failed to delete nodes\n";

fn deletions(machine: &Fixture) -> Vec<String> {
    machine.calls().into_iter().filter(|call| call.contains("delete") || call.contains(" rm ")).collect()
}

#[test]
fn a_missing_cluster_is_reported_but_is_not_an_error() {
    let machine = Fixture::new();
    machine.has_clusters(&["other"]);
    let outcome = machine.milvusctl(&["down", "--yes"]).ends_with(0);
    assert_eq!(outcome.err, "There is no kind cluster `milvus-cluster`; nothing to delete\n");
    assert_eq!(deletions(&machine), [""; 0]);
}

#[test]
fn a_misspelt_cluster_name_deletes_nothing_and_gets_a_suggestion() {
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
fn a_cluster_named_by_its_context_is_kept_and_its_name_suggested() {
    let machine = Fixture::new();
    machine.has_clusters(&["dev"]);
    machine
        .milvusctl(&["down", "--yes", "--name", "kind-dev"])
        .ends_with(0)
        .complains_of(&["hint: did you mean `--name dev`?\n"]);
    assert_eq!(deletions(&machine), [""; 0]);
}

#[test]
fn only_the_named_cluster_is_deleted() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus", "milvus-ci", "milvus-ci-2"]);
    machine.on("kind delete cluster").says("");
    machine.milvusctl(&["down", "--name", "milvus-ci", "--yes"]).ends_with(0);
    assert_eq!(deletions(&machine), ["kind delete cluster --name milvus-ci"]);
}

#[test]
fn the_json_output_says_whether_a_cluster_was_deleted() {
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
fn a_dry_run_prints_the_deletion_without_doing_it() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-cluster"]);
    let outcome = machine.milvusctl(&["down", "--dry-run"]).ends_with(0);
    assert!(outcome.out.contains("kind delete cluster --name milvus-cluster"), "{}", outcome.out);
    assert_eq!(deletions(&machine), [""; 0]);
}

#[test]
fn when_kind_fails_its_last_lines_are_shown() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-cluster"]);
    machine.on("kind delete cluster").fails(1, KIND_SAYS);
    machine
        .milvusctl(&["down", "--yes"])
        .ends_with(1)
        .complains_of(&["could not delete cluster `milvus-cluster`", KIND_SAYS.trim()]);
}

#[test]
fn a_missing_context_is_reported() {
    let machine = Fixture::new();
    machine.on("kubectl").fails(1, "error: context \"prod\" does not exist\n");
    machine
        .milvusctl(&["down", "--context", "prod", "--yes"])
        .ends_with(1)
        .complains_of(&["context `prod`", "kubectl config get-contexts"]);
}
