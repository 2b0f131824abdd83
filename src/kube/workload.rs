//! The pods behind a Service: which one to talk to, and why none can be talked to.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The pods behind a Service, as `kubectl get pods -o json` answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PodList {
    /// The pods in the order of the answer.
    pub items: Vec<Pod>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Pod {
    pub metadata: Metadata,
    #[serde(default)]
    pub spec: Spec,
    #[serde(default)]
    pub status: Status,
}

/// The name of a pod and its identity.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The name within the namespace.
    pub name: String,
    /// The identity, which a pod that was deleted and created anew does not share.
    #[serde(default)]
    pub uid: String,
    /// When its deletion began.
    #[serde(default)]
    pub deletion_timestamp: Option<String>,
}

/// What runs in a pod.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Spec {
    #[serde(default)]
    pub containers: Vec<Container>,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Container {
    /// The ports that have names.
    #[serde(default)]
    pub ports: Vec<ContainerPort>,
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort {
    #[serde(default)]
    pub name: String,
    pub container_port: u16,
}

/// How far a pod came.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Such as `Running`.
    #[serde(default)]
    pub phase: String,
    /// Its address, which changes when its network is made anew.
    #[serde(rename = "podIP", default)]
    pub ip: String,
    /// What is true of it.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    #[serde(default)]
    pub container_statuses: Vec<ContainerStatus>,
    /// How the containers are that run before the others.
    #[serde(default)]
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// Something that is true of a pod or not.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Condition {
    /// What, such as `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ContainerStatus {
    /// `waiting`, `running` or `terminated`, with details.
    #[serde(default)]
    pub state: BTreeMap<String, Value>,
}

impl Pod {
    /// Whether it serves and is to go on doing so.
    pub fn is_ready(&self) -> bool {
        let ready = |condition: &Condition| condition.kind == "Ready" && condition.status == "True";
        self.metadata.deletion_timestamp.is_none() && self.status.conditions.iter().any(ready)
    }

    /// The number of the port that a Service calls `port`, a number or a name.
    pub fn port_number(&self, port: &Value) -> Option<u16> {
        if let Some(number) = port.as_u64() {
            return u16::try_from(number).ok();
        }
        let name = port.as_str()?;
        let mut ports = self.spec.containers.iter().flat_map(|container| &container.ports);
        ports.find(|port| port.name == name).map(|port| port.container_port)
    }

    /// Whether a connection to `other` still leads to this pod.
    fn is_same_as(&self, other: &Self) -> bool {
        self.metadata.uid == other.metadata.uid && self.status.ip == other.status.ip
    }

    fn has_ended(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    fn trouble(&self) -> String {
        let status = &self.status;
        let waiting = status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses)
            .find_map(|container| container.state.get("waiting")?["reason"].as_str());
        let what = match waiting {
            Some(reason) => reason,
            None if self.metadata.deletion_timestamp.is_some() => "is being deleted",
            None if status.phase == "Running" => "runs but is not ready",
            None if status.phase.is_empty() => "not started",
            None => &status.phase,
        };
        format!("pod `{}`: {what}", self.metadata.name)
    }
}

/// Says why no pod of `pods` serves; `None` when one does.
pub fn why_not_ready(pods: &[Pod]) -> Option<String> {
    if pods.iter().any(Pod::is_ready) {
        return None;
    }
    Some(match pods {
        [] => "there is no pod behind it".to_owned(),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
            format!("{}{more}", first.trouble())
        }
    })
}

/// What becomes of a connection to a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Next<'p> {
    Keep,
    /// It is made anew, to this pod.
    Switch(&'p Pod),
    /// It is gone, and no other pod is ready yet.
    Wait,
}

/// Decides what becomes of a connection to `chosen` now that `pods` are there.
///
/// A pod that is not ready or is being deleted keeps its connection for as long as no other one is ready:
/// what is under way may still end well.
pub fn next<'p>(chosen: &Pod, pods: &'p [Pod]) -> Next<'p> {
    let now = pods.iter().find(|pod| pod.is_same_as(chosen) && !pod.has_ended());
    match (now, pods.iter().find(|pod| pod.is_ready())) {
        (Some(pod), _) if pod.is_ready() => Next::Keep,
        (_, Some(ready)) => Next::Switch(ready),
        (Some(_), None) => Next::Keep,
        (None, None) => Next::Wait,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, ready: bool) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": name},
            "spec": {"containers": [{"ports": [{"name": "milvus", "containerPort": 19530}]}]},
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            },
        }))
        .unwrap()
    }

    fn deleted(mut pod: Pod) -> Pod {
        pod.metadata.deletion_timestamp = Some("2026-01-01T00:00:00Z".into());
        pod
    }

    #[test]
    fn a_connection_lasts_until_its_pod_is_replaced() {
        let (a, b) = (pod("a", true), pod("b", true));
        let mut moved = a.clone();
        moved.status.ip = "10.0.0.9".into();
        let mut evicted = pod("a", false);
        evicted.status.phase = "Failed".into();
        let rows = [
            (vec![a.clone()], Next::Keep),
            (vec![b.clone(), a.clone()], Next::Keep),
            (vec![pod("a", false)], Next::Keep),
            (vec![pod("a", false), b.clone()], Next::Switch(&b)),
            (vec![deleted(a.clone())], Next::Keep),
            (vec![deleted(a.clone()), pod("b", false)], Next::Keep),
            (vec![deleted(a.clone()), b.clone()], Next::Switch(&b)),
            (vec![b.clone()], Next::Switch(&b)),
            (vec![pod("b", false)], Next::Wait),
            (vec![moved.clone()], Next::Switch(&moved)),
            (vec![evicted], Next::Wait),
            (vec![], Next::Wait),
        ];
        for (pods, expected) in rows {
            assert_eq!(next(&a, &pods), expected, "{pods:?}");
        }
    }

    #[test]
    fn a_port_is_found_by_number_or_name() {
        let pod = pod("a", true);
        let found =
            [json!(8080), json!("milvus"), json!("x"), json!(70000)].map(|port| pod.port_number(&port));
        assert_eq!(found, [Some(8080), Some(19530), None, None]);
    }

    #[test]
    fn pods_that_do_not_serve_say_why() {
        let mut waiting = pod("a", false);
        waiting.status.container_statuses = vec![
            serde_json::from_value(json!({"state": {"waiting": {"reason": "ImagePullBackOff"}}})).unwrap(),
        ];
        let rows = [
            (vec![], Some("there is no pod behind it")),
            (vec![waiting], Some("pod `a`: ImagePullBackOff")),
            (vec![pod("a", false), pod("b", false)], Some("pod `a`: runs but is not ready, and 1 more")),
            (vec![deleted(pod("a", true))], Some("pod `a`: is being deleted")),
            (vec![pod("a", false), pod("b", true)], None),
        ];
        for (pods, expected) in rows {
            assert_eq!(why_not_ready(&pods).as_deref(), expected);
        }
    }
}
