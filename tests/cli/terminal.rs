//! Output for limited terminals: nothing beyond ASCII, and no colours.

use crate::fixture::Fixture;

/// A machine on which nothing works.
fn broken() -> Fixture {
    let machine = Fixture::new();
    machine
        .on("docker info")
        .fails(1, "Cannot connect to the Docker daemon. Is the docker daemon running?\n");
    machine.on("kind get clusters").says("milvus-cluster\n");
    machine.on("docker ps").says("");
    machine
        .on("kind delete cluster")
        .fails(1, " \u{2717} Deleting \u{1f4a5} \u{2026}\nERROR: \u{201c}no\u{201d}\n");
    machine.on("kubectl").fails(1, "The connection to the server 127.0.0.1:1 was refused\n");
    machine
}

const COMMANDS: [&[&str]; 14] = [
    &["--help"],
    &["up", "--help"],
    &["images", "load", "--help"],
    &["dwon"],
    &["up", "--worker", "1"],
    &["render", "cluster"],
    &["render", "milvus"],
    &["render", "config"],
    &["images", "plan"],
    &["images", "load", "-i", "nowhere.tar"],
    &["doctor"],
    &["status"],
    &["up"],
    &["down", "--yes"],
];

#[test]
fn a_locale_without_utf_8_gets_only_ascii() {
    let machine = broken();
    for command in COMMANDS {
        let outcome = machine.milvusctl_with(&[("LC_ALL", "C")], command);
        assert!(outcome.out.is_ascii(), "{command:?}: {}", outcome.out);
        assert!(outcome.err.is_ascii(), "{command:?}: {}", outcome.err);
    }
}

#[test]
fn a_pipe_gets_no_colours_and_no_live_lines() {
    let machine = broken();
    for command in COMMANDS {
        let outcome = machine.milvusctl_with(&[("TERM", "xterm-256color")], command);
        assert!(!format!("{}{}", outcome.out, outcome.err).contains('\u{1b}'), "{command:?}: {outcome:?}");
    }
}
