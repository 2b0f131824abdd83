//! The user's own kind configuration: every command respects it, and its mistakes are reported first.

use crate::fixture::Fixture;

/// Ports that no other program is likely to use; Milvus's is not mapped.
const KIND: &str = "kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: mine
nodes:
- role: control-plane
  image: kindest/node:v1.32.2
  extraPortMappings:
  - {containerPort: 31000, hostPort: 29100, listenAddress: 127.0.0.1}
- role: worker
kubeadmConfigPatches:
- |
  kind: InitConfiguration
  imageRepository: x
";

const LINT: &str = "warning: kubeadm ignores `imageRepository` in `InitConfiguration`";

fn machine(kind: &str) -> Fixture {
    let machine = Fixture::new();
    machine.file("kind.yaml", kind);
    machine.file(
        "milvusctl.yaml",
        "cluster: {kindConfig: kind.yaml}\nmirror: {preset: none, rules: [{registry: docker.io, prefix: 'http://172.17.0.1:5000'}]}\nmilvus: {mode: standalone}\n",
    );
    machine.has_engine_and_tools();
    machine
}

/// The cluster in the file, which maps `ports`.
fn with_cluster(ports: &str) -> Fixture {
    let machine = machine(KIND);
    machine
        .on("docker ps")
        .says(&format!("mine-control-plane|control-plane|running|kindest/node:v1.32.2|{ports}\n"));
    machine.on("kubectl config get-contexts").says("kind-mine\n");
    machine
}

#[test]
fn up_creates_the_cluster_in_the_file_and_exposes_what_it_maps() {
    let machine = machine(KIND);
    machine.on("docker ps").says("");
    machine.on("kubectl config get-contexts").says("");
    machine.on("docker image inspect").says("[]");
    let outcome = machine.milvusctl(&["up", "--dry-run"]).ends_with(0).complains_of(&[
        LINT,
        "warning: no host port maps to Milvus's node port 31530, so it is not exposed; add `{containerPort: 31530, hostPort: 19530, listenAddress: 127.0.0.1}`",
    ]);
    for part in [
        "kind create cluster --name mine",
        "mine-control-plane",
        "mine-worker",
        "expose attu --nodeport 31000 --name mine",
    ] {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    for part in ["mine-worker2", "expose milvus", "milvus-cluster"] {
        assert!(!outcome.out.contains(part), "{part}: {}", outcome.out);
    }
}

#[test]
fn render_and_doctor_also_report_problems_in_the_file() {
    let machine = machine(KIND);
    assert_eq!(machine.milvusctl(&["render", "cluster"]).ends_with(0).complains_of(&[LINT]).out, KIND);
    let doctor = machine.milvusctl(&["doctor"]);
    assert!(doctor.err.contains(LINT), "{}", doctor.err);
}

#[test]
fn an_existing_cluster_that_lacks_a_port_of_the_file_is_refused() {
    let machine = with_cluster("127.0.0.1:29531->31530/tcp");
    machine.milvusctl(&["up"]).ends_with(2).complains_of(&[
        "kind cluster `mine` already exists and does not map 29100:31000 (it maps 29531:31530); nothing was changed",
        "set its ports in your own kind configuration",
    ]);
}

#[test]
fn an_existing_cluster_with_other_host_ports_names_the_flags_that_fit_it() {
    let machine = with_cluster("127.0.0.1:8000->31000/tcp, 127.0.0.1:9000->31530/tcp");
    std::fs::remove_file(machine.path("milvusctl.yaml")).unwrap();
    // The default ports may be in use on this machine.
    let line = ["up", "--name", "mine", "--port", "29100:31000", "--port", "29101:31530"];
    machine.milvusctl(&line).ends_with(2).complains_of(&[
        "does not map 29100:31000, 29101:31530 (it maps 8000:31000, 9000:31530)",
        "keep its ports with `--port 8000:31000 --port 9000:31530`",
    ]);
}

#[test]
fn what_an_existing_cluster_cannot_take_on_is_warned_of() {
    let machine = with_cluster("127.0.0.1:29100->31000/tcp");
    std::fs::remove_file(machine.path("milvusctl.yaml")).unwrap();
    machine.on("docker exec").says("");
    machine.on("kubectl --context kind-mine get --raw /readyz").fails(1, "not ready\n");
    machine.on("docker image inspect").says("[]");
    let ports = ["--port", "29100:31000", "--no-attu"];
    let other = ["--workers", "2", "--node-image", "kindest/node:v1.33.1", "--listen", "0.0.0.0"];
    let up = |more: &[&str]| {
        machine.milvusctl(&[&["up", "--dry-run", "--name", "mine"], &ports[..], more].concat()).err
    };
    assert!(
        up(&other).contains(
            "warning: kind cluster `mine` already exists with 0 workers (not 2), nodes of `v1.32.2` (not `v1.33.1`), \
             ports on 127.0.0.1 (not 0.0.0.0); to change that, delete it first: `milvusctl down --name mine`\n"
        ),
        "{}",
        up(&other)
    );
    // Nobody asked for the default of three workers.
    assert!(!up(&[]).contains("warning: kind cluster"), "{}", up(&[]));
}

#[test]
fn additional_mappings_of_the_existing_cluster_are_exposed() {
    let machine = with_cluster("127.0.0.1:29100->31000/tcp, 127.0.0.1:29531->31530/tcp");
    machine.on("docker exec").says("");
    machine.on("kubectl --context kind-mine get --raw /readyz").says("ok");
    machine.on("helm list").says("[]");
    machine.on("kubectl --context kind-mine get deployments --all-namespaces").says("");
    machine.on("kubectl --context kind-mine get nodes").says(r#"{"items": []}"#);
    machine.on("docker image inspect").says("[]");
    machine.on("kubectl --context kind-mine get").fails(1, "Error from server (NotFound): not found\n");
    let outcome = machine.milvusctl(&["up", "--dry-run"]).ends_with(0);
    assert!(outcome.out.contains("expose milvus --nodeport 31530 --name mine"), "{}", outcome.out);
}

#[test]
fn an_unknown_key_is_refused_before_any_tool_is_called() {
    let machine = machine(&KIND.replace("extraPortMappings", "extraPortMapping"));
    for command in [&["up"][..], &["render", "cluster"], &["doctor"], &["status"]] {
        machine.milvusctl(command).ends_with(2).complains_of(&[
            "kind.yaml: nodes[0].extraPortMapping: unknown key; did you mean `extraPortMappings`? (line 7, column 3)",
        ]);
    }
    assert_eq!(machine.calls(), [""; 0]);
}

#[test]
fn the_settings_in_force_name_the_file_and_the_line() {
    let machine = machine(KIND);
    let printed = machine.milvusctl(&["render", "config"]).ends_with(0).out;
    for line in [
        "  name: mine  # from: kind.yaml:3\n",
        "  workers: 1  # from: kind.yaml:5\n",
        "  ports: [\"29100:31000\"]  # from: kind.yaml:8\n",
    ] {
        assert!(printed.contains(line), "{line}{printed}");
    }
    let named = machine.milvusctl(&["render", "config", "--name", "other"]).ends_with(0).out;
    assert!(named.contains("  name: other  # from: --name\n"), "{named}");
}

#[test]
fn a_named_cluster_is_deleted_without_the_file() {
    let machine = Fixture::new();
    machine.file("milvusctl.yaml", "cluster: {kindConfig: gone.yaml}\n");
    machine.milvusctl(&["down", "--dry-run"]).ends_with(2).complains_of(&["`gone.yaml`"]);
    machine.on("docker ps").says("");
    machine.on("kind get clusters").says("");
    machine.milvusctl(&["down", "--dry-run", "--name", "x"]).ends_with(0);
}

#[test]
fn the_file_can_come_from_standard_input() {
    let machine = machine(KIND);
    let input = machine.file("input.yaml", &KIND.replace("mine", "piped"));
    let output = machine
        .command(&["render", "config", "--kind-config", "-"])
        .stdin(std::fs::File::open(input).unwrap())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("  name: piped  # from: standard input:3\n"), "{printed}");
}

#[test]
fn port_mappings_without_milvus_are_refused_up_front() {
    let machine = machine(KIND);
    machine.file("milvusctl.yaml", "mirror: {preset: none}\n");
    machine.on("docker ps").says("");
    machine.on("kubectl config get-contexts").says("");
    machine.milvusctl(&["up", "--port", "29100:31000"]).ends_with(2).complains_of(&[
        "error: no host port maps to Milvus's node port 31530; nothing was changed",
        "hint: add `--port 19530:31530`: ports cannot be added to an existing cluster",
    ]);
    assert!(!machine.calls().iter().any(|call| call.starts_with("kind create")), "{:?}", machine.calls());
}

#[test]
fn an_unmapped_node_port_is_refused_with_its_source() {
    let machine = machine(KIND);
    machine.file(
        "milvusctl.yaml",
        "cluster: {kindConfig: kind.yaml}\nmirror: {preset: none}\nmilvus: {nodePort: 31530}\n",
    );
    machine.on("docker ps").says("");
    machine.on("kubectl config get-contexts").says("");
    machine
        .milvusctl(&["up"])
        .ends_with(2)
        .complains_of(&["error: no host port maps to Milvus's node port 31530; nothing was changed"]);
}
