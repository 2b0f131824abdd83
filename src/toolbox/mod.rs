//! Fetches pinned `kind`, `helm` and `kubectl` into milvusctl's own folder.
//!
//! Every download is verified against a built-in SHA-256 sum *before* it gets its final name, whatever its
//! source: no partial or foreign file is ever executable there, and mirrors need not be trusted. Downloads
//! resume where they were cut, network errors are retried with growing delays, and concurrent runs wait for
//! each other.
//!
//! Which tools are missing or too old, and whether fetching is allowed, is decided elsewhere. Nothing is
//! printed here; callers get [`FetchProgress`].
//!
//! # Mirrors and folders
//!
//! [`Mirrors::parse`] reads the value of `MILVUSCTL_TOOLS_MIRROR`. A mirror at `M` replaces the official
//! addresses as follows, with the same file names:
//!
//! | tool | official | mirror |
//! |---|---|---|
//! | kind | `https://kind.sigs.k8s.io/dl/v0.33.0/kind-linux-amd64` | `M/kind/v0.33.0/kind-linux-amd64` |
//! | helm | `https://get.helm.sh/helm-v3.19.0-linux-amd64.tar.gz` | `M/helm/helm-v3.19.0-linux-amd64.tar.gz` |
//! | kubectl | `https://dl.k8s.io/release/v1.36.4/bin/linux/amd64/kubectl` | `M/kubectl/v1.36.4/bin/linux/amd64/kubectl` |
//!
//! A folder may have that layout too, or contain the release files side by side, or just programs named
//! `kind`, `helm` and `kubectl`, of any version. A release file must be the pinned one. The user's own
//! program must match the checksum file beside it (`kind.sha256`, …) if there is one, and is trusted
//! otherwise; [`Installed::checked`] says which.

mod checksum;
mod download;
mod error;
pub(crate) mod fetch;
mod folder;
mod install;
mod installed;
mod pinned;
mod progress;
mod release;
mod request;
mod source;
#[cfg(test)]
mod test_server;
mod unpack;

pub use error::FetchError;
pub use install::{ReleaseFile, fetch, release_file};
pub use installed::{Checked, Installed};
pub use pinned::NODE_IMAGE;
pub use progress::FetchProgress;
pub use release::{HostPlatform, Tool};
pub use request::ToolRequest;
pub use source::{Mirrors, ToolSource};

use std::path::PathBuf;

use etcetera::BaseStrategy as _;

/// Returns the folder for fetched tools: `$XDG_DATA_HOME/milvusctl/bin`, on macOS as well.
///
/// # Errors
/// Fails if the home directory is unknown, because the default of `XDG_DATA_HOME` then is too.
pub fn bin_dir() -> Result<PathBuf, FetchError> {
    let strategy = etcetera::base_strategy::choose_base_strategy().map_err(|_| FetchError::NoHome)?;
    Ok(strategy.data_dir().join("milvusctl").join("bin"))
}
