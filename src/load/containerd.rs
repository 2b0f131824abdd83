//! What the nodes' containerd holds, by its own word: each node is asked once, all at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::archive::{
    Digest, NodeHolds, NodeImage, parse_images_check, parse_images_list, parse_snapshotter,
};
use crate::context::Context;
use crate::images::plan::NodeImages;
use crate::process::ExecError;
use crate::tools::Docker;
use crate::tools::ctr::{import_help, knows_local};

/// What a node said of its containerd.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeFacts {
    /// The snapshotter that it unpacks into, where that is not the default.
    pub(super) snapshotter: Option<String>,
    /// Whether its `ctr` can import without containerd's transfer service.
    pub(super) imports_locally: bool,
    /// The content that it held, and what it was given since.
    pub(super) holds: NodeHolds,
}

/// The images on one node.
pub(super) type OnNode = BTreeMap<String, NodeImage>;

/// The manifest or index that each name on a node leads to.
pub(super) type Targets = BTreeMap<String, Digest>;

/// What the nodes said of their images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeAnswers {
    /// The images that each node can run.
    pub(crate) images: NodeImages,
    /// The nodes that cannot be entered, and why.
    pub(crate) closed: BTreeMap<String, String>,
}

/// The images that each of `nodes` can run, and which of them cannot be entered.
///
/// A node whose container is stopped or paused is not asked.
///
/// # Errors
/// Fails when no node answers.
pub(crate) fn held_by_nodes(context: &Context, nodes: &[String]) -> Result<NodeAnswers, ExecError> {
    let runnable = |images: OnNode| -> BTreeSet<String> {
        images.into_iter().filter(|(_, image)| image.can_run()).map(|(name, _)| name).collect()
    };
    // Where the engine cannot say, the nodes themselves do.
    let containers = context.tools.docker.node_containers(&context.settings.cluster.name).unwrap_or_default();
    let is_halted = |node: &String| containers.iter().any(|seen| seen.name == *node && !seen.running);
    let (halted, open): (Vec<String>, Vec<String>) = nodes.iter().cloned().partition(is_halted);
    // With every node halted, what docker says of one of them is the answer.
    let asked = if open.is_empty() { &halted } else { &open };
    let mut held = NodeAnswers::default();
    let mut first_error = None;
    for (node, answer) in ask_nodes(context, asked) {
        match answer {
            Ok(images) => {
                held.images.0.insert(node, runnable(images));
            }
            Err(error) => {
                held.closed.insert(node, error.to_string());
                first_error.get_or_insert(error);
            }
        }
    }
    if let Some(error) = first_error.filter(|_| held.images.0.is_empty()) {
        return Err(error);
    }
    held.closed
        .extend(halted.into_iter().map(|node| (node, "its container is stopped or paused".to_owned())));
    Ok(held)
}

/// What each of `nodes` says of its images; all are asked at the same time.
pub(super) fn ask_nodes(context: &Context, nodes: &[String]) -> BTreeMap<String, Result<OnNode, ExecError>> {
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
    let text = match context.tools.runner().run(&cmd) {
        Ok(output) => output.text(),
        // One broken image makes it fail, and the table is there all the same.
        Err(ExecError::Failed { stdout, .. }) if stdout.starts_with(b"REF") => {
            String::from_utf8_lossy(&stdout).into_owned()
        }
        Err(error) => return Err(error),
    };
    parse_images_check(&text)
        .map_err(|error| ExecError::Garbage { cmd: cmd.to_string(), problem: error.to_string() })
}

/// What must be known of a node to write to it.
pub(super) fn facts(context: &Context, node: &str) -> NodeFacts {
    std::thread::scope(|scope| {
        let holds = scope.spawn(|| content(context, node));
        let imports_locally = scope.spawn(|| imports_locally(context, node));
        let snapshotter = snapshotter(context, node);
        NodeFacts {
            snapshotter,
            imports_locally: imports_locally.join().unwrap_or_default(),
            holds: holds.join().unwrap_or_default(),
        }
    })
}

/// What a node's containerd holds; nothing when it cannot be known, and then everything is sent.
fn content(context: &Context, node: &str) -> NodeHolds {
    let list = ["ctr", "--namespace", "k8s.io", "content", "ls"];
    let cmd = Docker::look_inside(node, &list).limit(Duration::from_secs(120));
    let answer = context.tools.runner().run(&cmd).ok();
    answer.and_then(|output| NodeHolds::parse(&output.text()).ok()).unwrap_or_else(NodeHolds::nothing)
}

/// Where the names of a node's images lead, whole or not.
pub(super) fn targets(context: &Context, node: &str) -> Result<Targets, ExecError> {
    let list = ["ctr", "--namespace", "k8s.io", "images", "ls"];
    let cmd = Docker::look_inside(node, &list).limit(Duration::from_secs(120));
    let text = context.tools.runner().run(&cmd)?.text();
    parse_images_list(&text)
        .map_err(|error| ExecError::Garbage { cmd: cmd.to_string(), problem: error.to_string() })
}

/// Lets a name lead to where another one leads.
pub(super) fn point_at(context: &Context, node: &str, name: &str, other: &str) -> Result<(), ExecError> {
    let args = ["ctr", "--namespace", "k8s.io", "images", "tag", "--force", other, name];
    context.tools.runner().run(&Docker::change_inside(node, &args)).map(drop)
}

/// Takes an image's name away; [`super::undo`] says when.
pub(super) fn remove(context: &Context, node: &str, name: &str) {
    let args = ["ctr", "--namespace", "k8s.io", "images", "rm", name];
    // A name that the node does not have is what we want.
    _ = context.tools.runner().run(&Docker::change_inside(node, &args));
}

/// Whether the node's `ctr` knows `--local`; where it does not say, it imports in its own way.
fn imports_locally(context: &Context, node: &str) -> bool {
    context.tools.runner().run(&import_help(node)).is_ok_and(|output| knows_local(&output.text()))
}

/// The snapshotter that the node's containerd unpacks into, where it is not the default.
///
/// kind asks `containerd config dump` too; without an answer `ctr` uses its own default.
fn snapshotter(context: &Context, node: &str) -> Option<String> {
    let cmd = Docker::look_inside(node, &["containerd", "config", "dump"]).limit(Duration::from_secs(30));
    parse_snapshotter(&context.tools.runner().run(&cmd).ok()?.text())
}
