//! Reads a bundle: its description at once, files and images on demand.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::contents::{BundledFile, Contents, FILE, FORMAT};
use crate::archive::{ArchiveError, Digest, Hasher, Platform, for_each_file};
use crate::images::ImageRef;
use crate::process::Interrupt;
use crate::store::{ImportError, Store, StoredImage, open_archive};

/// The maximum size of a bundle's description.
const CONTENTS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("could not read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "it is in format {format}, which milvusctl {by} wrote; this milvusctl, {}, reads formats up to {FORMAT}",
        env!("CARGO_PKG_VERSION")
    )]
    Newer { format: u32, by: String },
    #[error("its `{FILE}` cannot be read")]
    Contents(#[source] serde_json::Error),
    #[error("`{path}` in it is damaged: its digest is `{found}`, expected `{expected}`")]
    Damaged { path: String, expected: Digest, found: Digest },
    #[error("it does not hold `{0}`")]
    Absent(String),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("could not write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// The part of the description that is the same in every format.
#[derive(Deserialize)]
struct Header {
    format: u32,
    #[serde(default)]
    milvusctl: String,
}

/// An open bundle, of which only the description has been read.
#[derive(Debug, Clone)]
pub struct Bundle {
    path: PathBuf,
    pub contents: Contents,
}

impl Bundle {
    /// Reads the description of the bundle at `path`, or returns `None` for another kind of archive.
    ///
    /// # Errors
    /// Fails when it cannot be read or has a newer format.
    pub fn open(path: &Path, interrupt: &Interrupt) -> Result<Option<Self>, BundleError> {
        let mut about = None;
        for_each_file(reader(path, interrupt)?, |file| {
            if file.path == FILE {
                about = Some(file.bytes(CONTENTS_BYTES_MAX)?);
            }
            Ok::<_, BundleError>(ControlFlow::Break(()))
        })?;
        let Some(about) = about else { return Ok(None) };
        let header: Header = serde_json::from_slice(&about).map_err(BundleError::Contents)?;
        if header.format > FORMAT {
            return Err(BundleError::Newer { format: header.format, by: header.milvusctl });
        }
        let contents = serde_json::from_slice(&about).map_err(BundleError::Contents)?;
        Ok(Some(Self { path: path.to_owned(), contents }))
    }

    #[cfg(test)]
    pub fn for_test() -> Self {
        Self {
            path: PathBuf::from("milvus.tar.zst"),
            contents: Contents::new("linux/amd64".to_owned(), Vec::new(), None),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Extracts some of its files into `folder`, keeping their paths.
    ///
    /// # Errors
    /// Fails when one of them is missing or damaged, and on disk errors.
    pub fn extract(
        &self,
        files: &[&BundledFile],
        folder: &Path,
        interrupt: &Interrupt,
    ) -> Result<(), BundleError> {
        let mut left: BTreeMap<&str, &BundledFile> =
            files.iter().map(|file| (file.path.as_str(), *file)).collect();
        if left.is_empty() {
            return Ok(());
        }
        for_each_file(reader(&self.path, interrupt)?, |entry| {
            let Some(file) = left.remove(entry.path) else { return Ok(ControlFlow::Continue(())) };
            let path = folder.join(entry.path);
            let found = write(&path, &mut || entry.chunk())?;
            if found != file.digest {
                let (expected, path) = (file.digest, file.path.clone());
                return Err(BundleError::Damaged { path, expected, found });
            }
            Ok(if left.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        left.into_keys().next().map_or(Ok(()), |absent| Err(BundleError::Absent(absent.to_owned())))
    }

    /// Imports some of its images into the store, checking each blob against its digest.
    ///
    /// # Errors
    /// Fails when the bundle is truncated, damaged or lacks one of them, and on disk errors.
    pub fn import(
        &self,
        store: &Store,
        images: &[ImageRef],
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<StoredImage>, ImportError> {
        let source =
            open_archive(&self.path, interrupt).map_err(|source| ArchiveError::Read { offset: 0, source })?;
        store.import(source, images, &self.image_platform(), progress)
    }

    /// The platform of its images.
    pub fn image_platform(&self) -> Platform {
        let platform = &self.contents.platform;
        let architecture = platform.split_once('/').map_or(platform.as_str(), |(_, rest)| rest);
        Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }
}

fn reader(path: &Path, interrupt: &Interrupt) -> Result<Box<dyn io::Read + Send>, BundleError> {
    open_archive(path, interrupt).map_err(|source| BundleError::Read { path: path.to_owned(), source })
}

/// Writes a file and returns its digest.
fn write(
    path: &Path,
    next: &mut dyn FnMut() -> Result<Option<Arc<[u8]>>, ArchiveError>,
) -> Result<Digest, BundleError> {
    let failed = |source| BundleError::Write { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut file = File::create(path).map_err(failed)?;
    let mut hasher = Hasher::default();
    while let Some(piece) = next()? {
        hasher.feed(&piece);
        file.write_all(&piece).map_err(failed)?;
    }
    Ok(hasher.finish())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
