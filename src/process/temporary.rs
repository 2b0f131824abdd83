//! Temporary files that are gone when the run ends, however it ends.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Interrupt;

/// A temporary file; dropping it removes it, and so does a second signal.
pub struct Temporary {
    /// None once it has another name.
    file: Option<NamedTempFile>,
    path: PathBuf,
    interrupt: Interrupt,
}

impl Temporary {
    /// Makes an empty file in `folder` whose name begins with `prefix`.
    ///
    /// # Errors
    /// Fails when no file can be made there.
    pub fn new_in(folder: &Path, prefix: &str, interrupt: &Interrupt) -> io::Result<Self> {
        let file = tempfile::Builder::new().prefix(prefix).suffix(".tar").tempfile_in(folder)?;
        interrupt.note_file(file.path());
        Ok(Self { path: file.path().to_owned(), file: Some(file), interrupt: interrupt.clone() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file itself.
    ///
    /// # Errors
    /// Fails once it has another name.
    pub fn file(&mut self) -> io::Result<&mut std::fs::File> {
        self.file.as_mut().map(NamedTempFile::as_file_mut).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Gives the file the name `path`, in place of what has it where `replace` says so, and returns its size.
    ///
    /// # Errors
    /// Fails when there is a file of that name that is not to be replaced, and when the disk does.
    pub fn persist(mut self, path: &Path, replace: bool) -> io::Result<u64> {
        let Some(file) = self.file.take() else { return Err(io::ErrorKind::NotFound.into()) };
        let named = if replace { file.persist(path) } else { file.persist_noclobber(path) };
        Ok(named?.metadata()?.len())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // The file goes right after this; until then a second signal may find it gone.
        self.interrupt.forget_file(&self.path);
    }
}
