//! Loads an image archive into nodes: plain, gzip or zstd, as written by `docker save` and others.
//!
//! The file is read twice, first for names and layers and then for the bytes, without a copy. Standard input
//! and named pipes cannot be read twice and are buffered in a temporary file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::archive::{self, Expected, Platform};
use crate::bundle::{Bundle, BundleError};
use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::images::ImageRef;
use crate::images::missing::MissingImage;
use crate::images::outcome::{ImageOutcome, LoadReport, Outcome};
use crate::images::plan::{
    EngineImages, HeldImage, ImageLoad, LoadPlan, NodeScope, PlanInput, Presence, plan, platform_of,
};
use crate::kube::node::Node;
use crate::load::bundled::take_in;
use crate::load::containerd::add_configurations;
use crate::load::dry_run::file_script;
use crate::load::find::{carry_out, content, method, named_images, nodes};
use crate::load::{Method, Source, held_by_nodes};
use crate::process::{self, Temporary};
use crate::store::{StoredImage, open_archive};

/// An archive that can be read repeatedly.
struct ImageFile {
    path: PathBuf,
    /// Keeps the temporary file until the run ends.
    _spooled: Option<Temporary>,
}

impl ImageFile {
    fn named(path: &Path, context: &Context) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Self::spool(process::stdin(&context.interrupt)?, context)
                .context("could not buffer standard input");
        }
        if path.is_dir() {
            bail!(
                Failure::new(Exit::Usage, format!("`{}` is a folder, not an archive", path.display()))
                    .hint("an OCI layout in a folder can be packed: `tar -C FOLDER -cf images.tar .`")
            );
        }
        let file = process::open(path, &context.interrupt)
            .with_context(|| format!("could not open the archive `{}`", path.display()))
            .exit(Exit::Usage)?;
        if path.is_file() {
            return Ok(Self { path: path.to_owned(), _spooled: None });
        }
        Self::spool(file, context).with_context(|| format!("could not buffer `{}`", path.display()))
    }

    fn spool(mut source: impl Read, context: &Context) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir();
        let mut file = Temporary::new_in(&folder, "milvusctl-archive-", &context.interrupt)
            .with_context(|| format!("could not create a temporary file in `{}`", folder.display()))?;
        io::copy(&mut source, file.file()?)?;
        Ok(Self { path: file.path().to_owned(), _spooled: Some(file) })
    }
}

/// Loads the images in the archive at `path`, `-` for standard input, and returns each image's outcome.
///
/// # Errors
/// Fails with [`Exit::Usage`] if there is no such file, fails if it is not an image archive, if cluster or
/// nodes do not respond, or if the user interrupts.
pub(crate) fn load_archive(context: &Context, path: &Path) -> anyhow::Result<LoadReport> {
    let mut method = method(context)?;
    let shown =
        if path == Path::new("-") { "standard input".to_owned() } else { format!("`{}`", path.display()) };
    let step = context.ui.step(&format!("Reading {shown}"));
    let archive = ImageFile::named(path, context)?;
    let bundle = Bundle::open(&archive.path, &context.interrupt);
    // An invalid archive is reported below.
    if !matches!(bundle, Ok(None) | Err(BundleError::Archive(_))) {
        let bundle = used(bundle, &shown)?;
        step.done(&format!("{shown} holds {}", crate::ui::count(bundle.contents.images.len(), "image")));
        return load_bundle(context, &method, &bundle, &shown);
    }
    let expected = open_archive(&archive.path, &context.interrupt)
        .map_err(anyhow::Error::from)
        .and_then(|file| Ok(archive::contents(file)?))
        .with_context(|| format!("{shown} cannot be used as an archive of images"))
        .hint("`docker save -o images.tar IMAGE...` writes one")?;
    step.done(&format!("{shown} holds {}", crate::ui::count(expected.len(), "image")));
    let engine = held_in(&expected)?;
    let missing = named_images(context, engine.held.keys().cloned())?;
    let nodes = nodes(context)?;
    let stored = BTreeMap::new();
    let mut plan =
        plan_by_content(context, &missing, &nodes, &Available { engine: &engine, stored: &stored })?;
    let (images, absent) = choose(&expected, &mut plan.loads);
    if context.dry_run {
        return Ok(show_plan(context, &plan, &shown));
    }
    method.source = Source::Archive { path: archive.path.clone(), images };
    let mut report = carry_out(context, &method, &plan)?;
    report.merge(LoadReport::new(&context.settings.cluster.name, absent));
    Ok(report)
}

/// Prints the plan in a dry run instead of loading.
fn show_plan(context: &Context, plan: &LoadPlan, from: &str) -> LoadReport {
    context.ui.document(&file_script(plan, from));
    LoadReport::new(&context.settings.cluster.name, Vec::new())
}

/// The available images: directly from a file, which takes the engine's place, or from the store.
struct Available<'a> {
    engine: &'a EngineImages,
    stored: &'a BTreeMap<ImageRef, HeldImage>,
}

/// Plans what goes to which node. An archive may contain another image under a name known to the node, so
/// content counts.
fn plan_by_content(
    context: &Context,
    missing: &[MissingImage],
    nodes: &[Node],
    given: &Available<'_>,
) -> anyhow::Result<LoadPlan> {
    let names: Vec<String> = nodes.iter().map(|node| node.name().to_owned()).collect();
    let mut held = held_by_nodes(context, &names).context("could not list the nodes' images")?;
    let mut known = content(&given.engine.held);
    known.extend(content(given.stored));
    add_configurations(context, &mut held.images, &known);
    let rules = context.mirror_rules();
    let observed = PlanInput {
        engine: given.engine,
        stored: given.stored,
        held: &held.images,
        nodes,
        rules: &rules,
        fetches: !given.stored.is_empty(),
        presence: Presence::ByContent,
    };
    let mut plan = plan(missing, observed, NodeScope::All);
    plan.leave_out(&held.closed);
    Ok(plan)
}

fn used(opened: Result<Option<Bundle>, BundleError>, shown: &str) -> anyhow::Result<Bundle> {
    let is_newer = matches!(opened, Err(BundleError::Newer { .. }));
    let opened = opened.with_context(|| format!("{shown} cannot be used as a bundle"));
    let opened = if is_newer { opened.exit(Exit::Usage).hint("update milvusctl") } else { opened };
    opened?.ok_or_else(|| Failure::new(Exit::Usage, format!("{shown} is not a bundle")).into())
}

/// Loads the images of a bundle through the store, except the node image.
fn load_bundle(
    context: &Context,
    method: &Method,
    bundle: &Bundle,
    shown: &str,
) -> anyhow::Result<LoadReport> {
    let nodes = nodes(context)?;
    let images = &bundle.contents.images;
    let held = bundle.image_platform();
    let platform = Platform { os: held.os, architecture: held.architecture, variant: None };
    if let Some(other) = nodes.iter().map(platform_of).find(|of_node| *of_node != platform) {
        let what = format!("{shown} holds images for {platform}, and the nodes are {other}");
        return Err(Failure::new(Exit::Usage, what)
            .hint(format!("save one with `milvusctl images save --platform {other}`"))
            .into());
    }
    let stored = if context.dry_run {
        images.iter().map(|image| (image.clone(), unknown(&platform))).collect()
    } else {
        let taken = take_in(context, bundle, images)?;
        taken.iter().map(|held| (held.image.clone(), in_store(held))).collect()
    };
    let missing = named_images(context, images.iter().cloned())?;
    // Ignore the engine's images of these names.
    let engine = EngineImages::default();
    let plan = plan_by_content(context, &missing, &nodes, &Available { engine: &engine, stored: &stored })?;
    if context.dry_run {
        return Ok(show_plan(context, &plan, shown));
    }
    carry_out(context, method, &plan)
}

/// An image of unknown content, which no node holds.
fn unknown(platform: &Platform) -> HeldImage {
    HeldImage {
        platform: platform.clone(),
        ids: BTreeSet::new(),
        layers: Vec::new(),
        size_bytes: 0,
        is_index: false,
    }
}

/// An image in the store, for one platform.
fn in_store(held: &StoredImage) -> HeldImage {
    HeldImage {
        platform: held
            .platforms
            .first()
            .map_or_else(Platform::of_this_machine, |image| image.platform.without_variant()),
        ids: held.digests().iter().map(ToString::to_string).collect(),
        layers: Vec::new(),
        size_bytes: 0,
        is_index: false,
    }
}

/// Chooses each image for the platform of its nodes. Images only available for other platforms are removed
/// from `loads` and returned as outcomes, since a file cannot be asked for another platform.
fn choose(expected: &[Expected], loads: &mut Vec<ImageLoad>) -> (Vec<Expected>, Vec<ImageOutcome>) {
    let (mut images, mut absent) = (Vec::new(), Vec::new());
    loads.retain(|load| {
        let name = load.image.to_string();
        let variants: Vec<&Expected> = expected.iter().filter(|image| image.name == name).collect();
        let fits = |own: &Platform| !own.is_known() || own.fits(&load.platform);
        let chosen = variants.iter().find(|image| image.platform.as_ref().is_none_or(fits));
        match chosen {
            Some(image) => images.push((*image).clone()),
            None => absent.push(of_another_platform(load, &variants)),
        }
        chosen.is_some()
    });
    (images, absent)
}

fn of_another_platform(load: &ImageLoad, variants: &[&Expected]) -> ImageOutcome {
    let platforms = variants.iter().filter_map(|image| image.platform.as_ref());
    let held = platforms.map(ToString::to_string).collect::<Vec<_>>().join(", ");
    ImageOutcome {
        error: Some(format!("the archive has it for {held}, but the nodes are {}", load.platform)),
        hint: Some(format!("save it with `docker save --platform {}`", load.platform)),
        ..ImageOutcome::new(load.image.to_string(), Outcome::Refused)
    }
}

/// The images of an archive, as if held by the engine.
fn held_in(expected: &[Expected]) -> anyhow::Result<EngineImages> {
    let mut held: BTreeMap<ImageRef, HeldImage> = BTreeMap::new();
    for image in expected {
        let name: ImageRef = image
            .name
            .parse()
            .with_context(|| format!("the archive has an invalid image name, `{}`", image.name))?;
        let id = image.config.map(|config| config.to_string());
        if let Some(known) = held.get_mut(&name) {
            known.ids.extend(id);
            continue;
        }
        let platform =
            image.platform.as_ref().map_or_else(Platform::of_this_machine, Platform::without_variant);
        let layers = image.diff_ids.iter().map(ToString::to_string).collect();
        // The platform is chosen once those of the nodes are known.
        let image =
            HeldImage { platform, ids: id.into_iter().collect(), layers, size_bytes: 0, is_index: true };
        held.insert(name, image);
    }
    Ok(EngineImages { held, ..EngineImages::default() })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tempfile::NamedTempFile;

    use super::*;
    use crate::process::Interrupt;

    const ARCHIVE: &[u8] = include_bytes!("../../tests/fixtures/docker-save-shared-layer.docker-20.10.tar");

    fn file(bytes: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    #[test]
    fn an_archive_reads_the_same_in_every_compression() {
        for bytes in [ARCHIVE.to_vec(), gzip(ARCHIVE), zstd(ARCHIVE)] {
            let mut read = Vec::new();
            open_archive(file(&bytes).path(), &Interrupt::default()).unwrap().read_to_end(&mut read).unwrap();
            assert!(read == ARCHIVE, "{} bytes became {}", bytes.len(), read.len());
        }
    }

    #[test]
    fn a_truncated_gzip_file_is_an_error() {
        let bytes = gzip(ARCHIVE);
        let file = file(&bytes[..bytes.len() / 2]);
        assert!(archive::contents(open_archive(file.path(), &Interrupt::default()).unwrap()).is_err());
    }

    #[test]
    fn the_images_of_an_archive_count_as_held() {
        let engine = held_in(&archive::contents(ARCHIVE).unwrap()).unwrap();
        let names: Vec<String> = engine.held.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["docker.io/test/left:1", "docker.io/test/right:1"]);
        let left = &engine.held[&"test/left:1".parse().unwrap()];
        assert_eq!((left.platform.to_string().as_str(), left.layers.len()), ("linux/amd64", 2));
    }

    fn load(architecture: &str) -> ImageLoad {
        ImageLoad {
            image: "test/left:1".parse().unwrap(),
            reasons: std::collections::BTreeSet::new(),
            pods: std::collections::BTreeSet::new(),
            pull: None,
            first: vec!["n".into()],
            then: Vec::new(),
            platform: Platform { os: "linux".into(), architecture: architecture.into(), variant: None },
        }
    }

    fn of(image: &Expected, architecture: &str) -> Expected {
        let platform = Platform {
            os: "linux".into(),
            architecture: architecture.into(),
            variant: (architecture == "arm64").then(|| "v8".to_owned()),
        };
        Expected { platform: Some(platform), ..image.clone() }
    }

    #[test]
    fn an_image_for_another_platform_is_refused_with_a_hint() {
        let mut loads = vec![load("arm64")];
        let (images, absent) = choose(&archive::contents(ARCHIVE).unwrap(), &mut loads);
        assert_eq!((images, loads), (Vec::new(), Vec::new()));
        let [outcome] = &absent[..] else { panic!("{absent:?}") };
        assert_eq!(outcome.outcome, Outcome::Refused);
        assert_eq!(
            outcome.error.as_deref(),
            Some("the archive has it for linux/amd64, but the nodes are linux/arm64")
        );
        assert_eq!(outcome.hint.as_deref(), Some("save it with `docker save --platform linux/arm64`"));
    }

    #[test]
    fn nodes_get_the_variant_for_their_platform() {
        let image = Expected::named("docker.io/test/left:1");
        let expected = [of(&image, "amd64"), of(&image, "arm64")];
        for (architecture, chosen) in [("amd64", &expected[0]), ("arm64", &expected[1])] {
            let (images, absent) = choose(&expected, &mut vec![load(architecture)]);
            assert_eq!((images.as_slice(), absent), (std::slice::from_ref(chosen), Vec::new()));
        }
    }

    #[test]
    fn variants_for_several_platforms_are_one_image() {
        let image = Expected::named("docker.io/test/left:1");
        let engine = held_in(&[of(&image, "amd64"), of(&image, "arm64")]).unwrap();
        assert_eq!(engine.held.len(), 1);
    }

    #[test]
    fn a_pipe_is_buffered_and_can_be_read_twice() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let to = pipe.clone();
        std::thread::spawn(move || std::fs::write(to, ARCHIVE));
        let context = Context::for_test(std::sync::Arc::new(crate::process::ScriptedRunner::default()));
        let kept = ImageFile::named(&pipe, &context).unwrap();
        for _ in 0..2 {
            let mut read = Vec::new();
            open_archive(&kept.path, &context.interrupt).unwrap().read_to_end(&mut read).unwrap();
            assert!(read == ARCHIVE);
        }
    }
}
