//! The keys of the configuration file: the one list that the reader, the schema, the flags and
//! `render config` share.

use super::types::{DeletionPolicy, MessageStore, MirrorPreset, Mode, Sizing, StorageType};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A Kubernetes quantity: text, or a number.
    Quantity,
    /// A length of time such as `20m`.
    Duration,
    Words(&'static [&'static str]),
    /// A whole number within these bounds.
    Integer(i64, i64),
    /// `true` or `false`.
    Truth,
    Texts,
    /// A file; in the configuration file relative to that file.
    Path,
    /// A list of `registry` and `prefix`.
    Rules,
    /// A mapping that is handed on as it is.
    Tree,
}

/// One key of the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The path from the top, parted by dots.
    pub path: &'static str,
    pub kind: Kind,
    /// What it means, as one line.
    pub about: &'static str,
    /// Whether an empty text means that nothing was said.
    pub may_be_empty: bool,
}

macro_rules! keys {
    ($($name:ident, $path:literal, $kind:expr, $empty:literal, $about:literal;)+) => {
        $(
            #[doc = concat!("`", $path, "`: ", $about, ".")]
            pub const $name: Key = Key { path: $path, kind: $kind, about: $about, may_be_empty: $empty };
        )+
        /// Every key, in the order in which `render config` prints them.
        pub const ALL: &[Key] = &[$($name),+];
    };
}

use Kind::{Duration, Integer, Path, Quantity, Rules, Text, Texts, Tree, Truth, Words};

const NODE_PORT: Kind = Integer(30000, 32767);
const REPLICAS: Kind = Integer(0, 1000);

keys! {
    SMALL, "small", Truth, false, "One node, standalone, small requests";
    CLUSTER_NAME, "cluster.name", Text, false, "Name of the kind cluster";
    CLUSTER_CONTEXT, "cluster.context", Text, true, "kubectl context of an existing cluster to use instead of kind";
    CLUSTER_WORKERS, "cluster.workers", Integer(0, 9), false, "Workers beside the one control plane";
    CLUSTER_NODE_IMAGE, "cluster.nodeImage", Text, true, "Node image; empty is kind's own default";
    CLUSTER_SERVICE_SUBNET, "cluster.serviceSubnet", Text, false, "Addresses of Services, as a CIDR block";
    CLUSTER_PORTS, "cluster.ports", Texts, false, "Host ports and the node ports behind them, HOST:NODE";
    CLUSTER_LISTEN_ADDRESS, "cluster.listenAddress", Text, false, "Host address that the ports listen on";
    CLUSTER_KIND_CONFIG, "cluster.kindConfig", Path, true, "kind configuration of your own, used as it is";
    MIRROR_PRESET, "mirror.preset", Words(MirrorPreset::WORDS), false, "Image repository and mirrors to use";
    MIRROR_RULES, "mirror.rules", Rules, false, "Mirrors of your own, tried before the preset's";
    MIRROR_PUSH, "mirror.push", Text, true, "Registry and prefix that images are pushed to for an existing cluster";
    OPERATOR_VERSION, "operator.version", Text, true, "Version of the milvus-operator chart";
    OPERATOR_REPO, "operator.repo", Text, false, "Chart repository of the milvus-operator";
    OPERATOR_NAMESPACE, "operator.namespace", Text, false, "Namespace of the milvus-operator";
    OPERATOR_IMAGE, "operator.image", Text, true, "Image of the milvus-operator; empty leaves it to the chart";
    OPERATOR_VALUES_FILE, "operator.valuesFile", Path, true, "Helm values merged over milvusctl's own";
    MILVUS_NAME, "milvus.name", Text, false, "Name of the Milvus resource";
    MILVUS_NAMESPACE, "milvus.namespace", Text, false, "Namespace of the Milvus";
    MILVUS_MODE, "milvus.mode", Words(Mode::WORDS), false, "One pod or several";
    MILVUS_VERSION, "milvus.version", Text, true, "Version of Milvus; empty leaves it to the operator";
    MILVUS_IMAGE, "milvus.image", Text, true, "Image of Milvus; empty is milvusdb/milvus at the version";
    MILVUS_MESSAGE_STORE, "milvus.messageStore", Words(MessageStore::WORDS), true, "What carries Milvus's log; empty leaves it to the operator";
    MILVUS_TOPIC_PREFIX, "milvus.topicPrefix", Text, true, "Prefix of this Milvus's topics, for a message store shared with others";
    MILVUS_NODE_PORT, "milvus.nodePort", NODE_PORT, false, "Node port that Milvus is exposed on";
    MILVUS_SIZING, "milvus.sizing", Words(Sizing::WORDS), true, "How much the parts of Milvus ask for";
    MILVUS_DELETION_POLICY, "milvus.deletionPolicy", Words(DeletionPolicy::WORDS), false, "What becomes of the dependencies when the Milvus is deleted";
    MILVUS_DELETE_VOLUMES, "milvus.deleteVolumes", Truth, false, "Whether the volumes of the dependencies go with them";
    MILVUS_ETCD_EXTERNAL, "milvus.etcd.external", Texts, false, "Endpoints of an etcd outside the cluster, HOST:PORT";
    MILVUS_ETCD_ROOT_PATH, "milvus.etcd.rootPath", Text, true, "Prefix of all keys in etcd";
    MILVUS_STORAGE_TYPE, "milvus.storage.type", Words(StorageType::WORDS), false, "Protocol of an object storage outside the cluster";
    MILVUS_STORAGE_ENDPOINT, "milvus.storage.endpoint", Text, true, "Object storage outside the cluster, HOST:PORT";
    MILVUS_STORAGE_BUCKET, "milvus.storage.bucket", Text, true, "Bucket";
    MILVUS_STORAGE_ROOT_PATH, "milvus.storage.rootPath", Text, true, "Prefix of all objects in the bucket";
    MILVUS_STORAGE_REGION, "milvus.storage.region", Text, true, "Region of the object storage";
    MILVUS_STORAGE_USE_SSL, "milvus.storage.useSSL", Truth, false, "Whether the object storage is reached over TLS";
    MILVUS_STORAGE_USE_IAM, "milvus.storage.useIAM", Truth, false, "Whether pods prove themselves by their identity, without a Secret";
    MILVUS_STORAGE_SECRET_REF, "milvus.storage.secretRef", Text, true, "Secret with accesskey and secretkey that exists already";
    MILVUS_STORAGE_ACCESS_KEY_ENV, "milvus.storage.accessKeyEnv", Text, true, "Environment variable that holds the access key";
    MILVUS_STORAGE_SECRET_KEY_ENV, "milvus.storage.secretKeyEnv", Text, true, "Environment variable that holds the secret key";
    MILVUS_STORAGE_ACCESS_KEY_FILE, "milvus.storage.accessKeyFile", Path, true, "File that holds the access key";
    MILVUS_STORAGE_SECRET_KEY_FILE, "milvus.storage.secretKeyFile", Path, true, "File that holds the secret key";
    MILVUS_PULSAR_EXTERNAL, "milvus.pulsar.external", Text, true, "Pulsar outside the cluster, HOST:PORT";
    MILVUS_KAFKA_EXTERNAL, "milvus.kafka.external", Texts, false, "Brokers of a Kafka outside the cluster, HOST:PORT";
    MILVUS_REQUESTS_CPU, "milvus.resources.requests.cpu", Quantity, true, "CPU that each Milvus pod asks for";
    MILVUS_REQUESTS_MEMORY, "milvus.resources.requests.memory", Quantity, true, "Memory that each Milvus pod asks for";
    MILVUS_LIMITS_CPU, "milvus.resources.limits.cpu", Quantity, true, "CPU that each Milvus pod may use";
    MILVUS_LIMITS_MEMORY, "milvus.resources.limits.memory", Quantity, true, "Memory that each Milvus pod may use";
    MILVUS_REPLICAS_STANDALONE, "milvus.replicas.standalone", REPLICAS, false, "Pods of a standalone Milvus";
    MILVUS_REPLICAS_PROXY, "milvus.replicas.proxy", REPLICAS, false, "Pods of the proxy";
    MILVUS_REPLICAS_MIX_COORD, "milvus.replicas.mixCoord", REPLICAS, false, "Pods of the mixed coordinator";
    MILVUS_REPLICAS_DATA_NODE, "milvus.replicas.dataNode", REPLICAS, false, "Pods of the data node";
    MILVUS_REPLICAS_QUERY_NODE, "milvus.replicas.queryNode", REPLICAS, false, "Pods of the query node";
    MILVUS_REPLICAS_INDEX_NODE, "milvus.replicas.indexNode", REPLICAS, false, "Pods of the index node, before Milvus 2.6";
    MILVUS_REPLICAS_STREAMING_NODE, "milvus.replicas.streamingNode", REPLICAS, false, "Pods of the streaming node, since Milvus 2.6";
    MILVUS_SPEC, "milvus.spec", Tree, false, "Merged over the Milvus resource's spec as it is";
    ATTU_ENABLED, "attu.enabled", Truth, false, "Whether Attu is installed";
    ATTU_NODE_PORT, "attu.nodePort", NODE_PORT, false, "Node port that Attu is exposed on";
    ATTU_VERSION, "attu.version", Text, true, "Tag of Attu's image; empty is one that fits Milvus";
    UP_TIMEOUT, "up.timeout", Duration, false, "How long `up` waits for Milvus";
    UP_SMOKE, "up.smoke", Truth, false, "Whether `up` ends with the smoke test";
}

/// The replica keys with the component that each is for.
pub(super) const REPLICA_KEYS: &[(Key, &str)] = &[
    (MILVUS_REPLICAS_STANDALONE, "standalone"),
    (MILVUS_REPLICAS_PROXY, "proxy"),
    (MILVUS_REPLICAS_MIX_COORD, "mixCoord"),
    (MILVUS_REPLICAS_DATA_NODE, "dataNode"),
    (MILVUS_REPLICAS_QUERY_NODE, "queryNode"),
    (MILVUS_REPLICAS_INDEX_NODE, "indexNode"),
    (MILVUS_REPLICAS_STREAMING_NODE, "streamingNode"),
];

/// What a path of the configuration file leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Key(Key),
    /// A section that holds keys.
    Section,
    Nothing,
}

/// Returns what `path` leads to.
pub(super) fn find(path: &str) -> Found {
    if let Some(key) = ALL.iter().find(|key| key.path == path) {
        return Found::Key(*key);
    }
    let is_section =
        ALL.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')));
    if is_section { Found::Section } else { Found::Nothing }
}

/// Returns the names directly below `section`, sorted; the empty section is the top of the file.
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
    fn sections_and_keys_are_told_apart() {
        assert_eq!(find("cluster.workers"), Found::Key(CLUSTER_WORKERS));
        assert_eq!(find("milvus.storage"), Found::Section);
        assert_eq!(find("milvus.stor"), Found::Nothing);
    }

    #[test]
    fn the_top_of_the_file_has_the_sections_of_the_contract() {
        assert_eq!(names_below(""), ["attu", "cluster", "milvus", "mirror", "operator", "small", "up"]);
        assert_eq!(names_below("mirror"), ["preset", "push", "rules"]);
    }
}
