//! Output of a cluster is data: it cannot control a shell or a terminal.

use std::process::Command;

use serde_json::{Value, json};

use crate::fixture::Fixture;

const EVIL: &str = "evil\ntouch pwned; \u{1b}[2J\u{1b}]0;title\u{7}\u{202e}\r#";

/// A cluster whose pods, nodes and messages contain shell commands and terminal escapes.
fn machine() -> Fixture {
    let machine = Fixture::new();
    let kubectl = |rest: &str| format!("kubectl --context kind-milvus-cluster {rest}");
    let says = |rest: &str, answer: Value| {
        machine.on(&kubectl(rest)).says(&answer.to_string());
    };
    machine.has_clusters(&["milvus-cluster"]);
    let pod = |name: &str, image: &str, reason: &str| {
        json!({
            "metadata": {"namespace": "default", "name": name},
            "spec": {"nodeName": "milvus-cluster-worker", "containers": [{"name": "main", "image": image}]},
            "status": {"phase": "Pending", "containerStatuses": [
                {"name": "main", "image": image, "state": {"waiting": {"reason": reason, "message": EVIL}}},
            ]},
        })
    };
    says(
        "get pods",
        json!({"items": [pod("a", EVIL, "InvalidImageName"), pod(EVIL, "docker.io/x:1", "ImagePullBackOff")]}),
    );
    let node = |name: &str| json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": "True", "message": EVIL}]}});
    says("get nodes", json!({"items": [node("milvus-cluster-worker"), node(EVIL)]}));
    says(
        "get deployments,statefulsets",
        json!({"items": [
        {"kind": "Deployment", "metadata": {"namespace": "default", "name": EVIL}, "spec": {"replicas": 1}, "status": {}}]}),
    );
    says(
        "get milvuses.v1beta1.milvus.io my-release",
        json!({"metadata": {"name": "my-release", "namespace": "default"}, "spec": {"mode": EVIL},
            "status": {"status": EVIL, "conditions": [{"type": EVIL, "status": "False", "reason": EVIL, "message": EVIL}]}}),
    );
    says("get services", json!({"items": []}));
    machine.on(&kubectl("get leases.coordination.k8s.io")).fails(
        1,
        "Error from server (NotFound): leases.coordination.k8s.io \"71808ec5.milvus.io\" not found\n",
    );
    machine.on(&kubectl("logs")).says(EVIL);
    machine.on("docker version").says("20.10.24 1.41 1.41\n");
    machine.on("docker exec").says("REF TYPE DIGEST STATUS SIZE UNPACKED\n");
    machine.on("docker info").says("{}");
    machine.on("docker ps").says("");
    machine.on("docker image").says("[]\n").fails(1, "Error response from daemon: No such image: x:1\n");
    machine.on("docker pull").fails(1, &format!("Error: {EVIL}\n"));
    machine
}

/// Asserts that a text contains nothing that controls a terminal.
#[track_caller]
fn assert_tame(what: &str, text: &str) {
    let wild: Vec<char> =
        text.chars().filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}').collect();
    assert!(wild.is_empty(), "{what}: {wild:?} in\n{text:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the shell is what is tested")]
fn a_dry_run_piped_to_a_shell_executes_nothing_from_the_cluster() {
    let machine = machine();
    let outcome = machine.milvusctl(&["load-missing-images", "--dry-run"]).ends_with(0);
    let refusals: Vec<&str> = outcome.out.lines().filter(|line| line.contains("is not an image")).collect();
    assert!(
        matches!(refusals[..], [line] if line.starts_with("# evil\\ntouch pwned; \\x1b[2J")),
        "{}",
        outcome.out
    );
    let folder = machine.file("script.sh", &outcome.out).parent().unwrap().to_owned();
    // Without PATH, external commands fail; builtins would run.
    let ran = Command::new("/bin/sh")
        .arg("script.sh")
        .env("PATH", "/nonexistent")
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(!said.contains("touch"), "{said}");
}

#[test]
fn output_of_the_cluster_cannot_control_the_terminal() {
    let machine = machine();
    for args in [
        &["status"][..],
        &["images", "list"],
        &["images", "list", "--missing"],
        &["load-missing-images"],
        &["load-missing-images", "--verbose"],
    ] {
        let outcome = machine.milvusctl(args);
        assert_tame(&args.join(" "), &outcome.out);
        assert_tame(&args.join(" "), &outcome.err);
        let begun = outcome.out.lines().chain(outcome.err.lines()).find(|line| line.starts_with("touch"));
        assert_eq!(begun, None, "a word of the cluster begins a line of {}", args.join(" "));
        assert!(
            format!("{}{}", outcome.out, outcome.err).contains("\\x1b[2J"),
            "{}: {}{}",
            args.join(" "),
            outcome.out,
            outcome.err
        );
    }
}

#[test]
fn json_keeps_every_character() {
    let answer = machine().milvusctl(&["status", "-o", "json"]).json();
    assert_eq!(answer["milvus"]["status"], EVIL);
}
