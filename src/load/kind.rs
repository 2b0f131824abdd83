//! kind's own way: `docker save` into a file, then `kind load image-archive`. For engines and nodes that
//! cannot be entered directly.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::context::Context;
use crate::load::node_import::NodeImport;
use crate::load::sending::ImageForNodes;
use crate::load::{Method, Source};
use crate::process::Temporary;
use crate::store::ExportTarget;
use crate::tools::{Docker, is_disk_full};

/// Loads an image into `nodes` and returns each outcome.
///
/// Adds the bytes read from the engine to `read`.
pub(super) fn give(
    context: &Context,
    method: &Method,
    one: ImageForNodes<'_>,
    read: &AtomicU64,
) -> Vec<NodeImport> {
    let (name, nodes) = (one.load.image.familiar(), one.nodes);
    let transfer = context.ui.transfer(&format!("loading {name} through kind"));
    let result = save_and_load(context, method, one);
    read.fetch_add(*result.as_ref().unwrap_or(&0), Ordering::Relaxed);
    match &result {
        Ok(bytes) => transfer.done(&format!("loaded {name} through kind"), Some(*bytes)),
        Err(_) => transfer.failed(&format!("{name} could not be loaded through kind")),
    }
    nodes
        .iter()
        .map(|node| match &result {
            Ok(bytes) => {
                let mut imported = NodeImport::loaded(node);
                imported.outcome.bytes_sent = *bytes;
                imported
            }
            Err(error) => NodeImport::failed(node, error.clone()),
        })
        .collect()
}

fn save_and_load(context: &Context, method: &Method, one: ImageForNodes<'_>) -> Result<u64, String> {
    let ImageForNodes { load, nodes, .. } = one;
    for node in nodes {
        method.before(context, node);
    }
    if let Source::Archive { path, .. } = &method.source {
        return load_file(context, &path.display().to_string(), nodes);
    }
    // Docker from the Snap store can only access the home directory (kind#431).
    let folder = visible_folder();
    let mut file = Temporary::new_in(&folder, "milvusctl-image-", &context.interrupt)
        .map_err(|error| format!("could not create a file in `{}`: {error}", folder.display()))?;
    let path = file.path().display().to_string();
    if let Some((store, held)) = method.store.as_ref().zip(one.held) {
        let mut archive =
            store.export(&[held], ExportTarget::Kind, BTreeSet::new()).map_err(|error| error.to_string())?;
        let to = file.file().map_err(|error| error.to_string())?;
        std::io::copy(&mut archive, to).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => has_no_room(&folder),
            _ => error.to_string(),
        })?;
        return load_file(context, &path, nodes);
    }
    let save = Docker::save_to(&path, &load.image.familiar(), method.platform(load).as_deref());
    context.tools.runner().run(&save).map_err(|error| {
        if is_disk_full(&error.to_string()) { has_no_room(&folder) } else { error.to_string() }
    })?;
    load_file(context, &path, nodes)
}

/// Loads an archive file through kind, and returns its size in bytes.
fn load_file(context: &Context, path: &str, nodes: &[String]) -> Result<u64, String> {
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    context
        .tools
        .kind
        .load_archive(&context.settings.cluster.name, path, nodes)
        .map_err(|error| error.last_words())?;
    Ok(bytes)
}

/// The error if a copy of the image does not fit into the temporary folder.
fn has_no_room(folder: &Path) -> String {
    format!("no space left on device in `{}`, {HERE}", folder.display())
}

const HERE: &str = "the folder for temporary files";

/// Whether the full disk is this machine's rather than a node's.
pub(super) fn is_about_this_machine(error: &str) -> bool {
    error.contains(HERE)
}

fn visible_folder() -> PathBuf {
    let temporary = std::env::temp_dir();
    if std::path::Path::new("/snap/bin/docker").exists()
        && let Some(home) = std::env::home_dir()
    {
        return home;
    }
    temporary
}
