//! Shrinks the store: removes names unused for long, and everything no name points to.

use std::collections::HashSet;
use std::fs::TryLockError;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::document::ImageDocument;
use super::{Store, StoreError, StoredName, open_lock};
use crate::archive::Digest;
use crate::images::ImageRef;
use crate::process::Interrupt;

/// What to keep when pruning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Only images used within this time.
    pub newer_than: Option<Duration>,
    /// The most recently used images, up to this many bytes.
    pub bytes: Option<u64>,
    /// Nothing at all.
    pub nothing: bool,
}

/// What pruning did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The names removed.
    pub images: Vec<ImageRef>,
    pub freed_bytes: u64,
    /// The store's size afterwards.
    pub left_bytes: u64,
}

/// Prunes the store at `root` to what `keep` keeps. Also removes unfinished blobs, and blobs no name points
/// to. Leaves a folder that is not a store alone.
///
/// # Errors
/// Fails with [`StoreError::Busy`] while another run uses the store, and if the disk fails.
pub fn prune(root: &Path, keep: Keep, dry_run: bool, interrupt: &Interrupt) -> Result<Pruned, StoreError> {
    if !root.join(super::LAYOUT_FILE).is_file() {
        return Ok(Pruned::default());
    }
    let lock = open_lock(&root.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::Busy { root: root.to_owned() }),
        Err(TryLockError::Error(error)) => return Err(StoreError::file("lock", root)(error)),
    }
    let store = Store {
        root: root.to_owned(),
        interrupt: interrupt.clone(),
        _lock: lock,
        #[cfg(test)]
        room: None,
    };
    let (removed, needed) = select(&store, keep)?;
    let mut pruned = Pruned { images: removed, ..Pruned::default() };
    if !dry_run && !pruned.images.is_empty() {
        // Names first: a name without its blobs would be worse than blobs without a name.
        store.forget(&pruned.images)?;
    }
    for (path, digest, size) in blobs(root) {
        if digest.is_some_and(|digest| needed.contains(&digest)) {
            pruned.left_bytes += size;
            continue;
        }
        if !dry_run {
            std::fs::remove_file(&path).map_err(StoreError::file("remove", &path))?;
        }
        pruned.freed_bytes += size;
    }
    if keep.nothing && !dry_run {
        store.change_index(Vec::clear)?;
        // What was learned about registries goes too; it is learned again.
        let _ = std::fs::remove_file(root.join("registries.json"));
    }
    Ok(pruned)
}

/// The size in bytes of the store at `root`.
pub fn size(root: &Path) -> u64 {
    blobs(root).into_iter().map(|(_, _, size)| size).sum()
}

/// Returns the names to remove and the blobs to keep.
fn select(store: &Store, keep: Keep) -> Result<(Vec<ImageRef>, HashSet<Digest>), StoreError> {
    let mut removed = Vec::new();
    let mut needed = HashSet::new();
    let mut bytes = 0;
    let mut names: Vec<(SystemTime, StoredName)> =
        store.names()?.into_iter().map(|name| (last_used(store, name.descriptor.digest), name)).collect();
    names.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.image.cmp(&b.1.image)));
    for (used, name) in names {
        let blobs = reachable(store, name.descriptor.digest)?;
        let more: u64 =
            blobs.iter().filter(|blob| !needed.contains(*blob)).filter_map(|blob| store.size_of(*blob)).sum();
        let is_old = keep.newer_than.is_some_and(|limit| used.elapsed().unwrap_or_default() > limit);
        if keep.nothing || is_old || keep.bytes.is_some_and(|limit| bytes + more > limit) {
            removed.push(name.image);
        } else {
            bytes += more;
            needed.extend(blobs);
        }
    }
    removed.sort();
    Ok((removed, needed))
}

fn last_used(store: &Store, digest: Digest) -> SystemTime {
    let found = std::fs::metadata(store.blob_path(digest)).and_then(|found| found.modified());
    found.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Returns everything in the store that `top` points to, directly or indirectly.
fn reachable(store: &Store, top: Digest) -> Result<HashSet<Digest>, StoreError> {
    let mut found = HashSet::new();
    let mut open = vec![top];
    while let Some(digest) = open.pop() {
        if !found.insert(digest) {
            continue;
        }
        let document = store.bytes(digest)?.and_then(|bytes| ImageDocument::parse(&bytes).ok());
        match document {
            Some(ImageDocument::Index(entries)) => open.extend(entries.iter().map(|entry| entry.digest)),
            Some(ImageDocument::Manifest { config, layers }) => {
                found.extend(layers.iter().chain([&config]).map(|blob| blob.digest));
            }
            None => {}
        }
    }
    Ok(found)
}

/// The files in the blob folder, with their sizes; unfinished ones have no digest.
fn blobs(root: &Path) -> Vec<(std::path::PathBuf, Option<Digest>, u64)> {
    let Ok(entries) = std::fs::read_dir(root.join("blobs/sha256")) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let found = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            let digest = Digest::from_hex(&entry.file_name().to_string_lossy());
            Some((entry.path(), digest, found.len()))
        })
        .collect()
}
