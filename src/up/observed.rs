//! The observed state, which the plan compares with the wanted one.

use semver::Version;

use crate::cluster::state::ClusterState;
use crate::images::ImageRef;
use crate::images::catalog::release_order;
use crate::milvus::belongings::EmptyRelease;
use crate::milvus::operator::ForeignOperator;
use crate::settings::Unmapped;

/// The state of the operator's release.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum OperatorState {
    #[default]
    Absent,
    AsWanted,
    /// Installed differently or incompletely; says why to upgrade it.
    Differs(String),
    /// helm was interrupted, or is still working on it.
    Unfinished(Unfinished),
    /// Installed by somebody else; left alone.
    NotOurs(ForeignOperator),
}

/// A release with an unfinished helm operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfinished {
    /// The helm status, such as `pending-upgrade`.
    pub(super) status: String,
    /// Whether milvusctl owns it.
    pub(super) is_ours: bool,
}

/// A foreign object under a name that milvusctl would write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Foreign {
    /// The Secret with the object storage keys.
    StorageSecret,
    /// A node's `hosts.toml` for a registry.
    Hosts { node: String, path: String },
}

/// A component that would be downgraded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Downgrade {
    /// The component, such as `milvus-operator`.
    pub(super) part: &'static str,
    pub(super) from: Version,
    /// The wanted release.
    pub(super) to: Version,
}

/// Compares the running release with the wanted one, if both are versions.
///
/// An older Milvus may not read data written by a newer one, and an older operator's resource definition may
/// not know fields set by a newer one.
pub(super) fn downgrade(
    part: &'static str,
    running: Option<&str>,
    wanted: Option<&Version>,
) -> Option<Downgrade> {
    let (from, to) = (Version::parse(running?.trim_start_matches('v')).ok()?, wanted?);
    (release_order(to) < release_order(&from)).then(|| Downgrade { part, from, to: to.clone() })
}

/// The state of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ResourceState {
    /// No resource of that name.
    #[default]
    Absent,
    AsWanted,
    /// Ours, but not as wanted.
    Differs,
    /// Created by somebody else; left alone.
    NotOurs,
}

/// The observed state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Observed {
    pub(super) cluster: ClusterState,
    /// Whether the kubeconfig has the cluster's context.
    pub(super) has_context: bool,
    pub(super) operator: OperatorState,
    pub(super) milvus: ResourceState,
    /// The UID of a Milvus of that name being deleted.
    pub(super) leaving: Option<String>,
    /// Helm releases of dependencies without any workloads.
    pub(super) empty_releases: Vec<EmptyRelease>,
    /// Whether Milvus is healthy and all its workloads are ready.
    pub(super) is_healthy: bool,
    /// What is not well with workloads and images of others, in words.
    pub(super) others: Vec<String>,
    pub(super) attu: ResourceState,
    /// Whether containerd on every node knows the mirrors.
    pub(super) mirrors_as_wanted: bool,
    /// Components that would be downgraded.
    pub(super) downgrades: Vec<Downgrade>,
    /// Node ports that should be exposed but cannot be.
    pub(super) unmapped: Vec<Unmapped>,
    /// How the cluster differs from what was asked for, such as `1 worker (not 2)`.
    pub(super) differences: Vec<String>,
    /// What is still needed from the bundle; empty without one.
    pub(super) bundle: BundleState,
    /// What would be lost by changing the running Milvus to the wanted one.
    pub(super) losses: Vec<String>,
    /// Foreign objects that would be overwritten.
    pub(super) in_the_way: Vec<Foreign>,
    /// The existing Milvus, if ours.
    pub(super) live: Option<serde_json::Value>,
    /// The Kubernetes version of an existing cluster too old for the Pulsar that the operator would install.
    pub(super) old_kubernetes: Option<Version>,
}

impl Observed {
    /// Whether the operator is managed by milvusctl, so that it is or will be at the release in the settings.
    pub(super) fn is_our_operator(&self) -> bool {
        !matches!(self.operator, OperatorState::NotOurs(_))
    }

    /// Whether a cluster exists that must be started before it can be observed.
    pub(super) fn is_unobservable(&self) -> bool {
        match &self.cluster {
            ClusterState::Stopped(_) => true,
            ClusterState::Running => !self.has_context,
            ClusterState::Absent | ClusterState::HalfCreated | ClusterState::Foreign => false,
        }
    }
}

/// What is still needed from a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct BundleState {
    /// Images for nodes that are missing in the store.
    pub(super) store_lacks: Vec<ImageRef>,
    /// The node image and images to push that are missing in the engine.
    pub(super) engine_lacks: Vec<ImageRef>,
}
