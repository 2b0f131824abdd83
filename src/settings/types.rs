//! What the settings say once they are resolved: checked values without a trace of where they came from.

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
use crate::words::words;

words! {
    /// Whether Milvus runs in one pod or in several.
    Mode {
        /// All components in one pod.
        Standalone = "standalone",
        /// Each component in pods of its own.
        Cluster = "cluster",
    }
}

words! {
    /// What carries Milvus's log of changes.
    MessageStore {
        Pulsar = "pulsar",
        Kafka = "kafka",
        /// Milvus's own, on the object storage; since Milvus 2.6.
        Woodpecker = "woodpecker",
        /// Embedded in the one pod of a standalone Milvus.
        Rocksmq = "rocksmq",
        /// Embedded like rocksmq; removed in Milvus 2.6.
        Natsmq = "natsmq",
    }
}

words! {
    /// How much the parts of Milvus ask for.
    Sizing {
        /// One replica of everything, for a laptop or a CI job.
        Small = "small",
        /// The operator's replicas, with requests that a laptop's scheduler can grant.
        Laptop = "laptop",
        /// Whatever the operator does by itself.
        Operator = "operator",
    }
}

words! {
    /// What becomes of the dependencies when the Milvus is deleted.
    DeletionPolicy {
        Delete = "Delete",
        /// They stay; the operator's default.
        Retain = "Retain",
    }
}

words! {
    /// The protocol of an external object storage.
    StorageType {
        /// Amazon S3, and what speaks like it.
        S3 = "S3",
        Minio = "MinIO",
        Azure = "Azure",
    }
}

/// A host port and the node port behind it.
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
    /// The kubectl context of an existing cluster that is used instead of a kind cluster.
    pub context: Option<String>,
    /// One, unless a kind configuration of the user's own says otherwise.
    pub control_planes: u8,
    /// How many workers stand beside the control plane.
    pub workers: u8,
    /// The node image; `None` is kind's own default.
    pub node_image: Option<ImageSetting>,
    /// The addresses of Services, as a CIDR block.
    pub service_subnet: String,
    /// The host ports that reach node ports.
    pub ports: Vec<PortMapping>,
    /// The host's address that the ports listen on.
    pub listen_address: IpAddr,
    /// Where the user's own kind configuration is.
    pub kind_config: Option<PathBuf>,
    /// What it is, once read; then the other settings of the cluster are its.
    pub own: Option<OwnConfig>,
}

/// A kind configuration of the user's own, used in place of the rendered one.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnConfig {
    pub text: String,
    /// The text as it was read.
    pub document: Value,
    /// What in it, or beside it, will not do what it seems to.
    pub warnings: Vec<String>,
}

/// Where images come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub preset: Preset,
    /// The user's own rules, tried before the preset's, in order.
    pub rules: Vec<Rule>,
    /// The registry and prefix that an existing cluster pulls from, where images are pushed first.
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
    /// A file of helm values that is merged over milvusctl's.
    pub values_file: Option<PathBuf>,
}

/// Where a secret value is to be read from; never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    Environment(String),
    /// A file, whose last line end does not count.
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

/// How Milvus proves itself to an external object storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// By the identity of its pods; no secret.
    Iam,
    /// By a Secret that exists already.
    Existing(String),
    /// By a Secret that milvusctl makes of these.
    Made { access_key: SecretSource, secret_key: SecretSource },
}

/// An object storage outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalStorage {
    pub kind: StorageType,
    /// Its `host:port`.
    pub endpoint: String,
    /// Whether it is reached over TLS.
    pub use_ssl: bool,
    pub credentials: Credentials,
}

/// The object storage, within the cluster unless `external` is there.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Storage {
    /// The storage outside the cluster.
    pub external: Option<ExternalStorage>,
    pub bucket: Option<String>,
    /// The prefix of all objects in the bucket.
    pub root_path: Option<String>,
    pub region: Option<String>,
}

/// A kind of volume that a dependency claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volume {
    Etcd,
    Storage,
    /// Of Pulsar or Kafka.
    Zookeeper,
    /// Of Pulsar's `BookKeeper`.
    Journal,
    /// Of Pulsar's `BookKeeper`.
    Ledgers,
    Kafka,
    /// Of a message store within Milvus.
    Log,
}

/// Etcd, within the cluster unless there are external endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Etcd {
    /// The endpoints outside the cluster, `host:port`.
    pub external: Vec<String>,
    /// The prefix of all of this Milvus's keys.
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
    /// How much the parts ask for.
    pub sizing: Sizing,
    /// What becomes of the dependencies when the Milvus is deleted.
    pub deletion_policy: DeletionPolicy,
    /// Whether the dependencies' volumes go with them.
    pub delete_volumes: bool,
    pub etcd: Etcd,
    pub storage: Storage,
    /// The address of a Pulsar outside the cluster, `host:port`.
    pub pulsar: Option<String>,
    /// The addresses of a Kafka outside the cluster, `host:port`.
    pub kafka: Vec<String>,
    /// What each Milvus pod asks for: `requests.cpu` and so on, as Kubernetes quantities.
    pub resources: BTreeMap<String, BTreeMap<String, String>>,
    /// The sizes of the dependencies' volumes, as Kubernetes quantities; the charts' where nothing is said.
    pub volumes: BTreeMap<Volume, String>,
    /// Replicas by component, as the custom resource names them.
    pub replicas: BTreeMap<String, u32>,
    /// Merged over the custom resource's `spec` as it is.
    pub spec: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attu {
    pub enabled: bool,
    /// The node port that it is exposed on.
    pub node_port: u16,
    pub version: String,
}

/// How `up` behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Up {
    /// How long it waits for Milvus.
    pub timeout: Duration,
    /// Whether it ends with the smoke test.
    pub smoke: bool,
}

/// How images get from where they are into nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    pub pull_with: PullWith,
    /// The folder of the store; `None` is the user's cache folder.
    pub store: Option<PathBuf>,
    /// How many images are fetched at a time, 1 to 16.
    pub jobs: u8,
    pub loader: Loader,
    pub nodes: NodeChoice,
    /// The file that everything comes from; no registry is asked then.
    pub bundle: Option<PathBuf>,
}
