//! Why the store could not keep or return something.

use std::io;
use std::path::{Path, PathBuf};

use crate::archive::Digest;
use crate::ui::bytes;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("could not {what} `{}` in the image store", path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "the disk with the image store `{}` is full: {} needed, {} free; `milvusctl images prune --all` would free up to {}",
        root.display(), bytes(*asked), bytes(*free), bytes(*stored)
    )]
    Full { root: PathBuf, asked: u64, free: u64, stored: u64 },
    /// The folder holds a layout that milvusctl did not write.
    #[error("`{}` is not an image store: {reason}", root.display())]
    NotAStore { root: PathBuf, reason: String },
    /// The received bytes do not match the requested digest; none are kept.
    #[error("the received bytes have the digest `{found}`, expected `{expected}`")]
    Mismatch { expected: Digest, found: Digest },
    #[error("`{digest}` is no longer in the image store; run the command again to fetch it")]
    Absent { digest: Digest },
    #[error("another milvusctl is using the image store `{}`; try again when it is done", root.display())]
    Busy { root: PathBuf },
    #[error("interrupted")]
    Interrupted,
}

impl StoreError {
    pub(super) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }

    /// Copies the error for another caller that waited for the same blob.
    pub fn duplicate(&self) -> Self {
        match self {
            Self::File { what, path, source } => {
                let source = source.raw_os_error().map_or_else(
                    || io::Error::new(source.kind(), source.to_string()),
                    io::Error::from_raw_os_error,
                );
                Self::File { what, path: path.clone(), source }
            }
            Self::Full { root, asked, free, stored } => {
                Self::Full { root: root.clone(), asked: *asked, free: *free, stored: *stored }
            }
            Self::NotAStore { root, reason } => {
                Self::NotAStore { root: root.clone(), reason: reason.clone() }
            }
            Self::Mismatch { expected, found } => Self::Mismatch { expected: *expected, found: *found },
            Self::Absent { digest } => Self::Absent { digest: *digest },
            Self::Busy { root } => Self::Busy { root: root.clone() },
            Self::Interrupted => Self::Interrupted,
        }
    }

    /// Tells whether the disk is full.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::File { source, .. } => is_full(source),
            _ => false,
        }
    }
}

/// Tells whether a write failed for lack of space: a full disk or an exhausted quota.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
