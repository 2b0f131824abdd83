//! `images save`: saves everything `up` needs, or some images, to one file for offline machines.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use super::existing;
use super::plan::operator_install;
use super::wanted::milvus_version;
use crate::archive::Digest;
use crate::archive::Platform;
use crate::bundle::{self, BundledFile, BundledTool, Contents, Packing, PlanContents};
use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::images::ImageRef;
use crate::images::catalog::PlannedImage;
use crate::load::fetch::opened_store;
use crate::load::keep::keep;
use crate::milvus::OPERATOR;
use crate::milvus::images::planned_images;
use crate::process::{Temporary, TemporaryFolder};
use crate::settings::plan_flags;
use crate::store::{ExportTarget, Store, StoredImage};
use crate::toolbox::fetch::release_files;
use crate::toolbox::{HostPlatform, NODE_IMAGE, Tool};
use crate::tools::Helm;
use crate::tools::kind::load_balancer_image;
use crate::ui::{bytes, count};

/// What to save, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) to: &'a Path,
    /// Only these images; empty for everything `up` needs.
    pub(crate) images: &'a [ImageRef],
    pub(crate) platform: HostPlatform,
    /// Whether to replace an existing file.
    pub(crate) force: bool,
}

/// A written bundle.
#[derive(Debug, Clone)]
pub(crate) struct Saved {
    pub(crate) contents: Contents,
}

/// Collects everything and writes the file atomically. A dry run does neither.
///
/// # Errors
/// Fails with [`Exit::Usage`] if the file exists or cannot be created, and fails if something cannot be
/// downloaded.
pub(crate) fn save(context: &Context, request: Request<'_>) -> anyhow::Result<Option<Saved>> {
    let packing = check(request)?;
    let wanted = if request.images.is_empty() { planned(context)? } else { request.images.to_vec() };
    if context.dry_run {
        context.ui.line(&format!("Dry run: not writing `{}`", request.to.display()));
        return Ok(None);
    }
    let files = TemporaryFolder::new("milvusctl-bundle-", &context.interrupt)?;
    let plan = if request.images.is_empty() { Some(gather(context, request, files.path())?) } else { None };
    let store = opened_store(context)?;
    let platform = Platform {
        os: "linux".to_owned(),
        architecture: request.platform.arch_name().to_owned(),
        variant: None,
    };
    let all: Vec<ImageRef> = plan.iter().flat_map(PlanContents::own_images).chain(&wanted).cloned().collect();
    let held = keep(context, &store, &all, &platform)?;
    // Name the node image by tag: engines look up a pinned one by a digest that a loaded image does not have.
    let plan = plan
        .map(|plan| PlanContents { node_image: plan.node_image.map(|image| image.without_digest()), ..plan });
    let contents = Contents::new(request.platform.to_string(), wanted, plan);
    let held: Vec<StoredImage> = held
        .into_iter()
        .zip(contents.all_images())
        .map(|(held, image)| StoredImage { image: image.clone(), ..held })
        .collect();
    write(context, request, packing, &contents, files.path(), &store, &held)?;
    Ok(Some(Saved { contents }))
}

/// The target platform of a bundle: as named by the user, or this machine's.
///
/// # Errors
/// Fails with [`Exit::Usage`] if the tools are not published for it.
pub(crate) fn platform(named: Option<&str>) -> anyhow::Result<HostPlatform> {
    let known = "a platform is `linux/amd64`, `linux/arm64`, `darwin/amd64` or `darwin/arm64`";
    match named {
        Some(text) => HostPlatform::parse(text).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("`{text}` is not a known platform")).hint(known).into()
        }),
        None => HostPlatform::host().ok_or_else(|| {
            Failure::new(Exit::Usage, "kind, helm and kubectl are not published for this machine")
                .hint("set the target machine with `--platform`")
                .into()
        }),
    }
}

/// Checks the file's name and folder before downloading anything.
fn check(request: Request<'_>) -> anyhow::Result<Packing> {
    let Request { to, force, .. } = request;
    let folder = folder_of(to);
    if !folder.is_dir() {
        return Err(Failure::new(Exit::Usage, format!("there is no folder `{}`", folder.display())).into());
    }
    if to.is_dir() {
        return Err(Failure::new(Exit::Usage, format!("`{}` is a folder", to.display())).into());
    }
    if to.exists() && !force {
        return Err(Failure::new(Exit::Usage, format!("`{}` already exists", to.display()))
            .hint("choose another name, or replace it with `--force`")
            .into());
    }
    Packing::of(to)
        .with_context(|| format!("`{}` is neither a `.tar` nor a `.tar.zst`", to.display()))
        .exit(Exit::Usage)
        .hint("the name decides the format: `-o milvus.tar.zst`, or `-o milvus.tar` for no compression")
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn planned(context: &Context) -> anyhow::Result<Vec<ImageRef>> {
    let planned = planned_images(&context.settings);
    if !planned.is_known {
        let version = &context.settings.operator.version;
        return Err(Failure::new(
            Exit::Usage,
            format!("the images of milvus-operator {version} are unknown"),
        )
        .hint("choose a known release with `--operator-version`, or name the images")
        .into());
    }
    // A new Milvus elsewhere, and the one that is here.
    let here = existing::planned(context)?.images;
    let mut images: Vec<ImageRef> = Vec::new();
    for PlannedImage { image, .. } in planned.images.into_iter().chain(here) {
        if !images.contains(&image) {
            images.push(image);
        }
    }
    Ok(images)
}

/// Collects the chart and the tools in `files`.
fn gather(context: &Context, request: Request<'_>, files: &Path) -> anyhow::Result<PlanContents> {
    let settings = &context.settings;
    let chart = pull_chart(context, files)?;
    let mut tools = Vec::new();
    for (tool, release) in release_files(context, request.platform)? {
        let path = format!("tools/{}", release.place);
        let file = copy(&release.file, files, &path)
            .with_context(|| format!("could not read `{}`", release.file.display()))?;
        tools.push(BundledTool { name: tool.to_string(), version: release.version, file });
    }
    Ok(PlanContents {
        about: about(context),
        flags: plan_flags(settings),
        node_image: node_image(context)?,
        load_balancer: load_balancer(context, &tools)?,
        operator: settings.operator.version.clone(),
        chart,
        tools,
    })
}

/// A short description of the plan.
fn about(context: &Context) -> String {
    let settings = &context.settings;
    let milvus = milvus_version(settings).map(|version| format!("Milvus {version}, ")).unwrap_or_default();
    format!("{milvus}{}, milvus-operator {}", settings.milvus.mode.as_str(), settings.operator.version)
}

/// The node image; `None` for an existing cluster.
fn node_image(context: &Context) -> anyhow::Result<Option<ImageRef>> {
    let settings = &context.settings;
    if settings.cluster.context.is_some() {
        return Ok(None);
    }
    let named = settings.cluster.node_image.as_ref().map(|image| Ok(image.reference().clone()));
    let image = named.unwrap_or_else(|| NODE_IMAGE.parse());
    image.context("the built-in node image is invalid").map(Some)
}

/// The load balancer image that the bundled kind uses for several control planes.
fn load_balancer(context: &Context, tools: &[BundledTool]) -> anyhow::Result<Option<ImageRef>> {
    let cluster = &context.settings.cluster;
    if cluster.context.is_some() || cluster.control_planes < 2 {
        return Ok(None);
    }
    let bundled =
        tools.iter().find(|tool| tool.name == Tool::Kind.name()).and_then(|tool| tool.version.clone());
    let version = match bundled {
        Some(version) => version,
        None => context.tools.kind.version().context("could not ask kind which load balancer it uses")?,
    };
    let image = load_balancer_image(&version).parse();
    image.context("kind's load balancer image is invalid").map(Some)
}

fn pull_chart(context: &Context, files: &Path) -> anyhow::Result<BundledFile> {
    let operator = &context.settings.operator;
    let step = context.ui.step(&format!("Fetching the chart of milvus-operator {}", operator.version));
    let folder = tempfile::Builder::new().prefix("chart-").tempdir_in(files)?;
    let install = operator_install(&context.settings, String::new(), None);
    let helm: Helm = context.tools.helm(&context.kube_context());
    helm.pull(&install, folder.path())
        .with_context(|| format!("could not get milvus-operator {} from {}", operator.version, operator.repo))
        .hint("check `--operator-repo` and `--operator-version`; `helm search repo --versions` lists what is available")?;
    let entries = std::fs::read_dir(folder.path())?.filter_map(Result::ok).map(|entry| entry.path());
    let found: Option<PathBuf> =
        entries.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    let found = found.with_context(|| format!("`helm pull {OPERATOR}` left no chart"))?;
    let chart = copy(&found, files, &format!("charts/{OPERATOR}-{}.tgz", operator.version))?;
    step.done(&format!("Fetched the chart of milvus-operator {}", operator.version));
    Ok(chart)
}

/// Copies a file to `path` inside `files`.
fn copy(from: &Path, files: &Path, path: &str) -> anyhow::Result<BundledFile> {
    let to = files.join(path);
    std::fs::create_dir_all(folder_of(&to))?;
    let size = std::fs::copy(from, &to)?;
    let digest = Digest::of_reader(std::fs::File::open(&to)?)?;
    Ok(BundledFile { path: path.to_owned(), size, digest })
}

/// Writes to a temporary file beside the target and renames it.
fn write(
    context: &Context,
    request: Request<'_>,
    packing: Packing,
    contents: &Contents,
    files: &Path,
    store: &Arc<Store>,
    held: &[StoredImage],
) -> anyhow::Result<()> {
    let to = request.to;
    let name = to.display();
    let transfer = context.ui.transfer(&format!("writing {name}"));
    let write = || -> anyhow::Result<u64> {
        let layout = store.export(&held.iter().collect::<Vec<_>>(), ExportTarget::Engine, BTreeSet::new())?;
        let mut file = Temporary::new_in(folder_of(to), ".milvusctl-bundle-", &context.interrupt)?;
        let mut done = 0;
        let out = BufWriter::with_capacity(1024 * 1024, file.file()?);
        bundle::write(out, packing, contents, files, layout, &context.interrupt, &mut |piece| {
            done += piece;
            transfer.at(done, None);
        })?;
        // Readable by others: a bundle is meant to be shared.
        file.file()?.set_permissions(Permissions::from_mode(0o644))?;
        Ok(file.persist(to, request.force)?)
    };
    match write() {
        Ok(size) => {
            let images = count(contents.all_images().count(), "image");
            transfer.done(&format!("wrote {name} with {images}, {}", bytes(size)), None);
            Ok(())
        }
        Err(error) => {
            if context.interrupt.is_set() {
                transfer.vanish();
            } else {
                transfer.failed(&format!("could not write {name}"));
            }
            context.check_interrupt()?;
            Err(error.context(format!("could not write `{name}`")))
        }
    }
}
