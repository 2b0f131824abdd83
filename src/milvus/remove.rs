//! Removes what milvusctl installed from an existing cluster.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kube::object::Object;
use crate::milvus::OPERATOR;
use crate::milvus::belongings::{ObjectRow, Owner, Record, belongings};
use crate::milvus::look::{candidates, milvuses};
use crate::milvus::record::{self, Stored};
use crate::milvus::removal::{InCluster, LiveMilvus, Removal, deletion_patch};
use crate::tools::kubectl::{Deletion, MILVUSES};
use crate::ui::count;

/// A removal without any progress for this long is stuck. Removing a Milvus in cluster mode took 205 s, with
/// progress every few seconds.
const STUCK: Duration = Duration::from_secs(180);
/// Objects count as gone once nothing has reappeared for this long: an operator whose reconcile began before
/// the Milvus was deleted may still create objects after it.
const SETTLED: Duration = Duration::from_secs(6);
/// The polling interval.
const PAUSE: Duration = Duration::from_secs(2);

/// What the cluster has, and what earlier runs recorded.
pub(crate) struct Seen {
    pub(crate) found: InCluster,
    stored: Stored,
}

/// Looks at what the cluster has.
///
/// # Errors
/// Fails when the cluster cannot be queried.
pub(crate) fn look(context: &Context) -> anyhow::Result<Seen> {
    let stored = record::read(context)?;
    Ok(Seen { found: super::look::look(context, &stored.record)?, stored })
}

/// Carries out `removal`; the operator goes last, after it has cleaned up.
///
/// # Errors
/// Returns the failed step's error. Nothing is restored; another run resumes.
pub(crate) fn remove(context: &Context, seen: Seen, removal: &Removal) -> anyhow::Result<()> {
    let Seen { found, stored } = seen;
    let noted = found.belongings.record();
    let settings = &context.settings;
    let (release, namespace) = (&settings.milvus.name, &settings.milvus.namespace);
    let owner = found.milvus.as_ref().filter(|milvus| milvus.is_ours).map(LiveMilvus::owner);
    let mut progress =
        RemovalProgress { has_milvus: removal.milvus.is_some(), owner, known: noted.clone(), change: None };
    record::write(context, &stored, &noted)?;
    if let Some(milvus) = &removal.milvus {
        let step = context.ui.step(&format!("Removing Milvus `{release}`"));
        progress
            .remove_milvus(context, milvus, &mut |what| step.waits_for(what))
            .with_context(|| format!("could not remove Milvus `{namespace}/{release}`"))?;
        step.done(&format!("Removed Milvus `{release}`"));
    }
    if !(removal.objects.is_empty() && removal.releases.is_empty()) {
        let step = context.ui.step(&format!("Removing what belongs to `{release}`"));
        progress.sweep(context, &mut |what| step.waits_for(what))?;
        step.done(&format!("Removed what belonged to `{release}`"));
    }
    if !removal.volumes.is_empty() {
        let step = context.ui.step("Deleting volumes");
        for volume in &removal.volumes {
            delete(context, volume)?;
        }
        progress.wait_for_volumes(context, &removal.volumes, &mut |what| step.waits_for(what))?;
        step.done(&format!("Deleted {}", count(removal.volumes.len(), "volume")));
    }
    if removal.operator {
        uninstall_operator(context)?;
    }
    // A dry run removed nothing that could reappear.
    if removal.milvus.is_some() && !context.dry_run {
        let step = context.ui.step(&format!("Checking that nothing of `{release}` is left"));
        progress.sweep(context, &mut |what| step.waits_for(what))?;
        step.done(&format!("Nothing of `{release}` is left, except what is kept"));
    }
    let stored = record::read(context)?;
    record::write(context, &stored, &Record { objects: removal.staying.iter().cloned().collect() })
}

/// Uninstalls the operator, unless somebody has created a Milvus in the meantime: the CRDs go with the
/// operator, and every Milvus with them.
fn uninstall_operator(context: &Context) -> anyhow::Result<()> {
    let milvus = &context.settings.milvus;
    if !context.dry_run {
        let (own, mut others) = milvuses(context)?;
        others.extend(own.map(|own| format!("{}/{}", own.object.namespace, own.object.name)));
        if let Some(other) = others.first() {
            context
                .ui
                .warn(&format!("keeping milvus-operator: Milvus `{other}` was created in the meantime"));
            return Ok(());
        }
    }
    let step = context.ui.step("Uninstalling milvus-operator");
    let helm = context.tools.helm(&context.kube_context());
    helm.uninstall(OPERATOR, &context.settings.operator.namespace).with_context(|| {
        format!("Milvus `{}` is removed, but milvus-operator could not be uninstalled", milvus.name)
    })?;
    step.done("Uninstalled milvus-operator");
    Ok(())
}

fn delete(context: &Context, object: &Object) -> anyhow::Result<()> {
    let deletion = context.kubectl().delete_exactly(object);
    let deletion = deletion.with_context(|| format!("could not delete {object}"))?;
    if deletion == Deletion::Another {
        context.ui.warn(&format!("{object} was recreated by someone else in the meantime, so it was kept"));
    }
    Ok(())
}

/// The state of a removal in progress.
struct RemovalProgress {
    /// Whether a Milvus is being removed: only its operator can recreate objects.
    has_milvus: bool,
    /// The Milvus being removed, which identifies what the operator creates in its last reconcile.
    owner: Option<Owner>,
    /// What is known to belong to the Milvus, even once that is gone.
    known: Record,
    /// The UIDs left after the last change, and when that was.
    change: Option<(BTreeSet<String>, Instant)>,
}

impl RemovalProgress {
    /// Fails when nothing has changed for [`STUCK`].
    fn check_progress(
        &mut self,
        context: &Context,
        candidates: &[ObjectRow],
        example: &Object,
    ) -> anyhow::Result<()> {
        let name = &context.settings.milvus.name;
        let now: BTreeSet<String> = candidates
            .iter()
            .filter(|one| one.object.name.contains(name.as_str()))
            .map(|one| one.object.uid.clone())
            .collect();
        match &self.change {
            Some((before, since)) if *before == now => {
                if since.elapsed() <= STUCK {
                    return Ok(());
                }
                let stuck = humantime::format_duration(STUCK);
                bail!(Failure::new(
                    Exit::TimedOut,
                    format!("{example} is still there, and nothing has been removed for {stuck}"),
                )
                .hint(format!(
                    "`kubectl --context {} --namespace {} describe {} {}` and the operator's log show what blocks it; \
                     run the same command again to resume",
                    crate::process::quote(&context.kube_context()),
                    example.namespace,
                    example.kind.to_lowercase(),
                    example.name
                )))
            }
            _ => {
                self.change = Some((now, Instant::now()));
                Ok(())
            }
        }
    }

    fn remove_milvus(
        &mut self,
        context: &Context,
        milvus: &Object,
        waits_for: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        let kubectl = context.kubectl();
        let find = || kubectl.find::<Value>(MILVUSES, &milvus.name, Some(&milvus.namespace));
        let is_same = |live: &Value| live["metadata"]["uid"] == milvus.uid.as_str();
        let Some(live) = find()?.filter(is_same) else { return Ok(()) };
        if let Some(mut patch) = deletion_patch(&live["spec"]) {
            // With the UID the API server rejects the patch if the name now belongs to another Milvus.
            patch["metadata"]["uid"] = milvus.uid.as_str().into();
            kubectl.patch(MILVUSES, &milvus.name, &milvus.namespace, &patch)?;
        }
        delete(context, milvus)?;
        if context.dry_run {
            return Ok(());
        }
        self.change = None;
        while find()?.is_some_and(|live| is_same(&live)) {
            let candidates = candidates(context)?;
            let now = belongings(&candidates, &milvus.name, self.owner.as_ref(), &self.known);
            self.known.objects.extend(now.record().objects);
            waits_for(&format!("the operator to clean up ({} left)", count(now.objects.len(), "object")));
            self.check_progress(context, &candidates, milvus)?;
            context.sleep(PAUSE)?;
        }
        Ok(())
    }

    /// Removes what the operator left, and what an ongoing reconcile recreates, until nothing reappears.
    fn sweep(&mut self, context: &Context, waits_for: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let milvus = &context.settings.milvus;
        let helm = context.tools.helm(&context.kube_context());
        let mut gone_since = None;
        let mut asked: BTreeSet<String> = BTreeSet::new();
        self.change = None;
        loop {
            let candidates = candidates(context)?;
            let left = belongings(&candidates, &milvus.name, self.owner.as_ref(), &self.known);
            for release in &left.releases {
                if asked.insert(release.clone()) {
                    waits_for(&format!("helm release {release} to be uninstalled"));
                    helm.uninstall(release, &milvus.namespace)
                        .with_context(|| format!("could not uninstall helm release `{release}`"))?;
                }
            }
            for object in &left.loose {
                if asked.insert(object.uid.clone()) {
                    delete(context, object)?;
                }
            }
            if context.dry_run {
                return Ok(());
            }
            match left.objects.iter().chain(&left.states).next() {
                None => {
                    let since = *gone_since.get_or_insert_with(Instant::now);
                    if !self.has_milvus || since.elapsed() >= SETTLED {
                        return Ok(());
                    }
                }
                Some(example) => {
                    gone_since = None;
                    waits_for(&format!("{example} to be deleted"));
                    self.check_progress(context, &candidates, example)?;
                }
            }
            context.sleep(PAUSE)?;
        }
    }

    /// Waits until the claims are gone, which happens once the last pod that mounts them has ended.
    fn wait_for_volumes(
        &mut self,
        context: &Context,
        volumes: &[Object],
        waits_for: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        self.change = None;
        if context.dry_run {
            return Ok(());
        }
        loop {
            let candidates = candidates(context)?;
            let exists = |volume: &&Object| candidates.iter().any(|one| one.object.uid == volume.uid);
            let Some(example) = volumes.iter().find(exists) else { return Ok(()) };
            waits_for(&format!("{example} to be deleted"));
            self.check_progress(context, &candidates, example)?;
            context.sleep(PAUSE)?;
        }
    }
}
