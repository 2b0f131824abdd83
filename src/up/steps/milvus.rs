//! The Milvus resource with its Secret, Attu, and the wait until all of it is healthy.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use crate::context::Context;
use crate::milvus::reach_external::reach_external;
use crate::milvus::{self, StorageKeys, wait};
use crate::templates;
use crate::text::comment;
use crate::tools::kubectl::{MILVUSES, is_unknown_kind};
use crate::up::work::{Progress, StepOutcome, Work};

/// How long the API server may take to know a resource definition that helm has just made.
const DEFINED: Duration = Duration::from_secs(30);

/// Applies the Milvus resource, and before it what it needs.
pub(crate) struct ApplyMilvus {
    pub(crate) resource: Value,
    /// The keys of the external storage, where milvusctl makes a Secret of them.
    pub(crate) keys: Option<StorageKeys>,
}

impl Work for ApplyMilvus {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        let settings = &context.settings;
        let apply = |text: &str| context.kubectl().apply_command().input(text).to_script();
        let mut parts = Vec::new();
        if let Some(namespace) = milvus::own_namespace(settings) {
            parts.push(apply(&templates::document(&namespace)?));
        }
        if self.keys.is_some() {
            parts.push(comment("the storage's Secret, its keys left out:"));
            parts.push(comment(&milvus::masked_storage_secret(settings).to_string()));
        }
        parts.push(apply(&templates::document(&self.resource)?));
        Ok(parts.join("\n"))
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        let settings = &context.settings;
        let name = &settings.milvus.name;
        reach_external(context)?;
        let step = context.ui.step(&format!("Applying Milvus `{name}`"));
        let kubectl = context.kubectl();
        if let Some(namespace) = milvus::own_namespace(settings) {
            kubectl.apply(&namespace.to_string()).context("could not make Milvus's namespace")?;
        }
        if let Some(StorageKeys { access, secret }) = &self.keys {
            let document = milvus::storage_secret(settings, access, secret).to_string();
            kubectl
                .apply_secret(&document, [access.expose(), secret.expose()])
                .context("could not make the storage's Secret")?;
        }
        let resource = self.resource.to_string();
        let end = Instant::now() + DEFINED;
        while let Err(error) = kubectl.apply(&resource) {
            if !is_unknown_kind(&error) || Instant::now() > end {
                return Err(error).with_context(|| format!("could not apply Milvus `{name}`"));
            }
            context.sleep(Duration::from_secs(1))?;
        }
        step.done(&format!("Applied Milvus `{name}` ({} mode)", settings.milvus.mode));
        Ok(StepOutcome::Done)
    }
}

/// Applies Attu's manifests.
pub(crate) struct InstallAttu {
    pub(crate) manifests: String,
}

impl Work for InstallAttu {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        Ok(context.kubectl().apply_command().input(&self.manifests).to_script())
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        let version = &context.settings.attu.version;
        let step = context.ui.step(&format!("Installing Attu {version}"));
        context.kubectl().apply(&self.manifests).context("could not install Attu")?;
        step.done(&format!("Installed Attu {version}"));
        Ok(StepOutcome::Done)
    }
}

/// Waits until Milvus is healthy, and loads images that turn out to be missing.
pub(crate) struct AwaitHealth {
    /// For how long Milvus has to stay healthy before it is believed.
    pub(crate) settle: Duration,
    pub(crate) timeout: Duration,
}

impl Work for AwaitHealth {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        let milvus = &context.settings.milvus;
        let resource = format!("{MILVUSES}/{}", milvus.name);
        let wait = context.kubectl().wait_command(&milvus.namespace, &resource, "MilvusReady", self.timeout);
        Ok(wait.to_string())
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        wait::wait_healthy(context, self.settle, Instant::now() + self.timeout, self.timeout)?;
        Ok(StepOutcome::Done)
    }
}
