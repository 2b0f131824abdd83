//! Imports images from an OCI image layout in an archive. Verifies each blob while writing it, and names
//! images at the end.

use std::collections::HashSet;
use std::io::{Read, Write as _};
use std::ops::ControlFlow;

use super::document::{DOCUMENT_BYTES_MAX, ImageDocument};
use super::index::IndexFile;
use super::{BlobState, Store, StoreError, StoredImage};
use crate::archive::{ArchiveError, Descriptor, Digest, FileEntry, Hasher, NAME, Platform, for_each_file};
use crate::images::ImageRef;

/// Why an archive's images could not all be imported. None of them has been named by then.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob does not match its digest.
    #[error("`{digest}` in it is damaged: its bytes have the digest `{found}`")]
    Damaged { digest: Digest, found: Digest },
    #[error("it does not hold `{image}`")]
    Absent { image: String },
    #[error("it does not hold all of `{image}` for {platform}")]
    Incomplete { image: String, platform: String },
}

impl Store {
    /// Imports `images` for `platform` from an archive, without what they do not need.
    ///
    /// `progress` is called with the bytes of each piece. Blobs already in the store are skipped.
    ///
    /// # Errors
    /// Fails if the archive is truncated, damaged or lacks an image, or the disk fails; blobs imported until
    /// then stay.
    pub fn import(
        &self,
        source: impl Read,
        images: &[ImageRef],
        platform: &Platform,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<StoredImage>, ImportError> {
        let names: Vec<String> = images.iter().flat_map(names_of).collect();
        let mut import = Import { store: self, names, tops: Vec::new(), needed: None, progress };
        for_each_file(source, |file| import.take(file))?;
        let tops = import.tops;
        let top_of = |image: &ImageRef| {
            let names = names_of(image);
            tops.iter().find(|top| top.annotations.get(NAME).is_some_and(|name| names.contains(name)))
        };
        let mut found = Vec::new();
        for image in images {
            let top = top_of(image).ok_or_else(|| ImportError::Absent { image: image.to_string() })?;
            found.push((image, top));
        }
        let platforms = std::slice::from_ref(platform);
        let mut held = Vec::new();
        for (image, top) in found {
            let known = self.find(image, platforms)?;
            // A name for the same manifest may cover other platforms as well.
            let is_same = |known: &StoredImage| {
                known.descriptor.digest == top.digest
                    || known.platforms.iter().any(|of| of.manifest.digest == top.digest)
            };
            held.push(match known.filter(is_same) {
                Some(known) => known,
                None => self.adopt(image, top, platform)?,
            });
        }
        Ok(held)
    }

    /// Names an image whose blobs are in the store.
    fn adopt(
        &self,
        image: &ImageRef,
        top: &Descriptor,
        platform: &Platform,
    ) -> Result<StoredImage, ImportError> {
        let incomplete =
            || ImportError::Incomplete { image: image.to_string(), platform: platform.to_string() };
        let held = self.held(image, top, std::slice::from_ref(platform))?.ok_or_else(incomplete)?;
        self.name(image, top)?;
        Ok(held)
    }

    /// Stores a file under the digest of its content.
    fn take_unnamed(
        &self,
        file: &mut FileEntry<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), ImportError> {
        let size = file.size;
        self.check_room(size)?;
        let folder = self.root.join("blobs/sha256");
        let failed = |error| self.explain(StoreError::file("write", &folder)(error), size);
        let mut new = tempfile::Builder::new().prefix(".new-").tempfile_in(&folder).map_err(failed)?;
        let mut hasher = Hasher::default();
        while let Some(piece) = file.chunk()? {
            hasher.feed(&piece);
            new.write_all(&piece).map_err(failed)?;
            progress(piece.len() as u64);
        }
        let path = self.blob_path(hasher.finish());
        new.persist(&path).map_err(|error| StoreError::file("rename", &path)(error.error))?;
        Ok(())
    }

    fn take_blob(
        &self,
        digest: Digest,
        file: &mut FileEntry<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), ImportError> {
        // A damaged document in the store would hide what it points to; reading removes it.
        if file.size <= DOCUMENT_BYTES_MAX {
            self.bytes(digest)?;
        }
        let BlobState::Part(mut partial) = self.begin(digest, file.size)? else {
            progress(file.size);
            return Ok(());
        };
        // Start over: the archive brings the whole blob, whatever a download left of it.
        partial.restart()?;
        let mut offset = 0;
        while let Some(piece) = file.chunk()? {
            partial.write_at(offset, &piece).map_err(|error| self.explain(error, file.size))?;
            offset += piece.len() as u64;
            progress(piece.len() as u64);
        }
        partial.finish().map_err(|(_, error)| match error {
            StoreError::Mismatch { expected, found } => ImportError::Damaged { digest: expected, found },
            error => error.into(),
        })
    }
}

/// The names an archive may use for an image: nodes drop the tag of one pinned by digest.
fn names_of(image: &ImageRef) -> [String; 2] {
    [image.node_name().to_string(), image.to_string()]
}

struct Import<'a> {
    store: &'a Store,
    /// The names of the requested images.
    names: Vec<String>,
    /// What these names point to.
    tops: Vec<Descriptor>,
    /// The blobs the requested images need, as far as known; `None` takes all, until the names have come.
    needed: Option<HashSet<Digest>>,
    progress: &'a mut dyn FnMut(u64),
}

impl Import<'_> {
    fn take(&mut self, file: &mut FileEntry<'_>) -> Result<ControlFlow<()>, ImportError> {
        if file.path == "index.json" {
            let bytes = file.bytes(DOCUMENT_BYTES_MAX)?;
            let index: IndexFile = serde_json::from_slice(&bytes).map_err(|error| {
                ArchiveError::BadMetadata { path: file.path.to_owned(), reason: error.to_string() }
            })?;
            let is_wanted =
                |top: &Descriptor| top.annotations.get(NAME).is_some_and(|name| self.names.contains(name));
            self.tops = index.manifests.into_iter().filter(is_wanted).collect();
            self.needed = Some(self.tops.iter().map(|top| top.digest).collect());
        } else if let Some(digest) = file.blob()
            && self.needed.as_ref().is_none_or(|needed| needed.contains(&digest))
        {
            self.store.take_blob(digest, file, self.progress)?;
            self.follow(digest, file.size)?;
        } else if file.blob().is_none() && self.needed.is_none() && file.path != "oci-layout" {
            // An archive whose names come last may have its layers under any name.
            self.store.take_unnamed(file, self.progress)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Adds what an index or a manifest points to.
    fn follow(&mut self, digest: Digest, size: u64) -> Result<(), ImportError> {
        let Some(needed) = self.needed.as_mut().filter(|_| size <= DOCUMENT_BYTES_MAX) else { return Ok(()) };
        let Some(bytes) = self.store.bytes(digest)? else { return Ok(()) };
        match ImageDocument::parse(&bytes) {
            Ok(ImageDocument::Index(entries)) => needed.extend(entries.iter().map(|entry| entry.digest)),
            Ok(ImageDocument::Manifest { config, layers }) => {
                needed.extend(std::iter::once(&config).chain(&layers).map(|blob| blob.digest));
            }
            // A configuration or a small layer.
            Err(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
