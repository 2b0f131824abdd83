//! What the parts of a Milvus ask for, by the size that was chosen.
//!
//! The charts' own requests (milvus-helm 5: bookkeeper and broker 2 GiB each, MinIO 2 GiB) add up to
//! about 20 GiB for a cluster, more than a laptop's nodes can grant, although the pods start with far
//! less. Requests are all that the scheduler looks at, so a laptop's are lowered; replicas stay.

use serde_json::{Value, json};

use crate::settings::Sizing;

/// What each Milvus pod of a small installation asks for.
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

/// The values of Pulsar's chart, version 2 as well as 3.
pub(super) fn pulsar(sizing: Sizing) -> Value {
    let requests = |memory: &str| json!({"requests": {"cpu": "50m", "memory": memory}});
    match sizing {
        Sizing::Small => {
            let part = |replicas: u8, heap: &str, direct: &str| {
                json!({
                    "replicaCount": replicas,
                    "resources": requests("256Mi"),
                    "configData": {"PULSAR_MEM": format!("-Xms{heap} -Xmx{heap} -XX:MaxDirectMemorySize={direct}")},
                })
            };
            let mut values = json!({
                "components": {"autorecovery": false},
                "zookeeper": part(1, "256m", "256m"),
                "bookkeeper": part(1, "256m", "256m"),
                "broker": part(1, "256m", "256m"),
                "proxy": part(1, "128m", "256m"),
            });
            // With one bookie, ledgers cannot ask for more copies than that.
            for copies in ["EnsembleSize", "WriteQuorum", "AckQuorum"] {
                values["broker"]["configData"][format!("managedLedgerDefault{copies}")] = "1".into();
            }
            values
        }
        Sizing::Laptop => json!({
            "zookeeper": {"resources": requests("256Mi")},
            "bookkeeper": {"resources": requests("512Mi")},
            "autorecovery": {"resources": requests("128Mi")},
            "broker": {"resources": requests("512Mi")},
            "proxy": {"resources": requests("256Mi")},
        }),
        Sizing::Operator => json!({}),
    }
}

/// The values of Kafka's chart.
pub(super) fn kafka(sizing: Sizing) -> Value {
    match sizing {
        Sizing::Small => json!({
            "replicaCount": 1,
            "defaultReplicationFactor": 1,
            "offsetsTopicReplicationFactor": 1,
            "heapOpts": "-Xms512m -Xmx512m",
            "zookeeper": {"replicaCount": 1},
        }),
        // The chart asks for nothing.
        Sizing::Laptop | Sizing::Operator => json!({}),
    }
}
