//! `up --dry-run`: the whole script, for each state that a machine may be in.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fixture::{Fixture, Outcome};
use crate::snapshot::assert_same;

/// Node ports on host ports that no other program is likely to use, and one mirror of each kind.
pub(crate) const CONFIG: &str = "
cluster: {workers: 2, ports: ['29531:31530', '29100:31000']}
mirror: {preset: none, rules: [{registry: docker.io, prefix: 'http://172.17.0.1:5000'}, {registry: quay.io, prefix: quay.example.com}]}
operator: {version: 1.3.8}
milvus: {mode: standalone}
";

pub(crate) fn machine(config: &str) -> Fixture {
    let machine = Fixture::new();
    machine.file("milvusctl.yaml", config);
    machine.has_engine_and_tools();
    // The engine holds Attu and no other image.
    machine.on("docker image inspect zilliz/attu:v2.5.12").says(
        r#"[{"Id":"sha256:a","Architecture":"amd64","Os":"linux","Size":1,"RootFS":{"Type":"layers","Layers":[]}}]"#,
    );
    machine.on("docker image inspect").says("[]\n").fails(1, "Error: No such image\n");
    machine
}

/// The printed script; nothing of it is run.
#[track_caller]
fn script(machine: &Fixture, args: &[&str]) -> String {
    let line = [&["up", "--dry-run"], args].concat();
    let variables = [("S3_ACCESS", "an-id"), ("S3_SECRET", "a-key"), ("MILVUSCTL_PULL_WITH", "auto")];
    let outcome = machine.milvusctl_with(&variables, &line).ends_with(0);
    let writes = ["kind create", "kind delete", "kind export", "docker start", "helm upgrade"];
    for call in machine.calls() {
        assert!(!writes.iter().any(|write| call.starts_with(write)) && !call.contains(" apply"), "{call}");
    }
    outcome.out.replace("linux/arm64", "linux/amd64")
}

/// A kind cluster with its control plane, in which `get` answers from `objects` by what is asked for, and
/// otherwise with nothing.
fn with_cluster(config: &str, state: &str, objects: &[(&str, Value)]) -> Fixture {
    let machine = machine(config);
    add_cluster(&machine, state, objects);
    machine
}

pub(crate) fn add_cluster(machine: &Fixture, state: &str, objects: &[(&str, Value)]) {
    let ports = "127.0.0.1:29531->31530/tcp, 127.0.0.1:29100->31000/tcp";
    let node = format!("milvus-cluster-control-plane|control-plane|{state}|kindest/node:v1.32.2|{ports}\n");
    machine.on("docker ps").says(&node);
    machine.on("docker inspect").says(
        r#"{"31000/tcp":[{"HostIp":"127.0.0.1","HostPort":"29100"}],"31530/tcp":[{"HostIp":"127.0.0.1","HostPort":"29531"}]}"#,
    );
    // The plan's images that its node holds.
    machine.on("docker exec milvus-cluster-control-plane ctr --namespace k8s.io images check").says(&format!(
        "REF TYPE DIGEST STATUS SIZE UNPACKED\n\
         docker.io/milvusdb/etcd:3.5.25-r1 application/vnd.oci.image.manifest.v1+json sha256:{} complete (2/2) 1.0 KiB/1.0 KiB true\n",
        "0".repeat(64)
    ));
    machine.on("docker exec").says("");
    machine.on("kubectl config get-contexts").says("kind-milvus-cluster\n");
    machine.on("kubectl --context kind-milvus-cluster get --raw /readyz").says("ok");
    for (what, answer) in objects {
        machine.on(&format!("kubectl --context kind-milvus-cluster get {what}")).says(&answer.to_string());
    }
    machine.on("kubectl --context kind-milvus-cluster get").says(r#"{"items":[]}"#);
}

#[test]
fn an_empty_machine_gets_the_whole_script() {
    let machine = machine(CONFIG);
    machine.on("docker ps").says("");
    machine.on("kubectl config get-contexts").says("");
    assert_same("golden/up-new.sh", &script(&machine, &["--smoke"]));
}

#[test]
fn pulls_by_docker_are_shown() {
    let machine = machine(CONFIG);
    machine.on("docker ps").says("");
    machine.on("kubectl config get-contexts").says("");
    let script = script(&machine, &["--pull-with", "docker", "--no-attu"]);
    let pull = "docker pull --platform linux/amd64 172.17.0.1:5000/milvusdb/etcd:3.5.25-r1 \
                && docker tag 172.17.0.1:5000/milvusdb/etcd:3.5.25-r1 milvusdb/etcd:3.5.25-r1 \
                || docker pull --platform linux/amd64 milvusdb/etcd:3.5.25-r1";
    assert!(script.lines().any(|line| line == pull), "{script}");
    assert!(!script.contains("milvusctl images load"), "{script}");
}

#[test]
fn the_script_names_the_nodes_images_for_kubeadm_while_kind_works() {
    let machine =
        machine("cluster: {name: mine, ports: ['29531:31530', '29100:31000']}\nmilvus: {mode: standalone}\n");
    machine
        .on("docker ps --filter label=io.x-k8s.kind.cluster=mine")
        .says("mine-control-plane\nmine-worker\n");
    machine.on("docker ps").says("");
    machine.on("docker exec mine-worker").fails(1, "Error: is not running\n");
    machine.on("docker exec").says("");
    machine.on("kubectl config get-contexts").says("");
    let script = script(&machine, &["--no-attu"]);
    let (create, _) = script.split_once("\nkill $!\n").unwrap();
    machine.on("kind create cluster --name mine --config -").takes(Duration::from_secs(2));
    let line = |node: &str| format!("docker exec {node} sh -c ");
    let run = |ending: &str| {
        let mut shell = machine.shell();
        let mut child = shell.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{create}\n{ending}\n").as_bytes()).unwrap();
        child.wait().unwrap();
        let calls = machine.calls();
        for node in ["mine-control-plane", "mine-worker"] {
            let found = calls.iter().find(|call| call.starts_with(&line(node))).unwrap();
            assert!(found.ends_with(" sh registry.aliyuncs.com/google_containers"), "{found}");
        }
        calls.len()
    };
    run("kill $!");
    // A script that is killed leaves no loop behind either.
    let calls = run("kill -9 $$");
    std::thread::sleep(Duration::from_secs(3));
    let later = machine.calls().len();
    std::thread::sleep(Duration::from_secs(2));
    assert!(later < calls + 6 && machine.calls().len() == later, "{:?}", machine.calls());
}

#[test]
fn a_kind_config_on_standard_input_reaches_kind() {
    let own = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: # two\n- role: control-plane\n";
    let machine = machine(CONFIG);
    machine.on("docker ps").says("");
    machine.on("kubectl config get-contexts").says("");
    let mut command = machine.command(&["up", "--dry-run", "--kind-config", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(own.as_bytes()).unwrap();
    let outcome = Outcome::of_child(child).ends_with(0);
    assert!(outcome.out.contains(own), "{}", outcome.out);
}

#[test]
fn stopped_nodes_are_started_before_the_rest() {
    let machine = with_cluster(CONFIG, "exited", &[]);
    assert_same("golden/up-stopped.sh", &script(&machine, &["--no-attu"]));
}

#[test]
fn a_different_operator_is_upgraded_with_its_resource_definitions() {
    let milvus = json!({
        "metadata": {"name": "my-release", "namespace": "default", "labels": {"app.kubernetes.io/managed-by": "milvusctl"}},
        "spec": {"mode": "standalone"},
        "status": {"status": "Healthy"},
    });
    let node = json!({
        "metadata": {"name": "milvus-cluster-control-plane"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"}},
    });
    let objects = [("milvuses.v1beta1.milvus.io my-release", milvus), ("nodes", json!({"items": [node]}))];
    let machine = with_cluster(CONFIG, "running", &objects);
    machine.on("helm list").says(
        r#"[{"name":"milvus-operator","namespace":"milvus-operator","revision":"1","status":"deployed","chart":"milvus-operator-1.1.4"}]"#,
    );
    machine.on("helm status").says(r#"{"info":{"description":"installed by milvusctl"}}"#);
    assert_same("golden/up-changed.sh", &script(&machine, &[]));
}

#[test]
fn another_mode_is_refused_before_anything_is_written() {
    let milvus = json!({
        "metadata": {"name": "my-release", "namespace": "default", "labels": {"app.kubernetes.io/managed-by": "milvusctl"}},
        "spec": {"mode": "cluster"},
    });
    let machine = with_cluster(CONFIG, "running", &[("milvuses.v1beta1.milvus.io my-release", milvus)]);
    machine.on("helm list").says("[]");
    machine.milvusctl(&["up", "--dry-run"]).ends_with(2).complains_of(&["mode `cluster`", "--force"]);
}

/// The cluster of the context `theirs`, with nothing in it.
fn add_existing_cluster(machine: &Fixture) {
    machine.on("kubectl config get-contexts").says("theirs\n");
    machine.on("kubectl --context theirs get --raw /readyz").says("ok");
    machine.on("kubectl --context theirs get --raw /version").says(r#"{"gitVersion":"v1.30.2"}"#);
    machine.on("helm list").says("[]");
    for list in ["deployments --all-namespaces", "secrets"] {
        machine.on(&format!("kubectl --context theirs get {list}")).says("");
    }
    machine.on("kubectl --context theirs get").fails(1, "Error from server (NotFound): not found\n");
}

#[test]
fn an_existing_cluster_only_gets_operator_and_milvus() {
    let config = "
cluster: {context: theirs}
operator: {version: 1.3.8}
milvus:
  namespace: vectors
  storage: {endpoint: 's3.example.com:443', useSSL: true, bucket: b, rootPath: p, accessKeyEnv: S3_ACCESS, secretKeyEnv: S3_SECRET}
";
    let machine = machine(config);
    add_existing_cluster(&machine);
    assert_same("golden/up-existing.sh", &script(&machine, &[]));
}

#[test]
fn the_claims_of_a_new_milvus_are_reported_before_anything_is_applied() {
    let machine = machine("cluster: {context: theirs}\nmilvus: {mode: cluster, volumes: {storage: 50Gi}}\n");
    add_existing_cluster(&machine);
    machine.milvusctl(&["up", "--dry-run"]).ends_with(0).complains_of(&[
        "Milvus claims 1.16 TiB of volumes: etcd 3 x 10.00 GiB, storage 4 x 50.00 GiB, zookeeper data 3 x 20.00 GiB, \
         bookkeeper journal 3 x 100.00 GiB, bookkeeper ledgers 3 x 200.00 GiB; `milvus.volumes` sets the sizes",
    ]);
}

#[test]
fn a_kubernetes_that_is_too_old_for_pulsar_is_refused_before_anything_is_written() {
    let machine = machine("cluster: {context: theirs}\nmilvus: {mode: cluster}\n");
    // As kubectl prints it for K3s.
    machine.on("kubectl --context theirs get --raw /version").says(r#"{"gitVersion":"v1.20.15+k3s1"}"#);
    add_existing_cluster(&machine);
    machine.milvusctl(&["up"]).ends_with(2).complains_of(&[
        "context `theirs` has Kubernetes 1.20.15",
        "nothing was changed",
        "--message-store",
    ]);
    assert!(!machine.calls().iter().any(|call| call.contains(" apply") || call.starts_with("helm upgrade")));
}

#[test]
fn images_for_a_registry_are_pushed_instead_of_loaded() {
    let config = "
cluster: {context: theirs}
mirror: {preset: none, push: registry.example.com/milvus}
operator: {version: 1.3.8}
milvus: {mode: standalone}
attu: {enabled: false}
";
    let machine = machine(config);
    machine.on("kubectl --context theirs get nodes").says(r#"{"items": []}"#);
    add_existing_cluster(&machine);
    assert_same("golden/up-push.sh", &script(&machine, &["--smoke", "--pull-with", "docker"]));
}

#[test]
fn images_bypassing_the_engine_are_shown_as_copies_between_registries() {
    let config = "
cluster: {context: theirs}
mirror: {preset: none, push: registry.example.com/milvus, rules: [{registry: docker.io, prefix: m.example.com}]}
operator: {version: 1.3.8}
milvus: {mode: standalone}
";
    let machine = machine(config);
    add_existing_cluster(&machine);
    let script = script(&machine, &[]);
    let copy = |from: &str| {
        format!(
            "docker buildx imagetools create --tag registry.example.com/milvus/milvusdb/etcd:3.5.25-r1 {from}"
        )
    };
    let line = [copy("m.example.com/milvusdb/etcd:3.5.25-r1"), copy("milvusdb/etcd:3.5.25-r1")].join(" || ");
    assert!(script.lines().any(|known| known == line), "{script}");
    assert!(!script.contains("docker pull") && !script.contains("docker tag"), "{script}");
}
