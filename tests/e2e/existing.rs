//! An existing cluster, played by a kind cluster that milvusctl did not make, with a registry of its own.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::machine::{Machine, registry, say, texts, wait_for};

/// A claim as a chart makes it, and a Service of somebody else.
const OBJECTS: &str = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data-my-release-etcd-0, namespace: default, labels: {app.kubernetes.io/instance: my-release-etcd}}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: my-release-theirs, namespace: default}
spec: {ports: [{port: 80}], selector: {app: theirs}}
";

#[test]
#[ignore = "needs Docker, kind, helm, kubectl and a registry, and takes minutes"]
fn an_existing_cluster_gets_its_images_from_its_registry_and_is_left_as_it_was() {
    let mut machine = Machine::new("milvusctl-test-existing");
    machine.set("MILVUSCTL_CONTEXT", "kind-milvusctl-test-existing");
    make_cluster(&machine);
    machine.kubectl_with_input(&["apply", "-f", "-"], OBJECTS).unwrap();
    let push = format!("{}/pushed-{}", registry(), std::process::id());
    let up = ["up", "--mode", "standalone", "--push", &push, "--timeout", "8m", "-o", "json"];

    an_unreachable_registry_stops_before_anything_is_installed(&machine);
    up_pushes_and_gets_healthy(&machine, &up, &push);
    a_second_up_changes_nothing(&machine, &up);
    images_cannot_be_loaded_there(&machine);
    every_resource_is_accepted_by_the_server(&machine);
    down_leaves_volumes_and_what_is_others(&machine);
    down_deletes_data_when_asked(&machine);
}

fn make_cluster(machine: &Machine) {
    let mut args = vec!["create", "cluster", "--name", machine.name(), "--wait", "180s"];
    let image = std::env::var("MILVUSCTL_NODE_IMAGE").unwrap_or_default();
    if !image.is_empty() {
        args.extend(["--image", &image]);
    }
    machine.tool("kind", &args).unwrap();
    let registry = registry();
    let folder = format!("/etc/containerd/certs.d/{registry}");
    let hosts = format!(
        "server = \"http://{registry}\"\n[host.\"http://{registry}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
    );
    for node in machine.nodes() {
        let write = format!("mkdir -p {folder} && cat >{folder}/hosts.toml");
        machine.tool_with_input("docker", &["exec", "-i", &node, "sh", "-c", &write], &hosts).unwrap();
    }
}

fn an_unreachable_registry_stops_before_anything_is_installed(machine: &Machine) {
    let up = ["up", "--mode", "standalone", "--push", "127.0.0.1:9/x", "--no-attu"];
    machine
        .milvusctl(&up)
        .ends_with(1)
        .complains_of(&["could not be pushed to `127.0.0.1:9/x`", "127.0.0.1:9"]);
    assert!(machine.kubectl(&["get", "namespace", "milvus-operator"]).is_err());
}

fn up_pushes_and_gets_healthy(machine: &Machine, up: &[&str], push: &str) {
    let answer = machine.milvusctl(up).ends_with(0).json();
    assert_eq!(
        (&answer["milvus"]["status"], &answer["milvus"]["mode"]),
        (&json!("Healthy"), &json!("standalone"))
    );
    assert_eq!(answer["cluster"], "kind-milvusctl-test-existing");
    let path = "jsonpath={.items[*].spec.containers[*].image} {.items[*].spec.initContainers[*].image}";
    for namespace in ["default", "milvus-operator"] {
        let images = machine.kubectl(&["get", "pods", "-n", namespace, "-o", path]).unwrap();
        let images: Vec<&str> = images.split_whitespace().collect();
        assert!(!images.is_empty());
        assert!(images.iter().all(|image| image.starts_with(push)), "{images:?}");
    }
    let names = machine.tool("docker", &["images", "--format", "{{.Repository}}"]).unwrap();
    assert!(!names.contains(push), "names for the push were left behind:\n{names}");
}

fn a_second_up_changes_nothing(machine: &Machine, up: &[&str]) {
    let answer = machine.milvusctl(up).ends_with(0).json();
    let outcomes = texts(&answer["steps"], "outcome");
    assert!(outcomes.iter().all(|outcome| ["unchanged", "skipped"].contains(outcome)), "{answer}");
}

fn images_cannot_be_loaded_there(machine: &Machine) {
    machine
        .milvusctl(&["images", "load", "busybox:1.36"])
        .ends_with(2)
        .complains_of(&["only kind's nodes", "--name"]);
}

/// What the settings in `text` ask for, as JSON documents.
fn rendered(machine: &Machine, text: &str) -> Vec<serde_json::Value> {
    let file = machine.file("render.yaml", text);
    let run = machine.milvusctl(&["render", "milvus", "-c", &file, "-o", "json", "-q"]).ends_with(0);
    run.json().as_array().unwrap().clone()
}

/// What examples and combinations ask for, given to the API server at once, which stores nothing of it.
fn every_resource_is_accepted_by_the_server(machine: &Machine) {
    machine.kubectl(&["create", "namespace", "milvus"]).unwrap();
    let mut documents = Vec::new();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            // The context of this test counts, and a Secret needs none of its variables for a rendering.
            documents.extend(rendered(machine, &text));
        }
    }
    assert!(documents.len() >= 8, "{}", documents.len());
    let stores = [
        "messageStore: pulsar",
        "pulsar: {external: 'p:6650'}",
        "messageStore: kafka",
        "kafka: {external: ['k:9092']}",
        "messageStore: woodpecker",
    ];
    let outside = "etcd: {external: ['e:2379'], rootPath: p}, storage: {endpoint: 's:9000', secretRef: s, bucket: b, rootPath: p},";
    for mode in ["standalone", "cluster"] {
        for dependencies in ["", outside] {
            let own = (mode == "standalone").then_some("messageStore: rocksmq");
            for store in stores.into_iter().chain(own) {
                let text = format!("milvus: {{mode: {mode}, version: 2.6.11, {dependencies} {store}}}");
                documents.extend(rendered(machine, &text));
            }
        }
    }
    let mut accepted = 0;
    for (number, mut document) in documents.into_iter().enumerate() {
        // Each goes by a name of its own, so that none is taken for a change of another.
        document["metadata"]["name"] = json!(format!("tried-{number}"));
        let answer = machine.kubectl_with_input(
            &["apply", "--server-side", "--dry-run=server", "-f", "-"],
            &document.to_string(),
        );
        assert!(answer.is_ok(), "{answer:?}: {document}");
        accepted += 1;
    }
    say(&format!("the server accepts {accepted} documents"));
    assert!(accepted >= 8 + 22, "{accepted}");
}

fn down_leaves_volumes_and_what_is_others(machine: &Machine) {
    let answer = machine.milvusctl(&["down", "--yes", "-o", "json"]).ends_with(0).json();
    assert_eq!(
        (&answer["deleted"], &answer["kept"]),
        (&json!(true), &json!(["volume default/data-my-release-etcd-0", "volume default/my-release-minio"]))
    );
    wait_for("pods to end", Duration::from_secs(120), || {
        let pods = machine.kubectl(&["get", "pods", "-A", "-o", "name"]).unwrap();
        (!pods.contains("my-release") && !pods.contains("milvus-operator")).then_some(())
    });
    machine.kubectl(&["get", "service", "my-release-theirs"]).unwrap();
    machine.kubectl(&["get", "persistentvolumeclaim", "data-my-release-etcd-0"]).unwrap();
    assert_eq!(machine.nodes(), ["milvusctl-test-existing-control-plane"]);
}

fn down_deletes_data_when_asked(machine: &Machine) {
    machine.milvusctl(&["down", "--yes", "--delete-data"]).ends_with(0);
    wait_for("the claim to go", Duration::from_secs(60), || {
        machine.kubectl(&["get", "persistentvolumeclaim", "data-my-release-etcd-0"]).is_err().then_some(())
    });
    let run = machine.milvusctl(&["down", "--yes", "--delete-data"]).ends_with(0);
    assert!(run.err.contains("nothing to remove"), "{}", run.err);
    machine.kubectl(&["get", "service", "my-release-theirs"]).unwrap();
}
