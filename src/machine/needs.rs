//! What a planned cluster needs of the machine.

use semver::Version;

use crate::milvus::MilvusMemory;

/// How Milvus will run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One node, Milvus standalone: `--small`.
    Small,
    /// Milvus standalone on a cluster with workers.
    Standalone,
    /// Milvus in cluster mode.
    Cluster,
}

/// The hardware that Milvus's documentation requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// In bytes.
    pub memory_bytes: u64,
    pub cpus: u64,
    /// The source of the numbers.
    pub source: &'static str,
}

impl Mode {
    /// Every mode, smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Standalone, Self::Cluster];

    /// Returns the documented requirements (milvus.io, `prerequisite-helm`).
    ///
    /// A gigabyte is 10⁹ bytes, so that a machine sold with 8 GB qualifies although the kernel reserves some.
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

    /// Returns the mode's stable identifier.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Standalone => "standalone",
            Self::Cluster => "cluster",
        }
    }

    /// Returns the mode's name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "standalone mode on one node",
            Self::Standalone => "standalone mode",
            Self::Cluster => "cluster mode",
        }
    }
}

/// The resources that the pods of a mode take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pods {
    pub mode: Mode,
    /// Each pod's requests as text, as far as milvusctl sets them.
    pub requests: String,
    /// Their total memory.
    pub memory: MilvusMemory,
}

/// What the planned cluster needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// How Milvus will run.
    pub mode: Mode,
    /// The number of workers besides the control plane.
    pub workers: usize,
    /// The Kubernetes version of the node image; by default, that of kind's default image.
    pub kubernetes: Option<Version>,
    /// The estimated size of all planned images on one node, in bytes; `None` if they are already there or
    /// unknown.
    pub image_bytes: Option<u64>,
    /// The total memory of the planned Milvus's pods.
    pub memory: MilvusMemory,
    /// The resources of each mode's pods: the planned one's by the settings, the others' by default.
    pub pods: Vec<Pods>,
    /// Whether the cluster already exists.
    pub exists: bool,
    /// Host ports that this cluster already holds, which is fine.
    pub ours: Vec<u16>,
}

impl Needs {
    /// Returns how many nodes hold the images: the workers, or a lone control plane.
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

    /// The rows of the READMEs' table, with the settings of each command.
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
    fn the_readmes_state_the_requirements() {
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
