//! Reads through the archive once: sends layers to the nodes that lack them, and keeps JSON documents.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::Arc;

use serde::de::IgnoredAny;

use super::digest::{Digest, Hasher};
use super::error::ArchiveError;
use super::tar::{self, Entries, Entry, EntryKind, TarReader};
use super::v1_id::{self, LayerIds};
use super::{Expected, NodeTransfer, TransferProgress};

/// A larger JSON document is taken for a layer; containerd reads no larger manifest either.
const DESCRIPTION_LIMIT: u64 = 8 * 1024 * 1024;
/// Limit for everything kept of an archive: JSON documents, names and links.
const KEPT_LIMIT: u64 = 32 * 1024 * 1024;
/// Memory for one entry beyond its name and content.
const ENTRY_COST: u64 = 256;
pub(super) const BLOBS: &str = "blobs/sha256/";

/// What the archive holds.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) descriptions: BTreeMap<String, Vec<u8>>,
    pub(super) layers: BTreeMap<String, LayerBlob>,
    /// Link targets by path.
    links: BTreeMap<String, String>,
    /// Bytes read.
    pub(super) offset: u64,
}

/// A layer in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LayerBlob {
    pub(super) size: u64,
    /// The digest of its bytes, if a node needed them.
    pub(super) digest: Option<Digest>,
    pub(super) encoding: Encoding,
}

/// How a layer is compressed, detected from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
    Zstd,
}

impl Encoding {
    fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

impl Scanned {
    /// Returns the path that holds the content of `path`.
    pub(super) fn follow<'a>(&'a self, path: &'a str) -> &'a str {
        // Links to links do not occur in practice; the bound ends circular ones.
        let mut path = path;
        for _ in 0..8 {
            let Some(target) = self.links.get(path) else { break };
            path = target;
        }
        path
    }

    /// Returns the content of a blob that is a JSON document.
    pub(super) fn blob(&self, digest: &Digest) -> Option<&[u8]> {
        self.descriptions.get(&blob_path(digest)).map(Vec::as_slice)
    }
}

/// Returns the path of a blob in an OCI image layout.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("{BLOBS}{}", digest.hex())
}

/// What is known about a layer before its bytes come.
enum LayerClaim {
    /// Its digest or diff ID, which the content must match.
    Proven(Digest),
    /// A digest in its file name, as Podman and crane write it. It may be the digest of something else.
    Guessed(Digest),
    Unknown,
}

/// Reads the archive to its end, sending layers to the nodes that need them.
pub(super) fn pass_on(
    source: impl Read,
    expected: &[Expected],
    nodes: &mut [NodeTransfer],
    progress: &dyn Fn(TransferProgress),
) -> Result<Scanned, ArchiveError> {
    let candidates = expected.iter().flat_map(|image| v1_id::candidates(&image.diff_ids)).collect();
    let known_layers = KnownLayers::of(expected);
    let mut archive = TarReader::new(source);
    let mut pass = Pass {
        entries: archive.entries()?,
        nodes,
        progress,
        candidates,
        known_layers,
        proven: BTreeMap::new(),
        found: Scanned::default(),
        kept: 0,
    };
    while let Some(entry) = pass.entries.advance()? {
        match &entry.kind {
            EntryKind::Directory => {}
            EntryKind::Link(target) => {
                pass.keep(&entry.path, target.len() as u64)?;
                pass.found.links.insert(entry.path, target.clone());
            }
            EntryKind::File => pass.file(&entry)?,
        }
    }
    let mut found = pass.found;
    found.offset = archive.drain()?;
    Ok(found)
}

struct Pass<'a, R: Read> {
    entries: Entries<'a, R>,
    nodes: &'a mut [NodeTransfer],
    progress: &'a dyn Fn(TransferProgress),
    /// The expected layers.
    candidates: Vec<LayerIds>,
    known_layers: KnownLayers,
    /// Diff IDs of upcoming layers, by path.
    proven: BTreeMap<String, Digest>,
    found: Scanned,
    /// Bytes kept.
    kept: u64,
}

impl<R: Read> Pass<'_, R> {
    fn file(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        if self.found.descriptions.contains_key(&entry.path) || self.found.layers.contains_key(&entry.path) {
            let reason = format!("`{}` is there twice", entry.path);
            return Err(ArchiveError::Damaged { offset: self.entries.offset(), reason });
        }
        // Beside each layer, the old format has a file `VERSION` that contains `1.0`.
        if entry.path.ends_with("/VERSION") {
            return Ok(());
        }
        let Some(first) = self.entries.chunk()? else { return Ok(()) };
        if !matches!(first[0], b'{' | b'[') || entry.size > DESCRIPTION_LIMIT {
            return self.layer(entry, vec![first]);
        }
        let mut pieces = vec![first];
        while let Some(piece) = self.entries.chunk()? {
            pieces.push(piece);
        }
        // A tar can also start with a brace, if its first file's name does, but will not parse as JSON.
        let bytes = match &pieces[..] {
            [only] => Cow::Borrowed(&only[..]),
            pieces => Cow::Owned(pieces.concat()),
        };
        if serde_json::from_slice::<IgnoredAny>(&bytes).is_err() {
            return self.layer(entry, pieces);
        }
        self.description(entry, bytes.into_owned())
    }

    fn description(&mut self, entry: &Entry, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        if let Some(expected) = entry.path.strip_prefix(BLOBS).and_then(Digest::from_hex) {
            verify(&entry.path, expected, Digest::of(&bytes))?;
        }
        if let Some(directory) = entry.path.strip_suffix("/json") {
            if let Some(diff_id) = v1_id::diff_id(directory, &bytes, &self.candidates) {
                self.keep(&entry.path, 0)?;
                self.proven.insert(format!("{directory}/layer.tar"), diff_id);
            }
            return Ok(());
        }
        self.keep(&entry.path, entry.size)?;
        self.found.descriptions.insert(entry.path.clone(), bytes);
        Ok(())
    }

    /// Counts what is kept of an entry: a hostile archive may describe far more than any image has.
    fn keep(&mut self, path: &str, size: u64) -> Result<(), ArchiveError> {
        self.kept += path.len() as u64 + size + ENTRY_COST;
        if self.kept > KEPT_LIMIT {
            return Err(ArchiveError::MetadataTooLarge { limit: KEPT_LIMIT });
        }
        Ok(())
    }

    fn claim(&self, path: &str) -> LayerClaim {
        if let Some(digest) = path.strip_prefix(BLOBS).and_then(Digest::from_hex) {
            return LayerClaim::Proven(digest);
        }
        if let Some(diff_id) = self.proven.get(path) {
            return LayerClaim::Proven(*diff_id);
        }
        let stem = path.split('.').next().unwrap_or_default();
        Digest::from_hex(stem).map_or(LayerClaim::Unknown, LayerClaim::Guessed)
    }

    /// Sends a layer whose first pieces, `begun`, have been read already.
    fn layer(&mut self, entry: &Entry, begun: Vec<Arc<[u8]>>) -> Result<(), ArchiveError> {
        self.keep(&entry.path, 0)?;
        let encoding = Encoding::of(&begun[0]);
        let claim = self.claim(&entry.path);
        let known = match claim {
            LayerClaim::Proven(digest) | LayerClaim::Guessed(digest) => Some(digest),
            LayerClaim::Unknown => None,
        };
        let receivers: Vec<usize> = (0..self.nodes.len())
            .filter(|&index| self.nodes[index].takes(known, &self.known_layers))
            .collect();
        let mut layer = LayerBlob { size: entry.size, digest: None, encoding };
        if receivers.is_empty() {
            self.skip()?;
        } else {
            // containerd hashes every file itself, so only the names of OCI blobs matter.
            let name = match claim {
                LayerClaim::Proven(digest) => blob_path(&digest),
                _ => format!("layers/{}", self.found.layers.len()),
            };
            let digest = self.copy(&name, entry.size, begun, &receivers)?;
            if let LayerClaim::Proven(expected) = claim {
                verify(&entry.path, expected, digest)?;
            }
            for &index in &receivers {
                self.nodes[index].sent.insert(digest, entry.size);
                self.nodes[index].layers_sent += 1;
            }
            layer.digest = Some(digest);
        }
        self.found.layers.insert(entry.path.clone(), layer);
        Ok(())
    }

    fn copy(
        &mut self,
        name: &str,
        size: u64,
        begun: Vec<Arc<[u8]>>,
        receivers: &[usize],
    ) -> Result<Digest, ArchiveError> {
        let mut hasher = Hasher::default();
        self.send(&tar::header(name, size), receivers);
        for piece in begun {
            hasher.feed(&piece);
            self.send(&piece, receivers);
        }
        while let Some(piece) = self.entries.chunk()? {
            hasher.feed(&piece);
            self.send(&piece, receivers);
        }
        self.send(&tar::zeros_after(size), receivers);
        Ok(hasher.finish())
    }

    fn send(&mut self, piece: &Arc<[u8]>, receivers: &[usize]) {
        for &index in receivers {
            self.nodes[index].lane.send(piece);
        }
        let bytes_sent = self.nodes.iter().map(|node| node.lane.written()).sum();
        (self.progress)(TransferProgress { bytes_read: self.entries.offset(), bytes_sent });
    }

    fn skip(&mut self) -> Result<(), ArchiveError> {
        let (nodes, progress) = (&*self.nodes, self.progress);
        self.entries.skip(&mut |bytes_read| {
            let bytes_sent = nodes.iter().map(|node| node.lane.written()).sum();
            progress(TransferProgress { bytes_read, bytes_sent });
        })
    }
}

/// What is known beforehand about the upcoming layers.
struct KnownLayers {
    /// The names of the images a layer belongs to, by its blob and by its diff ID; empty unless known for
    /// all.
    images: HashMap<Digest, Vec<String>>,
    /// The diff ID of the layer a blob unpacks to.
    diff_ids: HashMap<Digest, Digest>,
    /// An image is pinned by digest, so its manifest names the archive's own blobs and no other encoding will
    /// do.
    is_pinned: bool,
}

impl KnownLayers {
    fn of(expected: &[Expected]) -> Self {
        let mut images: HashMap<Digest, Vec<String>> = HashMap::new();
        let mut diff_ids = HashMap::new();
        let has_blobs = |image: &Expected| image.blobs.len() == image.diff_ids.len();
        // If any image's layers are unknown, every layer may be shared with it.
        let is_known = expected.iter().all(|image| !image.diff_ids.is_empty());
        let are_blobs_known = expected.iter().all(has_blobs);
        for image in expected {
            let blobs = if are_blobs_known { &image.blobs[..] } else { &[] };
            for layer in image.diff_ids.iter().chain(blobs).filter(|_| is_known) {
                images.entry(*layer).or_default().push(image.name.clone());
            }
            if has_blobs(image) {
                diff_ids.extend(image.blobs.iter().copied().zip(image.diff_ids.iter().copied()));
            }
        }
        Self { images, diff_ids, is_pinned: expected.iter().any(|image| image.pin().is_some()) }
    }
}

impl NodeTransfer {
    /// Tells whether to send a layer to the node, and counts it if it is left out.
    fn takes(&mut self, known: Option<Digest>, layers: &KnownLayers) -> bool {
        if !self.lane.is_alive() {
            return false;
        }
        let Some(blob) = known else { return true };
        let is_others = |images: &Vec<String>| !images.iter().any(|image| self.wants.contains(image));
        if !self.wants.is_empty() && layers.images.get(&blob).is_some_and(is_others) {
            return false;
        }
        let diff_id = layers.diff_ids.get(&blob).unwrap_or(&blob);
        if self.holds.can_do_without(&blob, Some(diff_id).filter(|_| !layers.is_pinned)) {
            self.layers_left_out += 1;
            return false;
        }
        !self.sent.contains_key(&blob)
    }
}

fn verify(path: &str, expected: Digest, found: Digest) -> Result<(), ArchiveError> {
    if expected == found {
        return Ok(());
    }
    Err(ArchiveError::DigestMismatch { path: path.to_owned(), expected, found })
}
