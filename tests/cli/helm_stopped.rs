//! A release on which helm was stopped is resumed if it is ours, and refused otherwise.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Fixture, Outcome};
use crate::troubleshooting::add_existing_cluster;

const UP: [&str; 5] = ["up", "--context", "prod", "--operator-version", "1.3.8"];
const SECRETS: &str = "kubectl --context prod get secrets --namespace milvus-operator --selector";
const LET_GO: &str = "kubectl --context prod delete --raw \
                      /api/v1/namespaces/milvus-operator/secrets/sh.helm.release.v1.milvus-operator.v1";
/// How the run ends if helm runs at all: nothing here creates a Milvus.
const REFUSED: &str = "Error: the end of this test\n";

/// The existing cluster `prod` with an operator release in `status`, begun `age` seconds ago.
fn machine(status: &str, manager: &str, age: u64) -> Fixture {
    let machine = Fixture::new();
    add_stopped(&machine, status, manager, age);
    machine
}

fn add_stopped(machine: &Fixture, status: &str, manager: &str, age: u64) {
    machine.on("helm list").says(&format!(
        r#"[{{"name":"milvus-operator","namespace":"milvus-operator","revision":"1","status":"{status}","chart":"milvus-operator-1.3.8"}}]"#
    ));
    // As helm 3.17 and 4.3 report a release that is not installed yet.
    machine.on("helm status").says(r#"{"info":{"description":"Initial install underway"}}"#);
    machine
        .on("helm history")
        .says(&format!(r#"[{{"revision":1,"status":"{status}","description":"Initial install underway"}}]"#));
    machine.on(SECRETS).says(&secret(status, manager, age));
    machine.on("helm show crds").says("");
    machine.on("helm uninstall").says("");
    machine.on("helm upgrade").fails(1, REFUSED);
    machine.on("kubectl --context prod delete").says("");
    add_existing_cluster(machine);
}

fn secret(status: &str, manager: &str, age: u64) -> String {
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - age;
    format!("sh.helm.release.v1.milvus-operator.v1 u-1 1 {status} {begun} {manager}\n")
}

/// The calls that change something, without the context and further arguments.
fn changes(machine: &Fixture) -> Vec<String> {
    let is_change = |call: &String| {
        [" delete ", " apply ", "helm upgrade", "helm uninstall"].iter().any(|word| call.contains(word))
    };
    let short = |call: String| match call.split_once(" --filename") {
        Some((call, _)) => call.to_owned(),
        None => call.split(' ').take(2).collect::<Vec<_>>().join(" "),
    };
    machine.calls().into_iter().filter(is_change).map(short).collect()
}

#[test]
fn our_abandoned_attempt_is_dropped_and_helm_continues() {
    for status in ["pending-install", "pending-upgrade", "pending-rollback"] {
        let machine = machine(status, "milvusctl", 3600);
        machine.milvusctl(&UP).ends_with(1).complains_of(&[
            &format!("Cleared helm's `{status}` release of milvus-operator"),
            "secret milvus-operator/sh.helm.release.v1.milvus-operator.v1",
            "the end of this test",
        ]);
        assert_eq!(changes(&machine), [LET_GO, "helm upgrade"], "{status}");
    }
}

#[test]
fn an_interrupted_uninstall_is_completed_if_there_is_no_milvus() {
    let machine = machine("uninstalling", "milvusctl", 3600);
    machine.milvusctl(&UP).ends_with(1);
    assert_eq!(changes(&machine), ["helm uninstall", "helm upgrade"]);
}

#[test]
fn an_interrupted_uninstall_is_not_completed_over_a_foreign_milvus() {
    let machine = Fixture::new();
    machine
        .on("kubectl --context prod get milvuses.v1beta1.milvus.io --all-namespaces")
        .says(r#"{"items": [{"metadata": {"name": "theirs", "namespace": "prod", "uid": "u"}}]}"#);
    add_stopped(&machine, "uninstalling", "milvusctl", 3600);
    machine
        .milvusctl(&UP)
        .ends_with(1)
        .complains_of(&["Milvus `prod/theirs` still exists", "every Milvus with them"]);
    assert_eq!(changes(&machine), [""; 0]);
}

#[test]
fn a_helm_that_may_be_running_is_awaited() {
    let machine = Fixture::new();
    // Read once to find the owner, then once while helm is at work.
    machine.on(SECRETS).says(&secret("pending-install", "milvusctl", 10)).once();
    machine.on(SECRETS).says(&secret("pending-install", "milvusctl", 10)).once();
    machine.on(SECRETS).says(&secret("deployed", "milvusctl", 10));
    add_stopped(&machine, "pending-install", "milvusctl", 10);
    machine.milvusctl(&UP).ends_with(1);
    assert_eq!(changes(&machine), ["helm upgrade"]);
}

#[test]
fn waiting_for_helm_respects_the_timeout() {
    let machine = machine("pending-install", "milvusctl", 10);
    machine.milvusctl(&[&UP[..], &["--timeout", "2s"]].concat()).ends_with(5);
    assert_eq!(changes(&machine), [""; 0]);
}

#[test]
fn a_foreign_attempt_is_refused_and_kept() {
    let machine = machine("pending-install", "<none>", 3600);
    machine.milvusctl(&UP).ends_with(1).complains_of(&[
        "`milvus-operator`, which is `pending-install` and not known to be milvusctl's; nothing was changed",
        "--namespace milvus-operator delete secret sh.helm.release.v1.milvus-operator.v1",
    ]);
    assert_eq!(changes(&machine), [""; 0]);
}

#[test]
fn a_dry_run_names_the_attempt_it_would_drop() {
    let machine = machine("pending-upgrade", "milvusctl", 3600);
    let outcome = machine.milvusctl(&[&UP[..], &["--dry-run"]].concat()).ends_with(0);
    assert!(outcome.out.contains(LET_GO), "{}", outcome.out);
    assert_eq!(changes(&machine), [""; 0]);
}

#[test]
fn an_interrupt_is_not_blamed_on_the_chart_repository() {
    let machine = Fixture::new();
    machine.on("helm list").says("[]");
    machine.on("helm upgrade").takes(Duration::from_secs(15));
    add_existing_cluster(&machine);
    let child = machine.command(&UP).spawn().unwrap();
    machine.wait_for_call("helm upgrade");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let outcome = Outcome::of_child(child).ends_with(130);
    assert!(!outcome.err.contains("--operator-repo"), "{}", outcome.err);
}
