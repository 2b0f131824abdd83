//! The names in the store: `index.json`, which has its own lock.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::document::{ImageDocument, choose};
use super::{Store, StoreError, open_lock, replace, wait_for};
use crate::archive::{Descriptor, Digest, NAME, Platform, REF_NAME};
use crate::images::ImageRef;

/// Nesting of indexes; Docker writes two levels.
const DEPTH: usize = 4;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndexFile {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    pub(super) manifests: Vec<Descriptor>,
}

/// A name in the store and what it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredName {
    pub image: ImageRef,
    /// The index or manifest, as the registry returned it.
    pub descriptor: Descriptor,
}

/// An image that is completely in the store for all requested platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    pub image: ImageRef,
    /// The index or manifest, as the registry returned it.
    pub descriptor: Descriptor,
    /// One per requested platform; each manifest once.
    pub platforms: Vec<PlatformImage>,
    /// The indexes from the name down to the manifests, outermost first.
    pub indexes: Vec<Digest>,
}

/// An image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformImage {
    pub platform: Platform,
    pub manifest: Descriptor,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

impl PlatformImage {
    /// Configuration and layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

impl StoredImage {
    /// The digests that identify its content: of index, manifests and configurations.
    pub fn digests(&self) -> BTreeSet<Digest> {
        let of_platforms =
            self.platforms.iter().flat_map(|image| [image.manifest.digest, image.config.digest]);
        of_platforms.chain([self.descriptor.digest]).collect()
    }
}

impl Store {
    /// All names, sorted. Skips entries by other tools that name no image.
    ///
    /// # Errors
    /// Fails if `index.json` cannot be read.
    pub fn names(&self) -> Result<Vec<StoredName>, StoreError> {
        let mut names: Vec<StoredName> = self.read_index()?.manifests.into_iter().filter_map(named).collect();
        names.sort_by(|a, b| a.image.cmp(&b.image));
        Ok(names)
    }

    /// Returns what `image` points to, if the store has that name.
    ///
    /// # Errors
    /// Fails if `index.json` cannot be read.
    pub fn named(&self, image: &ImageRef) -> Result<Option<Descriptor>, StoreError> {
        let found = self.names()?.into_iter().find(|stored| stored.image == *image);
        Ok(found.map(|stored| stored.descriptor))
    }

    /// Returns the image, if it is complete for each of `platforms`.
    ///
    /// Checks only the sizes of blobs; their content is verified when read.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn find(&self, image: &ImageRef, platforms: &[Platform]) -> Result<Option<StoredImage>, StoreError> {
        let Some(descriptor) = self.named(image)? else { return Ok(None) };
        self.held(image, &descriptor, platforms)
    }

    /// Returns the image that `descriptor` points to, whether named or not.
    pub(super) fn held(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
        platforms: &[Platform],
    ) -> Result<Option<StoredImage>, StoreError> {
        let descriptor = descriptor.clone();
        let mut held =
            StoredImage { image: image.clone(), descriptor, platforms: Vec::new(), indexes: Vec::new() };
        for platform in platforms {
            let Some(found) = self.for_platform(&held.descriptor.clone(), platform, &mut held.indexes)?
            else {
                return Ok(None);
            };
            if !found.blobs().all(|blob| self.has(blob.digest, blob.size)) {
                return Ok(None);
            }
            if held.platforms.iter().all(|known| known.manifest.digest != found.manifest.digest) {
                held.platforms.push(found);
            }
        }
        Ok(Some(held))
    }

    /// Reads the diff IDs of an image's layers, from the bottom up, from its configuration. Empty if that is
    /// missing or does not match the layers.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn diff_ids(&self, image: &PlatformImage) -> Result<Vec<Digest>, StoreError> {
        #[derive(Deserialize)]
        struct ImageConfig {
            rootfs: ConfigRootFs,
        }
        #[derive(Deserialize)]
        struct ConfigRootFs {
            diff_ids: Vec<Digest>,
        }
        let config = self.bytes(image.config.digest)?;
        let config: Option<ImageConfig> = config.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let diff_ids = config.map(|config| config.rootfs.diff_ids).unwrap_or_default();
        Ok(if diff_ids.len() == image.layers.len() { diff_ids } else { Vec::new() })
    }

    /// Follows indexes down to the manifest for `platform`; `None` if a document on the way is missing.
    fn for_platform(
        &self,
        top: &Descriptor,
        platform: &Platform,
        indexes: &mut Vec<Digest>,
    ) -> Result<Option<PlatformImage>, StoreError> {
        let mut at = top.clone();
        for _ in 0..DEPTH {
            let Some(bytes) = self.bytes(at.digest)? else { return Ok(None) };
            match ImageDocument::parse(&bytes) {
                Ok(ImageDocument::Manifest { config, layers }) => {
                    let platform = platform.clone();
                    return Ok(Some(PlatformImage { platform, manifest: at, config, layers }));
                }
                Ok(ImageDocument::Index(entries)) => {
                    if !indexes.contains(&at.digest) {
                        indexes.push(at.digest);
                    }
                    let Some(next) = choose(&entries, platform) else { return Ok(None) };
                    at = next.clone();
                }
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Names `descriptor` `image`, moving the name if it exists.
    ///
    /// # Errors
    /// Fails if `index.json` cannot be written.
    pub fn name(&self, image: &ImageRef, descriptor: &Descriptor) -> Result<(), StoreError> {
        let mut named = descriptor.clone();
        named.annotations.insert(NAME.to_owned(), image.to_string());
        named.annotations.insert(REF_NAME.to_owned(), image.tag().unwrap_or_default().to_owned());
        if image.tag().is_none() {
            named.annotations.remove(REF_NAME);
        }
        self.used(descriptor.digest);
        self.change_index(|manifests| {
            manifests
                .retain(|entry| entry.annotations.get(NAME).is_none_or(|name| *name != image.to_string()));
            manifests.push(named);
        })
    }

    /// Removes names; pruning removes their blobs.
    ///
    /// # Errors
    /// Fails if `index.json` cannot be written.
    pub fn forget(&self, images: &[ImageRef]) -> Result<(), StoreError> {
        let gone: Vec<String> = images.iter().map(ToString::to_string).collect();
        self.change_index(|manifests| {
            manifests.retain(|entry| entry.annotations.get(NAME).is_none_or(|name| !gone.contains(name)));
        })
    }

    /// Marks the image behind `digest` as used now; pruning goes by that time.
    pub fn used(&self, digest: Digest) {
        let file = std::fs::File::options().append(true).open(self.blob_path(digest));
        // On failure the image only looks older than it is.
        let _ = file.and_then(|file| file.set_modified(std::time::SystemTime::now()));
    }

    pub(super) fn change_index(&self, change: impl FnOnce(&mut Vec<Descriptor>)) -> Result<(), StoreError> {
        let lock = open_lock(&self.root.join("index.lock"))?;
        wait_for(|| lock.try_lock(), &self.root, &self.interrupt)?;
        let mut index = self.read_index()?;
        change(&mut index.manifests);
        let path = self.root.join("index.json");
        let text =
            serde_json::to_vec(&index).map_err(|error| StoreError::file("write", &path)(error.into()))?;
        replace(&path, &text)
    }

    /// Reads `index.json`. If it is corrupt, the names are lost but the blobs remain.
    fn read_index(&self) -> Result<IndexFile, StoreError> {
        let path = self.root.join("index.json");
        let empty = || IndexFile {
            schema_version: 2,
            media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
            manifests: Vec::new(),
        };
        match std::fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_else(|_| empty())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(empty()),
            Err(error) => Err(StoreError::file("read", &path)(error)),
        }
    }
}

fn named(entry: Descriptor) -> Option<StoredName> {
    let image = entry.annotations.get(NAME)?.parse().ok()?;
    Some(StoredName { image, descriptor: entry })
}
