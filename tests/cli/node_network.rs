//! Nodes that read images from a connection to this machine, and the fallback if they cannot connect.

use crate::disk::waiting_for;
use crate::fixture::{Fixture, Outcome};

const IMAGE: &str = "docker.io/test/two:1";
/// `test/two:1`, of two layers.
const ARCHIVE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/docker-save-two-layers.docker-20.10.tar");

/// Runs the script as a node would, with a `ctr` that keeps its input.
const AS_IN_A_NODE: &str = r#"shift 3
mkdir -p "$FAKE_TOOL_DIR/node"
cat >"$FAKE_TOOL_DIR/node/ctr" <<'CTR'
#!/bin/sh
PATH=/usr/bin:/bin
echo "$*" >>"$FAKE_TOOL_DIR/imports"
cat >"$FAKE_TOOL_DIR/archive"
tar -xOf "$FAKE_TOOL_DIR/archive" index.json | sed 's/.*"digest":"\(sha256:[0-9a-f]*\)".*/\1/' >"$FAKE_TOOL_DIR/holds"
CTR
chmod +x "$FAKE_TOOL_DIR/node/ctr"
program=$(command -v "$1")
shift
PATH=$FAKE_TOOL_DIR/node exec "$program" "$@"
"#;

fn load(machine: Fixture, in_node: &str) -> (Fixture, Outcome) {
    let address = u32::from_ne_bytes([127, 0, 0, 1]);
    machine.on("docker exec w cat /proc/net/route").says(&format!(
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
         eth0 00000000 {address:08X} 0003 0 0 0 00000000 0 0 0\n"
    ));
    machine.on("docker exec -i w bash").runs(in_node);
    machine.on("docker save").runs(&format!("cat '{ARCHIVE}'"));
    machine
        .on("docker image inspect")
        .says(r#"[{"Id": "sha256:1", "Os": "linux", "Architecture": "amd64", "RootFS": {"Layers": []}}]"#);
    let machine = waiting_for(machine, IMAGE, "");
    let outcome = machine.milvusctl(&["load-missing-images", "--verbose", "--output", "json"]);
    (machine, outcome)
}

fn through_exec(machine: &Fixture) -> usize {
    machine.calls().iter().filter(|call| call.starts_with("docker exec -i w ctr")).count()
}

#[test]
fn a_node_reads_the_archive_from_a_connection() {
    let (machine, outcome) = load(Fixture::new(), AS_IN_A_NODE);
    let report = outcome.ends_with(0).json();
    assert_eq!((&report["loaded"], through_exec(&machine)), (&1.into(), 0));
    let sent = report["images"][0]["nodes"][0]["bytes_sent"].as_u64().unwrap();
    let archive = machine.home().join("../fake/archive");
    assert_eq!(std::fs::metadata(archive).unwrap().len(), sent);
    let imports = std::fs::read_to_string(machine.home().join("../fake/imports")).unwrap();
    assert_eq!(imports, "--namespace k8s.io images import -\n");
}

#[test]
fn a_node_behind_a_firewall_falls_back_to_docker_exec() {
    let (machine, outcome) = load(Fixture::new(), "echo; exec sleep 60");
    let outcome =
        outcome.ends_with(0).complains_of(&["w: falls back to `docker exec`, as it could not connect"]);
    assert_eq!((&outcome.json()["loaded"], through_exec(&machine)), (&1.into(), 1));
    machine.assert_all_ended();
}

#[test]
fn a_node_without_ctr_still_falls_back_to_kind() {
    let machine = Fixture::new();
    machine
        .on("docker exec -i w ctr")
        .fails(126, "exec: \"ctr\": executable file not found in $PATH: unknown\n");
    let (machine, outcome) = load(machine, &AS_IN_A_NODE.replace("/node/ctr", "/node/other"));
    assert_eq!(outcome.ends_with(0).json()["loaded"], 1);
    assert_eq!(machine.calls().iter().filter(|call| call.starts_with("kind load")).count(), 1);
}

#[test]
fn a_node_without_bash_falls_back_to_docker_exec() {
    let words = "OCI runtime exec failed: exec failed: \"bash\": executable file not found in $PATH: unknown";
    let (machine, outcome) = load(Fixture::new(), &format!("echo '{words}' >&2; exit 127"));
    let outcome = outcome.ends_with(0).complains_of(&[words]);
    assert_eq!((&outcome.json()["loaded"], through_exec(&machine)), (&1.into(), 1));
}

#[test]
fn an_import_that_fails_after_connecting_reports_why() {
    let failing = AS_IN_A_NODE
        .replace("cat >\"$FAKE_TOOL_DIR/archive\"\n", "echo 'ctr: no space left on device' >&2\nexit 1\n");
    let (machine, outcome) = load(Fixture::new(), &failing);
    let report = outcome.ends_with(4).json();
    assert_eq!(report["images"][0]["error"], "node `w`: ctr: no space left on device");
    assert_eq!(through_exec(&machine), 0);
}
