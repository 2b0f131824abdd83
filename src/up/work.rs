//! The interface of a step, and its outcome.

use serde::Serialize;

use crate::cluster::create::Made;
use crate::context::Context;
use crate::status::Urls;

/// A step of `up`, as named in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepName {
    /// Unpacks the bundle.
    Bundle,
    /// The cluster, its nodes and its kubeconfig.
    Cluster,
    /// The mirrors that the nodes themselves pull through.
    Mirrors,
    /// The images known in advance.
    Images,
    Operator,
    /// Applies a release of Milvus that must run before the wanted one.
    Upgrade,
    /// Waits until that release runs.
    Upgraded,
    Milvus,
    Attu,
    /// Waits for Milvus to be healthy and loads images that turn out to be missing.
    Healthy,
    ExposeAttu,
    ExposeMilvus,
    Smoke,
}

/// Work to be done.
pub(super) trait Work {
    /// Renders the commands of [`Work::run`] for a shell script.
    ///
    /// # Errors
    /// Fails if a document cannot be rendered.
    fn script(&self, context: &Context) -> anyhow::Result<String>;

    /// Runs the work.
    ///
    /// # Errors
    /// Fails with a hint; nothing is rolled back.
    fn run(&self, context: &Context, progress: &mut Progress) -> anyhow::Result<StepOutcome>;
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepOutcome {
    Done,
    Unchanged,
    Skipped,
}

/// The outcome of a step.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StepReport {
    pub(super) name: StepName,
    /// The release of Milvus that a step of an upgrade is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    pub(crate) outcome: StepOutcome,
    pub(super) seconds: f64,
}

/// The outcome of a run so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) steps: Vec<StepReport>,
    pub(crate) urls: Urls,
    /// Whether something requested was left out.
    pub(crate) is_partial: bool,
    /// The cluster, if created by this run.
    pub(super) made: Made,
}

impl Progress {
    /// Marks a step as done that ran before the others were planned.
    pub(super) fn set_done(&mut self, name: StepName) {
        for step in self.steps.iter_mut().filter(|step| step.name == name) {
            step.outcome = StepOutcome::Done;
        }
    }

    /// Whether anything was changed.
    pub(crate) fn has_changed(&self) -> bool {
        self.steps.iter().any(|step| step.outcome == StepOutcome::Done)
    }
}
