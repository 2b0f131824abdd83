//! Sends images to their nodes by whichever way works, and records the outcome.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use crate::archive::Digest;
use crate::context::Context;
use crate::images::loading::Loader;
use crate::images::outcome::{ImageOutcome, NodeOutcome, Outcome, Provenance};
use crate::images::plan::ImageLoad;
use crate::load::Method;
use crate::load::board::Round;
use crate::load::kind;
use crate::load::node_import::NodeImport;
use crate::load::send;
use crate::load::sending::ImageForNodes;
use crate::store::StoredImage;
use crate::tools::node::is_stopped;
use crate::tools::{ENGINE_DISK_HINT, has_no_layers, is_container_gone, is_disk_full, is_engine_gone};

/// One image on its way.
pub(super) struct Item {
    pub(super) load: ImageLoad,
    /// The layers from the bottom up, once in the engine; empty if the engine does not list them.
    pub(super) diff_ids: Vec<Digest>,
    /// The image in the store, if it comes from there.
    pub(super) held: Option<StoredImage>,
    pub(super) manifests: BTreeMap<String, Digest>,
    pub(super) provenance: Provenance,
    pub(super) nodes: BTreeMap<String, NodeOutcome>,
    pub(super) bytes_read: u64,
    pub(super) busy: f64,
    pub(super) failure: Option<(Outcome, String, Option<String>)>,
}

/// Sends images to their nodes in one go, and records each outcome on each node.
///
/// `ready` waits until the nodes may be written to; it returns `false` if that will not happen.
pub(super) fn give(
    context: &Context,
    method: &Method,
    shipments: Vec<(&mut Item, &[String])>,
    round: Round,
    ready: &dyn Fn() -> bool,
) {
    let began = Cell::new(Instant::now());
    let ready = || {
        let is_ready = ready();
        began.set(Instant::now());
        is_ready
    };
    let read = AtomicU64::new(0);
    let images: Vec<ImageForNodes<'_>> = shipments
        .iter()
        .map(|(item, nodes)| ImageForNodes {
            load: &item.load,
            diff_ids: &item.diff_ids,
            held: item.held.as_ref(),
            nodes,
            is_awaited: round == Round::First,
        })
        .collect();
    let through_kind = || -> Vec<Vec<NodeImport>> {
        if !ready() {
            return images.iter().map(|_| Vec::new()).collect();
        }
        images.iter().map(|one| kind::give(context, method, *one, &read)).collect()
    };
    let imported = match context.settings.images.loader {
        Loader::Kind => through_kind(),
        loader @ (Loader::Direct | Loader::Auto) => {
            let imported = send::give(context, method, &images, &ready, &read);
            if loader == Loader::Auto && imported.iter().flatten().all(send::is_without_ctr) {
                context.ui.verbose("the nodes have no `ctr`; loading through kind");
                through_kind()
            } else {
                imported
            }
        }
    };
    // The time per image is unknown, so each gets an equal share.
    let busy = began.get().elapsed().div_f64(shipments.iter().map(|_| 1.0).sum());
    let mut read = read.into_inner();
    for ((item, _), imported) in shipments.into_iter().zip(imported) {
        item.busy += busy.as_secs_f64();
        item.bytes_read += std::mem::take(&mut read);
        for imported in imported {
            let node = imported.outcome.node.clone();
            match imported.manifest {
                Some(manifest) => item.manifests.insert(node.clone(), manifest),
                None => item.manifests.remove(&node),
            };
            item.nodes.insert(node, imported.outcome);
        }
    }
}

impl Item {
    pub(super) fn outcome(self) -> ImageOutcome {
        let nodes: Vec<NodeOutcome> = self.nodes.into_values().collect();
        let failed: Vec<&NodeOutcome> =
            nodes.iter().filter(|node| node.outcome == Outcome::LoadFailed).collect();
        let (outcome, error, hint) = match self.failure {
            Some((outcome, error, hint)) => (outcome, Some(error), hint),
            None if !failed.is_empty() => {
                let why = |node: &&NodeOutcome| {
                    format!("node `{}`: {}", node.node, node.error.as_deref().unwrap_or("not complete"))
                };
                let error = failed.iter().map(why).collect::<Vec<_>>().join("; ");
                (Outcome::LoadFailed, Some(error), Some(load_hint(&failed).to_owned()))
            }
            None => (Outcome::Loaded, None, None),
        };
        ImageOutcome {
            image: self.load.image.to_string(),
            reasons: self.load.reasons.iter().copied().collect(),
            pods: self.load.pods.iter().cloned().collect(),
            outcome,
            provenance: self.provenance,
            nodes,
            seconds: (self.busy * 1000.0).round() / 1000.0,
            error,
            hint,
        }
    }
}

fn load_hint(failed: &[&NodeOutcome]) -> &'static str {
    let says = |what: fn(&str) -> bool| failed.iter().filter_map(|node| node.error.as_deref()).any(what);
    if says(is_engine_gone) {
        return "the container engine stopped; rerun once it (`docker info`) and the nodes (`docker ps`) are running again";
    }
    if says(kind::is_about_this_machine) {
        return "free space there, or set `TMPDIR` to a folder on another disk; `--loader direct` needs no file";
    }
    if says(is_disk_full) {
        return ENGINE_DISK_HINT;
    }
    if says(has_no_layers) {
        return "Docker's classic image store cannot save an image without layers: build it with a file in it";
    }
    if says(is_stopped) || says(is_container_gone) {
        return "start the node (`docker start NODE`), then rerun";
    }
    "rerun with `-v` to see each command, or try `--loader kind`"
}
