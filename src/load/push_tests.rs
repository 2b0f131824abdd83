use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::archive::{Descriptor, Digest};
use crate::error::{exit_of, hints_of};
use crate::process::{Interrupt, ScriptedRunner};
use crate::registry::fake::{Fake, INDEX, MANIFEST};
use crate::settings::{Layer, file, resolve};

const INFO: &str = "docker info --format '{{json .}}'";
const NODES: &str = "kubectl --context c get nodes --output json";
const CHANGES: [&str; 3] = ["docker tag", "docker push", "docker rmi"];
const TARGET: &str = "r:5000/x/milvusdb/milvus:v2.6.0";

fn planned() -> Vec<PlannedImage> {
    vec![PlannedImage { image: "milvusdb/milvus:v2.6.0".parse().unwrap(), wanted_by: vec!["milvus"] }]
}

fn push(runner: ScriptedRunner, images: &[PlannedImage]) -> (anyhow::Result<()>, Vec<String>) {
    let runner = Arc::new(runner);
    let text = "cluster: {context: c}\nmirror: {preset: none, push: \"r:5000/x\"}\nmilvus: {version: 2.6.0}";
    let file = file::parse(std::path::Path::new("m.yaml"), text);
    let mut context = Context {
        settings: resolve(Layer::default(), Some(file)).unwrap(),
        ..Context::for_test(runner.clone())
    };
    context.settings.images.pull_with = PullWith::Docker;
    (push_images(&context, images, 1), runner.asked())
}

fn in_engine() -> ScriptedRunner {
    in_engine_beside("[]")
}

/// With the output of `docker image inspect` for the pushed name.
fn in_engine_beside(taken: &str) -> ScriptedRunner {
    let inspected = r#"[{"Id": "sha256:1", "Os": "linux", "Architecture": "amd64", "RepoTags": ["milvusdb/milvus:v2.6.0"], "RootFS": {"Layers": []}}]"#;
    ScriptedRunner::default()
        .answer(INFO, "{}")
        .answer(
            NODES,
            r#"{"items": [{"metadata": {"name": "n"}, "status": {"nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"}}}]}"#,
        )
        .answer("docker image inspect milvusdb/milvus:v2.6.0", inspected)
        .answer(&format!("docker image inspect {TARGET}"), taken)
        .answer(&format!("docker tag milvusdb/milvus:v2.6.0 {TARGET}"), "")
        .answer(&format!("docker rmi {TARGET}"), "")
}

#[test]
fn an_image_is_tagged_pushed_and_untagged() {
    let runner = in_engine().answer(&format!("docker push -q {TARGET}"), TARGET);
    let (result, asked) = push(runner, &planned());
    result.unwrap();
    assert_eq!(
        asked[asked.len() - 3..],
        [
            format!("docker tag milvusdb/milvus:v2.6.0 {TARGET}"),
            format!("docker push -q {TARGET}"),
            format!("docker rmi {TARGET}")
        ]
    );
}

#[test]
fn an_existing_tag_is_pushed_and_kept() {
    let runner =
        in_engine_beside(r#"[{"Id": "sha256:1"}]"#).answer(&format!("docker push -q {TARGET}"), TARGET);
    let (result, asked) = push(runner, &planned());
    result.unwrap();
    let changes: Vec<&String> =
        asked.iter().filter(|asked| CHANGES.iter().any(|change| asked.starts_with(change))).collect();
    assert_eq!(changes, [&format!("docker push -q {TARGET}")]);
}

#[test]
fn a_tag_of_another_image_is_neither_moved_nor_pushed() {
    let (result, asked) = push(in_engine_beside(r#"[{"Id": "sha256:2"}]"#), &planned());
    let error = result.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "1 image could not be pushed to `r:5000/x`\nmilvusdb/milvus:v2.6.0: `{TARGET}` already names another image in the engine, `sha256:2`"
        )
    );
    assert!(hints_of(&error)[0].contains(&format!("`docker rmi {TARGET}`")));
    assert!(asked.iter().all(|asked| !CHANGES.iter().any(|change| asked.starts_with(change))), "{asked:?}");
}

#[test]
fn a_rejected_push_has_a_hint_and_is_untagged() {
    let refusal = "denied: requested access to the resource is denied";
    let runner = in_engine().fail(&format!("docker push -q {TARGET}"), refusal);
    let (result, asked) = push(runner, &planned());
    let error = result.unwrap_err();
    assert_eq!(exit_of(&error), Exit::Failed);
    assert_eq!(
        error.to_string(),
        format!("1 image could not be pushed to `r:5000/x`\nmilvusdb/milvus:v2.6.0: {refusal}")
    );
    assert_eq!(hints_of(&error)[0], "log in with `docker login r:5000`, and check that you may push there");
    assert_eq!(asked.last().unwrap(), &format!("docker rmi {TARGET}"));
}

#[test]
fn one_failed_push_of_several_is_partial() {
    let other = "docker.io/milvusdb/etcd:1";
    let runner = in_engine()
        .answer(&format!("docker push -q {TARGET}"), TARGET)
        .answer("docker image inspect milvusdb/etcd:1", "[]")
        .fail(
            "docker pull --platform linux/amd64 milvusdb/etcd:1",
            "Error response from daemon: manifest for milvusdb/etcd:1 not found: manifest unknown",
        );
    let mut images = planned();
    images.push(PlannedImage { image: other.parse().unwrap(), wanted_by: vec!["etcd"] });
    let (result, _) = push(runner, &images);
    let error = result.unwrap_err();
    assert_eq!(exit_of(&error), Exit::Partial);
    assert!(error.to_string().contains("milvusdb/etcd:1: manifest for milvusdb/etcd:1 not found"), "{error}");
}

/// A cluster with nodes of the platforms `nodes`, and a store filled by the test.
struct PushCase {
    folder: tempfile::TempDir,
    context: Context,
    runner: Arc<ScriptedRunner>,
    registry: Fake,
}

const IMAGE: &str = "milvusdb/milvus:v2.6.0";

/// `engine` builds the engine's answers from the registry's host and the store's folder.
fn place(
    pull_with: PullWith,
    nodes: &[&str],
    engine: impl FnOnce(&str, &Path) -> ScriptedRunner,
) -> PushCase {
    let (registry, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let items: Vec<_> = nodes
        .iter()
        .map(|architecture| {
            json!({"metadata": {"name": architecture}, "spec": {},
            "status": {"nodeInfo": {"operatingSystem": "linux", "architecture": architecture}}})
        })
        .collect();
    let runner = Arc::new(
        engine(&registry.host, folder.path())
            .answer(INFO, "{}")
            .answer(NODES, &json!({"items": items}).to_string()),
    );
    let text = format!(
        "cluster: {{context: c}}\nmirror: {{preset: none, push: \"{}/x\", rules: [{{registry: docker.io, prefix: '127.0.0.1:1'}}]}}",
        registry.host
    );
    let file = file::parse(std::path::Path::new("m.yaml"), &text);
    let mut context = Context {
        settings: resolve(Layer::default(), Some(file)).unwrap(),
        ..Context::for_test(runner.clone())
    };
    context.settings.images.pull_with = pull_with;
    context.settings.images.store = Some(folder.path().to_owned());
    PushCase { folder, context, runner, registry }
}

/// Stores [`IMAGE`] for `architectures`, and returns the digest of its index.
fn keep(folder: &Path, architectures: &[&str]) -> Digest {
    let store = Store::open(folder, &Interrupt::default()).unwrap();
    let put = |media_type: &str, bytes: &[u8]| -> Descriptor {
        let (digest, size) = (store.put(bytes).unwrap(), bytes.len());
        serde_json::from_value(json!({"mediaType": media_type, "digest": digest, "size": size})).unwrap()
    };
    let manifests: Vec<Descriptor> = architectures
        .iter()
        .map(|architecture| {
            let layer = put("application/vnd.oci.image.layer.v1.tar", architecture.as_bytes());
            let config =
                json!({"architecture": architecture, "os": "linux", "rootfs": {"diff_ids": [layer.digest]}});
            let config = put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
            let manifest =
                json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
            let manifest = put(MANIFEST, manifest.to_string().as_bytes());
            let platform = json!({"os": "linux", "architecture": architecture});
            Descriptor { platform: serde_json::from_value(platform).ok(), ..manifest }
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    let index = put(INDEX, index.to_string().as_bytes());
    store.name(&IMAGE.parse().unwrap(), &index).unwrap();
    index.digest
}

/// An engine that has [`IMAGE`] as `inspected`.
fn holding(inspected: &str) -> ScriptedRunner {
    ScriptedRunner::default().answer(&format!("docker image inspect {IMAGE}"), inspected)
}

impl PushCase {
    fn push(&self) -> (anyhow::Result<()>, Vec<String>) {
        let result = push_images(&self.context, &planned(), 1);
        let asked = self.runner.asked();
        let changes =
            asked.into_iter().filter(|asked| CHANGES.iter().any(|change| asked.starts_with(change)));
        (result, changes.collect())
    }

    /// What the registry has under the pushed name.
    fn pushed(&self) -> Option<Value> {
        let document = self.registry.holds("x/milvusdb/milvus/manifests/v2.6.0")?;
        Some(serde_json::from_slice(&document).unwrap())
    }
}

#[test]
fn a_stored_image_is_pushed_for_all_platforms_without_the_engine() {
    let place = place(PullWith::Auto, &["amd64", "arm64", "amd64"], |_, _| holding("[]"));
    keep(place.folder.path(), &["amd64", "arm64", "s390x"]);
    let (result, changes) = place.push();
    result.unwrap();
    assert_eq!(changes, Vec::<String>::new());
    let architectures: Vec<Value> = place.pushed().unwrap()["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|manifest| manifest["platform"]["architecture"].clone())
        .collect();
    assert_eq!(architectures, [json!("amd64"), json!("arm64")]);
}

#[test]
fn an_image_in_both_engine_and_store_is_pushed_from_the_store() {
    let place = place(PullWith::Auto, &["amd64"], |_, folder| {
        let digest = keep(folder, &["amd64"]);
        let held = json!([{"Id": "sha256:1", "Os": "linux", "Architecture": "amd64", "RootFS": {"Layers": []},
            "RepoDigests": [format!("milvusdb/milvus@{digest}")]}]);
        holding(&held.to_string())
    });
    let (result, changes) = place.push();
    result.unwrap();
    assert_eq!((changes.len(), place.pushed().is_some()), (0, true));
}

/// An engine with the classic store that only has [`BUILT`].
fn building() -> ScriptedRunner {
    let held =
        json!([{"Id": BUILT_CONFIG, "Os": "linux", "Architecture": "amd64", "RootFS": {"Layers": []}}]);
    ScriptedRunner::default()
        .answer(
            "docker version --format '{{.Server.Version}} {{.Client.APIVersion}} {{.Server.APIVersion}}'",
            "20.10.24 1.41 1.41",
        )
        .answer(&format!("docker image inspect {BUILT}"), &held.to_string())
        .answer_bytes(
            &format!("docker save {BUILT}"),
            include_bytes!("../../tests/fixtures/docker-save-two-layers.docker-20.10.tar"),
        )
}

const BUILT: &str = "test/two:1";
const BUILT_CONFIG: &str = "sha256:e2c90ddf47eea83f619e37b84d29e9c13d93a73f79e778dbc525aabbf1d87472";

/// Pushes [`BUILT`], and returns the engine's changes and the config in the registry.
fn push_built(place: &PushCase) -> (Vec<String>, Option<Value>) {
    let images = [PlannedImage { image: BUILT.parse().unwrap(), wanted_by: vec!["milvus"] }];
    push_images(&place.context, &images, 1).unwrap();
    let is_change = |asked: &String| CHANGES.iter().any(|change| asked.starts_with(change));
    let document = place.registry.holds("x/test/two/manifests/1");
    let manifest: Option<Value> = document.map(|bytes| serde_json::from_slice(&bytes).unwrap());
    let changes = place.runner.asked().into_iter().filter(is_change).collect();
    (changes, manifest.map(|manifest| manifest["config"]["digest"].clone()))
}

#[test]
fn a_local_build_is_pushed_through_the_store_without_a_tag() {
    let place = place(PullWith::Auto, &["amd64"], |_, _| building());
    for _ in 0..2 {
        assert_eq!(push_built(&place), (Vec::new(), Some(json!(BUILT_CONFIG))));
    }
    let saves = place.runner.asked().iter().filter(|asked| asked.starts_with("docker save")).count();
    assert_eq!(saves, 1, "the second time it is known to be in the store");
}

#[test]
fn a_rebuilt_image_is_not_the_stored_one() {
    let place = place(PullWith::Auto, &["amd64"], |_, folder| {
        let store = Store::open(folder, &Interrupt::default()).unwrap();
        let old = keep(folder, &["amd64"]);
        let old =
            serde_json::from_value(json!({"mediaType": INDEX, "digest": old, "size": store.size_of(old)}));
        store.name(&BUILT.parse().unwrap(), &old.unwrap()).unwrap();
        building()
    });
    assert_eq!(push_built(&place), (Vec::new(), Some(json!(BUILT_CONFIG))));
}

#[test]
fn a_single_platform_image_is_pushed_if_no_registry_has_it() {
    let place = place(PullWith::Registry, &["amd64", "arm64"], |_, _| building());
    assert_eq!(push_built(&place), (Vec::new(), Some(json!(BUILT_CONFIG))));
}

#[test]
fn a_missing_image_lists_where_it_was_searched() {
    let place = place(PullWith::Registry, &["amd64"], |_, _| holding("[]"));
    let (result, changes) = place.push();
    let error = result.unwrap_err().to_string();
    let expected = format!("{IMAGE}: could not fetch `{IMAGE}`: `127.0.0.1:1`: ");
    assert!(error.contains(&expected), "{error}");
    assert_eq!(changes, Vec::<String>::new());
}

#[test]
fn a_denied_push_has_a_hint() {
    let place = place(PullWith::Auto, &["amd64"], |_, _| holding("[]"));
    keep(place.folder.path(), &["amd64"]);
    place.registry.behave(|behavior| behavior.refuses_pushes = true);
    let (result, _) = place.push();
    let host = &place.registry.host;
    let expected = format!("log in with `docker login {host}`, and check that you may push there");
    assert_eq!(hints_of(&result.unwrap_err())[0], expected);
}
