//! The state of a cluster with Milvus, built from kubectl's answers. Pure.

mod crash;
pub(crate) mod in_words;
mod leader;
mod milvus;
pub(crate) mod observe;
pub(crate) mod pods_run;
pub mod scope;
mod trouble;
mod workload;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::images::missing::MissingImage;
use crate::kube::kubelet::{is_about_image, may_have_logged_why};

pub use crash::{CrashCause, CrashLoop, Crashes};
pub use leader::Leader;
pub use milvus::{MilvusStatus, milvus};
pub use trouble::{PROCESSOR, PodTrouble, pod_troubles};
pub use workload::{Workload, workloads};

/// The state of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The name of the cluster or context.
    pub cluster: String,
    pub nodes: Vec<NodeState>,
    /// The Milvus, if it exists.
    pub milvus: Option<MilvusStatus>,
    /// Deployments and stateful sets of Milvus, its dependencies, its operator and Attu.
    pub workloads: Vec<Workload>,
    /// Pods that are not ready, and why.
    pub pods: Vec<PodTrouble>,
    /// Volume claims that are not bound, as `NAMESPACE/NAME`.
    pub pending_volumes: Vec<String>,
    /// Images that keep pods from starting.
    pub missing_images: Vec<String>,
    /// Those that the Milvus, its dependencies, its operator or Attu wait for.
    #[serde(skip)]
    pub own_missing_images: Vec<MissingImage>,
    /// The operator's leader, if known.
    #[serde(skip)]
    pub leader: Option<Leader>,
    /// Crash loops that may never end.
    #[serde(skip)]
    pub crashes: Vec<CrashLoop>,
    /// Where to reach Milvus and Attu.
    pub urls: Urls,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeState {
    pub name: String,
    /// `control-plane` or `worker`.
    pub role: String,
    pub ready: bool,
    pub version: String,
}

impl Status {
    /// Whether the Milvus and everything that belongs to it is healthy and updated, as reported by the
    /// operator's current leader.
    ///
    /// Nothing else in the cluster counts.
    pub fn is_settled(&self) -> bool {
        self.milvus.as_ref().is_some_and(MilvusStatus::is_settled)
            && self.workloads.iter().filter(|workload| workload.is_own).all(Workload::is_settled)
            && self.own_missing_images.is_empty()
            && self.leader.as_ref().is_none_or(Leader::has_settled)
    }

    /// Messages about unready workloads and missing images of others.
    pub fn foreign_trouble(&self) -> Vec<String> {
        let unready =
            self.workloads.iter().filter(|workload| !workload.is_own && workload.ready < workload.desired);
        let unready = unready.map(|workload| {
            format!(
                "{} `{}` has {} of {} pods ready",
                workload.kind, workload.name, workload.ready, workload.desired
            )
        });
        let own: BTreeSet<String> =
            self.own_missing_images.iter().map(|missing| missing.image.to_string()).collect();
        let missing = self.missing_images.iter().filter(|image| !own.contains(*image));
        unready.chain(missing.map(|image| format!("other pods wait for {image}"))).collect()
    }
}

/// The URLs of what is exposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Urls {
    pub attu: Option<String>,
    pub milvus: Option<String>,
}

/// The text at a JSON pointer, or an empty one.
fn text(value: &Value, path: &str) -> String {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

fn list<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

/// Parses `kubectl get nodes -o json`.
pub fn nodes(answer: &Value) -> Vec<NodeState> {
    list(answer, "/items")
        .map(|node| {
            let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
            let is_control = labels.is_some_and(|labels| {
                labels.contains_key("node-role.kubernetes.io/control-plane")
                    || labels.contains_key("node-role.kubernetes.io/master")
            });
            NodeState {
                name: text(node, "/metadata/name"),
                role: if is_control { "control-plane" } else { "worker" }.to_owned(),
                ready: list(node, "/status/conditions")
                    .any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True"),
                version: text(node, "/status/nodeInfo/kubeletVersion"),
            }
        })
        .collect()
}

/// Parses `kubectl get persistentvolumeclaims -A -o json` and returns the claims without a volume.
pub fn pending_volumes(answer: &Value) -> Vec<String> {
    list(answer, "/items")
        .filter(|claim| text(claim, "/status/phase") != "Bound")
        .map(|claim| format!("{}/{}", text(claim, "/metadata/namespace"), text(claim, "/metadata/name")))
        .collect()
}

/// A line on what is being waited for: dependencies first, then Milvus.
pub fn progress(status: &Status) -> String {
    let unready: Vec<&Workload> =
        status.workloads.iter().filter(|workload| workload.is_own && !workload.is_settled()).collect();
    let shown: Vec<String> = unready.iter().take(2).map(|workload| workload.in_words()).collect();
    match (shown.is_empty(), unready.len()) {
        (false, n @ 3..) => return format!("{} and {} more", shown.join(", "), n - 2),
        (false, _) => return shown.join(", "),
        (true, _) => {}
    }
    let stuck = || {
        let pod =
            status.pods.iter().find(|pod| may_have_logged_why(&pod.reason) || is_about_image(&pod.reason));
        pod.map(|pod| format!(" (pod {}: {})", pod.name, pod.reason)).unwrap_or_default()
    };
    let Some(milvus) = &status.milvus else {
        return format!("the operator to pick up the Milvus resource{}", stuck());
    };
    if !milvus.is_current() {
        return format!("the operator to apply the latest change{}", stuck());
    }
    if milvus.status == "Healthy" {
        if !milvus.is_updated() {
            return "Milvus to roll out its components".to_owned();
        }
        if !status.leader.as_ref().is_none_or(Leader::has_settled) {
            return "the operator to become the leader".to_owned();
        }
    }
    let not_ready = milvus.conditions.iter().find(|c| c.kind == "MilvusReady" && c.status != "True");
    let reason = not_ready.map(|condition| format!(" ({})", condition.reason)).unwrap_or_default();
    format!("Milvus is {}{reason}", milvus.status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource(observed: u64, updated: Option<&str>) -> Value {
        let conditions: Vec<_> =
            updated.iter().map(|status| json!({"type": "MilvusUpdated", "status": status})).collect();
        json!({"metadata": {"name": "m", "namespace": "n", "generation": 2}, "spec": {},
            "status": {"status": "Healthy", "observedGeneration": observed, "conditions": conditions}})
    }

    fn status(milvus: &Value, workloads: Vec<Workload>, leader: Option<Leader>) -> Status {
        Status {
            cluster: String::new(),
            nodes: Vec::new(),
            milvus: Some(super::milvus(milvus)),
            workloads,
            pods: Vec::new(),
            pending_volumes: Vec::new(),
            missing_images: Vec::new(),
            own_missing_images: Vec::new(),
            leader,
            crashes: Vec::new(),
            urls: Urls::default(),
        }
    }

    fn workload(name: &str, is_own: bool, ready: u64) -> Workload {
        let kind = "StatefulSet".to_owned();
        Workload { kind, name: format!("default/{name}"), ready, desired: 3, outdated: 0, is_own }
    }

    #[test]
    fn foreign_workloads_are_reported_but_do_not_count() {
        let healthy = resource(2, Some("True"));
        let mut with = status(&healthy, vec![workload("etcd", true, 3), workload("web", false, 1)], None);
        with.missing_images = vec!["a:latest".into()];
        assert!(with.is_settled());
        assert_eq!(
            with.foreign_trouble(),
            ["StatefulSet `default/web` has 1 of 3 pods ready", "other pods wait for a:latest"]
        );
        with.own_missing_images =
            vec![MissingImage::new(crate::images::missing::ImageName::Valid("a:latest".parse().unwrap()))];
        assert!(!with.is_settled());
        assert!(!status(&healthy, vec![workload("etcd", true, 2)], None).is_settled());
    }

    #[test]
    fn an_operator_must_lead_before_it_is_settled() {
        let leader = |is_alive, seconds| Some(Leader { is_alive, seconds });
        let healthy = resource(2, Some("True"));
        assert!(status(&healthy, Vec::new(), leader(true, 60)).is_settled());
        let waiting = status(&healthy, Vec::new(), leader(true, 3));
        assert!(!waiting.is_settled());
        assert_eq!(progress(&waiting), "the operator to become the leader");
        assert!(!status(&healthy, Vec::new(), leader(false, 60)).is_settled());
    }

    #[test]
    fn claims_without_a_volume_are_named() {
        let answer = json!({"items": [
            {"metadata": {"namespace": "d", "name": "a"}, "status": {"phase": "Bound"}},
            {"metadata": {"namespace": "d", "name": "b"}, "status": {"phase": "Pending"}}]});
        assert_eq!(pending_volumes(&answer), ["d/b"]);
    }

    #[test]
    fn progress_names_unready_workloads_first() {
        let workloads =
            vec![workload("etcd", true, 2), workload("minio", true, 3), workload("web", false, 0)];
        assert_eq!(progress(&status(&resource(2, None), workloads, None)), "etcd: 2 of 3 ready");
        assert_eq!(
            progress(&status(&resource(2, Some("False")), Vec::new(), None)),
            "Milvus to roll out its components"
        );
        assert_eq!(
            progress(&status(&resource(1, Some("True")), Vec::new(), None)),
            "the operator to apply the latest change"
        );
    }
}
