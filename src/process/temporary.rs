//! Temporary files that are gone when the run ends, however it ends.

use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

use super::Interrupt;

/// A temporary file; dropping it removes it, and so does a second signal.
pub struct Temporary {
    file: NamedTempFile,
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
        Ok(Self { file, interrupt: interrupt.clone() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The file itself.
    pub fn file(&mut self) -> &mut std::fs::File {
        self.file.as_file_mut()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // The file goes right after this; until then a second signal may find it gone.
        self.interrupt.forget_file(self.file.path());
    }
}
