//! Provokes each message in the READMEs' troubleshooting list, with the tool output that the list quotes.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use crate::fixture::{Fixture, Outcome};
use crate::readme::{READMES, blocks, document};

/// Generates a test for each symptom, and the list of all. A symptom is named by the start of its message.
macro_rules! symptoms {
    ($($test:ident: $begin:literal => $provoke:expr;)+) => {
        const PROVOKED: &[&str] = &[$($begin),+];

        $(
            #[test]
            fn $test() {
                let outcome: Outcome = $provoke;
                assert_says(&outcome, $begin);
            }
        )+
    };
}

symptoms! {
    a_stopped_engine: "error: the Docker engine is not running" => without_engine(
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n",
    );
    an_engine_without_access: "error: this user has no access to the Docker engine" => without_engine(
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: \
         Get \"http://%2Fvar%2Frun%2Fdocker.sock/v1.41/info\": dial unix /var/run/docker.sock: connect: \
         permission denied\n",
    );
    a_missing_tool: "error: `kind` was not found in PATH" => {
        let machine = Fixture::with_tools(&["docker", "kubectl", "helm"]);
        has_engine(&machine);
        has_tools(&machine, "v0.33.0");
        up(&machine, &["--no-install-tools"]).ends_with(3)
    };
    an_old_kind: "error: kind 0.27.0 is too old" => {
        let machine = Fixture::new();
        has_engine(&machine);
        has_tools(&machine, "v0.27.0");
        up(&machine, &["--no-install-tools", "--node-image", "kindest/node:v1.36.1"]).ends_with(3)
    };
    a_taken_port: "error: port 127.0.0.1:… is taken" => {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let machine = Fixture::new();
        has_engine(&machine);
        has_tools(&machine, "v0.33.0");
        let port = format!("{}:31000", listener.local_addr().unwrap().port());
        machine.milvusctl(&["up", "--port", &port]).ends_with(2)
    };
    a_cluster_without_a_port: "error: kind cluster `milvus-cluster` already exists" => {
        let machine = Fixture::new();
        has_cluster(&machine);
        has_engine(&machine);
        has_tools(&machine, "v0.33.0");
        // This very cluster holds port 31000, so it may be taken.
        machine.milvusctl(&["up", "--port", "31000:31000", "--port", &free_port(31530)]).ends_with(2)
    };
    an_unmapped_node_port: "error: could not expose `attu`: node port 32000 is not mapped" => {
        let machine = Fixture::new();
        has_cluster(&machine);
        machine.on(&format!("{KUBECTL} get services")).says(&json!({"items": [{
            "metadata": {"name": "my-release-attu", "namespace": "default"},
            "spec": {
                "type": "ClusterIP", "selector": {"app": "attu"},
                "ports": [{"name": "attu", "port": 3000, "targetPort": 3000}],
            },
        }]}).to_string());
        machine.milvusctl(&["expose", "attu", "--nodeport", "32000"]).ends_with(2)
    };
    a_missing_cluster: "error: there is no kind cluster `milvus`" => {
        let machine = Fixture::new();
        machine.has_clusters(&["milvus-cluster"]);
        machine.milvusctl(&["expose", "--name", "milvus", "--nodeport", "31000"]).ends_with(1)
    };
    a_missing_context: "error: could not reach the cluster of context" => {
        let machine = Fixture::new();
        // In the words of kubectl 1.32.
        machine.on(&format!("{KUBECTL} get")).fails(1, "error: context \"kind-milvus-cluster\" does not exist\n");
        machine.milvusctl(&["load-missing-images"]).ends_with(1)
    };
    a_misspelt_key: "error: milvusctl.yaml: cluster.worker: unknown key" => {
        let machine = Fixture::new();
        machine.file("milvusctl.yaml", "cluster:\n  worker: 1\n");
        machine.milvusctl(&["up"]).ends_with(2)
    };
    a_registry_out_of_reach: "hint: docker.io/milvusdb/milvus:v2.6.11: `docker.io` cannot be reached" => pulling(
        "milvusdb/milvus:v2.6.11",
        "Get \"https://registry-1.docker.io/v2/\": net/http: request canceled while waiting for connection \
         (Client.Timeout exceeded while awaiting headers)",
    );
    a_registry_that_limits_the_rate: "hint: docker.io/milvusdb/milvus:v2.6.11: log in" => pulling(
        "milvusdb/milvus:v2.6.11",
        "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating \
         and upgrading: https://www.docker.com/increase-rate-limit",
    );
    a_nonexistent_image: "docker.io/zilliz/attu:v9.9  pull failed" => pulling(
        "zilliz/attu:v9.9",
        "manifest for zilliz/attu:v9.9 not found: manifest unknown: manifest unknown",
    );
    a_moved_image: "hint: docker.io/bitnami/kafka:3.1.0-debian-10-r52: its publisher moved it" => pulling(
        "bitnami/kafka:3.1.0-debian-10-r52",
        "manifest for bitnami/kafka:3.1.0-debian-10-r52 not found: manifest unknown: manifest unknown",
    );
    a_denied_image: "docker.io/acme/private:1  pull failed" => pulling(
        "acme/private:1",
        "pull access denied for acme/private, repository does not exist or may require 'docker login': denied: \
         requested access to the resource is denied",
    );
    an_invalid_image_name: "`milvusdb/Milvus:v2.4.17` is not an image reference" => {
        loading(&[waiting("invalid", "milvusdb/Milvus:v2.4.17", "IfNotPresent", "InvalidImageName")])
    };
    an_always_pulled_image: "the pods' pull policy is `Always`" => {
        loading(&[waiting("always", "busybox", "Always", "ImagePullBackOff")])
    };
    a_pinned_image: "the image is pinned by digest" => {
        let image = format!("zilliz/attu@sha256:{}", "0".repeat(64));
        loading(&[waiting("pinned", &image, "IfNotPresent", "ImagePullBackOff")])
    };
    a_chart_repository_out_of_reach: "error: could not install milvus-operator" => {
        let machine = existing_cluster();
        machine.on("helm upgrade").fails(
            1,
            "Error: looks like \"https://zilliztech.github.io/milvus-operator/\" is not a valid chart repository \
             or cannot be reached: Get \"https://zilliztech.github.io/milvus-operator/index.yaml\": dial tcp \
             185.199.108.153:443: i/o timeout\n",
        );
        machine.milvusctl(&["up", "--context", "prod", "--operator-version", "1.3.8"]).ends_with(1)
    };
    a_late_milvus: "error: Milvus is not healthy after 1s" => {
        let machine = existing_cluster();
        machine.on("helm upgrade").says("");
        machine.milvusctl_with(&[("MILVUSCTL_CONTEXT", "prod")], &["up", "--timeout", "1s"]).ends_with(5)
    };
    late_pods: "error: pods are still not running after 1s" => {
        let machine = cluster_with(Fixture::new(), &[json!({
            "metadata": {"name": "late", "namespace": "default"},
            "spec": {"containers": [{"name": "c", "image": "a/b:1"}]},
            "status": {"phase": "Pending"},
        })]);
        machine.milvusctl(&["load-missing-images", "--watch", "--timeout", "1s"]).ends_with(5)
    };
    a_processor_without_required_instructions: "hint: Milvus needs a processor" => status_of(&json!({
        "metadata": {"name": "my-release-milvus-standalone-0", "namespace": "default"},
        "spec": {"nodeName": "w", "containers": [{"name": "standalone", "image": "milvusdb/milvus:v2.6.11"}]},
        "status": {"phase": "Running", "containerStatuses": [{
            "name": "standalone", "image": "milvusdb/milvus:v2.6.11", "restartCount": 4, "ready": false,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 1m20s"}},
            "lastState": {"terminated": {"exitCode": 132, "reason": "Error"}},
        }]},
    }));
    a_pod_too_large_for_any_node: "hint: no node has enough memory left" => status_of(&json!({
        "metadata": {"name": "my-release-etcd-0", "namespace": "default"},
        "spec": {"containers": [{"name": "etcd", "image": "milvusdb/etcd:3.5.25-r1"}]},
        "status": {"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/4 nodes are available: 1 node(s) had untolerated taint, 3 Insufficient memory.",
        }]},
    }));
    an_unreachable_milvus: "error: the smoke test of `http://127.0.0.1:…` failed" => {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        Fixture::with_tools(&[]).milvusctl(&["smoke", "--uri", &uri, "--timeout", "20s"]).ends_with(1)
    };
}

const KUBECTL: &str = "kubectl --context kind-milvus-cluster";

pub(crate) fn recorded(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

pub(crate) fn has_engine(machine: &Fixture) {
    machine.on("docker info").says(&recorded("docker-info-20.10.24.json"));
    machine.on("docker version --format {{json .}}").says(&recorded("docker-version-20.10.24.json"));
    machine.on("docker version").says("20.10.24 1.41 1.41\n");
    machine.on("docker ps").says("");
}

pub(crate) fn has_tools(machine: &Fixture, kind: &str) {
    machine.on("kind version").says(&format!("kind {kind} go1.24.4 linux/amd64\n"));
    machine.on("helm version").says("v3.19.0+g3d8990f\n");
    machine.on("kubectl version").says(r#"{"clientVersion": {"gitVersion": "v1.36.4"}}"#);
}

/// A machine with the tools, without a cluster and without images.
pub(crate) fn without_cluster() -> Fixture {
    let machine = Fixture::new();
    has_engine(&machine);
    has_tools(&machine, "v0.33.0");
    machine.has_clusters(&[]);
    machine.on("kubectl config get-contexts").says("");
    machine.on("docker image inspect").fails(1, "Error: No such image\n");
    machine
}

/// A running cluster with the default name that only maps port 31000.
fn has_cluster(machine: &Fixture) {
    machine.on("docker ps").says(
        "milvus-cluster-control-plane|control-plane|running|kindest/node:v1.33.1|127.0.0.1:31000->31000/tcp\n",
    );
}

/// The output of `up` when the engine answers `message`.
fn without_engine(message: &str) -> Outcome {
    let machine = Fixture::new();
    machine.on("docker info").fails(1, message);
    has_tools(&machine, "v0.33.0");
    up(&machine, &[]).ends_with(3)
}

/// A mapping of a host port that nobody uses.
fn free_port(node: u16) -> String {
    format!("{}:{node}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port())
}

/// Runs `up` with free ports, whatever else runs on this machine.
pub(crate) fn up(machine: &Fixture, args: &[&str]) -> Outcome {
    let ports = [free_port(31000), free_port(31530)];
    let line = ["up", "--port", &ports[0], "--port", &ports[1]];
    machine.milvusctl(&line.iter().chain(args).copied().collect::<Vec<_>>())
}

/// A pod waiting for an image.
pub(crate) fn waiting(name: &str, image: &str, policy: &str, reason: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeName": "w",
            "containers": [{"name": "c", "image": image, "imagePullPolicy": policy}],
        },
        "status": {"phase": "Pending", "containerStatuses": [
            {"name": "c", "image": image, "state": {"waiting": {"reason": reason, "message": ""}}},
        ]},
    })
}

/// A cluster with these pods, and one node without images.
pub(crate) fn cluster_with(machine: Fixture, pods: &[Value]) -> Fixture {
    has_engine(&machine);
    let node = json!({
        "metadata": {"name": "w"},
        "spec": {},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"},
        },
    });
    machine.on(&format!("{KUBECTL} get pods")).says(&json!({"items": pods}).to_string());
    machine.on(&format!("{KUBECTL} get nodes")).says(&json!({"items": [node]}).to_string());
    machine
        .on(&format!("{KUBECTL} get milvuses.v1beta1.milvus.io --all-namespaces"))
        .says(r#"{"items": []}"#);
    machine
        .on(&format!("{KUBECTL} get milvuses.v1beta1.milvus.io"))
        .fails(1, "Error from server (NotFound): none\n");
    machine.on(&format!("{KUBECTL} get")).says(r#"{"items": []}"#);
    machine.on(&format!("{KUBECTL} logs")).says("");
    machine
        .on("docker exec w ctr --namespace k8s.io images check")
        .says("REF TYPE DIGEST STATUS SIZE UNPACKED\n");
    machine.answers_at_once("w");
    machine.on("docker exec w ctr --namespace k8s.io content ls").says("DIGEST SIZE AGE LABELS\n");
    machine.on("docker exec w containerd config dump").says("");
    machine.on("docker image inspect").says("[]\n").fails(1, "Error: No such image\n");
    machine
}

/// The output of `load-missing-images` for pods whose images it cannot load.
fn loading(pods: &[Value]) -> Outcome {
    cluster_with(Fixture::new(), pods).milvusctl(&["load-missing-images"]).ends_with(4)
}

/// The output of `load-missing-images` when Docker answers a pull with `message`.
fn pulling(image: &str, message: &str) -> Outcome {
    let machine =
        cluster_with(Fixture::new(), &[waiting("proxy-0", image, "IfNotPresent", "ImagePullBackOff")]);
    machine.on("docker pull").fails(1, &format!("Error response from daemon: {message}\n"));
    machine.milvusctl(&["load-missing-images"]).ends_with(4)
}

fn status_of(pod: &Value) -> Outcome {
    cluster_with(Fixture::new(), std::slice::from_ref(pod)).milvusctl(&["status"]).ends_with(0)
}

/// The cluster of the context `prod`, with nothing in it yet.
pub(crate) fn existing_cluster() -> Fixture {
    let machine = Fixture::new();
    add_existing_cluster(&machine);
    machine
}

pub(crate) fn add_existing_cluster(machine: &Fixture) {
    has_engine(machine);
    has_tools(machine, "v0.33.0");
    machine.on("kubectl config get-contexts").says("prod\n");
    machine.on("kubectl --context prod get --raw /readyz").says("ok");
    machine.on("kubectl --context prod get --raw /version").says(r#"{"gitVersion":"v1.30.2"}"#);
    for list in ["pods", "nodes", "deployments,statefulsets", "services", "events"] {
        machine.on(&format!("kubectl --context prod get {list}")).says(r#"{"items": []}"#);
    }
    for list in ["deployments --all-namespaces", "secrets"] {
        machine.on(&format!("kubectl --context prod get {list}")).says("");
    }
    machine.on("kubectl --context prod get").fails(1, "Error from server (NotFound): none\n");
    machine.on("kubectl --context prod apply").says("");
    machine.on("helm list").says("[]\n");
}

/// The messages in a document's troubleshooting list.
fn listed(text: &str) -> Vec<&str> {
    blocks(text, "text")
}

/// Tells whether `line` contains the parts of `pattern` between its `…`, in order.
fn fits(line: &str, pattern: &str) -> bool {
    let mut rest = line;
    pattern.split('…').all(|part| {
        let found = rest.split_once(part);
        rest = found.map_or("", |(_, behind)| behind);
        found.is_some()
    })
}

/// Asserts that all lines of the listed message starting with `begin` were printed.
#[track_caller]
fn assert_says(outcome: &Outcome, begin: &str) {
    let readme = document(READMES[0]);
    let messages: Vec<&str> = listed(&readme).into_iter().filter(|text| text.starts_with(begin)).collect();
    let [message] = messages.as_slice() else { panic!("the list has `{begin}` {} times", messages.len()) };
    let said = format!("{}{}", outcome.out, outcome.err);
    for wanted in message.lines() {
        assert!(said.lines().any(|line| fits(line, wanted)), "`{wanted}` is not in:\n{said}");
    }
}

#[test]
fn the_list_has_exactly_the_messages_provoked_here() {
    let readme = document(READMES[0]);
    let (_, section) = readme.split_once("\n## Troubleshooting\n").unwrap();
    let section = section.split("\n## ").next().unwrap_or_default();
    let symptoms = section.matches("\n### ").count();
    let messages = listed(section);
    assert_eq!(messages, listed(&readme), "a message stands outside the list");
    let begins = |message: &&str| PROVOKED.iter().filter(|begin| message.starts_with(**begin)).count();
    let counts: Vec<usize> = messages.iter().map(begins).collect();
    assert_eq!(counts, vec![1; PROVOKED.len()], "of {messages:?}");
    assert_eq!(symptoms, PROVOKED.len());
}

#[test]
fn both_languages_list_the_same_messages() {
    let [one, other] = READMES.map(document);
    assert_eq!(listed(&one), listed(&other));
}

#[test]
fn a_pattern_matches_its_parts_in_order() {
    assert!(fits("error: port 8 is taken by `x`: why", "error: port … is taken by `…`: why"));
    assert!(!fits("is taken by error: port", "error: port … is taken"));
}
