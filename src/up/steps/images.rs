//! The images known in advance: into the nodes, or into the registry that an existing cluster pulls from.

use std::collections::BTreeMap;

use crate::archive::Platform;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::images::ImageRef;
use crate::images::catalog::PlannedImage;
use crate::images::loading::PullWith;
use crate::images::missing::{ImageName, MissingImage};
use crate::images::outcome::ImageOutcome;
use crate::images::plan::{EngineImages, LoadPlan, NodeImages, NodeScope, PlanInput, Presence, Pull, plan};
use crate::kube::node::Node;
use crate::load::Method;
use crate::load::dry_run::plan_script;
use crate::load::find::{engine_images, load_wave, method, plan_loads};
use crate::load::push::{push_images, push_script};
use crate::milvus::images::Planned;
use crate::process::quote;
use crate::settings::Settings;
use crate::text::comment;
use crate::ui::count;
use crate::up::work::{Progress, StepOutcome, Work};

/// Loads the images into the nodes.
pub(crate) struct LoadImages {
    pub(crate) images: Planned,
    /// Those without which a running Milvus must not be changed.
    pub(crate) required: Vec<ImageRef>,
    /// The nodes that kind will create, control plane first.
    pub(crate) nodes: Vec<String>,
    /// Whether the cluster is running and can list its nodes.
    pub(crate) runs: bool,
}

impl LoadImages {
    fn missing(&self) -> Vec<MissingImage> {
        let named = |planned: &PlannedImage| MissingImage::new(ImageName::Valid(planned.image.clone()));
        self.images.images.iter().map(named).collect()
    }

    /// Plans the loads: into the existing nodes, or into those that kind will create.
    fn loads(&self, context: &Context, method: &Method) -> anyhow::Result<LoadPlan> {
        let has_bundle = context.settings.images.bundle.is_some();
        let mut plan = if self.runs {
            plan_loads(context, method, &self.missing(), Presence::ByName)?
        } else {
            self.loads_of_a_new_cluster(context, !has_bundle)?
        };
        if has_bundle {
            // The bundle comes before any other source.
            plan.loads.iter_mut().for_each(|load| load.pull = Some(Pull { candidates: Vec::new() }));
        }
        Ok(plan)
    }

    fn loads_of_a_new_cluster(&self, context: &Context, asks_engine: bool) -> anyhow::Result<LoadPlan> {
        let wanted: Vec<&ImageRef> = self.images.images.iter().map(|planned| &planned.image).collect();
        let engine = if asks_engine { engine_images(context, &wanted)? } else { EngineImages::default() };
        let control_planes = usize::from(context.settings.cluster.control_planes);
        let platform = Platform::of_this_machine();
        let made = |(index, name): (usize, &String)| {
            let mut node = Node::planned(name, index, control_planes, self.nodes.len());
            node.status.node_info.operating_system.clone_from(&platform.os);
            node.status.node_info.architecture.clone_from(&platform.architecture);
            node
        };
        let nodes: Vec<Node> = self.nodes.iter().enumerate().map(made).collect();
        let observed = PlanInput {
            engine: &engine,
            stored: &BTreeMap::new(),
            held: &NodeImages::default(),
            nodes: &nodes,
            rules: &context.mirror_rules(),
            fetches: !asks_engine || context.settings.images.pull_with != PullWith::Docker,
            presence: Presence::ByName,
        };
        Ok(plan(&self.missing(), observed, NodeScope::All))
    }
}

impl Work for LoadImages {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        if !self.images.is_known && self.images.images.is_empty() {
            let version = &context.settings.operator.version;
            return Ok(comment(&format!(
                "milvus-operator {version} is unknown; its images are loaded once pods wait for them"
            )));
        }
        let settings = &context.settings;
        let method = method(context)?;
        let plan = self.loads(context, &method)?;
        if plan.loads.is_empty() && plan.refused.is_empty() {
            return Ok(comment(&format!("{} are loaded", count(self.images.images.len(), "planned image"))));
        }
        let told = plan_script(context, &method, &plan)?;
        let is_by_docker = settings.images.pull_with == PullWith::Docker && settings.images.bundle.is_none();
        let fetched: Vec<String> = plan
            .loads
            .iter()
            .filter(|load| load.pull.is_some())
            .map(|load| quote(&load.image.familiar()))
            .collect();
        if is_by_docker || fetched.is_empty() {
            return Ok(told);
        }
        let mut command = vec!["milvusctl images load".to_owned(), context.same_cluster()];
        if let Some(bundle) = &settings.images.bundle {
            command.extend(["--input".to_owned(), quote(&bundle.display().to_string())]);
        } else {
            command.extend(flags(settings));
            command.extend(fetched);
        }
        Ok(format!("{told}\n{}", command.join(" ")))
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        if !self.images.is_known {
            context.ui.warn(&format!(
                "milvus-operator {} is unknown; its images will be found once pods wait for them",
                context.settings.operator.version
            ));
        }
        let images = self.missing();
        if images.is_empty() {
            return Ok(StepOutcome::Skipped);
        }
        let step = context.ui.step(&format!("Loading {}", count(images.len(), "image")));
        let report = load_wave(context, &images, Presence::ByName)?;
        if report.missing == 0 {
            step.unchanged(&format!("All {} are loaded", count(images.len(), "planned image")));
            return Ok(StepOutcome::Unchanged);
        }
        if report.failed > 0 {
            // If a pod really needs one of them, waiting for health will fail.
            step.failed();
            let is_required =
                |failed: &&ImageOutcome| self.required.iter().any(|image| image.to_string() == failed.image);
            let lacking: Vec<&ImageOutcome> =
                report.images.iter().filter(|image| image.error.is_some()).filter(is_required).collect();
            if !lacking.is_empty() {
                return Err(cannot_upgrade(context, &lacking));
            }
            for image in report.images.iter().filter(|image| image.error.is_some()) {
                let error = image.error.as_deref().unwrap_or_default();
                context.ui.warn(&format!("{} was not loaded: {error}", image.image));
            }
        } else {
            step.done(&format!("Loaded {}", count(report.loaded, "image")));
        }
        Ok(StepOutcome::Done)
    }
}

/// The error for a Milvus that would lack its next image.
fn cannot_upgrade(context: &Context, lacking: &[&ImageOutcome]) -> anyhow::Error {
    let name = &context.settings.milvus.name;
    let mut lines = vec![format!(
        "Milvus `{name}` was not upgraded: {} of it could not be loaded, and nothing else was changed",
        count(lacking.len(), "image")
    )];
    let said =
        |image: &&ImageOutcome| format!("{}: {}", image.image, image.error.as_deref().unwrap_or_default());
    lines.extend(lacking.iter().map(said));
    let mut hints: Vec<String> = lacking.iter().filter_map(|image| image.hint.clone()).collect();
    hints.dedup();
    let images: Vec<String> = lacking.iter().map(|image| quote(&image.image)).collect();
    hints.push(format!(
        "without network access: `milvusctl images save -o upgrade.tar.zst {}` elsewhere, `milvusctl images load {} -i \
         upgrade.tar.zst` here, and the same command again",
        images.join(" "),
        context.same_cluster()
    ));
    Failure::new(Exit::Partial, lines.join("\n")).hints(hints).into()
}

/// The flags for another command to download images from the same sources.
fn flags(settings: &Settings) -> Vec<String> {
    let (mirror, images) = (&settings.mirror, &settings.images);
    let rules = mirror.rules.iter().map(|rule| format!("--mirror {}", quote(&rule.to_string())));
    let mut flags: Vec<String> = rules.collect();
    flags.push(format!("--mirror-preset {}", mirror.preset));
    if images.pull_with != PullWith::Auto {
        flags.push(format!("--pull-with {}", images.pull_with));
    }
    if let Some(store) = &images.store {
        flags.push(format!("--store {}", quote(&store.display().to_string())));
    }
    flags
}

/// Pushes the images into the registry that an existing cluster pulls from.
pub(crate) struct PushImages {
    pub(crate) images: Vec<PlannedImage>,
    /// The registry with its path prefix.
    pub(crate) to: String,
}

impl Work for PushImages {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        push_script(context, &self.images)
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        let images = count(self.images.len(), "image");
        let step = context.ui.step(&format!("Pushing {images}"));
        push_images(context, &self.images, usize::from(context.settings.images.jobs))?;
        step.done(&format!("Pushed {images} to {}", self.to));
        Ok(StepOutcome::Done)
    }
}
