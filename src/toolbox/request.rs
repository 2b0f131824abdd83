//! What to fetch: a tool's version, its source and its destination.

use std::path::PathBuf;

use semver::Version;

use super::checksum::Sha256Sum;
use super::download::DownloadLimits;
use super::error::FetchError;
use super::pinned;
use super::release::{HostPlatform, Tool};
use super::source::ToolSource;

/// What to fetch, from where, to where.
#[derive(Clone, Debug)]
pub struct ToolRequest {
    pub tool: Tool,
    /// Its version. A plain program in a folder may have any version.
    pub version: Version,
    /// The platform it has to run on.
    pub platform: HostPlatform,
    /// The folder to install it into, created if needed.
    pub dir: PathBuf,
    /// The sum the release file must have, whatever its source.
    pub sha256: Sha256Sum,
    /// Where it comes from.
    pub source: ToolSource,
    /// How long and how often to try the network.
    pub patience: DownloadLimits,
}

impl ToolRequest {
    /// Requests the pinned version of `tool` for this machine.
    ///
    /// # Errors
    /// Fails on machines other than Linux and macOS on amd64 and arm64.
    pub fn new(tool: Tool, dir: impl Into<PathBuf>, source: ToolSource) -> Result<Self, FetchError> {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let platform = HostPlatform::host().ok_or(FetchError::Platform { tool, os, arch })?;
        Ok(Self::for_platform(tool, platform, dir, source))
    }

    /// Requests the pinned version of `tool` for machines of `platform`.
    pub fn for_platform(
        tool: Tool,
        platform: HostPlatform,
        dir: impl Into<PathBuf>,
        source: ToolSource,
    ) -> Self {
        Self {
            tool,
            version: tool.pinned(),
            platform,
            dir: dir.into(),
            sha256: pinned::sum(tool, platform),
            source,
            patience: DownloadLimits::default(),
        }
    }
}
