use std::sync::Arc;

use super::*;
use crate::images::mirror::Candidate;
use crate::process::ScriptedRunner;

const MIRROR: &str = "docker pull --platform linux/amd64 m.example.com/docker.io/a/b:1";
const ORIGINAL: &str = "docker pull --platform linux/amd64 a/b:1";
const NAMES: &str = "docker image inspect m.example.com/docker.io/a/b:1 a/b:1";
const INSPECT_MIRROR: &str = "docker image inspect m.example.com/docker.io/a/b:1";
const INSPECT_WANTED: &str = "docker image inspect a/b:1";
const TAG: &str = "docker tag m.example.com/docker.io/a/b:1 a/b:1";
const REMOVE: &str = "docker rmi m.example.com/docker.io/a/b:1";

/// An engine without either name.
fn engine() -> ScriptedRunner {
    engine_with(None, None)
}

/// An engine in which the mirror's name and the wanted one point to these images.
fn engine_with(mirror: Option<&str>, wanted: Option<&str>) -> ScriptedRunner {
    let inspected = |ids: &[Option<&str>]| {
        let images: Vec<_> =
            ids.iter().flatten().map(|id| serde_json::json!({"Id": id, "RootFS": {"Layers": []}})).collect();
        serde_json::json!(images).to_string()
    };
    ScriptedRunner::default()
        .answer(NAMES, &inspected(&[mirror, wanted]))
        .answer(INSPECT_MIRROR, &inspected(&[mirror]))
        .answer(INSPECT_WANTED, &inspected(&[wanted]))
}

fn pull(runner: ScriptedRunner) -> (Result<Option<String>, PullFailure>, Vec<String>) {
    let runner = Arc::new(runner);
    let context = Context::for_test(runner.clone());
    let candidate = |name: &str, is_original| Candidate { image: name.parse().unwrap(), is_original };
    let pull = Pull {
        candidates: vec![
            candidate("m.example.com/docker.io/a/b:1", false),
            candidate("docker.io/a/b:1", true),
        ],
    };
    let platform = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
    let pulled = pull_any(&context, &"a/b:1".parse().unwrap(), &pull, &platform);
    (pulled.map(|pulled| Some(pulled.from)), runner.asked())
}

fn pulls(asked: &[String]) -> Vec<&String> {
    asked.iter().filter(|asked| asked.starts_with("docker pull")).collect()
}

#[test]
fn a_mirrors_image_is_renamed_to_the_requested_name() {
    let (pulled, asked) = pull(engine().answer(MIRROR, "").answer(TAG, "").answer(REMOVE, ""));
    assert_eq!(pulled.ok().flatten().as_deref(), Some("m.example.com/docker.io/a/b:1"));
    assert_eq!(asked[asked.len() - 3..], [MIRROR, TAG, REMOVE]);
}

#[test]
fn an_existing_mirror_name_is_kept() {
    for (mirror, wanted) in [("sha256:1", None), ("sha256:1", Some("sha256:1"))] {
        // `docker rmi` is not scripted: asking for it would end the test.
        let runner = engine_with(Some(mirror), wanted).answer(MIRROR, "").answer(TAG, "");
        let (pulled, asked) = pull(runner);
        assert!(pulled.is_ok());
        assert_eq!(asked.last().unwrap(), TAG);
    }
}

#[test]
fn nothing_is_pulled_from_a_mirror_if_the_engine_does_not_list_its_images() {
    let (pulled, asked) = pull(ScriptedRunner::default().fail(NAMES, "Cannot connect to the Docker daemon"));
    assert_eq!(
        pulled.unwrap_err().error,
        "could not ask the engine for `m.example.com/docker.io/a/b:1`: Cannot connect to the Docker daemon"
    );
    assert_eq!(asked, [NAMES]);
}

#[test]
fn a_name_that_moves_to_the_mirrors_image_is_reported() {
    let moved = |mirror, wanted| {
        let names = Names {
            mirror: "m/a:1".into(),
            wanted: "a:1".into(),
            led_to: [("m/a:1", mirror), ("a:1", wanted)]
                .into_iter()
                .filter_map(|(name, id): (&str, Option<&str>)| Some((name.to_owned(), id?.to_owned())))
                .collect(),
        };
        names.moved("sha256:new").into_iter().map(|(name, old)| format!("{name} {old}")).collect::<Vec<_>>()
    };
    assert_eq!(moved(None, None), [""; 0]);
    assert_eq!(moved(Some("sha256:new"), Some("sha256:new")), [""; 0]);
    assert_eq!(moved(None, Some("sha256:old")), ["a:1 sha256:old"]);
    assert_eq!(moved(Some("sha256:old"), None), ["m/a:1 sha256:old"]);
}

#[test]
fn a_silent_candidate_is_not_retried() {
    let (pulled, asked) = pull(engine().hang(MIRROR).answer(ORIGINAL, ""));
    assert_eq!(pulled.ok().flatten().as_deref(), Some("docker.io/a/b:1"));
    assert_eq!(pulls(&asked), [MIRROR, ORIGINAL]);
}

#[test]
fn a_missing_image_is_not_retried_and_every_answer_is_reported() {
    let (pulled, asked) = pull(
        engine()
            .fail(MIRROR, "Error response from daemon: manifest unknown")
            .fail(ORIGINAL, "Error response from daemon: pull access denied for a/b"),
    );
    let failure = pulled.unwrap_err();
    assert_eq!(pulls(&asked), [MIRROR, ORIGINAL]);
    assert_eq!(
        failure.error,
        "m.example.com/docker.io/a/b:1: manifest unknown; a/b:1: pull access denied for a/b"
    );
    assert!(failure.hint.unwrap().contains("docker login docker.io"));
}

#[test]
fn network_errors_are_retried_with_the_same_name() {
    let (pulled, asked) = pull(
        engine()
            .fail(MIRROR, "error pulling image: unexpected EOF")
            .answer(MIRROR, "")
            .answer(TAG, "")
            .answer(REMOVE, ""),
    );
    assert!(pulled.is_ok());
    assert_eq!(asked.iter().filter(|asked| *asked == MIRROR).count(), 2, "{asked:?}");
}

#[test]
fn a_full_disk_is_reported_and_not_retried() {
    let full = "write /var/lib/docker/tmp/x: no space left on device";
    let (pulled, asked) = pull(engine().fail(MIRROR, full).fail(ORIGINAL, full));
    let failure = pulled.unwrap_err();
    assert_eq!(pulls(&asked), [MIRROR, ORIGINAL]);
    assert!(failure.error.contains("no space left on device"));
    assert!(failure.hint.unwrap().contains("docker system df"));
}

#[test]
fn an_image_only_counts_as_moved_if_a_registry_lacks_it() {
    let context = Context::for_test(Arc::new(ScriptedRunner::default()));
    let image: ImageRef = "bitnami/kafka:3.1.0".parse().unwrap();
    let hint = |words: &str| hint(&context, &image, words, pull_trouble(words));
    let moved = "its publisher moved it; try `--mirror docker.io/bitnami=docker.io/bitnamilegacy` for \
                 `bitnamilegacy/kafka:3.1.0`";
    for words in ["manifest unknown", "pull access denied for bitnami/kafka"] {
        assert_eq!(hint(words), moved, "{words}");
    }
    for words in [
        "dial tcp: lookup registry-1.docker.io: no such host",
        "toomanyrequests: rate limit",
        "write /x: no space left on device",
        "something else",
    ] {
        assert!(!hint(words).contains("bitnamilegacy"), "{words}");
    }
}
