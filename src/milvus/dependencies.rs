//! The `dependencies` section of the custom resource: etcd, object storage and message store, in the cluster
//! or external.

use semver::Version;
use serde_json::{Value, json};

use super::charts::PulsarChart;
use super::resource::{Part, Resource};
use super::{message_store, pushed, secret, sizing};
use crate::settings::types::Volume;
use crate::settings::{Credentials, DeletionPolicy, MessageStore, Settings};

/// What the resource says of its dependencies, with Pulsar installed from `chart`.
pub(super) fn dependencies(settings: &Settings, chart: PulsarChart) -> Value {
    let milvus = &settings.milvus;
    let mut dependencies = json!({});
    let mut add = |name: &str, value: Value| {
        if value.as_object().is_none_or(|map| !map.is_empty()) {
            dependencies[name] = value;
        }
    };
    if let Some(store) = milvus.message_store {
        add("msgStreamType", store.as_str().into());
    }
    let etcd = if milvus.etcd.external.is_empty() {
        etcd(settings)
    } else {
        json!({"external": true, "endpoints": milvus.etcd.external})
    };
    add("etcd", etcd);
    add("storage", storage(settings));
    match message_store(settings) {
        MessageStore::Pulsar => add("pulsar", pulsar(settings, chart)),
        MessageStore::Kafka => add("kafka", kafka(settings)),
        // Without a volume, data not yet written to object storage is lost with the pod.
        store @ (MessageStore::Rocksmq | MessageStore::Natsmq) if milvus.message_store.is_some() => {
            let mut persistence = json!({"enabled": true});
            if milvus.deletion_policy == DeletionPolicy::Delete && milvus.delete_volumes {
                persistence["pvcDeletion"] = true.into();
            }
            if let Some(size) = milvus.volumes.get(&Volume::Log) {
                persistence["persistentVolumeClaim"]["spec"] = json!({
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": size}},
                });
            }
            add(store.as_str(), json!({"persistence": persistence}));
        }
        MessageStore::Woodpecker | MessageStore::Rocksmq | MessageStore::Natsmq => {}
    }
    dependencies
}

fn storage(settings: &Settings) -> Value {
    let milvus = &settings.milvus;
    let Some(external) = &milvus.storage.external else {
        let mut values = sizing::storage(milvus.sizing);
        if settings.mirror.push.is_some() {
            values["image"]["repository"] = pushed(settings, "minio/minio").into();
        }
        if let Some(size) = milvus.volumes.get(&Volume::Storage) {
            values["persistence"]["size"] = size.as_str().into();
        }
        return within(settings, values);
    };
    let mut storage = json!({"external": true, "type": external.kind, "endpoint": external.endpoint});
    match &external.credentials {
        Credentials::Existing(name) => storage["secretRef"] = name.as_str().into(),
        Credentials::Made { .. } => storage["secretRef"] = secret::storage_secret_name(settings).into(),
        Credentials::Iam => {}
    }
    storage
}

/// Operators before 1.2.0 only have the older chart.
fn has_both_charts(settings: &Settings) -> bool {
    settings.operator.version >= Version::new(1, 2, 0)
}

/// Whether the operator of `settings` installs Pulsar 3 for a new Milvus `resource`.
pub(crate) fn installs_pulsar_3(settings: &Settings, resource: &Value) -> bool {
    let resource = Resource::new(resource);
    has_both_charts(settings)
        && resource.store(settings.milvus_line()) == MessageStore::Pulsar.as_str()
        && !resource.is_external(Part::Pulsar)
        && resource.chart(Part::Pulsar) != Some("pulsar-v2")
}

/// The chart that the operator installs Pulsar from for a new Milvus.
pub(super) fn pulsar_chart(settings: &Settings) -> PulsarChart {
    if !has_both_charts(settings) || settings.needs_pulsar_2() { PulsarChart::V2 } else { PulsarChart::V3 }
}

fn pulsar(settings: &Settings, chart: PulsarChart) -> Value {
    if let Some(endpoint) = &settings.milvus.pulsar {
        return json!({"external": true, "endpoint": endpoint});
    }
    let mut values = sizing::pulsar(settings.milvus.sizing, chart);
    if settings.mirror.push.is_some() {
        let repository = Value::from(pushed(settings, "apachepulsar/pulsar"));
        for part in ["zookeeper", "bookie", "autorecovery", "broker", "proxy"] {
            values["images"][part]["repository"] = repository.clone();
        }
        values["pulsar_metadata"]["image"]["repository"] = repository;
    }
    for (path, volume) in [
        (["zookeeper", "data"], Volume::Zookeeper),
        (["bookkeeper", "journal"], Volume::Journal),
        (["bookkeeper", "ledgers"], Volume::Ledgers),
    ] {
        if let Some(size) = settings.milvus.volumes.get(&volume) {
            values[path[0]]["volumes"][path[1]]["size"] = size.as_str().into();
        }
    }
    let mut pulsar = within(settings, values);
    if chart == PulsarChart::V2 && has_both_charts(settings) {
        pulsar["inCluster"]["chartVersion"] = "pulsar-v2".into();
    }
    pulsar
}

fn kafka(settings: &Settings) -> Value {
    let milvus = &settings.milvus;
    if !milvus.kafka.is_empty() {
        return json!({"external": true, "brokerList": milvus.kafka});
    }
    let mut values = sizing::kafka(milvus.sizing);
    if let Some(prefix) = &settings.mirror.push {
        values["image"]["registry"] = prefix.as_str().into();
        values["zookeeper"]["image"]["registry"] = prefix.as_str().into();
    }
    if let Some(size) = milvus.volumes.get(&Volume::Kafka) {
        values["persistence"]["size"] = size.as_str().into();
    }
    if let Some(size) = milvus.volumes.get(&Volume::Zookeeper) {
        values["zookeeper"]["persistence"]["size"] = size.as_str().into();
    }
    within(settings, values)
}

fn etcd(settings: &Settings) -> Value {
    let mut values = sizing::etcd(settings.milvus.sizing);
    if let Some(prefix) = &settings.mirror.push {
        values["image"]["registry"] = prefix.as_str().into();
        values["image"]["repository"] = "milvusdb/etcd".into();
    }
    if let Some(size) = settings.milvus.volumes.get(&Volume::Etcd) {
        values["persistence"]["size"] = size.as_str().into();
    }
    within(settings, values)
}

/// A dependency that the operator installs in the cluster, with `values` for its chart.
fn within(settings: &Settings, values: Value) -> Value {
    let milvus = &settings.milvus;
    let mut in_cluster = json!({});
    // Retain is the operator's default.
    if milvus.deletion_policy == DeletionPolicy::Delete {
        in_cluster["deletionPolicy"] = milvus.deletion_policy.as_str().into();
        in_cluster["pvcDeletion"] = milvus.delete_volumes.into();
    }
    if values.as_object().is_some_and(|values| !values.is_empty()) {
        in_cluster["values"] = values;
    }
    if in_cluster == json!({}) { json!({}) } else { json!({"inCluster": in_cluster}) }
}
