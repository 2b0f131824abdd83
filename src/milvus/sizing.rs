//! Chart values and component resources for the chosen sizing.
//!
//! The charts' default requests and heaps (see `charts`) exceed a laptop's memory. The scheduler only looks
//! at requests, but a JVM takes its heap regardless, so both are lowered; replicas stay.

use serde_json::{Value, json};

use super::charts::PulsarChart;
use crate::settings::Sizing;

/// The resources of each Milvus pod.
pub(super) fn components(sizing: Sizing) -> Value {
    match sizing {
        Sizing::Small => json!({"resources": {"requests": {"cpu": "100m", "memory": "256Mi"}}}),
        Sizing::Laptop | Sizing::Operator => json!({}),
    }
}

/// The values of etcd's chart.
pub(super) fn etcd(sizing: Sizing) -> Value {
    match sizing {
        Sizing::Small => json!({"replicaCount": 1}),
        Sizing::Laptop | Sizing::Operator => json!({}),
    }
}

/// The values of MinIO's chart.
pub(super) fn storage(sizing: Sizing) -> Value {
    match sizing {
        Sizing::Small => json!({
            "mode": "standalone",
            "resources": {"requests": {"memory": "100Mi"}},
            "persistence": {"size": "20Gi"},
        }),
        Sizing::Laptop => json!({"resources": {"requests": {"memory": "256Mi"}}}),
        Sizing::Operator => json!({}),
    }
}

/// The values of a part of Pulsar: its request and its JVM's heap and direct memory, in MiB.
fn jvm(request: u32, heap: u32, direct: u32) -> Value {
    let memory = format!("-Xms{heap}m -Xmx{heap}m -XX:MaxDirectMemorySize={direct}m");
    json!({
        "resources": {"requests": {"cpu": "50m", "memory": format!("{request}Mi")}},
        "configData": {"PULSAR_MEM": memory},
    })
}

/// The values of Pulsar's chart.
pub(super) fn pulsar(sizing: Sizing, chart: PulsarChart) -> Value {
    let mut values = match sizing {
        Sizing::Small => {
            let mut values = json!({
                "components": {"autorecovery": false},
                "zookeeper": jvm(256, 256, 256),
                "bookkeeper": jvm(256, 256, 256),
                "broker": jvm(256, 256, 256),
                "proxy": jvm(256, 128, 256),
            });
            for part in ["zookeeper", "bookkeeper", "broker", "proxy"] {
                values[part]["replicaCount"] = 1.into();
            }
            // With one bookie, ledgers cannot have more than one copy.
            for copies in ["EnsembleSize", "WriteQuorum", "AckQuorum"] {
                values["broker"]["configData"][format!("managedLedgerDefault{copies}")] = "1".into();
            }
            values
        }
        Sizing::Laptop => {
            let mut autorecovery = jvm(128, 64, 64);
            // `bin/bookkeeper` starts autorecovery, and both charts set its heap with this variable.
            let memory = autorecovery["configData"]["PULSAR_MEM"].take();
            autorecovery["configData"] = json!({"BOOKIE_MEM": memory});
            json!({
                "zookeeper": jvm(256, 128, 64),
                "bookkeeper": jvm(512, 192, 256),
                "autorecovery": autorecovery,
                "broker": jvm(512, 256, 192),
                "proxy": jvm(256, 96, 128),
            })
        }
        Sizing::Operator => return json!({}),
    };
    if chart == PulsarChart::V2 {
        // This chart limits the proxy's direct memory in PULSAR_GC, which comes after PULSAR_MEM on the
        // command line and would win.
        let direct = if sizing == Sizing::Small { 256 } else { 128 };
        values["proxy"]["configData"]["PULSAR_GC"] = format!("-XX:MaxDirectMemorySize={direct}m").into();
    }
    values
}

/// The values of Kafka's chart.
pub(super) fn kafka(sizing: Sizing) -> Value {
    let heap = "-Xms512m -Xmx512m";
    match sizing {
        Sizing::Small => json!({
            "replicaCount": 1,
            "defaultReplicationFactor": 1,
            "offsetsTopicReplicationFactor": 1,
            "heapOpts": heap,
            "zookeeper": {"replicaCount": 1, "heapSize": 128},
        }),
        Sizing::Laptop => json!({
            "heapOpts": heap,
            "resources": {"requests": {"cpu": "50m", "memory": "640Mi"}},
            "zookeeper": {"heapSize": 128},
        }),
        Sizing::Operator => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the MiB that `option` sets in a JVM's options.
    fn option(memory: &str, option: &str) -> u32 {
        let value = memory.split(' ').find_map(|word| word.strip_prefix(option)).unwrap();
        value.strip_suffix('m').unwrap().parse().unwrap()
    }

    #[test]
    fn a_laptops_heap_and_direct_memory_fit_its_request() {
        let values = pulsar(Sizing::Laptop, PulsarChart::V3);
        let parts = values.as_object().unwrap();
        assert_eq!(parts.len(), 5);
        for (name, part) in parts {
            let key = if name == "autorecovery" { "BOOKIE_MEM" } else { "PULSAR_MEM" };
            let memory = part["configData"][key].as_str().unwrap();
            let request = part["resources"]["requests"]["memory"].as_str().unwrap();
            let request: u32 = request.strip_suffix("Mi").unwrap().parse().unwrap();
            let heap = option(memory, "-Xmx");
            assert_eq!(heap, option(memory, "-Xms"), "{name}");
            assert!(heap + option(memory, "-XX:MaxDirectMemorySize=") <= request, "{name}: {memory}");
        }
    }

    #[test]
    fn the_older_charts_proxy_gets_the_same_direct_memory() {
        for sizing in [Sizing::Small, Sizing::Laptop] {
            let values = pulsar(sizing, PulsarChart::V2);
            let config = &values["proxy"]["configData"];
            let [memory, gc] = ["PULSAR_MEM", "PULSAR_GC"].map(|key| config[key].as_str().unwrap());
            let direct = "-XX:MaxDirectMemorySize=";
            assert_eq!(option(memory, direct), option(gc, direct), "{sizing:?}");
            assert_eq!(pulsar(sizing, PulsarChart::V3)["proxy"]["configData"]["PULSAR_GC"], Value::Null);
        }
    }

    #[test]
    fn operator_sizing_sets_nothing() {
        for chart in [PulsarChart::V2, PulsarChart::V3] {
            assert_eq!(pulsar(Sizing::Operator, chart), json!({}));
        }
        assert_eq!(kafka(Sizing::Operator), json!({}));
    }

    #[test]
    fn a_laptops_kafka_starts_with_a_small_heap() {
        let values = kafka(Sizing::Laptop);
        assert_eq!(values["heapOpts"], "-Xms512m -Xmx512m");
        assert_eq!(values["zookeeper"], json!({"heapSize": 128}));
    }
}
