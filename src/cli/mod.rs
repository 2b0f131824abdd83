//! The command line as types, without any behaviour.

mod environment;
mod help;
mod images;
mod output;
mod reach;
mod settings_args;

use std::path::PathBuf;

use clap::builder::{EnumValueParser, PathBufValueParser, TypedValueParser};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum, ValueHint};

use crate::ui::{Colour, OutputFormat};

use environment::with_variables;
pub use help::Help;
pub use images::{ImagesCommand, LoadMissingArgs, PruneArgs, SaveArgs};
use output::OutputArg;
pub use reach::{ExposeArgs, ForwardArgs, SmokeArgs};
pub use settings_args::layer;
use settings_args::{ClusterArgs, PlanArgs, UpSettingsArgs};

/// One command from a machine with Docker to a working Milvus on a kind cluster, with every image in place.
#[derive(Debug, Parser)]
#[command(
    name = "milvusctl",
    version,
    propagate_version = true,
    after_help = help::after(&[]),
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// The command line with the current environment applied.
pub fn command_line() -> clap::Command {
    with_variables(Cli::command())
}

/// Arguments of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct GlobalArgs {
    /// Configuration file [default: ./milvusctl.yaml if present]
    #[arg(short, long, value_name = "FILE", global = true, env = "MILVUSCTL_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    _cluster: ClusterArgs,
    /// Output format
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        global = true,
        default_value = "text",
        hide_default_value = true,
        value_parser = EnumValueParser::<OutputFormat>::new().map(OutputArg::Format),
        env = "MILVUSCTL_OUTPUT",
        hide_env = true
    )]
    pub output: OutputArg,
    /// Change nothing; print the commands as a script
    #[arg(long, global = true, env = "MILVUSCTL_DRY_RUN", hide_env = true)]
    pub dry_run: bool,
    /// Print every command as it runs
    #[arg(short, long, global = true, env = "MILVUSCTL_VERBOSE", hide_env = true)]
    pub verbose: bool,
    /// Print only data, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", env = "MILVUSCTL_QUIET", hide_env = true)]
    pub quiet: bool,
    /// Disable live progress
    #[arg(long, global = true, env = "MILVUSCTL_NO_PROGRESS", hide_env = true)]
    pub no_progress: bool,
    /// When to use color
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        default_value = "auto",
        hide_default_value = true,
        env = "MILVUSCTL_COLOR",
        hide_env = true
    )]
    pub color: Colour,
}

impl GlobalArgs {
    /// The output format: text if `-o` names a file.
    pub fn format(&self) -> OutputFormat {
        match self.output {
            OutputArg::Format(format) => format,
            OutputArg::File(_) => OutputFormat::Text,
        }
    }
}

#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    // Replaces the global option of the same name.
    /// The file to write, a `.tar.gz`
    #[arg(
        short,
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        required = true,
        value_parser = PathBufValueParser::new().map(OutputArg::File)
    )]
    pub output: OutputArg,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create the cluster and bring up Milvus, with every image in place
    #[command(after_help = help::after(&["up"]))]
    Up(UpArgs),
    /// Delete the kind cluster; with --context, uninstall what milvusctl installed
    #[command(after_help = help::after(&["down"]))]
    Down(DownArgs),
    /// Show nodes, Milvus, workloads, missing images and URLs
    #[command(after_help = help::after(&["status"]))]
    Status(StatusArgs),
    /// Find the images that keep pods from starting, and load them
    #[command(after_help = help::after(&["load-missing-images"]))]
    LoadMissingImages(LoadMissingArgs),
    /// List, load, save and plan images
    #[command(subcommand, after_help = help::after(&["images"]))]
    Images(ImagesCommand),
    /// Expose a Service on a node port
    #[command(after_help = help::after(&["expose"]))]
    Expose(ExposeArgs),
    /// Forward a local port to a Service, surviving pod restarts
    #[command(after_help = help::after(&["forward"]))]
    Forward(ForwardArgs),
    /// Test a Milvus end to end: create, insert, index, search, verify, drop
    #[command(after_help = help::after(&["smoke"]))]
    Smoke(SmokeArgs),
    /// Print what `up` would use
    #[command(after_help = help::after(&["render"]))]
    Render(RenderArgs),
    /// Check this machine and explain how to fix problems
    #[command(after_help = help::after(&["doctor"]))]
    Doctor(DoctorArgs),
    /// Collect a support bundle, with secrets masked
    #[command(after_help = help::after(&["diagnose"]))]
    Diagnose(DiagnoseArgs),
    /// Print a shell completion script
    #[command(after_help = help::after(&["completions"]))]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page
    #[command(after_help = help::after(&["man"]))]
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Command, such as `up` or `images load` [default: milvusctl itself]
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub command: Vec<String>,
    /// Write all pages to this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct UpArgs {
    #[command(flatten)]
    _settings: UpSettingsArgs,
    /// Keep what was created when something fails; the default
    #[arg(long, overrides_with = "no_keep_on_failure")]
    pub keep_on_failure: bool,
    /// Delete the cluster again if this run created it and failed
    #[arg(long, env = "MILVUSCTL_NO_KEEP_ON_FAILURE", hide_env = true)]
    pub no_keep_on_failure: bool,
    /// Proceed even if data would be lost, a release downgraded, or memory is short
    #[arg(long, env = "MILVUSCTL_FORCE", hide_env = true)]
    pub force: bool,
    /// Do not download kind, helm and kubectl when they are missing or too old
    #[arg(long, env = "MILVUSCTL_NO_INSTALL_TOOLS", hide_env = true)]
    pub no_install_tools: bool,
}

#[derive(Debug, Args)]
pub struct DownArgs {
    /// Skip confirmation
    #[arg(short, long, env = "MILVUSCTL_YES", hide_env = true)]
    pub yes: bool,
    /// With --context: also delete the volumes and all data in them
    #[arg(long, env = "MILVUSCTL_DELETE_DATA", hide_env = true)]
    pub delete_data: bool,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Refresh until interrupted
    #[arg(short, long)]
    pub watch: bool,
}

#[derive(Debug, Args)]
pub struct RenderArgs {
    /// What to print
    #[arg(value_enum, default_value = "cluster")]
    pub what: RenderTarget,
    #[command(flatten)]
    _plan: PlanArgs,
}

/// What `render` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RenderTarget {
    /// The kind config
    Cluster,
    /// The Milvus resource
    Milvus,
    /// Attu's Deployment and Service
    Attu,
    /// The operator's helm values
    Values,
    /// The effective settings, and where each comes from
    Config,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Download missing or outdated tools, and print the commands that fix the rest
    ///
    /// Tools are downloaded from their projects, or from `MILVUSCTL_TOOLS_MIRROR`: a URL or directory for all of
    /// them, or `kind=A,helm=B,kubectl=C`.
    #[arg(long)]
    pub fix: bool,
    #[command(flatten)]
    _plan: PlanArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn command_flags_are_not_settings() {
        let rows: [&[&str]; 3] = [
            &["milvusctl", "forward", "attu", "--port", "0", "--address", "0.0.0.0"],
            &["milvusctl", "expose", "milvus", "--nodeport", "31530", "--service-port", "milvus"],
            &["milvusctl", "smoke", "--rows", "50", "--index", "hnsw", "--metric", "L2", "--database", "d"],
        ];
        let layer_of = |row: &[&str]| layer(&Cli::command().try_get_matches_from(row).unwrap());
        for row in rows {
            assert_eq!(layer_of(row), layer_of(&["milvusctl", "status"]), "{row:?}");
        }
    }
}
