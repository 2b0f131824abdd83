//! Stores the record of a Milvus's belongings in an existing cluster, as a `ConfigMap` beside it.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::context::Context;
use crate::kube::MANAGED_BY;
use crate::kube::object::Object;
use crate::load::find::explain;
use crate::milvus::belongings::{Record, record_name};
use crate::tools::kubectl::Deletion;

/// The record in the cluster.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) record: Record,
    place: Slot,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Free,
    Ours(Object),
    /// Somebody else's `ConfigMap` has that name.
    Taken,
}

/// Reads what earlier runs recorded.
///
/// # Errors
/// Fails when the cluster cannot be queried.
pub(super) fn read(context: &Context) -> anyhow::Result<Stored> {
    let milvus = &context.settings.milvus;
    let name = record_name(&milvus.name);
    let found: Option<Value> =
        explain(context, context.kubectl().find("configmap", &name, Some(&milvus.namespace)))?;
    let Some(found) = found else { return Ok(Stored::default()) };
    if found["metadata"]["labels"][MANAGED_BY.0] != MANAGED_BY.1 {
        return Ok(Stored { place: Slot::Taken, ..Stored::default() });
    }
    let text = found["data"]["objects"].as_str();
    Ok(Stored {
        // An unreadable record proves nothing.
        record: text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        place: Slot::Ours(Object {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: milvus.namespace.clone(),
            name,
            uid: found["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
        }),
    })
}

/// Writes `record` if it changed, and deletes an empty one.
///
/// # Errors
/// Fails when the cluster cannot be reached or rejects the change.
pub(super) fn write(context: &Context, stored: &Stored, record: &Record) -> anyhow::Result<()> {
    let milvus = &context.settings.milvus;
    let name = record_name(&milvus.name);
    if *record == stored.record && !record.objects.is_empty() {
        return Ok(());
    }
    match &stored.place {
        Slot::Taken => {
            context.ui.warn(&format!(
                "ConfigMap `{}/{name}` was not created by milvusctl and is left alone; what belongs to Milvus `{}` \
                 cannot be recorded, so `milvusctl down` may leave some of it behind",
                milvus.namespace, milvus.name
            ));
            return Ok(());
        }
        Slot::Free if record.objects.is_empty() => return Ok(()),
        Slot::Ours(object) if record.objects.is_empty() => {
            let deleted = context.kubectl().delete_exactly(object);
            return match deleted.with_context(|| format!("could not delete {object}"))? {
                Deletion::BlobState | Deletion::Gone | Deletion::Another => Ok(()),
            };
        }
        Slot::Free | Slot::Ours(_) => {}
    }
    let document = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": milvus.namespace,
            "labels": {MANAGED_BY.0: MANAGED_BY.1},
        },
        "data": {"objects": serde_json::to_string(&record)?},
    });
    let applied = context.kubectl().apply(&document.to_string());
    applied.context("could not record what belongs to Milvus").map(drop)
}
