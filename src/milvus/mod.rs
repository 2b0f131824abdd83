//! The Milvus that is wanted: its custom resource, its Secret, Attu, and the operator's helm values.
//!
//! Whether it is healthy, and what is there already, is for whoever asks the cluster.

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
pub use values::{ValuesError, helm_values};

/// The release of the operator, and by it the name of its Deployment.
pub(crate) const OPERATOR: &str = "milvus-operator";

/// Returns the custom resource that makes the operator deploy the Milvus of `settings`.
pub fn custom_resource(settings: &Settings) -> Value {
    let milvus = &settings.milvus;
    let mut spec = json!({
        "mode": milvus.mode,
        "components": components(settings),
        "dependencies": dependencies::dependencies(settings),
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

/// The namespace that is made for Milvus; none for the one that every cluster has.
pub fn own_namespace(settings: &Settings) -> Option<Value> {
    let name = &settings.milvus.namespace;
    (name != "default").then(|| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
}

/// Returns Milvus's image as the cluster finds it, when it is not left to the operator.
pub fn image(settings: &Settings) -> Option<String> {
    Some(pushed(settings, &source_image(settings)?))
}

/// Returns Milvus's image as its publisher names it, when it is not left to the operator.
///
/// An image that is pushed is never left to the operator, which would name the publisher's registry; it is the
/// operator's default then, where that is known.
pub fn source_image(settings: &Settings) -> Option<String> {
    let milvus = &settings.milvus;
    let default = || {
        settings.mirror.push.as_ref()?;
        Catalog::builtin().release(&settings.operator.version)?.milvus
    };
    let named = || Some(format!("milvusdb/milvus:v{}", milvus.version.clone().or_else(default)?));
    milvus.image.as_ref().map(ToString::to_string).or_else(named)
}

/// Returns the name under which a cluster finds `image`: below the registry that images are pushed to,
/// if there is one, else as it is.
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
        // The operator reads the version from the tag, which an image of the user's own need not carry. One from
        // before this field refuses it, and has nothing that it would ask the version for.
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

/// Merges `over` into `value`: mappings key by key, anything else replaces what is there, and `null`
/// takes it away.
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
        // What replaces something else may hold nulls of its own, which say nothing.
        (value, Value::Object(_)) => {
            *value = json!({});
            merge(value, over);
        }
        (value, over) => *value = over.clone(),
    }
}

/// Returns the message store that will run: the one that was chosen, else the operator's default.
pub fn message_store(settings: &Settings) -> MessageStore {
    let milvus = &settings.milvus;
    milvus.message_store.unwrap_or_else(|| resource::default_store(milvus.mode, settings.milvus_line()))
}

#[cfg(test)]
mod crd_tests;
#[cfg(test)]
mod tests;
