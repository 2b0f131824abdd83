//! Computes the volumes that a Milvus claims, from its custom resource and the charts' defaults.

use serde::Serialize;
use serde_json::{Value, json};

use super::charts::{self, PulsarChart};
use super::dependencies::pulsar_chart;
use super::resource::{Part, Resource};
use super::{custom_resource, merge};
use crate::kube::quantity::Quantity;
use crate::settings::Settings;
use crate::ui;

/// The operator's claim for a message store embedded in Milvus (milvus-operator, `pkg/controllers/pvc.go`).
const LOG: &str = "5Gi";

/// One part's claims of equal size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// Such as `bookkeeper ledgers`.
    pub part: String,
    pub count: u64,
    /// The size of each, in bytes.
    pub bytes: u64,
}

/// The bytes of all claims together.
pub fn sum(claims: &[Claim]) -> u64 {
    claims.iter().map(|claim| claim.count.saturating_mul(claim.bytes)).fold(0, u64::saturating_add)
}

/// A sentence with the total and its parts, or `None` if nothing is claimed.
pub fn in_words(claims: &[Claim]) -> Option<String> {
    let sum = sum(claims);
    let part = |claim: &Claim| format!("{} {} x {}", claim.part, claim.count, ui::bytes(claim.bytes));
    let parts = claims.iter().map(part).collect::<Vec<_>>().join(", ");
    (sum > 0).then(|| {
        format!("Milvus claims {} of volumes: {parts}; `milvus.volumes` sets the sizes", ui::bytes(sum))
    })
}

/// Returns the claims of the Milvus of `settings`.
pub fn claims(settings: &Settings) -> Vec<Claim> {
    let resource = &custom_resource(settings);
    let read = Resource::new(resource);
    let mut found = Claims(Vec::new());
    let values = |part: Part, mut defaults: Value| {
        if let Some(own) = read.values(part) {
            merge(&mut defaults, own);
        }
        Some(defaults).filter(|_| !read.is_external(part))
    };
    if let Some(values) = values(Part::Etcd, charts::etcd(read.mode())) {
        found.persistent("etcd", count(&values["replicaCount"]), &values);
    }
    if let Some(values) = values(Part::Storage, charts::minio(read.mode())) {
        let drives = ["replicas", "zones", "drivesPerNode"].map(|key| count(&values[key]));
        let drives = if values["mode"] == "standalone" { 1 } else { drives.iter().product() };
        found.persistent("storage", drives, &values);
    }
    match read.store(settings.milvus_line()) {
        "pulsar" => {
            let chart = match read.chart(Part::Pulsar) {
                Some("pulsar-v2") => PulsarChart::V2,
                _ => pulsar_chart(settings),
            };
            if let Some(values) = values(Part::Pulsar, charts::pulsar(chart)) {
                found.pulsar(&values);
            }
        }
        "kafka" => {
            if let Some(values) = values(Part::Kafka, charts::kafka()) {
                found.persistent("kafka", count(&values["replicaCount"]), &values);
                let zookeeper = &values["zookeeper"];
                if zookeeper["enabled"] != json!(false) {
                    found.persistent("zookeeper", count(&zookeeper["replicaCount"]), zookeeper);
                }
            }
        }
        store => {
            let persistence = &resource["spec"]["dependencies"][store]["persistence"];
            let claim = &persistence["persistentVolumeClaim"];
            let exists = claim["existingClaim"].as_str().is_some_and(|name| !name.is_empty());
            if persistence["enabled"] == json!(true) && !exists {
                let size = claim.pointer("/spec/resources/requests/storage").cloned();
                found.add(store, 1, &size.unwrap_or_else(|| LOG.into()));
            }
        }
    }
    found.0
}

struct Claims(Vec<Claim>);

impl Claims {
    fn add(&mut self, part: &str, count: u64, size: &Value) {
        let bytes = Quantity::of(size).map_or(0, Quantity::whole);
        if count > 0 && bytes > 0 {
            self.0.push(Claim { part: part.to_owned(), count, bytes });
        }
    }

    /// The claims of a Bitnami-style chart, one for each of `count` pods.
    fn persistent(&mut self, part: &str, count: u64, values: &Value) {
        let persistence = &values["persistence"];
        let exists = persistence["existingClaim"].as_str().is_some_and(|name| !name.is_empty());
        if persistence["enabled"] != json!(false) && !exists {
            self.add(part, count, &persistence["size"]);
        }
    }

    /// Pulsar's claims, each of which can be turned off at three levels.
    fn pulsar(&mut self, values: &Value) {
        if [&values["persistence"], &values["volumes"]["persistence"]].contains(&&json!(false)) {
            return;
        }
        for (part, volumes) in [("zookeeper", &["data"][..]), ("bookkeeper", &["journal", "ledgers"])] {
            let (own, said) = (&values[part], &values[part]["volumes"]);
            if values["components"][part] == json!(false) || said["persistence"] == json!(false) {
                continue;
            }
            let is_common = said["useSingleCommonVolume"] == json!(true);
            for volume in if is_common { &["common"][..] } else { volumes } {
                let part = format!("{part} {volume}");
                self.add(&part, count(&own["replicaCount"]), &said[volume]["size"]);
            }
        }
    }
}

/// A number of pods or drives, 1 if unset.
fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    /// Formats each claim like `3 x 10Gi etcd`.
    fn of(text: &str) -> Vec<String> {
        let line = |claim: Claim| format!("{} x {}Gi {}", claim.count, claim.bytes >> 30, claim.part);
        claims(&settings(text)).into_iter().map(line).collect()
    }

    const CLUSTER: [&str; 5] = [
        "3 x 10Gi etcd",
        "4 x 500Gi storage",
        "3 x 20Gi zookeeper data",
        "3 x 100Gi bookkeeper journal",
        "3 x 200Gi bookkeeper ledgers",
    ];

    #[test]
    fn the_charts_claim_nearly_three_tebibytes() {
        assert_eq!(of("milvus: {mode: cluster}"), CLUSTER);
        assert_eq!(of("milvus: {mode: cluster}\noperator: {version: 1.1.4}"), CLUSTER);
        let sum: u64 = claims(&settings("milvus: {mode: cluster}")).iter().map(|c| c.count * c.bytes).sum();
        assert_eq!(sum >> 30, 2990);
    }

    #[test]
    fn a_small_milvus_is_one_of_each() {
        assert_eq!(of("small: true"), ["1 x 10Gi etcd", "1 x 20Gi storage"]);
    }

    #[test]
    fn a_standalone_milvus_gets_one_member_and_one_drive_from_the_operator() {
        assert_eq!(
            of("milvus: {mode: standalone, sizing: operator}"),
            ["1 x 10Gi etcd", "1 x 500Gi storage"]
        );
    }

    #[test]
    fn kafka_claims_for_itself_and_its_zookeeper() {
        assert_eq!(
            of("milvus: {mode: cluster, messageStore: kafka}")[2..],
            ["3 x 300Gi kafka", "3 x 8Gi zookeeper"]
        );
    }

    #[test]
    fn chosen_sizes_override_the_charts() {
        assert_eq!(
            of(
                "milvus: {mode: cluster, volumes: {etcd: 1Gi, storage: 2Gi, zookeeper: 3Gi, journal: 4Gi, ledgers: 5Gi}}"
            ),
            [
                "3 x 1Gi etcd",
                "4 x 2Gi storage",
                "3 x 3Gi zookeeper data",
                "3 x 4Gi bookkeeper journal",
                "3 x 5Gi bookkeeper ledgers"
            ]
        );
    }

    #[test]
    fn an_embedded_message_store_claims_what_the_operator_sets() {
        let of = |rest: &str| of(&format!("milvus: {{mode: standalone, messageStore: rocksmq{rest}}}"));
        assert_eq!(of("")[2..], ["1 x 5Gi rocksmq"]);
        assert_eq!(of(", volumes: {log: 7Gi}")[2..], ["1 x 7Gi rocksmq"]);
        let there =
            ", spec: {dependencies: {rocksmq: {persistence: {persistentVolumeClaim: {existingClaim: c}}}}}";
        assert_eq!(of(there)[2..], [""; 0]);
    }

    #[test]
    fn external_or_ephemeral_dependencies_claim_nothing() {
        let spec = "{dependencies: {etcd: {external: true}, storage: {external: true}, \
                    pulsar: {inCluster: {values: {persistence: false}}}}}";
        assert_eq!(of(&format!("milvus: {{mode: cluster, spec: {spec}}}")), [""; 0]);
    }
}
