//! Real failures during a load: the node's disk is full, the API server restarts, the node is removed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::loading::{WORKERS, build, load, pod, wait_for_import};
use crate::machine::{Machine, Run, wait_for};

/// Where containerd writes incoming content until it is complete.
const INGEST: &str = "/var/lib/containerd/io.containerd.content.v1.content/ingest";

/// The first image's outcome on a node.
fn on_node<'r>(report: &'r Value, node: &str) -> &'r Value {
    let nodes = report["images"][0]["nodes"].as_array().unwrap();
    nodes.iter().find(|one| one["node"] == node).unwrap_or(&Value::Null)
}

/// Mounts a disk of four MiB over the folder that the second worker's containerd writes to.
pub(crate) fn a_full_disk_on_a_node_is_reported_and_the_other_node_is_loaded(machine: &Machine) {
    let image = "test.invalid/milvusctl-test/full:1";
    build(machine, image, "busybox:1.36", 24);
    let in_node = |args: &[&str]| machine.tool("docker", &[&["exec", WORKERS[1]], args].concat()).unwrap();
    in_node(&["mount", "-t", "tmpfs", "-o", "size=4m", "none", INGEST]);
    let run = machine.milvusctl(&["images", "load", image, "-o", "json"]);
    in_node(&["umount", INGEST]);
    let run = run.ends_with(4);
    let report = run.json();
    assert_eq!(on_node(&report, WORKERS[0])["outcome"], "loaded", "{report}");
    let full = on_node(&report, WORKERS[1]);
    assert_eq!(full["outcome"], "load_failed", "{report}");
    assert!(full["error"].as_str().unwrap().contains("no space left on device"), "{report}");
    let hint = report["images"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("disk space"), "{report}");
    // The full disk fills only once.
    assert!(run.took < Duration::from_secs(60), "it took {:?}", run.took);

    let report = load(machine, image);
    assert_eq!(
        (&report["images"][0]["outcome"], on_node(&report, WORKERS[1])["outcome"].as_str()),
        (&json!("loaded"), Some("loaded"))
    );
}

/// The kubelet restarts the API server once its process is gone; until then nobody answers.
pub(crate) fn a_restarting_api_server_does_not_end_a_wait(machine: &Machine) {
    let image = "test.invalid/milvusctl-test/late:1";
    build(machine, image, "busybox:1.36", 4);
    machine.kubectl_with_input(&["apply", "-f", "-"], &pod("late", image, None)).unwrap();
    let begin = Instant::now();
    let watching = machine.start(&["load-missing-images", "--watch", "--timeout", "5m", "-o", "json"]);
    // It has had its first answers.
    std::thread::sleep(Duration::from_secs(1));
    let control_plane = format!("{}-control-plane", machine.name());
    machine.tool("docker", &["exec", &control_plane, "pkill", "-KILL", "kube-apiserver"]).unwrap();
    let report = Run::of(&watching.wait_with_output().unwrap(), begin.elapsed()).ends_with(0).json();
    assert_eq!(report["failed"], json!(0), "{report}");
    wait_for("the API server", Duration::from_secs(120), || {
        machine.kubectl(&["get", "--raw", "/readyz"]).ok()
    });
    machine.kubectl(&["wait", "--for=condition=Ready", "pod/late", "--timeout=120s"]).unwrap();
}

/// Comes last, because the node does not come back.
pub(crate) fn a_node_removed_during_a_load_is_reported_and_the_other_is_loaded(machine: &Machine) {
    let image = "test.invalid/milvusctl-test/removed:1";
    build(machine, image, "busybox:1.36", 160);
    let begin = Instant::now();
    let loading = machine.start(&["images", "load", image, "-o", "json"]);
    wait_for_import(machine, WORKERS[1]);
    machine.tool("docker", &["rm", "--force", "--volumes", WORKERS[1]]).unwrap();
    let run = Run::of(&loading.wait_with_output().unwrap(), begin.elapsed()).ends_with(4);
    let report = run.json();
    assert_eq!(on_node(&report, WORKERS[0])["outcome"], "loaded", "{report}");
    assert_eq!(on_node(&report, WORKERS[1])["outcome"], "load_failed", "{report}");
    let error = report["images"][0]["error"].as_str().unwrap();
    assert!(error.contains(WORKERS[1]), "{report}");
    assert!(run.took < Duration::from_secs(120), "it took {:?}", run.took);

    // Kubernetes still lists it; without its object the cluster has two nodes.
    machine.kubectl(&["delete", "node", WORKERS[1]]).unwrap();
    assert_eq!(load(machine, image)["images"][0]["outcome"], "present");
}
