//! The steps that `up` may have to carry out. Each has what it needs, runs it, and prints it for a dry run.

mod bundle;
mod cluster;
mod images;
mod milvus;
mod operator;
mod reach;

pub(super) use bundle::TakeBundle;
pub(super) use cluster::{BringToRun, TellMirrors};
pub(super) use images::{LoadImages, PushImages};
pub(super) use milvus::{ApplyMilvus, AwaitHealth, InstallAttu};
pub(super) use operator::InstallOperator;
pub(super) use reach::{ExposeTarget, SmokeTest};
