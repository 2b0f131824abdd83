//! Reads a blob and verifies its digest at the end.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::archive::{Digest, Hasher};

/// Reads a blob. If its bytes do not match its digest, the last read fails and the blob is removed, so it
/// gets fetched again.
pub struct BlobReader {
    file: File,
    path: PathBuf,
    digest: Digest,
    hasher: Option<Hasher>,
}

impl BlobReader {
    /// Opens the blob in the store at `root`.
    ///
    /// # Errors
    /// Fails if it is missing or cannot be read.
    pub fn open(root: &Path, digest: Digest) -> io::Result<Self> {
        let path = super::blob_path(root, digest);
        let file = File::open(&path)?;
        Ok(Self { file, path, digest, hasher: Some(Hasher::default()) })
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read > 0 {
            if let Some(hasher) = &mut self.hasher {
                hasher.feed(&buffer[..read]);
            }
        } else if !buffer.is_empty()
            && let Some(found) = self.hasher.take().map(Hasher::finish)
            && found != self.digest
        {
            // If it cannot be removed, the next read finds it again.
            let _ = std::fs::remove_file(&self.path);
            let what = format!(
                "`{}` in the image store was damaged and has been removed; run the command again to fetch it",
                self.digest
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(read)
    }
}
