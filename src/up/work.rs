//! What a step is to whoever runs or prints it, and what comes of it.

use serde::Serialize;

use crate::cluster::create::Made;
use crate::context::Context;
use crate::status::Urls;

/// A step of `up`, under the name by which JSON calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepName {
    /// What is taken out of the bundle.
    Bundle,
    /// The cluster, its nodes, and the way to it.
    Cluster,
    /// The mirrors that the nodes pull through by themselves.
    Mirrors,
    /// The images that are known in advance.
    Images,
    Operator,
    Milvus,
    Attu,
    /// Milvus healthy, with every image that turned out to be missing.
    Healthy,
    ExposeAttu,
    ExposeMilvus,
    Smoke,
}

/// Something that has to be done.
pub(super) trait Work {
    /// The commands that [`Work::run`] would run, as a part of a shell script.
    ///
    /// # Errors
    /// Fails when a document cannot be rendered.
    fn script(&self, context: &Context) -> anyhow::Result<String>;

    /// Does it.
    ///
    /// # Errors
    /// Fails with what to do about it; what was done stays.
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

/// What came of a step.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StepReport {
    pub(super) name: StepName,
    pub(crate) outcome: StepOutcome,
    pub(super) seconds: f64,
}

/// What came of a run so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) steps: Vec<StepReport>,
    pub(crate) urls: Urls,
    /// Whether something that was asked for was left out.
    pub(crate) is_partial: bool,
    /// The cluster, where this run has made it.
    pub(super) made: Made,
}

impl Progress {
    /// Notes that a step was done before the others were planned.
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
