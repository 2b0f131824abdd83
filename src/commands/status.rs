//! `status`: nodes, Milvus, workloads, pods that are not ready and why, missing images, URLs.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cli::StatusArgs;
use crate::context::Context;
use crate::error::Exit;
use crate::status::observe::{look_closer, observe_cluster};
use crate::status::{PodTrouble, Status};
use crate::ui::{one_line, table};

/// Shows the state once, or again and again.
///
/// # Errors
/// Fails when the cluster cannot be asked.
pub(super) fn run(args: &StatusArgs, context: &Context) -> anyhow::Result<Exit> {
    let mut last = None;
    loop {
        let mut status = observe_cluster(context)?;
        look_closer(context, &mut status);
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

/// Shows a state as text or JSON.
///
/// # Errors
/// Fails when it cannot be written as JSON.
pub(super) fn show(context: &Context, status: &Status) -> anyhow::Result<()> {
    if context.wants_json() {
        return context.answer_json(status);
    }
    context.ui.data(&text(status, context.ui.width()));
    let mut advice: Vec<_> = status.pods.iter().filter_map(PodTrouble::advice).collect();
    advice.sort_unstable();
    advice.dedup();
    for advice in advice {
        context.ui.line(&format!("hint: {advice}"));
    }
    Ok(())
}

pub(super) fn text(status: &Status, width: Option<usize>) -> String {
    let mut out = format!("Cluster {}\n", status.cluster);
    let ready = |ready| if ready { "ready" } else { "not ready" };
    let rows: Vec<_> = status
        .nodes
        .iter()
        .map(|node| {
            [
                format!("  {}", node.name),
                node.role.clone(),
                ready(node.ready).to_owned(),
                node.version.clone(),
            ]
        })
        .collect();
    out += &table(["  NODE", "ROLE", "STATE", "VERSION"], &rows, width);
    match &status.milvus {
        None => out.push_str("\nMilvus: none\n"),
        Some(milvus) => {
            let what =
                format!("Milvus {}/{}: {} ({})", milvus.namespace, milvus.name, milvus.status, milvus.mode);
            _ = writeln!(out, "\n{}", one_line(&what));
            if !milvus.is_current() {
                out.push_str("  The operator has not applied the last change yet\n");
            }
            for condition in &milvus.conditions {
                let why = if condition.status == "True" {
                    String::new()
                } else {
                    format!("  {} {}", condition.reason, condition.message)
                };
                let said = format!("{}: {}{}", condition.kind, condition.status, why.trim_end());
                _ = writeln!(out, "  {}", one_line(&said));
            }
        }
    }
    if !status.workloads.is_empty() {
        let rows: Vec<_> = status
            .workloads
            .iter()
            .map(|w| {
                let old = if w.outdated == 0 { String::new() } else { format!(", {} old", w.outdated) };
                [format!("  {}", w.name), w.kind.clone(), format!("{}/{}{old}", w.ready, w.desired)]
            })
            .collect();
        _ = write!(out, "\n{}", table(["  WORKLOAD", "KIND", "READY"], &rows, width));
    }
    if !status.pods.is_empty() {
        let rows: Vec<_> = status
            .pods
            .iter()
            .map(|pod| [format!("  {}", pod.name), pod.reason.clone(), pod.message.clone()])
            .collect();
        _ = write!(out, "\n{}", table(["  POD NOT READY", "REASON", "MESSAGE"], &rows, width));
    }
    for pod in status.pods.iter().filter(|pod| !pod.log.is_empty()) {
        _ = writeln!(out, "\nLast log lines of {}", one_line(&pod.name));
        for line in &pod.log {
            _ = writeln!(out, "  {}", one_line(line));
        }
    }
    if !status.pending_volumes.is_empty() {
        let volumes = status.pending_volumes.join(", ");
        _ = writeln!(out, "\nUnbound volume claims: {}", one_line(&volumes));
    }
    if !status.missing_images.is_empty() {
        out.push_str("\nMissing images (`milvusctl load-missing-images` loads them)\n");
        for image in &status.missing_images {
            _ = writeln!(out, "  {}", one_line(image));
        }
    }
    for (name, url) in [("Attu", &status.urls.attu), ("Milvus", &status.urls.milvus)] {
        if let Some(url) = url {
            _ = write!(out, "\n{name}: {url}");
        }
    }
    out.push('\n');
    out
}
