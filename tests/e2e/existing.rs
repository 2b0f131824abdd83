//! An existing cluster with its own registry, played by a kind cluster that milvusctl did not create.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::machine::{Machine, registry, say, texts, wait_for};

/// Somebody else's claim under the exact name that the operator's etcd will use, and a Service.
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
    a_missing_operator_is_reported_at_once(&machine);
    up_repairs_releases_without_workloads(&machine, &up);
    down_keeps_volumes_and_foreign_objects(&machine);
    down_only_deletes_its_own_data_on_request(&machine);
    a_foreign_release_of_the_same_name_survives(&machine);
}

/// Without it containerd 2 ignores `certs.d` (kind's own recipe for a local registry).
const KIND: &str = r#"
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
- |-
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
"#;

fn make_cluster(machine: &Machine) {
    let mut args = vec!["create", "cluster", "--name", machine.name(), "--wait", "180s"];
    let image = std::env::var("MILVUSCTL_NODE_IMAGE").unwrap_or_default();
    if !image.is_empty() {
        args.extend(["--image", &image]);
    }
    args.extend(["--config", "-"]);
    machine.tool_with_input("kind", &args, KIND).unwrap();
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

/// The JSON documents for the settings in `text`.
fn rendered(machine: &Machine, text: &str) -> Vec<serde_json::Value> {
    let file = machine.file("render.yaml", text);
    let run = machine.milvusctl(&["render", "milvus", "-c", &file, "-o", "json", "-q"]).ends_with(0);
    run.json().as_array().unwrap().clone()
}

/// Submits the documents of all examples and combinations to the API server as a dry run.
fn every_resource_is_accepted_by_the_server(machine: &Machine) {
    machine.kubectl(&["create", "namespace", "milvus"]).unwrap();
    let mut documents = Vec::new();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            // This test's context counts, and rendering needs none of a Secret's variables.
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
        // Each gets its own name, so that none is taken for a change to another.
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

fn a_missing_operator_is_reported_at_once(machine: &Machine) {
    machine.helm(&["uninstall", "milvus-operator", "--namespace", "milvus-operator"]).unwrap();
    let begun = Instant::now();
    machine
        .milvusctl(&["down", "--yes"])
        .ends_with(1)
        .complains_of(&["the cluster has no milvus-operator", "patch milvus my-release"]);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    machine
        .kubectl(&[
            "patch",
            "milvus",
            "my-release",
            "--type=merge",
            "--patch",
            r#"{"metadata":{"finalizers":null}}"#,
        ])
        .unwrap();
}

/// Helm reports such releases as deployed, and the operator creates nothing for them.
fn up_repairs_releases_without_workloads(machine: &Machine, up: &[&str]) {
    machine
        .kubectl(&[
            "delete",
            "statefulsets,deployments",
            "my-release-etcd",
            "my-release-minio",
            "--ignore-not-found",
        ])
        .unwrap();
    let run = machine.milvusctl(up).ends_with(0);
    assert_eq!(run.json()["milvus"]["status"], "Healthy");
    assert!(run.err.contains("Uninstalled helm release `my-release-etcd`"), "{}", run.err);
}

fn down_keeps_volumes_and_foreign_objects(machine: &Machine) {
    let answer = machine.milvusctl(&["down", "--yes", "-o", "json"]).ends_with(0).json();
    assert_eq!(
        (&answer["deleted"], &answer["kept"]),
        (
            &json!(true),
            &json!([
                "volume default/my-release-minio",
                "volume default/data-my-release-etcd-0: not known to be milvusctl's",
            ])
        )
    );
    wait_for("pods to end", Duration::from_secs(120), || {
        let pods = machine.kubectl(&["get", "pods", "-A", "-o", "name"]).unwrap();
        (!pods.contains("my-release") && !pods.contains("milvus-operator")).then_some(())
    });
    assert_eq!(machine.helm(&["list", "--all-namespaces", "--short"]).unwrap(), "");
    let kinds = "deployments,statefulsets,secrets,serviceaccounts,services,persistentvolumeclaims";
    let left = machine.kubectl(&["get", kinds, "-o", "name"]).unwrap();
    let left: Vec<&str> = left.lines().filter(|name| name.contains("my-release")).collect();
    assert_eq!(
        left,
        [
            "service/my-release-theirs",
            "persistentvolumeclaim/data-my-release-etcd-0",
            "persistentvolumeclaim/my-release-minio",
        ]
    );
    assert_eq!(machine.nodes(), ["milvusctl-test-existing-control-plane"]);
}

fn down_only_deletes_its_own_data_on_request(machine: &Machine) {
    let claim = |name: &str| machine.kubectl(&["get", "persistentvolumeclaim", name]);
    machine
        .milvusctl(&["down", "--yes", "--delete-data"])
        .ends_with(0)
        .says(&["  volume default/my-release-minio AND ITS DATA"]);
    assert!(claim("my-release-minio").is_err());
    claim("data-my-release-etcd-0").unwrap();
    let run = machine.milvusctl(&["down", "--yes", "--delete-data"]).ends_with(0);
    assert!(run.err.contains("nothing to remove"), "{}", run.err);
    machine.kubectl(&["get", "service", "my-release-theirs"]).unwrap();
    assert!(machine.kubectl(&["get", "configmap", "my-release-milvusctl"]).is_err());
}

/// As `helm upgrade --install my-release zilliztech/milvus` creates them: with its own labels on everything,
/// and with the names that the operator uses too.
const CHART: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: my-release-milvus-standalone, labels: {app.kubernetes.io/instance: my-release, app.kubernetes.io/managed-by: Helm}}
spec:
  selector: {matchLabels: {app.kubernetes.io/instance: my-release, component: standalone}}
  template:
    metadata: {labels: {app.kubernetes.io/instance: my-release, component: standalone}}
    spec: {containers: [{name: standalone, image: 'busybox:1.36', command: [sleep, '3600']}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: my-release-etcd, labels: {app.kubernetes.io/instance: my-release, app.kubernetes.io/managed-by: Helm}}
spec:
  serviceName: my-release-etcd
  selector: {matchLabels: {app.kubernetes.io/instance: my-release, component: etcd}}
  template:
    metadata: {labels: {app.kubernetes.io/instance: my-release, component: etcd}}
    spec:
      containers: [{name: etcd, image: 'busybox:1.36', command: [sleep, '3600'], volumeMounts: [{name: data, mountPath: /data}]}]
  volumeClaimTemplates:
  - metadata: {name: data, labels: {app.kubernetes.io/instance: my-release}}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: my-release-milvus, labels: {app.kubernetes.io/instance: my-release, app.kubernetes.io/managed-by: Helm}}
data: {default.yaml: '{}'}
";

fn a_foreign_release_of_the_same_name_survives(machine: &Machine) {
    machine.kubectl(&["delete", "persistentvolumeclaim", "data-my-release-etcd-0"]).unwrap();
    let chart = machine.folder("chart/templates").parent().unwrap().display().to_string();
    machine.file("chart/Chart.yaml", "apiVersion: v2\nname: milvus\nversion: 4.2.13\n");
    machine.file("chart/templates/all.yaml", CHART);
    machine.helm(&["upgrade", "--install", "my-release", &chart, "--namespace", "default"]).unwrap();
    wait_for("the chart's claim", Duration::from_secs(60), || {
        machine.kubectl(&["get", "persistentvolumeclaim", "data-my-release-etcd-0"]).ok()
    });
    let all = |machine: &Machine| {
        let kinds = "deployments,statefulsets,configmaps,secrets,persistentvolumeclaims";
        let columns = "jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid} {.metadata.deletionTimestamp}{\"\\n\"}{end}";
        machine.kubectl(&["get", kinds, "-o", columns]).unwrap()
    };
    let before = all(machine);
    assert!(
        before.contains("data-my-release-etcd-0") && before.contains("sh.helm.release.v1.my-release.v1"),
        "{before}"
    );
    machine
        .milvusctl(&["down", "--yes", "--delete-data"])
        .ends_with(0)
        .says(&["nothing to remove", "data-my-release-etcd-0: not known to be milvusctl's"]);
    assert_eq!(all(machine), before);
}
