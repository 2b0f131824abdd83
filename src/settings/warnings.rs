//! Warns about settings that are valid but probably not intended; each warning ends with what to do.

use semver::Version;

use super::keys;
use super::types::MessageStore;
use super::{Origin, Settings};

/// kind warns about longer names, since node names derive from the cluster's and serve as host names.
const LONG_NAME: usize = 50;

/// Returns the warnings, most important first.
pub fn warnings(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    cluster(settings, &mut found);
    milvus(settings, &mut found);
    attu(settings, &mut found);
    found
}

fn cluster(settings: &Settings, found: &mut Vec<String>) {
    let cluster = &settings.cluster;
    if cluster.name.len() > LONG_NAME {
        let length = cluster.name.len();
        found.push(format!(
            "the cluster name has {length} characters, and nodes with too long names do not start; keep it under {LONG_NAME}"
        ));
    }
    if cluster.context.is_some() {
        let keys = [
            keys::CLUSTER_WORKERS,
            keys::CLUSTER_NODE_IMAGE,
            keys::CLUSTER_SERVICE_SUBNET,
            keys::CLUSTER_PORTS,
            keys::CLUSTER_LISTEN_ADDRESS,
            keys::CLUSTER_KIND_CONFIG,
        ];
        for key in
            keys.into_iter().filter(|key| !matches!(settings.origin(*key), Origin::Default | Origin::Small))
        {
            found.push(format!(
                "`{}` has no effect, since an existing cluster is used; leave out `cluster.context` to create a kind cluster",
                key.path
            ));
        }
    } else if let Some(own) = &cluster.own {
        found.extend(own.warnings.iter().cloned());
    }
    if cluster.listen_address.is_unspecified() {
        let setting = match &cluster.own {
            Some(_) => "`listenAddress` of each port in your own kind configuration",
            None => "`cluster.listenAddress`",
        };
        found.push(format!(
            "the cluster's ports are open to the whole network on {}; set {setting} to 127.0.0.1 to keep them to this machine",
            cluster.listen_address
        ));
    }
}

fn milvus(settings: &Settings, found: &mut Vec<String>) {
    let milvus = &settings.milvus;
    let is_kafka_within = milvus.message_store == Some(MessageStore::Kafka) && milvus.kafka.is_empty();
    if is_kafka_within && settings.operator.version < Version::new(1, 3, 1) {
        found.push(format!(
            "milvus-operator {} deploys Kafka from `docker.io/bitnami`, whose images were removed (milvus-operator#399); use 1.3.1 or newer, or another message store",
            settings.operator.version
        ));
    }
    if let Some(storage) = &milvus.storage.external
        && storage.endpoint.ends_with(":443")
        && !storage.use_ssl
    {
        found.push(format!(
            "`{}` is contacted without TLS on the HTTPS port; set `milvus.storage.useSSL: true`",
            storage.endpoint
        ));
    }
    let newer = settings.milvus_line().is_some_and(|line| line >= (2, 6))
        && settings.operator.version < Version::new(1, 3, 0);
    if newer {
        found.push(format!(
            "milvus-operator {} is older than Milvus 2.6 and does not know its components; use 1.3.0 or newer",
            settings.operator.version
        ));
    }
}

fn attu(settings: &Settings, found: &mut Vec<String>) {
    let attu = &settings.attu;
    if !attu.enabled {
        return;
    }
    if attu_line(&attu.version).is_some_and(|line| line >= (2, 6)) {
        found.push(format!(
            "Attu {} is proprietary software, like all releases since 2.6; {} is the last one under the Apache licence",
            attu.version, "v2.5.12"
        ));
    }
}

/// Returns major and minor of an Attu tag, which may have only these two: `v2.4`.
pub(crate) fn attu_line(tag: &str) -> Option<(u64, u64)> {
    let mut numbers = tag.strip_prefix('v').unwrap_or(tag).split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.split('-').next()?.parse().ok()?;
    Some((major, minor))
}
