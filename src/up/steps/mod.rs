//! The steps of `up`. Each holds its inputs, and can run itself or print itself for a dry run.

mod bundle;
mod cluster;
mod images;
mod milvus;
mod operator;
mod reach;

pub(super) use bundle::UnpackBundle;
pub(super) use cluster::{ConfigureMirrors, EnsureRunning};
pub(super) use images::{LoadImages, PushImages};
pub(super) use milvus::{ApplyMilvus, AwaitHealth, InstallAttu, StageOf};
pub(super) use operator::InstallOperator;
pub(super) use reach::{ExposeTarget, SmokeTest};
