//! Tools that hang, lie or never end, signals, and output that cannot be written: the run ends soon with the
//! right exit code and message, and leaves no process behind. CONTRIBUTING.md has the table.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Fixture, Outcome};
use crate::troubleshooting::{
    cluster_with, existing_cluster, has_engine, has_tools, recorded, up, waiting, without_cluster,
};

/// Far longer than anything the tests wait for.
const LONG: Duration = Duration::from_secs(60);
/// How soon a run must end once asked to, on a machine busy with other tests.
const SOON: Duration = Duration::from_secs(3);

/// A tool and its child that both ignore SIGTERM, the child without a pipe to us.
const STUBBORN_FAMILY: &str = "trap '' TERM INT HUP\n\
    sh -c 'trap \"\" TERM INT HUP; echo $$ >>\"$FAKE_TOOL_DIR/pids\"; while :; do sleep 0.1; done; : milvusctl-cli-' \
    >/dev/null 2>&1 </dev/null &\nwait";
/// The same, but both obey SIGTERM.
const FAMILY: &str = "sh -c 'echo $$ >>\"$FAKE_TOOL_DIR/pids\"; while :; do sleep 0.1; done; : milvusctl-cli-' \
    >/dev/null 2>&1 </dev/null &\nwait";

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Sends a signal once `call` was made; returns how the run ended, soon after.
#[track_caller]
fn interrupted(machine: &Fixture, mut command: Command, call: &str) -> Outcome {
    let mut child = command.spawn().unwrap();
    let _open = child.stdin.take();
    machine.wait_for_call(call);
    // The call is logged before the tool's answer starts.
    std::thread::sleep(Duration::from_millis(200));
    let before = Instant::now();
    signal(&child, Signal::TERM);
    let outcome = Outcome::of_child(child);
    assert!(before.elapsed() < SOON, "it took {:?}", before.elapsed());
    machine.assert_all_ended();
    outcome
}

/// A machine with a pod waiting for an image that the engine has.
fn with_an_image_to_load() -> Fixture {
    let machine = Fixture::new();
    let digest = format!("sha256:{}", "1".repeat(64));
    machine.on("docker image inspect").says(&format!(
        r#"[{{"Id": "{digest}", "RepoTags": ["a/b:1"], "Os": "linux", "Architecture": "amd64", "Size": 3,
            "RootFS": {{"Type": "layers", "Layers": ["{digest}"]}}}}]"#
    ));
    cluster_with(machine, &[waiting("late", "a/b:1", "IfNotPresent", "ErrImagePull")])
}

#[test]
fn children_of_a_tool_end_with_it() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-cluster"]);
    machine.on("kind delete cluster").runs(FAMILY);
    interrupted(&machine, machine.command(&["down", "--yes"]), "kind delete cluster").ends_with(130);
}

#[test]
fn a_second_signal_leaves_no_process() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-cluster"]);
    machine.on("kind delete cluster").runs(STUBBORN_FAMILY);
    let child = machine.command(&["down", "--yes"]).spawn().unwrap();
    machine.wait_for_call("kind delete cluster");
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    let before = Instant::now();
    signal(&child, Signal::TERM);
    Outcome::of_child(child).ends_with(130);
    assert!(before.elapsed() < Duration::from_secs(2), "it took {:?}", before.elapsed());
    machine.assert_all_ended();
}

#[test]
fn a_second_signal_leaves_no_temporary_archive() {
    let machine = with_an_image_to_load();
    machine.on("docker save").runs("trap '' TERM\nsleep 30 >/dev/null 2>&1 &\nwait; wait");
    let args = ["load-missing-images", "--loader", "kind"];
    let child = machine.command(&args).spawn().unwrap();
    machine.wait_for_call("docker save");
    assert_eq!(machine.temporary_files().len(), 1);
    signal(&child, Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, Signal::TERM);
    Outcome::of_child(child).ends_with(130);
    assert_eq!(machine.temporary_files(), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn a_signal_that_nohup_ignores_stays_ignored() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-cluster"]);
    machine.on("kind delete cluster").takes(Duration::from_secs(1));
    let plain = machine.command(&["down", "--yes"]);
    #[expect(clippy::disallowed_methods, reason = "a shell ignores the signal, as nohup does")]
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" down --yes"]).arg(plain.get_program());
    shell.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(plain.get_current_dir().unwrap());
    let child = shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    machine.wait_for_call("kind delete cluster");
    signal(&child, Signal::HUP);
    Outcome::of_child(child).ends_with(0);
}

#[test]
fn an_interrupt_ends_a_silent_save() {
    let machine = with_an_image_to_load();
    machine.on("docker save").takes(LONG);
    machine.on("docker exec -i w ctr").runs(FAMILY);
    interrupted(&machine, machine.command(&["load-missing-images"]), "docker save").ends_with(130);
}

#[test]
fn an_interrupt_ends_a_read_of_standard_input() {
    let machine = Fixture::new();
    machine.on("docker version").says("20.10.24 1.41 1.41\n");
    let mut command = machine.command(&["images", "load", "-i", "-"]);
    command.stdin(Stdio::piped());
    interrupted(&machine, command, "docker version").ends_with(130).complains_of(&["interrupted"]);
    assert!(machine.temporary_files().is_empty());
}

#[test]
fn an_interrupt_ends_the_wait_for_a_writer_of_a_named_pipe() {
    let machine = Fixture::new();
    machine.on("docker version").says("20.10.24 1.41 1.41\n");
    named_pipe(&machine, "archive.tar");
    let command = machine.command(&["images", "load", "-i", "archive.tar"]);
    interrupted(&machine, command, "docker version").ends_with(130);
}

pub(crate) fn named_pipe(machine: &Fixture, name: &str) {
    let path = machine.path(name);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
}

#[test]
fn an_interrupt_ends_a_run_that_waits_for_its_configuration() {
    let machine = Fixture::new();
    named_pipe(&machine, "late.yaml");
    let child = machine.command(&["status", "-c", "late.yaml"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let before = Instant::now();
    signal(&child, Signal::TERM);
    Outcome::of_child(child).ends_with(130);
    assert!(before.elapsed() < SOON, "it took {:?}", before.elapsed());
}

#[test]
fn a_configuration_without_end_is_refused() {
    for args in [&["status", "-c", "/dev/zero"][..], &["render", "cluster", "--kind-config", "/dev/zero"]] {
        Fixture::new()
            .milvusctl(args)
            .ends_with(2)
            .complains_of(&["/dev/zero", "it is larger than 16.00 MiB"]);
    }
}

#[test]
fn doctor_waits_for_no_writer_of_a_kubeconfig_that_is_a_pipe() {
    let machine = Fixture::new();
    has_engine(&machine);
    has_tools(&machine, "v0.33.0");
    named_pipe(&machine, "kubeconfig");
    let pipe = machine.path("kubeconfig").display().to_string();
    let variables = [("KUBECONFIG", pipe.as_str()), ("HTTPS_PROXY", "http://127.0.0.1:1")];
    let before = Instant::now();
    machine.milvusctl_with(&variables, &["doctor"]);
    assert!(before.elapsed() < LONG, "it took {:?}", before.elapsed());
}

#[test]
fn a_named_pipe_is_read_as_an_archive() {
    let machine = Fixture::new();
    machine.on("docker version").says("20.10.24 1.41 1.41\n");
    named_pipe(&machine, "archive.tar");
    let child = machine.command(&["images", "load", "-i", "archive.tar"]).spawn().unwrap();
    File::options().write(true).open(machine.path("archive.tar")).unwrap().write_all(b"just words").unwrap();
    Outcome::of_child(child)
        .ends_with(1)
        .complains_of(&["`archive.tar` cannot be used as an archive of images"]);
}

#[test]
fn up_ends_in_time_even_if_kind_hangs() {
    let machine = without_cluster();
    machine.on("docker pull").takes(LONG);
    machine.on("kind create cluster").takes(LONG);
    let before = Instant::now();
    let outcome = crate::troubleshooting::up(&machine, &["--timeout", "2s"]);
    outcome
        .ends_with(5)
        .complains_of(&["could not create cluster `milvus-cluster`", "did not end within 2s"]);
    assert!(before.elapsed() < Duration::from_secs(20), "it took {:?}", before.elapsed());
    machine.assert_all_ended();
}

#[test]
fn up_ends_in_time_even_if_helm_hangs() {
    let machine = existing_cluster();
    machine.on("helm upgrade").takes(LONG);
    let before = Instant::now();
    machine
        .milvusctl(&["up", "--context", "prod", "--timeout", "2s"])
        .ends_with(5)
        .complains_of(&["could not install milvus-operator", "did not end within 2s"]);
    assert!(before.elapsed() < Duration::from_secs(20), "it took {:?}", before.elapsed());
    machine.assert_all_ended();
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    for args in [&["images", "list", "-o", "json"][..], &["render", "cluster"], &["--help"], &["man"]] {
        let machine = cluster_with(Fixture::new(), &[]);
        let mut command = machine.command(args);
        command.stdout(File::options().write(true).open("/dev/full").unwrap());
        let outcome = Outcome::of_child(command.spawn().unwrap()).ends_with(1);
        outcome.complains_of(&["error: could not write to standard output: No space left on device"]);
    }
}

#[test]
fn a_closed_reader_ends_the_run_quietly() {
    let machine = Fixture::new();
    let mut child = machine.command(&["man"]).spawn().unwrap();
    drop(child.stdout.take());
    let outcome = Outcome::of_child(child).ends_with(0);
    assert_eq!(outcome.err, "");
}

#[test]
fn a_watch_ends_when_its_reader_closes() {
    let machine = cluster_with(Fixture::new(), &[]);
    let mut child = machine.command(&["status", "--watch"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "Cluster milvus-cluster\n");
    let before = Instant::now();
    let outcome = Outcome::of_child(child).ends_with(0);
    assert_eq!(outcome.err, "");
    assert!(before.elapsed() < Duration::from_secs(15), "it took {:?}", before.elapsed());
}

#[test]
fn an_overloaded_cluster_is_asked_again() {
    let machine = Fixture::new();
    machine.on("kubectl --context kind-milvus-cluster get services").fails(1, BUSY).once();
    machine.on("kubectl --context kind-milvus-cluster get nodes").fails(1, BUSY).once();
    cluster_with(machine, &[]).milvusctl(&["status"]).ends_with(0);
}

/// As the API server passes it on from etcd.
const BUSY: &str = "Error from server: etcdserver: leader changed\n";

#[test]
fn an_unreachable_cluster_is_reported_at_once() {
    let machine = Fixture::new();
    machine.on("kubectl").fails(
        1,
        "The connection to the server 127.0.0.1:41235 was refused - did you specify the right host or port?\n",
    );
    let before = Instant::now();
    machine.milvusctl(&["status"]).ends_with(1).complains_of(&["could not reach the cluster"]);
    assert!(before.elapsed() < SOON, "it took {:?}", before.elapsed());
}

#[test]
fn endless_output_is_refused() {
    let pods = [waiting("late", "a/b:1", "IfNotPresent", "ErrImagePull")];
    for (prefix, limit) in [
        ("kubectl --context kind-milvus-cluster get pods", "256"),
        ("kubectl --context kind-milvus-cluster get nodes", "64"),
        ("docker info", "16"),
    ] {
        let machine = Fixture::new();
        machine.on(prefix).runs("exec yes");
        let machine = cluster_with(machine, &pods);
        let words = format!("wrote more than {limit}.00 MiB and was stopped");
        machine.milvusctl(&["load-missing-images"]).ends_with(1).complains_of(&[&words]);
        machine.assert_all_ended();
    }
}

#[test]
fn a_duration_beyond_the_clock_is_a_usage_error() {
    let time = "18446744073709551615s";
    for args in [
        &["up", "--timeout", time][..],
        &["load-missing-images", "--timeout", time],
        &["expose", "--nodeport", "31000", "--timeout", time],
        &["forward", "--timeout", time],
        &["smoke", "--timeout", time],
    ] {
        let outcome = Fixture::new().milvusctl(args).ends_with(2);
        outcome.complains_of(&["expected a duration of up to a year", time]);
    }
}

#[test]
fn a_machine_too_small_for_the_pods_is_refused_up_front() {
    let machine = Fixture::new();
    let info = recorded("docker-info-20.10.24.json").replace("25276514304", "4000000000");
    machine.on("docker info").says(&info);
    has_engine(&machine);
    has_tools(&machine, "v0.33.0");
    up(&machine, &[]).ends_with(2).complains_of(&[
        "error: 4 GB of memory for cluster mode: at least 8.6 GB are needed: its pods request 5.3 GB",
        "hint: continue anyway with `--force`",
    ]);
    assert!(!machine.calls().iter().any(|call| call.starts_with("kind create")), "{:?}", machine.calls());
}

#[test]
fn an_engine_that_cannot_list_nodes_is_not_taken_for_one_without_nodes() {
    let machine = Fixture::new();
    machine.on("docker ps").fails(1, "Error response from daemon: context deadline exceeded\n");
    has_engine(&machine);
    has_tools(&machine, "v0.33.0");
    up(&machine, &[]).ends_with(1).complains_of(&["context deadline exceeded"]);
    assert!(!machine.calls().iter().any(|call| call.starts_with("kind create")), "{:?}", machine.calls());
}

#[test]
fn an_unreadable_kubeconfig_is_reported_up_front() {
    let machine = Fixture::new();
    machine
        .on("kubectl config get-contexts")
        .fails(1, "error: error loading config file \"/home/u/.kube/config\": yaml: line 3: did not find expected key\n");
    has_engine(&machine);
    has_tools(&machine, "v0.33.0");
    up(&machine, &[])
        .ends_with(1)
        .complains_of(&["could not read the kubeconfig", "line 3: did not find expected key"]);
    assert!(!machine.calls().iter().any(|call| call.starts_with("kind create")), "{:?}", machine.calls());
}

#[test]
fn an_unreadable_certificate_file_is_reported_before_any_request() {
    let machine = Fixture::new();
    machine.on("docker info").says("{}");
    machine
        .on("docker image inspect")
        .says("[]\n")
        .fails(1, "Error response from daemon: No such image: a/b:1\n");
    let machine = cluster_with(machine, &[waiting("late", "a/b:1", "IfNotPresent", "ErrImagePull")]);
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let variables = [("MILVUSCTL_PULL_WITH", "registry"), (variable, "/absent/ca.pem")];
        machine.milvusctl_with(&variables, &["load-missing-images"]).ends_with(1).complains_of(&[
            &format!("error: could not read `/absent/ca.pem`, set by `{variable}`"),
            "hint: correct the variable, or unset it",
        ]);
    }
}
