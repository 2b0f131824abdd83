//! `doctor`: stable names for scripts, unsuitable tools replaced, and none of its suggested commands run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::fixture::{Fixture, Outcome};

/// A node image that kind 0.17 cannot start.
const NODES: &str = "kindest/node:v1.33.1";

/// A machine with Docker, whose kind reports `version`.
fn machine(version: &str) -> Fixture {
    let machine = Fixture::new();
    machine.on("docker info").says(include_str!("../fixtures/docker-info-20.10.24.json"));
    machine.on("docker version").says(include_str!("../fixtures/docker-version-20.10.24.json"));
    machine.on("docker ps").says("");
    machine.on("kind version").says(&format!("kind {version} go1.24.4 linux/amd64\n"));
    machine.on("helm version").says("v3.17.2+gcc0bbbd\n");
    machine.on("kubectl version").says(r#"{"clientVersion":{"gitVersion":"v1.32.3"}}"#);
    machine
}

/// Runs doctor, with a proxy that does not exist for requests to registries.
fn doctor(machine: &Fixture, variables: &[(&str, &str)], args: &[&str]) -> Outcome {
    let mut all = vec![("HTTPS_PROXY", "http://127.0.0.1:1")];
    all.extend(variables);
    machine.milvusctl_with(&all, &[&["doctor", "-o", "json", "--node-image", NODES], args].concat())
}

/// Writes a kind that reports version 0.33.0 into a folder, like a user's own mirror.
fn folder_with_kind(machine: &Fixture) -> String {
    let program = machine.file("kind", "#!/bin/sh\necho kind v0.33.0 go1.25.1 linux/amd64\n");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program.parent().unwrap().display().to_string()
}

#[track_caller]
fn finding(outcome: &Outcome, id: &str) -> serde_json::Value {
    let answer = outcome.json();
    let found = answer["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == id);
    found.unwrap_or_else(|| panic!("no `{id}` in {answer:#}")).clone()
}

#[test]
fn every_finding_has_a_stable_name() {
    let outcome = doctor(&machine("v0.27.0"), &[], &[]);
    for id in [
        "tool_kind",
        "tool_helm",
        "tool_kubectl",
        "engine",
        "engine_image_store",
        "memory",
        "cpus",
        "requests",
        "disk",
        "disk_temporary",
        "image_store",
        "cgroup",
        "port",
        "proxy",
        "registry",
        "kubeconfig",
    ] {
        finding(&outcome, id);
    }
}

#[test]
fn a_kind_too_old_for_the_node_image_is_reported_with_the_version_needed() {
    let outcome = doctor(&machine("v0.17.0"), &[], &[]).ends_with(3);
    let kind = finding(&outcome, "tool_kind");
    let what = kind["what"].as_str().unwrap();
    assert!(
        what.starts_with("kind 0.17.0 is too old for the node image: 0.27.0 or newer is needed"),
        "{what}"
    );
    assert_eq!((&kind["level"], &kind["exit"]), (&"fail".into(), &3.into()));
}

#[test]
fn a_fetched_kind_replaces_one_that_is_too_old() {
    let machine = machine("v0.17.0");
    let folder = folder_with_kind(&machine);
    let outcome = doctor(&machine, &[("MILVUSCTL_TOOLS_MIRROR", &folder)], &["--fix"]).complains_of(&[
        "kind 0.17.0 is too old for the node image: 0.27.0 or newer is needed",
        "fetching a replacement from",
    ]);
    assert_eq!(outcome.json()["fetched"][0]["tool"], "kind");
    assert_eq!(finding(&outcome, "tool_kind")["level"], "ok");
    let again = doctor(&machine, &[], &[]).complains_of(&["using milvusctl's own kind instead"]);
    let what = finding(&again, "tool_kind")["what"].to_string();
    assert!(what.contains("kind 0.33.0") && what.contains("milvusctl/bin/kind"), "{what}");
}

#[test]
fn a_suitable_kind_in_path_is_not_replaced() {
    let machine = machine("v0.27.0");
    let folder = folder_with_kind(&machine);
    let outcome = doctor(&machine, &[("MILVUSCTL_TOOLS_MIRROR", &folder)], &["--fix"]);
    assert_eq!(outcome.json()["fetched"], serde_json::json!([]));
    let what = finding(&outcome, "tool_kind")["what"].to_string();
    assert!(what.contains("kind 0.27.0"), "{what}");
}

#[test]
fn suggested_commands_are_printed_but_not_run() {
    let machine = machine("v0.27.0");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("{}:31000", taken.local_addr().unwrap().port());
    doctor(&machine, &[], &["--fix", "--port", &port]).ends_with(2);
    let reads =
        ["docker info", "docker version", "docker ps", "kind version", "helm version", "kubectl version"];
    for call in machine.calls() {
        assert!(reads.iter().any(|read| call.starts_with(read)), "{call}");
    }
}
