//! What a command has access to: settings, tools, the user's terminal and interrupts.

use std::sync::LazyLock;
use std::time::Duration;

use regex::{Captures, Regex};

use crate::error::{Exit, Failure};
use crate::images::mirror::Rules;
use crate::process::{Deadline, Interrupt};
use crate::settings::{Origin, Settings, keys};
use crate::tools::{Kubectl, Tools, kind};
use crate::ui::OutputFormat;
use crate::ui::Ui;

/// What a command has access to.
#[derive(Clone)]
pub struct Context {
    pub settings: Settings,
    /// The external tools.
    pub tools: Tools,
    pub ui: Ui,
    /// Whether the user asked to stop.
    pub interrupt: Interrupt,
    /// The time limit of the current operation.
    pub deadline: Deadline,
    pub output: OutputFormat,
    /// Whether to print changes instead of making them.
    pub dry_run: bool,
}

#[cfg(test)]
impl Context {
    /// A context with default settings and no output, whose tools are answered by `runner`.
    pub(crate) fn for_test(runner: std::sync::Arc<dyn crate::process::Runner>) -> Self {
        use crate::settings::{Layer, resolve};
        let mut settings = resolve(Layer::default(), None).unwrap();
        // Registries are not scripted, so let the scripted engine do the pulling.
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

    /// The effective mirror rules.
    pub fn mirror_rules(&self) -> Rules {
        let mirror = &self.settings.mirror;
        Rules::new(mirror.rules.clone(), mirror.preset)
    }

    /// The flag that makes another command use the same cluster, such as `--name milvus-cluster`.
    pub fn same_cluster(&self) -> String {
        use crate::process::quote;
        match &self.settings.cluster.context {
            Some(context) => format!("--context {}", quote(context)),
            None => format!("--name {}", quote(&self.settings.cluster.name)),
        }
    }

    /// Adds the cluster's flag to the commands in `advice`, so that they can be pasted.
    ///
    /// Only if this run has it from a flag: a variable or a configuration file applies to the next run, too.
    pub fn advice(&self, advice: &str) -> String {
        let chosen = [keys::CLUSTER_NAME, keys::CLUSTER_CONTEXT]
            .into_iter()
            .any(|key| matches!(self.settings.origin(key), Origin::Flag(_)));
        if chosen { with_flag(advice, &self.same_cluster()) } else { advice.to_owned() }
    }

    /// Whether to answer in JSON.
    pub fn wants_json(&self) -> bool {
        self.output == OutputFormat::Json
    }

    /// Prints an answer as a JSON document.
    ///
    /// # Errors
    /// Fails if serializing to JSON fails.
    pub fn answer_json(&self, answer: &impl serde::Serialize) -> anyhow::Result<()> {
        self.ui.document(&serde_json::to_string_pretty(answer)?);
        Ok(())
    }

    /// Fails if the user asked to stop or output could not be written.
    ///
    /// # Errors
    /// Fails with [`Exit::Interrupted`], or with [`crate::ui::WriteFailure`].
    pub fn check_interrupt(&self) -> anyhow::Result<()> {
        self.ui.written()?;
        if self.interrupt.is_set() {
            Err(Failure::new(Exit::Interrupted, "interrupted").into())
        } else {
            Ok(())
        }
    }

    /// Sleeps, unless interrupted.
    ///
    /// # Errors
    /// See [`Context::check_interrupt`].
    pub fn sleep(&self, time: Duration) -> anyhow::Result<()> {
        self.ui.written()?;
        if self.interrupt.sleep(time) {
            Ok(())
        } else {
            Err(Failure::new(Exit::Interrupted, "interrupted").into())
        }
    }
}

/// Adds `flag` to each command between backticks that works on a cluster and names none.
fn with_flag(advice: &str, flag: &str) -> String {
    static COMMAND: LazyLock<Regex> = LazyLock::new(|| {
        let verbs =
            "up|down|status|load-missing-images|images list|images load|expose|forward|smoke|diagnose";
        Regex::new(&format!("`(milvusctl (?:{verbs})(?: [^`]*)?)`")).expect("the pattern is valid")
    });
    let add = |found: &Captures<'_>| {
        let command = &found[1];
        let names_one = ["--name", "--context", "--uri"].iter().any(|flag| command.contains(flag));
        if names_one { format!("`{command}`") } else { format!("`{command} {flag}`") }
    };
    COMMAND.replace_all(advice, add).into_owned()
}

#[cfg(test)]
mod tests {
    use super::with_flag;

    #[test]
    fn commands_in_advice_get_the_flag_of_the_cluster() {
        for (advice, expected) in [
            ("`milvusctl status` shows it", "`milvusctl status --name a` shows it"),
            (
                "`milvusctl down`, then `milvusctl up --port 1:2`",
                "`milvusctl down --name a`, then `milvusctl up --port 1:2 --name a`",
            ),
            ("`milvusctl up --name b` creates it", "`milvusctl up --name b` creates it"),
            ("`milvusctl doctor --fix` downloads `kind`", "`milvusctl doctor --fix` downloads `kind`"),
            ("`milvusctl images prune` frees space", "`milvusctl images prune` frees space"),
        ] {
            assert_eq!(with_flag(advice, "--name a"), expected);
        }
    }
}
