//! `up` killed again and again at random: it succeeds in the end, and no foreign data is lost.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::machine::{Machine, say, wait_for};

/// Kills before there is a cluster, and after; with the one in between they are twenty.
const KILLS: (u32, u32) = (5, 14);
/// Somebody else's container, labelled as a node of another kind cluster.
const CONTAINER: &str = "milvusctl-test-killed-foreign-control-plane";
const RELEASE: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: theirs}
data: {key: value}
";

#[test]
#[ignore = "needs Docker, kind, helm and kubectl, and takes minutes"]
fn an_up_that_is_killed_again_and_again_comes_through_and_nothing_foreign_is_lost() {
    let machine = Machine::new("milvusctl-test-killed");
    let mut dice = Dice::new();
    let container = ForeignContainer::new(&machine);
    for _ in 0..KILLS.0 {
        kill_up(&machine, &settings(&machine, 0), &mut dice, 1..20_000);
    }
    // Nobody can have anything in a cluster that does not exist yet.
    let child = machine.start(&up(&settings(&machine, 0)));
    wait_for("the operator's namespace", Duration::from_secs(300), || {
        machine.kubectl(&["get", "namespace", "milvus-operator"]).ok()
    });
    end(child, Signal::KILL);
    let release = foreign_release(&machine);
    let nodes = machine.nodes();
    for _ in 0..KILLS.1 / 2 {
        kill_up(&machine, &settings(&machine, 0), &mut dice, 1..8_000);
    }
    up_comes_through(&machine, 0);
    let data = write_data(&machine);
    for _ in 0..KILLS.1 - KILLS.1 / 2 {
        kill_up(&machine, &settings(&machine, 1), &mut dice, 1..8_000);
    }
    up_comes_through(&machine, 1);
    the_data_is_there(&machine, &data);
    up_comes_through(&machine, 1);
    the_data_is_there(&machine, &data);
    assert_eq!(machine.nodes(), nodes, "a cluster that was whole was made anew");
    assert_eq!(foreign_release(&machine), release);
    assert_eq!(container.running(), container.id);
}

/// Random numbers, reproducible by seed.
struct Dice(u64);

impl Dice {
    /// Seeded from `MILVUSCTL_TEST_SEED`, or with a seed that is printed.
    fn new() -> Self {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
        let seed = std::env::var("MILVUSCTL_TEST_SEED").map_or_else(|_| now(), |seed| seed.parse().unwrap());
        say(&format!("MILVUSCTL_TEST_SEED={seed}"));
        Self(seed)
    }

    /// A number in `range` (Knuth's linear congruential generator, MMIX).
    fn roll(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        range.start + (self.0 >> 33) % (range.end - range.start)
    }
}

/// The path of settings that differ by `number` in what helm and the operator have to do.
fn settings(machine: &Machine, number: u32) -> String {
    let values =
        machine.file("values.yaml", &format!("resources: {{requests: {{memory: {}Mi}}}}\n", 100 + number));
    let text = format!(
        "operator: {{valuesFile: {values}}}\nmilvus: {{resources: {{requests: {{cpu: {}m}}}}}}\n",
        50 + number
    );
    machine.file("killed.yaml", &text)
}

/// A kind whose `up` was killed continues by itself, and the next run waits for it. With a preset, it would
/// lack the names that `up` gives the nodes' images and only fail after minutes.
fn up(settings: &str) -> Vec<&str> {
    let small = ["up", "--small", "--no-attu", "--mirror-preset", "none", "--timeout", "8m"];
    [&small[..], &["-c", settings, "-o", "json"]].concat()
}

/// Starts `up` and kills it after a random time, unless it has ended by itself.
fn kill_up(machine: &Machine, settings: &str, dice: &mut Dice, milliseconds: std::ops::Range<u64>) {
    let after = Duration::from_millis(dice.roll(milliseconds));
    let signal = if dice.roll(0..2) == 0 { Signal::KILL } else { Signal::INT };
    let mut child = machine.start(&up(settings));
    let begun = Instant::now();
    while begun.elapsed() < after && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    say(&format!("{signal:?} after {:?}", begun.elapsed()));
    end(child, signal);
}

/// Ends a run; asserts that one asked to end does so soon and says so.
fn end(child: Child, signal: Signal) {
    let asked = Instant::now();
    // It may have ended just before.
    let _ = kill_process(Pid::from_child(&child), signal);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    say(&said);
    if signal == Signal::INT {
        assert!(asked.elapsed() < Duration::from_secs(30), "it took {:?}", asked.elapsed());
        // One that has only just started is killed by the signal itself.
        let code = output.status.code().or(output.status.signal().map(|signal| 128 + signal));
        assert!(matches!(code, Some(0 | 130)), "{:?}:\n{said}", output.status);
    }
}

/// Spares the next run the five minutes during which a killed helm might still be at work.
fn age_what_helm_began(machine: &Machine) {
    let pending = "owner=helm,name=milvus-operator,status in (pending-install,pending-upgrade)";
    let secrets = ["--namespace", "milvus-operator", "--selector", pending];
    let label = ["label", "secrets", "--overwrite", "createdAt=1"];
    let _ = machine.kubectl(&[&label[..], &secrets].concat());
}

fn up_comes_through(machine: &Machine, number: u32) {
    age_what_helm_began(machine);
    let answer = machine.milvusctl(&up(&settings(machine, number))).ends_with(0).json();
    assert_eq!(answer["milvus"]["status"], json!("Healthy"));
}

/// Installs somebody else's release if it is missing, and returns what identifies it and what it created.
fn foreign_release(machine: &Machine) -> String {
    let chart = machine.folder("chart/templates").parent().unwrap().display().to_string();
    machine.file("chart/Chart.yaml", "apiVersion: v2\nname: theirs\nversion: 1.0.0\n");
    machine.file("chart/templates/all.yaml", RELEASE);
    let names = ["sh.helm.release.v1.theirs.v1", "theirs"];
    let columns = "jsonpath={.metadata.name} {.metadata.uid} {.metadata.resourceVersion}";
    let look = |kind: &str, name: &str| machine.kubectl(&["get", kind, name, "-o", columns]);
    if look("secret", names[0]).is_err() {
        machine.helm(&["install", "theirs", &chart, "--namespace", "default"]).unwrap();
    }
    format!("{}, {}", look("secret", names[0]).unwrap(), look("configmap", names[1]).unwrap())
}

/// Writes a file into each volume claimed by Milvus's dependencies, and returns the claims with the files'
/// content.
fn write_data(machine: &Machine) -> Vec<(String, String)> {
    for (pod, path) in volumes(machine) {
        machine.kubectl(&["exec", &pod, "--", "sh", "-c", &format!("echo {pod} >{path}/kept")]).unwrap();
    }
    data(machine)
}

fn the_data_is_there(machine: &Machine, expected: &[(String, String)]) {
    assert!(!expected.is_empty());
    assert_eq!(data(machine), expected);
}

/// The claims by name and UID, and the content of the file in each volume.
fn data(machine: &Machine) -> Vec<(String, String)> {
    let claims = "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{\"\\n\"}{end}";
    let claims = machine.kubectl(&["get", "persistentvolumeclaims", "-o", claims]).unwrap();
    let mut data: Vec<(String, String)> =
        claims.lines().map(|claim| (claim.to_owned(), String::new())).collect();
    for (pod, path) in volumes(machine) {
        let text = machine.kubectl(&["exec", &pod, "--", "cat", &format!("{path}/kept")]).unwrap();
        data.push((path, text));
    }
    data
}

/// The pods with a claim, each with the path where its volume is mounted.
fn volumes(machine: &Machine) -> Vec<(String, String)> {
    let pods = machine.kubectl(&["get", "pods", "-o", "json"]).unwrap();
    let pods: Value = serde_json::from_str(&pods).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mount = |pod: &Value| {
        let volumes = list(&pod["spec"]["volumes"]);
        let volume = volumes.iter().find(|volume| volume["persistentVolumeClaim"].is_object())?;
        let mounts = list(&pod["spec"]["containers"][0]["volumeMounts"]);
        let mount = mounts.iter().find(|mount| mount["name"] == volume["name"])?;
        let name = pod["metadata"]["name"].as_str()?;
        // One that is being replaced is about to go.
        let stays = pod["metadata"]["deletionTimestamp"].is_null();
        stays.then(|| Some((name.to_owned(), mount["mountPath"].as_str()?.to_owned())))?
    };
    list(&pods["items"]).iter().filter_map(mount).collect()
}

/// A container that no run of `up` may touch; removed when dropped.
struct ForeignContainer<'m> {
    machine: &'m Machine,
    id: String,
}

impl<'m> ForeignContainer<'m> {
    fn new(machine: &'m Machine) -> Self {
        let _ = machine.tool("docker", &["rm", "--force", CONTAINER]);
        let label = "io.x-k8s.kind.cluster=milvusctl-test-killed-foreign";
        let run = ["run", "--detach", "--name", CONTAINER, "--label", label, "busybox:1.36", "sleep", "3600"];
        Self { machine, id: machine.tool("docker", &run).unwrap() }
    }

    /// The IDs of the running containers with its name.
    fn running(&self) -> String {
        let name = format!("name=^{CONTAINER}$");
        self.machine.tool("docker", &["ps", "--no-trunc", "--quiet", "--filter", &name]).unwrap()
    }
}

impl Drop for ForeignContainer<'_> {
    fn drop(&mut self) {
        let _ = self.machine.tool("docker", &["rm", "--force", CONTAINER]);
    }
}
