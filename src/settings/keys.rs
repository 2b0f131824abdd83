//! The table of settings, shared by the configuration file, its schema, the flags, the environment variables
//! and `render config`.

use super::types::{DeletionPolicy, MessageStore, Mode, Sizing, StorageType, Volume};
use crate::images::loading::{Loader, NodeChoice, PullWith};
use crate::images::mirror::Preset;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    Text,
    /// A Kubernetes quantity: text, or a number.
    Quantity,
    /// A duration such as `20m`.
    Duration,
    OneOf(&'static [&'static str]),
    /// A whole number within these bounds.
    Integer(i64, i64),
    /// `true` or `false`.
    Bool,
    Texts,
    /// A file; relative paths in the configuration file start at its folder.
    Path,
    /// A list of `registry` and `prefix`.
    Rules,
    /// A mapping passed through unchanged.
    Tree,
}

/// One key of the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The dotted path from the top of the file.
    pub path: &'static str,
    pub kind: ValueKind,
    /// A one-line description.
    pub about: &'static str,
    /// Whether empty text means unset.
    pub may_be_empty: bool,
    pub flag: Option<Flag>,
}

/// The flag that sets a key. Its name gives the environment variable: `--node-image`, `MILVUSCTL_NODE_IMAGE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Without the leading dashes.
    pub name: &'static str,
    /// The value's placeholder in the help; empty for a switch.
    pub value: &'static str,
    pub group: FlagGroup,
    /// The default as shown in the help; empty if not worth showing.
    pub default: &'static str,
    /// The help text instead of [`Key::about`], if the flag negates the setting.
    pub about: &'static str,
}

/// Flags that a command takes together or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagGroup {
    /// Every command.
    Global,
    /// What to deploy: `up`, `render`, `doctor`, `images plan`, `images save`.
    Plan,
    /// Where images come from: the commands above and those that load images.
    Mirror,
    /// How images are downloaded: commands that load or save images.
    Fetch,
    /// How images get into nodes: commands that load images.
    Load,
    /// Where downloaded images are kept: the commands above and those that prune the store.
    Store,
    /// How `up` behaves.
    Up,
}

impl Flag {
    /// The equivalent environment variable: `MILVUSCTL_NODE_IMAGE`.
    pub fn variable(&self) -> String {
        variable(self.name)
    }
}

/// The environment variable equivalent to the flag `flag`.
pub fn variable(flag: &str) -> String {
    format!("MILVUSCTL_{}", flag.replace('-', "_").to_uppercase())
}

#[expect(clippy::unnecessary_wraps, reason = "the table holds an `Option`")]
const fn flag(
    group: FlagGroup,
    name: &'static str,
    value: &'static str,
    default: &'static str,
) -> Option<Flag> {
    Some(Flag { name, value, group, default, about: "" })
}

/// A switch that turns a setting off.
#[expect(clippy::unnecessary_wraps, reason = "the table holds an `Option`")]
const fn switch_off(group: FlagGroup, name: &'static str, about: &'static str) -> Option<Flag> {
    Some(Flag { name, value: "", group, default: "", about })
}

macro_rules! keys {
    ($($name:ident, $path:literal, $kind:expr, $empty:literal, $flag:expr, $about:literal;)+) => {
        $(
            #[doc = concat!("`", $path, "`: ", $about, ".")]
            pub const $name: Key = Key { path: $path, kind: $kind, about: $about, may_be_empty: $empty, flag: $flag };
        )+
        /// Every key, in the order `render config` prints them.
        pub const ALL: &[Key] = &[$($name),+];
    };
}

use FlagGroup::{Fetch, Global, Load, Mirror, Plan, Store, Up};
use ValueKind::{Bool, Duration, Integer, OneOf, Path, Quantity, Rules, Text, Texts, Tree};

const NODE_PORT: ValueKind = Integer(30000, 32767);
const REPLICAS: ValueKind = Integer(0, 1000);

keys! {
    SMALL, "small", Bool, false, flag(Plan, "small", "", ""), "One node, standalone Milvus, small requests";
    CLUSTER_NAME, "cluster.name", Text, false, flag(Global, "name", "CLUSTER", "milvus-cluster"), "Name of the kind cluster";
    CLUSTER_CONTEXT, "cluster.context", Text, true, flag(Global, "context", "CTX", ""), "Use this existing Kubernetes context instead of a kind cluster";
    CLUSTER_WORKERS, "cluster.workers", Integer(0, 9), false, flag(Plan, "workers", "N", "3"), "Worker nodes besides the control plane";
    CLUSTER_NODE_IMAGE, "cluster.nodeImage", Text, true, flag(Plan, "node-image", "REF", "kind's own"), "Node image, or a version of kind's own such as `v1.33.1`";
    CLUSTER_SERVICE_SUBNET, "cluster.serviceSubnet", Text, false, None, "Service subnet in CIDR notation";
    CLUSTER_PORTS, "cluster.ports", Texts, false, flag(Plan, "port", "HOST:NODE", "31000:31000 19530:31530"), "Map a host port to a node port; repeatable";
    CLUSTER_LISTEN_ADDRESS, "cluster.listenAddress", Text, false, flag(Plan, "listen", "ADDR", "127.0.0.1"), "Host address that the ports listen on";
    CLUSTER_KIND_CONFIG, "cluster.kindConfig", Path, true, flag(Plan, "kind-config", "FILE", ""), "Your own kind config, used as is; `-` reads standard input";
    MIRROR_PRESET, "mirror.preset", OneOf(Preset::VARIANTS), false, flag(Mirror, "mirror-preset", "PRESET", "aliyun"), "Well-known mirrors to use after your own";
    MIRROR_RULES, "mirror.rules", Rules, false, flag(Mirror, "mirror", "REG=PREFIX", ""), "Pull REG's images from PREFIX; repeatable, tried in order";
    MIRROR_PUSH, "mirror.push", Text, true, flag(Plan, "push", "REGISTRY/PREFIX", ""), "With --context: push the images here and have the cluster pull them from there";
    OPERATOR_VERSION, "operator.version", Text, true, flag(Plan, "operator-version", "V", "the newest known"), "milvus-operator chart version";
    OPERATOR_REPO, "operator.repo", Text, false, flag(Plan, "operator-repo", "URL", ""), "milvus-operator chart repository; `@NAME` for one that helm knows";
    OPERATOR_NAMESPACE, "operator.namespace", Text, false, None, "Namespace of the milvus-operator";
    OPERATOR_IMAGE, "operator.image", Text, true, None, "milvus-operator image; empty uses the chart's";
    OPERATOR_VALUES_FILE, "operator.valuesFile", Path, true, None, "Helm values merged over milvusctl's own";
    MILVUS_NAME, "milvus.name", Text, false, None, "Name of the Milvus resource";
    MILVUS_NAMESPACE, "milvus.namespace", Text, false, None, "Namespace of the Milvus resource";
    MILVUS_MODE, "milvus.mode", OneOf(Mode::VARIANTS), false, flag(Plan, "mode", "MODE", "cluster"), "Run Milvus as one pod or as a cluster of components";
    MILVUS_VERSION, "milvus.version", Text, true, flag(Plan, "milvus-version", "V", "the operator's"), "Milvus version";
    MILVUS_IMAGE, "milvus.image", Text, true, None, "Milvus image; empty is milvusdb/milvus at the version";
    MILVUS_MESSAGE_STORE, "milvus.messageStore", OneOf(MessageStore::VARIANTS), true, flag(Plan, "message-store", "STORE", "the operator's"), "What carries Milvus's log";
    MILVUS_TOPIC_PREFIX, "milvus.topicPrefix", Text, true, None, "Topic prefix, for a message store shared by several Milvus instances";
    MILVUS_NODE_PORT, "milvus.nodePort", NODE_PORT, false, None, "Node port that Milvus is exposed on";
    MILVUS_SIZING, "milvus.sizing", OneOf(Sizing::VARIANTS), true, None, "How much the components request";
    MILVUS_DELETION_POLICY, "milvus.deletionPolicy", OneOf(DeletionPolicy::VARIANTS), false, None, "What happens to the dependencies when Milvus is deleted";
    MILVUS_DELETE_VOLUMES, "milvus.deleteVolumes", Bool, false, None, "Delete the dependencies' volumes along with them";
    MILVUS_ETCD_EXTERNAL, "milvus.etcd.external", Texts, false, None, "Endpoints of an external etcd, HOST:PORT";
    MILVUS_ETCD_ROOT_PATH, "milvus.etcd.rootPath", Text, true, None, "Prefix of all keys in etcd";
    MILVUS_STORAGE_TYPE, "milvus.storage.type", OneOf(StorageType::VARIANTS), false, None, "Protocol of the external object storage";
    MILVUS_STORAGE_ENDPOINT, "milvus.storage.endpoint", Text, true, None, "External object storage, HOST:PORT";
    MILVUS_STORAGE_BUCKET, "milvus.storage.bucket", Text, true, None, "Bucket";
    MILVUS_STORAGE_ROOT_PATH, "milvus.storage.rootPath", Text, true, None, "Prefix of all objects in the bucket";
    MILVUS_STORAGE_REGION, "milvus.storage.region", Text, true, None, "Region of the object storage";
    MILVUS_STORAGE_USE_SSL, "milvus.storage.useSSL", Bool, false, None, "Use TLS for the object storage";
    MILVUS_STORAGE_USE_IAM, "milvus.storage.useIAM", Bool, false, None, "Let pods authenticate with their IAM identity, without a Secret";
    MILVUS_STORAGE_SECRET_REF, "milvus.storage.secretRef", Text, true, None, "Existing Secret with accesskey and secretkey";
    MILVUS_STORAGE_ACCESS_KEY_ENV, "milvus.storage.accessKeyEnv", Text, true, None, "Environment variable that holds the access key";
    MILVUS_STORAGE_SECRET_KEY_ENV, "milvus.storage.secretKeyEnv", Text, true, None, "Environment variable that holds the secret key";
    MILVUS_STORAGE_ACCESS_KEY_FILE, "milvus.storage.accessKeyFile", Path, true, None, "File that holds the access key";
    MILVUS_STORAGE_SECRET_KEY_FILE, "milvus.storage.secretKeyFile", Path, true, None, "File that holds the secret key";
    MILVUS_PULSAR_EXTERNAL, "milvus.pulsar.external", Text, true, None, "External Pulsar, HOST:PORT";
    MILVUS_KAFKA_EXTERNAL, "milvus.kafka.external", Texts, false, None, "Brokers of an external Kafka, HOST:PORT";
    MILVUS_VOLUMES_ETCD, "milvus.volumes.etcd", Quantity, true, None, "Size of each etcd volume; empty is the chart's 10Gi";
    MILVUS_VOLUMES_STORAGE, "milvus.volumes.storage", Quantity, true, None, "Size of each MinIO volume; empty is the chart's 500Gi";
    MILVUS_VOLUMES_ZOOKEEPER, "milvus.volumes.zookeeper", Quantity, true, None, "Size of each ZooKeeper volume of Pulsar or Kafka";
    MILVUS_VOLUMES_JOURNAL, "milvus.volumes.journal", Quantity, true, None, "Size of each BookKeeper journal of Pulsar; empty is the chart's 100Gi";
    MILVUS_VOLUMES_LEDGERS, "milvus.volumes.ledgers", Quantity, true, None, "Size of each BookKeeper ledger volume of Pulsar; empty is the chart's 200Gi";
    MILVUS_VOLUMES_KAFKA, "milvus.volumes.kafka", Quantity, true, None, "Size of each Kafka volume; empty is the chart's 300Gi";
    MILVUS_VOLUMES_LOG, "milvus.volumes.log", Quantity, true, None, "Size of the volume of rocksmq or natsmq; empty is the operator's 5Gi";
    MILVUS_REQUESTS_CPU, "milvus.resources.requests.cpu", Quantity, true, None, "CPU request of each Milvus pod";
    MILVUS_REQUESTS_MEMORY, "milvus.resources.requests.memory", Quantity, true, None, "Memory request of each Milvus pod";
    MILVUS_LIMITS_CPU, "milvus.resources.limits.cpu", Quantity, true, None, "CPU limit of each Milvus pod";
    MILVUS_LIMITS_MEMORY, "milvus.resources.limits.memory", Quantity, true, None, "Memory limit of each Milvus pod";
    MILVUS_REPLICAS_STANDALONE, "milvus.replicas.standalone", REPLICAS, false, None, "Pods of a standalone Milvus";
    MILVUS_REPLICAS_PROXY, "milvus.replicas.proxy", REPLICAS, false, None, "Pods of the proxy";
    MILVUS_REPLICAS_MIX_COORD, "milvus.replicas.mixCoord", REPLICAS, false, None, "Pods of the mixed coordinator";
    MILVUS_REPLICAS_DATA_NODE, "milvus.replicas.dataNode", REPLICAS, false, None, "Pods of the data node";
    MILVUS_REPLICAS_QUERY_NODE, "milvus.replicas.queryNode", REPLICAS, false, None, "Pods of the query node";
    MILVUS_REPLICAS_INDEX_NODE, "milvus.replicas.indexNode", REPLICAS, false, None, "Pods of the index node, before Milvus 2.6";
    MILVUS_REPLICAS_STREAMING_NODE, "milvus.replicas.streamingNode", REPLICAS, false, None, "Pods of the streaming node, from Milvus 2.6 on";
    MILVUS_SPEC, "milvus.spec", Tree, false, None, "Merged unchanged over the spec of the Milvus resource";
    ATTU_ENABLED, "attu.enabled", Bool, false, switch_off(Plan, "no-attu", "Do not install Attu"), "Install Attu";
    ATTU_NODE_PORT, "attu.nodePort", NODE_PORT, false, None, "Node port that Attu is exposed on";
    ATTU_VERSION, "attu.version", Text, true, None, "Attu image tag; empty picks one that fits Milvus";
    IMAGES_PULL_WITH, "images.pullWith", OneOf(PullWith::VARIANTS), false, flag(Fetch, "pull-with", "HOW", "auto"), "Who downloads images: milvusctl or the container engine";
    IMAGES_STORE, "images.store", Path, true, flag(Store, "store", "DIR", "the user's cache folder"), "Folder that keeps downloaded images";
    IMAGES_JOBS, "images.jobs", Integer(1, 16), false, flag(Fetch, "jobs", "N", "3"), "How many images to download at a time";
    IMAGES_LOADER, "images.loader", OneOf(Loader::VARIANTS), false, flag(Load, "loader", "HOW", "auto"), "How images get into nodes";
    IMAGES_NODES, "images.nodes", OneOf(NodeChoice::VARIANTS), false, flag(Load, "nodes", "WHICH", "all"), "Which nodes get an image";
    IMAGES_BUNDLE, "images.bundle", Path, true, flag(Up, "bundle", "FILE", ""), "Take all images from this `images save` file and contact no registry";
    UP_TIMEOUT, "up.timeout", Duration, false, flag(Up, "timeout", "TIME", "20m"), "How long each step may take; images may take as long as they make progress";
    UP_SMOKE, "up.smoke", Bool, false, flag(Up, "smoke", "", ""), "Finish with the smoke test";
}

/// The replica keys and their components.
pub(super) const REPLICA_KEYS: &[(Key, &str)] = &[
    (MILVUS_REPLICAS_STANDALONE, "standalone"),
    (MILVUS_REPLICAS_PROXY, "proxy"),
    (MILVUS_REPLICAS_MIX_COORD, "mixCoord"),
    (MILVUS_REPLICAS_DATA_NODE, "dataNode"),
    (MILVUS_REPLICAS_QUERY_NODE, "queryNode"),
    (MILVUS_REPLICAS_INDEX_NODE, "indexNode"),
    (MILVUS_REPLICAS_STREAMING_NODE, "streamingNode"),
];

/// The volume size keys and their volumes.
pub(super) const VOLUME_KEYS: &[(Key, Volume)] = &[
    (MILVUS_VOLUMES_ETCD, Volume::Etcd),
    (MILVUS_VOLUMES_STORAGE, Volume::Storage),
    (MILVUS_VOLUMES_ZOOKEEPER, Volume::Zookeeper),
    (MILVUS_VOLUMES_JOURNAL, Volume::Journal),
    (MILVUS_VOLUMES_LEDGERS, Volume::Ledgers),
    (MILVUS_VOLUMES_KAFKA, Volume::Kafka),
    (MILVUS_VOLUMES_LOG, Volume::Log),
];

/// What a path in the configuration file denotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    Key(Key),
    /// A section that holds keys.
    Section,
    Nothing,
}

/// Returns what `path` denotes.
pub(super) fn find(path: &str) -> Lookup {
    if let Some(key) = ALL.iter().find(|key| key.path == path) {
        return Lookup::Key(*key);
    }
    let is_section =
        ALL.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')));
    if is_section { Lookup::Section } else { Lookup::Nothing }
}

/// Returns the names directly below `section`, sorted; the empty section is the top level.
pub(super) fn names_below(section: &str) -> Vec<&'static str> {
    let mut names: Vec<_> = ALL
        .iter()
        .filter_map(|key| {
            let rest = if section.is_empty() {
                key.path
            } else {
                key.path.strip_prefix(section)?.strip_prefix('.')?
            };
            rest.split('.').next()
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_also_a_section() {
        for key in ALL {
            assert!(
                ALL.iter().all(|other| !other.path.starts_with(&format!("{}.", key.path))),
                "{}",
                key.path
            );
        }
    }

    #[test]
    fn sections_and_keys_are_distinct() {
        assert_eq!(find("cluster.workers"), Lookup::Key(CLUSTER_WORKERS));
        assert_eq!(find("milvus.storage"), Lookup::Section);
        assert_eq!(find("milvus.stor"), Lookup::Nothing);
    }

    #[test]
    fn the_top_level_sections_are_the_documented_ones() {
        assert_eq!(
            names_below(""),
            ["attu", "cluster", "images", "milvus", "mirror", "operator", "small", "up"]
        );
        assert_eq!(names_below("mirror"), ["preset", "push", "rules"]);
    }
}
