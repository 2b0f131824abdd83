//! Arguments of the image commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Subcommand, ValueHint};

use super::environment::item;
use super::help;
use super::output::OutputArg;
use super::settings_args::{LoadArgs, MirrorArgs, PlanArgs, SaveSettingsArgs, StoreArgs};
use crate::settings;

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
    /// How long to watch; images may take as long as they make progress
    #[arg(long, value_name = "TIME", default_value = "20m", value_parser = settings::duration, env = "MILVUSCTL_TIMEOUT", hide_env = true)]
    pub timeout: Duration,
    /// Restart waiting pods so that they start right away
    #[arg(long, env = "MILVUSCTL_RESTART_PODS", hide_env = true)]
    pub restart_pods: bool,
    #[command(flatten)]
    _load: LoadArgs,
}

#[derive(Debug, Subcommand)]
pub enum ImagesCommand {
    /// List the images that pods use, and the nodes that have them
    #[command(after_help = help::after(&["images", "list"]))]
    List {
        /// Only images that are missing on a node
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
    /// Save everything `up` needs, or some images, to one file for offline machines
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

#[derive(Debug, Args)]
pub struct SaveArgs {
    /// Images to save [default: everything `up` needs, including node image, chart and tools]
    #[arg(value_name = "REF")]
    pub images: Vec<String>,
    // Replaces the global option of the same name.
    /// The file to write, a `.tar.zst` or a `.tar`
    #[arg(
        short,
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        required = true,
        value_parser = PathBufValueParser::new().map(OutputArg::File)
    )]
    pub output: OutputArg,
    /// Target platform, such as `linux/arm64` [default: this machine's]
    #[arg(long, value_name = "OS/ARCH", env = "MILVUSCTL_PLATFORM", hide_env = true)]
    pub platform: Option<String>,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    _settings: SaveSettingsArgs,
}

/// Without flags, deletes what no image needs.
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
