//! Two runs on one cluster: whatever a name or a file on disk suggests, nobody deletes somebody else's
//! cluster.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Fixture, Outcome};

/// Far longer than anything the tests wait for.
const LONG: Duration = Duration::from_secs(30);
/// In the words of kind 0.27.
const EXISTS: &str = "ERROR: failed to create cluster: node(s) already exist for a cluster with the name \
                      \"milvus-cluster\"\n";

/// A machine with an engine, the tools, and two free ports.
struct Bench {
    machine: Fixture,
    ports: [u16; 2],
}

impl Bench {
    fn new() -> Self {
        let recorded = |name: &str| fs::read_to_string(Path::new("tests/fixtures").join(name)).unwrap();
        let machine = Fixture::new();
        machine.on("docker info").says(&recorded("docker-info-20.10.24.json"));
        machine.on("docker version --format {{json .}}").says(&recorded("docker-version-20.10.24.json"));
        machine.on("docker version").says("20.10.24 1.41 1.41\n");
        machine.on("docker image inspect").fails(1, "Error: No such image\n");
        machine.on("docker pull").fails(1, "no route to host\n");
        machine.on("kind version").says("kind v0.33.0 go1.24.4 linux/amd64\n");
        machine.on("helm version").says("v3.19.0+g3d8990f\n");
        machine.on("kubectl version").says(r#"{"clientVersion": {"gitVersion": "v1.36.4"}}"#);
        machine.on("kubectl config get-contexts").says("");
        machine.on("kind get clusters").says("milvus-cluster\n");
        machine.on("kind delete cluster").says("");
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [free(), free()].map(|port| port.local_addr().unwrap().port());
        Self { machine, ports }
    }

    /// The cluster's containers, by ID; none at first.
    fn will_have_containers(&self, ids: &str) {
        self.machine.on("docker ps --all --no-trunc --quiet").says("").once();
        self.has_containers(ids);
    }

    /// The cluster's containers, by ID.
    fn has_containers(&self, ids: &str) {
        self.machine.on("docker ps --all --no-trunc --quiet").says(ids);
    }

    /// The engine lists no node, neither while checking the machine nor the cluster.
    fn has_no_node_yet(&self) {
        for _ in 0..2 {
            self.machine.on("docker ps --all --no-trunc --filter").says("").once();
        }
    }

    /// The engine lists a running node that maps the ports.
    fn has_node(&self) {
        let [attu, milvus] = self.ports;
        self.machine.on("docker ps").says(&format!(
            "milvus-cluster-control-plane|control-plane|running|kindest/node:v1.33.1|\
             127.0.0.1:{attu}->31000/tcp, 127.0.0.1:{milvus}->31530/tcp\n"
        ));
    }

    fn up(&self, args: &[&str]) -> Child {
        let [attu, milvus] = self.ports;
        let ports = [format!("{attu}:31000"), format!("{milvus}:31530")];
        let line = ["up", "--small", "--mirror-preset", "none", "--port", &ports[0], "--port", &ports[1]];
        self.machine.command(&line).args(args).spawn().unwrap()
    }

    fn mark(&self) -> PathBuf {
        self.machine.home().join(".local/state/milvusctl/creating-milvus-cluster")
    }

    fn has_mark(&self, text: &str) {
        fs::create_dir_all(self.mark().parent().unwrap()).unwrap();
        fs::write(self.mark(), text).unwrap();
    }

    fn calls_of(&self, prefix: &str) -> usize {
        self.machine.calls().iter().filter(|call| call.starts_with(prefix)).count()
    }

    #[track_caller]
    fn assert_nothing_deleted(&self) {
        let calls = self.machine.calls();
        assert!(!calls.iter().any(|call| call.contains("delete")), "{calls:?}");
    }
}

#[track_caller]
fn wait_for(is_so: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Marks left by an earlier version, and by a run that saw other containers.
const STALE: [&str; 2] = ["", r#"{"run": 7, "containers": ["gone"]}"#];

#[test]
fn a_stale_mark_does_not_claim_a_cluster_created_by_hand() {
    for mark in STALE {
        let bench = Bench::new();
        bench.has_mark(mark);
        bench.has_containers("theirs\n");
        bench.has_node();
        bench.machine.on("kind export kubeconfig").fails(1, "ERROR: no\n");
        let outcome = Outcome::of_child(bench.up(&["--no-keep-on-failure"])).ends_with(1);
        outcome.complains_of(&["could not write the kubeconfig"]);
        bench.assert_nothing_deleted();
    }
}

#[test]
fn a_second_run_reports_the_first_and_changes_nothing() {
    let bench = Bench::new();
    bench.machine.on("docker ps").says("");
    bench.machine.on("kind create cluster").takes(LONG);
    let first = bench.up(&[]);
    bench.machine.wait_for_call("kind create cluster");
    let holder = format!("`milvusctl up` (process {}) is working", first.id());
    Outcome::of_child(bench.up(&[])).ends_with(1).complains_of(&[&holder, "hint: wait until"]);
    let down = bench.machine.milvusctl(&["down", "--yes"]).ends_with(1);
    down.complains_of(&[&holder]);
    kill_process(Pid::from_child(&first), Signal::INT).unwrap();
    Outcome::of_child(first).ends_with(130);
    assert_eq!(bench.calls_of("kind create cluster"), 1);
    bench.assert_nothing_deleted();
}

#[test]
fn a_cluster_somebody_just_created_is_kept_even_after_a_failure() {
    let bench = Bench::new();
    bench.will_have_containers("theirs\n");
    bench.has_no_node_yet();
    bench.has_node();
    bench.machine.on("kind create cluster").fails(1, EXISTS).takes(Duration::from_secs(1));
    let outcome = Outcome::of_child(bench.up(&["--no-keep-on-failure"])).ends_with(1);
    outcome.complains_of(&["already exist", "left unchanged"]);
    bench.assert_nothing_deleted();
    assert!(!bench.mark().exists());
}

#[test]
fn a_half_created_cluster_is_recreated() {
    let bench = Bench::new();
    bench.will_have_containers("ours\n");
    bench.has_no_node_yet();
    bench.has_node();
    bench.machine.on("kind create cluster").takes(LONG);
    let first = bench.up(&[]);
    bench.machine.wait_for_call("kind create cluster");
    wait_for(|| fs::read_to_string(bench.mark()).is_ok_and(|mark| mark.contains("ours")));
    kill_process(Pid::from_child(&first), Signal::INT).unwrap();
    Outcome::of_child(first).ends_with(130).complains_of(&["recreates it"]);
    let second = bench.up(&[]);
    wait_for(|| bench.calls_of("kind create cluster") == 2);
    kill_process(Pid::from_child(&second), Signal::INT).unwrap();
    Outcome::of_child(second).ends_with(130).complains_of(&["recreating it"]);
    assert_eq!(bench.calls_of("kind delete cluster"), 1);
}

#[test]
fn late_nodes_do_not_make_a_half_created_cluster() {
    let bench = Bench::new();
    bench.will_have_containers("ours\n");
    bench.has_no_node_yet();
    bench.has_node();
    bench.machine.on("kind create cluster").says("");
    bench.machine.on("kubectl").fails(1, "The connection to the server 127.0.0.1:1 was refused\n");
    let child = bench.up(&[]);
    bench.machine.wait_for_call("kubectl --context kind-milvus-cluster get --raw /readyz");
    assert!(!bench.mark().exists());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    Outcome::of_child(child).ends_with(130);
    bench.assert_nothing_deleted();
}

#[test]
fn down_removes_the_mark() {
    let bench = Bench::new();
    bench.has_mark(STALE[1]);
    bench.has_node();
    bench.machine.milvusctl(&["down", "--yes"]).ends_with(0);
    assert!(!bench.mark().exists());
}
