//! `up`: creates the cluster and deploys a working Milvus.

use std::time::Instant;

use serde::Serialize;

use crate::cli::UpArgs;
use crate::context::Context;
use crate::error::Exit;
use crate::status::Status;
use crate::status::observe::observe_cluster;
use crate::ui;
use crate::up::{Choices, Progress, StepReport, up};

/// The JSON answer: the resulting status and the steps taken.
#[derive(Debug, Serialize)]
struct UpAnswer {
    #[serde(flatten)]
    status: Status,
    steps: Vec<StepReport>,
}

/// Deploys everything and prints the URLs.
///
/// # Errors
/// Returns the failed step's error. Nothing is rolled back; another run resumes.
pub(super) fn run(args: &UpArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let choices = Choices {
        force: args.force,
        install_tools: !args.no_install_tools,
        keep_on_failure: !args.no_keep_on_failure,
    };
    let Some(progress) = up(context, choices)? else { return Ok(Exit::Done) };
    if context.wants_json() {
        let mut status = observe_cluster(context)?;
        status.urls = progress.urls;
        context.answer_json(&UpAnswer { status, steps: progress.steps })?;
    } else {
        show(context, &progress, started);
    }
    Ok(if progress.is_partial { Exit::Partial } else { Exit::Done })
}

fn show(context: &Context, progress: &Progress, started: Instant) {
    let line = if progress.has_changed() {
        format!("Milvus is up after {}", ui::seconds(started.elapsed()))
    } else {
        "Nothing to change".to_owned()
    };
    context.ui.line(&format!("\n{line}"));
    for (what, url) in [("Attu", &progress.urls.attu), ("Milvus", &progress.urls.milvus)] {
        if let Some(url) = url {
            context.ui.data(&format!("{what:<7} {url}"));
        }
    }
    let open = if progress.urls.attu.is_some() { "open Attu, or " } else { "" };
    context.ui.line(&format!("\nNext: {open}connect a client to Milvus"));
    let cluster = context.same_cluster();
    let takes_away = if context.settings.cluster.context.is_some() { "removes it" } else { "deletes it all" };
    context.ui.line(&format!("  milvusctl status {cluster}  shows the state"));
    context.ui.line(&format!("  milvusctl down {cluster}    {takes_away}"));
}
