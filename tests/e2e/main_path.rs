//! From nothing to a Milvus that answers, what can go wrong with it, and back to nothing.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::machine::{Machine, page, registry, say, texts, wait_for};
use crate::reach;

const PODS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: wants}
---
apiVersion: v1
kind: Pod
metadata: {name: good, namespace: wants}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: a, image: 'busybox:1.36', imagePullPolicy: IfNotPresent, command: [sleep, '3600']}]
---
apiVersion: v1
kind: Pod
metadata: {name: unknown, namespace: wants}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: a, image: 'milvusdb/there-is-none:v0', imagePullPolicy: IfNotPresent}]
---
apiVersion: v1
kind: Pod
metadata: {name: impossible, namespace: wants}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: a, image: 'Milvus:Not A Name', imagePullPolicy: IfNotPresent}]
";

#[test]
#[ignore = "needs Docker, kind, helm and kubectl, and takes minutes"]
fn from_nothing_to_a_milvus_that_answers_and_back() {
    let machine = Machine::new("milvusctl-test-main");
    a_taken_port_is_reported_up_front(&machine);
    up_reaches_healthy(&machine);
    a_second_up_changes_nothing(&machine);
    status_keeps_its_contract(&machine);
    with_nothing_missing_there_is_nothing_to_do(&machine);
    an_image_that_went_missing_comes_back(&machine);
    one_failing_image_does_not_stop_the_others(&machine);
    layers_the_node_holds_are_not_sent(&machine);
    an_image_of_several_platforms_is_loaded(&machine);
    both_loaders_load_the_image(&machine);
    an_unreachable_etcd_is_reported(&machine);
    expose_reports_conflicts(&machine);
    expose_outlives_the_operator(&machine);
    let exposed = Instant::now();
    reach::attus_page_has_its_title();
    reach::clients_do_not_need_a_forward(&machine);
    reach::a_milvus_that_stopped_fails_the_smoke_test(&machine);
    reach::a_diagnosis_contains_what_helps(&machine);
    reach::a_deleted_proxy_is_replaced(&machine);
    reach::a_scaled_proxy_is_reached(&machine);
    reach::the_operator_leaves_the_ports_alone(&machine, exposed);
    reach::restarted_nodes_lead_to_milvus_again(&machine);
    down_leaves_nothing(&machine);
}

fn a_taken_port_is_reported_up_front(machine: &Machine) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    machine.milvusctl(&["up", "--port", &format!("{port}:31000")]).ends_with(2).complains_of(&[&port]);
    assert_eq!(machine.nodes(), [""; 0]);
}

fn up_reaches_healthy(machine: &Machine) {
    let answer = machine
        .milvusctl(&["up", "--workers", "1", "--smoke", "--timeout", "15m", "-o", "json"])
        .ends_with(0)
        .json();
    assert_eq!(answer["milvus"]["status"], "Healthy");
    assert_eq!(answer["milvus"]["mode"], "cluster");
    assert_eq!(answer["missing_images"], json!([]));
    let workloads = texts(&answer["workloads"], "name");
    for part in ["etcd", "minio", "pulsar", "proxy", "mixcoord", "datanode", "querynode"] {
        assert!(workloads.iter().any(|name| name.contains(part)), "no {part} in {workloads:?}");
    }
    assert_eq!(machine.nodes(), ["milvusctl-test-main-control-plane", "milvusctl-test-main-worker"]);
    assert!(page(31000).unwrap().contains("Attu"));
    TcpStream::connect("127.0.0.1:19530").unwrap();
}

/// Changes whenever somebody writes to one of these objects, or helm installs again.
fn versions(machine: &Machine) -> String {
    let generations = "{range .items[*]}{.kind}/{.metadata.name} {.metadata.generation} {end}";
    let revisions = "{range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion} {end}";
    let of = |kinds: &str, format: &str| {
        machine.kubectl(&["get", kinds, "-A", "-o", &format!("jsonpath={format}")]).unwrap()
    };
    let releases = machine
        .kubectl(&["get", "secrets", "-A", "--field-selector", "type=helm.sh/release.v1", "-o", "name"])
        .unwrap();
    of("milvus,deployments,statefulsets", generations) + &of("services", revisions) + &releases
}

fn a_second_up_changes_nothing(machine: &Machine) {
    let before = versions(machine);
    let again = machine.milvusctl(&["up", "--workers", "1", "-o", "json"]).ends_with(0);
    let steps = again.json()["steps"].clone();
    let outcomes = texts(&steps, "outcome");
    assert!(!outcomes.is_empty());
    assert!(outcomes.iter().all(|outcome| ["unchanged", "skipped"].contains(outcome)), "{steps}");
    assert_eq!(versions(machine), before);
}

fn status_keeps_its_contract(machine: &Machine) {
    let status = machine.milvusctl(&["status", "-o", "json"]).ends_with(0).json();
    assert_eq!(status["cluster"], "milvusctl-test-main");
    assert_eq!(status["nodes"].as_array().map(Vec::len), Some(2));
    let milvus = &status["milvus"];
    assert_eq!((&milvus["name"], &milvus["namespace"]), (&json!("my-release"), &json!("default")));
    assert_eq!((&milvus["mode"], &milvus["status"]), (&json!("cluster"), &json!("Healthy")));
    assert!(milvus["conditions"].is_array());
    for workload in status["workloads"].as_array().unwrap() {
        assert!(workload["kind"].is_string() && workload["name"].is_string(), "{workload}");
        assert!(workload["ready"].is_u64() && workload["ready"] == workload["desired"], "{workload}");
    }
    assert_eq!(status["missing_images"], json!([]));
    assert_eq!(
        status["urls"]["attu"].as_str().map(|url| url.trim_end_matches('/')),
        Some("http://127.0.0.1:31000")
    );
    assert!(status["urls"]["milvus"].as_str().is_some_and(|url| url.contains("127.0.0.1:19530")), "{status}");
    assert!(machine.milvusctl(&["status"]).ends_with(0).out.contains("Healthy"));
}

fn with_nothing_missing_there_is_nothing_to_do(machine: &Machine) {
    let report = machine.milvusctl(&["load-missing-images", "-o", "json"]).ends_with(0).json();
    let mut report = report.as_object().unwrap().clone();
    let seconds = report.remove("seconds").unwrap();
    assert!(seconds.is_f64(), "{seconds}");
    assert_eq!(
        Value::Object(report),
        json!({
            "cluster": "milvusctl-test-main", "images": [], "missing": 0, "loaded": 0, "failed": 0,
            "seconds_until_pods_can_start": 0.0, "bytes_read": 0
        })
    );
}

fn missing(machine: &Machine) -> usize {
    let status = machine.milvusctl(&["status", "-q", "-o", "json"]).json();
    status["missing_images"].as_array().map_or(0, Vec::len)
}

fn an_image_that_went_missing_comes_back(machine: &Machine) {
    let first = |kind: &str, path: &str| {
        let path = format!("jsonpath={{.items[0].{path}}}");
        machine.kubectl(&["get", kind, "-l", "app.kubernetes.io/name=attu", "-o", &path]).unwrap()
    };
    let deployment = first("deployments", "metadata.name");
    let image = format!("docker.io/{}", first("deployments", "spec.template.spec.containers[0].image"));
    for node in machine.nodes() {
        // Only the nodes that could run the pod have it.
        if let Err(error) =
            machine.tool("docker", &["exec", &node, "ctr", "-n", "k8s.io", "images", "rm", &image])
        {
            say(&error);
        }
    }
    machine.kubectl(&["delete", "pod", "-l", "app.kubernetes.io/name=attu", "--wait=false"]).unwrap();
    wait_for("a missing image", Duration::from_secs(120), || (missing(machine) > 0).then_some(()));

    let report = machine.milvusctl(&["load-missing-images", "-o", "json"]).ends_with(0).json();
    assert_eq!((&report["missing"], &report["loaded"], &report["failed"]), (&json!(1), &json!(1), &json!(0)));
    let loaded = &report["images"][0];
    assert_eq!((&loaded["image"], &loaded["outcome"]), (&json!(image), &json!("loaded")));
    assert_eq!((&loaded["error"], &loaded["hint"]), (&Value::Null, &Value::Null));
    let nodes = texts(&loaded["nodes"], "node");
    assert!(nodes.contains(&"milvusctl-test-main-worker"), "{nodes:?}");
    let pods = loaded["pods"].as_array().unwrap();
    assert!(pods.iter().all(|pod| pod.as_str().unwrap().starts_with("default/")), "{loaded}");

    let deployment = format!("deployment/{deployment}");
    machine.kubectl(&["rollout", "status", &deployment, "--timeout=300s"]).unwrap();
    wait_for("Attu", Duration::from_secs(60), || {
        page(31000).is_ok_and(|page| page.contains("Attu")).then_some(())
    });
}

fn one_failing_image_does_not_stop_the_others(machine: &Machine) {
    machine.kubectl_with_input(&["apply", "-f", "-"], PODS).unwrap();
    let reasons = "jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}";
    wait_for("three waiting pods", Duration::from_secs(120), || {
        let reasons = machine.kubectl(&["get", "pods", "-n", "wants", "-o", reasons]).unwrap();
        let pulls = reasons.matches("ImagePull").count();
        (pulls == 2 && reasons.contains("InvalidImageName")).then_some(())
    });
    let report = machine.milvusctl(&["load-missing-images", "-n", "wants", "-o", "json"]).ends_with(4).json();
    let outcome = |part: &str| {
        let images = report["images"].as_array().unwrap();
        let found = images.iter().find(|image| image["image"].as_str().unwrap().contains(part));
        found.unwrap_or_else(|| panic!("no {part} in {report}")).clone()
    };
    assert_eq!(outcome("busybox")["outcome"], "loaded");
    assert_eq!(outcome("busybox")["image"], "docker.io/library/busybox:1.36");
    assert_eq!(outcome("there-is-none")["outcome"], "pull_failed");
    assert!(outcome("there-is-none")["error"].is_string());
    assert_eq!(outcome("Not A Name")["outcome"], "refused");
    assert!(outcome("Not A Name")["error"].is_string() && outcome("Not A Name")["hint"].is_string());
    assert_eq!((&report["missing"], &report["loaded"], &report["failed"]), (&json!(3), &json!(1), &json!(2)));
    machine.kubectl(&["wait", "-n", "wants", "--for=condition=Ready", "pod/good", "--timeout=300s"]).unwrap();
    machine.kubectl(&["delete", "namespace", "wants"]).unwrap();
}

/// The bytes one image took, over all nodes.
fn bytes_sent(report: &Value) -> u64 {
    let nodes = report["images"][0]["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["bytes_sent"].as_u64().unwrap()).sum()
}

fn forget(machine: &Machine, image: &str) {
    for node in machine.nodes() {
        // A node without it is fine.
        if let Err(error) =
            machine.tool("docker", &["exec", &node, "ctr", "-n", "k8s.io", "images", "rm", image])
        {
            say(&error);
        }
    }
}

/// The test images share a layer of 16 MiB, which the nodes have held since Milvus came up.
fn layers_the_node_holds_are_not_sent(machine: &Machine) {
    let image = "docker.io/zilliz/attu:v2.4.12";
    forget(machine, image);
    let report = machine.milvusctl(&["images", "load", image, "-o", "json"]).ends_with(0).json();
    assert_eq!(report["images"][0]["outcome"], "loaded");
    let sent = bytes_sent(&report);
    assert!((1..16 << 20).contains(&sent), "{sent} bytes were sent");
    let again = machine.milvusctl(&["images", "load", image, "-o", "json"]).ends_with(0).json();
    assert_eq!(again["images"][0]["outcome"], "present");
    assert_eq!(again["images"][0]["nodes"], json!([]));
}

/// The image that `kind load docker-image` cannot load from the containerd image store (kind#3795).
fn an_image_of_several_platforms_is_loaded(machine: &Machine) {
    forget(machine, "docker.io/library/multiarch:1");
    let report = machine.milvusctl(&["images", "load", "multiarch:1", "-o", "json"]).ends_with(0).json();
    assert_eq!(report["images"][0]["image"], "docker.io/library/multiarch:1");
    assert_eq!(report["images"][0]["outcome"], "loaded");
}

fn both_loaders_load_the_image(machine: &Machine) {
    let image = "docker.io/library/busybox:1.36";
    for loader in ["kind", "direct"] {
        forget(machine, image);
        let report = machine
            .milvusctl(&["images", "load", image, "--loader", loader, "-o", "json"])
            .ends_with(0)
            .json();
        assert_eq!(report["images"][0]["outcome"], "loaded", "{report}");
    }
}

/// Fails before anything is applied, so no Milvus is left that never gets healthy.
fn an_unreachable_etcd_is_reported(machine: &Machine) {
    let there = registry();
    let text = format!("milvus: {{name: other, etcd: {{external: ['127.0.0.1:9', '{there}']}}}}");
    let file = machine.file("etcd.yaml", &text);
    let run = machine.milvusctl(&["up", "--workers", "1", "-c", &file]).complains_of(&[
        "etcd `127.0.0.1:9` cannot be reached from node `milvusctl-test-main-worker`: connection refused",
        "inside a pod, `localhost` is the pod itself",
    ]);
    assert!(!run.err.contains(&there), "{}", run.err);
    assert_eq!(machine.milvusctl(&["status", "-o", "json"]).json()["milvus"]["status"], "Healthy");
}

fn expose_reports_conflicts(machine: &Machine) {
    for port in ["29999", "32768"] {
        machine
            .milvusctl(&["expose", "attu", "--nodeport", port])
            .ends_with(2)
            .complains_of(&["30000", "32767"]);
    }
    // Attu uses it.
    machine.milvusctl(&["expose", "milvus", "--nodeport", "31000"]).complains_of(&["31000", "attu"]);
    machine
        .milvusctl(&["expose", "attu", "--nodeport", "32000"])
        .complains_of(&["32000", "--port", "forward"]);
    machine
        .milvusctl(&["expose", "svc/default/there-is-none", "--nodeport", "32000"])
        .complains_of(&["there-is-none"]);
}

fn expose_outlives_the_operator(machine: &Machine) {
    let answer =
        machine.milvusctl(&["expose", "attu", "--nodeport", "31000", "-o", "json"]).ends_with(0).json();
    assert_eq!((&answer["node_port"], &answer["answered"]), (&json!(31000), &json!(true)));
    assert!(answer["service"].is_string());
    let url = answer["url"].as_str().unwrap().trim_end_matches('/');
    assert_eq!(url, "http://127.0.0.1:31000");
    let answer =
        machine.milvusctl(&["expose", "milvus", "--nodeport", "31530", "-o", "json"]).ends_with(0).json();
    assert_eq!((&answer["node_port"], &answer["answered"]), (&json!(31530), &json!(true)));
    // The operator checks every few seconds whether somebody changed its objects.
    std::thread::sleep(Duration::from_secs(10));
    assert!(page(31000).unwrap().contains("Attu"));
    assert_eq!(
        machine.milvusctl(&["status", "-o", "json"]).ends_with(0).json()["milvus"]["status"],
        "Healthy"
    );
}

fn down_leaves_nothing(machine: &Machine) {
    machine.milvusctl(&["down"]).ends_with(2).complains_of(&["--yes"]);
    assert_eq!(machine.nodes().len(), 2);
    machine.milvusctl(&["down", "--yes"]).ends_with(0);
    assert_eq!(machine.nodes(), [""; 0]);
    let clusters = machine.tool("kind", &["get", "clusters"]).unwrap();
    assert!(!clusters.lines().any(|name| name == machine.name()), "{clusters}");
    machine.milvusctl(&["down", "--yes"]).ends_with(0);
}
