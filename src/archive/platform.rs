//! Platforms that images are built for.

use std::fmt;

/// The platform an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// For example `linux`.
    pub os: String,
    /// In Go's terms, for example `amd64`.
    pub architecture: String,
    /// For example `v7`, for architectures with variants.
    pub variant: Option<String>,
}

impl Platform {
    /// The platform of nodes on this machine's engine: always Linux, even if the engine runs in a virtual
    /// machine.
    pub fn of_this_machine() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    /// Drops the variant, as nodes and Docker's images do.
    pub fn without_variant(&self) -> Self {
        Self { variant: None, ..self.clone() }
    }

    /// Tells whether both operating system and architecture are set.
    pub fn is_known(&self) -> bool {
        !self.os.is_empty() && !self.architecture.is_empty()
    }

    /// Tells whether an image for `self` runs on `other`. Variants must match if both have one.
    pub fn fits(&self, other: &Self) -> bool {
        let variants = self.variant.as_ref().zip(other.variant.as_ref());
        self.os == other.os
            && self.architecture == other.architecture
            && variants.is_none_or(|(one, other)| one == other)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}
