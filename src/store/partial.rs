//! An unfinished blob: written in any order, hashed as it grows, and named once its digest is right.
//!
//! The bytes are in `<hex>.part` beside the finished blobs. If written sequentially, the file's length is its
//! progress; if parts come out of order, `<hex>.parts` lists them. The file is locked while being written, so
//! another run waits instead of fetching the same bytes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::error::{StoreError, is_full};
use super::ranges::Ranges;
use crate::archive::{Digest, Hasher};

/// Bytes to read at a time when hashing.
const PIECE: usize = 256 * 1024;

/// An unfinished blob.
pub struct Partial {
    digest: Digest,
    size: u64,
    file: File,
    path: PathBuf,
    listing: PathBuf,
    target: PathBuf,
    held: Ranges,
    /// Covers a prefix of the blob, `hashed` bytes long.
    hasher: Hasher,
    hashed: u64,
    /// The list of parts exists beside the file.
    listed: bool,
}

impl Partial {
    /// Opens the unfinished blob at `target` with what an earlier run left of it; `None` while another run
    /// holds it.
    pub(super) fn open(digest: Digest, size: u64, target: &Path) -> Result<Option<Self>, StoreError> {
        let path = target.with_extension("part");
        let listing = target.with_extension("parts");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(StoreError::file("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(StoreError::file("lock", &path)(error)),
        }
        // Another run may have finished or removed the file between opening and locking.
        let inode = file.metadata().map_err(StoreError::file("read", &path))?.ino();
        if std::fs::metadata(&path).map(|found| found.ino()).ok() != Some(inode) {
            return Ok(None);
        }
        let length = file.metadata().map_err(StoreError::file("read", &path))?.len();
        let listed = listing.exists();
        let held = if listed { read_listing(&listing, length) } else { Ranges::prefix(length) };
        let mut partial = Self {
            digest,
            size,
            file,
            path,
            listing,
            target: target.to_owned(),
            held,
            hasher: Hasher::default(),
            hashed: 0,
            listed,
        };
        if length > size {
            partial.restart()?;
        }
        Ok(Some(partial))
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many bytes are on disk.
    pub fn held(&self) -> u64 {
        self.held.total()
    }

    /// The gaps, in order.
    pub fn missing(&self) -> Vec<Range<u64>> {
        self.held.missing(self.size)
    }

    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// Fails if the disk does, or the bytes extend beyond the blob's size.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let end = offset + bytes.len() as u64;
        if end > self.size {
            let source = io::Error::new(io::ErrorKind::InvalidData, "received more bytes than the blob has");
            return Err(StoreError::file("write", &self.path)(source));
        }
        if offset > self.held.contiguous() && !self.listed {
            self.save()?;
        }
        self.file.write_all_at(bytes, offset).map_err(StoreError::file("write", &self.path))?;
        self.held.add(offset..end);
        if offset == self.hashed {
            self.hasher.feed(bytes);
            self.hashed = end;
        }
        Ok(())
    }

    /// Records which parts are on disk, unless they form a single prefix.
    ///
    /// # Errors
    /// Fails if the list cannot be written.
    pub fn save(&mut self) -> Result<(), StoreError> {
        let pairs = self.held.pairs();
        if self.listed && pairs.len() <= 1 && self.held.contiguous() == self.held.total() {
            // A single prefix needs no list: truncate the file to it.
            let end = self.held.contiguous();
            self.file.set_len(end).map_err(StoreError::file("write", &self.path))?;
            std::fs::remove_file(&self.listing).map_err(StoreError::file("remove", &self.listing))?;
            self.listed = false;
            return Ok(());
        }
        let text = serde_json::to_vec(&pairs).unwrap_or_default();
        super::replace(&self.listing, &text)?;
        self.listed = true;
        Ok(())
    }

    /// Discards everything, to begin from the start.
    ///
    /// # Errors
    /// Fails if the file cannot be truncated.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        self.file.set_len(0).map_err(StoreError::file("write", &self.path))?;
        if self.listed {
            std::fs::remove_file(&self.listing).map_err(StoreError::file("remove", &self.listing))?;
            self.listed = false;
        }
        self.held = Ranges::default();
        (self.hasher, self.hashed) = (Hasher::default(), 0);
        Ok(())
    }

    /// Verifies the blob's digest and names it.
    ///
    /// # Errors
    /// Fails with [`StoreError::Mismatch`] if the digest is wrong; the file is emptied then.
    pub fn finish(mut self) -> Result<(), (Option<Box<Self>>, StoreError)> {
        match self.check() {
            Ok(()) => {}
            Err(error @ StoreError::Mismatch { .. }) => {
                return match self.restart() {
                    Ok(()) => Err((Some(Box::new(self)), error)),
                    Err(other) => Err((None, other)),
                };
            }
            Err(error) => return Err((None, error)),
        }
        let named =
            std::fs::rename(&self.path, &self.target).map_err(StoreError::file("rename", &self.target));
        if self.listed {
            // A leftover list is overwritten by the next run that needs one.
            let _ = std::fs::remove_file(&self.listing);
        }
        // Dropped last, so whoever waited for the lock finds the named blob.
        self.listed = false;
        named.map_err(|error| (None, error))
    }

    fn check(&mut self) -> Result<(), StoreError> {
        let mut at = self.hashed;
        self.file.seek(SeekFrom::Start(at)).map_err(StoreError::file("read", &self.path))?;
        let mut piece = vec![0; PIECE];
        while at < self.size {
            let most = usize::try_from(self.size - at).unwrap_or(PIECE).min(PIECE);
            let read = self.file.read(&mut piece[..most]).map_err(StoreError::file("read", &self.path))?;
            if read == 0 {
                break;
            }
            self.hasher.feed(&piece[..read]);
            at += read as u64;
        }
        self.hashed = at;
        let found = std::mem::take(&mut self.hasher).finish();
        if found == self.digest && at == self.size {
            Ok(())
        } else {
            Err(StoreError::Mismatch { expected: self.digest, found })
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.listed {
            // With an outdated list the next run only fetches a little more.
            let _ = self.save();
        }
    }
}

fn read_listing(listing: &Path, length: u64) -> Ranges {
    let pairs: Vec<(u64, u64)> =
        std::fs::read(listing).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let within: Vec<_> = pairs.into_iter().filter(|(_, end)| *end <= length).collect();
    Ranges::from_pairs(&within)
}

/// Tells whether `error` comes from a full disk.
pub(super) fn lacks_room(error: &StoreError) -> bool {
    matches!(error, StoreError::File { source, .. } if is_full(source))
}
