//! Deployments and stateful sets: how many of their pods are ready, and how many are outdated.

use serde::Serialize;
use serde_json::Value;

use super::scope::Scope;
use super::{list, number, text};

/// A deployment or stateful set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// `Deployment` or `StatefulSet`.
    pub kind: String,
    pub name: String,
    /// How many up-to-date pods are ready.
    pub ready: u64,
    /// How many pods there should be.
    pub desired: u64,
    /// How many pods from before its last change are left.
    pub outdated: u64,
    /// Whether it belongs to the Milvus, its dependencies, its operator or Attu.
    #[serde(skip)]
    pub is_own: bool,
}

impl Workload {
    /// Whether all its pods are ready and none is outdated.
    pub fn is_settled(&self) -> bool {
        self.ready >= self.desired && self.outdated == 0
    }

    /// Formats it like `my-release-etcd: 2 of 3 ready`.
    pub(super) fn in_words(&self) -> String {
        let name = self.name.split_once('/').map_or(self.name.as_str(), |(_, name)| name);
        let old = match self.outdated {
            0 => String::new(),
            n => format!(", {n} old"),
        };
        format!("{name}: {} of {} ready{old}", self.ready, self.desired)
    }
}

/// Parses `kubectl get deployments,statefulsets -A -o json`, without Kubernetes's own.
pub fn workloads(answer: &Value, scope: &Scope) -> Vec<Workload> {
    let mut workloads: Vec<Workload> = list(answer, "/items")
        .filter(|item| !is_of_kubernetes(&text(item, "/metadata/namespace")))
        .map(|item| {
            let (ready, outdated) = ready_and_outdated(item);
            Workload {
                kind: text(item, "/kind"),
                name: format!("{}/{}", text(item, "/metadata/namespace"), text(item, "/metadata/name")),
                ready,
                desired: number(item, "/spec/replicas"),
                outdated,
                is_own: scope.holds(item),
            }
        })
        .collect();
    workloads.sort_by(|a, b| (&a.name, &a.kind).cmp(&(&b.name, &b.kind)));
    workloads
}

/// The numbers of ready up-to-date pods and of outdated pods.
///
/// A workload's status counts ready pods and updated pods, but not those that are both. So assume that as
/// many outdated pods as possible are ready.
fn ready_and_outdated(workload: &Value) -> (u64, u64) {
    let ready = number(workload, "/status/readyReplicas");
    let total = number(workload, "/status/replicas");
    let observed = workload.pointer("/status/observedGeneration").and_then(Value::as_u64);
    if observed.is_some_and(|observed| observed < number(workload, "/metadata/generation")) {
        // Its controller has not seen the change: the status is about the old one.
        return (0, total);
    }
    let outdated = total.saturating_sub(number(workload, "/status/updatedReplicas"));
    let outdated = match text(workload, "/kind").as_str() {
        "Deployment" => outdated,
        // Such pods are only replaced by hand.
        _ if text(workload, "/spec/updateStrategy/type") == "OnDelete" => 0,
        // Like `kubectl rollout status`: both revisions are equal once all pods are updated.
        _ if text(workload, "/status/updateRevision") == text(workload, "/status/currentRevision") => 0,
        _ => outdated.max(1),
    };
    (ready.saturating_sub(outdated), outdated)
}

/// Whether the namespace is Kubernetes's or kind's own.
fn is_of_kubernetes(namespace: &str) -> bool {
    namespace.starts_with("kube-") || namespace == "local-path-storage"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::Settings;

    fn read(items: &Value) -> Vec<Workload> {
        workloads(&json!({"items": items}), &Scope::new(&Settings::default()))
    }

    #[test]
    fn workloads_of_kubernetes_itself_are_left_out() {
        let answer = json!([
            {"kind": "Deployment", "metadata": {"namespace": "kube-system", "name": "coredns"}, "spec": {"replicas": 2}},
            {"kind": "StatefulSet", "metadata": {"namespace": "default", "name": "e",
                "labels": {"app.kubernetes.io/instance": "my-release-etcd"}}, "spec": {"replicas": 3},
             "status": {"readyReplicas": 1}},
            {"kind": "StatefulSet", "metadata": {"namespace": "default", "name": "f"}, "spec": {"replicas": 1}},
        ]);
        let workload = |name: &str, ready, desired, is_own| Workload {
            kind: "StatefulSet".into(),
            name: format!("default/{name}"),
            ready,
            desired,
            outdated: 0,
            is_own,
        };
        assert_eq!(read(&answer), [workload("e", 1, 3, true), workload("f", 0, 1, false)]);
    }

    fn deployment(generation: u64, [total, updated, ready]: [u64; 3]) -> (u64, u64) {
        ready_and_outdated(&json!({"kind": "Deployment", "metadata": {"generation": generation},
            "status": {"observedGeneration": 3, "replicas": total, "updatedReplicas": updated, "readyReplicas": ready}}))
    }

    #[test]
    fn outdated_pods_are_told_from_new_ones() {
        assert_eq!(deployment(3, [1, 1, 1]), (1, 0));
        assert_eq!(deployment(3, [2, 1, 1]), (0, 1), "the ready one is the old one");
        assert_eq!(deployment(3, [2, 1, 2]), (1, 1), "the new one is ready, the old one still there");
        assert_eq!(deployment(4, [1, 1, 1]), (0, 1), "the change was not seen yet");
        assert_eq!(deployment(3, [0, 0, 0]), (0, 0));
    }

    #[test]
    fn a_stateful_set_is_rolled_out_once_its_revisions_are_equal() {
        let set = |strategy: &str, current: &str, updated: u64| {
            ready_and_outdated(&json!({"kind": "StatefulSet", "metadata": {"generation": 3},
                "spec": {"updateStrategy": {"type": strategy}},
                "status": {"observedGeneration": 3, "replicas": 3, "readyReplicas": 3, "updatedReplicas": updated,
                    "currentRevision": current, "updateRevision": "b"}}))
        };
        assert_eq!(set("RollingUpdate", "b", 3), (3, 0));
        assert_eq!(set("RollingUpdate", "a", 1), (1, 2));
        assert_eq!(set("RollingUpdate", "a", 3), (2, 1));
        assert_eq!(set("OnDelete", "a", 0), (3, 0));
    }

    #[test]
    fn a_workload_with_outdated_pods_is_not_settled() {
        let workload = |ready, outdated| Workload {
            kind: "Deployment".into(),
            name: "d/w".into(),
            ready,
            desired: 1,
            outdated,
            is_own: true,
        };
        assert!(workload(1, 0).is_settled());
        assert!(!workload(1, 1).is_settled());
        assert_eq!(workload(0, 1).in_words(), "w: 0 of 1 ready, 1 old");
    }
}
