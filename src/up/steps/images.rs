//! The images that are known in advance: into the nodes, or into the registry that an existing cluster pulls from.

use std::collections::BTreeSet;

use crate::context::Context;
use crate::images::catalog::PlannedImage;
use crate::images::missing::{ImageName, MissingImage};
use crate::images::plan::Presence;
use crate::images::plan::{ImageLoad, Platform, Pull};
use crate::load::find::{load_script, load_wave};
use crate::load::push::{push_images, push_script};
use crate::load::{Method, Source};
use crate::milvus::images::Planned;
use crate::tools::docker::PLATFORM_SAVE_API;
use crate::ui::count;
use crate::up::work::{Progress, StepOutcome, Work};

/// Loads the images into the nodes.
pub(crate) struct LoadImages {
    pub(crate) images: Planned,
    /// The nodes that kind is going to make, the control plane first.
    pub(crate) nodes: Vec<String>,
}

impl Work for LoadImages {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        let settings = &context.settings;
        let api = context.tools.docker.version().map_or(PLATFORM_SAVE_API, |version| version.api);
        let method = Method {
            jobs: usize::from(settings.images.jobs),
            loader: settings.images.loader,
            api,
            cluster: settings.cluster.name.clone(),
            source: Source::Engine,
            store: None,
            nodes: std::sync::Arc::default(),
            before: std::sync::Arc::default(),
        };
        let rules = context.mirror_rules();
        // With workers, the control plane is left to itself.
        let nodes = if self.nodes.len() > 1 { &self.nodes[1..] } else { &self.nodes };
        let load = |planned: &PlannedImage| ImageLoad {
            image: planned.image.clone(),
            reasons: BTreeSet::new(),
            pods: BTreeSet::new(),
            // A bundle's are in the engine by then.
            pull: settings
                .images
                .bundle
                .is_none()
                .then(|| Pull { candidates: rules.candidates(&planned.image) }),
            first: nodes.to_vec(),
            then: Vec::new(),
            platform: Platform::of_this_machine(),
        };
        let scripts = self.images.images.iter().map(|planned| load_script(&method, &load(planned)));
        Ok(scripts.collect::<Vec<_>>().join("\n"))
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        if !self.images.is_known {
            context.ui.warn(&format!(
                "milvus-operator {} is not known; its images are found when pods wait for them",
                context.settings.operator.version
            ));
            return Ok(StepOutcome::Skipped);
        }
        let images: Vec<MissingImage> = self
            .images
            .images
            .iter()
            .map(|planned| MissingImage::new(ImageName::Valid(planned.image.clone())))
            .collect();
        let step = context.ui.step(&format!("Loading {}", count(images.len(), "image")));
        let report = load_wave(context, &images, Presence::ByName)?;
        if report.missing == 0 {
            step.unchanged(&format!("All {} are loaded", count(images.len(), "planned image")));
            return Ok(StepOutcome::Unchanged);
        }
        if report.failed > 0 {
            // Pods that really want one of them wait for it later, and then it counts.
            step.failed();
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

/// Pushes the images into the registry that an existing cluster pulls from.
pub(crate) struct PushImages {
    pub(crate) images: Vec<PlannedImage>,
    /// The registry and the path below it.
    pub(crate) to: String,
}

impl Work for PushImages {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        Ok(push_script(context, &self.images))
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        let images = count(self.images.len(), "image");
        let step = context.ui.step(&format!("Pushing {images}"));
        push_images(context, &self.images, usize::from(context.settings.images.jobs))?;
        step.done(&format!("Pushed {images} to {}", self.to));
        Ok(StepOutcome::Done)
    }
}
