//! What a command may use: the settings, the tools, the user's terminal, and the wish to stop.

use std::time::Duration;

use crate::error::{Exit, Failure};
use crate::images::mirror::Rules;
use crate::process::{Deadline, Interrupt};
use crate::settings::Settings;
use crate::tools::{Kubectl, Tools, kind};
use crate::ui::OutputFormat;
use crate::ui::Ui;

/// What a command may use.
#[derive(Clone)]
pub struct Context {
    pub settings: Settings,
    /// The programs that do the work.
    pub tools: Tools,
    pub ui: Ui,
    /// Whether the user asked to stop.
    pub interrupt: Interrupt,
    /// How long what is being done may take.
    pub deadline: Deadline,
    pub output: OutputFormat,
    /// Whether writes are printed instead of done.
    pub dry_run: bool,
}

#[cfg(test)]
impl Context {
    /// A context with the default settings, in which `runner` answers and nothing is shown.
    pub(crate) fn for_test(runner: std::sync::Arc<dyn crate::process::Runner>) -> Self {
        use crate::settings::{Layer, resolve};
        let mut settings = resolve(Layer::default(), None).unwrap();
        // What no test has scripted is not asked: the engine's words are scripted, registries answer for themselves.
        settings.images.pull_with = crate::images::loading::PullWith::Docker;
        Self {
            settings,
            tools: Tools::new(runner),
            ui: Ui::new(crate::ui::UiOptions { quiet: true, ..Default::default() }, |_| None),
            interrupt: Interrupt::default(),
            deadline: Deadline::default(),
            output: OutputFormat::Json,
            dry_run: false,
        }
    }
}

impl Context {
    /// The kubeconfig context of the cluster, kind's or an existing one.
    pub fn kube_context(&self) -> String {
        let cluster = &self.settings.cluster;
        cluster.context.clone().unwrap_or_else(|| kind::context_of(&cluster.name))
    }

    pub fn kubectl(&self) -> Kubectl {
        self.tools.kubectl(&self.kube_context())
    }

    /// The mirror rules in force.
    pub fn mirror_rules(&self) -> Rules {
        let mirror = &self.settings.mirror;
        Rules::new(mirror.rules.clone(), mirror.preset)
    }

    /// The flag that leads another command to the same cluster, such as `--name milvus-cluster`.
    pub fn same_cluster(&self) -> String {
        use crate::process::quote;
        match &self.settings.cluster.context {
            Some(context) => format!("--context {}", quote(context)),
            None => format!("--name {}", quote(&self.settings.cluster.name)),
        }
    }

    /// Whether the answer is to be JSON.
    pub fn wants_json(&self) -> bool {
        self.output == OutputFormat::Json
    }

    /// Prints an answer as one JSON document.
    ///
    /// # Errors
    /// Fails when the answer cannot be written as JSON.
    pub fn answer_json(&self, answer: &impl serde::Serialize) -> anyhow::Result<()> {
        self.ui.document(&serde_json::to_string_pretty(answer)?);
        Ok(())
    }

    /// Fails when the user asked to stop, or what was answered so far could not be written.
    ///
    /// # Errors
    /// Fails with [`Exit::Interrupted`], or with [`crate::ui::Unwritten`].
    pub fn check_interrupt(&self) -> anyhow::Result<()> {
        self.ui.written()?;
        if self.interrupt.is_set() {
            Err(Failure::new(Exit::Interrupted, "interrupted").into())
        } else {
            Ok(())
        }
    }

    /// Sleeps, unless there is a reason to stop.
    ///
    /// # Errors
    /// As [`Context::check_interrupt`].
    pub fn sleep(&self, time: Duration) -> anyhow::Result<()> {
        self.ui.written()?;
        if self.interrupt.sleep(time) {
            Ok(())
        } else {
            Err(Failure::new(Exit::Interrupted, "interrupted").into())
        }
    }
}
