//! How images are to be loaded, as the user chooses.

use clap::ValueEnum;

/// How images are to be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// How many are pulled at a time.
    pub jobs: usize,
    /// How they get into nodes.
    pub loader: Loader,
    pub nodes: NodeChoice,
}

/// How images get into nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Loader {
    /// Directly where that works, else through kind
    Auto,
    /// From the engine straight into the node's containerd
    Direct,
    /// Through `kind load image-archive`
    Kind,
}

/// Which nodes get an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NodeChoice {
    /// Those on which pods wait for it
    Waiting,
    /// All that could run those pods
    All,
}
