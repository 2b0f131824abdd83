//! The image store: an OCI image layout on disk that outlives clusters, so that each blob is downloaded once.
//!
//! Answers for blobs by digest, verified while they are written and whenever they are read, for the names in
//! `index.json`, and for several runs at once: a run that uses the store holds `lock` shared and pruning wants it
//! alone, so nothing goes away under a reader. Where blobs come from is not its concern.

mod document;
mod error;
mod export;
mod import;
mod index;
mod packed;
mod partial;
mod prune;
mod ranges;
mod reader;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use document::{DOCUMENT_BYTES_MAX, ImageDocument, choose, platforms};
pub use error::StoreError;
pub use export::Taker;
pub use import::ImportError;
pub use index::{Held, PlatformImage, StoredName};
pub use packed::open_archive;
pub use partial::Partial;
pub use prune::{Keep, prune, size};
pub use reader::BlobReader;

use crate::archive::Digest;
use crate::process::Interrupt;

/// How often a lock that another run holds is tried.
const PAUSE: Duration = Duration::from_millis(50);
const LAYOUT_FILE: &str = "oci-layout";
const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// The store, open for reading and writing.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Ends every wait for another run.
    interrupt: Interrupt,
    /// Held shared as long as the store is open.
    _lock: File,
    /// Bytes that may still be written, in place of what the disk says.
    #[cfg(test)]
    pub(crate) room: Option<u64>,
}

/// What there is of a blob.
pub enum Begun {
    /// All of it, written by this run or another.
    Whole,
    /// Some or nothing; nobody else writes it now.
    Part(Box<Partial>),
}

impl Store {
    /// Opens the store at `root` and makes it where there is none; waits while another run prunes it.
    ///
    /// # Errors
    /// Fails when the folder cannot be made or holds something else, and when a wait is interrupted, now or later.
    pub fn open(root: &Path, interrupt: &Interrupt) -> Result<Self, StoreError> {
        let blobs = root.join("blobs/sha256");
        // Images may be private: others on this machine have no business here.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&blobs);
        made.map_err(StoreError::file("make", &blobs))?;
        let lock = open_lock(&root.join("lock"))?;
        wait_for(|| lock.try_lock_shared(), root, interrupt)?;
        let layout = root.join(LAYOUT_FILE);
        match std::fs::read_to_string(&layout) {
            Ok(text) if text.contains("\"imageLayoutVersion\"") => {}
            Ok(_) => {
                let reason = "its `oci-layout` is not one".to_owned();
                return Err(StoreError::NotAStore { root: root.to_owned(), reason });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                replace(&layout, LAYOUT.as_bytes())?;
            }
            Err(error) => return Err(StoreError::file("read", &layout)(error)),
        }
        Ok(Self {
            root: root.to_owned(),
            interrupt: interrupt.clone(),
            _lock: lock,
            #[cfg(test)]
            room: None,
        })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the blob stands, or would.
    pub fn blob_path(&self, digest: Digest) -> PathBuf {
        blob_path(&self.root, digest)
    }

    /// The size of a blob that is here, whole; its bytes are not looked at.
    pub fn size_of(&self, digest: Digest) -> Option<u64> {
        std::fs::metadata(self.blob_path(digest)).ok().map(|found| found.len())
    }

    /// Whether the blob is here with that size; its bytes are judged when they are read.
    pub fn has(&self, digest: Digest, size: u64) -> bool {
        self.size_of(digest) == Some(size)
    }

    /// Opens the store at `root` for a look; nothing where there is none, and none is made.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_if_there(root: &Path, interrupt: &Interrupt) -> Result<Option<Self>, StoreError> {
        if root.join(LAYOUT_FILE).is_file() { Self::open(root, interrupt).map(Some) } else { Ok(None) }
    }

    /// Begins to write a blob, or goes on with it; waits while another run writes the same.
    ///
    /// # Errors
    /// Fails with [`StoreError::Full`] when the rest does not fit on the disk, and when the wait is interrupted.
    pub fn begin(&self, digest: Digest, size: u64) -> Result<Begun, StoreError> {
        let target = self.blob_path(digest);
        loop {
            match self.size_of(digest) {
                Some(found) if found == size => return Ok(Begun::Whole),
                // A blob of another size is not this one, whatever its name says.
                Some(_) => self.remove(digest)?,
                None => {}
            }
            if let Some(partial) = Partial::open(digest, size, &target)? {
                // Another run may have finished it between the look and the lock.
                if self.has(digest, size) {
                    continue;
                }
                self.check_room(size - partial.held())?;
                return Ok(Begun::Part(Box::new(partial)));
            }
            if !self.interrupt.sleep(PAUSE) {
                return Err(StoreError::Interrupted);
            }
        }
    }

    /// Keeps a small document.
    ///
    /// # Errors
    /// Fails when the disk does.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if !self.has(digest, bytes.len() as u64) {
            self.check_room(bytes.len() as u64)?;
            replace(&self.blob_path(digest), bytes)?;
        }
        Ok(digest)
    }

    /// The bytes of a small document, or nothing when it is not here or was damaged; what is damaged is removed.
    ///
    /// # Errors
    /// Fails when the disk does.
    pub fn bytes(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.blob_path(digest);
        if self.size_of(digest).is_none_or(|size| size > DOCUMENT_BYTES_MAX) {
            return Ok(None);
        }
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::file("read", &path)(error)),
        };
        if Digest::of(&bytes) == digest {
            return Ok(Some(bytes));
        }
        self.remove(digest)?;
        Ok(None)
    }

    /// Reads a blob, or nothing when it is not here.
    ///
    /// # Errors
    /// Fails when the disk does.
    pub fn reader(&self, digest: Digest) -> Result<Option<BlobReader>, StoreError> {
        match BlobReader::open(&self.root, digest) {
            Ok(reader) => Ok(Some(reader)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::file("read", &self.blob_path(digest))(error)),
        }
    }

    /// Takes a blob that turned out damaged out of the store.
    ///
    /// # Errors
    /// Fails when it cannot be removed.
    pub fn remove(&self, digest: Digest) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::file("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Fails when `asked` bytes more do not fit on the disk.
    ///
    /// # Errors
    /// Fails with [`StoreError::Full`].
    pub fn check_room(&self, asked: u64) -> Result<(), StoreError> {
        let free = self.free();
        if asked <= free { Ok(()) } else { Err(self.full(asked)) }
    }

    /// The error of a disk without room for `asked` bytes more.
    pub fn full(&self, asked: u64) -> StoreError {
        StoreError::Full { root: self.root.clone(), asked, free: self.free(), stored: size(&self.root) }
    }

    /// Turns a failed write for lack of room into one that says what would help.
    pub fn explain(&self, error: StoreError, asked: u64) -> StoreError {
        if partial::lacks_room(&error) { self.full(asked) } else { error }
    }

    fn free(&self) -> u64 {
        #[cfg(test)]
        if let Some(room) = self.room {
            return room;
        }
        // What does not say how much is free is left to fail when it is written.
        rustix::fs::statvfs(&self.root).map_or(u64::MAX, |found| found.f_bavail * found.f_frsize)
    }
}

fn blob_path(root: &Path, digest: Digest) -> PathBuf {
    root.join("blobs/sha256").join(digest.hex())
}

fn open_lock(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(StoreError::file("open", path))
}

/// Takes a lock as soon as nobody else has it.
fn wait_for(
    try_lock: impl Fn() -> Result<(), TryLockError>,
    root: &Path,
    interrupt: &Interrupt,
) -> Result<(), StoreError> {
    loop {
        match try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(StoreError::file("lock", root)(error)),
            Err(TryLockError::WouldBlock) if interrupt.sleep(PAUSE) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Interrupted),
        }
    }
}

/// Writes a file beside `path` and gives it that name, so that nobody sees half of it.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(path);
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(folder)
        .map_err(StoreError::file("write", path))?;
    file.write_all(bytes).map_err(StoreError::file("write", path))?;
    file.persist(path).map(drop).map_err(|error| StoreError::file("write", path)(error.error))
}

#[cfg(test)]
mod tests;
