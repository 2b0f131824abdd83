//! `down`: deletes exactly the named kind cluster; with `--context`, uninstalls what milvusctl installed and
//! keeps the cluster.

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::cli::DownArgs;
use crate::cluster::{lock, mark};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::milvus::removal::{Removal, obstacle};
use crate::milvus::remove::{look, remove};
use crate::process;
use crate::tools::kind;

/// Deletes the cluster. A missing cluster is reported but not an error.
///
/// # Errors
/// Fails if kind or the engine fails, or if there is no terminal to confirm on and no `--yes`.
pub(super) fn run(args: &DownArgs, context: &Context) -> anyhow::Result<Exit> {
    let _lock = lock::take(context, "down")?;
    if let Some(name) = &context.settings.cluster.context {
        return from_existing(args, context, name);
    }
    let name = &context.settings.cluster.name;
    let clusters = context.tools.kind.clusters().context("could not list kind clusters")?;
    let exists = clusters.contains(name);
    // Leave nodes that kind no longer lists to kind as well; it finds them by label.
    let nodes = context.tools.docker.node_containers(name)?;
    if !exists && nodes.is_empty() {
        if !context.dry_run {
            mark::clear(name);
        }
        context.ui.line(&format!("There is no kind cluster `{name}`; nothing to delete"));
        if let Some(near) = kind::probably_meant(name, &clusters) {
            context.ui.line(&format!("hint: did you mean `--name {near}`?"));
        }
        return answer(context, name, false);
    }
    let question = format!("Delete the kind cluster `{name}` and everything in it?");
    if !is_confirmed(args, context, &question, &format!("delete the kind cluster `{name}`"))? {
        return Ok(Exit::Failed);
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
    mark::clear(name);
    step.done(&format!("Deleted cluster `{name}`"));
    answer(context, name, true)
}

/// Asks for confirmation unless `--yes` is given, and returns the answer.
fn is_confirmed(args: &DownArgs, context: &Context, question: &str, what: &str) -> anyhow::Result<bool> {
    if args.yes || context.dry_run {
        return Ok(true);
    }
    let answer = context.ui.ask(question, process::stdin(&context.interrupt)?);
    context.check_interrupt()?;
    match answer {
        Some(true) => Ok(true),
        Some(false) => {
            context.ui.line("Nothing was deleted");
            Ok(false)
        }
        None => {
            Err(Failure::new(Exit::Usage, format!("would {what}, but there is no terminal to confirm on"))
                .hint("use `milvusctl down --yes`")
                .into())
        }
    }
}

/// Uninstalls what milvusctl installed into an existing cluster.
fn from_existing(args: &DownArgs, context: &Context, name: &str) -> anyhow::Result<Exit> {
    let release = &context.settings.milvus.name;
    let step = context.ui.step("Looking for what milvusctl installed");
    let seen = look(context);
    step.vanish();
    let seen = seen?;
    if let Some((obstacle, hint)) = obstacle(&seen.found, name) {
        bail!(Failure::new(Exit::Failed, obstacle).hint(hint));
    }
    let removal = Removal::plan(&seen.found, release, args.delete_data);
    let nothing = removal.is_nothing();
    if nothing {
        context.ui.line(&format!("milvusctl installed nothing in context `{name}`; nothing to remove"));
    } else {
        context.ui.line(&format!("This will be deleted from context `{name}`:"));
        for thing in removal.names() {
            context.ui.line(&format!("  {thing}"));
        }
        let data = if removal.volumes.is_empty() { "; volumes stay" } else { ", and DELETE ITS DATA" };
        let question = format!("Remove Milvus `{release}` from context `{name}`{data}?");
        if !is_confirmed(
            args,
            context,
            &question,
            &format!("remove Milvus `{release}` from context `{name}`"),
        )? {
            return Ok(Exit::Failed);
        }
        remove(context, seen, &removal)?;
    }
    for kept in &removal.kept {
        context.ui.line(&format!("Kept {kept}"));
    }
    if context.wants_json() {
        let removed = !nothing && !context.dry_run;
        context.answer_json(&json!({
            "cluster": name,
            "deleted": removed,
            "removed": if removed { removal.names() } else { Vec::new() },
            "kept": removal.kept,
        }))?;
    }
    Ok(Exit::Done)
}

fn answer(context: &Context, name: &str, deleted: bool) -> anyhow::Result<Exit> {
    if context.wants_json() {
        context.answer_json(&json!({"cluster": name, "deleted": deleted}))?;
    }
    Ok(Exit::Done)
}
