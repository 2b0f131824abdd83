//! The Milvus resource with its Secret, Attu, and waiting for health.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use semver::Version;
use serde_json::Value;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::load::find::explain;
use crate::milvus::reach_external::reach_external;
use crate::milvus::{self, StorageKeys, wait};
use crate::templates;
use crate::text::comment;
use crate::tools::kubectl::{DEFINITION, MILVUSES, is_unknown_kind};
use crate::ui::StepLine;
use crate::up::work::{Progress, StepOutcome, Work};

/// How long the API server may take to recognise a resource definition just created by helm.
const DEFINED: Duration = Duration::from_secs(30);
/// How often to check a Milvus that is being deleted.
const POLL: Duration = Duration::from_secs(2);

/// Applies the Milvus resource and its prerequisites.
pub(crate) struct ApplyMilvus {
    pub(crate) resource: Value,
    /// The keys of the external storage, if milvusctl creates a Secret from them.
    pub(crate) keys: Option<StorageKeys>,
    /// The UID of a Milvus of that name being deleted, which must be gone first.
    pub(crate) leaving: Option<String>,
    /// Helm releases without workloads, which the operator would consider installed.
    pub(crate) empty_releases: Vec<String>,
    /// The part of an upgrade that this is, unless it is the last one.
    pub(crate) stage: Option<StageOf>,
}

/// A release on the way of an upgrade.
pub(crate) struct StageOf {
    pub(crate) version: Version,
    /// The image that the operator must have seen running before.
    pub(crate) before: String,
}

/// An annotation that makes the operator reconcile an unchanged Milvus.
const MENDED: &str = "milvusctl/mended-at";

impl ApplyMilvus {
    /// Waits until the previous Milvus of that name is gone.
    fn wait_for_deletion(&self, context: &Context, step: &StepLine) -> anyhow::Result<()> {
        let Some(uid) = &self.leaving else { return Ok(()) };
        let milvus = &context.settings.milvus;
        let end = Instant::now() + context.settings.up.timeout;
        loop {
            let found = context.kubectl().find(MILVUSES, &milvus.name, Some(&milvus.namespace));
            let found: Option<Value> = explain(context, found)?;
            if found.is_none_or(|live| live["metadata"]["uid"] != uid.as_str()) {
                return Ok(());
            }
            if Instant::now() > end {
                bail!(
                    Failure::new(
                        Exit::TimedOut,
                        format!(
                            "Milvus `{}/{}` is being deleted, but still exists after {}",
                            milvus.namespace,
                            milvus.name,
                            crate::ui::seconds(context.settings.up.timeout)
                        )
                    )
                    .hint(
                        "it waits for milvus-operator, whose log says more; `kubectl get deployments --all-namespaces` \
                         shows whether one runs"
                    )
                );
            }
            step.waits_for("the old Milvus to be deleted");
            context.sleep(POLL)?;
        }
    }

    fn uninstall_empty_releases(&self, context: &Context) -> anyhow::Result<()> {
        let helm = context.tools.helm(&context.kube_context());
        for release in &self.empty_releases {
            helm.uninstall(release, &context.settings.milvus.namespace).with_context(|| {
                format!("could not uninstall helm release `{release}`, which has no workloads")
            })?;
            context.ui.line(&format!("Uninstalled helm release `{release}`, which had no workloads"));
        }
        Ok(())
    }

    /// The resource, annotated to trigger the operator if dependencies must be installed again.
    fn with_trigger(&self) -> Value {
        let mut resource = self.resource.clone();
        if !self.empty_releases.is_empty() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            resource["metadata"]["annotations"][MENDED] = now.to_string().into();
        }
        resource
    }
}

/// The command that waits until all of Milvus runs `image`: its conditions alone may be those of the release before.
fn wait_for_image(context: &Context, image: &str, timeout: Duration) -> String {
    let milvus = &context.settings.milvus;
    let resource = format!("{MILVUSES}/{}", milvus.name);
    let value = format!("jsonpath={{.status.currentImage}}={image}");
    context.kubectl().wait_command(&milvus.namespace, &resource, &value, timeout).to_string()
}

impl Work for ApplyMilvus {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        let settings = &context.settings;
        let apply = |text: &str| context.kubectl().apply_command().input(text).to_script();
        let mut parts = Vec::new();
        let helm = context.tools.helm(&context.kube_context());
        for release in &self.empty_releases {
            parts.push(helm.uninstall_command(release, &settings.milvus.namespace).to_script());
        }
        if let Some(namespace) = milvus::own_namespace(settings) {
            parts.push(apply(&templates::document(&namespace)?));
        }
        if self.keys.is_some() {
            parts.push(comment("the storage's Secret, without its keys:"));
            parts.push(comment(&milvus::masked_storage_secret(settings).to_string()));
        }
        parts.push(context.kubectl().wait_for_definition_command(DEFINITION, DEFINED).to_string());
        if let Some(StageOf { before, .. }) = &self.stage {
            parts.push(wait_for_image(context, before, settings.up.timeout));
        }
        parts.push(apply(&templates::document(&self.with_trigger())?));
        Ok(parts.join("\n"))
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        let settings = &context.settings;
        let name = &settings.milvus.name;
        reach_external(context)?;
        let step = context.ui.step(&format!("Applying Milvus `{name}`"));
        self.wait_for_deletion(context, &step)?;
        self.uninstall_empty_releases(context)?;
        let kubectl = context.kubectl();
        if let Some(namespace) = milvus::own_namespace(settings) {
            kubectl.apply(&namespace.to_string()).context("could not create Milvus's namespace")?;
        }
        if let Some(StorageKeys { access, secret }) = &self.keys {
            let document = milvus::storage_secret(settings, access, secret).to_string();
            kubectl
                .apply_secret(&document, [access.expose(), secret.expose()])
                .context("could not create the storage's Secret")?;
        }
        let resource = self.with_trigger().to_string();
        let end = Instant::now() + DEFINED;
        while let Err(error) = kubectl.apply(&resource) {
            if !is_unknown_kind(&error) || Instant::now() > end {
                return Err(error).with_context(|| format!("could not apply Milvus `{name}`"));
            }
            context.sleep(Duration::from_secs(1))?;
        }
        step.done(&match &self.stage {
            Some(StageOf { version, .. }) => format!("Applied Milvus `{name}` with release {version}"),
            None => format!("Applied Milvus `{name}` ({} mode)", settings.milvus.mode),
        });
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
    /// How long Milvus must stay healthy.
    pub(crate) settle: Duration,
    pub(crate) timeout: Duration,
    /// The image that a script waits for in an upgrade.
    pub(crate) image: Option<String>,
}

impl Work for AwaitHealth {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        if let Some(image) = &self.image {
            return Ok(wait_for_image(context, image, self.timeout));
        }
        let milvus = &context.settings.milvus;
        let resource = format!("{MILVUSES}/{}", milvus.name);
        let wait = context.kubectl().wait_command(
            &milvus.namespace,
            &resource,
            "condition=MilvusReady",
            self.timeout,
        );
        Ok(wait.to_string())
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        wait::wait_healthy(context, self.settle, Instant::now() + self.timeout, self.timeout)?;
        Ok(StepOutcome::Done)
    }
}
