//! The resolved settings: validated values without their origins.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use semver::Version;
use serde::Serialize;
use serde_json::Value;

use super::image::ImageSetting;
use crate::images::loading::{Loader, NodeChoice, PullWith};
use crate::images::mirror::{Preset, Rule};
use crate::string_enum::string_enum;

string_enum! {
    /// Whether Milvus runs in one pod or in several.
    Mode {
        /// All components in one pod.
        Standalone = "standalone",
        /// Each component in pods of its own.
        Cluster = "cluster",
    }
}

string_enum! {
    /// What carries Milvus's write-ahead log.
    MessageStore {
        Pulsar = "pulsar",
        Kafka = "kafka",
        /// Milvus's own, on object storage; since Milvus 2.6.
        Woodpecker = "woodpecker",
        /// Embedded in the pod of a standalone Milvus.
        Rocksmq = "rocksmq",
        /// Embedded like rocksmq; removed in Milvus 2.6.
        Natsmq = "natsmq",
    }
}

string_enum! {
    /// How much the Milvus components request.
    Sizing {
        /// One replica of everything, for a laptop or a CI job.
        Small = "small",
        /// The operator's replicas, with requests that fit a laptop.
        Laptop = "laptop",
        /// The operator's defaults.
        Operator = "operator",
    }
}

string_enum! {
    /// What happens to the dependencies when Milvus is deleted.
    DeletionPolicy {
        Delete = "Delete",
        /// Keep them; the operator's default.
        Retain = "Retain",
    }
}

string_enum! {
    /// The protocol of an external object storage.
    StorageType {
        /// Amazon S3 and compatible services.
        S3 = "S3",
        Minio = "MinIO",
        Azure = "Azure",
    }
}

/// A host port mapped to a node port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PortMapping {
    /// The port on the host.
    pub host: u16,
    /// The port on the node.
    pub node: u16,
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.node)
    }
}

/// The kind cluster, or the existing cluster in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub name: String,
    /// The kubectl context of an existing cluster to use instead of a kind cluster.
    pub context: Option<String>,
    /// One, unless the user's own kind config has more.
    pub control_planes: u8,
    /// The number of worker nodes.
    pub workers: u8,
    /// The node image; `None` is kind's own default.
    pub node_image: Option<ImageSetting>,
    /// The Service subnet in CIDR notation.
    pub service_subnet: String,
    /// Host ports mapped to node ports.
    pub ports: Vec<PortMapping>,
    /// The host address that the ports listen on.
    pub listen_address: IpAddr,
    /// The path of the user's own kind config.
    pub kind_config: Option<PathBuf>,
    /// Its contents, once read; the other cluster settings then come from it.
    pub own: Option<OwnConfig>,
}

/// The user's own kind config, used instead of the rendered one.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnConfig {
    pub text: String,
    /// The parsed text.
    pub document: Value,
    /// Parts of it, or settings beside it, without their apparent effect.
    pub warnings: Vec<String>,
}

/// Where images come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub preset: Preset,
    /// The user's own rules, tried before the preset's, in order.
    pub rules: Vec<Rule>,
    /// The registry and prefix to push images to, for an existing cluster to pull from.
    pub push: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    pub version: Version,
    pub repo: String,
    /// The namespace the operator runs in.
    pub namespace: String,
    /// The operator's image; `None` leaves it to the chart.
    pub image: Option<ImageSetting>,
    /// A helm values file merged over milvusctl's own.
    pub values_file: Option<PathBuf>,
}

/// Where to read a secret value; never the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    Environment(String),
    /// A file; one trailing line end is ignored.
    File(PathBuf),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "the environment variable `{name}`"),
            Self::File(path) => write!(f, "the file `{}`", path.display()),
        }
    }
}

/// How Milvus authenticates to an external object storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// With the IAM identity of its pods; no secret.
    Iam,
    /// With an existing Secret.
    Existing(String),
    /// With a Secret that milvusctl creates from these.
    Made { access_key: SecretSource, secret_key: SecretSource },
}

/// An object storage outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalStorage {
    pub kind: StorageType,
    /// `host:port`.
    pub endpoint: String,
    /// Whether to use TLS.
    pub use_ssl: bool,
    pub credentials: Credentials,
}

/// The object storage; in the cluster unless `external` is set.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Storage {
    /// The storage outside the cluster.
    pub external: Option<ExternalStorage>,
    pub bucket: Option<String>,
    /// The prefix of all objects in the bucket.
    pub root_path: Option<String>,
    pub region: Option<String>,
}

/// A kind of volume claimed by a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volume {
    Etcd,
    Storage,
    /// For Pulsar or Kafka.
    Zookeeper,
    /// For Pulsar's `BookKeeper`.
    Journal,
    /// For Pulsar's `BookKeeper`.
    Ledgers,
    Kafka,
    /// For a message store embedded in Milvus.
    Log,
}

/// etcd; in the cluster unless external endpoints are set.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Etcd {
    /// The endpoints outside the cluster, `host:port`.
    pub external: Vec<String>,
    /// The prefix of all keys of this Milvus.
    pub root_path: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Milvus {
    pub name: String,
    pub namespace: String,
    /// One pod or several.
    pub mode: Mode,
    /// Milvus's version; `None` leaves it to the operator.
    pub version: Option<Version>,
    /// Milvus's image; `None` is `milvusdb/milvus` at `version`.
    pub image: Option<ImageSetting>,
    /// The message store; `None` leaves it to the operator.
    pub message_store: Option<MessageStore>,
    /// The prefix of this Milvus's topics or channels.
    pub topic_prefix: Option<String>,
    /// The node port that Milvus is exposed on.
    pub node_port: u16,
    /// How much the components request.
    pub sizing: Sizing,
    /// What happens to the dependencies when Milvus is deleted.
    pub deletion_policy: DeletionPolicy,
    /// Whether the dependencies' volumes go with them.
    pub delete_volumes: bool,
    pub etcd: Etcd,
    pub storage: Storage,
    /// The address of an external Pulsar, `host:port`.
    pub pulsar: Option<String>,
    /// The broker addresses of an external Kafka, `host:port`.
    pub kafka: Vec<String>,
    /// Resources of each Milvus pod: `requests.cpu` and so on, as Kubernetes quantities.
    pub resources: BTreeMap<String, BTreeMap<String, String>>,
    /// Volume sizes of the dependencies, as Kubernetes quantities; the charts' defaults if unset.
    pub volumes: BTreeMap<Volume, String>,
    /// Replicas by component, as the custom resource names them.
    pub replicas: BTreeMap<String, u32>,
    /// Merged unchanged over the custom resource's `spec`.
    pub spec: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attu {
    pub enabled: bool,
    /// The node port that Attu is exposed on.
    pub node_port: u16,
    pub version: String,
}

/// How `up` behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Up {
    /// How long to wait for Milvus.
    pub timeout: Duration,
    /// Whether to finish with the smoke test.
    pub smoke: bool,
}

/// How images are downloaded and loaded into nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    pub pull_with: PullWith,
    /// The image store; `None` is the user's cache folder.
    pub store: Option<PathBuf>,
    /// The number of concurrent downloads, 1 to 16.
    pub jobs: u8,
    pub loader: Loader,
    pub nodes: NodeChoice,
    /// The bundle to take all images from; no registry is contacted then.
    pub bundle: Option<PathBuf>,
}
