//! What may be typed: the command line as types, and nothing of what it does.

mod help;
mod settings_args;

use std::path::{Path, PathBuf};

use clap::builder::{EnumValueParser, PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::reach::Target;
use crate::smoke;
use crate::ui::{Colour, OutputFormat};

pub use help::Help;
pub use settings_args::layer;
use settings_args::{ClusterArgs, LoadArgs, MirrorArgs, PlanArgs, UpSettingsArgs};

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

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct GlobalArgs {
    /// Configuration file [default: milvusctl.yaml, where it is there]
    #[arg(short, long, value_name = "FILE", global = true, env = "MILVUSCTL_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    _cluster: ClusterArgs,
    /// How to answer
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
    /// Look, but print the commands that would change something as a shell script
    #[arg(long, global = true, env = "MILVUSCTL_DRY_RUN", hide_env = true)]
    pub dry_run: bool,
    /// Show every command as it is run
    #[arg(short, long, global = true, env = "MILVUSCTL_VERBOSE", hide_env = true)]
    pub verbose: bool,
    /// Show only data, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", env = "MILVUSCTL_QUIET", hide_env = true)]
    pub quiet: bool,
    /// Show no live progress lines
    #[arg(long, global = true, env = "MILVUSCTL_NO_PROGRESS", hide_env = true)]
    pub no_progress: bool,
    /// When to use colours
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

/// What `-o` says: how to answer, or with `diagnose` the file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputArg {
    /// How to answer.
    Format(OutputFormat),
    /// The file to write.
    File(PathBuf),
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
    /// Replace the file where it is there
    #[arg(long)]
    pub force: bool,
}

impl DiagnoseArgs {
    /// The file to write.
    ///
    /// # Errors
    /// Fails when the command line named none, which clap refuses before.
    pub fn file(&self) -> Result<&Path, clap::Error> {
        match &self.output {
            OutputArg::File(path) => Ok(path),
            OutputArg::Format(_) => Err(clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument)),
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring everything up: cluster, operator, Milvus, images, Attu, ports
    #[command(after_help = help::after(&["up"]))]
    Up(UpArgs),
    /// Delete the kind cluster, or with --context what milvusctl installed
    #[command(after_help = help::after(&["down"]))]
    Down(DownArgs),
    /// Show nodes, Milvus, workloads, missing images and URLs
    #[command(after_help = help::after(&["status"]))]
    Status(StatusArgs),
    /// Find the images that keep pods from starting and load them
    #[command(after_help = help::after(&["load-missing-images"]))]
    LoadMissingImages(LoadMissingArgs),
    /// List, load and plan images
    #[command(subcommand, after_help = help::after(&["images"]))]
    Images(ImagesCommand),
    /// Make a Service reachable on a node port
    #[command(after_help = help::after(&["expose"]))]
    Expose(ExposeArgs),
    /// Forward a local port to a pod, and go on when the pod is replaced
    #[command(after_help = help::after(&["forward"]))]
    Forward(ForwardArgs),
    /// Prove that Milvus works: create, insert, index, search, check every answer, drop
    #[command(after_help = help::after(&["smoke"]))]
    Smoke(SmokeArgs),
    /// Print what `up` would use
    #[command(after_help = help::after(&["render"]))]
    Render(RenderArgs),
    /// Check the machine, and say what to do about what is wrong
    #[command(after_help = help::after(&["doctor"]))]
    Doctor(DoctorArgs),
    /// Gather what somebody else needs to help into one file, without secrets
    #[command(after_help = help::after(&["diagnose"]))]
    Diagnose(DiagnoseArgs),
    /// Print a completion script for a shell
    #[command(after_help = help::after(&["completions"]))]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of the program or of a command
    #[command(after_help = help::after(&["man"]))]
    Man(ManArgs),
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command, such as `up` or `images load`; none is the program itself
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub command: Vec<String>,
    /// Write all pages into this folder, and print their paths
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// Arguments of `up`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct UpArgs {
    #[command(flatten)]
    _settings: UpSettingsArgs,
    /// Leave everything as it is when something fails; this is the default
    #[arg(long, overrides_with = "no_keep_on_failure")]
    pub keep_on_failure: bool,
    /// Delete a cluster that this run created when something fails
    #[arg(long, env = "MILVUSCTL_NO_KEEP_ON_FAILURE", hide_env = true)]
    pub no_keep_on_failure: bool,
    /// Go back to an older operator or Milvus, which may not read what the newer one wrote
    #[arg(long, env = "MILVUSCTL_FORCE", hide_env = true)]
    pub force: bool,
    /// Do not fetch kind, helm and kubectl where PATH lacks them or has them too old
    #[arg(long, env = "MILVUSCTL_NO_INSTALL_TOOLS", hide_env = true)]
    pub no_install_tools: bool,
}

/// Arguments of `down`.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Do not ask
    #[arg(short, long, env = "MILVUSCTL_YES", hide_env = true)]
    pub yes: bool,
    /// With --context: delete the volumes too, and all data in them
    #[arg(long, env = "MILVUSCTL_DELETE_DATA", hide_env = true)]
    pub delete_data: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Show it again and again until interrupted
    #[arg(short, long)]
    pub watch: bool,
}

/// Arguments of `load-missing-images`.
#[derive(Debug, Args)]
pub struct LoadMissingArgs {
    /// Only pods of this namespace; repeatable [default: all]
    #[arg(
        short,
        long,
        value_name = "NS",
        value_delimiter = ',',
        env = "MILVUSCTL_NAMESPACE",
        hide_env = true
    )]
    pub namespace: Vec<String>,
    /// Go on until no image is missing and pods run, or the time is over
    #[arg(short, long, env = "MILVUSCTL_WATCH", hide_env = true)]
    pub watch: bool,
    /// How long to watch
    #[arg(long, value_name = "TIME", default_value = "20m", env = "MILVUSCTL_TIMEOUT", hide_env = true)]
    pub timeout: String,
    /// Delete pods that waited, so that they start at once
    #[arg(long, env = "MILVUSCTL_RESTART_PODS", hide_env = true)]
    pub restart_pods: bool,
    #[command(flatten)]
    _load: LoadArgs,
}

/// Commands of `images`.
#[derive(Debug, Subcommand)]
pub enum ImagesCommand {
    /// List the images that pods name, and the nodes that hold them
    #[command(after_help = help::after(&["images", "list"]))]
    List {
        /// Only those that a node lacks
        #[arg(long)]
        missing: bool,
        /// Only pods of this namespace; repeatable [default: all]
        #[arg(short, long, value_name = "NS", value_delimiter = ',')]
        namespace: Vec<String>,
    },
    /// Load images into the cluster's nodes
    #[command(after_help = help::after(&["images", "load"]))]
    Load {
        /// The images
        #[arg(required_unless_present = "input", value_name = "REF")]
        images: Vec<String>,
        /// An archive of images, plain, gzip or zstd; `-` is standard input
        #[arg(short, long, value_name = "FILE", conflicts_with = "images")]
        input: Option<PathBuf>,
        #[command(flatten)]
        _load: LoadArgs,
    },
    /// List the images that `up` is going to need
    #[command(after_help = help::after(&["images", "plan"]))]
    Plan(PlanArgs),
    /// Show an image's full name and the names it would be pulled by, in order
    #[command(after_help = help::after(&["images", "explain"]))]
    Explain {
        /// The image
        #[arg(value_name = "REF")]
        image: String,
        #[command(flatten)]
        _mirror: MirrorArgs,
    },
}

/// Arguments of `expose`.
#[derive(Debug, Args)]
pub struct ExposeArgs {
    /// attu, milvus, or svc/NAMESPACE/NAME
    #[arg(default_value = "attu")]
    pub target: Target,
    /// The node port, 30000 to 32767
    #[arg(long, value_name = "P", env = "MILVUSCTL_NODEPORT", hide_env = true)]
    pub nodeport: u16,
    /// Which of the Service's ports, by name or number, when it has several
    #[arg(long, value_name = "PORT")]
    pub service_port: Option<String>,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub timeout: String,
}

/// Arguments of `forward`.
#[derive(Debug, Args)]
pub struct ForwardArgs {
    /// attu, milvus, or svc/NAMESPACE/NAME
    #[arg(default_value = "milvus")]
    pub target: Target,
    /// The local port, 0 for any that is free [default: the Service's own, 19530 for Milvus, 3000 for Attu]
    #[arg(long, value_name = "N", env = "MILVUSCTL_FORWARD_PORT", hide_env = true)]
    pub port: Option<u16>,
    /// The local address to listen on
    #[arg(long, value_name = "A", default_value = "127.0.0.1", env = "MILVUSCTL_ADDRESS", hide_env = true)]
    pub address: String,
    /// How long to wait for a pod at first; once connected there is no limit
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub timeout: String,
}

/// Arguments of `smoke`.
#[derive(Debug, Args)]
pub struct SmokeArgs {
    /// Where Milvus answers [default: where it is exposed, else a forward of its own]
    #[arg(long, value_name = "URI", env = "MILVUSCTL_URI", hide_env = true)]
    pub uri: Option<String>,
    /// How many rows to insert
    #[arg(long, value_name = "N", default_value_t = 1000, env = "MILVUSCTL_ROWS", hide_env = true)]
    pub rows: usize,
    /// How many dimensions a vector has
    #[arg(long, value_name = "N", default_value_t = 128, env = "MILVUSCTL_DIM", hide_env = true)]
    pub dim: usize,
    /// Which index to build
    #[arg(long, default_value = "AUTOINDEX", ignore_case = true, env = "MILVUSCTL_INDEX", hide_env = true)]
    pub index: smoke::Index,
    /// How to measure distance
    #[arg(long, default_value = "COSINE", ignore_case = true, env = "MILVUSCTL_METRIC", hide_env = true)]
    pub metric: smoke::Metric,
    /// What readers are promised, and so what is checked
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "strong",
        ignore_case = true,
        env = "MILVUSCTL_CONSISTENCY",
        hide_env = true
    )]
    pub consistency: smoke::Consistency,
    /// The database to work in, which must exist [default: the default one]
    #[arg(long, value_name = "NAME", env = "MILVUSCTL_DATABASE", hide_env = true)]
    pub database: Option<String>,
    /// How long all steps may take together
    #[arg(long, value_name = "TIME", default_value = "2m", env = "MILVUSCTL_TIMEOUT", hide_env = true)]
    pub timeout: String,
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
    /// The kind configuration
    Cluster,
    /// The Milvus resource
    Milvus,
    /// Attu's Deployment and Service
    Attu,
    /// The helm values of the operator
    Values,
    /// The settings in force, and where each came from
    Config,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Fetch tools that are missing or too old, and print the commands that mend the rest
    ///
    /// Tools come from their projects, or from where `MILVUSCTL_TOOLS_MIRROR` says: an address or a folder for
    /// all of them, or `kind=A,helm=B,kubectl=C` with one for each.
    #[arg(long)]
    pub fix: bool,
    #[command(flatten)]
    _plan: PlanArgs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

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
