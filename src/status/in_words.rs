//! Formats the state of a cluster as text.

use std::fmt::Write as _;

use super::{MilvusStatus, Status};
use crate::ui::{one_line, table};

/// Formats the state, fitting its tables to `width` columns if given.
pub(crate) fn in_words(status: &Status, width: Option<usize>) -> String {
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
    out += &milvus(status.milvus.as_ref());
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
    out += &troubles(status);
    for (name, url) in [("Attu", &status.urls.attu), ("Milvus", &status.urls.milvus)] {
        if let Some(url) = url {
            _ = write!(out, "\n{name}: {url}");
        }
    }
    out.push('\n');
    out
}

fn milvus(milvus: Option<&MilvusStatus>) -> String {
    let mut out = String::new();
    match milvus {
        None => out.push_str("\nMilvus: none\n"),
        Some(milvus) => {
            let what =
                format!("Milvus {}/{}: {} ({})", milvus.namespace, milvus.name, milvus.status, milvus.mode);
            _ = writeln!(out, "\n{}", one_line(&what));
            if !milvus.is_current() {
                out.push_str("  The operator has not applied the latest change yet\n");
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
    out
}

/// What does not fit into the tables: log lines, volume claims, images.
fn troubles(status: &Status) -> String {
    let mut out = String::new();
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
        out.push_str("\nMissing images\n");
        for image in &status.missing_images {
            _ = writeln!(out, "  {}", one_line(image));
        }
    }
    out
}
