//! What can be wrong with an archive, and what can go wrong with one receiving node.

use std::io;
use std::time::Duration;

use super::{Digest, Platform};

/// Why an archive could not be passed on. No node has been given an image name by then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    #[error("could not read the image archive after {offset} bytes")]
    Read {
        /// Bytes read before the failure.
        offset: u64,
        source: io::Error,
    },
    /// The source ended before the archive did, as when `docker save` is stopped.
    #[error("the image archive breaks off after {offset} bytes; save the image again")]
    Truncated {
        /// Bytes read before the end.
        offset: u64,
    },
    /// Not a tar archive, or not one that image tools write.
    #[error("the image archive is damaged at byte {offset}: {reason}")]
    Damaged {
        /// Where the offending header ends.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// An entry would land outside the archive.
    #[error(
        "the image archive holds `{path}`, which points outside the archive; it was not made by an image tool"
    )]
    PathEscapes {
        /// The path, or the target of a link.
        path: String,
    },
    /// Neither `docker save` output nor an OCI image layout.
    #[error("the image archive has an unknown format: {reason}")]
    Unsupported { reason: String },
    /// The archive's JSON documents are larger than any image's can be.
    #[error("the image archive describes its images in more than {limit} bytes")]
    MetadataTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// A JSON document lacks what it must contain.
    #[error("the image archive's `{path}` cannot be used: {reason}")]
    BadMetadata {
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An entry's content does not match its name.
    #[error("`{path}` in the image archive is corrupt: its digest is `{found}`, expected `{expected}`")]
    DigestMismatch {
        path: String,
        /// The digest it should have.
        expected: Digest,
        /// The digest of the bytes that arrived.
        found: Digest,
    },
    /// The archive has no image with the requested name.
    #[error("the image archive does not hold `{image}`; it holds {}", list(found))]
    ImageAbsent {
        image: String,
        /// The names in the archive.
        found: Vec<String>,
    },
    /// The archive holds the image without its configuration.
    #[error("the image archive lacks the configuration `{config}` of `{image}`; pull the image again")]
    ConfigMissing {
        image: String,
        /// The entry or digest of the configuration.
        config: String,
    },
    /// A manifest names a layer that neither the archive nor a node holds.
    #[error("the image archive lacks layer `{layer}` of `{image}`; pull the image again")]
    LayerAbsent {
        image: String,
        /// The entry or digest of the layer.
        layer: String,
    },
    /// The saved image is not the one inspected beforehand.
    #[error("`{image}` changed while it was saved: its {what} differs from what was seen before; try again")]
    Changed { image: String, what: &'static str },
    /// The archive does not hold the image for the requested platform.
    #[error(
        "the image archive does not hold `{image}` for {wanted}; it holds {}; pull it with `--platform {wanted}`",
        list(found)
    )]
    PlatformAbsent {
        image: String,
        wanted: Platform,
        /// The platforms that are at least partly present.
        found: Vec<String>,
    },
    /// The archive holds the image for several platforms and none was requested.
    #[error("the image archive holds `{image}` for {}, where one platform was expected", list(found))]
    PlatformUnclear {
        image: String,
        /// The platforms present.
        found: Vec<String>,
    },
}

/// Why one node did not get the whole archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The node's end of the pipe failed.
    #[error("the node stopped reading the image archive")]
    Write(#[source] io::Error),
    /// The node took no data for too long and was left behind.
    #[error("the node took no data for {}", seconds(*.0))]
    Stalled(Duration),
    /// A layer was left out that the node turned out not to hold.
    #[error("layer `{layer}` of `{image}` was left out and the node does not hold it; send the image whole")]
    LayerNotHeld { image: String, layer: Digest },
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing that can be used".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

fn seconds(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 { format!("{} s", duration.as_secs()) } else { format!("{duration:?}") }
}
