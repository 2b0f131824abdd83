//! Streams a `docker save` archive to nodes, leaving out the layers they already hold.
//!
//! Reads both formats that `docker save` writes: the old one (`manifest.json`, `<id>/layer.tar`) and the OCI
//! image layout. Writes, to each node, an OCI image layout that `ctr -n k8s.io images import -` accepts; its
//! manifest may name layers that are in the node's content store rather than in the archive. Nothing is
//! written to disk, and memory holds one queue of pieces and the images' JSON documents.
//!
//! A layer is left out only on proof. If its identity is unknown before its bytes come, it is sent. At the
//! end, with manifests and configurations read, each layer of each image must have been sent to the node or
//! be held by it; otherwise the node gets no index and so no image.
//!
//! Observed with containerd 1.6.20: an import may name layers that only the store holds, with any size. A
//! layer missing from the store fails the import if it has to be unpacked, and leaves the image's name
//! behind; if its snapshot exists already, the import succeeds and the image is listed as unpacked but
//! incomplete.
//!
//! Does not run `docker` or `ctr`, nor ask nodes what they hold.

mod assemble;
mod content;
mod digest;
mod error;
mod fan_out;
mod files;
mod forms;
mod layout;
mod platform;
mod read;
mod tar;
mod v1_id;

use std::collections::HashMap;
use std::io::{Read, Write};

pub use content::{NodeHolds, NodeImage, parse_images_check, parse_images_list, parse_snapshotter};
pub use digest::{Digest, Hasher};
pub use error::{ArchiveError, NodeError};
pub use fan_out::Limits;
pub use files::{FileEntry, for_each_file};
pub use forms::{Descriptor, NAME, PlatformJson, REF_NAME};
pub use layout::{LayoutFile, LayoutImage, LayoutReader, OpenBlob};
pub use platform::Platform;

use fan_out::Lane;

/// An image the archive should hold, as far as known beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The canonical reference nodes will know it by, such as `docker.io/library/busybox:1.36`.
    pub name: String,
    /// The digest of its configuration. This is Docker's image ID in the classic image store, not in
    /// containerd's.
    pub config: Option<Digest>,
    /// Its layers' diff IDs from the bottom up, empty if unknown. Without them an archive of the old format
    /// is sent whole.
    pub diff_ids: Vec<Digest>,
    /// The blobs of these layers in the same order, empty if unknown. With them, a layer that a node holds in
    /// another encoding can be left out.
    pub blobs: Vec<Digest>,
    /// The wanted platform; `None` takes the only one present.
    pub platform: Option<Platform>,
}

impl Expected {
    /// An image known only by name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), config: None, diff_ids: Vec::new(), blobs: Vec::new(), platform: None }
    }

    /// The digest that the name pins, of the manifest or of an index above it, which must then stay
    /// unchanged.
    fn pin(&self) -> Option<Digest> {
        self.name.split_once('@').and_then(|(_, digest)| digest.parse().ok())
    }
}

/// A node to send the archive to.
pub struct Sink {
    /// The node's name, for the report.
    pub node: String,
    /// What the node reads from. Dropped at the end of the archive, which must end the node's input.
    ///
    /// A hanging write keeps its thread until the caller ends the process behind it.
    pub writer: Box<dyn Write + Send>,
    /// What the node already holds and is not sent.
    pub holds: NodeHolds,
    /// The names of the images for this node; empty means all.
    pub wants: Vec<String>,
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransferProgress {
    /// Bytes read from the source.
    pub bytes_read: u64,
    /// Bytes taken by all nodes together.
    pub bytes_sent: u64,
}

#[derive(Debug)]
pub struct TransferReport {
    /// One outcome per sink, in the same order.
    pub nodes: Vec<SinkOutcome>,
    /// Bytes read from the source.
    pub bytes_read: u64,
}

#[derive(Debug)]
pub struct SinkOutcome {
    pub node: String,
    /// Bytes the node took, JSON documents and padding included.
    pub bytes_sent: u64,
    pub layers_sent: usize,
    /// Layers left out because the node holds them.
    pub layers_left_out: usize,
    /// The images this node was given, in archive order; empty if it failed.
    pub images: Vec<SentImage>,
    /// What the node holds after the import, so it need not be asked before the next one.
    pub holds: NodeHolds,
    /// Why the node did not get the whole archive.
    pub error: Option<NodeError>,
}

/// An image that a node was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentImage {
    pub name: String,
    /// The manifest the node knows it by, or the index if its name pins that.
    pub manifest: Digest,
    /// Bytes of layers and JSON documents sent for this image alone, not counting those an earlier image in
    /// the archive brought.
    pub bytes: u64,
}

/// A node during a transfer.
struct NodeTransfer {
    name: String,
    holds: NodeHolds,
    lane: Lane,
    wants: Vec<String>,
    /// Layers sent, with their sizes.
    sent: HashMap<Digest, u64>,
    layers_sent: usize,
    layers_left_out: usize,
    images: Vec<SentImage>,
}

/// Streams the archive in `source` to all `sinks` at once.
///
/// `expected` lists the images to send; empty means every named image in the archive. `progress` is called
/// from this thread after each piece, at most 128 KiB apart.
///
/// A node that fails or stalls is reported in its outcome while the others go on. Memory is bounded by
/// [`Limits::queue_bytes`] plus the images' JSON documents, at most 32 MiB.
///
/// # Errors
/// Fails if the source cannot be read, is truncated, or does not hold the expected images intact. Every node
/// then sees its archive end before the index, so no image gets a name.
pub fn transfer(
    source: impl Read,
    expected: &[Expected],
    sinks: Vec<Sink>,
    limits: Limits,
    progress: &dyn Fn(TransferProgress),
) -> Result<TransferReport, ArchiveError> {
    let start = |sink: Sink| NodeTransfer {
        name: sink.node,
        holds: sink.holds,
        lane: Lane::start(sink.writer, limits),
        wants: sink.wants,
        sent: HashMap::new(),
        layers_sent: 0,
        layers_left_out: 0,
        images: Vec::new(),
    };
    let mut nodes: Vec<NodeTransfer> = sinks.into_iter().map(start).collect();
    let passed = read::pass_on(source, expected, &mut nodes, progress)
        .and_then(|read| assemble::finish(&read, expected, &mut nodes).map(|()| read.offset));
    match passed {
        Ok(bytes_read) => {
            // Close every lane before waiting for the first, so nodes finish in parallel.
            for node in &nodes {
                node.lane.close();
            }
            let nodes: Vec<SinkOutcome> = nodes.into_iter().map(NodeTransfer::finish).collect();
            let bytes_sent = nodes.iter().map(|node| node.bytes_sent).sum();
            progress(TransferProgress { bytes_read, bytes_sent });
            Ok(TransferReport { nodes, bytes_read })
        }
        Err(error) => {
            for node in &nodes {
                node.lane.abandon();
            }
            Err(error)
        }
    }
}

/// Lists the images in an archive, for a later transfer of the same archive. An image with several platforms
/// is listed once for each.
///
/// # Errors
/// Fails as [`transfer`] does, but does not verify layers.
pub fn contents(source: impl Read) -> Result<Vec<Expected>, ArchiveError> {
    assemble::contents(&read::pass_on(source, &[], &mut [], &|_| ())?)
}

impl NodeTransfer {
    fn finish(self) -> SinkOutcome {
        let (bytes_sent, error) = self.lane.finish();
        let images = if error.is_none() { self.images } else { Vec::new() };
        SinkOutcome {
            node: self.name,
            bytes_sent,
            layers_sent: self.layers_sent,
            layers_left_out: self.layers_left_out,
            images,
            holds: self.holds,
            error,
        }
    }
}

#[cfg(test)]
mod tests;
