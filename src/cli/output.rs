//! The value of `-o`: a format, or a file for some commands.

use std::path::{Path, PathBuf};

use crate::ui::OutputFormat;

/// The value of `-o`: the output format, or the file to write for `diagnose` and `images save`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputArg {
    /// The output format.
    Format(OutputFormat),
    /// The file to write.
    File(PathBuf),
}

impl OutputArg {
    /// The file to write.
    ///
    /// # Errors
    /// Fails if the command line names no file, which clap has already rejected.
    pub fn file(&self) -> Result<&Path, clap::Error> {
        match self {
            Self::File(path) => Ok(path),
            Self::Format(_) => Err(clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument)),
        }
    }
}
