//! The fields of Kubernetes pods that matter here, read once: images, places, owners, ports and states.
//!
//! Reads the answer of `kubectl get pods -o json` and skips the rest of it, borrowing from its bytes: a cluster
//! of 50,000 pods answers with hundreds of megabytes.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::kube::node::{Affinity, Placement, Toleration};
use crate::text::Text;

/// The pods of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct PodList<'a> {
    /// The pods in the order of the answer.
    #[serde(borrow)]
    pub items: Vec<Pod<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pod<'a> {
    /// Whose it is and what it is called.
    #[serde(borrow)]
    pub metadata: PodMetadata<'a>,
    /// What its author asked for.
    #[serde(borrow, default)]
    pub spec: PodSpec<'a>,
    /// How far the kubelet came with it.
    #[serde(borrow, default)]
    pub status: PodStatus<'a>,
}

/// The name of a pod and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodMetadata<'a> {
    /// The namespace; empty only in documents that were never sent to a cluster.
    #[serde(borrow, default)]
    pub namespace: Text<'a>,
    /// The name within the namespace.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// The identity, which a pod that was deleted and created anew does not share.
    #[serde(borrow, default)]
    pub uid: Text<'a>,
    /// The objects that made the pod: without a controller nothing makes it anew.
    #[serde(borrow, default)]
    pub owner_references: Vec<OwnerReference<'a>>,
    #[serde(borrow, default)]
    pub labels: BTreeMap<Text<'a>, Text<'a>>,
    /// When the deletion of the pod began.
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
    /// Whether this object makes the pod anew when it is gone.
    #[serde(default)]
    pub controller: bool,
}

/// The containers of a pod and where it may run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec<'a> {
    /// The containers that make up the pod.
    #[serde(borrow, default)]
    pub containers: Vec<Container<'a>>,
    /// The containers that run to their end before the others start.
    #[serde(borrow, default)]
    pub init_containers: Vec<Container<'a>>,
    /// The containers that `kubectl debug` put in later.
    #[serde(borrow, default)]
    pub ephemeral_containers: Vec<Container<'a>>,
    /// What containers can mount; only volumes that are images are read.
    #[serde(borrow, default)]
    pub volumes: Vec<PodVolume<'a>>,
    /// The node that the scheduler chose; a pod without one waits for the scheduler, not for an image.
    #[serde(borrow, default)]
    pub node_name: Option<Text<'a>>,
    /// The labels that a node must have.
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
    /// The rules about nodes beyond labels.
    #[serde(default)]
    pub affinity: Option<Affinity>,
    /// The taints that the pod puts up with.
    #[serde(default)]
    pub tolerations: Vec<Toleration>,
}

/// One container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container<'a> {
    /// The name, by which the status refers to it.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// The image as the author wrote it; empty where a controller still has to fill it in.
    #[serde(borrow, default)]
    pub image: Text<'a>,
    /// When the kubelet asks the registry. The API server always fills it in: `Always` for `:latest`.
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
    /// By which a Service may refer to it.
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

/// A volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VolumeMount<'a> {
    /// The volume's name.
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// An image that a pod names, for a container or a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedImage<'p> {
    pub name: &'p str,
    pub pull_policy: PullPolicy,
}

/// When the kubelet asks the registry for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize)]
pub enum PullPolicy {
    /// Whenever the container starts, so that a loaded image does not help.
    Always,
    /// When the node does not hold the image.
    #[default]
    IfNotPresent,
    /// Never: the image has to be loaded.
    Never,
}

/// How far a pod came.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus<'a> {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    #[serde(borrow, default)]
    pub phase: Text<'a>,
    /// Why the kubelet ended the pod as a whole, such as `Evicted`.
    #[serde(borrow, default)]
    pub reason: Text<'a>,
    #[serde(borrow, default)]
    pub message: Text<'a>,
    /// The address, which changes when the pod's network is made anew.
    #[serde(borrow, rename = "podIP", default)]
    pub ip: Text<'a>,
    #[serde(borrow, default)]
    pub conditions: Vec<PodCondition<'a>>,
    /// The state of each container.
    #[serde(borrow, default)]
    pub container_statuses: Vec<ContainerStatus<'a>>,
    /// The state of each init container.
    #[serde(borrow, default)]
    pub init_container_statuses: Vec<ContainerStatus<'a>>,
    /// The state of each ephemeral container.
    #[serde(borrow, default)]
    pub ephemeral_container_statuses: Vec<ContainerStatus<'a>>,
}

/// Something that is true of a pod or not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PodCondition<'a> {
    /// What, such as `Ready` or `PodScheduled`.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// `True`, `False` or `Unknown`.
    #[serde(borrow)]
    pub status: Text<'a>,
    /// Why, in one word.
    #[serde(borrow, default)]
    pub reason: Text<'a>,
    #[serde(borrow, default)]
    pub message: Text<'a>,
}

/// The state of one container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus<'a> {
    /// The container's name in the spec.
    #[serde(borrow, default)]
    pub name: Text<'a>,
    /// Whether it answers its readiness probe.
    #[serde(default)]
    pub ready: bool,
    #[serde(default)]
    pub restart_count: u32,
    /// What it is doing now.
    #[serde(borrow, default)]
    pub state: ContainerState<'a>,
    /// How its run before this one ended.
    #[serde(borrow, default)]
    pub last_state: ContainerState<'a>,
}

/// What a container is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct ContainerState<'a> {
    /// Why it has not started; absent when it runs or has ended.
    #[serde(borrow, default)]
    pub waiting: Option<Waiting<'a>>,
    #[serde(default)]
    pub running: Option<RunningState>,
    #[serde(borrow, default)]
    pub terminated: Option<Terminated<'a>>,
}

/// A container that runs; since when does not matter here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RunningState {}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terminated<'a> {
    #[serde(default)]
    pub exit_code: i32,
    /// In one word, such as `OOMKilled` or `Error`.
    #[serde(borrow, default)]
    pub reason: Text<'a>,
}

/// Why a container has not started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Waiting<'a> {
    /// The reason in one word, such as `ImagePullBackOff`.
    #[serde(borrow, default)]
    pub reason: Text<'a>,
    /// The kubelet's or the container runtime's own words.
    #[serde(borrow, default)]
    pub message: Text<'a>,
}

/// A pod's full name, shown as `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct PodName {
    pub namespace: String,
    /// The name within the namespace.
    pub name: String,
}

impl<'a> PodList<'a> {
    /// Reads the JSON that `kubectl get pods -o json` prints.
    ///
    /// # Errors
    /// Fails when `json` is no JSON or not a list of pods; the error names line and column.
    pub fn from_slice(json: &'a [u8]) -> serde_json::Result<Self> {
        // Checked once as a whole, the text can be borrowed without checking each string again.
        let text = str::from_utf8(json).map_err(serde::de::Error::custom)?;
        serde_json::from_str(text)
    }
}

impl<'a> Pod<'a> {
    /// Returns the pod's full name.
    pub fn full_name(&self) -> PodName {
        PodName { namespace: self.metadata.namespace.to_string(), name: self.metadata.name.to_string() }
    }

    /// Returns whether the pod has ended or is being deleted, so that nothing of it will start any more.
    pub fn is_over(&self) -> bool {
        self.metadata.deletion_timestamp.is_some() || matches!(&*self.status.phase, "Succeeded" | "Failed")
    }

    /// Returns what is said of it under `kind`, such as `Ready`.
    pub fn condition(&self, kind: &str) -> Option<&PodCondition<'a>> {
        self.status.conditions.iter().find(|condition| &*condition.kind == kind)
    }

    /// Returns whether all its containers are ready. A pod that is being deleted may still be.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|condition| &*condition.status == "True")
    }

    /// Returns the states of init containers and containers, in the order in which they start.
    pub fn states(&self) -> impl Iterator<Item = &ContainerStatus<'a>> {
        self.status.init_container_statuses.iter().chain(&self.status.container_statuses)
    }

    /// Returns every container of the pod, of all three kinds.
    pub fn containers(&self) -> impl Iterator<Item = &Container<'a>> {
        let spec = &self.spec;
        spec.containers.iter().chain(&spec.init_containers).chain(&spec.ephemeral_containers)
    }

    /// Returns every image that the pod names, for containers and for volumes.
    pub fn images(&self) -> impl Iterator<Item = NamedImage<'_>> {
        let of_volumes = self.spec.volumes.iter().filter_map(PodVolume::named_image);
        self.containers().map(Container::named_image).chain(of_volumes).filter(NamedImage::is_filled_in)
    }

    /// Returns the images without which `container` cannot start: its own and those of the volumes that it mounts.
    pub fn images_of<'p>(&'p self, container: &'p Container<'a>) -> impl Iterator<Item = NamedImage<'p>> {
        let is_mounted = move |volume: &&PodVolume<'_>| {
            container.volume_mounts.iter().any(|mount| mount.name == volume.name)
        };
        let own = container.named_image();
        let of_volumes = self.spec.volumes.iter().filter(is_mounted).filter_map(PodVolume::named_image);
        std::iter::once(own).chain(of_volumes).filter(NamedImage::is_filled_in)
    }

    /// Returns each container that waits, with the reason.
    ///
    /// The container is the spec's, found by its name among those of its kind: what the status calls the image may
    /// be a name that the runtime made of it.
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
    fn unknown_fields_and_absent_lists_are_passed_over() {
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
    fn what_is_not_a_pod_list_is_refused() {
        for json in ["", "{}", r#"{"items": 1}"#, r#"{"items": [{}]}"#, r#"{"items": ["#] {
            assert!(PodList::from_slice(json.as_bytes()).is_err(), "{json}");
        }
        assert!(PodList::from_slice(b"{\"items\": [], \"x\": \"\xff\"}").is_err());
    }
}
