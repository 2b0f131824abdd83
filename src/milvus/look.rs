//! Queries the cluster for a Milvus, its operator and everything that may belong to it.

use std::time::SystemTime;

use serde_json::Value;

use crate::context::Context;
use crate::kube::MANAGED_BY;
use crate::kube::object::Object;
use crate::load::find::explain;
use crate::milvus::OPERATOR;
use crate::milvus::belongings::{
    Belongings, COLUMNS, EmptyRelease, KINDS, ObjectRow, Owner, Record, belongings, empty_releases,
    releases_of,
};
use crate::milvus::operator::{HELM_LIMIT, ownership};
use crate::milvus::record;
use crate::milvus::removal::{FINALIZER, InCluster, LiveMilvus, Operators, Ownership};
use crate::milvus::storage_secret_name;
use crate::tools::kubectl::{MILVUSES, is_absent};

/// An older kind of Milvus resource, which is also deleted along with the operator's CRDs.
const MILVUS_CLUSTERS: &str = "milvusclusters.milvus.io";

/// Queries everything that a removal may affect.
///
/// # Errors
/// Fails when the cluster cannot be queried.
pub(super) fn look(context: &Context, record: &Record) -> anyhow::Result<InCluster> {
    let (milvus, other_milvus) = milvuses(context)?;
    let owner = milvus.as_ref().filter(|milvus| milvus.is_ours).map(LiveMilvus::owner);
    Ok(InCluster {
        belongings: belongings_of(context, owner.as_ref(), record)?,
        milvus,
        other_milvus,
        operator: operator(context)?,
        operators: operators(context)?,
    })
}

/// The configured Milvus, and the names of all others.
///
/// # Errors
/// Fails when the cluster cannot be queried.
pub(crate) fn milvuses(context: &Context) -> anyhow::Result<(Option<LiveMilvus>, Vec<String>)> {
    let settings = &context.settings.milvus;
    let (mut live, mut others) = (None, Vec::new());
    for kind in [MILVUSES, MILVUS_CLUSTERS] {
        let all = match context.kubectl().get::<Value>(&[kind, "--all-namespaces"]) {
            Err(error) if is_absent(&error) => continue,
            other => explain(context, other)?,
        };
        for item in all["items"].as_array().into_iter().flatten() {
            let text = |key: &str| item["metadata"][key].as_str().unwrap_or_default();
            if kind == MILVUSES && text("name") == settings.name && text("namespace") == settings.namespace {
                live = Some(live_milvus(item));
            } else {
                others.push(format!("{}/{}", text("namespace"), text("name")));
            }
        }
    }
    Ok((live, others))
}

fn live_milvus(item: &Value) -> LiveMilvus {
    let metadata = &item["metadata"];
    let text = |key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
    let finalizers = metadata["finalizers"].as_array();
    LiveMilvus {
        object: Object {
            api_version: item["apiVersion"].as_str().unwrap_or("milvus.io/v1beta1").to_owned(),
            kind: "Milvus".to_owned(),
            namespace: text("namespace"),
            name: text("name"),
            uid: text("uid"),
        },
        created: text("creationTimestamp"),
        is_ours: metadata["labels"][MANAGED_BY.0] == MANAGED_BY.1,
        has_finalizer: finalizers.is_some_and(|finalizers| finalizers.iter().any(|name| name == FINALIZER)),
    }
}

/// The configured Milvus as the owner of its belongings, if milvusctl applied it.
///
/// # Errors
/// Fails when the cluster cannot be queried.
pub(super) fn owner(context: &Context) -> anyhow::Result<Option<Owner>> {
    let milvus = &context.settings.milvus;
    let found = context.kubectl().find(MILVUSES, &milvus.name, Some(&milvus.namespace));
    let found: Option<Value> = explain(context, found)?;
    let live = found.as_ref().map(live_milvus).filter(|live| live.is_ours);
    Ok(live.as_ref().map(LiveMilvus::owner))
}

/// What belongs to Milvus, by its owner and the record.
///
/// # Errors
/// Fails when the cluster cannot be queried.
pub(super) fn belongings_of(
    context: &Context,
    owner: Option<&Owner>,
    record: &Record,
) -> anyhow::Result<Belongings> {
    Ok(belongings(&candidates(context)?, &context.settings.milvus.name, owner, record))
}

/// Everything in Milvus's namespace that could be part of it.
///
/// # Errors
/// Fails when the cluster cannot be queried.
pub(super) fn candidates(context: &Context) -> anyhow::Result<Vec<ObjectRow>> {
    let namespace = &context.settings.milvus.namespace;
    let text = explain(context, context.kubectl().columns(&[KINDS, "--namespace", namespace], COLUMNS))?;
    Ok(ObjectRow::read(&text, namespace))
}

/// The releases of Milvus's dependencies that have no workload.
///
/// # Errors
/// Fails when the cluster cannot be queried.
pub(crate) fn look_for_empty_releases(context: &Context) -> anyhow::Result<Vec<EmptyRelease>> {
    let milvus = &context.settings.milvus;
    let helm = context.tools.helm(&context.kube_context());
    let names = releases_of(&milvus.name);
    let there = explain(context, helm.releases(&milvus.namespace))?;
    if !there.iter().any(|release| names.contains(&release.name)) {
        return Ok(Vec::new());
    }
    let record = record::read(context)?.record;
    let owner = owner(context)?;
    let long_ago = humantime::format_rfc3339_seconds(SystemTime::now() - HELM_LIMIT).to_string();
    Ok(empty_releases(&candidates(context)?, &milvus.name, owner.as_ref(), &record, &long_ago))
}

/// Whether somebody else's Secret has the name of milvusctl's storage Secret. Does not read its keys.
///
/// # Errors
/// Fails when the cluster cannot be queried.
pub(crate) fn has_foreign_storage_secret(context: &Context) -> anyhow::Result<bool> {
    let settings = &context.settings;
    let name = format!("metadata.name={}", storage_secret_name(settings));
    let secrets = ["secrets", "--namespace", &settings.milvus.namespace, "--field-selector", &name];
    let manager = r"custom-columns=MANAGER:.metadata.labels.app\.kubernetes\.io/managed-by";
    let found = explain(context, context.kubectl().columns(&secrets, manager))?;
    Ok(found.lines().any(|manager| manager.trim() != MANAGED_BY.1))
}

fn operator(context: &Context) -> anyhow::Result<Ownership> {
    let helm = context.tools.helm(&context.kube_context());
    let releases = explain(context, helm.releases(&context.settings.operator.namespace))?;
    match releases.iter().find(|release| release.name == OPERATOR) {
        Some(release) => ownership(context, release),
        None => Ok(Ownership::Absent),
    }
}

/// Whether any operator is running, in any namespace and whoever installed it.
fn operators(context: &Context) -> anyhow::Result<Operators> {
    let columns = "custom-columns=NAMESPACE:.metadata.namespace,NAME:.metadata.name,\
                   READY:.status.availableReplicas,IMAGES:.spec.template.spec.containers[*].image";
    let text = explain(context, context.kubectl().columns(&["deployments", "--all-namespaces"], columns))?;
    Ok(Operators::read(&text))
}
