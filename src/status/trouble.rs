//! Finds pods that are not ready, why, and what to do about it.

use serde::Serialize;

use crate::kube::kubelet::PodProblem;
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
    #[serde(skip)]
    pub problem: Option<PodProblem>,
}

impl PodTrouble {
    /// What to do about it, if known.
    pub fn advice(&self) -> Option<&'static str> {
        Some(match self.problem? {
            PodProblem::NodeMemory => {
                "its node ran out of memory: give the engine more, or choose `--small` or `--mode standalone`"
            }
            PodProblem::NodeDisk => {
                "the engine's disk is nearly full: make room; `docker system df` shows what uses it"
            }
            PodProblem::NoMemoryLeft => {
                "no node has enough memory left: give the engine more, or choose `--small` or `--mode standalone`"
            }
            PodProblem::NoCpuLeft => {
                "no node has enough processors left: give the engine more, or choose `--small` or fewer replicas"
            }
            PodProblem::Volume => {
                "a volume was not provisioned: the cluster needs a default StorageClass with a running provisioner \
                 (`kubectl get storageclass`, `kubectl describe pvc -A`)"
            }
            PodProblem::Instruction => PROCESSOR,
            PodProblem::OutOfMemory => {
                "it ran out of memory: give the engine more, or raise `resources` in `milvus.spec`"
            }
            PodProblem::Image => "`milvusctl load-missing-images` loads what is missing",
        })
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
    let (reason, message, ended, container) = if pod.metadata.deletion_timestamp.is_some() {
        ("Terminating".to_owned(), String::new(), None, None)
    } else if phase == "Failed" && !status.reason.is_empty() {
        // The kubelet evicts or rejects a whole pod; its containers' states do not tell why.
        (status.reason.to_string(), status.message.trim().to_owned(), None, None)
    } else if let Some(condition) = unscheduled {
        (condition.reason.to_string(), condition.message.to_string(), None, None)
    } else if let Some((container, reason, message, ended)) = stuck.next() {
        let name = Some(container.name.to_string()).filter(|name| !name.is_empty());
        (reason, message, ended, name)
    } else {
        (if phase == "Running" { "NotReady" } else { phase }.to_owned(), String::new(), None, None)
    };
    let problem = PodProblem::of(&reason, &message, ended);
    Some(PodTrouble {
        name: pod.full_name().to_string(),
        reason,
        message,
        log: Vec::new(),
        container,
        problem,
    })
}

/// A container that is stuck, with its reason and message and how it last ended.
type Stuck<'p, 'a> = (&'p ContainerStatus<'a>, String, String, Option<&'p Terminated<'a>>);

fn stuck<'p, 'a>(prefix: &str, container: &'p ContainerStatus<'a>) -> Option<Stuck<'p, 'a>> {
    if let Some(waiting) = &container.state.waiting {
        if waiting.is_initializing() {
            return None;
        }
        let last = container.last_state.terminated.as_ref();
        let shown = last.map(|last| format!(" (last: {})", ending(last))).unwrap_or_default();
        let message = format!("{}{shown}", waiting.message);
        return Some((container, format!("{prefix}{}", waiting.reason), message, last));
    }
    let ended = container.state.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
    Some((container, format!("{prefix}{}", ended.reason), ending(ended), Some(ended)))
}

/// Formats how a container ended: `OOMKilled, exit code 137: …`.
fn ending(ended: &Terminated<'_>) -> String {
    let reason = ended.extra_reason().map(|reason| format!("{reason}, ")).unwrap_or_default();
    format!("{reason}exit code {}{}", ended.exit_code, exit_meaning(ended))
}

/// The known meaning of a Milvus exit code (milvus#37459, #21649).
const fn exit_meaning(ended: &Terminated<'_>) -> &'static str {
    if ended.lacks_instruction() {
        ": this processor lacks instructions that Milvus needs (AVX, SSE4.2)"
    } else if ended.was_killed() {
        ": it ran out of memory, or was killed"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kube::kubelet::may_have_logged_why;

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
                problem: Some(PodProblem::Image),
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
            problem: Some(PodProblem::NodeDisk),
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
        assert_eq!(trouble.advice(), Some(PROCESSOR));
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
        assert_eq!(
            (trouble.container.as_deref(), may_have_logged_why(&trouble.reason)),
            (Some("querynode"), true)
        );
    }

    #[test]
    fn every_known_trouble_comes_with_advice() {
        let waits = |reason: &str| json!([{"name": "c", "state": {"waiting": {"reason": reason}}}]);
        let is_unscheduled = |message: &str| json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]);
        let ended = |code: i32| json!([{"name": "c", "state": {"terminated": {"exitCode": code}}}]);
        for (field, value, advice) in [
            ("conditions", is_unscheduled("0/1 nodes are available: 1 Insufficient memory."), "--small"),
            ("conditions", is_unscheduled("0/4 nodes are available: 4 Insufficient cpu."), "processors"),
            (
                "conditions",
                is_unscheduled(
                    "0/3 nodes are available: 3 pod has unbound immediate PersistentVolumeClaims.",
                ),
                "StorageClass",
            ),
            ("containerStatuses", ended(132), "AVX"),
            ("containerStatuses", ended(137), "ran out of memory"),
            ("initContainerStatuses", waits("ImagePullBackOff"), "load-missing-images"),
        ] {
            let found = troubles(&json!({"phase": "Pending", field: value}));
            let given = found[0].advice().unwrap_or_default();
            assert!(given.contains(advice), "{found:?}: {given}");
        }
        let starting = json!({"phase": "Pending", "containerStatuses": waits("ContainerCreating")});
        assert_eq!(troubles(&starting)[0].advice(), None);
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
