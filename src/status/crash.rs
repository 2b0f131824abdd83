//! Pods not worth waiting for: an operator that keeps crashing, and a Milvus on a processor that cannot run it.
//!
//! Milvus's own pods restart several times while its dependencies start. So only the operator, which needs nothing but
//! the API server, is judged by its restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::kube::pod::Pod;
use crate::kube::pod_status::{ContainerStatus, Terminated, Waiting};
use crate::text::Text;

/// After how many restarts an operator is given up. The kubelet's back-off before them adds up to two and a half minutes
/// (10 s, 20 s, 40 s, 80 s).
const OPERATOR: u32 = 4;
/// How long the operator must have run for an exit not to count as a crash at startup: it may have lost its lease.
const BRIEF: Duration = Duration::from_secs(60);
/// After how many restarts a missing instruction is given up; it fails the same way every time.
const INSTRUCTION: u32 = 2;

/// A container in `CrashLoopBackOff`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashLoop {
    /// As `namespace/name`.
    pub pod: String,
    pub container: String,
    pub restarts: u32,
    pub cause: CrashCause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashCause {
    /// The operator exited soon after it started.
    Operator,
    /// The processor lacks an instruction.
    Instruction,
}

impl CrashLoop {
    /// The crash loop in `pod` that a wait can judge, if any.
    pub fn of(pod: &Pod<'_>, is_operator: bool) -> Option<Self> {
        if pod.metadata.deletion_timestamp.is_some() {
            return None;
        }
        pod.states().find_map(|state| {
            let cause = cause(state, is_operator)?;
            Some(Self {
                pod: pod.full_name().to_string(),
                container: state.name.to_string(),
                restarts: state.restart_count,
                cause,
            })
        })
    }
}

fn cause(state: &ContainerStatus<'_>, is_operator: bool) -> Option<CrashCause> {
    let waits = state.state.waiting.as_ref().is_some_and(Waiting::is_crash_loop);
    let last = state.last_state.terminated.as_ref().filter(|_| waits)?;
    if last.lacks_instruction() {
        return Some(CrashCause::Instruction);
    }
    (is_operator && was_brief(last)).then_some(CrashCause::Operator)
}

/// Whether a run was short; `false` if its times are unknown.
fn was_brief(run: &Terminated<'_>) -> bool {
    let time = |text: Option<&Text<'_>>| humantime::parse_rfc3339_weak(text?).ok();
    let (Some(start), Some(end)) = (time(run.started_at.as_ref()), time(run.finished_at.as_ref())) else {
        return false;
    };
    end.duration_since(start).is_ok_and(|ran| ran < BRIEF)
}

/// The crashes seen during a wait. Earlier ones do not count, since their cause may be fixed.
#[derive(Debug, Default)]
pub struct Crashes {
    /// Each container's restarts when it was first seen crashing.
    first: BTreeMap<(String, String), u32>,
}

impl Crashes {
    /// Records the current crash loops, and returns one that will not recover.
    pub fn hopeless<'c>(&mut self, seen: &'c [CrashLoop]) -> Option<&'c CrashLoop> {
        for crash in seen {
            let key = (crash.pod.clone(), crash.container.clone());
            self.first.entry(key).or_insert(crash.restarts);
        }
        seen.iter().find(|crash| {
            let first = self.first.get(&(crash.pod.clone(), crash.container.clone()));
            let has_crashed_again = first.is_some_and(|first| crash.restarts > *first);
            let enough = match crash.cause {
                CrashCause::Operator => OPERATOR,
                CrashCause::Instruction => INSTRUCTION,
            };
            has_crashed_again && crash.restarts >= enough
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kube::pod::PodList;

    fn crash(status: &Value, is_operator: bool) -> Option<CrashLoop> {
        let pod =
            json!({"metadata": {"namespace": "o", "name": "p"}, "status": {"containerStatuses": [status]}});
        let json = json!({"items": [pod]}).to_string();
        CrashLoop::of(&PodList::from_slice(json.as_bytes()).unwrap().items[0], is_operator)
    }

    fn state(waiting: Option<&str>, code: i32, seconds: u32) -> Value {
        let state = waiting.map_or_else(
            || json!({"running": {"startedAt": "2026-01-01T00:02:00Z"}}),
            |reason| json!({"waiting": {"reason": reason}}),
        );
        json!({"name": "manager", "restartCount": 4, "state": state, "lastState": {"terminated": {
            "exitCode": code, "reason": "Error",
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": format!("2026-01-01T00:{:02}:{:02}Z", seconds / 60, seconds % 60),
        }}})
    }

    #[test]
    fn an_operator_that_ends_soon_after_it_began_crashes_and_no_other_pod() {
        let found = crash(&state(Some("CrashLoopBackOff"), 1, 2), true).unwrap();
        assert_eq!(
            (found.pod.as_str(), found.container.as_str(), found.restarts, found.cause),
            ("o/p", "manager", 4, CrashCause::Operator)
        );
        for (state, is_operator) in [
            (state(Some("CrashLoopBackOff"), 1, 2), false),
            (state(Some("CrashLoopBackOff"), 1, 90), true),
            (state(Some("ImagePullBackOff"), 1, 2), true),
            (state(None, 1, 2), true),
        ] {
            assert_eq!(crash(&state, is_operator), None, "{state}");
        }
    }

    #[test]
    fn an_instruction_that_is_lacking_tells_of_any_pod() {
        let found = crash(&state(Some("CrashLoopBackOff"), 132, 90), false).unwrap();
        assert_eq!(found.cause, CrashCause::Instruction);
    }

    #[test]
    fn only_a_crash_that_comes_again_and_was_seen_to_is_hopeless() {
        let crash =
            |restarts, cause| vec![CrashLoop { pod: "o/p".into(), container: "c".into(), restarts, cause }];
        let mut fresh = Crashes::default();
        for (restarts, expected) in [(1, false), (2, false), (3, false), (4, true)] {
            let is_hopeless = fresh.hopeless(&crash(restarts, CrashCause::Operator)).is_some();
            assert_eq!(is_hopeless, expected, "{restarts}");
        }
        // Another run, after the cause was mended: the pause for the old crash is still on.
        let mut later = Crashes::default();
        for (restarts, expected) in [(8, false), (8, false), (9, true)] {
            let is_hopeless = later.hopeless(&crash(restarts, CrashCause::Operator)).is_some();
            assert_eq!(is_hopeless, expected, "{restarts}");
        }
        let mut of_processor = Crashes::default();
        for (restarts, expected) in [(1, false), (2, true)] {
            let is_hopeless = of_processor.hopeless(&crash(restarts, CrashCause::Instruction)).is_some();
            assert_eq!(is_hopeless, expected, "{restarts}");
        }
    }
}
