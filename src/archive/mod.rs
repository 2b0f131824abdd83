//! Passes a `docker save` archive on to nodes as it comes, without the layers that they hold already.
//!
//! Reads both forms that `docker save` writes: the old one (`manifest.json`, `<id>/layer.tar`) and the OCI
//! image layout. Writes, to each node, an OCI image layout that `ctr -n k8s.io images import -` accepts, in
//! which the manifest names layers that are not in the archive but in the node's content store. Everything
//! streams: no byte is kept on disk, and memory holds one queue of pieces and the images' descriptions.
//!
//! A layer is left out only on proof. Where it cannot be told what a layer is before its bytes come, it is
//! sent; at the end, when the manifests and configurations have come, each layer of each image must have been
//! sent to the node or be held by it, or the node gets no index and thereby no image.
//!
//! Seen with containerd 1.6.20: an import may name layers that only the store holds, under any size; a layer
//! that the store lacks fails the import if it has to be unpacked, and leaves the image's name behind; where
//! its snapshot is there already, the import succeeds and the image is listed as unpacked but incomplete.
//!
//! Not responsible for running `docker` and `ctr`, nor for asking nodes what they hold.

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

/// An image that the archive is to hold, as far as it is known beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The canonical reference, such as `docker.io/library/busybox:1.36`, by which nodes will know it.
    pub name: String,
    /// The digest of its configuration. Docker's image ID in the old image store, not in containerd's.
    pub config: Option<Digest>,
    /// Its layers' diff IDs from the bottom up, empty if unknown. Without them an archive of the old form is
    /// sent whole.
    pub diff_ids: Vec<Digest>,
    /// The blobs of these layers, in the same order; empty where they are not known beforehand. By them a layer is left
    /// out that a node holds in another encoding.
    pub blobs: Vec<Digest>,
    /// The platform that is meant, `None` for the only one that is there.
    pub platform: Option<Platform>,
}

impl Expected {
    /// An image of which only the name is known.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), config: None, diff_ids: Vec::new(), blobs: Vec::new(), platform: None }
    }

    /// The digest by which the name pins the image: its manifest or an index above it must then stay what it is.
    fn pin(&self) -> Option<Digest> {
        self.name.split_once('@').and_then(|(_, digest)| digest.parse().ok())
    }
}

/// One node that is to receive the archive.
pub struct Sink {
    /// The node's name, for the report.
    pub node: String,
    /// Where the node reads. It is dropped at the end of the archive, which must end the node's input.
    ///
    /// A write that hangs keeps its thread until the caller ends the process behind it.
    pub writer: Box<dyn Write + Send>,
    /// What the node holds and thus is not sent.
    pub holds: NodeHolds,
    /// The names of those images that this node is to get; empty means all of the transfer.
    pub wants: Vec<String>,
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransferProgress {
    /// Bytes read from the source.
    pub bytes_read: u64,
    /// Bytes that nodes have taken, all nodes together.
    pub bytes_sent: u64,
}

#[derive(Debug)]
pub struct TransferReport {
    /// One outcome per sink, in that order.
    pub nodes: Vec<SinkOutcome>,
    /// Bytes read from the source.
    pub bytes_read: u64,
}

#[derive(Debug)]
pub struct SinkOutcome {
    pub node: String,
    /// Bytes that the node took, descriptions and padding included.
    pub bytes_sent: u64,
    pub layers_sent: usize,
    /// Layers left out because the node holds them.
    pub layers_left_out: usize,
    /// The images that this node was given, in the order of the archive; none when it failed.
    pub images: Vec<GivenImage>,
    /// What the node holds once it has taken the archive in, so that it need not be asked before the next.
    pub holds: NodeHolds,
    /// Why the node did not get the archive to its end.
    pub error: Option<NodeError>,
}

/// An image that a node was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenImage {
    pub name: String,
    /// The manifest by which the node knows it, or the index where that is what its name pins.
    pub manifest: Digest,
    /// Bytes that were sent for it alone: layers and descriptions, without those that came with an earlier
    /// image of the same archive.
    pub bytes: u64,
}

/// A node during a transfer.
struct NodeTransfer {
    name: String,
    holds: NodeHolds,
    lane: Lane,
    wants: Vec<String>,
    /// Layers that were sent, with their sizes.
    sent: HashMap<Digest, u64>,
    layers_sent: usize,
    layers_left_out: usize,
    images: Vec<GivenImage>,
}

/// Passes the archive in `source` on to all `sinks` at once.
///
/// `expected` names the images that nodes are to get; empty means every named image of the archive.
/// `progress` is called from this thread after each piece, at most 128 KiB apart.
///
/// A node that fails or stalls is an outcome, and the others go on. Memory is bounded by
/// [`Limits::queue_bytes`] plus the images' descriptions, at most 32 MiB.
///
/// # Errors
/// Fails when the source does, breaks off, or does not hold the asked images intact. All nodes see their
/// archive break off then, before its index: nothing gets a name on them.
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
            // All ends are announced before the first is waited for, so that nodes finish side by side.
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

/// Reads which images an archive holds, for a transfer of the same archive from its start again. An image that is there
/// for several platforms is there several times.
///
/// # Errors
/// Fails as [`transfer`] does, except that layers are not looked into.
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
