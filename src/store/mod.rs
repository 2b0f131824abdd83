//! The image store: an OCI image layout on disk that outlives clusters, so each blob is downloaded once.
//!
//! Keeps blobs by digest, verified when written and when read, and names in `index.json`. Safe for concurrent
//! runs: each holds `lock` shared and pruning takes it exclusively, so nothing disappears under a reader.
//! Where blobs come from is not its concern.

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
pub use export::ExportTarget;
pub use import::ImportError;
pub use index::{PlatformImage, StoredImage, StoredName};
pub use packed::open_archive;
pub use partial::Partial;
pub use prune::{Keep, prune, size};
pub use reader::BlobReader;

use crate::archive::Digest;
use crate::process::Interrupt;

/// How often to retry a lock that another run holds.
const PAUSE: Duration = Duration::from_millis(50);
const LAYOUT_FILE: &str = "oci-layout";
const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// An open store.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Ends every wait for another run.
    interrupt: Interrupt,
    /// Shared while the store is open.
    _lock: File,
    /// Overrides the free space on the disk.
    #[cfg(test)]
    pub(crate) room: Option<u64>,
}

/// The state of a blob that a caller wants to write.
pub enum BlobState {
    /// Complete, whether from this run or another.
    Whole,
    /// Incomplete or empty, and locked for this caller.
    Part(Box<Partial>),
}

impl Store {
    /// Opens the store at `root`, creating it if needed. Waits while another run prunes it.
    ///
    /// # Errors
    /// Fails if the folder cannot be created or holds something else. An interrupt ends this wait and all
    /// later ones.
    pub fn open(root: &Path, interrupt: &Interrupt) -> Result<Self, StoreError> {
        let blobs = root.join("blobs/sha256");
        // Images may be private; other users on this machine must not read them.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&blobs);
        made.map_err(StoreError::file("create", &blobs))?;
        let lock = open_lock(&root.join("lock"))?;
        wait_for(|| lock.try_lock_shared(), root, interrupt)?;
        let layout = root.join(LAYOUT_FILE);
        match std::fs::read_to_string(&layout) {
            Ok(text) if text.contains("\"imageLayoutVersion\"") => {}
            Ok(_) => {
                let reason = "its `oci-layout` file is invalid".to_owned();
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

    /// The path of a blob, whether it exists or not.
    pub fn blob_path(&self, digest: Digest) -> PathBuf {
        blob_path(&self.root, digest)
    }

    /// The size of a complete blob; does not check its content.
    pub fn size_of(&self, digest: Digest) -> Option<u64> {
        std::fs::metadata(self.blob_path(digest)).ok().map(|found| found.len())
    }

    /// Tells whether the blob is complete, judging by its size; content is verified when read.
    pub fn has(&self, digest: Digest, size: u64) -> bool {
        self.size_of(digest) == Some(size)
    }

    /// Opens the store at `root` if it exists, without creating it.
    ///
    /// # Errors
    /// Fails as [`Store::open`] does.
    pub fn open_existing(root: &Path, interrupt: &Interrupt) -> Result<Option<Self>, StoreError> {
        if root.join(LAYOUT_FILE).is_file() { Self::open(root, interrupt).map(Some) } else { Ok(None) }
    }

    /// Starts or resumes writing a blob. Waits while another run writes it.
    ///
    /// # Errors
    /// Fails with [`StoreError::Full`] if the rest does not fit on the disk, and if the wait is interrupted.
    pub fn begin(&self, digest: Digest, size: u64) -> Result<BlobState, StoreError> {
        let target = self.blob_path(digest);
        loop {
            match self.size_of(digest) {
                Some(found) if found == size => return Ok(BlobState::Whole),
                // A blob with the wrong size is damaged.
                Some(_) => self.remove(digest)?,
                None => {}
            }
            if let Some(partial) = Partial::open(digest, size, &target)? {
                // Another run may have finished it before the lock was taken.
                if self.has(digest, size) {
                    continue;
                }
                self.check_room(size - partial.held())?;
                return Ok(BlobState::Part(Box::new(partial)));
            }
            if !self.interrupt.sleep(PAUSE) {
                return Err(StoreError::Interrupted);
            }
        }
    }

    /// Stores a small document.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if !self.has(digest, bytes.len() as u64) {
            self.check_room(bytes.len() as u64)?;
            replace(&self.blob_path(digest), bytes)?;
        }
        Ok(digest)
    }

    /// Reads a small document. `None` if it is missing or damaged; a damaged one is removed.
    ///
    /// # Errors
    /// Fails if the disk does.
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

    /// Opens a blob for reading; `None` if it is missing.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn reader(&self, digest: Digest) -> Result<Option<BlobReader>, StoreError> {
        match BlobReader::open(&self.root, digest) {
            Ok(reader) => Ok(Some(reader)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::file("read", &self.blob_path(digest))(error)),
        }
    }

    /// Removes a damaged blob from the store.
    ///
    /// # Errors
    /// Fails if it cannot be removed.
    pub fn remove(&self, digest: Digest) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::file("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Checks that another `asked` bytes fit on the disk.
    ///
    /// # Errors
    /// Fails with [`StoreError::Full`].
    pub fn check_room(&self, asked: u64) -> Result<(), StoreError> {
        let free = self.free();
        if asked <= free { Ok(()) } else { Err(self.full(asked)) }
    }

    /// The error for a disk without room for `asked` bytes.
    pub fn full(&self, asked: u64) -> StoreError {
        StoreError::Full { root: self.root.clone(), asked, free: self.free(), stored: size(&self.root) }
    }

    /// Turns a write that failed for lack of space into an error that suggests pruning.
    pub fn explain(&self, error: StoreError, asked: u64) -> StoreError {
        if partial::lacks_room(&error) { self.full(asked) } else { error }
    }

    fn free(&self) -> u64 {
        #[cfg(test)]
        if let Some(room) = self.room {
            return room;
        }
        // If the free space is unknown, let the write fail instead.
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

/// Takes a lock once nobody else holds it.
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

/// Writes a temporary file and renames it to `path`, so nobody sees half of it.
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
