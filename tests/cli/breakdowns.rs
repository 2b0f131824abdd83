//! Failures in the middle of a run: a port gets taken, the engine restarts, the operator never comes up. The
//! run reports them, leaves nothing behind, and the next one resumes.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::disk::{digest, waiting_for};
use crate::fixture::{Fixture, Outcome};
use crate::troubleshooting::{add_existing_cluster, up, without_cluster};

/// A machine on which Docker refuses a container with `refusal` while kind creates a cluster; kind removes
/// what it created.
fn where_docker_refuses(refusal: &str) -> Fixture {
    let machine = without_cluster();
    machine.on("docker pull").fails(1, "no route to host\n");
    machine.on("kind create cluster").fails(
        1,
        &format!(
            "Creating cluster \"milvus-cluster\" ...\n ✓ Ensuring node image (kindest/node:v1.33.1) 🖼\n ✗ Preparing nodes 📦\n\
             Deleted nodes: [\"milvus-cluster-control-plane\"]\nERROR: failed to create cluster: command \"docker run \
             --name milvus-cluster-control-plane\" failed with error: exit status 125\nCommand Output: 4f1c\n{refusal}\n"
        ),
    );
    machine
}

#[test]
fn a_port_taken_after_the_check_is_reported_with_a_hint() {
    let refusals = [
        // A container and a program, in the words of Docker 20.10.
        "docker: Error response from daemon: driver failed programming external connectivity on endpoint \
         milvus-cluster-control-plane (17ab): Bind for 127.0.0.1:31000 failed: port is already allocated.",
        "docker: Error response from daemon: driver failed programming external connectivity on endpoint \
         milvus-cluster-control-plane (17ab): Error starting userland proxy: listen tcp4 127.0.0.1:31000: bind: \
         address already in use.",
    ];
    for refusal in refusals {
        let machine = where_docker_refuses(refusal);
        let outcome = up(&machine, &["--mirror-preset", "none"]).ends_with(1);
        let calls = machine.calls();
        outcome.complains_of(&[
            "error: could not create cluster `milvus-cluster`",
            refusal,
            "hint: kind removed what it had created; fix the cause and rerun",
            "hint: another container or program took the port after it was checked",
        ]);
        assert!(!calls.iter().any(|call| call.contains("delete")), "{calls:?}");
    }
}

#[test]
fn the_images_that_a_new_node_could_not_get_are_named() {
    let machine = Fixture::new();
    // The node is there while kind works, and its image lacks one that kubeadm asks for.
    let node = "if grep -q '^kind create' \"$FAKE_TOOL_DIR/calls\"; then\n  case \"$*\" in *Names*) echo \
                'milvus-cluster-control-plane|control-plane|running|i|' ;; *) echo 0a ;; esac\nfi";
    machine.on("docker ps").runs(node);
    let aliyun = "registry.aliyuncs.com/google_containers";
    machine
        .on("docker exec milvus-cluster-control-plane sh -c")
        .says(&format!("{aliyun}/etcd:3.6\n--\n{aliyun}/etcd:3.6\n{aliyun}/kube-apiserver:v9\n"));
    machine.on("docker image inspect").fails(1, "Error: No such image\n");
    machine.on("docker pull").fails(1, "no route to host\n");
    machine.on("kubectl config get-contexts").says("");
    machine.on("kind get clusters").says("");
    machine
        .on("kind create cluster")
        .takes(Duration::from_secs(4))
        .fails(1, "ERROR: failed to init node with kubeadm\n");
    machine.has_engine_and_tools();
    up(&machine, &[]).ends_with(1).complains_of(&[
        "could not create cluster `milvus-cluster`: its nodes could not get registry.aliyuncs.com/google_containers/kube-apiserver:v9",
        "hint: rerun with `--mirror-preset none`",
    ]);
}

/// The errors of Docker's client when the engine stops during a request, and when it is not running.
const GONE: &str =
    "error during connect: Post \"http://%2Fvar%2Frun%2Fdocker.sock/v1.41/containers/w/exec\": EOF";
const DOWN: &str =
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";

#[test]
fn an_engine_that_stops_during_a_load_is_reported_and_the_next_run_loads() {
    let machine = Fixture::new();
    let archive = "tests/fixtures/docker-save-shared-layer.docker-20.10.tar";
    let archive = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(archive);
    let is_down = "[ ! -e \"$FAKE_TOOL_DIR/down\" ]";
    let inspected = json!([{"Id": digest(b"x"), "RepoTags": ["test/left:1"], "Os": "linux", "Architecture": "amd64",
        "Size": 3, "RootFS": {"Type": "layers", "Layers": []}}]);
    let or_down = |script: &str| format!("{is_down} || {{ echo '{DOWN}' >&2; exit 1; }}\n{script}");
    machine.on("docker image inspect").runs(&or_down(&format!("echo '{inspected}'")));
    machine.on("docker save").runs(&or_down(&format!("cat '{}'", archive.display())));
    machine
        .on("docker exec -i w ctr")
        .runs(&format!(": >\"$FAKE_TOOL_DIR/down\"\necho '{GONE}' >&2\nexit 1"))
        .once();
    let down = machine.path("../fake/down");
    let machine = waiting_for(machine, "docker.io/test/left:1", &or_down(""));
    let begun = Instant::now();
    let outcome = machine.milvusctl(&["load-missing-images"]).ends_with(4).complains_of(&[
        "hint: docker.io/test/left:1: the container engine stopped; rerun once it (`docker info`) and the nodes \
         (`docker ps`) are running again",
    ]);
    took_less_than(Duration::from_secs(20), begun);
    assert!(outcome.out.contains("node `w`: error during connect"), "{}", outcome.out);
    machine.assert_all_ended();
    assert_eq!(machine.temporary_files(), [""; 0].map(std::path::PathBuf::from));

    std::fs::remove_file(down).unwrap();
    machine.milvusctl(&["load-missing-images"]).ends_with(0);
}

/// Dies by SIGKILL, as from the kernel when memory is short, until the test removes the file.
const DIES: &str = "[ ! -e \"$FAKE_TOOL_DIR/dies\" ] || kill -KILL $$\n";

#[test]
fn a_docker_killed_during_a_load_is_reported_and_the_next_run_loads() {
    let archive = "tests/fixtures/docker-save-shared-layer.docker-20.10.tar";
    let archive = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(archive);
    let archive = archive.display();
    let inspected = json!([{"Id": digest(b"x"), "RepoTags": ["test/left:1"], "Os": "linux", "Architecture": "amd64",
        "Size": 3, "RootFS": {"Type": "layers", "Layers": []}}]);
    let parts = [
        (
            "docker save",
            format!("head -c 5000 '{archive}'\n{DIES}tail -c +5001 '{archive}'"),
            "docker save test/left:1",
        ),
        ("docker exec -i w ctr", DIES.to_owned(), "docker exec -i w ctr"),
        ("docker exec w ctr --namespace k8s.io images check", DIES.to_owned(), "docker exec w ctr"),
    ];
    for (dying, script, named) in parts {
        let machine = Fixture::new();
        machine.on("docker image inspect").says(&inspected.to_string());
        let dies = machine.path("../fake/dies");
        std::fs::write(&dies, "").unwrap();
        match dying {
            "docker save" => drop(machine.on(dying).runs(&script)),
            _ => drop(machine.on("docker save").runs(&format!("cat '{archive}'"))),
        }
        let (in_check, in_import) = match named {
            "docker exec w ctr" => (script.as_str(), ""),
            "docker exec -i w ctr" => ("", script.as_str()),
            _ => ("", ""),
        };
        let machine = crate::disk::waiting_for_with(machine, "docker.io/test/left:1", in_check, in_import);
        let begun = Instant::now();
        let code = if in_check.is_empty() { 4 } else { 1 };
        let outcome = machine.milvusctl(&["load-missing-images"]).ends_with(code);
        took_less_than(Duration::from_secs(60), begun);
        let said = format!("{}{}", outcome.out, outcome.err);
        assert!(said.contains(named) && said.contains("signal: 9 (SIGKILL)"), "{dying}: {said}");
        machine.assert_all_ended();
        assert_eq!(machine.temporary_files(), [""; 0].map(std::path::PathBuf::from));
        std::fs::remove_file(dies).unwrap();
        machine.milvusctl(&["load-missing-images"]).ends_with(0);
    }
}

/// An existing cluster whose only operator pod waits with `reason` and `message`.
fn with_an_operator(reason: &str, message: &str) -> Fixture {
    let machine = Fixture::new();
    machine.on("helm upgrade").says("");
    let pod = json!({"items": [{
        "metadata": {"name": "milvus-operator-6d-x", "namespace": "milvus-operator"},
        "spec": {"nodeName": "w", "containers": [{"name": "manager", "image": "milvusdb/milvus-operator:v1.3.8"}]},
        "status": {"phase": "Pending", "containerStatuses": [{
            "name": "manager", "image": "milvusdb/milvus-operator:v1.3.8", "restartCount": 3, "ready": false,
            "state": {"waiting": {"reason": reason, "message": message}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
        }]},
    }]});
    machine.on("kubectl --context prod get pods").says(&pod.to_string());
    machine.on("kubectl --context prod logs").says("panic: no such flag\n");
    add_existing_cluster(&machine);
    machine
}

#[test]
fn a_crashing_operator_is_reported_while_waiting_and_with_its_log() {
    let machine = with_an_operator("CrashLoopBackOff", "back-off 40s restarting failed container");
    let begun = Instant::now();
    machine.milvusctl(&["up", "--context", "prod", "--timeout", "3s"]).ends_with(5).complains_of(&[
        "the operator to pick up the Milvus resource (pod milvus-operator/milvus-operator-6d-x: CrashLoopBackOff)",
        "error: Milvus is not healthy after 3s",
        "pod milvus-operator/milvus-operator-6d-x: CrashLoopBackOff",
        "panic: no such flag",
        "hint: nothing was rolled back; run `milvusctl up --context prod` again to resume",
    ]);
    took_less_than(Duration::from_secs(20), begun);
}

/// A pod of the operator's chart, restarted `$n` times right after starting.
const CRASHING: &str = r#"{"items": [{
    "metadata": {"name": "milvus-operator-6d-x", "namespace": "milvus-operator", "labels": {
        "app.kubernetes.io/name": "milvus-operator", "app.kubernetes.io/instance": "milvus-operator"}},
    "spec": {"nodeName": "w", "containers": [{"name": "manager", "image": "milvusdb/milvus-operator:v1.3.8"}]},
    "status": {"phase": "Running", "containerStatuses": [{
        "name": "manager", "image": "milvusdb/milvus-operator:v1.3.8", "restartCount": '$n', "ready": false,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 1m20s"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error",
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:02Z"}}}]}}]}"#;

/// Runs `up` with an operator whose restarts are printed by the shell command `count`.
fn up_with_restarts(count: &str, timeout: &str) -> Outcome {
    let machine = Fixture::new();
    machine.on("helm upgrade").says("");
    machine.on("kubectl --context prod get pods").runs(&format!("n=$({count})\necho '{CRASHING}'"));
    machine.on("kubectl --context prod logs").says("panic: no such flag\n");
    add_existing_cluster(&machine);
    machine.milvusctl(&["up", "--context", "prod", "--timeout", timeout])
}

#[test]
fn an_operator_that_crashes_again_and_again_ends_the_wait_with_its_last_words() {
    let begun = Instant::now();
    let each_look_one_more = "grep -c 'get pods' \"$FAKE_TOOL_DIR/calls\"";
    up_with_restarts(each_look_one_more, "10m").ends_with(1).complains_of(&[
        "error: the operator keeps crashing: pod milvus-operator/milvus-operator-6d-x was restarted",
        "panic: no such flag",
        "hint: `kubectl --context prod --namespace milvus-operator logs milvus-operator-6d-x --previous`",
        "hint: nothing was rolled back; run `milvusctl up --context prod` again to resume",
    ]);
    took_less_than(Duration::from_secs(40), begun);
}

#[test]
fn an_operator_that_crashed_before_is_given_the_time_to_start_again() {
    up_with_restarts("echo 7", "5s").ends_with(5).complains_of(&["error: Milvus is not healthy after 5s"]);
}

#[test]
fn an_operator_without_its_image_is_reported_with_the_image() {
    let machine =
        with_an_operator("ImagePullBackOff", "Back-off pulling image \"milvusdb/milvus-operator:v1.3.8\"");
    machine.milvusctl(&["up", "--context", "prod", "--timeout", "3s"]).ends_with(5).complains_of(&[
        "(pod milvus-operator/milvus-operator-6d-x: ImagePullBackOff)",
        "error: Milvus is not healthy after 3s",
        "ImagePullBackOff Back-off pulling image \"milvusdb/milvus-operator:v1.3.8\"",
    ]);
}

#[track_caller]
fn took_less_than(most: Duration, begun: Instant) {
    assert!(begun.elapsed() < most, "it took {:?}", begun.elapsed());
}
