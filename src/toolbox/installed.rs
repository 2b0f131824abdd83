//! The record of an installed tool, kept beside it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::checksum::Sha256Sum;
use super::error::FetchError;
use super::release::Tool;

/// What a fetched program was verified against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checked {
    /// The built-in sum of the pinned release.
    Pinned,
    /// The sum in this file, beside the user's own program.
    Against(String),
    /// Nothing: the user's own folder has no sum for it.
    Trusted,
}

/// An installed tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    pub tool: Tool,
    /// The program's path.
    pub path: PathBuf,
    /// The version, if the file's name tells.
    pub version: Option<String>,
    /// The program's sum.
    pub sha256: Sha256Sum,
    /// The address or path it came from.
    pub from: String,
    /// What it was verified against.
    pub checked: Checked,
    /// It was installed before, so nothing was fetched.
    #[serde(skip)]
    pub unchanged: bool,
}

impl Installed {
    /// Reads the record at `path`; `None` if there is none that can be read.
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    }

    /// Writes the record to `path` in `dir` at once.
    pub(super) fn write(&self, dir: &Path, path: &Path) -> Result<(), FetchError> {
        let failed = |error| FetchError::file("write", path, error);
        let mut file = NamedTempFile::new_in(dir).map_err(failed)?;
        serde_json::to_writer(&mut file, self).map_err(|error| failed(error.into()))?;
        file.persist(path).map(drop).map_err(|error| failed(error.error))
    }
}
