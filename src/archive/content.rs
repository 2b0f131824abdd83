//! Parsers for what `ctr` and `containerd` print about a node's content, and the answers they give.
//!
//! Pure text in, values out; running the commands is the caller's work.

use std::collections::{BTreeMap, HashMap};

use super::digest::Digest;

/// Output from a node that is not the expected listing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not read what `{command}` printed: {reason}, line {line}: `{text}`")]
pub struct ListingError {
    command: &'static str,
    reason: &'static str,
    line: usize,
    text: String,
}

/// The content in a node's containerd store, by digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeHolds {
    /// Size of each blob in bytes, to four digits if the listing rounds.
    blobs: HashMap<Digest, u64>,
    /// The blob that unpacks to the layer with this diff ID.
    encodings: HashMap<Digest, Digest>,
}

/// A blob on a node that unpacks to a given layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLayer {
    /// The blob's digest; equal to the diff ID if uncompressed.
    pub blob: Digest,
    /// Bytes, rounded to four digits above 999: containerd only checks the digest of what it holds.
    pub size: u64,
}

impl NodeHolds {
    /// A node about which nothing is known, so it is sent everything.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Parses the output of `ctr -n k8s.io content ls`.
    ///
    /// Skips blobs with digests other than SHA-256.
    ///
    /// # Errors
    /// Fails if the heading is missing, or a line has no digest or no size.
    pub fn parse(listing: &str) -> Result<Self, ListingError> {
        let mut holds = Self::default();
        for (line, text) in table("ctr content ls", "DIGEST", listing)? {
            let broken =
                |reason| ListingError { command: "ctr content ls", reason, line, text: text.to_owned() };
            let mut columns = text.split('\t').map(str::trim).filter(|column| !column.is_empty());
            let digest = columns.next().unwrap_or_default();
            let size = columns.next().and_then(parse_size).ok_or_else(|| broken("no size"))?;
            if !digest.contains(':') {
                return Err(broken("no digest"));
            }
            let Ok(digest) = digest.parse() else { continue };
            holds.blobs.insert(digest, size);
            let labels = columns.nth(1).unwrap_or_default();
            for (key, value) in labels.split(',').filter_map(|label| label.split_once('=')) {
                let Ok(value) = value.parse() else { continue };
                if key == "containerd.io/uncompressed" {
                    holds.add_encoding(value, digest);
                }
            }
        }
        Ok(holds)
    }

    /// Records that the node was given a blob that unpacks to the layer `diff_id`.
    pub(super) fn learn(&mut self, diff_id: Digest, blob: Digest, size: u64) {
        self.blobs.insert(blob, size);
        if blob != diff_id {
            self.add_encoding(diff_id, blob);
        }
    }

    /// Any encoding will do; taking the smaller digest makes every run choose the same one.
    fn add_encoding(&mut self, diff_id: Digest, blob: Digest) {
        let known = self.encodings.entry(diff_id).or_insert(blob);
        *known = blob.min(*known);
    }

    /// Tells whether the node holds this exact blob.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blobs.contains_key(digest)
    }

    /// Tells whether the node needs no bytes of this blob, because it holds the blob itself or another one
    /// that unpacks to the layer `diff_id`.
    pub fn can_do_without(&self, blob: &Digest, diff_id: Option<&Digest>) -> bool {
        self.has_blob(blob) || diff_id.is_some_and(|diff_id| self.layer(diff_id).is_some())
    }

    /// Returns a blob that unpacks to the layer with this diff ID, preferring the uncompressed one.
    pub fn layer(&self, diff_id: &Digest) -> Option<HeldLayer> {
        let held = |blob: &Digest| self.blobs.get(blob).map(|&size| HeldLayer { blob: *blob, size });
        held(diff_id).or_else(|| self.encodings.get(diff_id).and_then(held))
    }
}

/// An image on a node, as `ctr images check` reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeImage {
    /// The digest of its manifest or index.
    pub target: Digest,
    /// All its content is present, so it can be unpacked.
    pub complete: bool,
    /// It is unpacked in the snapshotter that `ctr` was asked about.
    pub unpacked: bool,
}

impl NodeImage {
    /// Tells whether a container can start from the image.
    ///
    /// containerd unpacks a complete image when the first container needs it. With `discard_unpacked_layers`,
    /// as in kind's configuration, it discards the layers of images it pulled itself once they are unpacked.
    pub fn can_run(&self) -> bool {
        self.complete || self.unpacked
    }
}

/// Parses the output of `ctr -n k8s.io images check` into images by name.
///
/// containerd's CRI plugin gives every image a second name, `sha256:` and the digest of its configuration.
///
/// # Errors
/// Fails if the heading is missing, or a line lacks name, digest or state.
pub fn parse_images_check(listing: &str) -> Result<BTreeMap<String, NodeImage>, ListingError> {
    const COMMAND: &str = "ctr images check";
    let row = |(line, text): (usize, &str)| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let found = (|| {
            let target = words.get(2)?.parse().ok()?;
            let complete = *words.get(3)? == "complete";
            let unpacked = words.last()?.parse().ok()?;
            Some((words[0].to_owned(), NodeImage { target, complete, unpacked }))
        })();
        let text = text.to_owned();
        found.ok_or(ListingError { command: COMMAND, reason: "no digest or state", line, text })
    };
    table(COMMAND, "REF", listing)?.into_iter().map(row).collect()
}

/// Parses the output of `ctr -n k8s.io images ls` into the manifest or index that each name points to.
///
/// # Errors
/// Fails if the heading is missing, or a line lacks name or digest.
pub fn parse_images_list(listing: &str) -> Result<BTreeMap<String, Digest>, ListingError> {
    const COMMAND: &str = "ctr images ls";
    let row = |(line, text): (usize, &str)| {
        let mut words = text.split_whitespace();
        let found = words.next().zip(words.nth(1).and_then(|target| target.parse().ok()));
        let found = found.map(|(name, target)| (name.to_owned(), target));
        found.ok_or(ListingError { command: COMMAND, reason: "no digest", line, text: text.to_owned() })
    };
    table(COMMAND, "REF", listing)?.into_iter().map(row).collect()
}

/// Reads from `containerd config dump` which snapshotter the kubelet's images are unpacked with.
///
/// Knows where versions 2 and 3 of containerd's configuration keep the CRI plugin. `None` if it is not set.
pub fn parse_snapshotter(config: &str) -> Option<String> {
    const SECTIONS: [&str; 2] =
        ["plugins.io.containerd.grpc.v1.cri.containerd", "plugins.io.containerd.cri.v1.images"];
    let mut inside = false;
    for line in config.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section: String = section.chars().filter(|c| !matches!(c, '"' | '\'' | ']')).collect();
            inside = SECTIONS.contains(&section.as_str());
        } else if let Some((key, value)) = line.split_once('=')
            && inside
            && key.trim() == "snapshotter"
        {
            let name = value.trim().trim_matches(['"', '\'']);
            return (!name.is_empty()).then(|| name.to_owned());
        }
    }
    None
}

/// Returns the numbered lines below the heading.
fn table<'a>(
    command: &'static str,
    heading: &str,
    listing: &'a str,
) -> Result<Vec<(usize, &'a str)>, ListingError> {
    let mut lines = (1..).zip(listing.lines());
    match lines.next() {
        Some((_, first)) if first.starts_with(heading) => {}
        first => {
            let text = first.map_or("", |(_, text)| text).to_owned();
            return Err(ListingError { command, reason: "no heading", line: 1, text });
        }
    }
    Ok(lines.filter(|(_, text)| !text.trim().is_empty()).collect())
}

/// Parses sizes such as `95B`, `23.69MB` and `5.0 MiB`, without floating point.
fn parse_size(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(split);
    let unit: u64 = match unit.trim() {
        "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let parts = unit.checked_mul(fraction.parse().ok()?)? / scale;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(parts)
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
