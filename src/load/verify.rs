//! Asks the nodes what they hold after a load, and mends what is not whole.

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

/// Asks the nodes again, and sends once more what a node does not list whole, unless its disk is full.
///
/// # Errors
/// Fails when the user interrupts.
pub(super) fn check_and_mend(context: &Context, method: &Method, items: &mut [Item]) -> anyhow::Result<()> {
    for is_last in [false, true] {
        context.check_interrupt()?;
        let mut again = false;
        // An image that was pulled may have found nodes that failed: those are tried once more as well.
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
                    // A node that has stopped is not written to again, and says nothing of the others.
                    Some(Err(error)) => {
                        mark_unproven(outcome, error);
                        continue;
                    }
                    None => continue,
                };
                // It can run, and is the very manifest that was sent. What is whole counts unpacked or not: containerd
                // unpacks it for its first container.
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
            // After the last try too, so that no pod starts from what is half there.
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
            // Whatever kept it from being whole, this time all of it is tried at once.
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
        // This explains whatever the import said when its node went.
        outcome.error = Some("the node is not running anymore".to_owned());
    }
    outcome.error.get_or_insert_with(|| format!("the node could not be asked what it holds: {error}"));
}
