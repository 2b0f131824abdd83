//! The status that the operator reports for a Milvus, and whether it is about the current resource.

use serde::Serialize;
use serde_json::Value;

use super::{list, number, text};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MilvusStatus {
    pub name: String,
    pub namespace: String,
    /// `standalone` or `cluster`.
    pub mode: String,
    /// `Pending`, `Healthy`, `Unhealthy`, `Deleting` or `Stopped`; `Pending` before the operator reports any.
    pub status: String,
    /// The image it runs, if known.
    pub image: Option<String>,
    /// The conditions of its parts.
    pub conditions: Vec<Condition>,
    /// The observed generation, if reported, and the current one.
    #[serde(skip)]
    pub generations: (Option<u64>, u64),
}

impl MilvusStatus {
    /// Whether the status is about the current resource.
    ///
    /// While a query node is replaced, the status, including `Healthy` and `MilvusUpdated`, is stale for more
    /// than a minute; only the generation shows that.
    pub fn is_current(&self) -> bool {
        self.generations.0.is_none_or(|observed| observed >= self.generations.1)
    }

    /// Whether all components match the resource.
    ///
    /// During a rolling update Milvus stays `Healthy`, with `MilvusUpdated=False`.
    pub fn is_updated(&self) -> bool {
        let updated = self.conditions.iter().find(|condition| condition.kind == "MilvusUpdated");
        updated.is_none_or(|condition| condition.status == "True")
    }

    /// Whether it is healthy and up to date.
    pub fn is_settled(&self) -> bool {
        self.status == "Healthy" && self.is_current() && self.is_updated()
    }
}

/// The condition of one part.
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

/// Parses a Milvus resource.
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
    fn a_milvus_without_a_status_is_pending() {
        let status =
            milvus(&json!({"metadata": {"name": "m", "namespace": "n"}, "spec": {"mode": "cluster"}}));
        assert_eq!((status.status.as_str(), status.mode.as_str()), ("Pending", "cluster"));
    }

    #[test]
    fn healthy_counts_only_for_the_current_resource() {
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
