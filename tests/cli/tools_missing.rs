//! A missing tool, or an engine that is not running: exit code 3, the tool's name, and how to get it.

use crate::fixture::Fixture;

#[test]
fn a_missing_kind_is_reported_with_how_to_get_it() {
    Fixture::with_tools(&["docker"]).milvusctl(&["down", "--yes"]).ends_with(3).complains_of(&[
        "`kind` was not found in PATH",
        "hint:",
        "milvusctl doctor --fix",
    ]);
}

#[test]
fn a_missing_docker_is_reported_with_how_to_get_it() {
    let machine = Fixture::with_tools(&["kind"]);
    machine.on("kind get clusters").says("milvus-cluster\n");
    machine
        .milvusctl(&["down", "--yes"])
        .ends_with(3)
        .complains_of(&["`docker` was not found in PATH", "hint: install Docker"]);
    assert_eq!(machine.calls(), ["kind get clusters"]);
}

#[test]
fn a_stopped_engine_is_not_blamed_on_kind() {
    let machine = Fixture::new();
    machine.on("kind get clusters").fails(
        1,
        "ERROR: failed to list clusters: command \"docker ps\" failed with error: exit status 1\n\
         Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n",
    );
    machine.milvusctl(&["down", "--yes"]).ends_with(3).complains_of(&["hint: start Docker"]);
}

#[test]
fn nothing_is_fetched_while_the_engine_is_stopped() {
    let machine = Fixture::with_tools(&["docker"]);
    machine.on("docker info").fails(
        1,
        "Cannot connect to the Docker daemon at unix:///nonexistent. Is the docker daemon running?\n",
    );
    let outcome = machine
        .milvusctl_with(&[("MILVUSCTL_TOOLS_MIRROR", "/nonexistent")], &["up"])
        .ends_with(3)
        .complains_of(&["the Docker engine is not running", "hint:"]);
    assert!(!outcome.err.to_lowercase().contains("fetching"), "{}", outcome.err);
    assert!(machine.calls().iter().all(|call| call.starts_with("docker ")), "{:?}", machine.calls());
}

#[test]
fn nothing_is_fetched_if_docker_is_missing() {
    let outcome = Fixture::with_tools(&[])
        .milvusctl_with(&[("MILVUSCTL_TOOLS_MIRROR", "/nonexistent")], &["up"])
        .ends_with(3)
        .complains_of(&["`docker` was not found in PATH", "hint: install Docker"]);
    assert!(!outcome.err.to_lowercase().contains("fetching"), "{}", outcome.err);
}

#[test]
fn tools_are_fetched_once_the_engine_runs() {
    let machine = Fixture::with_tools(&["docker"]);
    machine.on("docker info").says(include_str!("../fixtures/docker-info-20.10.24.json"));
    machine.on("docker version").says(include_str!("../fixtures/docker-version-20.10.24.json"));
    machine.on("docker ps").says("");
    machine
        .milvusctl_with(&[("MILVUSCTL_TOOLS_MIRROR", "/nonexistent")], &["up"])
        .ends_with(3)
        .complains_of(&["fetching from `/nonexistent`"]);
}

#[test]
fn commands_without_tools_work_without_any() {
    let machine = Fixture::with_tools(&[]);
    for what in ["cluster", "milvus", "attu", "values", "config"] {
        machine.milvusctl(&["render", what]).ends_with(0);
    }
}

#[test]
fn a_broken_tool_is_an_ordinary_failure() {
    let machine = Fixture::new();
    machine.on("kind get clusters").fails(126, "kind: cannot execute binary file\n");
    machine.milvusctl(&["down", "--yes"]).ends_with(1).complains_of(&["cannot execute binary file"]);
}
