//! The operator's leader election. A new pod takes the lead some 15 seconds after its predecessor went; until
//! a little later, a Milvus's status is still the old operator's.

use serde_json::Value;

use super::text;
use crate::kube::pod::PodList;

/// The Lease that the operator's pods compete for (milvus-operator, `pkg/manager/manager.go`).
pub(super) const LEASE: &str = "71808ec5.milvus.io";

/// How many seconds a new leader may take to reconcile every Milvus.
const LOOK: i64 = 15;

/// The leader according to its Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    /// Whether the leading pod exists and is not being deleted.
    pub is_alive: bool,
    /// How long it has led, in seconds by its own clock.
    pub seconds: i64,
}

impl Leader {
    /// Parses the Lease and looks for its holder among the pods.
    ///
    /// Returns `None` if the Lease names no leader, for example without an election.
    pub fn read(lease: &Value, namespace: &str, pods: &PodList<'_>) -> Option<Self> {
        let holder = text(lease, "/spec/holderIdentity");
        // The identity is the host name, which is the pod's name, and a random suffix (controller-runtime).
        let pod = holder.rsplit_once('_')?.0;
        let time = |path: &str| humantime::parse_rfc3339_weak(&text(lease, path)).ok();
        let (since, renewed) = (time("/spec/acquireTime")?, time("/spec/renewTime")?);
        let seconds =
            renewed.duration_since(since).map_or(0, |led| i64::try_from(led.as_secs()).unwrap_or(i64::MAX));
        let is_alive = pods.items.iter().map(|pod| &pod.metadata).any(|found| {
            &*found.namespace == namespace && &*found.name == pod && found.deletion_timestamp.is_none()
        });
        Some(Self { is_alive, seconds })
    }

    /// Whether it has led long enough to have reconciled every Milvus.
    pub fn has_settled(&self) -> bool {
        self.is_alive && self.seconds >= LOOK
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(holder: &str, acquired: &str, renewed: &str, pod: &Value) -> Option<Leader> {
        let lease =
            json!({"spec": {"holderIdentity": holder, "acquireTime": acquired, "renewTime": renewed}});
        let pods = json!({"items": [{"metadata": pod}]}).to_string();
        Leader::read(&lease, "milvus-operator", &PodList::from_slice(pods.as_bytes()).unwrap())
    }

    #[test]
    fn a_pod_that_has_led_for_a_while_has_settled() {
        let pod = json!({"namespace": "milvus-operator", "name": "milvus-operator-6d-x"});
        let (early, late) = ("2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:16.500000Z");
        let holder = "milvus-operator-6d-x_0b6e1f9a-8f0c";
        assert_eq!(read(holder, early, late, &pod), Some(Leader { is_alive: true, seconds: 16 }));
        assert!(read(holder, early, late, &pod).unwrap().has_settled());
        assert!(!read(holder, early, "2026-01-01T00:00:10Z", &pod).unwrap().has_settled());
    }

    #[test]
    fn a_pod_that_is_gone_or_terminating_has_not_settled() {
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z");
        let of = |pod: Value| read("a_b", early, late, &pod).unwrap().has_settled();
        assert!(of(json!({"namespace": "milvus-operator", "name": "a"})));
        assert!(!of(json!({"namespace": "milvus-operator", "name": "other"})));
        assert!(!of(json!({"namespace": "other", "name": "a"})));
        assert!(!of(
            json!({"namespace": "milvus-operator", "name": "a", "deletionTimestamp": "2026-01-01T01:00:00Z"})
        ));
    }

    #[test]
    fn an_empty_lease_names_no_leader() {
        assert_eq!(Leader::read(&json!({}), "n", &PodList::default()), None);
        assert_eq!(read("a_b", "", "", &json!({"name": "a"})), None);
    }
}
