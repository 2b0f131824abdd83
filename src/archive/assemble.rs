//! The end of each node's archive: configurations, manifests and the index, built from the layers that node
//! has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::digest::Digest;
use super::error::{ArchiveError, NodeError};
use super::forms::{self, Descriptor, Image, LayerSource, NAME, PlatformJson};
use super::read::{Encoding, LayerBlob, Scanned, blob_path};
use super::tar;
use super::{Expected, NodeTransfer, SentImage};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Docker's media type only says "compressed"; containerd looks at the blob's first bytes.
const COMPRESSED_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestJson<'a> {
    schema_version: u8,
    media_type: &'a str,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IndexJson<'a> {
    schema_version: u8,
    media_type: &'a str,
    manifests: Vec<Descriptor>,
}

impl LayerBlob {
    /// The digest of an uncompressed layer, which must equal its diff ID.
    pub(super) fn plain_digest(&self) -> Option<Digest> {
        self.digest.filter(|_| self.encoding == Encoding::Plain)
    }

    fn media_type(&self) -> String {
        let suffix = match self.encoding {
            Encoding::Plain => "",
            Encoding::Gzip => "+gzip",
            Encoding::Zstd => "+zstd",
        };
        format!("{LAYER}{suffix}")
    }
}

/// Sends every node the end of its archive.
pub(super) fn finish(
    found: &Scanned,
    expected: &[Expected],
    nodes: &mut [NodeTransfer],
) -> Result<(), ArchiveError> {
    let images = forms::images(found, expected)?;
    // Build every end before sending the first: an archive error must reach all nodes.
    let ends = nodes
        .iter()
        .map(|node| if node.lane.is_alive() { End::of(node, &images).map(Some) } else { Ok(None) })
        .collect::<Result<Vec<_>, _>>()?;
    for (node, end) in nodes.iter_mut().zip(ends) {
        match end {
            Some(Ok(end)) => {
                end.pieces.iter().for_each(|piece| node.lane.send(piece));
                node.images = end.images;
                for (diff_id, blob, size) in end.layers {
                    node.holds.learn(diff_id, blob, size);
                }
            }
            Some(Err(error)) => node.lane.fail(error),
            None => {}
        }
    }
    Ok(())
}

/// Returns all named images, once per platform present.
pub(super) fn contents(found: &Scanned) -> Result<Vec<Expected>, ArchiveError> {
    Ok(forms::variants(found)?.iter().map(known).collect())
}

fn known(image: &Image<'_>) -> Expected {
    Expected {
        name: image.name.clone(),
        config: Some(image.config),
        diff_ids: image.layers.iter().map(|(diff_id, _)| *diff_id).collect(),
        blobs: image
            .layers
            .iter()
            .filter_map(|(_, source)| Some(source.descriptor.as_ref()?.digest))
            .collect(),
        platform: Some(image.platform.clone()),
    }
}

/// What a node gets after the layers.
#[derive(Default)]
struct End {
    pieces: Vec<Arc<[u8]>>,
    images: Vec<SentImage>,
    /// Diff ID, blob and blob size of each of the images' layers.
    layers: Vec<(Digest, Digest, u64)>,
    written: BTreeSet<Digest>,
    /// Layers already counted towards an image's size.
    counted: BTreeSet<Digest>,
}

impl End {
    /// The outer error is the archive's, the inner one the node's.
    fn of(node: &NodeTransfer, images: &[Image<'_>]) -> Result<Result<Self, NodeError>, ArchiveError> {
        let mut end = Self::default();
        let mut index = Vec::new();
        let wanted = |image: &&Image<'_>| node.wants.is_empty() || node.wants.contains(&image.name);
        for image in images.iter().filter(wanted) {
            match layers(node, image)? {
                Ok(layers) => {
                    let brought = layers.named.iter().filter(|layer| end.counted.insert(layer.digest));
                    let bytes = brought.filter_map(|layer| node.sent.get(&layer.digest)).sum();
                    let named = image.layers.iter().zip(&layers.named);
                    end.layers.extend(named.map(|((diff_id, _), blob)| (*diff_id, blob.digest, blob.size)));
                    index.push(end.image(image, (!layers.as_in_archive).then_some(layers.named), bytes));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        end.pieces.push(tar::file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#));
        let index = json(&IndexJson { schema_version: 2, media_type: INDEX, manifests: index });
        end.pieces.push(tar::file("index.json", &index));
        end.pieces.push(tar::end());
        Ok(Ok(end))
    }

    /// Adds an image's configuration and manifest, and returns its descriptor for the index.
    ///
    /// `layers` is `None` if the node can use the archive's own manifest; `layer_bytes` have been sent
    /// already.
    fn image(&mut self, image: &Image<'_>, layers: Option<Vec<Descriptor>>, layer_bytes: u64) -> Descriptor {
        let before = self.size();
        self.blob(image.config, image.config_bytes);
        let (media_type, digest, size) = match (&image.manifest, layers) {
            (Some(manifest), None) => {
                self.blob(manifest.digest, manifest.bytes);
                image.indexes.iter().rev().for_each(|index| self.blob(index.digest, index.bytes));
                let top = image.indexes.first().unwrap_or(manifest);
                (top.media_type.clone(), top.digest, top.bytes.len())
            }
            (_, layers) => {
                let config = descriptor(CONFIG, image.config, image.config_bytes.len() as u64);
                let layers = layers.unwrap_or_default();
                let bytes = json(&ManifestJson { schema_version: 2, media_type: MANIFEST, config, layers });
                let digest = Digest::of(&bytes);
                self.blob(digest, &bytes);
                (MANIFEST.to_owned(), digest, bytes.len())
            }
        };
        let bytes = layer_bytes + self.size() - before;
        self.images.push(SentImage { name: image.name.clone(), manifest: digest, bytes });
        let platform = image.indexes.is_empty().then(|| PlatformJson {
            architecture: image.platform.architecture.clone(),
            os: image.platform.os.clone(),
            variant: image.platform.variant.clone(),
        });
        Descriptor {
            annotations: BTreeMap::from([(NAME.to_owned(), image.name.clone())]),
            platform,
            ..descriptor(&media_type, digest, size as u64)
        }
    }

    fn size(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    fn blob(&mut self, digest: Digest, bytes: &[u8]) {
        if self.written.insert(digest) {
            self.pieces.push(tar::file(&blob_path(&digest), bytes));
        }
    }
}

/// An image's layers as a node has them.
struct LayerPlan {
    named: Vec<Descriptor>,
    /// Whether the archive's own manifest describes them.
    as_in_archive: bool,
}

/// Describes an image's layers as the node has them. The outer error is the archive's, the inner one the
/// node's.
fn layers(node: &NodeTransfer, image: &Image<'_>) -> Result<Result<LayerPlan, NodeError>, ArchiveError> {
    let mut layers = Vec::new();
    let mut as_in_archive = image.manifest.is_some();
    for (diff_id, source) in &image.layers {
        if let Some(sent) = as_sent(node, source) {
            layers.push(sent);
        } else if let Some(held) = node.holds.layer(diff_id).filter(|_| !image.is_pinned) {
            as_in_archive = false;
            // The exact size is only known if the archive holds the same bytes.
            let plain = source.layer.filter(|layer| layer.encoding == Encoding::Plain);
            layers.push(match plain {
                Some(layer) if held.blob == *diff_id => descriptor(LAYER, held.blob, layer.size),
                _ if held.blob == *diff_id => descriptor(LAYER, held.blob, held.size),
                _ => descriptor(COMPRESSED_LAYER, held.blob, held.size),
            });
        } else if source.layer.is_none() {
            let (image, layer) = (image.name.clone(), source.shown.clone());
            return Err(ArchiveError::LayerAbsent { image, layer });
        } else {
            return Ok(Err(NodeError::LayerNotHeld { image: image.name.clone(), layer: *diff_id }));
        }
    }
    Ok(Ok(LayerPlan { named: layers, as_in_archive }))
}

/// Returns the descriptor of a layer that the node was sent, or holds in the archive's own encoding.
fn as_sent(node: &NodeTransfer, source: &LayerSource<'_>) -> Option<Descriptor> {
    if let Some(named) = &source.descriptor {
        let there = node.sent.contains_key(&named.digest) || node.holds.has_blob(&named.digest);
        return there.then(|| named.clone());
    }
    let layer = source.layer?;
    let digest = layer.digest.filter(|digest| node.sent.contains_key(digest))?;
    Some(descriptor(&layer.media_type(), digest, layer.size))
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    let media_type = media_type.to_owned();
    Descriptor { media_type, digest, size, annotations: BTreeMap::new(), platform: None }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs with string keys always serialise")
}
