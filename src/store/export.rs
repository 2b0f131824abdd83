//! Images of the store as an archive that nodes and engines take.

use std::io;
use std::sync::Arc;

use super::{Held, Store, StoreError};
use crate::archive::{LayoutImage, LayoutReader, NAME, OpenBlob, PlatformJson, REF_NAME};

impl Store {
    /// Reads `images` as one archive, each for the first of its platforms, under the names by which nodes know them.
    ///
    /// With `for_docker` engines with the classic image store take it too.
    ///
    /// # Errors
    /// Fails when a description is not here any more, and when the disk does.
    pub fn export(self: &Arc<Self>, images: &[&Held], for_docker: bool) -> Result<LayoutReader, StoreError> {
        let images: Vec<LayoutImage> =
            images.iter().filter_map(|held| self.layout_image(held).transpose()).collect::<Result<_, _>>()?;
        let store = Arc::clone(self);
        let open: OpenBlob = Box::new(move |digest| match store.reader(digest) {
            Ok(Some(reader)) => Ok(Box::new(reader)),
            Ok(None) => {
                let what = format!("`{digest}` was removed from the image store; run the same command again");
                Err(io::Error::new(io::ErrorKind::NotFound, what))
            }
            Err(error) => Err(io::Error::other(error)),
        });
        Ok(LayoutReader::new(&images, for_docker, open))
    }

    fn layout_image(&self, held: &Held) -> Result<Option<LayoutImage>, StoreError> {
        let Some(image) = held.platforms.first() else { return Ok(None) };
        let name = held.image.node_name();
        let mut top = image.manifest.clone();
        top.annotations.insert(NAME.to_owned(), name.to_string());
        top.annotations.remove(REF_NAME);
        top.annotations.extend(name.tag().map(|tag| (REF_NAME.to_owned(), tag.to_owned())));
        top.platform = Some(PlatformJson {
            os: image.platform.os.clone(),
            architecture: image.platform.architecture.clone(),
            variant: image.platform.variant.clone(),
        });
        let manifest = image.manifest.digest;
        let Some(bytes) = self.bytes(manifest)? else {
            let path = self.blob_path(manifest);
            return Err(StoreError::file("read", &path)(io::ErrorKind::NotFound.into()));
        };
        Ok(Some(LayoutImage {
            top,
            repo_tag: held.image.tag().map(|_| held.image.without_digest().familiar()),
            config: image.config.clone(),
            layers: image.layers.clone(),
            documents: vec![(manifest, bytes)],
        }))
    }
}
