use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::archive::Platform;
use crate::archive::{self, Expected, Limits, NodeHolds, Sink};
use crate::images::loading::Loader;
use crate::images::outcome::NodeOutcome;
use crate::process::ScriptedRunner;

/// `test/two:1`, of two layers.
const ARCHIVE: &[u8] = include_bytes!("../../tests/fixtures/docker-save-two-layers.docker-20.10.tar");
const NAME: &str = "docker.io/test/two:1";
const SAVE: &str = "docker save test/two:1";
const INSPECT: &str = "docker image inspect test/two:1";
const CONTENT: &str = "docker exec n1 ctr --namespace k8s.io content ls";
const CONFIG: &str = "docker exec n1 containerd config dump";
const IMPORT: &str = "docker exec -i n1 ctr --namespace k8s.io images import -";
const CHECK: &str = "docker exec n1 ctr --namespace k8s.io images check";
const REMOVE: &str = "docker exec -i n1 ctr --namespace k8s.io images rm docker.io/test/two:1";
const HELP: &str = "docker exec n1 ctr images import --help";
const GATEWAY: &str = "docker inspect --format '{{range .NetworkSettings.Networks}}{{.Gateway}} {{end}}' n1";
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
    let mut context = Context::for_test(runner);
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

#[test]
fn a_node_is_asked_for_its_content_only_once() {
    let runner = script().answer(CONTENT, NO_CONTENT).answer(IMPORT, "").answer(CHECK, &listed(true));
    let (images, asked) = run(runner, &[load(&["n1"]), load(&["n1"])]);
    assert_eq!(images.iter().map(|image| image.outcome).collect::<Vec<_>>(), [Outcome::Loaded; 2]);
    assert_eq!((times(&asked, CONTENT), times(&asked, IMPORT), times(&asked, CHECK)), (1, 2, 1));
    let sent: Vec<u64> = images.iter().map(|image| image.nodes[0].bytes_sent).collect();
    assert!(sent[1] < sent[0], "the second leaves out what the first brought: {sent:?}");
}

#[test]
fn ctr_imports_locally_with_the_nodes_snapshotter_if_it_can() {
    let runner = ScriptedRunner::default()
        .answer(INSPECT, &inspected())
        .answer_bytes(SAVE, ARCHIVE)
        .answer(CONFIG, "[plugins.'io.containerd.cri.v1.images']\n  snapshotter = 'native'\n")
        .answer(GATEWAY, "")
        .answer(HELP, "   --local  run import locally rather than through transfer API\n")
        .answer(LIST, NO_IMAGES)
        .answer(CONTENT, NO_CONTENT)
        .answer(&IMPORT.replace("import -", "import --local --snapshotter native -"), "")
        .answer(CHECK, &listed(true));
    let (images, asked) = run(runner, &[load(&["n1"]), load(&["n1"])]);
    assert_eq!(images.iter().map(|image| image.outcome).collect::<Vec<_>>(), [Outcome::Loaded; 2]);
    assert_eq!(times(&asked, HELP), 1);
}

#[test]
fn a_node_that_refuses_a_partial_image_gets_the_whole_one_once() {
    let runner = script()
        .answer(CONTENT, &lower_layer())
        .fail(IMPORT, "ctr: content digest sha256:95e6: not found")
        .answer(IMPORT, "")
        .answer(LIST, &names(&[(NAME, image().1)]))
        .answer(REMOVE, "")
        .answer(CHECK, &listed(true));
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!(images[0].outcome, Outcome::Loaded);
    assert!(images[0].nodes[0].sent_whole);
    assert_eq!((times(&asked, SAVE), times(&asked, IMPORT), times(&asked, REMOVE)), (2, 2, 1));
}

#[test]
fn a_node_that_refuses_the_whole_image_is_not_retried_forever() {
    let runner = script()
        .answer(CONTENT, NO_CONTENT)
        .fail(IMPORT, "ctr: unexpected EOF")
        .answer(CHECK, "REF TYPE DIGEST STATUS SIZE UNPACKED\n");
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!(images[0].error.as_deref(), Some("node `n1`: ctr: unexpected EOF"));
    assert_eq!((images[0].outcome, times(&asked, IMPORT)), (Outcome::LoadFailed, 2));
}

#[test]
fn a_node_with_a_full_disk_is_not_retried() {
    let runner = script()
        .answer(CONTENT, &lower_layer())
        .fail(IMPORT, "ctr: no space left on device")
        .answer(CHECK, "REF TYPE DIGEST STATUS SIZE UNPACKED\n");
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!(images[0].outcome, Outcome::LoadFailed);
    assert_eq!(images[0].error.as_deref(), Some("node `n1`: ctr: no space left on device"));
    assert_eq!(images[0].hint.as_deref(), Some(crate::tools::ENGINE_DISK_HINT));
    assert_eq!(times(&asked, IMPORT), 1);
}

#[test]
fn a_failed_import_keeps_the_nodes_previous_image() {
    let old = Digest::of(b"old");
    let runner = script_on(&[(NAME, old)])
        .answer(CONTENT, NO_CONTENT)
        .fail(IMPORT, "ctr: no space left on device")
        .answer(CHECK, &listed(true).replace(&image().1.to_string(), &old.to_string()));
    // Neither `images rm` nor `images tag` is scripted: asking for one would end the test.
    let (images, _) = run(runner, &[load(&["n1"])]);
    assert_eq!(images[0].outcome, Outcome::LoadFailed);
}

#[test]
fn an_image_replaced_by_a_partial_one_is_restored() {
    let (old, new) = (Digest::of(b"old"), image().1);
    let runner = script_on(&[(NAME, old), ("sha256:old", old)])
        .answer(LIST, &names(&[(NAME, new), ("sha256:old", old)]))
        .answer(CONTENT, NO_CONTENT)
        .fail(IMPORT, "ctr: no space left on device")
        .answer(CHECK, &listed(false))
        .answer(TAG, "");
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!((images[0].outcome, times(&asked, TAG)), (Outcome::LoadFailed, 1));
}

#[test]
fn an_image_that_cannot_be_restored_is_reported_and_keeps_its_name() {
    let old = Digest::of(b"old");
    let runner = script_on(&[(NAME, old)])
        .answer(LIST, &names(&[(NAME, image().1)]))
        .answer(CONTENT, NO_CONTENT)
        .fail(IMPORT, "ctr: no space left on device")
        .answer(CHECK, &listed(false));
    let (images, asked) = run(runner, &[load(&["n1"])]);
    let error = format!(
        "node `n1`: ctr: no space left on device; the name pointed to {old} before, and could not be restored: \
         the node no longer lists it"
    );
    assert_eq!((images[0].error.as_deref(), times(&asked, REMOVE)), (Some(error.as_str()), 0));
}

#[test]
fn a_partial_image_is_removed_after_the_last_attempt() {
    let runner = script()
        .answer(LIST, &names(&[(NAME, image().1)]))
        .answer(CONTENT, NO_CONTENT)
        .answer(IMPORT, "")
        .answer(REMOVE, "")
        .answer(CHECK, &listed(false));
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!((images[0].outcome, times(&asked, REMOVE)), (Outcome::LoadFailed, 2));
}

#[test]
fn nothing_is_removed_from_a_node_that_did_not_list_its_images() {
    let runner = ScriptedRunner::default()
        .answer(INSPECT, &inspected())
        .answer_bytes(SAVE, ARCHIVE)
        .answer(CONFIG, "")
        .answer(GATEWAY, "")
        .answer(HELP, "")
        .fail(LIST, "ctr: connection refused")
        .answer(CONTENT, NO_CONTENT)
        .answer(IMPORT, "")
        .answer(CHECK, &listed(false));
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!((images[0].outcome, times(&asked, REMOVE)), (Outcome::LoadFailed, 0));
}

#[test]
fn an_incomplete_image_is_removed_and_resent() {
    let runner = script()
        .answer(CONTENT, NO_CONTENT)
        .answer(LIST, &names(&[(NAME, image().1)]))
        .answer(IMPORT, "")
        .answer(REMOVE, "")
        .answer(CHECK, &listed(false))
        .answer(CHECK, &listed(true));
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!(images[0].outcome, Outcome::Loaded);
    let order: Vec<&str> =
        asked.iter().map(String::as_str).filter(|line| [IMPORT, CHECK, REMOVE].contains(line)).collect();
    assert_eq!(order, [IMPORT, CHECK, REMOVE, IMPORT, CHECK]);
}

/// Two images that share their lower layer, `test/left:1` and `test/right:1`.
const SHARED: &[u8] = include_bytes!("../../tests/fixtures/docker-save-shared-layer.docker-20.10.tar");
const NAMES: [&str; 2] = ["test/left:1", "test/right:1"];

fn shared() -> Vec<Expected> {
    archive::contents(SHARED).unwrap()
}

/// `ctr images check` on a node with both.
fn both_listed() -> String {
    let sink =
        Sink { node: "n".into(), writer: Box::new(io::sink()), holds: NodeHolds::nothing(), wants: vec![] };
    let sent = archive::transfer(SHARED, &shared(), vec![sink], Limits::default(), &|_| ()).unwrap();
    sent.nodes[0].images.iter().fold("REF TYPE DIGEST STATUS SIZE UNPACKED\n".to_owned(), |text, image| {
        format!("{text}{} manifest {} complete (3/3) 1 B/1 B true\n", image.name, image.manifest)
    })
}

/// Both images are in the engine, and nodes have room for them.
fn shared_script() -> ScriptedRunner {
    let mut script = ScriptedRunner::default()
        .answer(CONFIG, "")
        .answer(GATEWAY, "")
        .answer(HELP, "")
        .answer(CONTENT, NO_CONTENT)
        .answer(LIST, NO_IMAGES);
    for (name, image) in NAMES.iter().zip(shared()) {
        let layers: Vec<String> = image.diff_ids.iter().map(ToString::to_string).collect();
        let inspected = serde_json::json!([
            {"Id": "sha256:1", "Os": "linux", "Architecture": "amd64", "RootFS": {"Layers": layers}}
        ]);
        script = script.answer(&format!("docker image inspect {name}"), &inspected.to_string());
    }
    script
}

fn then(image: &str, nodes: &[&str]) -> ImageLoad {
    let nodes = nodes.iter().map(ToString::to_string).collect();
    ImageLoad { image: image.parse().unwrap(), then: nodes, ..load(&[]) }
}

/// A batch as the board creates it, independent of the order of pulls.
fn give_both(runner: ScriptedRunner) -> (Vec<Item>, Vec<String>) {
    let runner = Arc::new(runner);
    let context = context(&runner);
    let loads = NAMES.map(|name| then(name, &["n1"]));
    let method = method();
    let fetcher = Fetcher::new(&context, None).unwrap();
    let run = Run::new(&context, &method, &loads, &fetcher);
    let mut items: Vec<Item> = run.items.into_iter().map(|item| item.into_inner().unwrap()).collect();
    for (item, image) in items.iter_mut().zip(shared()) {
        item.diff_ids = image.diff_ids;
    }
    let nodes = ["n1".to_owned()];
    give(&context, &method, items.iter_mut().map(|item| (item, &nodes[..])).collect(), Round::First, &|| {
        true
    });
    (items, runner.asked())
}

const SAVE_BOTH: &str = "docker save test/left:1 test/right:1";

#[test]
fn batched_images_are_read_once_and_counted_separately() {
    let runner = shared_script().answer_bytes(SAVE_BOTH, SHARED).answer(IMPORT, "");
    let (items, asked) = give_both(runner);
    assert_eq!((times(&asked, SAVE_BOTH), times(&asked, IMPORT)), (1, 1));
    let outcomes: Vec<&NodeOutcome> = items.iter().map(|item| &item.nodes["n1"]).collect();
    assert!(outcomes.iter().all(|outcome| outcome.outcome == Outcome::Loaded), "{outcomes:?}");
    assert!(outcomes[0].bytes_sent > outcomes[1].bytes_sent, "the first brings what both need: {outcomes:?}");
    assert!(outcomes[1].bytes_sent > 2048, "{outcomes:?}");
    assert_eq!((items[0].bytes_read, items[1].bytes_read), (SHARED.len() as u64, 0));
    assert_ne!(items[0].manifests["n1"], items[1].manifests["n1"]);
}

#[test]
fn a_refused_batch_is_sent_image_by_image() {
    let mut runner = shared_script().answer_bytes(SAVE_BOTH, SHARED).fail(IMPORT, "ctr: unexpected EOF");
    for name in NAMES {
        // The recorded archive contains both; only one is requested.
        runner = runner
            .answer_bytes(&format!("docker save {name}"), SHARED)
            .answer(&format!("docker exec -i n1 ctr --namespace k8s.io images rm docker.io/{name}"), "");
    }
    let (items, asked) = give_both(runner.answer(IMPORT, ""));
    assert_eq!(times(&asked, IMPORT), 3);
    for item in &items {
        assert_eq!(item.nodes["n1"].outcome, Outcome::Loaded);
    }
}

#[test]
fn an_image_lost_by_the_engine_does_not_fail_its_batch() {
    let lost = "Error response from daemon: reference does not exist";
    let mut runner = shared_script()
        .fail(SAVE_BOTH, lost)
        .fail("docker save test/left:1", lost)
        .answer_bytes("docker save test/right:1", SHARED)
        .answer(IMPORT, "");
    for name in NAMES {
        runner = runner
            .answer(&format!("docker exec -i n1 ctr --namespace k8s.io images rm docker.io/{name}"), "");
    }
    let (items, _) = give_both(runner);
    let outcomes: Vec<Outcome> = items.iter().map(|item| item.nodes["n1"].outcome).collect();
    assert_eq!(outcomes, [Outcome::LoadFailed, Outcome::Loaded]);
    assert!(items[0].nodes["n1"].error.as_deref().unwrap().contains("reference does not exist"));
}

#[test]
fn images_nobody_waits_for_are_verified_one_by_one() {
    let runner = shared_script()
        .answer_bytes(SAVE_BOTH, SHARED)
        .answer_bytes("docker save test/left:1", SHARED)
        .answer_bytes("docker save test/right:1", SHARED)
        .answer(IMPORT, "")
        .answer(CHECK, &both_listed());
    let (images, _) = run(runner, &NAMES.map(|name| then(name, &["n1"])));
    let found: Vec<(&str, Outcome)> =
        images.iter().map(|image| (image.image.as_str(), image.outcome)).collect();
    let expected = [("docker.io/test/left:1", Outcome::Loaded), ("docker.io/test/right:1", Outcome::Loaded)];
    assert_eq!(found, expected);
}

#[test]
fn a_node_without_waiting_pods_does_not_unpack_if_ctr_can_skip_it() {
    let waits = ImageLoad { first: vec!["n1".into()], then: vec!["n2".into()], ..load(&[]) };
    let on_n2 = |line: &str| line.replace("n1", "n2");
    for (help, flag) in [("   --no-unpack  skip unpacking\n", "--no-unpack -"), ("", "-")] {
        let later = on_n2(IMPORT).replace("import -", &format!("import {flag}"));
        let mut runner = ScriptedRunner::default().answer(INSPECT, &inspected()).answer_bytes(SAVE, ARCHIVE);
        for line in [CONFIG, HELP, GATEWAY, LIST, CONTENT, CHECK] {
            let text = match line {
                HELP => help.to_owned(),
                LIST => NO_IMAGES.to_owned(),
                CONTENT => NO_CONTENT.to_owned(),
                CHECK => listed(true),
                _ => String::new(),
            };
            runner = runner.answer(line, &text).answer(&on_n2(line), &text);
        }
        let (images, asked) = run(runner.answer(IMPORT, "").answer(&later, ""), std::slice::from_ref(&waits));
        assert_eq!(images[0].outcome, Outcome::Loaded);
        assert_eq!((times(&asked, IMPORT), times(&asked, &later)), (1, 1));
    }
}

const TO_KIND: &str = "kind load image-archive";

/// A runner for `--loader kind`, where the file's name differs between runs.
struct ThroughKind {
    fails_with: Option<&'static str>,
    inner: ScriptedRunner,
    asked: std::sync::Mutex<Vec<String>>,
}

impl crate::process::Runner for ThroughKind {
    fn run_with(
        &self,
        cmd: &crate::process::Cmd,
        on_line: &mut dyn FnMut(crate::process::Stream, &str),
    ) -> Result<crate::process::Output, crate::process::ExecError> {
        let line = cmd.to_string();
        if line.starts_with("docker save --output ") || line.starts_with(TO_KIND) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let path = words.iter().find(|word| word.contains("milvusctl-image-")).unwrap();
            self.asked.lock().unwrap().push(line.replace(path, "FILE"));
            if line.starts_with("docker save") {
                std::fs::write(path, [0; 7]).unwrap();
            } else if let Some(words) = self.fails_with {
                assert!(std::path::Path::new(path).exists());
                return Err(crate::process::ExecError::Failed {
                    cmd: line,
                    status: "exit status: 1".into(),
                    code: Some(1),
                    tail: vec![words.into()],
                    stdout: Vec::new(),
                });
            }
            return Ok(crate::process::Output::default());
        }
        self.inner.run_with(cmd, on_line)
    }

    fn start(
        &self,
        cmd: &crate::process::Cmd,
    ) -> Result<Box<dyn crate::process::Running>, crate::process::ExecError> {
        self.inner.start(cmd)
    }

    fn locate(&self, program: &str) -> Option<PathBuf> {
        self.inner.locate(program)
    }
}

fn load_with(
    loader: Loader,
    fails_with: Option<&'static str>,
    inner: ScriptedRunner,
) -> (ImageOutcome, Vec<String>) {
    let runner = Arc::new(ThroughKind { fails_with, inner, asked: std::sync::Mutex::default() });
    let report = load_images(&context_with(loader, runner.clone()), &method(), &[load(&["n1"])]).unwrap();
    let asked = runner.asked.lock().unwrap().clone();
    (report.images.into_iter().next().unwrap(), asked)
}

fn listed_by_name() -> ScriptedRunner {
    script().answer(CHECK, &listed(true))
}

#[test]
fn kinds_loader_uses_a_temporary_file() {
    let (image, asked) = load_with(Loader::Kind, None, listed_by_name());
    assert_eq!((image.outcome, image.nodes[0].bytes_sent), (Outcome::Loaded, 7));
    assert_eq!(
        asked,
        [
            "docker save --output FILE test/two:1",
            "kind load image-archive FILE --name milvus-cluster --nodes n1"
        ]
    );
}

#[test]
fn kinds_error_about_an_archive_is_reported() {
    let words = "ERROR: failed to load image: command failed";
    let (image, _) = load_with(Loader::Kind, Some(words), listed_by_name());
    assert_eq!(
        (image.outcome, image.error.as_deref()),
        (Outcome::LoadFailed, Some("node `n1`: ERROR: failed to load image: command failed"))
    );
}

#[test]
fn a_node_without_ctr_is_loaded_through_kind_unless_direct_was_requested() {
    let no_ctr = "OCI runtime exec failed: exec failed: \"ctr\": executable file not found in $PATH: unknown";
    let inner = || script().answer(CONTENT, NO_CONTENT).fail(IMPORT, no_ctr).answer(CHECK, &listed(true));
    let (image, asked) = load_with(Loader::Auto, None, inner());
    assert_eq!((image.outcome, asked.len()), (Outcome::Loaded, 2), "{:?}", image.error);
    let (image, asked) = load_with(Loader::Direct, None, inner());
    assert_eq!((image.outcome, asked.len()), (Outcome::LoadFailed, 0));
}

#[test]
fn a_stopped_node_gets_nothing_more_and_does_not_affect_others() {
    let stopped = "Error response from daemon: Container 89ee is not running";
    let on_n2 = |line: &str| line.replace("n1", "n2");
    let runner = script()
        .answer(CONTENT, NO_CONTENT)
        .answer(IMPORT, "")
        .answer(CHECK, &listed(true))
        .answer(&on_n2(CONTENT), &lower_layer())
        .answer(&on_n2(CONFIG), "")
        .answer(&on_n2(HELP), "")
        .answer(&on_n2(GATEWAY), "")
        .answer(&on_n2(LIST), NO_IMAGES)
        .fail(&on_n2(IMPORT), stopped)
        .fail(&on_n2(CHECK), stopped);
    let (images, asked) = run(runner, &[load(&["n1", "n2"])]);
    let nodes: Vec<_> = images[0].nodes.iter().map(|node| (node.node.as_str(), node.outcome)).collect();
    assert_eq!(nodes, [("n1", Outcome::Loaded), ("n2", Outcome::LoadFailed)]);
    assert_eq!((times(&asked, SAVE), times(&asked, &on_n2(IMPORT))), (1, 1));
    assert_eq!(images[0].hint.as_deref(), Some("start the node (`docker start NODE`), then rerun"));
}

#[test]
fn a_complete_but_not_unpacked_image_counts_as_loaded() {
    let table = listed(true).replace(" true\n", " false\n");
    let runner = script().answer(CONTENT, NO_CONTENT).answer(IMPORT, "").answer(CHECK, &table);
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!((images[0].outcome, times(&asked, IMPORT)), (Outcome::Loaded, 1));
}

/// Prints partial output and fails, like `ctr images check` of containerd 2.1 with a broken image.
struct BrokenImageNode(String);
impl crate::process::Runner for BrokenImageNode {
    fn run_with(
        &self,
        cmd: &crate::process::Cmd,
        _: &mut dyn FnMut(crate::process::Stream, &str),
    ) -> Result<crate::process::Output, crate::process::ExecError> {
        Err(crate::process::ExecError::Failed {
            cmd: cmd.to_string(),
            status: "exit status: 1".into(),
            code: Some(1),
            tail: vec!["ctr: content digest sha256:1: not found".into()],
            stdout: self.0.clone().into_bytes(),
        })
    }
    fn start(
        &self,
        _: &crate::process::Cmd,
    ) -> Result<Box<dyn crate::process::Running>, crate::process::ExecError> {
        unreachable!("nothing is started")
    }
    fn locate(&self, _: &str) -> Option<std::path::PathBuf> {
        None
    }
}

#[test]
fn a_broken_image_does_not_hide_a_nodes_other_images() {
    let ask = |table: String| {
        crate::load::containerd::held_by_nodes(
            &Context::for_test(Arc::new(BrokenImageNode(table))),
            &["n1".to_owned()],
        )
    };
    let held = ask(listed(true)).unwrap();
    assert!(held.images.holds("n1", &"test/two:1".parse().unwrap()));
    assert!(ask(String::new()).is_err(), "no table is no answer");
}

#[test]
fn a_paused_node_is_reported_and_not_asked() {
    const PS: &str = "docker ps --all --no-trunc --filter label=io.x-k8s.kind.cluster=milvus-cluster --format '{{.Names}}|{{.Label \"io.x-k8s.kind.role\"}}|{{.State}}|{{.Image}}|{{.Ports}}'";
    let runner = Arc::new(
        ScriptedRunner::default()
            .answer(PS, "n1|control-plane|running|kindest/node|\nn2|worker|paused|kindest/node|\n")
            .answer(CHECK, &listed(true)),
    );
    let context = Context::for_test(runner);
    let held = crate::load::held_by_nodes(&context, &["n1".to_owned(), "n2".to_owned()]).unwrap();
    assert!(held.images.holds("n1", &"test/two:1".parse().unwrap()));
    let closed = [("n2".to_owned(), "its container is stopped or paused".to_owned())];
    assert_eq!(held.closed, closed.into());
}
