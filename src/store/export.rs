//! Exports images from the store as an archive for nodes and engines.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::{Store, StoreError, StoredImage};
use crate::archive::{Digest, LayoutImage, LayoutReader, NAME, OpenBlob, PlatformJson, REF_NAME};

/// Who reads the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportTarget {
    /// containerd, for its node's platform.
    Node,
    /// kind, which runs `ctr images import --all-platforms`. That wants everything in an index, so kind gets
    /// none.
    Kind,
    /// A container engine, including those with the classic image store.
    Engine,
}

impl Store {
    /// Streams `images` as one archive, each for the first of its platforms and under the name nodes know it
    /// by, without the blobs in `leave_out`. An image whose name pins an index keeps that index.
    ///
    /// # Errors
    /// Fails if an image's manifest or index is no longer in the store, or cannot be read.
    pub fn export(
        self: &Arc<Self>,
        images: &[&StoredImage],
        target: ExportTarget,
        leave_out: BTreeSet<Digest>,
    ) -> Result<LayoutReader, StoreError> {
        let images: Vec<LayoutImage> = images
            .iter()
            .filter_map(|held| self.layout_image(held, target).transpose())
            .collect::<Result<_, _>>()?;
        let store = Arc::clone(self);
        let open: OpenBlob = Box::new(move |digest| match store.reader(digest) {
            Ok(Some(reader)) => Ok(Box::new(reader)),
            Ok(None) => {
                let what = format!("`{digest}` was removed from the image store; run the command again");
                Err(io::Error::new(io::ErrorKind::NotFound, what))
            }
            Err(error) => Err(io::Error::other(error)),
        });
        Ok(LayoutReader::new(&images, target == ExportTarget::Engine, leave_out, open))
    }

    fn layout_image(
        &self,
        held: &StoredImage,
        target: ExportTarget,
    ) -> Result<Option<LayoutImage>, StoreError> {
        let Some(image) = held.platforms.first() else { return Ok(None) };
        let name = held.image.node_name();
        let pin = held.image.digest().and_then(|digest| digest.parse::<Digest>().ok());
        let is_index_pinned =
            target != ExportTarget::Kind && pin.is_some_and(|pin| held.indexes.contains(&pin));
        let mut top = if is_index_pinned { held.descriptor.clone() } else { image.manifest.clone() };
        top.annotations.insert(NAME.to_owned(), name.to_string());
        top.annotations.remove(REF_NAME);
        top.annotations.extend(name.tag().map(|tag| (REF_NAME.to_owned(), tag.to_owned())));
        top.platform = (!is_index_pinned).then(|| PlatformJson {
            os: image.platform.os.clone(),
            architecture: image.platform.architecture.clone(),
            variant: image.platform.variant.clone(),
        });
        let indexes = if is_index_pinned { &held.indexes[..] } else { &[] };
        let document = |digest: Digest| {
            let gone = || StoreError::file("read", &self.blob_path(digest))(io::ErrorKind::NotFound.into());
            Ok((digest, self.bytes(digest)?.ok_or_else(gone)?))
        };
        let documents = indexes.iter().copied().chain([image.manifest.digest]).map(document);
        Ok(Some(LayoutImage {
            top,
            repo_tag: held.image.tag().map(|_| held.image.without_digest().familiar()),
            config: image.config.clone(),
            layers: image.layers.clone(),
            documents: documents.collect::<Result<_, StoreError>>()?,
        }))
    }
}
