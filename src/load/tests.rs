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
const LIST: &str = "docker exec n1 ctr --namespace k8s.io images ls";
const TAG: &str =
    "docker exec -i n1 ctr --namespace k8s.io images tag --force sha256:old docker.io/test/two:1";
const NO_IMAGES: &str = "REF TYPE DIGEST SIZE PLATFORMS LABELS\n";
const NO_CONTENT: &str = "DIGEST\tSIZE\tAGE\tLABELS\n";

/// What the archive says of its image: the layers, and the manifest that a node is given.
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

/// `ctr images check` of a node that has the image, complete or not.
fn listed(is_complete: bool) -> String {
    let state = if is_complete { "complete (3/3)" } else { "incomplete (2/3)" };
    let target = image().1;
    format!(
        "REF TYPE DIGEST STATUS SIZE UNPACKED\ndocker.io/test/two:1 manifest {target} {state} 1 B/1 B {is_complete}\n"
    )
}

/// `ctr content ls` of a node that has the lower layer.
fn lower_layer() -> String {
    format!("{NO_CONTENT}{}\t2.048kB\t1 minute\t-\n", image().0[0])
}

/// A node that holds nothing before the run.
fn script() -> ScriptedRunner {
    script_on(&[])
}

/// A node whose names led to these before the run.
fn script_on(before: &[(&str, Digest)]) -> ScriptedRunner {
    ScriptedRunner::default()
        .answer(INSPECT, &inspected())
        .answer_bytes(SAVE, ARCHIVE)
        .answer(CONFIG, "")
        .answer(HELP, "")
        .answer(LIST, &names(before))
}

/// `ctr images ls` of a node with these names.
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
    Context::for_test(runner.clone())
}

fn method() -> Method {
    Method {
        jobs: 1,
        loader: Loader::Direct,
        api: (1, 41),
        cluster: "c".into(),
        source: Source::Engine,
        store: None,
        nodes: Arc::default(),
        before: Arc::default(),
    }
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
fn a_node_is_asked_for_its_content_once_however_many_images_come() {
    let runner = script().answer(CONTENT, NO_CONTENT).answer(IMPORT, "").answer(CHECK, &listed(true));
    let (images, asked) = run(runner, &[load(&["n1"]), load(&["n1"])]);
    assert_eq!(images.iter().map(|image| image.outcome).collect::<Vec<_>>(), [Outcome::Loaded; 2]);
    assert_eq!((times(&asked, CONTENT), times(&asked, IMPORT), times(&asked, CHECK)), (1, 2, 1));
    let sent: Vec<u64> = images.iter().map(|image| image.nodes[0].bytes_sent).collect();
    assert!(sent[1] < sent[0], "the second leaves out what the first brought: {sent:?}");
}

#[test]
fn a_ctr_that_can_import_locally_is_told_to_and_with_the_snapshotter_of_the_node() {
    let runner = ScriptedRunner::default()
        .answer(INSPECT, &inspected())
        .answer_bytes(SAVE, ARCHIVE)
        .answer(CONFIG, "[plugins.'io.containerd.cri.v1.images']\n  snapshotter = 'native'\n")
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
fn a_node_that_refuses_a_part_is_sent_the_whole_image_once_and_the_report_says_so() {
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
fn a_node_that_refuses_the_whole_image_is_not_sent_it_without_end() {
    let runner = script()
        .answer(CONTENT, NO_CONTENT)
        .fail(IMPORT, "ctr: unexpected EOF")
        .answer(CHECK, "REF TYPE DIGEST STATUS SIZE UNPACKED\n");
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!(images[0].error.as_deref(), Some("node `n1`: ctr: unexpected EOF"));
    assert_eq!((images[0].outcome, times(&asked, IMPORT)), (Outcome::LoadFailed, 2));
}

#[test]
fn a_node_whose_disk_is_full_is_not_sent_the_image_again() {
    let runner = script()
        .answer(CONTENT, &lower_layer())
        .fail(IMPORT, "ctr: no space left on device")
        .answer(CHECK, "REF TYPE DIGEST STATUS SIZE UNPACKED\n");
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!(images[0].outcome, Outcome::LoadFailed);
    assert_eq!(images[0].error.as_deref(), Some("node `n1`: ctr: no space left on device"));
    assert_eq!(
        images[0].hint.as_deref(),
        Some("free up disk space for the engine (`docker system df`), then rerun")
    );
    assert_eq!(times(&asked, IMPORT), 1);
}

#[test]
fn a_failed_import_leaves_the_image_that_the_node_had() {
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
fn an_image_that_was_replaced_by_half_of_another_is_put_back() {
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
fn an_image_that_cannot_be_put_back_is_told_and_its_name_not_removed() {
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
fn what_is_half_there_after_the_last_try_is_taken_away() {
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
fn nothing_is_taken_from_a_node_that_did_not_say_what_it_held() {
    let runner = ScriptedRunner::default()
        .answer(INSPECT, &inspected())
        .answer_bytes(SAVE, ARCHIVE)
        .answer(CONFIG, "")
        .answer(HELP, "")
        .fail(LIST, "ctr: connection refused")
        .answer(CONTENT, NO_CONTENT)
        .answer(IMPORT, "")
        .answer(CHECK, &listed(false));
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!((images[0].outcome, times(&asked, REMOVE)), (Outcome::LoadFailed, 0));
}

#[test]
fn an_image_that_the_node_does_not_list_complete_is_removed_and_sent_again() {
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

/// `ctr images check` of a node that has taken both.
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

/// A batch as the board makes it, without the order in which pulls end.
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
fn images_that_go_together_are_read_once_and_each_has_its_own_bytes() {
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
fn an_archive_of_several_images_that_a_node_refuses_is_taken_apart() {
    let mut runner = shared_script().answer_bytes(SAVE_BOTH, SHARED).fail(IMPORT, "ctr: unexpected EOF");
    for name in NAMES {
        // Each archive holds both, as it was recorded so; only one is asked for.
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
fn an_image_that_the_engine_lost_does_not_take_others_of_its_archive_along() {
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
fn where_nobody_waits_images_are_proven_one_by_one() {
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
fn a_node_on_which_nobody_waits_is_not_made_to_unpack_where_its_ctr_can_leave_that() {
    let waits = ImageLoad { first: vec!["n1".into()], then: vec!["n2".into()], ..load(&[]) };
    let on_n2 = |line: &str| line.replace(" n1 ", " n2 ");
    for (help, flag) in [("   --no-unpack  skip unpacking\n", "--no-unpack -"), ("", "-")] {
        let later = on_n2(IMPORT).replace("import -", &format!("import {flag}"));
        let mut runner = ScriptedRunner::default().answer(INSPECT, &inspected()).answer_bytes(SAVE, ARCHIVE);
        for line in [CONFIG, HELP, LIST, CONTENT, CHECK] {
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

/// A runner that answers what `--loader kind` asks; the file's name differs from run to run.
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
    let method = Method { loader, ..method() };
    let report = load_images(&Context::for_test(runner.clone()), &method, &[load(&["n1"])]).unwrap();
    let asked = runner.asked.lock().unwrap().clone();
    (report.images.into_iter().next().unwrap(), asked)
}

fn listed_by_name() -> ScriptedRunner {
    script().answer(CHECK, &listed(true))
}

#[test]
fn kinds_loader_goes_through_a_file_that_is_taken_away() {
    let (image, asked) = load_with(Loader::Kind, None, listed_by_name());
    assert_eq!((image.outcome, image.nodes[0].bytes_sent), (Outcome::Loaded, 7));
    assert_eq!(
        asked,
        ["docker save --output FILE test/two:1", "kind load image-archive FILE --name c --nodes n1"]
    );
}

#[test]
fn what_kind_says_of_an_archive_is_told() {
    let words = "ERROR: failed to load image: command failed";
    let (image, _) = load_with(Loader::Kind, Some(words), listed_by_name());
    assert_eq!(
        (image.outcome, image.error.as_deref()),
        (Outcome::LoadFailed, Some("node `n1`: ERROR: failed to load image: command failed"))
    );
}

#[test]
fn a_node_without_ctr_gets_its_images_through_kind_unless_the_direct_way_was_asked_for() {
    let no_ctr = "OCI runtime exec failed: exec failed: \"ctr\": executable file not found in $PATH: unknown";
    let inner = || script().answer(CONTENT, NO_CONTENT).fail(IMPORT, no_ctr).answer(CHECK, &listed(true));
    let (image, asked) = load_with(Loader::Auto, None, inner());
    assert_eq!((image.outcome, asked.len()), (Outcome::Loaded, 2), "{:?}", image.error);
    let (image, asked) = load_with(Loader::Direct, None, inner());
    assert_eq!((image.outcome, asked.len()), (Outcome::LoadFailed, 0));
}

#[test]
fn a_node_that_stopped_is_sent_nothing_more_and_says_nothing_of_the_others() {
    let stopped = "Error response from daemon: Container 89ee is not running";
    let on_n2 = |line: &str| line.replace("n1", "n2");
    let runner = script()
        .answer(CONTENT, NO_CONTENT)
        .answer(IMPORT, "")
        .answer(CHECK, &listed(true))
        .answer(&on_n2(CONTENT), &lower_layer())
        .answer(&on_n2(CONFIG), "")
        .answer(&on_n2(HELP), "")
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
fn an_image_that_is_whole_but_not_unpacked_where_ctr_looks_is_loaded() {
    let table = listed(true).replace(" true\n", " false\n");
    let runner = script().answer(CONTENT, NO_CONTENT).answer(IMPORT, "").answer(CHECK, &table);
    let (images, asked) = run(runner, &[load(&["n1"])]);
    assert_eq!((images[0].outcome, times(&asked, IMPORT)), (Outcome::Loaded, 1));
}

/// Answers in part and fails, as `ctr images check` of containerd 2.1 does beside a broken image.
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
fn a_broken_image_beside_it_does_not_hide_what_a_node_holds() {
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
fn a_node_whose_container_is_paused_is_not_asked_and_named() {
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
