//! The fields of pods that matter here: images, placement, owners and ports.
//!
//! Parses `kubectl get pods -o json`, borrowing from its bytes and skipping all other fields: the output for
//! 50,000 pods has hundreds of megabytes.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::kube::node::{Affinity, Placement, Toleration};
use crate::kube::pod_status::{ContainerStatus, PodCondition, PodStatus, Waiting};
use crate::text::Text;

/// The pods of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct PodList<'a> {
    #[serde(borrow)]
    pub items: Vec<Pod<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pod<'a> {
    #[serde(borrow)]
    pub metadata: PodMetadata<'a>,
    #[serde(borrow, default)]
    pub spec: PodSpec<'a>,
    #[serde(borrow, default)]
    pub status: PodStatus<'a>,
}

/// A pod's name, owners and labels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodMetadata<'a> {
    /// The namespace; empty only in documents that were never sent to a cluster.
    #[serde(borrow, default)]
    pub namespace: Text<'a>,
    /// The name within the namespace.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// The UID, which changes when the pod is deleted and recreated.
    #[serde(borrow, default)]
    pub uid: Text<'a>,
    /// The owners: without a controller among them, nothing recreates the pod.
    #[serde(borrow, default)]
    pub owner_references: Vec<OwnerReference<'a>>,
    #[serde(borrow, default)]
    pub labels: BTreeMap<Text<'a>, Text<'a>>,
    /// When the pod's deletion began.
    #[serde(borrow, default)]
    pub deletion_timestamp: Option<Text<'a>>,
}

/// An object that a pod belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OwnerReference<'a> {
    /// The kind, such as `ReplicaSet`; `Node` for a static pod.
    #[serde(borrow)]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Whether this object recreates the pod when it is gone.
    #[serde(default)]
    pub controller: bool,
}

/// A pod's containers and where it may run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec<'a> {
    /// The pod's main containers.
    #[serde(borrow, default)]
    pub containers: Vec<Container<'a>>,
    /// The containers that run before the others start.
    #[serde(borrow, default)]
    pub init_containers: Vec<Container<'a>>,
    /// The containers that `kubectl debug` added.
    #[serde(borrow, default)]
    pub ephemeral_containers: Vec<Container<'a>>,
    /// The volumes, of which only image volumes are parsed.
    #[serde(borrow, default)]
    pub volumes: Vec<PodVolume<'a>>,
    /// The node that the pod is scheduled to; without one it waits for the scheduler, not for an image.
    #[serde(borrow, default)]
    pub node_name: Option<Text<'a>>,
    /// The labels that a node must have.
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
    /// Further rules about nodes.
    #[serde(default)]
    pub affinity: Option<Affinity>,
    /// The taints that the pod tolerates.
    #[serde(default)]
    pub tolerations: Vec<Toleration>,
}

/// One container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container<'a> {
    /// The name that the status refers to.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// The image as the author wrote it; empty where a controller still has to fill it in.
    #[serde(borrow, default)]
    pub image: Text<'a>,
    /// When the kubelet contacts the registry. The API server always sets it, to `Always` for `:latest`.
    #[serde(default)]
    pub image_pull_policy: PullPolicy,
    #[serde(borrow, default)]
    pub ports: Vec<ContainerPort<'a>>,
    /// The volumes that it mounts.
    #[serde(borrow, default)]
    pub volume_mounts: Vec<VolumeMount<'a>>,
}

/// A port that a container listens on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort<'a> {
    /// The name that a Service may refer to.
    #[serde(borrow, default)]
    pub name: Text<'a>,
    pub container_port: u16,
}

/// A volume of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PodVolume<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    /// The image whose files it holds; absent for any other kind of volume.
    #[serde(borrow, default)]
    pub image: Option<ImageVolume<'a>>,
}

/// The image of a volume (Kubernetes 1.31 and later).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageVolume<'a> {
    /// The image as the author wrote it; empty where a controller still has to fill it in.
    #[serde(borrow, default)]
    pub reference: Text<'a>,
    #[serde(default)]
    pub pull_policy: PullPolicy,
}

/// A volume mounted by a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VolumeMount<'a> {
    /// The volume's name.
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// An image that a pod uses, for a container or a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedImage<'p> {
    pub name: &'p str,
    pub pull_policy: PullPolicy,
}

/// When the kubelet contacts the registry for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize)]
pub enum PullPolicy {
    /// At every container start, so that a loaded image does not help.
    Always,
    /// If the node does not hold the image.
    #[default]
    IfNotPresent,
    /// Never: the image has to be loaded.
    Never,
}

/// A pod's full name, displayed as `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct PodName {
    pub namespace: String,
    /// The name within the namespace.
    pub name: String,
}

impl<'a> PodList<'a> {
    /// Parses the output of `kubectl get pods -o json`.
    ///
    /// # Errors
    /// Fails when `json` is not a JSON list of pods; the error has the line and column.
    pub fn from_slice(json: &'a [u8]) -> serde_json::Result<Self> {
        // Validate UTF-8 once, so that borrowed strings need no further checks.
        let text = str::from_utf8(json).map_err(serde::de::Error::custom)?;
        serde_json::from_str(text)
    }
}

impl<'a> Pod<'a> {
    /// Returns the pod's full name.
    pub fn full_name(&self) -> PodName {
        PodName { namespace: self.metadata.namespace.to_string(), name: self.metadata.name.to_string() }
    }

    /// Returns whether the pod has ended or is being deleted, so that none of its containers will start any
    /// more.
    pub fn is_over(&self) -> bool {
        self.metadata.deletion_timestamp.is_some() || matches!(&*self.status.phase, "Succeeded" | "Failed")
    }

    /// Returns the condition of a kind, such as `Ready`.
    pub fn condition(&self, kind: &str) -> Option<&PodCondition<'a>> {
        self.status.conditions.iter().find(|condition| &*condition.kind == kind)
    }

    /// Returns whether all its containers are ready. A pod that is being deleted may still be.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|condition| &*condition.status == "True")
    }

    /// Returns the states of init containers and containers, in starting order.
    pub fn states(&self) -> impl Iterator<Item = &ContainerStatus<'a>> {
        self.status.init_container_statuses.iter().chain(&self.status.container_statuses)
    }

    /// Returns all containers of the pod, of all three kinds.
    pub fn containers(&self) -> impl Iterator<Item = &Container<'a>> {
        let spec = &self.spec;
        spec.containers.iter().chain(&spec.init_containers).chain(&spec.ephemeral_containers)
    }

    /// Returns every image that the pod uses, for containers and volumes.
    pub fn images(&self) -> impl Iterator<Item = NamedImage<'_>> {
        let of_volumes = self.spec.volumes.iter().filter_map(PodVolume::named_image);
        self.containers().map(Container::named_image).chain(of_volumes).filter(NamedImage::is_filled_in)
    }

    /// Returns the images that `container` needs to start: its own and those of the volumes it mounts.
    pub fn images_of<'p>(&'p self, container: &'p Container<'a>) -> impl Iterator<Item = NamedImage<'p>> {
        let is_mounted = move |volume: &&PodVolume<'_>| {
            container.volume_mounts.iter().any(|mount| mount.name == volume.name)
        };
        let own = container.named_image();
        let of_volumes = self.spec.volumes.iter().filter(is_mounted).filter_map(PodVolume::named_image);
        std::iter::once(own).chain(of_volumes).filter(NamedImage::is_filled_in)
    }

    /// Returns the waiting containers with their reasons.
    ///
    /// Looks up the containers in the spec, by name and kind: the image name in the status may be rewritten
    /// by the runtime.
    pub fn waiting(&self) -> impl Iterator<Item = (&Container<'a>, &Waiting<'a>)> {
        let spec = &self.spec;
        let status = &self.status;
        [
            (&spec.containers, &status.container_statuses),
            (&spec.init_containers, &status.init_container_statuses),
            (&spec.ephemeral_containers, &status.ephemeral_container_statuses),
        ]
        .into_iter()
        .flat_map(|(containers, statuses)| {
            statuses.iter().filter_map(|status| {
                let waiting = status.state.waiting.as_ref()?;
                let container = containers.iter().find(|container| container.name == status.name)?;
                Some((container, waiting))
            })
        })
    }

    /// Returns which nodes the pod accepts.
    pub fn placement(&self) -> Placement {
        Placement {
            node_selector: self.spec.node_selector.clone(),
            required: self.spec.affinity.as_ref().and_then(Affinity::required_terms).cloned(),
            tolerations: self.spec.tolerations.clone(),
        }
    }
}

impl Container<'_> {
    fn named_image(&self) -> NamedImage<'_> {
        NamedImage { name: &self.image, pull_policy: self.image_pull_policy }
    }
}

impl PodVolume<'_> {
    fn named_image(&self) -> Option<NamedImage<'_>> {
        let image = self.image.as_ref()?;
        Some(NamedImage { name: &image.reference, pull_policy: image.pull_policy })
    }
}

impl NamedImage<'_> {
    fn is_filled_in(&self) -> bool {
        !self.name.is_empty()
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl From<PodName> for String {
    fn from(name: PodName) -> Self {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(json: &str) -> PodList<'_> {
        PodList::from_slice(json.as_bytes()).unwrap()
    }

    #[test]
    fn unknown_fields_and_absent_lists_are_ignored() {
        let list =
            pods(r#"{"kind": "List", "items": [{"metadata": {"name": "a", "x": 1}, "spec": {"y": []}}]}"#);
        assert_eq!(list.items[0].full_name().to_string(), "/a");
        assert_eq!(list.items[0].containers().count(), 0);
        assert_eq!(list.items[0].waiting().count(), 0);
    }

    #[test]
    fn a_status_is_joined_with_the_container_of_its_own_kind() {
        let list = pods(
            r#"{"items": [{"metadata": {"name": "a"},
                "spec": {"containers": [{"name": "same", "image": "main"}], "initContainers": [{"name": "same", "image": "init"}]},
                "status": {"containerStatuses": [{"name": "same", "image": "resolved", "state": {"running": {}}}],
                           "initContainerStatuses": [{"name": "same", "state": {"waiting": {"reason": "ErrImagePull"}}},
                                                     {"name": "unknown", "state": {"waiting": {"reason": "ErrImagePull"}}}]}}]}"#,
        );
        let waiting: Vec<_> =
            list.items[0].waiting().map(|(container, why)| (&*container.image, &*why.reason)).collect();
        assert_eq!(waiting, [("init", "ErrImagePull")]);
    }

    #[test]
    fn ended_and_deleted_pods_are_over() {
        let rows = [
            (r#"{"metadata": {"name": "a"}, "spec": {}, "status": {"phase": "Succeeded"}}"#, true),
            (r#"{"metadata": {"name": "a"}, "spec": {}, "status": {"phase": "Failed"}}"#, true),
            (r#"{"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}}"#, true),
            (r#"{"metadata": {"name": "a"}, "spec": {}, "status": {"phase": "Pending"}}"#, false),
        ];
        for (json, over) in rows {
            assert_eq!(serde_json::from_str::<Pod<'_>>(json).unwrap().is_over(), over, "{json}");
        }
    }

    #[test]
    fn invalid_pod_lists_are_rejected() {
        for json in ["", "{}", r#"{"items": 1}"#, r#"{"items": [{}]}"#, r#"{"items": ["#] {
            assert!(PodList::from_slice(json.as_bytes()).is_err(), "{json}");
        }
        assert!(PodList::from_slice(b"{\"items\": [], \"x\": \"\xff\"}").is_err());
    }
}
