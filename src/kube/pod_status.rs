//! How far a pod and its containers have come: phase, conditions, and why a container waits or ended.

use serde::Deserialize;

use crate::text::Text;

/// A pod's state.
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
    /// The IP address, which changes when the pod's network is recreated.
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

/// A condition of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PodCondition<'a> {
    /// Such as `Ready` or `PodScheduled`.
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
    /// Its current state.
    #[serde(borrow, default)]
    pub state: ContainerState<'a>,
    /// How its previous run ended.
    #[serde(borrow, default)]
    pub last_state: ContainerState<'a>,
}

/// A container's state.
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

/// A running container; since when does not matter here.
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
    #[serde(borrow, default)]
    pub started_at: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub finished_at: Option<Text<'a>>,
}

/// Why a container has not started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Waiting<'a> {
    /// The reason in one word, such as `ImagePullBackOff`.
    #[serde(borrow, default)]
    pub reason: Text<'a>,
    /// The kubelet's or container runtime's message.
    #[serde(borrow, default)]
    pub message: Text<'a>,
}
