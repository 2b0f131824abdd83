//! Verifies what the nodes hold after a load, and resends what is incomplete.

use std::collections::BTreeSet;

use crate::context::Context;
use crate::images::outcome::{NodeOutcome, Outcome};
use crate::load::Method;
use crate::load::board::Round;
use crate::load::containerd::ask_nodes;
use crate::load::give::{Item, give};
use crate::load::node_import::is_out_of_space;
use crate::load::undo::undo;
use crate::process::ExecError;
use crate::tools::node::is_stopped;

/// Verifies the nodes, and resends once what a node does not list as complete, unless its disk is full.
///
/// # Errors
/// Fails if the user interrupts.
pub(super) fn check_and_mend(context: &Context, method: &Method, items: &mut [Item]) -> anyhow::Result<()> {
    for is_last in [false, true] {
        context.check_interrupt()?;
        let mut again = false;
        // Imports may have failed on some nodes; those are retried once as well.
        let nodes: BTreeSet<String> = items.iter().flat_map(|item| item.nodes.keys().cloned()).collect();
        let nodes: Vec<String> = nodes.into_iter().collect();
        if nodes.is_empty() {
            return Ok(());
        }
        let held = ask_nodes(context, &nodes);
        for item in items.iter_mut() {
            let mut lacking = Vec::new();
            for (node, outcome) in &mut item.nodes {
                let images = match held.get(node) {
                    Some(Ok(images)) => images,
                    // A stopped node is not written to again, and does not affect the others.
                    Some(Err(error)) => {
                        mark_unproven(outcome, error);
                        continue;
                    }
                    None => continue,
                };
                // Proven if it can run and is the exact manifest sent. Unpacked or not, a complete image
                // counts: containerd unpacks it for its first container.
                let name = item.load.image.node_name().to_string();
                let proven = images.get(&name).is_some_and(|image| {
                    let is_sent = item.manifests.get(node).is_none_or(|sent| *sent == image.target);
                    image.can_run() && is_sent
                });
                if proven {
                    if outcome.outcome == Outcome::LoadFailed && outcome.error.is_none() {
                        outcome.outcome = Outcome::Loaded;
                    }
                } else {
                    lacking.push(node.clone());
                    outcome.outcome = Outcome::LoadFailed;
                    outcome.error.get_or_insert_with(|| {
                        "the node accepted the image but does not list it as complete".to_owned()
                    });
                }
            }
            // Also after the last attempt, so that no pod starts from a partial image.
            let name = item.load.image.node_name().to_string();
            for node in &lacking {
                let undone = undo(context, method, node, &name, item.manifests.get(node).copied());
                if let (Err(lost), Some(outcome)) = (undone, item.nodes.get_mut(node)) {
                    let is_over = is_last || is_out_of_space(outcome);
                    outcome.error = match outcome.error.take() {
                        Some(error) if is_over && !error.contains(&lost) => Some(format!("{error}; {lost}")),
                        error => error,
                    };
                }
            }
            lacking.retain(|node| !is_out_of_space(&item.nodes[node]));
            if lacking.is_empty() || is_last {
                continue;
            }
            again = true;
            // Whatever went wrong, this time send everything at once.
            give(context, method, vec![(item, &lacking)], Round::First, &|| true);
        }
        if !again {
            return Ok(());
        }
    }
    Ok(())
}

fn mark_unproven(outcome: &mut NodeOutcome, error: &ExecError) {
    outcome.outcome = Outcome::LoadFailed;
    if is_stopped(&error.to_string()) {
        // This explains whatever error the import reported.
        outcome.error = Some("the node is not running anymore".to_owned());
    }
    outcome.error.get_or_insert_with(|| format!("the node could not be asked what it holds: {error}"));
}
