//! Temporary files and folders that are removed when the run ends, however it ends.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use super::Interrupt;

/// A temporary file, removed when dropped or on a second signal.
pub struct Temporary {
    /// `None` once renamed.
    file: Option<NamedTempFile>,
    path: PathBuf,
    interrupt: Interrupt,
}

impl Temporary {
    /// Creates an empty file in `folder` whose name starts with `prefix`.
    ///
    /// # Errors
    /// Fails if the file cannot be created.
    pub fn new_in(folder: &Path, prefix: &str, interrupt: &Interrupt) -> io::Result<Self> {
        let file = tempfile::Builder::new().prefix(prefix).suffix(".tar").tempfile_in(folder)?;
        interrupt.note_file(file.path());
        Ok(Self { path: file.path().to_owned(), file: Some(file), interrupt: interrupt.clone() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    ///
    /// # Errors
    /// Fails once the file has been renamed.
    pub fn file(&mut self) -> io::Result<&mut std::fs::File> {
        self.file.as_mut().map(NamedTempFile::as_file_mut).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Renames the file to `path`, overwriting only with `replace`, and returns its size.
    ///
    /// # Errors
    /// Fails if `path` exists and must not be replaced, and if the disk fails.
    pub fn persist(mut self, path: &Path, replace: bool) -> io::Result<u64> {
        let Some(file) = self.file.take() else { return Err(io::ErrorKind::NotFound.into()) };
        let named = if replace { file.persist(path) } else { file.persist_noclobber(path) };
        Ok(named?.metadata()?.len())
    }
}

/// A temporary folder, removed with its contents on drop and on a second signal.
pub struct TemporaryFolder {
    folder: TempDir,
    interrupt: Interrupt,
}

impl TemporaryFolder {
    /// Creates an empty folder in the system's temporary folder, named with `prefix`.
    ///
    /// # Errors
    /// Fails if it cannot be created.
    pub fn new(prefix: &str, interrupt: &Interrupt) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir()?;
        interrupt.note_file(folder.path());
        Ok(Self { folder, interrupt: interrupt.clone() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        self.interrupt.forget_file(self.folder.path());
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // The file is removed right after this, so a second signal may find it gone.
        self.interrupt.forget_file(&self.path);
    }
}
