//! The defaults of the dependencies' charts: replicas, memory requests, JVM options, volumes.
//!
//! The operator installs each chart with the values of milvus-helm (`charts/milvus/values.yaml`; operator
//! 1.3.8 takes 5.0.26) merged over the chart's own (etcd 8.12.0, minio 8.0.17, pulsar 2.7.8 and 3.3.0, kafka
//! 15.5.1). These are the merged values.

use serde_json::{Value, json};

use crate::settings::Mode;

/// The Pulsar charts that the operator can install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PulsarChart {
    V2,
    V3,
}

/// In standalone mode the operator defaults to one member (its `milvus_webhook.go`).
pub(super) fn etcd(mode: Mode) -> Value {
    let members = if mode == Mode::Standalone { 1 } else { 3 };
    json!({"replicaCount": members, "persistence": {"size": "10Gi"}})
}

/// In standalone mode the operator defaults to one server (its `milvus_webhook.go`).
pub(super) fn minio(mode: Mode) -> Value {
    json!({
        "mode": if mode == Mode::Standalone { "standalone" } else { "distributed" },
        "replicas": 4,
        "resources": {"requests": {"memory": "2Gi"}},
        "persistence": {"size": "500Gi"},
    })
}

pub(super) fn pulsar(chart: PulsarChart) -> Value {
    let part = |replicas: u32, memory: &str, options: &str| {
        json!({
            "replicaCount": replicas,
            "resources": {"requests": {"memory": memory}},
            "configData": {"PULSAR_MEM": options},
        })
    };
    let recovery = |memory: &str, options: &str| {
        json!({
            "replicaCount": 1,
            "resources": {"requests": {"memory": memory}},
            "configData": {"BOOKIE_MEM": options},
        })
    };
    let large = "-Xms4096m -Xmx4096m -XX:MaxDirectMemorySize=8192m";
    let mut values = match chart {
        PulsarChart::V2 => {
            let mut proxy = part(1, "2048Mi", "-Xms2048m -Xmx2048m");
            proxy["configData"]["PULSAR_GC"] = "-XX:MaxDirectMemorySize=2048m".into();
            json!({
                "zookeeper": part(3, "1024Mi", "-Xms1024m -Xmx1024m"),
                "bookkeeper": part(3, "2048Mi", large),
                "autorecovery": recovery("512Mi", "-Xms64m -Xmx64m"),
                "broker": part(1, "4096Mi", large),
                "proxy": proxy,
            })
        }
        PulsarChart::V3 => json!({
            "zookeeper": part(3, "256Mi", "-Xms256m -Xmx256m"),
            "bookkeeper": part(3, "2048Mi", large),
            "autorecovery": recovery("128Mi", "-Xms128m -Xmx128m"),
            "broker": part(2, "2048Mi", large),
            "proxy": part(2, "1024Mi", "-Xms512m -Xmx512m -XX:MaxDirectMemorySize=2048m"),
        }),
    };
    // ZooKeeper's size is from the older chart; the others are milvus-helm's.
    values["zookeeper"]["volumes"] = json!({"data": {"size": "20Gi"}});
    values["bookkeeper"]["volumes"] = json!({"journal": {"size": "100Gi"}, "ledgers": {"size": "200Gi"}});
    values
}

pub(super) fn kafka() -> Value {
    json!({
        "replicaCount": 3,
        "heapOpts": "-Xmx4096m -Xms4096m",
        "persistence": {"size": "300Gi"},
        "zookeeper": {
            "replicaCount": 3,
            "heapSize": 1024,
            "resources": {"requests": {"memory": "256Mi"}},
            "persistence": {"size": "8Gi"},
        },
    })
}
