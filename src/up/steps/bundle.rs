//! Unpacks the bundle before anything is created: images into the store, the node image into the engine.

use crate::bundle::{Bundle, Packing};
use crate::context::Context;
use crate::images::ImageRef;
use crate::load::bundled::{give_engine, take_in};
use crate::process::quote;
use crate::text::comment;
use crate::tools::docker::load_file_command;
use crate::up::work::{Progress, StepOutcome, Work};

/// Unpacks images from the bundle.
pub(crate) struct UnpackBundle {
    pub(crate) bundle: Bundle,
    /// Images for the store, and from there for the nodes.
    pub(crate) store: Vec<ImageRef>,
    /// Images for the engine itself.
    pub(crate) engine: Vec<ImageRef>,
}

impl Work for UnpackBundle {
    fn script(&self, _: &Context) -> anyhow::Result<String> {
        let file = self.bundle.path().display().to_string();
        let listed = |head: &str, images: &[ImageRef]| -> Vec<String> {
            let lines = images.iter().map(|image| format!("  {}", image.familiar()));
            std::iter::once(head.to_owned()).chain(lines).map(|line| comment(&line)).collect()
        };
        let mut lines = Vec::new();
        if !self.store.is_empty() {
            let head = format!("milvusctl reads these images from the bundle `{file}` into its image store:");
            lines.extend(listed(&head, &self.store));
        }
        if !self.engine.is_empty() {
            // `docker load` cannot choose among them.
            let head = "the engine gets these; `docker load` also gives it the bundle's other images:";
            lines.extend(listed(head, &self.engine));
            let is_packed = Packing::of(self.bundle.path()) == Some(Packing::Zstd);
            // Docker 20.10 does not decompress zstd by itself.
            lines.push(if is_packed {
                format!("zstd --decompress --stdout {} | docker load", quote(&file))
            } else {
                load_file_command(&file).to_script()
            });
        }
        Ok(lines.join("\n"))
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        let mut images = self.store.clone();
        images.extend(self.engine.iter().filter(|image| !self.store.contains(image)).cloned());
        let step = context.ui.step(&format!("Reading the bundle `{}`", self.bundle.path().display()));
        let held = take_in(context, &self.bundle, &images)?;
        let for_engine: Vec<_> = held.iter().filter(|held| self.engine.contains(&held.image)).collect();
        if !for_engine.is_empty() {
            give_engine(context, &for_engine)?;
        }
        step.done(&format!("Read {} from the bundle", crate::ui::count(images.len(), "image")));
        Ok(StepOutcome::Done)
    }
}
