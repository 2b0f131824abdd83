//! `up` after an interruption, and with the operator of the article.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::machine::{Machine, Run, page, say, wait_for};

#[test]
#[ignore = "needs Docker, kind, helm and kubectl, and takes minutes"]
fn an_interrupted_up_goes_on_from_there() {
    let machine = Machine::new("milvusctl-test-again");
    let child = machine.start(&["up", "--small", "--timeout", "10m"]);
    wait_for("the operator's namespace", Duration::from_secs(300), || {
        machine.kubectl(&["get", "namespace", "milvus-operator"]).ok()
    });
    let begin = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let run = Run::of(&child.wait_with_output().unwrap(), begin.elapsed()).ends_with(130);
    say(&run.err);
    assert!(run.took < Duration::from_secs(15), "it took {:?}", run.took);

    let before = machine.nodes();
    let answer = machine.milvusctl(&["up", "--small", "--timeout", "10m", "-o", "json"]).ends_with(0).json();
    assert_eq!(machine.nodes(), before);
    assert_eq!(
        (&answer["milvus"]["status"], &answer["milvus"]["mode"]),
        (&json!("Healthy"), &json!("standalone"))
    );
    assert!(page(31000).unwrap().contains("Attu"));
}

#[test]
#[ignore = "needs Docker, kind, helm and kubectl, and takes minutes"]
fn the_articles_operator_comes_up_too() {
    let mut machine = Machine::new("milvusctl-test-114");
    machine.set("MILVUSCTL_OPERATOR_VERSION", "1.1.4");
    let answer =
        machine.milvusctl(&["up", "--workers", "1", "--timeout", "15m", "-o", "json"]).ends_with(0).json();
    assert_eq!(
        (&answer["milvus"]["status"], &answer["milvus"]["mode"]),
        (&json!("Healthy"), &json!("cluster"))
    );
    let pods = machine
        .kubectl(&["get", "pods", "-A", "-o", "jsonpath={.items[*].spec.containers[*].image}"])
        .unwrap();
    assert!(pods.contains("milvusdb/milvus-operator:v1.1.4"), "{pods}");
    assert!(page(31000).unwrap().contains("Attu"));
}

#[test]
#[ignore = "needs Docker, kind, helm and kubectl"]
fn a_dry_run_creates_nothing() {
    let machine = Machine::new("milvusctl-test-dry");
    let script = machine.milvusctl(&["up", "--dry-run", "--workers", "1"]).ends_with(0).out;
    for line in ["kind create cluster", "helm ", "kubectl "] {
        assert!(script.contains(line), "{line} is not in:\n{script}");
    }
    assert_eq!(machine.nodes(), [""; 0]);
}
