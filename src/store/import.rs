//! Images that come as one archive, an OCI image layout: each blob verified while it is written, names given at the end.

use std::collections::HashSet;
use std::io::{Read, Write as _};
use std::ops::ControlFlow;

use super::document::{DOCUMENT_BYTES_MAX, ImageDocument};
use super::index::IndexFile;
use super::{Begun, Held, Store, StoreError};
use crate::archive::{ArchiveError, Descriptor, Digest, FileEntry, Hasher, NAME, Platform, for_each_file};
use crate::images::ImageRef;

/// Why an archive's images could not all be taken into the store; none of them has got its name then.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob is not what its name says.
    #[error("`{digest}` in it is damaged: its bytes have the digest `{found}`")]
    Damaged { digest: Digest, found: Digest },
    #[error("it does not hold `{image}`")]
    Absent { image: String },
    #[error("it does not hold all of `{image}` for {platform}")]
    Incomplete { image: String, platform: String },
}

impl Store {
    /// Takes `images` out of an archive, for `platform`, and leaves what they do not need.
    ///
    /// `progress` is told of the bytes of each piece. What the store holds already is passed over.
    ///
    /// # Errors
    /// Fails when the archive is cut or damaged or lacks one of them, and when the disk does; blobs that had come by
    /// then stay.
    pub fn import(
        &self,
        source: impl Read,
        images: &[ImageRef],
        platform: &Platform,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<Held>, ImportError> {
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
            // A name that leads to the same manifest may lead to those of other platforms as well.
            let is_same = |known: &Held| {
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

    /// Names an image whose blobs are here.
    fn adopt(&self, image: &ImageRef, top: &Descriptor, platform: &Platform) -> Result<Held, ImportError> {
        let incomplete =
            || ImportError::Incomplete { image: image.to_string(), platform: platform.to_string() };
        let held = self.held(image, top, std::slice::from_ref(platform))?.ok_or_else(incomplete)?;
        self.name(image, top)?;
        Ok(held)
    }

    /// Keeps a file as the blob that it turns out to be.
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
        new.persist(&path).map_err(|error| StoreError::file("name", &path)(error.error))?;
        Ok(())
    }

    fn take_blob(
        &self,
        digest: Digest,
        file: &mut FileEntry<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), ImportError> {
        // A description that was damaged here would hide what it leads to; reading it removes it.
        if file.size <= DOCUMENT_BYTES_MAX {
            self.bytes(digest)?;
        }
        let Begun::Part(mut partial) = self.begin(digest, file.size)? else {
            progress(file.size);
            return Ok(());
        };
        // What a download left of it is here once more.
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

/// The names that an archive may have for an image: nodes drop the tag of one that is pinned by its digest.
fn names_of(image: &ImageRef) -> [String; 2] {
    [image.node_name().to_string(), image.to_string()]
}

struct Import<'a> {
    store: &'a Store,
    /// The names of the images that are wanted.
    names: Vec<String>,
    /// What these names lead to.
    tops: Vec<Descriptor>,
    /// The blobs that the wanted images need, as far as they are known; where the names come last, all are taken.
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
            // An archive that has its names last may have its layers under any name.
            self.store.take_unnamed(file, self.progress)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Notes what an index or a manifest leads to.
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
