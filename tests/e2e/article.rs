//! The article's way: a cluster created by hand with kind, helm and kubectl, whose images are loaded
//! afterwards.

use std::time::Duration;

use serde_json::json;

use crate::machine::{Machine, wait_for};

/// The operator that the article installs.
const OPERATOR: &str = "1.1.4";

const CLUSTER: &str = "
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: control-plane}, {role: worker}]
";

const MILVUS: &str = "
apiVersion: milvus.io/v1beta1
kind: Milvus
metadata: {name: my-release, labels: {app: milvus}}
spec: {mode: cluster, dependencies: {}, components: {}, config: {}}
";

#[test]
#[ignore = "needs Docker, kind, helm and kubectl, and takes minutes"]
fn a_cluster_made_by_hand_is_healed() {
    let mut machine = Machine::new("milvusctl-test-article");
    machine.set("MILVUSCTL_OPERATOR_VERSION", OPERATOR);
    create_cluster(&machine);
    up_leaves_the_cluster_of_others_alone(&machine);
    install_operator(&machine);
    machine.milvusctl(&["load-missing-images", "--watch", "--timeout", "5m"]).ends_with(0);
    machine
        .kubectl(&[
            "wait",
            "-n",
            "milvus-operator",
            "--for=condition=Available",
            "deployment",
            "--all",
            "--timeout=180s",
        ])
        .unwrap();

    machine.kubectl_with_input(&["apply", "-f", "-"], MILVUS).unwrap();
    wait_for("the first wave of pods", Duration::from_secs(120), || {
        let pods = machine.kubectl(&["get", "pods", "-o", "name"]).unwrap();
        pods.contains("etcd").then_some(())
    });
    let report = machine
        .milvusctl(&["load-missing-images", "--watch", "--timeout", "12m", "-o", "json"])
        .ends_with(0)
        .json();
    assert_eq!(report["failed"], json!(0));
    wait_for("a healthy Milvus", Duration::from_secs(180), || {
        let status =
            machine.kubectl(&["get", "milvus", "my-release", "-o", "jsonpath={.status.status}"]).unwrap();
        (status == "Healthy").then_some(())
    });
    let status = machine.milvusctl(&["status", "-o", "json"]).ends_with(0).json();
    assert_eq!(status["missing_images"], json!([]));
}

fn create_cluster(machine: &Machine) {
    let mut args = vec!["create", "cluster", "--name", machine.name(), "--config", "-", "--wait", "180s"];
    let image = std::env::var("MILVUSCTL_NODE_IMAGE").unwrap_or_default();
    if !image.is_empty() {
        args.extend(["--image", &image]);
    }
    machine.tool_with_input("kind", &args, CLUSTER).unwrap();
}

fn install_operator(machine: &Machine) {
    let repository = std::env::var("MILVUSCTL_OPERATOR_REPO")
        .unwrap_or_else(|_| "https://zilliztech.github.io/milvus-operator/".to_owned());
    let context = format!("kind-{}", machine.name());
    let chart =
        ["install", "milvus-operator", "milvus-operator", "--repo", &repository, "--version", OPERATOR];
    let place = ["--namespace", "milvus-operator", "--create-namespace", "--kube-context", &context];
    machine.tool("helm", &[&chart[..], &place[..]].concat()).unwrap();
    // `kubectl wait` fails at once on a definition without conditions.
    wait_for("the resource definition", Duration::from_secs(60), || {
        let wait = ["wait", "--for=condition=Established", "crd/milvuses.milvus.io", "--timeout=10s"];
        machine.kubectl(&wait).ok()
    });
    wait_for("the operator's pod", Duration::from_secs(60), || {
        let pods = machine.kubectl(&["get", "pods", "-n", "milvus-operator", "-o", "name"]).unwrap();
        (!pods.is_empty()).then_some(())
    });
}

/// The cluster maps no ports, so `up` cannot turn it into the requested one.
fn up_leaves_the_cluster_of_others_alone(machine: &Machine) {
    let identity = |machine: &Machine| {
        let nodes = machine.nodes();
        let names: Vec<&str> = nodes.iter().map(String::as_str).collect();
        machine
            .tool("docker", &[&["inspect", "--format", "{{.Id}} {{.State.StartedAt}}"], &names[..]].concat())
            .unwrap()
    };
    let before = identity(machine);
    machine.milvusctl(&["up", "--workers", "1"]).complains_of(&["31000"]);
    assert_eq!(identity(machine), before);
}
