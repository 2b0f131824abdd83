//! What the nodes hold, by their own word: each is asked once, all at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::archive::{NodeHolds, NodeImage, parse_images_check, parse_snapshotter};
use crate::context::Context;
use crate::images::outcome::{NodeOutcome, Outcome};
use crate::images::plan::NodeImages;
use crate::load::{Item, Method, NodeFacts, give};
use crate::process::ExecError;
use crate::tools::Docker;

/// The images on one node.
type OnNode = BTreeMap<String, NodeImage>;

/// The images that each of `nodes` can run.
///
/// # Errors
/// Fails when a node cannot be asked.
pub(crate) fn held_by_nodes(context: &Context, nodes: &[String]) -> Result<NodeImages, ExecError> {
    let runnable = |images: OnNode| -> BTreeSet<String> {
        images.into_iter().filter(|(_, image)| image.can_run()).map(|(name, _)| name).collect()
    };
    let answers = ask_nodes(context, nodes).into_iter();
    let held: Result<_, _> = answers.map(|(node, images)| Ok((node, runnable(images?)))).collect();
    Ok(NodeImages(held?))
}

/// What each of `nodes` says of its images; all are asked at the same time.
fn ask_nodes(context: &Context, nodes: &[String]) -> BTreeMap<String, Result<OnNode, ExecError>> {
    let answers: Vec<Result<OnNode, ExecError>> = std::thread::scope(|scope| {
        let asked: Vec<_> = nodes.iter().map(|node| scope.spawn(move || ask(context, node))).collect();
        let lost = |_| {
            Err(ExecError::Garbage { cmd: "docker exec".into(), problem: "the question was lost".into() })
        };
        asked.into_iter().map(|answer| answer.join().unwrap_or_else(lost)).collect()
    });
    nodes.iter().cloned().zip(answers).collect()
}

fn ask(context: &Context, node: &str) -> Result<OnNode, ExecError> {
    let check = ["ctr", "--namespace", "k8s.io", "images", "check"];
    let cmd = Docker::look_inside(node, &check).limit(Duration::from_secs(120));
    let text = context.tools.runner().run(&cmd)?.text();
    parse_images_check(&text)
        .map_err(|error| ExecError::Garbage { cmd: cmd.to_string(), problem: error.to_string() })
}

/// What must be known of a node to write to it.
pub(super) fn facts(context: &Context, node: &str) -> NodeFacts {
    std::thread::scope(|scope| {
        let holds = scope.spawn(|| content(context, node));
        let snapshotter = snapshotter(context, node);
        NodeFacts { snapshotter, holds: holds.join().unwrap_or_default() }
    })
}

/// What a node's containerd holds; nothing when it cannot be known, and then everything is sent.
fn content(context: &Context, node: &str) -> NodeHolds {
    let list = ["ctr", "--namespace", "k8s.io", "content", "ls"];
    let cmd = Docker::look_inside(node, &list).limit(Duration::from_secs(120));
    let answer = context.tools.runner().run(&cmd).ok();
    answer.and_then(|output| NodeHolds::parse(&output.text()).ok()).unwrap_or_else(NodeHolds::nothing)
}

/// Asks the nodes again, and sends once more what a node does not list whole.
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
                // Whole, unpacked, and the very manifest that was sent.
                let name = item.load.image.node_name().to_string();
                let proven = images.get(&name).is_some_and(|image| {
                    let is_sent = item.manifests.get(node).is_none_or(|sent| *sent == image.target);
                    image.complete && image.unpacked && is_sent
                });
                if proven {
                    if outcome.outcome == Outcome::LoadFailed && outcome.error.is_none() {
                        outcome.outcome = Outcome::Loaded;
                    }
                } else {
                    lacking.push(node.clone());
                    outcome.outcome = Outcome::LoadFailed;
                    outcome.error.get_or_insert_with(|| {
                        "the node took the image but does not list it complete and unpacked".to_owned()
                    });
                }
            }
            if lacking.is_empty() || is_last {
                continue;
            }
            again = true;
            for node in &lacking {
                remove(context, node, &item.load.image.to_string());
            }
            give(context, method, vec![(item, &lacking)], &|| true);
        }
        if !again {
            return Ok(());
        }
    }
    Ok(())
}

fn mark_unproven(outcome: &mut NodeOutcome, error: &ExecError) {
    outcome.outcome = Outcome::LoadFailed;
    if error.says("is not running") {
        // This explains whatever the import said when its node went.
        outcome.error = Some("the node is not running any more".to_owned());
    }
    outcome.error.get_or_insert_with(|| format!("the node could not be asked what it holds: {error}"));
}

/// Takes a half-loaded image away, so that the next import does not trust what is there (kind#2402).
pub(super) fn remove(context: &Context, node: &str, name: &str) {
    let args = ["ctr", "--namespace", "k8s.io", "images", "rm", name];
    // A name that the node does not have is what we want.
    _ = context.tools.runner().run(&Docker::change_inside(node, &args));
}

/// The snapshotter that the node's containerd unpacks into, where it is not the default.
///
/// kind asks `containerd config dump` too; without an answer `ctr` uses its own default.
fn snapshotter(context: &Context, node: &str) -> Option<String> {
    let cmd = Docker::look_inside(node, &["containerd", "config", "dump"]).limit(Duration::from_secs(30));
    parse_snapshotter(&context.tools.runner().run(&cmd).ok()?.text())
}
