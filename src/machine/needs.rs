//! What a planned cluster needs of the machine.

use semver::Version;

use crate::milvus::MilvusMemory;

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

/// The hardware that Milvus's documentation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// In bytes.
    pub memory_bytes: u64,
    pub cpus: u64,
    /// Where the numbers come from.
    pub source: &'static str,
}

impl Mode {
    /// Every mode, the smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Standalone, Self::Cluster];

    /// Returns what the documentation asks for (milvus.io, `prerequisite-helm`).
    ///
    /// Sizes count a gigabyte as 10⁹ bytes, so that a machine sold with 8 GB, of which the kernel keeps some,
    /// has them.
    pub const fn requirements(self) -> Requirements {
        const GB: u64 = 1_000_000_000;
        match self {
            Self::Small | Self::Standalone => Requirements {
                memory_bytes: 8 * GB,
                cpus: 4,
                source: "Milvus's documentation asks for 4 cores and 8 GB in standalone mode; with 4 GB it may \
                         run out of memory (milvus#45734)",
            },
            Self::Cluster => Requirements {
                memory_bytes: 32 * GB,
                cpus: 8,
                source: "Milvus's documentation asks for 8 cores and 32 GB in cluster mode; little data needs less",
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

/// What the pods of a mode take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pods {
    pub mode: Mode,
    /// What each requests of the scheduler, in words, as far as milvusctl sets it.
    pub requests: String,
    /// What they add up to.
    pub memory: MilvusMemory,
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
    /// What the pods of the planned Milvus add up to.
    pub memory: MilvusMemory,
    /// What the pods of each mode take: the planned one's by the settings, the others' by default.
    pub pods: Vec<Pods>,
    /// Whether the cluster is there already, with whatever runs in it.
    pub exists: bool,
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
    use std::path::Path;

    use super::super::findings::{at_least, gigabytes};
    use super::*;
    use crate::milvus;
    use crate::settings::{Layer, file, resolve};

    /// The rows of the READMEs' table, each with the settings of its command.
    const ROWS: [(&str, &str, Mode); 8] = [
        ("`up --small`", "small: true", Mode::Small),
        ("`up --mode standalone`", "milvus: {mode: standalone}", Mode::Standalone),
        ("`up`", "", Mode::Cluster),
        ("`up --message-store kafka`", "milvus: {messageStore: kafka}", Mode::Cluster),
        ("`up --message-store woodpecker`", "milvus: {messageStore: woodpecker}", Mode::Cluster),
        ("`up --small --mode cluster`", "small: true\nmilvus: {mode: cluster}", Mode::Cluster),
        ("`milvus.sizing: operator`", "milvus: {sizing: operator}", Mode::Cluster),
        (
            "`milvus.sizing: operator`, Kafka",
            "milvus: {sizing: operator, messageStore: kafka}",
            Mode::Cluster,
        ),
    ];

    #[test]
    fn the_readmes_state_what_is_asked_for() {
        let cell = |bytes| if bytes == 0 { "–".to_owned() } else { gigabytes(bytes) };
        let expected: Vec<String> = ROWS
            .into_iter()
            .map(|(command, text, mode)| {
                let file = file::parse(Path::new("m.yaml"), text);
                let memory = milvus::memory(&resolve(Layer::default(), Some(file)).unwrap());
                let asked = gigabytes(mode.requirements().memory_bytes);
                let sums = [memory.requests, memory.heaps, memory.direct].map(cell).join(" | ");
                let least = at_least(memory.least);
                format!("| {command} | {sums} | {least} | {asked}, {}", mode.requirements().cpus)
            })
            .collect();
        for readme in [include_str!("../../README.md"), include_str!("../../README.zh-CN.md")] {
            let readme = readme.replace('，', ", ");
            for row in &expected {
                assert!(readme.contains(row.as_str()), "no row {row}; all are\n{}", expected.join("\n"));
            }
        }
    }
}
