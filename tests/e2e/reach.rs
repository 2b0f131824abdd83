//! Whatever was reachable stays reachable by the official client while pods, scaling and nodes change.
//!
//! Parts of the main path, on its cluster.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::machine::{Machine, Run, page, say, wait_for};

/// Where Milvus answers since `up`.
const EXPOSED: &str = "http://127.0.0.1:19530";

/// The proxy's pods, by the operator's labels.
const PROXY: &str = "app.kubernetes.io/component=proxy";

/// A Python with pymilvus, if the machine has one.
pub(crate) fn official_client(machine: &Machine, uri: &str) {
    let Ok(python) = std::env::var("MILVUSCTL_TEST_PYTHON") else {
        say("MILVUSCTL_TEST_PYTHON names no Python with pymilvus, so the official client was not tried");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/official_client.py");
    assert_eq!(machine.tool(&python, &[&script.display().to_string(), uri]).unwrap().trim(), "ok");
}

pub(crate) fn clients_do_not_need_a_forward(machine: &Machine) {
    let report = machine.milvusctl(&["smoke", "-o", "json"]).ends_with(0).json();
    assert_eq!((&report["ok"], &report["uri"]), (&json!(true), &json!(EXPOSED)));
    for level in ["bounded", "session", "eventually"] {
        machine.milvusctl(&["smoke", "--consistency", level, "--rows", "200", "-q"]).ends_with(0);
    }
    official_client(machine, EXPOSED);
}

pub(crate) fn attus_page_has_its_title() {
    assert!(page(31000).unwrap().contains("<title>Attu"), "{}", page(31000).unwrap());
}

/// Waits until a client gets answers at `uri`, without any command in between.
#[track_caller]
fn wait_for_milvus(machine: &Machine, uri: &str, within: Duration) {
    let test = ["smoke", "--uri", uri, "--rows", "20", "--dim", "8", "--timeout", "10s", "-q"];
    wait_for(&format!("Milvus at {uri}"), within, || {
        (machine.milvusctl(&test).code == Some(0)).then_some(())
    });
}

/// A running `forward`, and the URL it printed.
struct Forward {
    child: Child,
    uri: String,
}

fn forward(machine: &Machine) -> Forward {
    let mut child = machine.start(&["forward", "milvus", "--port", "0"]);
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    Forward { child, uri: first.trim().to_owned() }
}

pub(crate) fn a_deleted_proxy_is_replaced(machine: &Machine) {
    let forward = forward(machine);
    wait_for_milvus(machine, &forward.uri, Duration::from_secs(10));
    machine.kubectl(&["delete", "pod", "-l", PROXY, "--wait=false"]).unwrap();
    // Wait for another pod; the old one may still answer.
    std::thread::sleep(Duration::from_secs(3));
    wait_for_milvus(machine, EXPOSED, Duration::from_secs(120));
    wait_for_milvus(machine, &forward.uri, Duration::from_secs(60));

    kill_process(Pid::from_child(&forward.child), Signal::INT).unwrap();
    let begin = Instant::now();
    let run = Run::of(&forward.child.wait_with_output().unwrap(), begin.elapsed()).ends_with(130);
    say(&run.err);
    assert!(run.took < Duration::from_secs(5), "it took {:?}", run.took);
    assert!(run.err.contains("reconnecting") && run.err.contains("Reconnected to pod"), "{}", run.err);
}

/// A second pod of the proxy besides the operator's, which is then deleted.
pub(crate) fn a_scaled_proxy_is_reached(machine: &Machine) {
    let pods = machine.kubectl(&["get", "pods", "-l", PROXY, "-o", "json"]).unwrap();
    let pods: Value = serde_json::from_str(&pods).unwrap();
    let mut pod = pods["items"][0].clone();
    let mut labels = pod["metadata"]["labels"].clone();
    // With this label, the pod would belong to the ReplicaSet.
    labels.as_object_mut().unwrap().remove("pod-template-hash");
    pod["metadata"] = json!({"name": "second-proxy", "namespace": "default", "labels": labels});
    pod["spec"].as_object_mut().unwrap().remove("nodeName");
    machine.kubectl_with_input(&["apply", "-f", "-"], &pod.to_string()).unwrap();
    machine.kubectl(&["wait", "--for=condition=Ready", "pod/second-proxy", "--timeout=120s"]).unwrap();
    for _ in 0..4 {
        // Any connection may reach either of them.
        machine.milvusctl(&["smoke", "--rows", "20", "--dim", "8", "-q"]).ends_with(0);
    }
    machine.kubectl(&["delete", "pod", "second-proxy", "--now"]).unwrap();
    wait_for_milvus(machine, EXPOSED, Duration::from_secs(30));
}

/// As after a restart of the engine or the machine.
pub(crate) fn restarted_nodes_lead_to_milvus_again(machine: &Machine) {
    let nodes = machine.nodes();
    let mut args = vec!["restart", "--time", "5"];
    args.extend(nodes.iter().map(String::as_str));
    machine.tool("docker", &args).unwrap();
    wait_for_milvus(machine, EXPOSED, Duration::from_secs(240));
    wait_for("Attu", Duration::from_secs(120), || {
        page(31000).is_ok_and(|page| page.contains("Attu")).then_some(())
    });
}

/// Two minutes after `since`, in which the operator has reconciled many times, the port is unchanged.
pub(crate) fn the_operator_leaves_the_ports_alone(machine: &Machine, since: Instant) {
    std::thread::sleep(Duration::from_secs(120).saturating_sub(since.elapsed()));
    let path = "jsonpath={.spec.type} {.spec.ports[0].nodePort}";
    let service = machine.kubectl(&["get", "service", "my-release-milvus-nodeport", "-o", path]).unwrap();
    assert_eq!(service, "NodePort 31530");
    wait_for_milvus(machine, EXPOSED, Duration::from_secs(10));
    attus_page_has_its_title();
}

pub(crate) fn a_milvus_that_stopped_fails_the_smoke_test(machine: &Machine) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let run = machine.milvusctl(&["smoke", "--uri", &uri, "-o", "json"]).ends_with(1);
    assert_eq!(run.json()["steps"][0]["name"], "connect");
    // Attu answers there.
    let run = machine.milvusctl(&["smoke", "--uri", "http://127.0.0.1:31000", "-o", "json"]).ends_with(1);
    assert_eq!(run.json()["steps"][0]["name"], "connect");
}

pub(crate) fn a_diagnosis_contains_what_helps(machine: &Machine) {
    let file = machine.file("diagnosis.tar.gz", "");
    fs::remove_file(&file).unwrap();
    machine.milvusctl(&["diagnose", "-o", &file]).ends_with(0);
    let names = machine.tool("tar", &["-tzf", &file]).unwrap();
    for part in ["events", "versions", "settings", "pods"] {
        assert!(names.contains(part), "no {part} in:\n{names}");
    }
}
