//! Fetches pinned `kind`, `helm` and `kubectl` into a folder of milvusctl's own.
//!
//! What arrives is compared with the SHA-256 sum that this program holds for the pinned release, whatever the
//! source, *before* it gets its final name: no half or foreign file is ever executable there, and a mirror need not
//! be trusted. Downloads resume where they were cut, network errors are retried with growing delays, and two runs at
//! once wait for one another.
//!
//! Which tool is missing or too old, and whether fetching is allowed, is decided elsewhere; nothing is printed
//! here: what goes on is handed to the caller as [`FetchProgress`].
//!
//! # Mirrors and folders
//!
//! [`Mirrors::parse`] reads the value of `MILVUSCTL_TOOLS_MIRROR`. A mirror at `M` stands for the official
//! addresses like this, with the same file names:
//!
//! | tool | official | mirror |
//! |---|---|---|
//! | kind | `https://kind.sigs.k8s.io/dl/v0.33.0/kind-linux-amd64` | `M/kind/v0.33.0/kind-linux-amd64` |
//! | helm | `https://get.helm.sh/helm-v3.19.0-linux-amd64.tar.gz` | `M/helm/helm-v3.19.0-linux-amd64.tar.gz` |
//! | kubectl | `https://dl.k8s.io/release/v1.36.4/bin/linux/amd64/kubectl` | `M/kubectl/v1.36.4/bin/linux/amd64/kubectl` |
//!
//! A folder may have that layout too, or hold the release files side by side, or simply programs named `kind`,
//! `helm` and `kubectl`, of any version. A release file must be the pinned one. A program of the user's own must
//! match the checksum file beside it (`kind.sha256`, …) if there is one, and is trusted without; what was checked is
//! in [`Installed::checked`].

mod checksum;
mod download;
mod error;
pub(crate) mod fetch;
mod folder;
mod install;
mod pinned;
mod progress;
mod release;
mod source;
#[cfg(test)]
mod test_server;
mod unpack;

pub use error::FetchError;
pub use install::{Checked, Installed, ReleaseFile, ToolRequest, fetch, release_file};
pub use pinned::NODE_IMAGE;
pub use progress::FetchProgress;
pub use release::{HostPlatform, Tool};
pub use source::{Mirrors, ToolSource};

use std::path::PathBuf;

use etcetera::BaseStrategy as _;

/// Returns the folder that fetched tools live in: `$XDG_DATA_HOME/milvusctl/bin`, on macOS as well.
///
/// # Errors
/// Fails when the home directory is not known, because then neither is the default of `XDG_DATA_HOME`.
pub fn bin_dir() -> Result<PathBuf, FetchError> {
    let strategy = etcetera::base_strategy::choose_base_strategy().map_err(|_| FetchError::NoHome)?;
    Ok(strategy.data_dir().join("milvusctl").join("bin"))
}
