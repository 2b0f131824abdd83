//! What may be typed: the command line as types, and nothing of what it does.

mod environment;
mod help;
mod settings_args;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{EnumValueParser, PathBufValueParser, TypedValueParser};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum, ValueHint};

use crate::reach::Target;
use crate::settings;
use crate::smoke;
use crate::ui::{Colour, OutputFormat};

use environment::{item, with_variables};
pub use help::Help;
pub use settings_args::layer;
use settings_args::{
    ClusterArgs, LoadArgs, MirrorArgs, PlanArgs, SaveSettingsArgs, StoreArgs, UpSettingsArgs,
};

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
    /// What every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The command line, with the variables as they are now.
pub fn command_line() -> clap::Command {
    with_variables(Cli::command())
}

/// What every command takes.
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

/// What `-o` says: how to answer, or with `diagnose` and `images save` the file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputArg {
    /// How to answer.
    Format(OutputFormat),
    /// The file to write.
    File(PathBuf),
}

impl OutputArg {
    /// The file to write.
    fn file(&self) -> Result<&Path, clap::Error> {
        match self {
            Self::File(path) => Ok(path),
            Self::Format(_) => Err(clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument)),
        }
    }
}

impl GlobalArgs {
    /// How to answer: as text where `-o` names a file.
    pub fn format(&self) -> OutputFormat {
        match self.output {
            OutputArg::Format(format) => format,
            OutputArg::File(_) => OutputFormat::Text,
        }
    }
}

/// Arguments of `diagnose`.
#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    // It goes by the name of the global option, which it takes the place of.
    /// The file to write, a `.tar.gz`
    #[arg(
        short,
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        required = true,
        value_parser = PathBufValueParser::new().map(OutputArg::File)
    )]
    output: OutputArg,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
}

impl DiagnoseArgs {
    /// The file to write.
    ///
    /// # Errors
    /// Fails when the command line named none, which clap refuses before.
    pub fn file(&self) -> Result<&Path, clap::Error> {
        self.output.file()
    }
}

/// What to do.
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
    /// Check this machine, and say how to fix what is wrong
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

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Command, such as `up` or `images load` [default: milvusctl itself]
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub command: Vec<String>,
    /// Write all pages to this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// Arguments of `up`.
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
    /// Go on although data would be lost, a release would go back, or the machine has too little memory
    #[arg(long, env = "MILVUSCTL_FORCE", hide_env = true)]
    pub force: bool,
    /// Do not download kind, helm and kubectl when they are missing or too old
    #[arg(long, env = "MILVUSCTL_NO_INSTALL_TOOLS", hide_env = true)]
    pub no_install_tools: bool,
}

/// Arguments of `down`.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Skip confirmation
    #[arg(short, long, env = "MILVUSCTL_YES", hide_env = true)]
    pub yes: bool,
    /// With --context: also delete the volumes and all data in them
    #[arg(long, env = "MILVUSCTL_DELETE_DATA", hide_env = true)]
    pub delete_data: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Refresh until interrupted
    #[arg(short, long)]
    pub watch: bool,
}

/// Arguments of `load-missing-images`.
#[derive(Debug, Args)]
pub struct LoadMissingArgs {
    /// Limit to pods of this namespace; repeatable [default: all]
    #[arg(
        short,
        long,
        value_name = "NS",
        value_delimiter = ',',
        value_parser = item(),
        env = "MILVUSCTL_NAMESPACE",
        hide_env = true
    )]
    pub namespace: Vec<String>,
    /// Keep going until no image is missing and all pods run
    #[arg(short, long, env = "MILVUSCTL_WATCH", hide_env = true)]
    pub watch: bool,
    /// How long to watch
    #[arg(long, value_name = "TIME", default_value = "20m", value_parser = settings::duration, env = "MILVUSCTL_TIMEOUT", hide_env = true)]
    pub timeout: Duration,
    /// Restart waiting pods so that they start right away
    #[arg(long, env = "MILVUSCTL_RESTART_PODS", hide_env = true)]
    pub restart_pods: bool,
    #[command(flatten)]
    _load: LoadArgs,
}

/// Commands of `images`.
#[derive(Debug, Subcommand)]
pub enum ImagesCommand {
    /// List the images that pods use, and the nodes that have them
    #[command(after_help = help::after(&["images", "list"]))]
    List {
        /// Only images that a node lacks
        #[arg(long)]
        missing: bool,
        /// Limit to pods of this namespace; repeatable [default: all]
        #[arg(short, long, value_name = "NS", value_delimiter = ',', value_parser = item())]
        namespace: Vec<String>,
    },
    /// Load images into the cluster's nodes
    #[command(after_help = help::after(&["images", "load"]))]
    Load {
        /// Images to load
        #[arg(required_unless_present = "input", value_name = "REF")]
        images: Vec<String>,
        /// Bundle or image archive, plain, gzip or zstd; `-` reads standard input
        #[arg(short, long, value_name = "FILE", conflicts_with = "images")]
        input: Option<PathBuf>,
        #[command(flatten)]
        _load: LoadArgs,
    },
    /// Save everything that `up` needs, or some images, as one file for machines without a network
    #[command(after_help = help::after(&["images", "save"]))]
    Save(SaveArgs),
    /// Delete downloaded images from the store
    #[command(after_help = help::after(&["images", "prune"]))]
    Prune(PruneArgs),
    /// List the images that `up` needs
    #[command(after_help = help::after(&["images", "plan"]))]
    Plan(PlanArgs),
    /// Show where an image would be pulled from, in order
    #[command(after_help = help::after(&["images", "explain"]))]
    Explain {
        /// Image reference
        #[arg(value_name = "REF")]
        image: String,
        #[command(flatten)]
        _mirror: MirrorArgs,
    },
}

/// Arguments of `images save`.
#[derive(Debug, Args)]
pub struct SaveArgs {
    /// Images to save alone [default: all that `up` needs, with node image, chart and tools]
    #[arg(value_name = "REF")]
    pub images: Vec<String>,
    // It goes by the name of the global option, which it takes the place of.
    /// The file to write, a `.tar.zst` or a `.tar`
    #[arg(
        short,
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        required = true,
        value_parser = PathBufValueParser::new().map(OutputArg::File)
    )]
    output: OutputArg,
    /// Machine that it is for, such as `linux/arm64` [default: this one's]
    #[arg(long, value_name = "OS/ARCH", env = "MILVUSCTL_PLATFORM", hide_env = true)]
    pub platform: Option<String>,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    _settings: SaveSettingsArgs,
}

impl SaveArgs {
    /// The file to write.
    ///
    /// # Errors
    /// Fails when the command line named none, which clap refuses before.
    pub fn file(&self) -> Result<&Path, clap::Error> {
        self.output.file()
    }
}

/// Arguments of `images prune`. Without a flag, what no image needs goes.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Delete images not used for this long, such as `30d`
    #[arg(long, value_name = "TIME", value_parser = settings::duration, env = "MILVUSCTL_OLDER_THAN", hide_env = true)]
    pub older_than: Option<Duration>,
    /// Keep the most recently used images up to this size, such as `10GiB`
    #[arg(long, value_name = "SIZE", env = "MILVUSCTL_KEEP", hide_env = true)]
    pub keep: Option<bytesize::ByteSize>,
    /// Delete everything
    #[arg(long, conflicts_with_all = ["older_than", "keep"])]
    pub all: bool,
    #[command(flatten)]
    _store: StoreArgs,
}

/// Arguments of `expose`.
#[derive(Debug, Args)]
pub struct ExposeArgs {
    /// attu, milvus, or svc/NAMESPACE/NAME
    #[arg(default_value = "attu")]
    pub target: Target,
    /// Node port, 30000 to 32767
    #[arg(long, value_name = "P", env = "MILVUSCTL_NODEPORT", hide_env = true)]
    pub nodeport: u16,
    /// Port of the Service, by name or number, if it has several
    #[arg(long, value_name = "PORT")]
    pub service_port: Option<String>,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = settings::duration)]
    pub timeout: Duration,
}

/// Arguments of `forward`.
#[derive(Debug, Args)]
pub struct ForwardArgs {
    /// attu, milvus, or svc/NAMESPACE/NAME
    #[arg(default_value = "milvus")]
    pub target: Target,
    /// Local port, 0 for any free one [default: the Service's: 19530 for Milvus, 3000 for Attu]
    #[arg(long, value_name = "N", env = "MILVUSCTL_FORWARD_PORT", hide_env = true)]
    pub port: Option<u16>,
    /// Local address to listen on
    #[arg(long, value_name = "A", default_value = "127.0.0.1", env = "MILVUSCTL_ADDRESS", hide_env = true)]
    pub address: String,
    /// How long to wait for the first connection
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = settings::duration)]
    pub timeout: Duration,
}

/// Arguments of `smoke`.
#[derive(Debug, Args)]
pub struct SmokeArgs {
    /// Milvus address, with `/DATABASE` behind it or without [default: where it is exposed, else a temporary port forward]
    #[arg(long, value_name = "URI", env = "MILVUSCTL_URI", hide_env = true)]
    pub uri: Option<String>,
    /// Rows to insert
    #[arg(long, value_name = "N", default_value_t = 1000, env = "MILVUSCTL_ROWS", hide_env = true)]
    pub rows: usize,
    /// Vector dimensions
    #[arg(long, value_name = "N", default_value_t = 128, env = "MILVUSCTL_DIM", hide_env = true)]
    pub dim: usize,
    /// Index type
    #[arg(long, default_value = "AUTOINDEX", ignore_case = true, env = "MILVUSCTL_INDEX", hide_env = true)]
    pub index: smoke::Index,
    /// Distance metric
    #[arg(long, default_value = "COSINE", ignore_case = true, env = "MILVUSCTL_METRIC", hide_env = true)]
    pub metric: smoke::Metric,
    /// Consistency level to test
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "strong",
        ignore_case = true,
        env = "MILVUSCTL_CONSISTENCY",
        hide_env = true
    )]
    pub consistency: smoke::Consistency,
    /// Existing database to use [default: Milvus's default]
    #[arg(long, value_name = "NAME", env = "MILVUSCTL_DATABASE", hide_env = true)]
    pub database: Option<String>,
    /// Time limit for the whole test
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = settings::duration, env = "MILVUSCTL_TIMEOUT", hide_env = true)]
    pub timeout: Duration,
}

/// Arguments of `render`.
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

/// Arguments of `doctor`.
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
    fn flags_of_commands_are_not_taken_for_settings() {
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
