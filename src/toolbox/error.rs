//! What can go wrong when fetching a tool, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::release::Tool;

/// Why a tool could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The tools are not published for this machine.
    #[error("{tool} is not published for {os} on {arch}")]
    Platform {
        /// The requested tool.
        tool: Tool,
        /// The operating system, as Rust names it.
        os: &'static str,
        /// The architecture, as Rust names it.
        arch: &'static str,
    },
    /// The home directory is unknown.
    #[error("could not find the folder for fetched tools: the home directory is unknown")]
    NoHome,
    /// The server has no such file.
    #[error("could not fetch {tool}: `{url}` does not exist (HTTP status {status})")]
    NotFound {
        /// The requested tool.
        tool: Tool,
        /// The requested address.
        url: String,
        /// 404 or 410.
        status: u16,
    },
    /// The server answered with a status that a retry will not change.
    #[error("could not fetch {tool}: `{url}` answered with HTTP status {status}")]
    Status {
        /// The requested tool.
        tool: Tool,
        /// The requested address.
        url: String,
        status: u16,
    },
    /// Every attempt failed on the network.
    #[error("could not fetch {tool} from `{url}` in {attempts} attempts: {why}")]
    Network {
        /// The requested tool.
        tool: Tool,
        /// The requested address.
        url: String,
        /// How many attempts made no progress.
        attempts: u32,
        why: String,
    },
    /// The server sends more than any of the tools takes.
    #[error("refused {tool} from `{url}`: it is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The requested tool.
        tool: Tool,
        /// The requested address.
        url: String,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The checksum file has no sum for the file.
    #[error("could not check {tool}: `{place}` holds no SHA-256 sum for `{name}`")]
    ChecksumUnreadable {
        /// The requested tool.
        tool: Tool,
        /// The address or path of the checksum file.
        place: String,
        /// The file whose sum is missing.
        name: String,
    },
    /// The file does not match its known checksum.
    #[error("refused {tool} from `{place}`: its SHA-256 sum is {found}, not {expected}")]
    WrongChecksum {
        /// The requested tool.
        tool: Tool,
        /// The address or path of the file.
        place: String,
        /// The sum it should have.
        expected: String,
        /// The sum of what arrived.
        found: String,
    },
    /// An archive is damaged, or contains something it should not.
    #[error("could not unpack {tool} from `{place}`: {why}")]
    Archive {
        /// The requested tool.
        tool: Tool,
        /// The address or path of the archive.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// A folder does not contain the tool.
    #[error("could not find {tool} in the folder `{}`: looked for {}", folder.display(), list(looked_for))]
    NotInFolder {
        /// The requested tool.
        tool: Tool,
        /// The folder searched.
        folder: PathBuf,
        /// The paths looked for, relative to the folder.
        looked_for: Vec<String>,
    },
    /// A file in a folder is not a program for this machine.
    #[error("refused {tool} from `{}`: {why}", path.display())]
    NotAProgram {
        /// The requested tool.
        tool: Tool,
        /// The file in question.
        path: PathBuf,
        why: String,
    },
    /// The disk has no room for the file.
    #[error("could not write `{}`: the disk is full", path.display())]
    DiskFull {
        /// The file being written.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("could not {what} `{}`: {source}", path.display())]
    File {
        /// What was tried: a verb.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        source: io::Error,
    },
    /// The caller asked to stop.
    #[error("fetching {tool} was interrupted")]
    Interrupted {
        /// The requested tool.
        tool: Tool,
    },
}

impl FetchError {
    /// Returns what the user can do about it, if anything.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Platform { tool, .. } => format!("install `{tool}` yourself and put it into PATH"),
            Self::NoHome => "set HOME or XDG_DATA_HOME".to_owned(),
            Self::NotFound { tool, .. } | Self::Status { tool, .. } => format!(
                "check that the mirror has this version, point MILVUSCTL_TOOLS_MIRROR elsewhere, or install \
                 `{tool}` yourself"
            ),
            Self::Network { tool, .. } => format!(
                "rerun to resume; behind a proxy set HTTPS_PROXY; if the network is blocked, point MILVUSCTL_TOOLS_MIRROR at a mirror or a directory that holds `{tool}`"
            ),
            Self::ChecksumUnreadable { place, .. } => {
                format!("write the program's SHA-256 sum into `{place}`, or remove that file")
            }
            Self::TooLarge { .. } | Self::WrongChecksum { .. } | Self::Archive { .. } => {
                "nothing was installed; a proxy or a sign-in page may have answered instead of the server: open the \
                 address in a browser, or point MILVUSCTL_TOOLS_MIRROR at another source"
                    .to_owned()
            }
            Self::NotInFolder { folder, tool, .. } => {
                format!("copy the program to `{}`", folder.join(tool.name()).display())
            }
            Self::NotAProgram { tool, .. } => format!("put a `{tool}` for this machine into the folder"),
            Self::DiskFull { .. } => {
                "free up space and rerun; what was downloaded is kept".to_owned()
            }
            Self::File { .. } | Self::Interrupted { .. } => return None,
        };
        Some(hint)
    }

    /// Wraps the system's error about `path`, recognizing a full disk.
    pub(super) fn file(what: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path: path.to_path_buf() }
            }
            _ => Self::File { what, path: path.to_path_buf(), source },
        }
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
