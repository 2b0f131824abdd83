//! What others created stays unchanged, even in a kind cluster with the name that `up` uses.

use serde_json::{Value, json};

use crate::fixture::{Fixture, Outcome};
use crate::up::{CONFIG, add_cluster, machine};

const GET: &str = "kubectl --context kind-milvus-cluster get";
const NODE: &str = "milvus-cluster-control-plane";
/// A release whose version and values differ from the wanted ones.
const RELEASE: &str = r#"[{"name":"milvus-operator","namespace":"milvus-operator","revision":"1","status":"deployed","chart":"milvus-operator-1.1.4"}]"#;

/// The calls that change something.
fn changes(machine: &Fixture) -> Vec<String> {
    let words = [" apply ", "helm upgrade", "helm uninstall", " delete ", "hosts.toml\"; read"];
    machine.calls().into_iter().filter(|call| words.iter().any(|word| call.contains(word))).collect()
}

fn has_no_milvus(machine: &Fixture) {
    machine
        .on(&format!("{GET} milvuses.v1beta1.milvus.io my-release"))
        .fails(1, "Error from server (NotFound): none\n");
}

/// The script of a run in the kind cluster, after `add` added something to it.
fn script(add: impl FnOnce(&Fixture)) -> String {
    let machine = machine(CONFIG);
    add(&machine);
    has_no_milvus(&machine);
    add_cluster(&machine, "running", &[]);
    machine.milvusctl(&["up", "--dry-run", "--no-attu"]).ends_with(0).out
}

#[test]
fn an_operator_installed_by_hand_is_not_upgraded() {
    let script = script(|machine| {
        machine.on("helm list").says(RELEASE);
        machine.on("helm status").says(r#"{"info":{"description":"Install complete"}}"#);
    });
    assert!(!script.contains("helm ") && script.contains("kind: Milvus"), "{script}");
}

#[test]
fn an_operator_applied_from_manifests_is_not_overwritten() {
    let script = script(|machine| {
        machine.on("helm list").says("[]");
        machine
            .on(&format!("{GET} deployments --all-namespaces"))
            .says("milvus-operator milvus-operator <none> <none> milvusdb/milvus-operator:v1.3.8\n");
    });
    assert!(!script.contains("helm ") && script.contains("kind: Milvus"), "{script}");
}

#[test]
fn an_operator_without_its_release_is_reinstalled() {
    let script = script(|machine| {
        machine.on("helm list").says("[]");
        machine.on(&format!("{GET} deployments --all-namespaces")).says(
            "milvus-operator milvus-operator milvus-operator milvus-operator milvusdb/milvus-operator:v1.3.8\n",
        );
    });
    assert!(script.contains("helm upgrade"), "{script}");
}

/// A run with keys for an object storage, where the Secret by the name in use has the label `manager`.
fn with_secret(manager: &str) -> (Fixture, Outcome) {
    let machine = machine(
        "mirror: {preset: none}\ncluster: {ports: ['29531:31530', '29100:31000']}\nmilvus: {mode: standalone, storage: \
         {endpoint: 's3.example.com:443', bucket: b, rootPath: p, accessKeyEnv: S3_ACCESS, secretKeyEnv: S3_SECRET}}\n",
    );
    machine.on("helm list").says("[]");
    machine
        .on(&format!("{GET} secrets --namespace default --field-selector metadata.name=my-release-storage"))
        .says(manager);
    has_no_milvus(&machine);
    add_cluster(&machine, "running", &[]);
    let keys = [("S3_ACCESS", "an-id"), ("S3_SECRET", "a-key")];
    let outcome = machine.milvusctl_with(&keys, &["up", "--dry-run", "--no-attu"]);
    (machine, outcome)
}

#[test]
fn a_foreign_secret_with_the_name_in_use_is_refused() {
    let (machine, outcome) = with_secret("<none>\n");
    outcome.ends_with(2).complains_of(&[
        "Secret `default/my-release-storage` was not created by milvusctl; nothing was changed",
        "hint: to use it as is, set `milvus.storage.secretRef: my-release-storage`",
    ]);
    assert_eq!(changes(&machine), [""; 0]);
}

#[test]
fn our_own_secret_is_overwritten() {
    let (_, outcome) = with_secret("milvusctl\n");
    assert!(outcome.ends_with(0).out.contains("the storage's Secret"));
}

#[test]
fn foreign_mirrors_on_a_node_are_refused() {
    let machine = machine(CONFIG);
    machine.on("helm list").says("[]");
    // The file for the second of two registries.
    machine.on(&format!("docker exec {NODE} sh -c")).says("--\nserver = \"https://theirs\"\n--\n");
    add_cluster(&machine, "running", &[]);
    machine.milvusctl(&["up", "--no-attu"]).ends_with(2).complains_of(&[
        "`/etc/containerd/certs.d/quay.io/hosts.toml` in node `milvus-cluster-control-plane` was not written by milvusctl",
        "nothing was changed",
        "docker exec milvus-cluster-control-plane rm /etc/containerd/certs.d/quay.io/hosts.toml",
    ]);
    assert_eq!(changes(&machine), [""; 0]);
}

#[test]
fn a_stopped_cluster_is_inspected_before_anything_is_written() {
    let machine = machine(CONFIG);
    let ports = "127.0.0.1:29531->31530/tcp, 127.0.0.1:29100->31000/tcp";
    machine.on("docker start").says("").runs("touch $FAKE_TOOL_DIR/started");
    machine.on("docker ps").says("").runs(&format!(
        "[ -e $FAKE_TOOL_DIR/started ] && state=running || state=exited\n\
         echo \"{NODE}|control-plane|$state|kindest/node:v1.32.2|{ports}\""
    ));
    machine.on("kind export kubeconfig").says("");
    machine.on("helm list").says(RELEASE);
    machine.on("helm status").says(r#"{"info":{"description":"installed by milvusctl"}}"#);
    let milvus = json!({
        "metadata": {"name": "my-release", "namespace": "default", "labels": {"app.kubernetes.io/managed-by": "milvusctl"}},
        "spec": {"mode": "cluster"},
    });
    let node = json!({
        "metadata": {"name": NODE},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"}},
    });
    let nodes: Value = json!({"items": [node]});
    add_cluster(&machine, "exited", &[("milvuses.v1beta1.milvus.io my-release", milvus), ("nodes", nodes)]);
    machine.milvusctl(&["up", "--no-attu"]).ends_with(2).complains_of(&["mode `cluster`", "--force"]);
    assert!(machine.calls().iter().any(|call| call.starts_with("docker start")));
    assert_eq!(changes(&machine), [""; 0]);
}
