//! Loading images into the nodes of a kind cluster, and what may go wrong on the way.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::failures;
use crate::machine::{Machine, Run, registry, say, wait_for};

const CONFIG: &str = "
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: control-plane}, {role: worker}, {role: worker}]
";

pub(crate) const WORKERS: [&str; 2] = ["milvusctl-test-load-worker", "milvusctl-test-load-worker2"];

/// Size in bytes of a layer that is new in an upgrade.
const NEW_LAYER: u64 = 4 << 20;

#[test]
#[ignore = "needs Docker, kind, kubectl and a registry, and takes minutes"]
fn images_get_into_nodes_whatever_happens_on_the_way() {
    let machine = Machine::new("milvusctl-test-load");
    make_cluster(&machine);
    a_second_wave_is_found_while_watching(&machine);
    a_second_run_moves_nothing(&machine);
    an_upgrade_costs_its_new_layer(&machine);
    a_node_that_stops_is_reported_and_loaded_later(&machine);
    an_interrupt_leaves_nothing_running_and_the_next_run_completes(&machine);
    two_runs_at_once_both_succeed(&machine);
    a_registry_that_breaks_off_is_retried(&machine);
    a_download_that_breaks_off_resumes_in_the_store(&machine);
    an_archive_file_is_loaded(&machine);
    failures::a_full_disk_on_a_node_is_reported_and_the_other_node_is_loaded(&machine);
    failures::a_restarting_api_server_does_not_end_a_wait(&machine);
    failures::a_node_removed_during_a_load_is_reported_and_the_other_is_loaded(&machine);
}

fn make_cluster(machine: &Machine) {
    let config = machine.file("kind.yaml", CONFIG);
    let mut args = vec!["create", "cluster", "--name", machine.name(), "--wait", "180s", "--config", &config];
    let image = std::env::var("MILVUSCTL_NODE_IMAGE").unwrap_or_default();
    if !image.is_empty() {
        args.extend(["--image", &image]);
    }
    machine.tool("kind", &args).unwrap();
    // kind only waits for the control plane, and only ready nodes get images before pods need them.
    machine.kubectl(&["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=180s"]).unwrap();
}

/// Builds an image with a layer of `mib` random MiB on top of another one, only in the engine.
pub(crate) fn build(machine: &Machine, name: &str, base: &str, mib: u64) {
    let mark = std::process::id();
    let file =
        format!("FROM {base}\nRUN dd if=/dev/urandom of=/data-{mib} bs=1M count={mib} && echo {mark}\n");
    // The classic builder; not every machine has the other one.
    let args = ["DOCKER_BUILDKIT=0", "docker", "build", "--quiet", "--no-cache", "--tag", name, "-"];
    machine.tool_with_input("env", &args, &file).unwrap();
}

pub(crate) fn load(machine: &Machine, image: &str) -> Value {
    machine.milvusctl(&["images", "load", image, "-o", "json"]).ends_with(0).json()
}

/// The first image's outcome and bytes on each worker.
fn on_workers(report: &Value) -> Vec<(String, u64)> {
    let nodes = report["images"][0]["nodes"].as_array().unwrap();
    WORKERS
        .iter()
        .filter_map(|worker| nodes.iter().find(|node| node["node"] == *worker))
        .map(|node| (node["outcome"].as_str().unwrap().to_owned(), node["bytes_sent"].as_u64().unwrap()))
        .collect()
}

pub(crate) fn pod(name: &str, image: &str, selector: Option<&str>) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "nodeSelector": selector.map(|label| json!({label: "yes"})),
            "containers": [{"name": "a", "image": image, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "3600"]}],
        },
    })
    .to_string()
}

/// The second pod cannot be scheduled until the first one runs, so its image only goes missing then. Beside them is one
/// whose image the kubelet would always pull.
fn a_second_wave_is_found_while_watching(machine: &Machine) {
    let images = [1, 2].map(|wave| format!("{}/milvusctl-test/wave-{wave}:1", registry()));
    for image in &images {
        build(machine, image, "busybox:1.36", 4);
    }
    let hopeless =
        ["run", "hopeless", "--image", "milvusctl-test/hopeless:latest", "--image-pull-policy", "Always"];
    machine.kubectl(&hopeless).unwrap();
    machine.kubectl_with_input(&["apply", "-f", "-"], &pod("one", &images[0], None)).unwrap();
    machine.kubectl_with_input(&["apply", "-f", "-"], &pod("two", &images[1], Some("second-wave"))).unwrap();
    wait_for("a pull that fails", Duration::from_secs(120), || {
        let reason = "jsonpath={.status.containerStatuses[*].state.waiting.reason}";
        let has_failed =
            |name: &str| machine.kubectl(&["get", "pod", name, "-o", reason]).unwrap().contains("ImagePull");
        (has_failed("one") && has_failed("hopeless")).then_some(())
    });
    let begin = Instant::now();
    let watching = machine.start(&["load-missing-images", "--watch", "--timeout", "5m", "-o", "json"]);
    machine.kubectl(&["wait", "--for=condition=Ready", "pod/one", "--timeout=120s"]).unwrap();
    machine.kubectl(&["label", "node", WORKERS[1], "second-wave=yes"]).unwrap();
    let report = Run::of(&watching.wait_with_output().unwrap(), begin.elapsed()).ends_with(4).json();
    assert_eq!((&report["missing"], &report["loaded"], &report["failed"]), (&json!(3), &json!(2), &json!(1)));
    machine.kubectl(&["wait", "--for=condition=Ready", "pod/two", "--timeout=60s"]).unwrap();
    machine.kubectl(&["delete", "pod", "hopeless", "--now"]).unwrap();
}

fn a_second_run_moves_nothing(machine: &Machine) {
    let report = machine.milvusctl(&["load-missing-images", "-o", "json"]).ends_with(0).json();
    assert_eq!((&report["images"], &report["bytes_read"]), (&json!([]), &json!(0)));
    let report = load(machine, &format!("{}/milvusctl-test/wave-1:1", registry()));
    assert_eq!(report["images"][0]["outcome"], "present");
    assert_eq!((&report["images"][0]["nodes"], &report["bytes_read"]), (&json!([]), &json!(0)));
}

/// Whether nodes can connect to us: their gateway is an address of this machine.
fn engine_is_here(machine: &Machine) -> bool {
    let gateways = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}";
    let gateway = machine.tool("docker", &["inspect", "--format", gateways, WORKERS[0]]).unwrap();
    let is_here = TcpListener::bind((gateway.trim(), 0)).is_ok();
    say(if is_here { "nodes read from a connection" } else { "nodes cannot connect to this machine" });
    is_here
}

fn an_upgrade_costs_its_new_layer(machine: &Machine) {
    let upgrade = format!("{}/milvusctl-test/wave-1:2", registry());
    build(machine, &upgrade, &format!("{}/milvusctl-test/wave-1:1", registry()), NEW_LAYER >> 20);
    let run = machine.milvusctl(&["images", "load", &upgrade, "--verbose", "-o", "json"]).ends_with(0);
    if engine_is_here(machine) {
        for worker in WORKERS {
            let of_worker: Vec<&str> = run.err.lines().filter(|line| line.contains(worker)).collect();
            let has = |text: &str| of_worker.iter().any(|line| line.contains(text));
            let (over_network, through_exec) = ("bash -c", "-i {} ctr --namespace k8s.io images import");
            assert!(has(&format!("docker exec -i {worker} {over_network}")), "{}", run.err);
            assert!(!has(&through_exec.replace("{}", worker)) && !has("falls back"), "{}", run.err);
        }
    }
    for (outcome, sent) in on_workers(&run.json()) {
        assert_eq!(outcome, "loaded");
        assert!((NEW_LAYER..NEW_LAYER * 105 / 100).contains(&sent), "{sent} bytes for {NEW_LAYER}");
    }
}

/// Waits until the node's containerd is receiving an image.
pub(crate) fn wait_for_import(machine: &Machine, node: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while !machine.tool("docker", &["top", node, "-eo", "pid,args"]).unwrap().contains("images import") {
        assert!(Instant::now() < end, "no import was begun in {node}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn a_node_that_stops_is_reported_and_loaded_later(machine: &Machine) {
    let image = "test.invalid/milvusctl-test/stop:1";
    build(machine, image, "busybox:1.36", 160);
    let begin = Instant::now();
    let loading = machine.start(&["images", "load", image, "-o", "json"]);
    wait_for_import(machine, WORKERS[1]);
    machine.tool("docker", &["kill", WORKERS[1]]).unwrap();
    let report = Run::of(&loading.wait_with_output().unwrap(), begin.elapsed()).ends_with(4).json();
    assert_eq!(report["images"][0]["outcome"], "load_failed");
    let outcomes: Vec<String> = on_workers(&report).into_iter().map(|(outcome, _)| outcome).collect();
    assert_eq!(outcomes, ["loaded", "load_failed"], "{report}");
    let error = report["images"][0]["error"].as_str().unwrap();
    assert!(error.contains(WORKERS[1]), "{error}");
    let hint = report["images"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("docker start"), "{report}");

    machine.tool("docker", &["start", WORKERS[1]]).unwrap();
    wait_for("containerd of the node", Duration::from_secs(60), || {
        machine.tool("docker", &["exec", WORKERS[1], "ctr", "version"]).ok()
    });
    let report = load(machine, image);
    assert_eq!(report["images"][0]["outcome"], "loaded");
    assert_eq!(report["images"][0]["nodes"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(report["images"][0]["nodes"][0]["node"], WORKERS[1]);
}

fn interrupt(child: Child) -> Run {
    let begin = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    Run::of(&child.wait_with_output().unwrap(), begin.elapsed())
}

fn an_interrupt_leaves_nothing_running_and_the_next_run_completes(machine: &Machine) {
    let image = "test.invalid/milvusctl-test/interrupt:1";
    build(machine, image, "busybox:1.36", 160);
    let loading = machine.start(&["images", "load", image]);
    wait_for_import(machine, WORKERS[0]);
    let run = interrupt(loading).ends_with(130);
    say(&run.err);
    assert!(run.took < Duration::from_secs(5), "it took {:?}", run.took);
    wait_for("imports to end", Duration::from_secs(10), || {
        let busy = WORKERS.iter().any(|node| {
            machine.tool("docker", &["top", node, "-eo", "pid,args"]).unwrap().contains("images import")
        });
        (!busy).then_some(())
    });
    let clients = machine.tool("ps", &["-eo", "args"]).unwrap();
    assert!(!clients.contains(&format!("save {image}")), "{clients}");
    assert_eq!(load(machine, image)["images"][0]["outcome"], "loaded");
}

fn two_runs_at_once_both_succeed(machine: &Machine) {
    let image = "test.invalid/milvusctl-test/twice:1";
    build(machine, image, "busybox:1.36", 64);
    let begin = Instant::now();
    let both = [0, 1].map(|_| machine.start(&["images", "load", image, "-o", "json"]));
    for run in both {
        let report = Run::of(&run.wait_with_output().unwrap(), begin.elapsed()).ends_with(0).json();
        let outcome = report["images"][0]["outcome"].as_str().unwrap();
        assert!(["loaded", "present"].contains(&outcome), "{report}");
    }
    assert_eq!(load(machine, image)["images"][0]["outcome"], "present");
}

/// A proxy to a registry that breaks off after some bytes, stays closed for a while, and is open from then
/// on.
pub(crate) struct BadLine {
    pub(crate) port: u16,
    refused: Arc<AtomicU64>,
    /// Bytes received from the registry.
    pub(crate) passed: Arc<AtomicU64>,
}

impl BadLine {
    pub(crate) fn to(registry: &str, breaks_after: u64, closed_for: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let line = Self {
            port: listener.local_addr().unwrap().port(),
            refused: Arc::default(),
            passed: Arc::default(),
        };
        let (refused, registry) = (Arc::clone(&line.refused), registry.to_owned());
        let (passed, is_closed) = (Arc::clone(&line.passed), Arc::new(AtomicBool::new(false)));
        std::thread::spawn(move || {
            let mut closed_until = None;
            for client in listener.incoming().map_while(Result::ok) {
                if is_closed.load(Ordering::Relaxed) {
                    let until = *closed_until.get_or_insert_with(|| Instant::now() + closed_for);
                    if Instant::now() < until {
                        refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                }
                let server = TcpStream::connect(&registry).unwrap();
                hand_on(client.try_clone().unwrap(), server.try_clone().unwrap(), |_| true);
                let (passed, is_closed) = (Arc::clone(&passed), Arc::clone(&is_closed));
                hand_on(server, client, move |bytes| {
                    let sum = passed.fetch_add(bytes, Ordering::Relaxed) + bytes;
                    let breaks = sum > breaks_after && !is_closed.swap(true, Ordering::Relaxed);
                    !breaks
                });
            }
        });
        line
    }
}

/// Copies on its own thread while `goes_on` returns true, then closes both sides.
fn hand_on(mut from: TcpStream, mut to: TcpStream, goes_on: impl Fn(u64) -> bool + Send + 'static) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if !goes_on(u64::try_from(n).unwrap()) || to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            // The other side may have closed it already.
            drop(stream.shutdown(Shutdown::Both));
        }
    });
}

fn a_registry_that_breaks_off_is_retried(machine: &Machine) {
    let image = format!("{}/milvusctl-test/broken:1", registry());
    build(machine, &image, "busybox:1.36", 24);
    machine.tool("docker", &["push", "--quiet", &image]).unwrap();
    machine.tool("docker", &["rmi", &image]).unwrap();
    let line = BadLine::to(&registry(), 8 << 20, Duration::from_secs(4));
    let rule = format!("{}=127.0.0.1:{}", registry(), line.port);
    let load = ["images", "load", &image, "--mirror", &rule, "--pull-with", "docker", "-o", "json"];
    let run = machine.milvusctl(&load).ends_with(0);
    let report = run.json();
    assert_eq!(report["images"][0]["outcome"], "loaded");
    assert_eq!(
        report["images"][0]["pulled_from"],
        json!(format!("127.0.0.1:{}/milvusctl-test/broken:1", line.port))
    );
    assert!(line.refused.load(Ordering::Relaxed) > 0, "the line was never closed: {}", run.err);
    let names = machine.tool("docker", &["images", "--format", "{{.Repository}}:{{.Tag}}"]).unwrap();
    assert!(names.lines().any(|name| name == image), "{names}");
    assert!(!names.contains(&format!("127.0.0.1:{}", line.port)), "the mirror's name was left:\n{names}");
}

/// Bypassing the engine: a broken connection costs only what it broke, and the store's content is not
/// downloaded again.
fn a_download_that_breaks_off_resumes_in_the_store(machine: &Machine) {
    let image = format!("{}/milvusctl-test/resumed:1", registry());
    build(machine, &image, "busybox:1.36", 24);
    machine.tool("docker", &["push", "--quiet", &image]).unwrap();
    machine.tool("docker", &["rmi", &image]).unwrap();
    let line = BadLine::to(&registry(), 8 << 20, Duration::from_secs(4));
    let rule = format!("{}=127.0.0.1:{}", registry(), line.port);
    let load = ["images", "load", &image, "--mirror", &rule, "--pull-with", "registry", "-o", "json"];
    let report = machine.milvusctl(&load).ends_with(0).json();
    assert_eq!(report["images"][0]["outcome"], "loaded");
    let names = machine.tool("docker", &["images", "--format", "{{.Repository}}:{{.Tag}}"]).unwrap();
    assert!(!names.lines().any(|name| name == image), "it went through the engine:\n{names}");

    for node in machine.nodes() {
        // A node that does not have it reports so.
        _ = machine.tool("docker", &["exec", &node, "ctr", "--namespace", "k8s.io", "images", "rm", &image]);
    }
    let passed = line.passed.load(Ordering::Relaxed);
    let report = machine.milvusctl(&load).ends_with(0).json();
    assert_eq!(report["images"][0]["outcome"], "loaded");
    let again = line.passed.load(Ordering::Relaxed) - passed;
    assert!(again < 1 << 20, "{again} bytes were downloaded again");
}

fn an_archive_file_is_loaded(machine: &Machine) {
    let image = "test.invalid/milvusctl-test/file:1";
    build(machine, image, "busybox:1.36", 4);
    let file = machine.file("images.tar", "");
    machine.tool("docker", &["save", "-o", &file, image]).unwrap();
    machine.tool("docker", &["rmi", image]).unwrap();
    let report = machine.milvusctl(&["images", "load", "-i", &file, "-o", "json"]).ends_with(0).json();
    assert_eq!(
        (&report["images"][0]["image"], &report["images"][0]["outcome"]),
        (&json!(image), &json!("loaded"))
    );
    let again = machine.milvusctl(&["images", "load", "-i", &file, "-o", "json"]).ends_with(0).json();
    assert_eq!(again["images"][0]["outcome"], "present");
}
