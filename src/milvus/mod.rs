//! One Milvus installation: the custom resource, Secret, Attu manifests and operator values to apply, what
//! the cluster already has of it, waiting until it is healthy, and removing it.

mod attu;
pub(crate) mod belongings;
pub(crate) mod change;
mod charts;
pub(crate) mod claims;
pub(crate) mod definition;
mod dependencies;
mod external;
pub(crate) mod images;
pub(crate) mod kept;
pub(crate) mod look;
mod memory;
mod nodeport;
pub(crate) mod note;
pub(crate) mod operator;
pub(crate) mod reach_external;
mod record;
pub(crate) mod removal;
pub(crate) mod remove;
mod requests;
pub(crate) mod resource;
mod secret;
mod sizing;
mod values;
pub(crate) mod wait;
mod wait_failures;
mod way;

use serde_json::{Map, Value, json};

use crate::images::catalog::Catalog;
use crate::images::reference::below;
use crate::kube::MANAGED_BY;
use crate::settings::{COMPONENTS_VERSION, MessageStore, Settings};

pub use attu::attu;
pub(crate) use dependencies::installs_pulsar_3;
pub use external::{Dependency, external_dependencies};
pub use memory::{MilvusMemory, memory};
pub use nodeport::NodePortService;
pub use requests::requests;
pub use secret::{StorageKeys, masked_storage_secret, read_secret, storage_secret, storage_secret_name};
pub use values::helm_values;

/// The operator's helm release, whose name its Deployment takes.
pub(crate) const OPERATOR: &str = "milvus-operator";

/// Returns the custom resource that makes the operator deploy the Milvus of `settings`.
pub fn custom_resource(settings: &Settings) -> Value {
    resource_on(settings, dependencies::pulsar_chart(settings))
}

/// The custom resource, of which Pulsar is installed from `chart`.
fn resource_on(settings: &Settings, chart: charts::PulsarChart) -> Value {
    let milvus = &settings.milvus;
    let mut spec = json!({
        "mode": milvus.mode,
        "components": components(settings),
        "dependencies": dependencies::dependencies(settings, chart),
        "config": config(settings),
    });
    merge(&mut spec, &milvus.spec);
    json!({
        "apiVersion": "milvus.io/v1beta1",
        "kind": "Milvus",
        "metadata": {
            "name": milvus.name,
            "namespace": milvus.namespace,
            "labels": {MANAGED_BY.0: MANAGED_BY.1},
        },
        "spec": spec,
    })
}

/// The namespace to create for Milvus, unless it is `default`, which every cluster has.
pub fn own_namespace(settings: &Settings) -> Option<Value> {
    let name = &settings.milvus.namespace;
    (name != "default").then(|| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
}

/// Returns the image to set in the resource, under the name the cluster pulls, or `None` when the operator
/// chooses.
pub fn image(settings: &Settings) -> Option<String> {
    Some(pushed(settings, &source_image(settings)?))
}

/// Returns Milvus's image under its publisher's name, or `None` when the operator chooses.
///
/// With a push registry the operator must not choose, since it would name the publisher's registry: the
/// operator's default is named instead, if known.
pub fn source_image(settings: &Settings) -> Option<String> {
    let milvus = &settings.milvus;
    let default = || {
        settings.mirror.push.as_ref()?;
        Catalog::builtin().release(&settings.operator.version)?.milvus
    };
    let named = || Some(format!("milvusdb/milvus:v{}", milvus.version.clone().or_else(default)?));
    milvus.image.as_ref().map(ToString::to_string).or_else(named)
}

/// Returns the name under which the cluster pulls `image`: below the push registry's prefix if there is one,
/// else unchanged.
pub fn pushed(settings: &Settings, image: &str) -> String {
    settings.mirror.push.as_ref().map_or_else(|| image.to_owned(), |prefix| below(prefix, image))
}

fn components(settings: &Settings) -> Value {
    let milvus = &settings.milvus;
    let mut components = sizing::components(milvus.sizing);
    if let Some(image) = image(settings) {
        components["image"] = image.into();
    }
    if let (Some(version), Some(_)) = (&milvus.version, &milvus.image)
        && settings.operator.version >= COMPONENTS_VERSION
    {
        // The operator reads the version from the image tag, which a custom image need not carry. Older
        // operators reject this field, and do not use the version.
        components["version"] = format!("v{version}").into();
    }
    for (list, quantities) in &milvus.resources {
        for (name, quantity) in quantities {
            components["resources"][list][name] = quantity.as_str().into();
        }
    }
    for (component, replicas) in &milvus.replicas {
        components[component]["replicas"] = (*replicas).into();
    }
    components
}

fn config(settings: &Settings) -> Value {
    let milvus = &settings.milvus;
    let storage = &milvus.storage;
    let mut config = Map::new();
    let mut set = |section: &str, name: &str, value: Value| {
        config.entry(section).or_insert_with(|| json!({}))[name] = value;
    };
    if let Some(path) = &milvus.etcd.root_path {
        set("etcd", "rootPath", path.as_str().into());
    }
    if let Some(prefix) = &milvus.topic_prefix {
        set("msgChannel", "chanNamePrefix", json!({"cluster": prefix}));
    }
    for (name, value) in
        [("bucketName", &storage.bucket), ("rootPath", &storage.root_path), ("region", &storage.region)]
    {
        if let Some(value) = value {
            set("minio", name, value.as_str().into());
        }
    }
    if let Some(external) = &storage.external {
        if external.use_ssl {
            set("minio", "useSSL", true.into());
        }
        if external.credentials == crate::settings::Credentials::Iam {
            set("minio", "useIAM", true.into());
        }
        if external.kind == crate::settings::types::StorageType::Azure {
            // Without it Milvus speaks S3 to Azure (milvus-operator, `config/samples/milvus_azure_blob_accesskey.yaml`).
            set("minio", "cloudProvider", "azure".into());
            set("common", "storageType", "remote".into());
        }
    }
    Value::Object(config)
}

/// Merges `over` into `value`: mappings merge key by key, `null` removes the key, anything else replaces the
/// value.
pub fn merge(value: &mut Value, over: &Value) {
    match (value, over) {
        (Value::Object(map), Value::Object(over)) => {
            for (key, item) in over {
                if item.is_null() {
                    map.remove(key);
                } else {
                    merge(map.entry(key.as_str()).or_insert(Value::Null), item);
                }
            }
        }
        // Merge into an empty mapping, so that nulls within `over` are dropped.
        (value, Value::Object(_)) => {
            *value = json!({});
            merge(value, over);
        }
        (value, over) => *value = over.clone(),
    }
}

/// Returns the message store that will run: the chosen one, else the operator's default.
pub fn message_store(settings: &Settings) -> MessageStore {
    let milvus = &settings.milvus;
    milvus.message_store.unwrap_or_else(|| resource::default_store(milvus.mode, settings.milvus_line()))
}

#[cfg(test)]
mod crd_tests;
#[cfg(test)]
mod tests;
