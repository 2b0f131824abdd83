//! Takes what milvusctl installed away from an existing cluster.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::kube::MANAGED_BY;
use crate::load::find::explain;
use crate::milvus::OPERATOR as RELEASE;
use crate::milvus::removal::{DESCRIPTION, Found, Object, Removal, Whose, deletion_patch, selectors};
use crate::process::ExecError;
use crate::tools::kubectl::MILVUSES;
use crate::ui::count;

/// How long the operator may take to clear away after a Milvus.
const CLEARING: Duration = Duration::from_secs(300);
/// How long what a Milvus left behind may take to go.
const SWEEPING: Duration = Duration::from_secs(60);
/// How long nothing may come back before it counts as gone: an operator makes in one round what it then looks
/// after, and a round that began before the Milvus went may end after it.
const SETTLED: Duration = Duration::from_secs(6);
/// What the operator and the charts make for a Milvus.
const MADE: &str = "deployments,statefulsets,jobs,services,configmaps,poddisruptionbudgets";

/// Looks at what there is of ours.
///
/// # Errors
/// Fails when the cluster cannot be asked.
pub(crate) fn look(context: &Context) -> anyhow::Result<Found> {
    let settings = &context.settings;
    let (release, namespace) = (&settings.milvus.name, &settings.milvus.namespace);
    let kubectl = context.kubectl();
    let all = match kubectl.get::<Value>(&[MILVUSES, "--all-namespaces"]) {
        Err(error) if crate::tools::kubectl::is_absent(&error) => Value::Null,
        other => explain(context, other)?,
    };
    let mut milvus = Whose::Nobodys;
    let mut other_milvus = Vec::new();
    for item in all["items"].as_array().into_iter().flatten() {
        let metadata = &item["metadata"];
        if metadata["name"] == release.as_str() && metadata["namespace"] == namespace.as_str() {
            let is_ours = metadata["labels"][MANAGED_BY.0] == MANAGED_BY.1;
            milvus = if is_ours { Whose::Ours } else { Whose::Others };
        } else {
            let text = |key: &str| metadata[key].as_str().unwrap_or_default();
            other_milvus.push(format!("{}/{}", text("namespace"), text("name")));
        }
    }
    let label = format!("{}={}", MANAGED_BY.0, MANAGED_BY.1);
    let mut objects = names(context, "deployments,services,secrets", namespace, &label)?;
    objects.retain(|object| object.name.starts_with(&format!("{release}-")));
    let (mut leftovers, mut volumes) = (Vec::new(), Vec::new());
    for selector in selectors(release) {
        leftovers.extend(names(context, "deployments,statefulsets", namespace, &selector)?);
        volumes.extend(names(context, "persistentvolumeclaims", namespace, &selector)?);
    }
    leftovers.retain(|object| !objects.contains(object));
    for found in [&mut leftovers, &mut volumes] {
        found.sort();
        found.dedup();
    }
    Ok(Found { milvus, other_milvus, operator: operator(context)?, objects, leftovers, volumes })
}

/// Names of objects alone: nothing of what a Secret holds is read.
fn names(context: &Context, kinds: &str, namespace: &str, selector: &str) -> anyhow::Result<Vec<Object>> {
    let text = explain(context, context.kubectl().names(kinds, namespace, selector))?;
    Ok(Object::read(&text))
}

fn operator(context: &Context) -> anyhow::Result<Whose> {
    let namespace = &context.settings.operator.namespace;
    let helm = context.tools.helm(&context.kube_context());
    let releases = explain(context, helm.releases(namespace))?;
    if !releases.iter().any(|release| release.name == RELEASE) {
        return Ok(Whose::Nobodys);
    }
    let description = explain(context, helm.description(RELEASE, namespace))?;
    Ok(if description.contains(DESCRIPTION) { Whose::Ours } else { Whose::Others })
}

/// Carries the removal out, in an order that leaves the operator until it has cleared away.
///
/// # Errors
/// Fails with the step that failed; what is gone is gone, and another run goes on from there.
pub(crate) fn remove(context: &Context, removal: &Removal, delete_data: bool) -> anyhow::Result<()> {
    let settings = &context.settings;
    let (release, namespace) = (&settings.milvus.name, &settings.milvus.namespace);
    if removal.milvus {
        let step = context.ui.step(&format!("Removing Milvus `{release}`"));
        remove_milvus(context, delete_data)
            .with_context(|| format!("could not remove Milvus `{namespace}/{release}`"))
            .hint("run the same command again; `kubectl describe milvus` says what holds it")?;
        step.done(&format!("Removed Milvus `{release}`"));
    }
    if !removal.objects.is_empty() {
        let step = context.ui.step("Removing Attu and what was exposed");
        for object in &removal.objects {
            context
                .kubectl()
                .delete(&object.kind, &object.name, &object.namespace)
                .with_context(|| format!("could not remove {}", object.in_words()))?;
        }
        step.done(&format!("Removed {} of milvusctl's own", count(removal.objects.len(), "object")));
    }
    if !removal.volumes.is_empty() {
        let step = context.ui.step("Deleting volumes");
        for volume in &removal.volumes {
            context
                .kubectl()
                .delete("persistentvolumeclaim", &volume.name, &volume.namespace)
                .with_context(|| format!("could not delete {}", volume.in_words()))?;
        }
        step.done(&format!("Deleted {}", count(removal.volumes.len(), "volume")));
    }
    if removal.operator {
        let step = context.ui.step("Uninstalling milvus-operator");
        let helm = context.tools.helm(&context.kube_context());
        helm.uninstall(RELEASE, &settings.operator.namespace)
            .context("could not uninstall milvus-operator")?;
        step.done("Uninstalled milvus-operator");
    }
    // A dry run took nothing away that could come back.
    if removal.milvus && !context.dry_run {
        let step = context.ui.step(&format!("Waiting until nothing of `{release}` is left"));
        sweep(context, &mut |what| step.waits_for(what))?;
        step.done(&format!("Nothing of `{release}` is left but what is kept"));
    }
    Ok(())
}

/// Takes away what an operator in the middle of a round made again, until nothing comes back.
fn sweep(context: &Context, waits_for: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
    let milvus = &context.settings.milvus;
    let (release, namespace) = (milvus.name.as_str(), milvus.namespace.as_str());
    let end = Instant::now() + SWEEPING;
    let mut gone_since = None;
    loop {
        let mut left = Vec::new();
        for selector in selectors(release) {
            let found = names(context, MADE, namespace, &selector)?;
            if !found.is_empty() {
                context.kubectl().delete_selected(MADE, &selector, namespace).with_context(|| {
                    format!("could not remove what is left of Milvus `{namespace}/{release}`")
                })?;
            }
            left.extend(found);
        }
        match left.first() {
            None => {
                let since = *gone_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= SETTLED {
                    return Ok(());
                }
            }
            Some(example) => {
                gone_since = None;
                waits_for(&format!("{} to go", example.in_words()));
                if Instant::now() > end {
                    bail!(Failure::new(
                        Exit::TimedOut,
                        format!("{} is still there after a minute", example.in_words()),
                    ).hint(format!(
                        "something makes it again: another operator? `kubectl --context {} describe {} {}` says more",
                        context.kube_context(),
                        example.kind,
                        example.name
                    )));
                }
            }
        }
        context.sleep(Duration::from_secs(2))?;
    }
}

fn remove_milvus(context: &Context, delete_data: bool) -> Result<(), ExecError> {
    let settings = &context.settings;
    let (release, namespace) = (settings.milvus.name.as_str(), settings.milvus.namespace.as_str());
    let kubectl = context.kubectl();
    let resource: Option<Value> = kubectl.find(MILVUSES, release, Some(namespace))?;
    if let Some(resource) = resource {
        if let Some(patch) = deletion_patch(&resource["spec"], delete_data) {
            kubectl.patch(MILVUSES, release, namespace, &patch)?;
        }
        kubectl.delete_and_wait(MILVUSES, release, namespace, CLEARING)?;
    }
    // An operator that was stopped, or whose policy was to retain, leaves workloads behind.
    for selector in selectors(release) {
        kubectl.delete_selected(MADE, &selector, namespace)?;
    }
    Ok(())
}
