//! What `-o` takes: a format, or with some commands a file.

use std::path::{Path, PathBuf};

use crate::ui::OutputFormat;

/// What `-o` says: how to answer, or with `diagnose` and `images save` the file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputArg {
    /// How to answer.
    Format(OutputFormat),
    /// The file to write.
    File(PathBuf),
}

impl OutputArg {
    /// The file to write.
    pub(super) fn file(&self) -> Result<&Path, clap::Error> {
        match self {
            Self::File(path) => Ok(path),
            Self::Format(_) => Err(clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument)),
        }
    }
}
