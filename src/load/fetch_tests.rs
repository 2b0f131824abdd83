use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::archive::{Descriptor, Digest};
use crate::images::mirror::{Candidate, Preset};
use crate::images::outcome::Outcome;
use crate::images::plan::{ImageLoad, LoadPlan};
use crate::load::Method;
use crate::load::dry_run::plan_script;
use crate::load::run::load_images;
use crate::process::{Interrupt, ScriptedRunner};
use crate::registry::fake::Fake;
use crate::tools::node_survey::OneByOne;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Stores an image with one layer in `folder`, and returns its manifest's digest.
fn keep(folder: &std::path::Path, image: &ImageRef) -> Digest {
    let store = Store::open(folder, &Interrupt::default()).unwrap();
    let describe = |media_type: &str, bytes: &[u8]| -> Descriptor {
        let digest = store.put(bytes).unwrap();
        serde_json::from_value(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
            .unwrap()
    };
    let layer = describe("application/vnd.oci.image.layer.v1.tar", b"a layer");
    let config = json!({"architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]}});
    let config = describe("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}).to_string();
    let manifest = describe(MANIFEST, manifest.as_bytes());
    store.name(image, &manifest).unwrap();
    manifest.digest
}

/// The load of an image into `n1`, and `then` into these.
fn load(image: &ImageRef, then: &[&str]) -> ImageLoad {
    ImageLoad {
        image: image.clone(),
        reasons: BTreeSet::new(),
        pods: BTreeSet::new(),
        pull: Some(Pull { candidates: vec![Candidate { image: image.clone(), is_original: true }] }),
        first: vec!["n1".into()],
        then: then.iter().map(ToString::to_string).collect(),
        platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
    }
}

#[test]
fn a_stored_image_needs_neither_engine_nor_registry() {
    let folder = tempfile::tempdir().unwrap();
    let image: ImageRef = "test/kept:1".parse().unwrap();
    let manifest = keep(folder.path(), &image);
    let listed = format!(
        "REF TYPE DIGEST STATUS SIZE UNPACKED\n{image} manifest {manifest} complete (3/3) 1 B/1 B true\n"
    );
    let runner = ScriptedRunner::default()
        .answer("docker info --format '{{json .}}'", "{}")
        .answer("docker exec n1 ctr --namespace k8s.io content ls", "DIGEST\tSIZE\tAGE\tLABELS\n")
        .answer("docker exec n1 containerd config dump", "")
        .answer("docker exec n1 cat /proc/net/route", "")
        .answer("docker exec n1 ctr images import --help", "")
        .answer("docker exec n1 ctr --namespace k8s.io images ls", "REF TYPE DIGEST SIZE PLATFORMS LABELS\n")
        .answer("docker exec -i n1 ctr --namespace k8s.io images import -", "")
        .answer("docker exec n1 ctr --namespace k8s.io images check", &listed);
    let runner = Arc::new(runner);
    let mut context = Context::for_test(Arc::new(OneByOne(runner.clone())));
    context.settings.images.pull_with = PullWith::Registry;
    context.settings.images.store = Some(folder.path().to_owned());
    context.settings.mirror.preset = Preset::None;
    let loaded = load_images(&context, &Method::new((1, 41)), &[load(&image, &[])]).unwrap().images.remove(0);
    assert_eq!((loaded.outcome, loaded.error, loaded.provenance.pulled_from), (Outcome::Loaded, None, None));
    let asked = runner.asked();
    assert!(asked.iter().all(|asked| !asked.contains("docker save") && !asked.contains("pull")), "{asked:?}");
}

/// Requests an image from an unreachable registry; returns the outcome and the engine's requests.
fn unreachable(
    image: &str,
    pull_with: PullWith,
    runner: ScriptedRunner,
) -> (Result<ReadyImage, PullFailure>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let image: ImageRef = image.parse().unwrap();
    let runner = Arc::new(runner);
    let mut context = Context::for_test(runner.clone());
    context.settings.images.pull_with = pull_with;
    context.settings.mirror.preset = Preset::None;
    let store = Arc::new(Store::open(folder.path(), &Interrupt::default()).unwrap());
    let pull = Pull { candidates: vec![Candidate { image: image.clone(), is_original: true }] };
    let amd64 = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
    let got = Fetcher::new(&context, Some(&store)).unwrap().get(&image, &[amd64], &pull);
    (got, runner.asked())
}

/// The provenance of an image from a mirror whose own registry has `other`; with both names.
fn from_a_mirror(other: &[u8]) -> (Provenance, Digest, Digest, String) {
    let (mirror, origin) = (Fake::start(), Fake::start());
    let ours = mirror.push("app", "1", &["amd64"], &[b"a layer"]).index;
    let theirs = origin.push("app", "1", &["amd64"], &[other]).index;
    let folder = tempfile::tempdir().unwrap();
    let mut context = Context::for_test(Arc::new(engine(CLASSIC)));
    context.settings.images.pull_with = PullWith::Registry;
    context.settings.mirror.preset = Preset::None;
    context.settings.mirror.rules = vec![format!("{}={}", origin.host, mirror.host).parse().unwrap()];
    let image: ImageRef = format!("{}/app:1", origin.host).parse().unwrap();
    let store = Arc::new(Store::open(folder.path(), &Interrupt::default()).unwrap());
    let pull = Pull { candidates: context.mirror_rules().candidates(&image) };
    let amd64 = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
    let got = Fetcher::new(&context, Some(&store)).unwrap().get(&image, &[amd64], &pull).unwrap();
    (got.provenance, ours, theirs, format!("{}/app:1", mirror.host))
}

#[test]
fn an_image_from_a_mirror_names_the_mirror_and_matches_its_registry() {
    let (provenance, ours, _, name) = from_a_mirror(b"a layer");
    let origin = Some(OriginAnswer::Same);
    assert_eq!(provenance, Provenance { pulled_from: Some(name), digest: Some(ours), origin });
}

#[test]
fn an_image_that_differs_from_its_registry_reports_both_digests() {
    let (provenance, ours, theirs, name) = from_a_mirror(b"another layer");
    let origin = Some(OriginAnswer::Differs { digest: theirs });
    assert_eq!(provenance, Provenance { pulled_from: Some(name), digest: Some(ours), origin });
}

const CLASSIC: &str = r#"{"Driver": "overlay2"}"#;
const CONTAINERD: &str = r#"{"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}"#;

fn pinned() -> String {
    format!("127.0.0.1:1/test/pinned@{}", Digest::of(b"x"))
}

fn engine(info: &str) -> ScriptedRunner {
    let pull = format!("docker pull --platform linux/amd64 {}", pinned());
    ScriptedRunner::default().answer("docker info --format '{{json .}}'", info).answer(&pull, "")
}

#[test]
fn a_pinned_image_that_no_registry_gives_comes_from_an_engine_that_keeps_digests() {
    let (got, asked) = unreachable(&pinned(), PullWith::Auto, engine(CONTAINERD));
    let got = got.unwrap();
    assert_eq!((got.provenance.pulled_from, got.held), (Some(pinned()), None));
    assert_eq!(asked.last().unwrap(), &format!("docker pull --platform linux/amd64 {}", pinned()));
}

#[test]
fn a_pinned_image_is_not_pulled_by_an_engine_that_loses_its_digest() {
    let (got, asked) = unreachable(&pinned(), PullWith::Auto, engine(CLASSIC));
    let failure = got.err().unwrap();
    let lost = "; `docker pull`: the engine does not keep the digest that pins it when it saves an image";
    assert!(failure.error.ends_with(lost), "{}", failure.error);
    assert!(failure.hint.unwrap().starts_with("use only the image's tag"));
    assert!(asked.iter().all(|asked| !asked.starts_with("docker pull")), "{asked:?}");
}

#[test]
fn only_the_registry_is_asked_if_the_user_says_so() {
    let (got, asked) = unreachable(&pinned(), PullWith::Registry, engine(CONTAINERD));
    assert!(got.err().unwrap().error.starts_with("could not fetch `127.0.0.1:1/test/pinned@sha256:"));
    assert!(asked.iter().all(|asked| !asked.starts_with("docker pull")), "{asked:?}");
}

#[test]
fn a_download_stops_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let mut context = Context::for_test(Arc::new(engine(CLASSIC)));
    context.settings.images.pull_with = PullWith::Auto;
    let _lift = context.deadline.set(std::time::Duration::ZERO);
    let store = Arc::new(Store::open(folder.path(), &Interrupt::default()).unwrap());
    let pull = Pull { candidates: Vec::new() };
    let image: ImageRef = "127.0.0.1:1/a/b:1".parse().unwrap();
    let amd64 = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
    let failure = Fetcher::new(&context, Some(&store)).unwrap().get(&image, &[amd64], &pull).err().unwrap();
    assert_eq!(failure.error, "timed out before the download finished");
}

#[test]
fn with_a_bundle_only_the_store_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let kept: ImageRef = "test/kept:1".parse().unwrap();
    keep(folder.path(), &kept);
    let runner = Arc::new(ScriptedRunner::default());
    let mut context = Context::for_test(runner.clone());
    context.settings.images.store = Some(folder.path().to_owned());
    context.settings.images.bundle = Some("milvus.tar.zst".into());
    let store = open_store(&context).unwrap();
    let fetcher = Fetcher::new(&context, store.as_ref()).unwrap();
    let get = |image: &ImageRef| {
        let pull = Pull { candidates: vec![Candidate { image: image.clone(), is_original: true }] };
        fetcher.get(
            image,
            &[Platform { os: "linux".into(), architecture: "amd64".into(), variant: None }],
            &pull,
        )
    };
    assert_eq!(get(&kept).unwrap().held.unwrap().image, kept);
    assert_eq!(
        get(&"test/other:1".parse().unwrap()).err().unwrap().error,
        "it is neither in the bundle `milvus.tar.zst` nor in the engine, and no registry is contacted"
    );
    assert_eq!(runner.asked(), [""; 0]);
}

#[test]
fn a_dry_run_names_the_store_or_the_registries_of_each_image() {
    let folder = tempfile::tempdir().unwrap();
    let kept: ImageRef = "test/kept:1".parse().unwrap();
    keep(folder.path(), &kept);
    let runner = ScriptedRunner::default().answer(
        "docker info --format '{{json .}}'",
        r#"{"RegistryConfig":{"Mirrors":["https://hub.example.com/"]}}"#,
    );
    let mut context = Context::for_test(Arc::new(runner));
    context.settings.images.pull_with = PullWith::Registry;
    context.settings.images.store = Some(folder.path().to_owned());
    context.settings.mirror.preset = Preset::None;
    let plan = LoadPlan {
        loads: vec![load(&kept, &["n2"]), load(&"test/absent:1".parse().unwrap(), &["n2"])],
        ..LoadPlan::default()
    };
    let expected = "# milvusctl loads these images into n1, n2, each from the first place that has it:\n\
                    #   test/kept:1: the image store\n\
                    #   test/absent:1: hub.example.com, docker.io";
    assert_eq!(plan_script(&context, &Method::new((1, 41)), &plan).unwrap(), expected);
}
