//! Images that share an archive.

use super::*;

/// Two images that share their lower layer, `test/left:1` and `test/right:1`.
const SHARED: &[u8] = include_bytes!("../../../tests/fixtures/docker-save-shared-layer.docker-20.10.tar");

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
