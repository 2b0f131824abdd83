//! A bundle instead of the network: checks that it fits machine and plan, and unpacks what the first steps
//! need.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::observed::BundleState;
use super::wanted::Wanted;
use crate::bundle::{Bundle, BundleError, BundledFile, PlanContents};
use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::images::ImageRef;
use crate::load::bundled::lacking;
use crate::load::fetch::open_store;
use crate::load::find::engine_images;
use crate::milvus::images::planned_images;
use crate::process::{TemporaryFolder, quote};
use crate::settings::{ImageSetting, Settings};
use crate::toolbox::{HostPlatform, Tool};
use crate::tools::kind::load_balancer_image;

/// A bundle that fits this machine and plan.
pub(super) struct Offline {
    bundle: Bundle,
    plan: PlanContents,
    /// Where chart and tools are unpacked for this run.
    folder: TemporaryFolder,
}

impl Offline {
    /// Opens the bundle at `path`, and rejects an unusable one before anything is changed.
    ///
    /// # Errors
    /// Fails with [`Exit::Usage`] if it is not a bundle, has a newer format, or is for another machine or
    /// plan.
    pub(super) fn open(context: &Context, path: &Path) -> anyhow::Result<Self> {
        let shown = format!("`{}`", path.display());
        if !path.is_file() {
            let what = if path.exists() {
                format!("{shown} is not a file")
            } else {
                format!("file {shown} does not exist")
            };
            return Err(Failure::new(Exit::Usage, what)
                .hint("`milvusctl images save -o milvus.tar.zst` writes a bundle")
                .into());
        }
        let bundle = match Bundle::open(path, &context.interrupt) {
            Ok(Some(bundle)) => bundle,
            Ok(None) => {
                return Err(Failure::new(Exit::Usage, format!("{shown} is not a bundle"))
                    .hint("`milvusctl images save -o milvus.tar.zst` writes one; `milvusctl images load -i FILE` loads other archives")
                    .into());
            }
            Err(error @ BundleError::Newer { .. }) => {
                return Err(error)
                    .with_context(|| format!("{shown} cannot be used as a bundle"))
                    .exit(Exit::Usage)
                    .hint("update milvusctl");
            }
            Err(error) => {
                context.check_interrupt()?;
                return Err(error)
                    .with_context(|| format!("{shown} cannot be used as a bundle"))
                    .hint("copy it again, or save a new one with `milvusctl images save`");
            }
        };
        let Some(plan) = bundle.contents.plan.clone() else {
            return Err(Failure::new(Exit::Usage, format!("{shown} only contains images, and `up` needs more"))
                .hint(format!(
                    "save one with `milvusctl images save -o FILE`, without names; `milvusctl images load -i {}` loads \
                     the images",
                    quote(&path.display().to_string())
                ))
                .into());
        };
        check_platform(&bundle, &shown)?;
        check_plan(&context.settings, &bundle, &plan, &shown)?;
        check_load_balancer(context, &plan, &shown)?;
        let folder = TemporaryFolder::new("milvusctl-bundle-", &context.interrupt)?;
        let offline = Self { bundle, plan, folder };
        if !context.dry_run {
            offline.extract(context, &[&offline.plan.chart])?;
        }
        Ok(offline)
    }

    /// Applies the bundle's choices to the settings: the node image by tag, as it will be named in the
    /// engine.
    pub(super) fn settings(&self, settings: &Settings) -> Settings {
        with_node_image(settings, &self.plan)
    }

    /// Adds bundle and chart to what is wanted.
    pub(super) fn add_to(&self, context: &Context, wanted: &mut Wanted) {
        wanted.bundle = Some(self.bundle.clone());
        wanted.chart = Some(if context.dry_run {
            PathBuf::from(&self.plan.chart.path)
        } else {
            self.folder.path().join(&self.plan.chart.path)
        });
    }

    /// Unpacks tools and returns their folder.
    ///
    /// # Errors
    /// Fails if the bundle is truncated or damaged, or lacks a tool.
    pub(super) fn tools(&self, context: &Context, wanted: &[Tool]) -> anyhow::Result<PathBuf> {
        let is_wanted = |name: &str| wanted.iter().any(|tool| tool.name() == name);
        let files: Vec<&BundledFile> =
            self.plan.tools.iter().filter(|tool| is_wanted(&tool.name)).map(|tool| &tool.file).collect();
        self.extract(context, &files)?;
        Ok(self.folder.path().join("tools"))
    }

    fn extract(&self, context: &Context, files: &[&BundledFile]) -> anyhow::Result<()> {
        let extracted = self.bundle.extract(files, self.folder.path(), &context.interrupt);
        if extracted.is_err() {
            context.check_interrupt()?;
        }
        extracted
            .with_context(|| format!("`{}` cannot be used as a bundle", self.bundle.path().display()))
            .hint("copy it again, or save a new one with `milvusctl images save`")
    }
}

/// Adds to `state` what the bundle has of the images of an upgrade.
///
/// # Errors
/// Fails if the store cannot be read or the engine does not respond.
pub(super) fn add_from_bundle(
    context: &Context,
    bundle: &Bundle,
    images: &[ImageRef],
    state: &mut BundleState,
) -> anyhow::Result<()> {
    let images: Vec<ImageRef> =
        images.iter().filter(|image| bundle.contents.images.contains(*image)).cloned().collect();
    let store_lacks = match open_store(context)? {
        Some(store) => lacking(&store, bundle, &images)?,
        None => images,
    };
    state.store_lacks.extend(
        store_lacks.into_iter().filter(|image| !state.store_lacks.contains(image)).collect::<Vec<_>>(),
    );
    Ok(())
}

/// Sets the bundle's node image, unless the user's own kind config names one.
fn with_node_image(settings: &Settings, plan: &PlanContents) -> Settings {
    let mut settings = settings.clone();
    if let Some(image) = plan.node_image.as_ref().filter(|_| settings.cluster.own.is_none()) {
        settings.cluster.node_image = Some(image.into());
    }
    settings
}

fn check_platform(bundle: &Bundle, shown: &str) -> anyhow::Result<()> {
    let here = HostPlatform::host().map(|platform| platform.to_string()).unwrap_or_default();
    let of_bundle = &bundle.contents.platform;
    if *of_bundle == here {
        return Ok(());
    }
    let here = if here.is_empty() { "another".to_owned() } else { here };
    Err(Failure::new(Exit::Usage, format!("{shown} is for {of_bundle}, and this machine is {here}"))
        .hint(format!("save one with `milvusctl images save --platform {here} -o FILE`"))
        .into())
}

/// Refuses a bundle that lacks part of the plan.
fn check_plan(settings: &Settings, bundle: &Bundle, plan: &PlanContents, shown: &str) -> anyhow::Result<()> {
    let mut lacks = Vec::new();
    if settings.operator.version != plan.operator {
        lacks.push(format!("milvus-operator {}", settings.operator.version));
    }
    // The planned images may depend on the nodes' Kubernetes version.
    let planned = planned_images(&with_node_image(settings, plan)).images;
    let held = &bundle.contents.images;
    lacks.extend(planned.iter().filter(|one| !held.contains(&one.image)).map(|one| one.image.familiar()));
    if settings.cluster.context.is_none() {
        let asked = settings.cluster.node_image.as_ref();
        let is_other = |asked: &ImageSetting| Some(asked.reference().without_digest()) != plan.node_image;
        if plan.node_image.is_none() {
            lacks.push("a node image".to_owned());
        } else if let Some(asked) = asked.filter(|asked| is_other(asked)) {
            lacks.push(asked.to_string());
        }
    }
    if !lacks.is_empty() {
        let path = quote(&bundle.path().display().to_string());
        let mut command = format!("milvusctl up --bundle {path}");
        for flag in &plan.flags {
            command = format!("{command} {}", quote(flag));
        }
        let what =
            format!("{shown} was saved for another plan ({}) and lacks {}", plan.about, lacks.join(", "));
        return Err(Failure::new(Exit::Usage, what)
            .hint(format!(
                "`{command}` deploys what it contains; `milvusctl images save` with your flags saves what you want"
            ))
            .into());
    }
    check_own_config(settings, plan)
}

/// Refuses a bundle without the load balancer that this machine's kind pulls for several control planes.
fn check_load_balancer(context: &Context, plan: &PlanContents, shown: &str) -> anyhow::Result<()> {
    let cluster = &context.settings.cluster;
    if cluster.context.is_some() || cluster.control_planes < 2 {
        return Ok(());
    }
    // Without an installed kind, the bundle's is used.
    let Ok(version) = context.tools.kind.version() else { return Ok(()) };
    let image: ImageRef = load_balancer_image(&version).parse()?;
    if plan.load_balancer.as_ref() == Some(&image)
        || engine_images(context, &[&image])?.held.contains_key(&image)
    {
        return Ok(());
    }
    let what = format!(
        "{shown} lacks `{}`, which kind {version} needs for several control planes",
        image.familiar()
    );
    let of_bundle = plan.tools.iter().find(|tool| tool.name == Tool::Kind.name());
    let hint = match of_bundle.and_then(|tool| tool.version.as_ref()).filter(|_| plan.load_balancer.is_some())
    {
        Some(other) => format!("use kind {other} from the bundle, which it was saved for"),
        None => "save one with the same kind configuration".to_owned(),
    };
    Err(Failure::new(Exit::Usage, what).hint(hint).into())
}

/// Refuses a kind config that names the node image by digest, since an image loaded from a file has no
/// registry digest.
fn check_own_config(settings: &Settings, plan: &PlanContents) -> anyhow::Result<()> {
    let (Some(_), Some(image)) = (&settings.cluster.own, &plan.node_image) else { return Ok(()) };
    let named = settings.cluster.node_image.as_ref();
    if named.map(ImageSetting::reference) == Some(image) {
        return Ok(());
    }
    let asked = named.map_or_else(|| "names none".to_owned(), |named| format!("names `{named}`"));
    let image = image.familiar();
    let what = format!("the bundle contains the node image `{image}`, but your kind configuration {asked}");
    Err(Failure::new(Exit::Usage, what).hint(format!("set `image: {image}` on each of its nodes")).into())
}
