//! The pods behind a Service: which one to connect to, or why none is ready.

use serde_json::Value;

use crate::kube::pod::{Pod, PodList};

/// A pod behind a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub name: String,
    uid: String,
    ip: String,
    /// Whether it is ready and not being deleted.
    pub is_ready: bool,
    has_ended: bool,
    /// Why it is not ready, in a few words.
    not_ready_reason: String,
    /// Ports by name.
    ports: Vec<(String, u16)>,
}

impl From<&Pod<'_>> for Endpoint {
    fn from(pod: &Pod<'_>) -> Self {
        let is_going = pod.metadata.deletion_timestamp.is_some();
        let waiting = pod.states().filter_map(|container| container.state.waiting.as_ref());
        let reason = waiting.map(|waiting| &*waiting.reason).find(|reason| !reason.is_empty());
        let not_ready_reason = match (reason, &*pod.status.phase) {
            (Some(reason), _) => reason,
            _ if is_going => "is being deleted",
            (_, "Running") => "runs but is not ready",
            (_, "") => "not started",
            (_, phase) => phase,
        };
        let ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
        Self {
            name: pod.metadata.name.to_string(),
            uid: pod.metadata.uid.to_string(),
            ip: pod.status.ip.to_string(),
            is_ready: pod.is_ready() && !is_going,
            has_ended: matches!(&*pod.status.phase, "Succeeded" | "Failed"),
            not_ready_reason: not_ready_reason.to_owned(),
            ports: ports.map(|port| (port.name.to_string(), port.container_port)).collect(),
        }
    }
}

impl Endpoint {
    /// Parses the output of `kubectl get pods -o json`.
    ///
    /// # Errors
    /// Fails when it cannot be parsed.
    pub fn read_all(json: &[u8]) -> serde_json::Result<Vec<Self>> {
        Ok(PodList::from_slice(json)?.items.iter().map(Self::from).collect())
    }

    /// The number of the pod's port that a Service refers to by number or name.
    pub fn port_number(&self, port: &Value) -> Option<u16> {
        if let Some(number) = port.as_u64() {
            return u16::try_from(number).ok();
        }
        let wanted = port.as_str()?;
        self.ports.iter().find(|(name, _)| name == wanted).map(|(_, number)| *number)
    }

    /// Whether this is still the pod `other`, at the same address.
    fn is_same_as(&self, other: &Self) -> bool {
        self.uid == other.uid && self.ip == other.ip
    }
}

/// Returns why none of `pods` is ready, or `None` if one is.
pub fn why_not_ready(pods: &[Endpoint]) -> Option<String> {
    if pods.iter().any(|pod| pod.is_ready) {
        return None;
    }
    Some(match pods {
        [] => "it has no pods".to_owned(),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
            format!("pod `{}`: {}{more}", first.name, first.not_ready_reason)
        }
    })
}

/// What to do with a connection to a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Next<'p> {
    Keep,
    /// Reconnect to this pod.
    Switch(&'p Endpoint),
    /// The pod is gone, and no other one is ready yet.
    Wait,
}

/// Decides what to do with a connection to `chosen`, given the current `pods`.
///
/// A pod that is unready or being deleted keeps its connection until another one is ready: ongoing requests
/// may still succeed.
pub fn next<'p>(chosen: &Endpoint, pods: &'p [Endpoint]) -> Next<'p> {
    let now = pods.iter().find(|pod| pod.is_same_as(chosen) && !pod.has_ended);
    match (now, pods.iter().find(|pod| pod.is_ready)) {
        (Some(pod), _) if pod.is_ready => Next::Keep,
        (_, Some(ready)) => Next::Switch(ready),
        (Some(_), None) => Next::Keep,
        (None, None) => Next::Wait,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(pod: &Value) -> Endpoint {
        Endpoint::read_all(json!({"items": [pod]}).to_string().as_bytes()).unwrap().remove(0)
    }

    fn json_of(name: &str, ready: bool) -> Value {
        json!({
            "metadata": {"name": name, "uid": name},
            "spec": {"containers": [{"name": "c", "ports": [{"name": "milvus", "containerPort": 19530}]}]},
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            },
        })
    }

    fn pod(name: &str, ready: bool) -> Endpoint {
        read(&json_of(name, ready))
    }

    /// The pod `a` with one field replaced.
    fn pod_with(ready: bool, path: &str, field: &str, value: Value) -> Endpoint {
        let mut pod = json_of("a", ready);
        pod.pointer_mut(path).unwrap()[field] = value;
        read(&pod)
    }

    fn deleted(ready: bool) -> Endpoint {
        pod_with(ready, "/metadata", "deletionTimestamp", json!("2026-01-01T00:00:00Z"))
    }

    #[test]
    fn a_connection_lasts_until_its_pod_is_replaced() {
        let (a, b) = (pod("a", true), pod("b", true));
        let moved = pod_with(true, "/status", "podIP", json!("10.0.0.9"));
        let evicted = pod_with(false, "/status", "phase", json!("Failed"));
        let rows = [
            (vec![a.clone()], Next::Keep),
            (vec![b.clone(), a.clone()], Next::Keep),
            (vec![pod("a", false)], Next::Keep),
            (vec![pod("a", false), b.clone()], Next::Switch(&b)),
            (vec![deleted(true)], Next::Keep),
            (vec![deleted(true), pod("b", false)], Next::Keep),
            (vec![deleted(true), b.clone()], Next::Switch(&b)),
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
    fn unready_pods_say_why() {
        let state = json!([{"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]);
        let waiting = pod_with(false, "/status", "containerStatuses", state);
        let rows = [
            (vec![], Some("it has no pods")),
            (vec![waiting], Some("pod `a`: ImagePullBackOff")),
            (vec![pod("a", false), pod("b", false)], Some("pod `a`: runs but is not ready, and 1 more")),
            (vec![deleted(true)], Some("pod `a`: is being deleted")),
            (vec![pod("a", false), pod("b", true)], None),
        ];
        for (pods, expected) in rows {
            assert_eq!(why_not_ready(&pods).as_deref(), expected);
        }
    }
}
