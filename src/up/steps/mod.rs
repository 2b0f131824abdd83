//! The steps that `up` may have to carry out. Each has what it needs, runs it, and prints it for a dry run.

mod cluster;
mod images;
mod milvus;
mod operator;
mod reach;

use serde::Serialize;

use super::run::Progress;
use crate::context::Context;

pub(super) use cluster::{BringToRun, TellMirrors};
pub(super) use images::{LoadImages, PushImages};
pub(super) use milvus::{ApplyMilvus, AwaitHealth, InstallAttu};
pub(super) use operator::InstallOperator;
pub(super) use reach::{ExposeTarget, SmokeTest};

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
