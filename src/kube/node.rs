//! The fields of nodes that tell which pods they can run, and the scheduler's rules for it.
//!
//! Only what permanently keeps a pod off a node counts: labels, required affinity and taints, but not free
//! resources.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The taint of a cordoned node.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// The taint of a control plane.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// The nodes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeList {
    pub items: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Node {
    pub metadata: NodeMetadata,
    /// What keeps pods away from it.
    #[serde(default)]
    pub spec: NodeSpec,
    #[serde(default)]
    pub status: NodeStatus,
}

/// The name and labels of a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeMetadata {
    pub name: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// What keeps pods away from a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct NodeSpec {
    #[serde(default)]
    pub taints: Vec<Taint>,
    /// Whether the node is cordoned.
    #[serde(default)]
    pub unschedulable: bool,
}

/// A taint, which keeps pods that do not tolerate it off a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Taint {
    /// The key, such as `node-role.kubernetes.io/control-plane`.
    pub key: String,
    #[serde(default)]
    pub value: String,
    /// What it does to pods.
    pub effect: TaintEffect,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum TaintEffect {
    /// They are not scheduled there.
    NoSchedule,
    /// They are not scheduled there if another node will do.
    PreferNoSchedule,
    /// They are not scheduled there, and running ones are evicted.
    NoExecute,
}

/// What a node is and how it fares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The resources that pods may use.
    #[serde(default)]
    pub allocatable: Allocatable,
    /// The conditions, of which only `Ready` is used.
    #[serde(default)]
    pub conditions: Vec<NodeCondition>,
    /// The versions and the platform.
    #[serde(default)]
    pub node_info: NodeInfo,
    /// The images that the kubelet reports: the largest, up to `nodeStatusMaxImages`.
    #[serde(default)]
    pub images: Vec<ImageOnNode>,
    #[serde(default)]
    pub addresses: Vec<NodeAddress>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeAddress {
    /// Such as `InternalIP`.
    #[serde(rename = "type")]
    pub kind: String,
    pub address: String,
}

impl NodeList {
    /// An address of a node, preferably an external one.
    pub fn address(&self) -> Option<String> {
        ["ExternalIP", "InternalIP"].iter().find_map(|kind| {
            let mut addresses = self.items.iter().flat_map(|node| &node.status.addresses);
            addresses.find(|address| address.kind == *kind).map(|address| address.address.clone())
        })
    }
}

/// An image on a node, as reported by the kubelet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageOnNode {
    /// Null if the image has none.
    #[serde(default)]
    pub names: Option<Vec<String>>,
    #[serde(default)]
    pub size_bytes: u64,
}

/// The resources that pods may use, as Kubernetes quantities (`3956Mi`, `1500m`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Allocatable {
    #[serde(default)]
    pub cpu: String,
    #[serde(default)]
    pub memory: String,
}

/// One condition of a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeCondition {
    /// Such as `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    #[serde(default)]
    pub message: String,
}

/// A node's versions and platform.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeInfo {
    /// The architecture in Go's terms: `amd64`, `arm64`.
    pub architecture: String,
    /// The operating system: `linux`.
    pub operating_system: String,
    /// The kubelet's version: `v1.32.2`.
    pub kubelet_version: String,
    /// The container runtime and its version: `containerd://2.0.2`.
    pub container_runtime_version: String,
}

/// A pod's affinity rules, of which only those about nodes are parsed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Affinity {
    #[serde(default)]
    node_affinity: Option<NodeAffinity>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
struct NodeAffinity {
    #[serde(default, rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Option<NodeSelector>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeSelector {
    #[serde(default)]
    node_selector_terms: Vec<NodeSelectorTerm>,
}

/// Requirements on a node that must all hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelectorTerm {
    match_expressions: Vec<Requirement>,
    match_fields: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Requirement {
    key: String,
    operator: MatchOperator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum MatchOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
    /// An operator of a newer Kubernetes. As for the scheduler, no node fits a requirement that cannot be
    /// parsed.
    #[serde(other)]
    Unknown,
}

/// A taint, or a set of taints, that a pod tolerates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(default)]
pub struct Toleration {
    key: String,
    operator: TolerationOperator,
    value: String,
    effect: Option<TaintEffect>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
enum TolerationOperator {
    #[default]
    Equal,
    Exists,
    #[serde(other)]
    Unknown,
}

/// Which nodes a pod accepts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Placement {
    /// The labels that the node must have.
    pub node_selector: BTreeMap<String, String>,
    /// The terms of which one must hold; `None` if there is no rule.
    pub required: Option<Vec<NodeSelectorTerm>>,
    /// The taints that the pod puts up with.
    pub tolerations: Vec<Toleration>,
}

impl NodeList {
    /// Parses the output of `kubectl get nodes -o json`.
    ///
    /// # Errors
    /// Fails when `json` is not a JSON list of nodes; the error has the line and column.
    pub fn from_slice(json: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(json)
    }
}

impl Node {
    /// Returns the size of the image that the kubelet lists as `name`.
    pub fn image_bytes(&self, name: &str) -> Option<u64> {
        let has_name = |image: &&ImageOnNode| image.names.iter().flatten().any(|known| known == name);
        self.status.images.iter().find(has_name).map(|image| image.size_bytes)
    }

    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Returns node `index` of a cluster that kind will create, control planes first. kind taints those
    /// unless there is only a single node (kubeadminit/init.go).
    pub fn planned(name: &str, index: usize, control_planes: usize, of: usize) -> Self {
        let taint =
            Taint { key: CONTROL_PLANE.to_owned(), value: String::new(), effect: TaintEffect::NoSchedule };
        let is_tainted = index < control_planes && of > 1;
        Self {
            metadata: NodeMetadata { name: name.to_owned(), labels: BTreeMap::new() },
            spec: NodeSpec {
                taints: is_tainted.then_some(taint).into_iter().collect(),
                ..NodeSpec::default()
            },
            status: NodeStatus::default(),
        }
    }

    /// Returns whether the kubelet reports the node as ready.
    pub fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True")
    }
}

impl Affinity {
    /// Returns the terms of which a node must meet one.
    pub fn required_terms(&self) -> Option<&Vec<NodeSelectorTerm>> {
        Some(&self.node_affinity.as_ref()?.required.as_ref()?.node_selector_terms)
    }
}

impl Placement {
    /// Accepts the nodes that take pods without tolerations, even if not ready yet.
    ///
    /// The node controller and the cloud provider mark the latter with these taints (Kubernetes: Taints and
    /// Tolerations).
    pub fn once_ready() -> Self {
        let keys = [
            "node.kubernetes.io/not-ready",
            "node.kubernetes.io/unreachable",
            "node.kubernetes.io/network-unavailable",
            "node.cloudprovider.kubernetes.io/uninitialized",
        ];
        let tolerations = keys.map(|key| Toleration {
            key: key.to_owned(),
            operator: TolerationOperator::Exists,
            ..Toleration::default()
        });
        Self { tolerations: tolerations.into(), ..Self::default() }
    }
}

/// Returns whether the scheduler could place a pod with `placement` on `node`, by labels, affinity and
/// taints.
///
/// A cordoned or unready node only takes new pods that tolerate that; the node controller taints unready
/// nodes.
pub fn can_run(placement: &Placement, node: &Node) -> bool {
    let labels = &node.metadata.labels;
    let selected = placement.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value));
    // An empty list of terms matches nothing, and so does an empty term.
    let required =
        placement.required.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node)));
    let cordon = node.spec.unschedulable.then(|| Taint {
        key: UNSCHEDULABLE.to_owned(),
        value: String::new(),
        effect: TaintEffect::NoSchedule,
    });
    let tolerated = node
        .spec
        .taints
        .iter()
        .chain(&cordon)
        .filter(|taint| taint.effect != TaintEffect::PreferNoSchedule)
        .all(|taint| placement.tolerations.iter().any(|toleration| toleration.tolerates(taint)));
    selected && required && tolerated
}

impl NodeSelectorTerm {
    fn matches(&self, node: &Node) -> bool {
        let fields = BTreeMap::from([("metadata.name".to_owned(), node.metadata.name.clone())]);
        let has_demands = !self.match_expressions.is_empty() || !self.match_fields.is_empty();
        has_demands
            && self.match_expressions.iter().all(|demand| demand.holds(&node.metadata.labels))
            && self.match_fields.iter().all(|demand| demand.holds(&fields))
    }
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            MatchOperator::In => value.is_some_and(|value| self.values.contains(value)),
            MatchOperator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            MatchOperator::Exists => value.is_some(),
            MatchOperator::DoesNotExist => value.is_none(),
            MatchOperator::Gt => self.compare(value).is_some_and(|(value, bound)| value > bound),
            MatchOperator::Lt => self.compare(value).is_some_and(|(value, bound)| value < bound),
            MatchOperator::Unknown => false,
        }
    }

    /// Returns the label's value and the bound as numbers, or `None` if one is not a number.
    fn compare(&self, value: Option<&String>) -> Option<(i64, i64)> {
        Some((value?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

impl Toleration {
    fn tolerates(&self, taint: &Taint) -> bool {
        let value_fits = match self.operator {
            TolerationOperator::Exists => true,
            TolerationOperator::Equal => self.value == taint.value,
            TolerationOperator::Unknown => false,
        };
        // An empty key matches every taint; Kubernetes then only allows `Exists`.
        (self.key.is_empty() || self.key == taint.key)
            && self.effect.is_none_or(|effect| effect == taint.effect)
            && value_fits
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
