//! `status`: shows nodes, Milvus, workloads, unready pods with reasons, missing images and URLs.

use std::time::Duration;

use crate::cli::StatusArgs;
use crate::context::Context;
use crate::error::Exit;
use crate::status::in_words::in_words;
use crate::status::observe::{add_details, observe_cluster};
use crate::status::{PodTrouble, Status};

/// Shows the status once, or repeatedly with `--watch`.
///
/// # Errors
/// Fails if the cluster does not respond.
pub(super) fn run(args: &StatusArgs, context: &Context) -> anyhow::Result<Exit> {
    let mut last = None;
    loop {
        let mut status = observe_cluster(context)?;
        add_details(context, &mut status);
        if last.as_ref() != Some(&status) {
            show(context, &status)?;
        }
        if !args.watch {
            return Ok(Exit::Done);
        }
        last = Some(status);
        context.sleep(Duration::from_secs(3))?;
        context.ui.is_read()?;
    }
}

/// Shows the status as text or JSON.
///
/// # Errors
/// Fails if serializing to JSON fails.
pub(super) fn show(context: &Context, status: &Status) -> anyhow::Result<()> {
    if context.wants_json() {
        return context.answer_json(status);
    }
    context.ui.data(&in_words(status, context.ui.width()));
    let mut advice: Vec<_> = status.pods.iter().filter_map(PodTrouble::advice).collect();
    advice.sort_unstable();
    advice.dedup();
    for advice in advice {
        context.ui.line(&format!("hint: {}", context.advice(advice)));
    }
    Ok(())
}
