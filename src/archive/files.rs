//! The files of an archive one after the other, for those who keep them.

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::digest::Digest;
use super::error::ArchiveError;
use super::read::BLOBS;
use super::tar::{EntryKind, TarReader};

/// A file of an archive, whose bytes come once.
pub struct FileEntry<'a> {
    pub path: &'a str,
    pub size: u64,
    next: &'a mut dyn FnMut() -> Result<Option<Arc<[u8]>>, ArchiveError>,
}

impl FileEntry<'_> {
    /// The next piece of its content; nothing at its end.
    ///
    /// # Errors
    /// Fails when the archive breaks off or cannot be read.
    pub fn chunk(&mut self) -> Result<Option<Arc<[u8]>>, ArchiveError> {
        (self.next)()
    }

    /// All of its content, which must be small.
    ///
    /// # Errors
    /// Fails when it has more than `limit` bytes, and when the archive breaks off or cannot be read.
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

    /// The digest that the file has by its name, where it is a blob of an OCI image layout.
    pub fn blob(&self) -> Option<Digest> {
        Digest::from_hex(self.path.strip_prefix(BLOBS)?)
    }
}

/// Hands each file of an archive to `visit`, up to the archive's end or until `visit` has enough.
///
/// # Errors
/// Fails with what `visit` says, and when the archive is none, breaks off before its end mark or cannot be read.
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
    // A packed archive says at its very end whether all of it came through unharmed.
    archive.drain()?;
    Ok(())
}
