//! What a planned cluster needs of the machine.

use semver::Version;

/// How Milvus is going to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One node, Milvus standalone: `--small`.
    Small,
    /// Milvus standalone on a cluster with workers.
    Standalone,
    /// Milvus as a cluster of its components.
    Cluster,
}

/// The hardware that a mode asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// Below this, in bytes, it does not work.
    pub least_memory_bytes: u64,
    /// What Milvus's documentation asks for, in bytes.
    pub memory_bytes: u64,
    /// What Milvus's documentation asks for.
    pub cpus: u64,
    /// Where the numbers come from.
    pub source: &'static str,
}

impl Mode {
    /// Every mode, the smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Standalone, Self::Cluster];

    /// Returns what the mode asks for.
    ///
    /// Sizes count a gigabyte as 10⁹ bytes, so that a machine sold with 8 GB, of which the kernel keeps some,
    /// has them.
    pub const fn requirements(self) -> Requirements {
        const GB: u64 = 1_000_000_000;
        match self {
            Self::Small | Self::Standalone => Requirements {
                least_memory_bytes: 4 * GB,
                memory_bytes: 8 * GB,
                cpus: 4,
                source: "Milvus's documentation asks for 4 cores and 8 GB in standalone mode; with 4 GB it \
                         fails (milvus#45734)",
            },
            Self::Cluster => Requirements {
                least_memory_bytes: 8 * GB,
                memory_bytes: 32 * GB,
                cpus: 8,
                source: "Milvus's documentation asks for 8 cores and 32 GB in cluster mode; little data needs \
                         less, but its etcd, MinIO and message store come on top of Milvus itself",
            },
        }
    }

    /// Returns the mode in one word, which never changes.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Standalone => "standalone",
            Self::Cluster => "cluster",
        }
    }

    /// Returns the mode in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "standalone mode on one node",
            Self::Standalone => "standalone mode",
            Self::Cluster => "cluster mode",
        }
    }
}

/// What the planned cluster needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// How Milvus is going to run.
    pub mode: Mode,
    /// How many workers the cluster has beside its control plane.
    pub workers: usize,
    /// The Kubernetes version of the node image; without it, that of kind's default image is used.
    pub kubernetes: Option<Version>,
    /// About how much room all planned images take on one node, in bytes; nothing where they are there already,
    /// or are not known.
    pub image_bytes: Option<u64>,
    /// What the pods of each mode ask the scheduler for, in words.
    pub requests: Vec<(Mode, String)>,
    /// Host ports that this very cluster holds already, which is as it should be.
    pub ours: Vec<u16>,
}

impl Needs {
    /// Returns how many nodes hold the images: the workers, or the control plane when it is alone.
    pub fn image_nodes(&self) -> usize {
        self.workers.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readmes_ask_for_what_doctor_asks_for() {
        let commands = ["`up --small`", "`up --mode standalone`", "`up`"];
        for readme in [include_str!("../../README.md"), include_str!("../../README.zh-CN.md")] {
            for (mode, command) in Mode::ALL.into_iter().zip(commands) {
                let asked = mode.requirements();
                let memory = asked.memory_bytes / 1_000_000_000;
                let least = asked.least_memory_bytes / 1_000_000_000;
                let start = format!("| {command} | {least} GB | ");
                let row = readme.lines().find(|line| line.starts_with(&start));
                let row = row.unwrap_or_else(|| panic!("no row of {command} with {least} GB"));
                assert!(
                    row.contains(&format!("{memory} GB")) && row.contains(&asked.cpus.to_string()),
                    "{row}"
                );
            }
        }
    }
}
