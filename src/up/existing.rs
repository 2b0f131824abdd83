//! The images that `up` is going to need for a Milvus that is already there, for commands that change nothing.

use serde_json::Value;

use crate::context::Context;
use crate::kube::MANAGED_BY;
use crate::milvus::OPERATOR;
use crate::milvus::images::{Planned, planned_images};
use crate::milvus::kept::{Kept, RunningMilvus, keep};
use crate::milvus::operator::ownership;
use crate::milvus::removal::Ownership;
use crate::tools::kubectl::{MILVUSES, is_unknown_kind};

/// Plans the images for the Milvus in the cluster, or for a new one if there is none; reports what stays or is upgraded.
///
/// # Errors
/// Fails only if the user interrupts.
pub(crate) fn planned(context: &Context) -> anyhow::Result<Planned> {
    let Some(live) = own_milvus(context)? else { return Ok(planned_images(&context.settings)) };
    let running = RunningMilvus { live: &live, follows: follows(context), is_settled: true };
    let Kept { images, notes, .. } = keep(&context.settings, running);
    for note in notes {
        context.ui.line(&note);
    }
    Ok(images)
}

/// The Milvus of milvusctl's, if its cluster answers.
fn own_milvus(context: &Context) -> anyhow::Result<Option<Value>> {
    let kube_context = context.kube_context();
    // Without kubectl or a kubeconfig there is no cluster to speak of.
    let contexts = context.kubectl().contexts().unwrap_or_default();
    if !contexts.contains(&kube_context) {
        return Ok(None);
    }
    let milvus = &context.settings.milvus;
    let live: Option<Value> = match context.kubectl().find(MILVUSES, &milvus.name, Some(&milvus.namespace)) {
        Ok(live) => live,
        Err(error) if is_unknown_kind(&error) => None,
        Err(_) => {
            context.check_interrupt()?;
            context.ui.warn(&format!(
                "the cluster of context `{kube_context}` does not answer; these are the images of a new Milvus"
            ));
            None
        }
    };
    let is_ours = |live: &Value| live["metadata"]["labels"][MANAGED_BY.0] == MANAGED_BY.1;
    Ok(live.filter(|live| is_ours(live) && live["metadata"]["deletionTimestamp"].is_null()))
}

/// Whether `up` would bring the operator, and with it Milvus, to the release in the settings.
fn follows(context: &Context) -> bool {
    let helm = context.tools.helm(&context.kube_context());
    let releases = helm.releases(&context.settings.operator.namespace).unwrap_or_default();
    let release = releases.iter().find(|release| release.name == OPERATOR);
    release.is_some_and(|release| ownership(context, release).is_ok_and(|owner| owner == Ownership::Ours))
}
