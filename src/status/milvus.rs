//! What the operator says of a Milvus, and whether that is about the resource as it is now.

use serde::Serialize;
use serde_json::Value;

use super::{list, number, text};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MilvusStatus {
    pub name: String,
    pub namespace: String,
    /// `standalone` or `cluster`.
    pub mode: String,
    /// `Pending`, `Healthy`, `Unhealthy`, `Deleting` or `Stopped`; `Pending` before the operator says anything.
    pub status: String,
    /// The image it runs, as far as the operator says.
    pub image: Option<String>,
    /// What the operator says of its parts.
    pub conditions: Vec<Condition>,
    /// The generation of the resource that the operator has come to, as far as it says, and the one that is there.
    #[serde(skip)]
    pub generations: (Option<u64>, u64),
}

impl MilvusStatus {
    /// Whether what the operator says is about the resource as it is now.
    ///
    /// The state freezes for more than a minute while a query node is replaced, `Healthy` and `MilvusUpdated`
    /// included; only the generation tells.
    pub fn is_current(&self) -> bool {
        self.generations.0.is_none_or(|observed| observed >= self.generations.1)
    }

    /// Whether all components are as the resource wants them.
    ///
    /// Milvus stays `Healthy` while its components are replaced one after the other with `MilvusUpdated=False`.
    pub fn is_updated(&self) -> bool {
        let updated = self.conditions.iter().find(|condition| condition.kind == "MilvusUpdated");
        updated.is_none_or(|condition| condition.status == "True")
    }

    /// Whether it is healthy and nothing is still to be changed.
    pub fn is_settled(&self) -> bool {
        self.status == "Healthy" && self.is_current() && self.is_updated()
    }
}

/// What the operator says of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Such as `EtcdReady`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    pub reason: String,
    pub message: String,
}

/// Reads the Milvus resource.
pub fn milvus(resource: &Value) -> MilvusStatus {
    let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
    let observed = resource.pointer("/status/observedGeneration").and_then(Value::as_u64);
    MilvusStatus {
        generations: (observed, number(resource, "/metadata/generation")),
        name: text(resource, "/metadata/name"),
        namespace: text(resource, "/metadata/namespace"),
        mode: or(text(resource, "/spec/mode"), "standalone"),
        status: or(text(resource, "/status/status"), "Pending"),
        image: Some(text(resource, "/status/currentImage"))
            .filter(|image| !image.is_empty())
            .or_else(|| Some(text(resource, "/spec/components/image")).filter(|image| !image.is_empty())),
        conditions: list(resource, "/status/conditions")
            .map(|condition| Condition {
                kind: text(condition, "/type"),
                status: text(condition, "/status"),
                reason: text(condition, "/reason"),
                message: text(condition, "/message"),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_milvus_that_the_operator_has_not_seen_is_pending() {
        let status =
            milvus(&json!({"metadata": {"name": "m", "namespace": "n"}, "spec": {"mode": "cluster"}}));
        assert_eq!((status.status.as_str(), status.mode.as_str()), ("Pending", "cluster"));
    }

    #[test]
    fn healthy_counts_once_the_resource_of_now_is_carried_out() {
        let is_settled = |observed: u64, updated: Option<&str>| {
            let conditions: Vec<_> =
                updated.iter().map(|status| json!({"type": "MilvusUpdated", "status": status})).collect();
            milvus(&json!({"metadata": {"name": "m", "namespace": "n", "generation": 2}, "spec": {},
                "status": {"status": "Healthy", "observedGeneration": observed, "conditions": conditions}}))
            .is_settled()
        };
        assert!(is_settled(2, Some("True")));
        assert!(is_settled(2, None), "a release that does not say it");
        assert!(!is_settled(1, Some("True")), "said of an older resource");
        assert!(!is_settled(2, Some("False")), "components are replaced");
    }
}
