//! Iterates over an archive's files, for callers that store them.

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::digest::Digest;
use super::error::ArchiveError;
use super::read::BLOBS;
use super::tar::{EntryKind, TarReader};

/// A file in an archive; its content can be read once.
pub struct FileEntry<'a> {
    pub path: &'a str,
    pub size: u64,
    next: &'a mut dyn FnMut() -> Result<Option<Arc<[u8]>>, ArchiveError>,
}

impl FileEntry<'_> {
    /// Returns the next piece of content, `None` at the end.
    ///
    /// # Errors
    /// Fails if the archive is truncated or cannot be read.
    pub fn chunk(&mut self) -> Result<Option<Arc<[u8]>>, ArchiveError> {
        (self.next)()
    }

    /// Returns the whole content, which must be small.
    ///
    /// # Errors
    /// Fails if it is larger than `limit` bytes, and if the archive is truncated or cannot be read.
    pub fn bytes(&mut self, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        if self.size > limit {
            let reason = format!("it has {} bytes, and {limit} are allowed", self.size);
            return Err(ArchiveError::BadMetadata { path: self.path.to_owned(), reason });
        }
        let mut bytes = Vec::new();
        while let Some(piece) = self.chunk()? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// The digest in the file's name, if it is a blob of an OCI image layout.
    pub fn blob(&self) -> Option<Digest> {
        Digest::from_hex(self.path.strip_prefix(BLOBS)?)
    }
}

/// Calls `visit` for each file until the archive ends or `visit` breaks.
///
/// # Errors
/// Returns the error of `visit`, and fails if the source is not an archive, is truncated or cannot be read.
pub fn for_each_file<E: From<ArchiveError>>(
    source: impl Read,
    mut visit: impl FnMut(&mut FileEntry<'_>) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let mut archive = TarReader::new(source);
    let mut entries = archive.entries()?;
    while let Some(entry) = entries.advance()? {
        if entry.kind != EntryKind::File {
            continue;
        }
        let mut next = || entries.chunk();
        let mut file = FileEntry { path: &entry.path, size: entry.size, next: &mut next };
        if visit(&mut file)?.is_break() {
            return Ok(());
        }
    }
    // A compressed archive's checksum comes at its very end.
    archive.drain()?;
    Ok(())
}
