//! Finds pods that are not ready, why, and what to do about it.

use serde::Serialize;

use crate::kube::pod::{Pod, PodList};
use crate::kube::pod_status::{ContainerStatus, Terminated};

/// What to do about a processor that cannot run Milvus.
pub const PROCESSOR: &str =
    "Milvus needs a processor with SSE4.2 and AVX; an emulated one may need them enabled";

/// A pod that is not ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PodTrouble {
    pub name: String,
    /// The reason in one word, such as `CrashLoopBackOff`.
    pub reason: String,
    /// The cluster's message.
    pub message: String,
    /// The last log lines of a container that ended, if requested.
    pub log: Vec<String>,
    /// The failing container, if it is a single one.
    #[serde(skip)]
    pub container: Option<String>,
}

impl PodTrouble {
    /// Whether a container ended and its log may tell why.
    pub fn may_have_logged_why(&self) -> bool {
        ["CrashLoopBackOff", "Error", "OOMKilled", "RunContainerError"]
            .iter()
            .any(|reason| self.reason.ends_with(reason))
    }

    /// What to do about it, if known.
    pub fn advice(&self) -> Option<&'static str> {
        let says = |text: &str| self.message.contains(text) || self.reason.contains(text);
        if says("low on resource: memory") || says("MemoryPressure") {
            Some(
                "its node ran out of memory: give the engine more, or choose `--small` or `--mode standalone`",
            )
        } else if says("low on resource: ephemeral-storage") || says("DiskPressure") {
            Some("the engine's disk is nearly full: make room; `docker system df` shows what uses it")
        } else if says("Insufficient memory") {
            Some(
                "no node has enough memory left: give the engine more, or choose `--small` or `--mode standalone`",
            )
        } else if says("Insufficient cpu") {
            Some(
                "no node has enough processors left: give the engine more, or choose `--small` or fewer replicas",
            )
        } else if says("PersistentVolumeClaim") {
            Some(
                "a volume was not provisioned: the cluster needs a default StorageClass with a running provisioner \
                 (`kubectl get storageclass`, `kubectl describe pvc -A`)",
            )
        } else if says("exit code 132") {
            Some(PROCESSOR)
        } else if says("OOMKilled") || says("exit code 137") {
            Some("it ran out of memory: give the engine more, or raise `resources` in `milvus.spec`")
        } else if says("ImagePull") || says("ErrImageNeverPull") {
            Some("`milvusctl load-missing-images` loads what is missing")
        } else {
            None
        }
    }
}

/// The pods that are not ready, and why.
pub fn pod_troubles(pods: &PodList<'_>) -> Vec<PodTrouble> {
    pods.items.iter().filter_map(pod_trouble).collect()
}

fn pod_trouble(pod: &Pod<'_>) -> Option<PodTrouble> {
    let phase = &*pod.status.phase;
    if phase == "Succeeded" || pod.is_ready() {
        return None;
    }
    let unscheduled = pod.condition("PodScheduled").filter(|condition| &*condition.status == "False");
    let status = &pod.status;
    let mut stuck = (status.init_container_statuses.iter().map(|container| ("Init:", container)))
        .chain(status.container_statuses.iter().map(|container| ("", container)))
        .filter_map(|(prefix, container)| stuck(prefix, container));
    let (reason, message, container) = if pod.metadata.deletion_timestamp.is_some() {
        ("Terminating".to_owned(), String::new(), None)
    } else if phase == "Failed" && !status.reason.is_empty() {
        // The kubelet evicts or rejects a whole pod; its containers' states do not tell why.
        (status.reason.to_string(), status.message.trim().to_owned(), None)
    } else if let Some(condition) = unscheduled {
        (condition.reason.to_string(), condition.message.to_string(), None)
    } else if let Some((reason, message, container)) = stuck.next() {
        (reason, message, Some(container).filter(|name| !name.is_empty()))
    } else {
        (if phase == "Running" { "NotReady" } else { phase }.to_owned(), String::new(), None)
    };
    Some(PodTrouble { name: pod.full_name().to_string(), reason, message, log: Vec::new(), container })
}

/// Reason, message and name of a container that is stuck.
fn stuck(prefix: &str, container: &ContainerStatus<'_>) -> Option<(String, String, String)> {
    let name = container.name.to_string();
    if let Some(waiting) = &container.state.waiting {
        // It only waits for an earlier container.
        if &*waiting.reason == "PodInitializing" {
            return None;
        }
        let last = container.last_state.terminated.as_ref();
        let last = last.map(|last| format!(" (last: {})", ending(last))).unwrap_or_default();
        return Some((format!("{prefix}{}", waiting.reason), format!("{}{last}", waiting.message), name));
    }
    let ended = container.state.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
    Some((format!("{prefix}{}", ended.reason), ending(ended), name))
}

/// Formats how a container ended: `OOMKilled, exit code 137: …`.
fn ending(terminated: &Terminated<'_>) -> String {
    let Terminated { exit_code: code, reason, .. } = terminated;
    // `Error` adds nothing to the code.
    let reason = if matches!(&**reason, "" | "Error") { String::new() } else { format!("{reason}, ") };
    format!("{reason}exit code {code}{}", exit_meaning(*code))
}

/// The known meaning of a Milvus exit code (milvus#37459, #21649).
fn exit_meaning(code: i32) -> &'static str {
    match code {
        132 => ": this processor lacks instructions that Milvus needs (AVX, SSE4.2)",
        137 => ": it ran out of memory, or was killed",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn troubles(status: &Value) -> Vec<PodTrouble> {
        let json =
            json!({"items": [{"metadata": {"namespace": "d", "name": "p"}, "status": status}]}).to_string();
        pod_troubles(&PodList::from_slice(json.as_bytes()).unwrap())
    }

    #[test]
    fn a_missing_image_is_reported_with_the_kubelets_message() {
        let found = troubles(&json!({"phase": "Pending", "initContainerStatuses": [
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"a\""}}}],
            "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]}));
        assert_eq!(
            found,
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
    fn an_evicted_pod_is_reported_with_the_kubelets_message() {
        // As in pkg/kubelet/eviction/helpers.go.
        let message =
            "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 9Mi. ";
        let found = troubles(&json!({"phase": "Failed", "reason": "Evicted", "message": message,
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}],
            "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 137, "reason": "Error"}}}]}));
        let expected = PodTrouble {
            name: "d/p".into(),
            reason: "Evicted".into(),
            message: message.trim().into(),
            log: Vec::new(),
            container: None,
        };
        assert!(found[0].advice().unwrap().contains("disk is nearly full"));
        assert_eq!(found, [expected]);
    }

    #[test]
    fn a_processor_without_avx_is_recognised() {
        let found = troubles(&json!({"phase": "Running", "containerStatuses": [
            {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
             "lastState": {"terminated": {"exitCode": 132}}}]}));
        let trouble = &found[0];
        assert!(trouble.message.contains("AVX"), "{}", trouble.message);
    }

    #[test]
    fn an_oom_killed_container_is_recognised_and_its_log_is_read() {
        let found = troubles(&json!({"phase": "Running", "containerStatuses": [
            {"name": "querynode", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
             "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}));
        let trouble = &found[0];
        assert_eq!(
            trouble.message,
            "back-off (last: OOMKilled, exit code 137: it ran out of memory, or was killed)"
        );
        assert_eq!((trouble.container.as_deref(), trouble.may_have_logged_why()), (Some("querynode"), true));
    }

    #[test]
    fn every_known_trouble_comes_with_advice() {
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
            ("OOMKilled", "exit code 137", "ran out of memory"),
            ("Init:ImagePullBackOff", "Back-off pulling image", "load-missing-images"),
        ] {
            let given = trouble(reason, message).advice().unwrap_or_default();
            assert!(given.contains(advice), "{reason} {message}: {given}");
        }
        assert_eq!(trouble("ContainerCreating", "").advice(), None);
    }

    #[test]
    fn an_unschedulable_pod_is_reported_with_the_reason() {
        let found = troubles(&json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient memory"}]}));
        let trouble = &found[0];
        assert_eq!(
            (trouble.reason.as_str(), trouble.message.as_str()),
            ("Unschedulable", "0/1 nodes: Insufficient memory")
        );
    }

    #[test]
    fn ready_and_ended_pods_are_no_trouble() {
        let ready =
            troubles(&json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}));
        assert_eq!(ready, []);
        assert_eq!(troubles(&json!({"phase": "Succeeded"})), []);
    }
}
