//! Sends images from the engine, the store or a file directly to the nodes' containerd, and retries what a
//! node refuses.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use crate::archive::Digest;
use crate::context::Context;
use crate::images::outcome::Outcome;
use crate::images::plan::ImageLoad;
use crate::load::Method;
use crate::load::node_import::{NodeImport, is_out_of_space};
use crate::load::sending::{ImageForNodes, Sending, in_words, line};
use crate::load::undo::undo;
use crate::tools::docker_words;
use crate::tools::node::lacks_program;
use crate::ui::count;

/// Sends images to their nodes in one archive, and returns each image's outcome on each node.
///
/// `ready` is called once the engine has been asked for the archive, and returns whether the nodes may be
/// written to. If a node refuses an image with layers left out, it gets the whole image, once; if an archive
/// of several images fails on a node, its images are sent one by one. Adds the bytes read from the engine to
/// `read`.
pub(super) fn give(
    context: &Context,
    method: &Method,
    images: &[ImageForNodes<'_>],
    ready: &dyn Fn() -> bool,
    read: &AtomicU64,
) -> Vec<Vec<NodeImport>> {
    if let [one] = images {
        return vec![give_one(context, method, *one, ready, read)];
    }
    if images.iter().any(|one| one.held.is_some()) && images.iter().any(|one| one.held.is_none()) {
        // An archive has a single source.
        return images.iter().map(|one| give_one(context, method, *one, ready, read)).collect();
    }
    let transfer = OnceLock::new();
    let sending = Sending { context, method, images, transfer: &transfer, read };
    let mut imported = sending.run(true, ready);
    let transfer = transfer.into_inner().unwrap_or_else(|| line(context, images));
    let sent = imported.iter().flatten().map(|imported| imported.outcome.bytes_sent).sum();
    if imported.iter().flatten().all(NodeImport::is_loaded) {
        transfer.done(&format!("loaded {}", in_words(images)), Some(sent));
        return imported;
    }
    transfer.failed(&format!("{} could not all be loaded", count(images.len(), "image")));
    for (one, imported) in images.iter().zip(&mut imported) {
        if context.interrupt.is_set() {
            break;
        }
        let (over, failed): (Vec<NodeImport>, Vec<NodeImport>) = imported
            .drain(..)
            .partition(|imported| imported.is_loaded() || is_out_of_space(&imported.outcome));
        *imported = over;
        if !failed.is_empty() {
            let name = one.load.image.node_name().to_string();
            for failed in &failed {
                // Losses are reported after the last attempt.
                _ = undo(context, method, &failed.outcome.node, &name, failed.manifest);
            }
            let nodes: Vec<String> = failed.into_iter().map(|failed| failed.outcome.node).collect();
            imported.extend(give_one(
                context,
                method,
                ImageForNodes { nodes: &nodes, ..*one },
                &|| true,
                read,
            ));
        }
    }
    imported
}

fn give_one(
    context: &Context,
    method: &Method,
    one: ImageForNodes<'_>,
    ready: &dyn Fn() -> bool,
    read: &AtomicU64,
) -> Vec<NodeImport> {
    let name = one.load.image.familiar();
    let transfer = OnceLock::new();
    let attempt = |nodes: &[String], leave_out, ready: &dyn Fn() -> bool| {
        let images = [ImageForNodes { nodes, ..one }];
        let sending = Sending { context, method, images: &images, transfer: &transfer, read };
        sending.run(leave_out, ready).swap_remove(0)
    };
    let mut imported = attempt(one.nodes, true, ready);
    let is_refused = |imported: &&NodeImport| {
        imported.is_refused_delta && !is_out_of_space(&imported.outcome) && !context.interrupt.is_set()
    };
    let refused: Vec<(String, Option<Digest>)> = imported
        .iter()
        .filter(is_refused)
        .map(|imported| (imported.outcome.node.clone(), imported.manifest))
        .collect();
    if !refused.is_empty() {
        context
            .ui
            .verbose(&format!("{} refused a partial {name}; sending it whole", count(refused.len(), "node")));
        let image = one.load.image.node_name().to_string();
        for (node, sent) in &refused {
            // A name left by a failed import would pass for the image. Losses are reported after the last
            // attempt.
            _ = undo(context, method, node, &image, *sent);
        }
        let refused: Vec<String> = refused.into_iter().map(|(node, _)| node).collect();
        let mut again = attempt(&refused, false, &|| true);
        for imported in &mut again {
            imported.outcome.sent_whole = true;
        }
        imported.retain(|imported| !refused.contains(&imported.outcome.node));
        imported.extend(again);
    }
    imported.sort_by(|a, b| a.outcome.node.cmp(&b.outcome.node));
    let transfer = transfer.into_inner().unwrap_or_else(|| line(context, &[one]));
    let failed = imported.iter().filter(|imported| !imported.is_loaded()).count();
    if failed == 0 {
        let sent = imported.iter().map(|imported| imported.outcome.bytes_sent).sum();
        transfer.done(&format!("loaded {}", in_words(&[one])), Some(sent));
    } else {
        transfer.failed(&format!("{name} could not be loaded into {}", count(failed, "node")));
    }
    imported
}

/// Whether a node has no `ctr`, or cannot be entered through `docker exec` at all.
pub(super) fn is_without_ctr(imported: &NodeImport) -> bool {
    let error = imported.outcome.error.as_deref().unwrap_or_default();
    imported.outcome.outcome == Outcome::LoadFailed && lacks_program(error)
}

/// The layers of an image in the engine; empty if the engine does not list them, and then all are sent.
pub(super) fn diff_ids(context: &Context, load: &ImageLoad) -> Vec<Digest> {
    let name = load.image.familiar();
    let unknown = |why: &str| {
        context.ui.verbose(&format!("the engine did not list the layers of {name}, so all are sent: {why}"));
        Vec::new()
    };
    let found = match context.tools.docker.images(std::slice::from_ref(&name)) {
        Ok(found) => found,
        Err(error) => return unknown(&docker_words(&error)),
    };
    let Some((_, image)) = found.into_iter().next() else { return unknown("it no longer has the image") };
    let layers: Result<_, _> = image.root_fs.layers.iter().map(|layer| layer.parse::<Digest>()).collect();
    layers.unwrap_or_else(|error| unknown(&error.to_string()))
}
