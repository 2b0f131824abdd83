//! The settings, resolved from flags, environment, configuration file and defaults.
//!
//! Nothing here reads arguments, variables or files: those come in as values, and the result is either
//! [`Settings`] or every [`Problem`] at once.

mod compatible;
pub mod file;
mod image;
pub mod keys;
pub mod kind_file;
mod kind_lint;
mod kind_schema;
mod layer;
mod origin;
mod own_cluster;
mod own_spec;
mod reader;
mod resolve;
#[cfg(test)]
mod schema;
mod show;
mod storage;
#[cfg(test)]
mod tests;
pub(crate) mod types;
mod unmapped;
mod validate;
mod warnings;

use semver::Version;
use std::collections::BTreeMap;

pub(crate) use compatible::COMPONENTS_VERSION;
pub use image::ImageSetting;
pub use layer::{Layer, Raw};
pub use origin::{Origin, WithOrigin};
pub use resolve::resolve;
#[cfg(test)]
pub use schema::json_schema;
pub use show::{plan_flags, render as render_config};
pub use types::{
    Attu, Cluster, Credentials, DeletionPolicy, Images, MessageStore, Milvus, Mirror, Mode, Operator,
    PortMapping, SecretSource, Sizing, Up,
};
pub use unmapped::{Unmapped, unmapped};
pub(crate) use validate::duration;
pub(crate) use warnings::attu_line;
pub use warnings::warnings;

/// The configuration file read by default, if it exists.
pub const FILE_NAME: &str = "milvusctl.yaml";

/// All decisions made before anything runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Whether this is a small installation: one node, standalone, small requests.
    pub small: bool,
    /// The kind cluster, or the existing cluster in its place.
    pub cluster: Cluster,
    /// Where images come from.
    pub mirror: Mirror,
    pub operator: Operator,
    pub milvus: Milvus,
    pub attu: Attu,
    pub images: Images,
    /// How `up` behaves.
    pub up: Up,
    shown: BTreeMap<&'static str, WithOrigin<Raw>>,
}

impl Settings {
    /// Where the value of `key` came from.
    pub fn origin(&self, key: keys::Key) -> Origin {
        self.shown.get(key.path).map_or(Origin::Default, |given| given.from.clone())
    }

    /// The Kubernetes version in the node image's tag. `None` if the tag has none, and for an existing
    /// cluster.
    pub fn kubernetes(&self) -> Option<Version> {
        let image = self.cluster.node_image.as_ref().filter(|_| self.cluster.context.is_none())?;
        image.version()
    }

    /// Whether the cluster is too old for the Pulsar 3 chart, judged by its node image.
    pub fn needs_pulsar_2(&self) -> bool {
        self.kubernetes().as_ref().is_some_and(is_before_pulsar_3)
    }

    /// The Milvus release line that will run, as major and minor, if known.
    pub fn milvus_line(&self) -> Option<(u64, u64)> {
        resolve::milvus_line(&self.operator.version, self.milvus.version.as_ref(), self.milvus.image.as_ref())
    }
}

/// Whether this Kubernetes is too old for the Pulsar 3 chart (`kubeVersion: ">=1.21.0-0"`).
pub fn is_before_pulsar_3(kubernetes: &Version) -> bool {
    (kubernetes.major, kubernetes.minor) < (1, 21)
}

impl Default for Settings {
    fn default() -> Self {
        resolve(Layer::default(), None).expect("the defaults are valid; a test resolves them")
    }
}
