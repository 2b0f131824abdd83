//! Everything in one file: saved with a network, brought up without one.

use std::path::Path;

use serde_json::json;

use crate::machine::{Machine, say, texts};

/// What to save and bring up, the same for both.
const PLAN: [&str; 4] = ["--mode", "standalone", "--workers", "1"];

/// An address at which nobody answers, to replace every other one.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
#[ignore = "needs Docker, kind, helm and kubectl, and takes minutes"]
fn a_bundle_takes_the_place_of_the_network() {
    let mut machine = Machine::new("milvusctl-test-bundle");
    the_tools_are_the_users_own(&mut machine);
    let bundle = everything_is_saved(&machine);
    the_network_is_gone(&mut machine);
    up_needs_nothing_but_the_bundle(&machine, &bundle);
    a_second_up_does_not_read_it(&machine, &bundle);
    images_load_takes_it(&machine, &bundle);
    a_nodes_containerd_takes_it(&machine);
    the_engine_takes_it(&machine);
    a_truncated_bundle_is_reported_up_front(&mut machine, &bundle);
}

/// Releases would have to be downloaded; the user's own programs are taken as they are.
fn the_tools_are_the_users_own(machine: &mut Machine) {
    let folder = machine.folder("tools");
    for tool in ["kind", "helm", "kubectl"] {
        let found = machine.tool("sh", &["-c", &format!("readlink -f \"$(command -v {tool})\"")]).unwrap();
        std::fs::copy(found.trim(), folder.join(tool)).unwrap();
    }
    machine.set("MILVUSCTL_TOOLS_MIRROR", &folder.display().to_string());
    let store = machine.folder("saved-from").display().to_string();
    machine.set("MILVUSCTL_STORE", &store);
}

fn everything_is_saved(machine: &Machine) -> String {
    let file = machine.path("milvus.tar.zst").display().to_string();
    let save = [&["images", "save", "-o", &file][..], &PLAN].concat();
    machine.milvusctl(&save).ends_with(0);
    machine.milvusctl(&save).complains_of(&["already exists"]);
    let plain = plain(machine);
    machine.milvusctl(&[&["images", "save", "-o", &plain][..], &PLAN].concat()).ends_with(0);
    file
}

/// The same bundle uncompressed, for old engines and nodes that cannot decompress it.
fn plain(machine: &Machine) -> String {
    machine.path("milvus.tar").display().to_string()
}

fn the_network_is_gone(machine: &mut Machine) {
    let store = machine.folder("empty").display().to_string();
    let data = machine.folder("data").display().to_string();
    for (name, value) in [
        ("MILVUSCTL_STORE", store.as_str()),
        ("XDG_DATA_HOME", &data),
        ("MILVUSCTL_OPERATOR_REPO", NOBODY),
        ("MILVUSCTL_TOOLS_MIRROR", NOBODY),
        ("HTTP_PROXY", NOBODY),
        ("HTTPS_PROXY", NOBODY),
        ("NO_PROXY", "127.0.0.1,localhost"),
    ] {
        machine.set(name, value);
    }
    // Only Docker is in PATH.
    let programs = machine.folder("bin");
    let docker = machine.tool("sh", &["-c", "readlink -f \"$(command -v docker)\""]).unwrap();
    std::os::unix::fs::symlink(docker.trim(), programs.join("docker")).unwrap();
    machine.set("PATH", &programs.display().to_string());
}

fn up_needs_nothing_but_the_bundle(machine: &Machine, bundle: &str) {
    let rest = ["--smoke", "--timeout", "15m", "-v", "-o", "json"];
    let run = machine.milvusctl(&[&["up", "--bundle", bundle][..], &PLAN, &rest].concat()).ends_with(0);
    assert_eq!(run.json()["milvus"]["status"], "Healthy");
    assert_eq!(run.json()["steps"][0]["name"], "bundle");
    assert!(!run.err.contains("docker pull"), "{}", run.err);
    for tool in ["kind", "helm", "kubectl"] {
        assert!(machine.path("data/milvusctl/bin").join(tool).is_file(), "{tool}");
    }
}

fn a_second_up_does_not_read_it(machine: &Machine, bundle: &str) {
    let line = [&["up", "--bundle", bundle, "-o", "json"][..], &PLAN].concat();
    let answer = machine.milvusctl(&line).ends_with(0).json();
    assert_eq!(answer["steps"][0], json!({"name": "bundle", "outcome": "unchanged", "seconds": 0.0}));
}

fn images_load_takes_it(machine: &Machine, bundle: &str) {
    let report = machine.milvusctl(&["images", "load", "-i", bundle, "-o", "json"]).ends_with(0).json();
    assert_eq!((&report["failed"], &report["missing"]), (&json!(0), &report["loaded"]));
    let names = texts(&report["images"], "image");
    assert!(names.iter().all(|name| !name.contains("kindest/node")), "{names:?}");
}

fn a_nodes_containerd_takes_it(machine: &Machine) {
    let bundle = plain(machine);
    let node = format!("{}-worker", machine.name());
    let import = format!("docker exec -i {node} ctr --namespace milvusctl-test images import - <'{bundle}'");
    machine.tool("sh", &["-c", &import]).unwrap();
    let listed = machine
        .tool("docker", &["exec", &node, "ctr", "--namespace", "milvusctl-test", "images", "ls", "-q"])
        .unwrap();
    assert!(listed.lines().any(|name| name.contains("milvusdb/milvus:")), "{listed}");
}

fn the_engine_takes_it(machine: &Machine) {
    let loaded = machine.tool("docker", &["load", "--input", &plain(machine)]).unwrap();
    assert!(loaded.contains("kindest/node:") && loaded.contains("milvusdb/milvus:"), "{loaded}");
}

fn a_truncated_bundle_is_reported_up_front(machine: &mut Machine, bundle: &str) {
    machine.milvusctl(&["down", "--yes"]).ends_with(0);
    let bytes = std::fs::read(Path::new(bundle)).unwrap();
    say(&format!("the bundle has {} bytes", bytes.len()));
    std::fs::write(bundle, &bytes[..bytes.len() - 1000]).unwrap();
    let store = machine.folder("empty-again").display().to_string();
    machine.set("MILVUSCTL_STORE", &store);
    machine
        .milvusctl(&[&["up", "--bundle", bundle][..], &PLAN].concat())
        .ends_with(1)
        .complains_of(&["could not take the images of the bundle", "breaks off"]);
    assert_eq!(machine.nodes(), [""; 0]);
}
