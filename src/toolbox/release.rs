//! What can be fetched: the tools, their pinned versions, the platforms, and the names of their release
//! files.

use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};

/// A tool that milvusctl can fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// Creates clusters whose nodes are containers.
    Kind,
    Helm,
    Kubectl,
}

impl Tool {
    /// All tools, in display order.
    pub const ALL: [Self; 3] = [Self::Kind, Self::Helm, Self::Kubectl];

    /// Returns the name of the program.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Helm => "helm",
            Self::Kubectl => "kubectl",
        }
    }

    /// Returns the version to fetch.
    ///
    /// kubectl is one minor version below kind 0.33's default node image (Kubernetes 1.37), as the skew
    /// policy allows, to support node images from 1.35 to 1.37.
    pub const fn pinned(self) -> Version {
        match self {
            Self::Kind => Version::new(0, 33, 0),
            Self::Helm => Version::new(3, 19, 0),
            Self::Kubectl => Version::new(1, 36, 4),
        }
    }

    /// Returns the base address of the tool's official releases.
    pub const fn official_base(self) -> &'static str {
        match self {
            Self::Kind => "https://kind.sigs.k8s.io/dl",
            Self::Helm => "https://get.helm.sh",
            Self::Kubectl => "https://dl.k8s.io/release",
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An operating system that the tools are published for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Os {
    Linux,
    /// macOS, which release files call `darwin`.
    Darwin,
}

/// A processor architecture that the tools are published for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

/// A program's operating system and architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPlatform {
    pub os: Os,
    pub arch: Arch,
}

impl HostPlatform {
    /// Returns this program's platform, if the tools are published for it.
    pub fn host() -> Option<Self> {
        Self::named(std::env::consts::OS, std::env::consts::ARCH)
    }

    /// Returns the platform by Rust's names, such as `macos` and `aarch64`.
    pub fn named(os: &str, arch: &str) -> Option<Self> {
        let os = match os {
            "linux" => Os::Linux,
            "macos" => Os::Darwin,
            _ => return None,
        };
        let arch = match arch {
            "x86_64" => Arch::Amd64,
            "aarch64" => Arch::Arm64,
            _ => return None,
        };
        Some(Self { os, arch })
    }

    /// Parses the names used by release files and images, such as `linux/amd64` and `darwin/arm64`.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Os::Linux, Os::Darwin]
            .into_iter()
            .flat_map(|os| [Arch::Amd64, Arch::Arm64].map(|arch| Self { os, arch }));
        all.into_iter().find(|platform| platform.to_string() == text)
    }

    /// Returns the operating system as release files name it.
    pub const fn os_name(self) -> &'static str {
        match self.os {
            Os::Linux => "linux",
            Os::Darwin => "darwin",
        }
    }

    /// Returns the architecture as release files name it.
    pub const fn arch_name(self) -> &'static str {
        match self.arch {
            Arch::Amd64 => "amd64",
            Arch::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for HostPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os_name(), self.arch_name())
    }
}

/// The file of one release of one tool for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReleasePath {
    /// The path below the base address, separated by `/`.
    pub path: String,
    /// The program's path inside, if the file is an archive.
    pub member: Option<String>,
}

impl ReleasePath {
    /// Returns the file of `tool` at `version` for `platform`.
    pub(super) fn of(tool: Tool, version: &Version, platform: HostPlatform) -> Self {
        let (os, arch) = (platform.os_name(), platform.arch_name());
        match tool {
            Tool::Kind => Self { path: format!("v{version}/kind-{os}-{arch}"), member: None },
            Tool::Helm => Self {
                path: format!("helm-v{version}-{os}-{arch}.tar.gz"),
                member: Some(format!("{os}-{arch}/helm")),
            },
            Tool::Kubectl => Self { path: format!("v{version}/bin/{os}/{arch}/kubectl"), member: None },
        }
    }

    /// Returns the last part of the path.
    pub(super) fn file_name(&self) -> &str {
        self.path.rsplit_once('/').map_or(self.path.as_str(), |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: HostPlatform = HostPlatform { os: Os::Darwin, arch: Arch::Arm64 };
    const LINUX: HostPlatform = HostPlatform { os: Os::Linux, arch: Arch::Amd64 };

    #[test]
    fn files_are_named_as_their_projects_name_them() {
        let rows = [
            (Tool::Kind, LINUX, "v0.33.0/kind-linux-amd64"),
            (Tool::Kind, MAC, "v0.33.0/kind-darwin-arm64"),
            (Tool::Helm, LINUX, "helm-v3.19.0-linux-amd64.tar.gz"),
            (Tool::Helm, MAC, "helm-v3.19.0-darwin-arm64.tar.gz"),
            (Tool::Kubectl, LINUX, "v1.36.4/bin/linux/amd64/kubectl"),
            (Tool::Kubectl, MAC, "v1.36.4/bin/darwin/arm64/kubectl"),
        ];
        for (tool, platform, path) in rows {
            assert_eq!(ReleasePath::of(tool, &tool.pinned(), platform).path, path, "{tool} {platform}");
        }
    }

    #[test]
    fn only_helm_comes_in_an_archive() {
        let members = Tool::ALL.map(|tool| ReleasePath::of(tool, &tool.pinned(), MAC).member);
        assert_eq!(members, [None, Some("darwin-arm64/helm".to_owned()), None]);
    }

    #[test]
    fn platforms_without_releases_are_not_named() {
        assert_eq!(HostPlatform::named("macos", "aarch64"), Some(MAC));
        assert_eq!(HostPlatform::named("linux", "x86_64"), Some(LINUX));
        assert_eq!(HostPlatform::named("windows", "x86_64"), None);
        assert_eq!(HostPlatform::named("linux", "riscv64"), None);
    }
}
