//! What a cluster with Milvus looks like, made of what kubectl answers. Pure.

mod leader;
pub(crate) mod observe;
pub(crate) mod pods_run;
pub mod scope;
mod workload;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::images::missing::MissingImage;

pub use leader::Leader;
pub use workload::{Workload, workloads};

/// The state of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The cluster's name, or the context's.
    pub cluster: String,
    pub nodes: Vec<NodeStatus>,
    /// The Milvus; none before it is made.
    pub milvus: Option<MilvusStatus>,
    /// Deployments and stateful sets of Milvus, its dependencies, its operator and Attu.
    pub workloads: Vec<Workload>,
    /// Pods that are not ready, and why.
    pub pods: Vec<PodTrouble>,
    /// Claims of volumes that are not bound, with namespace.
    pub pending_volumes: Vec<String>,
    /// Images that keep pods from starting.
    pub missing_images: Vec<String>,
    /// Those of them that the Milvus, its dependencies, its operator or Attu wait for.
    #[serde(skip)]
    pub own_missing_images: Vec<MissingImage>,
    /// Who leads among the operator's pods; nothing where that is not known.
    #[serde(skip)]
    pub leader: Option<Leader>,
    /// Where to reach it.
    pub urls: Urls,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    pub name: String,
    /// `control-plane` or `worker`.
    pub role: String,
    pub ready: bool,
    pub version: String,
}

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

impl Status {
    /// Whether the Milvus needs nothing more: it is healthy and updated, as is everything that belongs to it, and the
    /// operator that says so is the one that leads now.
    ///
    /// What else runs in the cluster does not count.
    pub fn is_settled(&self) -> bool {
        self.milvus.as_ref().is_some_and(MilvusStatus::is_settled)
            && self.workloads.iter().filter(|workload| workload.is_own).all(Workload::is_settled)
            && self.own_missing_images.is_empty()
            && self.leader.as_ref().is_none_or(Leader::has_settled)
    }

    /// What is not well with workloads and images of others, in words; nothing when all is.
    pub fn of_others(&self) -> Vec<String> {
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

/// A pod that is not ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PodTrouble {
    pub name: String,
    /// Where it is stuck, in one word.
    pub reason: String,
    /// What the cluster says about it.
    pub message: String,
    /// The last lines of a container that ended, where they were asked for.
    pub log: Vec<String>,
    /// The container that does not run, where one is to blame.
    #[serde(skip)]
    pub container: Option<String>,
}

impl PodTrouble {
    /// Whether a container has ended and left words in its log that may say why.
    pub fn has_last_words(&self) -> bool {
        ["CrashLoopBackOff", "Error", "OOMKilled", "RunContainerError"]
            .iter()
            .any(|reason| self.reason.ends_with(reason))
    }

    /// What to do about it, where that is known.
    pub fn advice(&self) -> Option<&'static str> {
        let says = |text: &str| self.message.contains(text) || self.reason.contains(text);
        if says("Insufficient memory") {
            Some(
                "no node has enough memory left: give the engine more, or choose `--small` or `--mode standalone`",
            )
        } else if says("Insufficient cpu") {
            Some(
                "no node has enough processors left: give the engine more, or choose `--small` or fewer replicas",
            )
        } else if says("PersistentVolumeClaim") {
            Some(
                "a volume was not made: the cluster needs a default StorageClass with a provisioner that runs \
                 (`kubectl get storageclass`, `kubectl describe pvc -A`)",
            )
        } else if says("exit code 132") {
            Some("Milvus needs a processor with SSE4.2 and AVX; an emulated one may have to be given them")
        } else if says("OOMKilled") || says("exit code 137") {
            Some("it had too little memory: give the engine more, or raise `resources` in `milvus.spec`")
        } else if says("ImagePull") || says("ErrImageNeverPull") {
            Some("`milvusctl load-missing-images` loads what is missing")
        } else {
            None
        }
    }
}

/// Where to reach what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Urls {
    pub attu: Option<String>,
    pub milvus: Option<String>,
}

/// Text at a path of object keys, empty when there is none.
fn text(value: &Value, path: &str) -> String {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

fn list<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

/// Reads `kubectl get nodes -o json`.
pub fn nodes(answer: &Value) -> Vec<NodeStatus> {
    list(answer, "/items")
        .map(|node| {
            let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
            let is_control = labels.is_some_and(|labels| {
                labels.contains_key("node-role.kubernetes.io/control-plane")
                    || labels.contains_key("node-role.kubernetes.io/master")
            });
            NodeStatus {
                name: text(node, "/metadata/name"),
                role: if is_control { "control-plane" } else { "worker" }.to_owned(),
                ready: list(node, "/status/conditions")
                    .any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True"),
                version: text(node, "/status/nodeInfo/kubeletVersion"),
            }
        })
        .collect()
}

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

/// Reads `kubectl get persistentvolumeclaims -A -o json`: the claims for which there is no volume yet.
pub fn pending_volumes(answer: &Value) -> Vec<String> {
    list(answer, "/items")
        .filter(|claim| text(claim, "/status/phase") != "Bound")
        .map(|claim| format!("{}/{}", text(claim, "/metadata/namespace"), text(claim, "/metadata/name")))
        .collect()
}

/// Reads `kubectl get pods -A -o json`: the pods that have not ended and are not ready, and why.
pub fn pod_troubles(answer: &Value) -> Vec<PodTrouble> {
    list(answer, "/items").filter_map(pod_trouble).collect()
}

fn pod_trouble(pod: &Value) -> Option<PodTrouble> {
    let phase = text(pod, "/status/phase");
    if phase == "Succeeded" {
        return None;
    }
    let condition = |kind: &str| list(pod, "/status/conditions").find(|c| text(c, "/type") == kind);
    if condition("Ready").is_some_and(|ready| text(ready, "/status") == "True") {
        return None;
    }
    let name = format!("{}/{}", text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    let trouble = |reason: String, message: String, container: Option<String>| {
        Some(PodTrouble { name: name.clone(), reason, message, log: Vec::new(), container })
    };
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        return trouble("Terminating".into(), String::new(), None);
    }
    if let Some(unscheduled) = condition("PodScheduled").filter(|c| text(c, "/status") == "False") {
        return trouble(text(unscheduled, "/reason"), text(unscheduled, "/message"), None);
    }
    for (kind, prefix) in [("initContainerStatuses", "Init:"), ("containerStatuses", "")] {
        for container in list(pod, &format!("/status/{kind}")) {
            let name = Some(text(container, "/name")).filter(|name| !name.is_empty());
            if let Some(waiting) = container.pointer("/state/waiting") {
                let reason = text(waiting, "/reason");
                // The later containers of a pod wait for the first one; that tells nothing.
                if reason == "PodInitializing" {
                    continue;
                }
                let mut message = text(waiting, "/message");
                if let Some(last) = container.pointer("/lastState/terminated") {
                    message = format!("{message} (last: {})", ending(last));
                }
                return trouble(format!("{prefix}{reason}"), message, name);
            }
            if let Some(ended) = container.pointer("/state/terminated")
                && number(ended, "/exitCode") != 0
            {
                return trouble(format!("{prefix}{}", text(ended, "/reason")), ending(ended), name);
            }
        }
    }
    trouble(if phase == "Running" { "NotReady".into() } else { phase }, String::new(), None)
}

/// How a container ended: `OOMKilled, exit code 137: …`.
fn ending(terminated: &Value) -> String {
    let code = terminated.pointer("/exitCode").and_then(Value::as_i64).unwrap_or(0);
    let reason = text(terminated, "/reason");
    // `Error` says no more than the code does.
    let reason = if reason.is_empty() || reason == "Error" { String::new() } else { format!("{reason}, ") };
    format!("{reason}exit code {code}{}", exit_meaning(code))
}

/// What an exit code of Milvus is known to mean (milvus#37459, #21649).
fn exit_meaning(code: i64) -> &'static str {
    match code {
        132 => ": this processor lacks instructions that Milvus needs (AVX, SSE4.2)",
        137 => ": it was out of memory, or was killed",
        _ => "",
    }
}

/// One line that says what is being waited for: dependencies first, then Milvus.
pub fn progress(status: &Status) -> String {
    let unready: Vec<&Workload> =
        status.workloads.iter().filter(|workload| workload.is_own && !workload.is_settled()).collect();
    let shown: Vec<String> = unready.iter().take(2).map(|workload| workload.in_words()).collect();
    match (shown.is_empty(), unready.len()) {
        (false, n @ 3..) => return format!("{} and {} more", shown.join(", "), n - 2),
        (false, _) => return shown.join(", "),
        (true, _) => {}
    }
    let Some(milvus) = &status.milvus else {
        return "the operator to take up the Milvus resource".to_owned();
    };
    if !milvus.is_current() {
        return "the operator to carry out the last change".to_owned();
    }
    if milvus.status == "Healthy" {
        if !milvus.is_updated() {
            return "Milvus to replace its components one after the other".to_owned();
        }
        if !status.leader.as_ref().is_none_or(Leader::has_settled) {
            return "the operator to take the lead".to_owned();
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

    #[test]
    fn a_milvus_that_the_operator_has_not_seen_is_pending() {
        let status =
            milvus(&json!({"metadata": {"name": "m", "namespace": "n"}, "spec": {"mode": "cluster"}}));
        assert_eq!((status.status.as_str(), status.mode.as_str()), ("Pending", "cluster"));
    }

    fn pod(status: &Value) -> Value {
        json!({"items": [{"metadata": {"namespace": "d", "name": "p"}, "status": status}]})
    }

    #[test]
    fn an_image_that_is_missing_is_named_with_the_kubelets_words() {
        let answer = pod(&json!({"phase": "Pending", "initContainerStatuses": [
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"a\""}}}],
            "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]}));
        assert_eq!(
            pod_troubles(&answer),
            [PodTrouble {
                name: "d/p".into(),
                reason: "Init:ImagePullBackOff".into(),
                message: "Back-off pulling image \"a\"".into(),
                log: Vec::new(),
                container: None,
            }]
        );
    }

    #[test]
    fn a_processor_without_avx_is_recognised() {
        let answer = pod(&json!({"phase": "Running", "containerStatuses": [
            {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
             "lastState": {"terminated": {"exitCode": 132}}}]}));
        let trouble = &pod_troubles(&answer)[0];
        assert!(trouble.message.contains("AVX"), "{}", trouble.message);
    }

    #[test]
    fn a_container_that_was_out_of_memory_is_recognised_and_its_log_is_worth_a_look() {
        let answer = pod(&json!({"phase": "Running", "containerStatuses": [
            {"name": "querynode", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
             "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}));
        let trouble = &pod_troubles(&answer)[0];
        assert_eq!(
            trouble.message,
            "back-off (last: OOMKilled, exit code 137: it was out of memory, or was killed)"
        );
        assert_eq!((trouble.container.as_deref(), trouble.has_last_words()), (Some("querynode"), true));
    }

    #[test]
    fn each_known_trouble_comes_with_what_to_do() {
        let trouble = |reason: &str, message: &str| PodTrouble {
            name: "d/p".into(),
            reason: reason.into(),
            message: message.into(),
            log: Vec::new(),
            container: None,
        };
        for (reason, message, advice) in [
            ("Unschedulable", "0/1 nodes are available: 1 Insufficient memory.", "--small"),
            ("Unschedulable", "0/4 nodes are available: 4 Insufficient cpu.", "processors"),
            (
                "Unschedulable",
                "0/3 nodes are available: 3 pod has unbound immediate PersistentVolumeClaims.",
                "StorageClass",
            ),
            ("CrashLoopBackOff", "back-off (last: exit code 132: this processor lacks", "AVX"),
            ("OOMKilled", "exit code 137", "too little memory"),
            ("Init:ImagePullBackOff", "Back-off pulling image", "load-missing-images"),
        ] {
            let given = trouble(reason, message).advice().unwrap_or_default();
            assert!(given.contains(advice), "{reason} {message}: {given}");
        }
        assert_eq!(trouble("ContainerCreating", "").advice(), None);
    }

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
            urls: Urls::default(),
        }
    }

    #[test]
    fn healthy_counts_once_the_resource_of_now_is_carried_out() {
        let is_settled = |observed, updated| milvus(&resource(observed, updated)).is_settled();
        assert!(is_settled(2, Some("True")));
        assert!(is_settled(2, None), "a release that does not say it");
        assert!(!is_settled(1, Some("True")), "said of an older resource");
        assert!(!is_settled(2, Some("False")), "components are replaced");
    }

    fn workload(name: &str, is_own: bool, ready: u64) -> Workload {
        let kind = "StatefulSet".to_owned();
        Workload { kind, name: format!("default/{name}"), ready, desired: 3, outdated: 0, is_own }
    }

    #[test]
    fn what_others_run_is_told_and_does_not_count() {
        let healthy = resource(2, Some("True"));
        let mut with = status(&healthy, vec![workload("etcd", true, 3), workload("web", false, 1)], None);
        with.missing_images = vec!["a:latest".into()];
        assert!(with.is_settled());
        assert_eq!(
            with.of_others(),
            ["StatefulSet `default/web` has 1 of 3 pods ready", "other pods wait for a:latest"]
        );
        with.own_missing_images =
            vec![MissingImage::new(crate::images::missing::ImageName::Valid("a:latest".parse().unwrap()))];
        assert!(!with.is_settled());
        assert!(!status(&healthy, vec![workload("etcd", true, 2)], None).is_settled());
    }

    #[test]
    fn an_operator_that_does_not_lead_yet_is_waited_for() {
        let leader = |is_there, seconds| Some(Leader { is_there, seconds });
        let healthy = resource(2, Some("True"));
        assert!(status(&healthy, Vec::new(), leader(true, 60)).is_settled());
        let waiting = status(&healthy, Vec::new(), leader(true, 3));
        assert!(!waiting.is_settled());
        assert_eq!(progress(&waiting), "the operator to take the lead");
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
    fn a_pod_that_no_node_can_take_says_why() {
        let answer = pod(&json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient memory"}]}));
        let trouble = &pod_troubles(&answer)[0];
        assert_eq!(
            (trouble.reason.as_str(), trouble.message.as_str()),
            ("Unschedulable", "0/1 nodes: Insufficient memory")
        );
    }

    #[test]
    fn ready_and_ended_pods_are_no_trouble() {
        let ready = pod(&json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}));
        assert_eq!(pod_troubles(&ready), []);
        assert_eq!(pod_troubles(&pod(&json!({"phase": "Succeeded"}))), []);
    }

    #[test]
    fn progress_names_what_is_not_ready_first() {
        let workloads =
            vec![workload("etcd", true, 2), workload("minio", true, 3), workload("web", false, 0)];
        assert_eq!(progress(&status(&resource(2, None), workloads, None)), "etcd: 2 of 3 ready");
        assert_eq!(
            progress(&status(&resource(2, Some("False")), Vec::new(), None)),
            "Milvus to replace its components one after the other"
        );
        assert_eq!(
            progress(&status(&resource(1, Some("True")), Vec::new(), None)),
            "the operator to carry out the last change"
        );
    }
}
