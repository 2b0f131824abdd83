//! What can go wrong while a tool is fetched, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::release::Tool;

/// Why a tool could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The tools are not published for this machine.
    #[error("{tool} is not published for {os} on {arch}")]
    Platform {
        /// The tool that was asked for.
        tool: Tool,
        /// The operating system, as Rust names it.
        os: &'static str,
        /// The architecture, as Rust names it.
        arch: &'static str,
    },
    /// The home directory is unknown.
    #[error("could not find the folder for fetched tools: the home directory is not known")]
    NoHome,
    /// The server has no such file.
    #[error("could not fetch {tool}: `{url}` does not exist (HTTP status {status})")]
    NotFound {
        /// The tool that was asked for.
        tool: Tool,
        /// The address that was asked.
        url: String,
        /// 404 or 410.
        status: u16,
    },
    /// The server answered with a status that trying again does not change.
    #[error("could not fetch {tool}: `{url}` answered HTTP status {status}")]
    Status {
        /// The tool that was asked for.
        tool: Tool,
        /// The address that was asked.
        url: String,
        status: u16,
    },
    /// The network failed as often as it was tried.
    #[error("could not fetch {tool} from `{url}` in {attempts} attempts: {why}")]
    Network {
        /// The tool that was asked for.
        tool: Tool,
        /// The address that was asked.
        url: String,
        /// How often it was tried without getting any further.
        attempts: u32,
        why: String,
    },
    /// The server sends more than any of the tools is large.
    #[error("refused {tool} from `{url}`: it is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The tool that was asked for.
        tool: Tool,
        /// The address that was asked.
        url: String,
        /// The most that is taken.
        limit_bytes: u64,
    },
    /// The checksum file holds no sum for the file.
    #[error("could not check {tool}: `{place}` holds no SHA-256 sum for `{name}`")]
    ChecksumUnreadable {
        /// The tool that was asked for.
        tool: Tool,
        /// The address or path of the checksum file.
        place: String,
        /// The file whose sum was looked for.
        name: String,
    },
    /// The file is not the one whose checksum is known.
    #[error("refused {tool} from `{place}`: its SHA-256 sum is {found}, not {expected}")]
    WrongChecksum {
        /// The tool that was asked for.
        tool: Tool,
        /// The address or path of the file.
        place: String,
        /// The sum that it should have.
        expected: String,
        /// The sum of what arrived.
        found: String,
    },
    /// An archive is damaged, or holds something it should not.
    #[error("could not unpack {tool} from `{place}`: {why}")]
    Archive {
        /// The tool that was asked for.
        tool: Tool,
        /// The address or path of the archive.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// A folder does not hold the tool.
    #[error("could not find {tool} in the folder `{}`: looked for {}", folder.display(), list(looked_for))]
    NotInFolder {
        /// The tool that was asked for.
        tool: Tool,
        /// The folder that was looked into.
        folder: PathBuf,
        /// The paths that were looked for, below the folder.
        looked_for: Vec<String>,
    },
    /// A file of a folder is no program for this machine.
    #[error("refused {tool} from `{}`: {why}", path.display())]
    NotAProgram {
        /// The tool that was asked for.
        tool: Tool,
        /// The file that was looked at.
        path: PathBuf,
        why: String,
    },
    /// There is no room for the file.
    #[error("could not write `{}`: the disk is full", path.display())]
    DiskFull {
        /// The file that was being written.
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
        /// The tool that was asked for.
        tool: Tool,
    },
}

impl FetchError {
    /// Returns what the user can do about it, if there is something.
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

    /// Wraps what the system said about `path`, telling a full disk apart.
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
