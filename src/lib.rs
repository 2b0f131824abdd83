//! milvusctl takes a machine with Docker to a working Milvus on a kind cluster, and gets every image into the
//! cluster even if registries are slow, blocked or absent.
//!
//! The source is layered: a folder only uses layers below its own, never above (`tests/cli/layers.rs`):
//!
//! ```text
//! 9  main start
//! 8  commands                            one file per command: arguments, one call, output
//! 7  cli up diagnosis toolbox
//! 6  machine reach render
//! 5  milvus
//! 4  cluster status
//! 3  bundle load registry store
//! 2  context settings
//! 1  tools images templates error        tools builds every command and parses its output
//! 0  process net ui archive kube smoke yaml text
//! ```
//!
//! `images`, `archive`, `kube` and `smoke` decide, without knowing tools or the terminal; the others act.

mod archive;
mod bundle;
mod cli;
mod cluster;
mod commands;
mod context;
mod diagnosis;
mod error;
mod images;
mod kube;
mod load;
mod machine;
mod milvus;
mod nearest;
mod net;
mod process;
mod reach;
mod registry;
mod render;
mod settings;
mod smoke;
mod start;
mod status;
mod store;
mod string_enum;
mod templates;
mod text;
mod toolbox;
mod tools;
mod ui;
mod up;
mod yaml;

#[cfg(test)]
mod mutation_tests;

use clap::CommandFactory as _;

pub use error::Exit;
pub use start::run;

/// The command line: every command with its flags, help and examples.
pub fn command() -> clap::Command {
    cli::Cli::command()
}
