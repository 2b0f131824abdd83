//! `down`: deletes the kind cluster that it is named for, and no other.

use anyhow::Context as _;
use serde_json::json;

use crate::cli::DownArgs;
use crate::context::Context;
use crate::error::{Exit, Note, failure};

/// Deletes the cluster; one that is not there is said and is no failure.
///
/// # Errors
/// Fails when kind or the engine does, or when nobody can be asked and `--yes` is not given.
pub(super) fn run(args: &DownArgs, context: &Context) -> anyhow::Result<Exit> {
    if context.settings.cluster.context.is_some() {
        return Err(failure(
            Exit::Usage,
            "`down` deletes kind clusters; it does not remove what was installed with `--context`",
        ));
    }
    let name = &context.settings.cluster.name;
    let exists = context.tools.kind.clusters().context("could not list kind clusters")?.contains(name);
    // Nodes that kind no longer lists are left to it as well: it finds them by their label.
    let nodes = context.tools.docker.node_containers(name)?;
    if !exists && nodes.is_empty() {
        context.ui.line(&format!("There is no kind cluster `{name}`; nothing to delete"));
        return answer(context, name, false);
    }
    if !args.yes && !context.dry_run {
        match context.ui.ask(&format!("Delete the kind cluster `{name}` and everything in it?")) {
            Some(true) => {}
            Some(false) => {
                context.ui.line("Nothing was deleted");
                return Ok(Exit::Failed);
            }
            None => {
                return Err(failure(
                    Exit::Usage,
                    format!("would delete the kind cluster `{name}`, but nobody can be asked"),
                ))
                .hint("say `milvusctl down --yes`");
            }
        }
    }
    let step = context.ui.step(&format!("Deleting cluster `{name}`"));
    if let Err(error) = context.tools.kind.delete(name) {
        step.failed();
        return Err(error).with_context(|| format!("could not delete cluster `{name}`"));
    }
    if context.dry_run {
        step.vanish();
        return answer(context, name, false);
    }
    step.done(&format!("Deleted cluster `{name}`"));
    answer(context, name, true)
}

fn answer(context: &Context, name: &str, deleted: bool) -> anyhow::Result<Exit> {
    if context.wants_json() {
        context.answer_json(&json!({"cluster": name, "deleted": deleted}))?;
    }
    Ok(Exit::Done)
}
