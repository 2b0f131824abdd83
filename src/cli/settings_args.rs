//! The flags that say what is brought up, and what they and the environment say as a layer of settings.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueHint};

use super::MirrorArgs;
use crate::settings::keys::{self, Key};
use crate::settings::{Layer, Origin};

/// The flags that say what is brought up.
#[derive(Debug, Clone, Args)]
pub struct SettingsArgs {
    /// One node, standalone, small requests
    #[arg(long, env = "MILVUSCTL_SMALL", hide_env = true)]
    pub small: bool,
    /// Workers beside the one control plane [default: 3]
    #[arg(long, value_name = "N", env = "MILVUSCTL_WORKERS", hide_env = true)]
    pub workers: Option<i64>,
    /// standalone or cluster [default: cluster]
    #[arg(long, value_name = "MODE", env = "MILVUSCTL_MODE", hide_env = true)]
    pub mode: Option<String>,
    /// rocksmq, woodpecker, pulsar or kafka [default: the operator's]
    #[arg(long, value_name = "STORE", env = "MILVUSCTL_MESSAGE_STORE", hide_env = true)]
    pub message_store: Option<String>,
    /// Node image [default: kind's own]
    #[arg(long, value_name = "REF", env = "MILVUSCTL_NODE_IMAGE", hide_env = true)]
    pub node_image: Option<String>,
    /// Map a host port to a node port; repeatable [default: 31000:31000 19530:31530]
    #[arg(
        long = "port",
        value_name = "HOST:NODE",
        value_delimiter = ',',
        env = "MILVUSCTL_PORT",
        hide_env = true
    )]
    pub port: Vec<String>,
    /// Host address that the ports listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDR", env = "MILVUSCTL_LISTEN", hide_env = true)]
    pub listen: Option<String>,
    /// kind configuration of your own
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        env = "MILVUSCTL_KIND_CONFIG",
        hide_env = true
    )]
    pub kind_config: Option<String>,
    /// Where images come from.
    #[command(flatten)]
    pub mirror: MirrorArgs,
    /// With --context: push the images here, and let the cluster pull them from there
    #[arg(long, value_name = "REGISTRY/PREFIX", env = "MILVUSCTL_PUSH", hide_env = true)]
    pub push: Option<String>,
    /// Version of the milvus-operator [default: the newest known]
    #[arg(long, value_name = "V", env = "MILVUSCTL_OPERATOR_VERSION", hide_env = true)]
    pub operator_version: Option<String>,
    /// Chart repository of the milvus-operator
    #[arg(long, value_name = "URL", env = "MILVUSCTL_OPERATOR_REPO", hide_env = true)]
    pub operator_repo: Option<String>,
    /// Version of Milvus [default: the operator's]
    #[arg(long, value_name = "V", env = "MILVUSCTL_MILVUS_VERSION", hide_env = true)]
    pub milvus_version: Option<String>,
    /// Do not install Attu
    #[arg(long, env = "MILVUSCTL_NO_ATTU", hide_env = true)]
    pub no_attu: bool,
}

/// A flag that sets a key: its identifier, its name, its variable, the key.
type Row = (&'static str, &'static str, &'static str, Key);

const TEXTS: &[Row] = &[
    ("name", "--name", "MILVUSCTL_NAME", keys::CLUSTER_NAME),
    ("context", "--context", "MILVUSCTL_CONTEXT", keys::CLUSTER_CONTEXT),
    ("mode", "--mode", "MILVUSCTL_MODE", keys::MILVUS_MODE),
    ("message_store", "--message-store", "MILVUSCTL_MESSAGE_STORE", keys::MILVUS_MESSAGE_STORE),
    ("node_image", "--node-image", "MILVUSCTL_NODE_IMAGE", keys::CLUSTER_NODE_IMAGE),
    ("listen", "--listen", "MILVUSCTL_LISTEN", keys::CLUSTER_LISTEN_ADDRESS),
    ("kind_config", "--kind-config", "MILVUSCTL_KIND_CONFIG", keys::CLUSTER_KIND_CONFIG),
    ("mirror_preset", "--mirror-preset", "MILVUSCTL_MIRROR_PRESET", keys::MIRROR_PRESET),
    ("push", "--push", "MILVUSCTL_PUSH", keys::MIRROR_PUSH),
    ("operator_version", "--operator-version", "MILVUSCTL_OPERATOR_VERSION", keys::OPERATOR_VERSION),
    ("operator_repo", "--operator-repo", "MILVUSCTL_OPERATOR_REPO", keys::OPERATOR_REPO),
    ("milvus_version", "--milvus-version", "MILVUSCTL_MILVUS_VERSION", keys::MILVUS_VERSION),
];

/// What the flags and the environment say, as a layer of settings: flags beat variables.
///
/// `matches` are those of the command with its subcommands; flags that a command does not have are left out.
pub fn layer(matches: &ArgMatches) -> Layer {
    let mut layer = Layer::default();
    let mut innermost = matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    for (id, flag, variable, key) in TEXTS {
        if let Some(origin) = origin(innermost, id, flag, variable)
            && let Some(text) = innermost.get_one::<String>(id)
        {
            layer.set(*key, text.as_str(), origin);
        }
    }
    if let Some(origin) = origin(innermost, "workers", "--workers", "MILVUSCTL_WORKERS")
        && let Some(workers) = innermost.get_one::<i64>("workers")
    {
        layer.set(keys::CLUSTER_WORKERS, *workers, origin);
    }
    if let Some(origin) = origin(innermost, "small", "--small", "MILVUSCTL_SMALL") {
        layer.set(keys::SMALL, innermost.get_flag("small"), origin);
    }
    if let Some(origin) = origin(innermost, "no_attu", "--no-attu", "MILVUSCTL_NO_ATTU") {
        layer.set(keys::ATTU_ENABLED, !innermost.get_flag("no_attu"), origin);
    }
    let texts = |id| innermost.get_many::<String>(id).into_iter().flatten().cloned();
    if let Some(origin) = origin(innermost, "port", "--port", "MILVUSCTL_PORT") {
        layer.set_texts(keys::CLUSTER_PORTS, texts("port"), &origin);
    }
    if let Some(origin) = origin(innermost, "mirror", "--mirror", "MILVUSCTL_MIRROR") {
        layer.set_rules(keys::MIRROR_RULES, texts("mirror"), &origin);
    }
    // `--timeout` of other commands is their own, and no setting.
    if matches.subcommand_name() == Some("up")
        && let Some(origin) = origin(innermost, "timeout", "--timeout", "MILVUSCTL_TIMEOUT")
        && let Some(text) = innermost.get_one::<String>("timeout")
    {
        layer.set(keys::UP_TIMEOUT, text.as_str(), origin);
    }
    layer
}

/// Where an argument's value came from, unless nobody gave it or the command has no such argument.
fn origin(matches: &ArgMatches, id: &str, flag: &'static str, variable: &'static str) -> Option<Origin> {
    if !matches.ids().any(|known| known.as_str() == id) {
        return None;
    }
    match matches.value_source(id)? {
        ValueSource::CommandLine => Some(Origin::Flag(flag)),
        ValueSource::EnvVariable => Some(Origin::Environment(variable)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Cli;
    use super::*;
    use crate::settings::resolve;

    fn of(args: &[&str]) -> Layer {
        layer(&Cli::command().try_get_matches_from(args).unwrap())
    }

    #[test]
    fn flags_become_settings_that_remember_their_flag() {
        let settings = resolve(
            of(&[
                "milvusctl",
                "--name",
                "a",
                "up",
                "--workers",
                "1",
                "--port",
                "1:30001,2:30002",
                "--no-attu",
            ]),
            None,
        )
        .unwrap();
        assert_eq!(settings.cluster.name, "a");
        assert_eq!(settings.cluster.workers, 1);
        assert_eq!(settings.cluster.ports.len(), 2);
        assert!(!settings.attu.enabled);
        assert_eq!(settings.origin(keys::CLUSTER_WORKERS), Origin::Flag("--workers"));
        assert_eq!(settings.origin(keys::CLUSTER_SERVICE_SUBNET), Origin::Default);
    }

    #[test]
    fn global_flags_may_stand_behind_the_command() {
        let settings = resolve(of(&["milvusctl", "down", "--name", "b"]), None).unwrap();
        assert_eq!(settings.cluster.name, "b");
    }

    #[test]
    fn the_timeout_of_up_is_a_setting() {
        let settings = resolve(of(&["milvusctl", "up", "--timeout", "90s"]), None).unwrap();
        assert_eq!(settings.up.timeout.as_secs(), 90);
    }
}
