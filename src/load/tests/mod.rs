//! Whole loads against a scripted engine and scripted nodes.

use std::io;
use std::sync::Arc;

use super::*;
use crate::archive::Platform;
use crate::archive::{self, Expected, Limits, NodeHolds, Sink};
use crate::images::loading::Loader;
use crate::images::outcome::NodeOutcome;
use crate::process::ScriptedRunner;
use crate::tools::node_survey::OneByOne;

mod batches;
mod held;
mod sending;
mod through_kind;
mod undoing;

/// `test/two:1`, of two layers.
const ARCHIVE: &[u8] = include_bytes!("../../../tests/fixtures/docker-save-two-layers.docker-20.10.tar");
const NAME: &str = "docker.io/test/two:1";
const SAVE: &str = "docker save test/two:1";
const INSPECT: &str = "docker image inspect test/two:1";
const CONTENT: &str = "docker exec n1 ctr --namespace k8s.io content ls";
const CONFIG: &str = "docker exec n1 containerd config dump";
const IMPORT: &str = "docker exec -i n1 ctr --namespace k8s.io images import -";
const CHECK: &str = "docker exec n1 ctr --namespace k8s.io images check";
const REMOVE: &str = "docker exec -i n1 ctr --namespace k8s.io images rm docker.io/test/two:1";
const HELP: &str = "docker exec n1 ctr images import --help";
const GATEWAY: &str = "docker exec n1 cat /proc/net/route";
const LIST: &str = "docker exec n1 ctr --namespace k8s.io images ls";
const TAG: &str =
    "docker exec -i n1 ctr --namespace k8s.io images tag --force sha256:old docker.io/test/two:1";
const NO_IMAGES: &str = "REF TYPE DIGEST SIZE PLATFORMS LABELS\n";
const NO_CONTENT: &str = "DIGEST\tSIZE\tAGE\tLABELS\n";

/// The layers of the archive's image, and the manifest sent to nodes.
fn image() -> (Vec<Digest>, Digest) {
    let sink = Sink {
        node: "n".into(),
        writer: Box::new(io::sink()),
        holds: NodeHolds::nothing(),
        wants: Vec::new(),
    };
    let expected = [Expected::named("docker.io/test/two:1")];
    let sent = archive::transfer(ARCHIVE, &expected, vec![sink], Limits::default(), &|_| ()).unwrap();
    let diff_ids = archive::contents(ARCHIVE).unwrap().remove(0).diff_ids;
    (diff_ids, sent.nodes[0].images[0].manifest)
}

fn inspected() -> String {
    let layers: Vec<String> = image().0.iter().map(ToString::to_string).collect();
    serde_json::json!([{"Id": "sha256:1", "Os": "linux", "Architecture": "amd64", "RootFS": {"Layers": layers}}])
        .to_string()
}

/// `ctr images check` on a node with the image, complete or not.
fn listed(is_complete: bool) -> String {
    let state = if is_complete { "complete (3/3)" } else { "incomplete (2/3)" };
    let target = image().1;
    format!(
        "REF TYPE DIGEST STATUS SIZE UNPACKED\ndocker.io/test/two:1 manifest {target} {state} 1 B/1 B {is_complete}\n"
    )
}

/// `ctr content ls` on a node with the lower layer.
fn lower_layer() -> String {
    format!("{NO_CONTENT}{}\t2.048kB\t1 minute\t-\n", image().0[0])
}

/// A node that holds nothing before the run.
fn script() -> ScriptedRunner {
    script_on(&[])
}

/// A node whose names pointed to these before the run.
fn script_on(before: &[(&str, Digest)]) -> ScriptedRunner {
    ScriptedRunner::default()
        .answer(INSPECT, &inspected())
        .answer_bytes(SAVE, ARCHIVE)
        .answer(CONFIG, "")
        .answer(GATEWAY, "")
        .answer(HELP, "")
        .answer(LIST, &names(before))
}

/// `ctr images ls` on a node with these names.
fn names(names: &[(&str, Digest)]) -> String {
    names.iter().fold(NO_IMAGES.to_owned(), |text, (name, target)| {
        format!("{text}{name} manifest {target} 1 B linux/amd64 -\n")
    })
}

fn load(first: &[&str]) -> ImageLoad {
    ImageLoad {
        image: "test/two:1".parse().unwrap(),
        reasons: BTreeSet::new(),
        pods: BTreeSet::new(),
        pull: None,
        first: first.iter().map(ToString::to_string).collect(),
        then: Vec::new(),
        platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
    }
}

fn context(runner: &Arc<ScriptedRunner>) -> Context {
    context_with(Loader::Direct, runner.clone())
}

fn context_with(loader: Loader, runner: Arc<dyn crate::process::Runner>) -> Context {
    let mut context = Context::for_test(Arc::new(OneByOne(runner)));
    context.settings.images.loader = loader;
    context.settings.images.jobs = 1;
    context
}

fn method() -> Method {
    Method::new((1, 41))
}

fn run(runner: ScriptedRunner, loads: &[ImageLoad]) -> (Vec<ImageOutcome>, Vec<String>) {
    let runner = Arc::new(runner);
    let loaded = load_images(&context(&runner), &method(), loads).unwrap();
    (loaded.images, runner.asked())
}

fn times(asked: &[String], line: &str) -> usize {
    asked.iter().filter(|asked| *asked == line).count()
}
