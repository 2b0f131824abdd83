//! Finds what a change to a running Milvus would lose: volumes left behind, and data not yet written to
//! object storage. Version upgrades lose nothing.

use serde_json::Value;

use super::resource::{Part, Resource};
use crate::settings::Mode;

/// Messages about what turning `live` into `wanted` would lose; empty when all data is kept.
///
/// `releases` is the wanted Milvus's release line.
pub(crate) fn losses(live: &Value, wanted: &Value, releases: Option<(u64, u64)>) -> Vec<String> {
    let (live, wanted) = (Resource::new(live), Resource::new(wanted));
    let mut lost = Vec::new();
    if live.mode() != wanted.mode() {
        lost.push(format!(
            "mode `{}` would become `{}`, and etcd, object storage and message store would be recreated without their data",
            live.mode(),
            wanted.mode()
        ));
        // Everything else follows from that.
        return lost;
    }
    let (store, wanted_store) = (live.store(releases), wanted.store(releases));
    // A standalone Milvus keeps its store when upgraded to a release with another default.
    let stays = !wanted.names_store()
        && wanted.mode() == Mode::Standalone
        && [store, wanted_store].iter().all(|store| ["rocksmq", "woodpecker"].contains(store));
    if store != wanted_store && !stays {
        lost.push(format!(
            "message store `{store}` would become `{wanted_store}`, and what the old one holds that is not in the storage yet would be lost"
        ));
    }
    let mut parts = vec![Part::Etcd, Part::Storage];
    parts.extend(
        [Part::Pulsar, Part::Kafka].into_iter().filter(|part| [store, wanted_store] == [part.as_str(); 2]),
    );
    for part in parts {
        let place = |is_external| if is_external { "outside the cluster" } else { "in the cluster" };
        let (from, to) = (live.is_external(part), wanted.is_external(part));
        if from != to {
            lost.push(format!(
                "{} {} would be replaced by one {}, which does not have its data",
                part.as_str(),
                place(from),
                place(to)
            ));
        }
    }
    if let Some((from, to)) =
        change(live.etcd_replicas(), wanted.etcd_replicas(), wanted.mode() == Mode::Cluster, 3, 1)
    {
        lost.push(format!(
            "etcd would go from {from} to {to} members, which its chart cannot do without losing quorum"
        ));
    }
    let distributed = if wanted.mode() == Mode::Cluster { "distributed" } else { "standalone" };
    let (from, to) = (live.minio_mode(), wanted.minio_mode());
    let (from, to) = match (from, to) {
        (Some(from), Some(to)) => (from, to),
        // Only a small installation names it.
        (Some("standalone"), None) => ("standalone", distributed),
        (None, Some(to)) => (distributed, to),
        _ => ("", ""),
    };
    if from != to && !live.is_external(Part::Storage) && !wanted.is_external(Part::Storage) {
        lost.push(format!(
            "MinIO would go from `{from}` to `{to}` and start with empty volumes: all vectors and indexes would be left behind"
        ));
    }
    lost
}

/// The replica counts before and after, if they differ.
///
/// An unset count means the operator's default, but only the count that `small` sets is reset to it: any
/// other was set by somebody else and is kept.
fn change(
    live: Option<u64>,
    wanted: Option<u64>,
    is_cluster: bool,
    cluster: u64,
    small: u64,
) -> Option<(u64, u64)> {
    let default = if is_cluster { cluster } else { small };
    let (from, to) = match (live, wanted) {
        (Some(from), Some(to)) => (from, to),
        (Some(from), None) if from == small => (from, default),
        (None, Some(to)) => (default, to),
        _ => return None,
    };
    (from != to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::custom_resource;
    use super::super::tests::settings;
    use super::*;

    fn of(live: &Value, text: &str) -> Vec<String> {
        let settings = settings(text);
        losses(live, &custom_resource(&settings), settings.milvus_line())
    }

    fn made_with(text: &str) -> Value {
        custom_resource(&settings(text))
    }

    /// A cluster-mode resource as the operator writes it back.
    fn cluster() -> Value {
        json!({"spec": {"mode": "cluster", "dependencies": {
            "msgStreamType": "pulsar",
            "etcd": {"inCluster": {"values": {"replicaCount": 3}}},
            "storage": {"inCluster": {"values": {"mode": "distributed"}}},
        }}})
    }

    #[test]
    fn an_upgrade_loses_nothing() {
        assert_eq!(of(&cluster(), ""), [""; 0]);
        assert_eq!(of(&cluster(), "milvus: {version: 2.6.12}"), [""; 0]);
        let small = |version: &str| format!("small: true\nmilvus: {{version: {version}}}");
        assert_eq!(of(&made_with(&small("2.5.4")), &small("2.6.11")), [""; 0]);
        let old = json!({"spec": {"mode": "standalone", "dependencies": {"msgStreamType": "rocksmq"}}});
        assert_eq!(of(&old, "milvus: {mode: standalone, version: 2.6.11}"), [""; 0]);
        let five = json!({"spec": {"mode": "cluster", "dependencies": {"etcd": {"inCluster": {"values": {"replicaCount": 5}}}}}});
        assert_eq!(of(&five, "milvus: {version: 2.6.12}"), [""; 0]);
    }

    #[test]
    fn every_lossy_change_is_reported() {
        let begins = |live: &Value, text: &str| {
            let said =
                of(live, text).into_iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
            said.collect::<Vec<_>>()
        };
        assert_eq!(begins(&cluster(), "small: true"), ["mode `cluster`"]);
        assert_eq!(
            begins(&cluster(), "small: true\nmilvus: {mode: cluster}"),
            ["message store", "etcd would", "MinIO would"]
        );
        assert_eq!(
            begins(&made_with("small: true\nmilvus: {mode: cluster}"), ""),
            ["message store", "etcd would", "MinIO would"]
        );
        assert_eq!(begins(&cluster(), "milvus: {messageStore: kafka}"), ["message store"]);
        assert_eq!(begins(&cluster(), "milvus: {etcd: {external: ['e:2379']}}"), ["etcd in"]);
        assert_eq!(begins(&cluster(), "milvus: {storage: {endpoint: 's:1', useIAM: true}}"), ["storage in"]);
        assert_eq!(begins(&cluster(), "milvus: {pulsar: {external: 'p:6650'}}"), ["pulsar in"]);
    }
}
