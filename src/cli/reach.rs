//! Arguments of the commands that reach something in the cluster.

use std::time::Duration;

use clap::Args;

use crate::reach::Target;
use crate::settings;
use crate::smoke;

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

#[derive(Debug, Args)]
pub struct SmokeArgs {
    /// Milvus address, optionally followed by `/DATABASE` [default: where it is exposed, else a temporary port forward]
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
