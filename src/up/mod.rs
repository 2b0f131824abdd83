//! `up`: from nothing to a Milvus that answers. What is there is observed, what has to be done is planned, and each
//! step is run, or printed by a dry run.

mod observe;
mod offline;
mod plan;
mod run;
pub(crate) mod save;
mod steps;
mod wanted;
mod work;

use anyhow::{Context as _, bail};

use crate::cluster::create::{bring_to_run, discard};
use crate::cluster::lock;
use crate::cluster::state::ClusterState;
use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::load::push;
use crate::machine::check::check_machine;
use crate::machine::observe::{observe_machine, planned_needs};
use crate::milvus::OPERATOR;
use crate::milvus::claims::{claims, in_words};
use crate::milvus::kept::{Kept, keep};
use crate::milvus::note::note_belongings;
use crate::milvus::operator;
use crate::milvus::storage_secret_name;
use crate::process::quote;
use crate::smoke;
use crate::toolbox::Tool;
use crate::toolbox::fetch::{Bundled, choose_tools, install_missing_tools};

pub(crate) use work::{Progress, StepReport};

use work::StepName;

use offline::Offline;
use plan::{Downgrade, Foreign, Observed, OperatorState, ResourceState, Unfinished};
use wanted::Wanted;

/// What the user may decide about a run besides the settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choices {
    /// Whether an older release may replace a newer one, data may be lost, and pods are started that cannot fit.
    pub(crate) force: bool,
    /// Whether missing tools are fetched.
    pub(crate) install_tools: bool,
    /// Whether a cluster that this run made stays after a failure.
    pub(crate) keep_on_failure: bool,
}

/// Brings everything up, and says what was done; a dry run prints it as a script and says nothing.
///
/// # Errors
/// Fails with the step that failed; everything is left as it is, so that another run goes on from there.
pub(crate) fn up(context: &Context, choices: Choices) -> anyhow::Result<Option<Progress>> {
    let Some(path) = &context.settings.images.bundle else { return bring_up(context, choices, None) };
    let offline = Offline::open(context, path)?;
    let context = Context { settings: offline.settings(&context.settings), ..context.clone() };
    bring_up(&context, choices, Some(&offline))
}

fn bring_up(
    context: &Context,
    choices: Choices,
    offline: Option<&Offline>,
) -> anyhow::Result<Option<Progress>> {
    let settings = &context.settings;
    let _lift = context.deadline.set_for_each(settings.up.timeout);
    if settings.up.smoke {
        // Else this would be told when all the rest is done.
        smoke::check_built().exit(Exit::Usage)?;
    }
    let mut wanted = Wanted::read(context)?;
    if let Some(offline) = offline {
        offline.add_to(context, &mut wanted);
    }
    push::check_known(context, wanted.images.is_known)?;
    let _lock = lock::take(context, "up")?;
    check(context, choices, offline)?;
    let step = context.ui.step("Looking for what milvusctl installed");
    let observed = observe::observe(context, &wanted);
    step.vanish();
    let mut observed = observed?;
    refuse_unmapped(context, &observed)?;
    let mut progress = Progress::default();
    let is_brought_back = !context.dry_run && observed.is_out_of_sight();
    if is_brought_back {
        // Whose things in it are, and what of them would be lost, is seen only then.
        let _lift = context.deadline.set(settings.up.timeout);
        bring_to_run(context, &observed.cluster, &wanted.cluster, &[], 1, &progress.made)?;
        observed = observe::observe(context, &wanted)?;
    }
    refuse_others(context, &observed)?;
    refuse_unfinished(context, &observed)?;
    refuse_empty_releases(context, &observed)?;
    refuse_losses(context, choices, &observed)?;
    refuse_downgrades(context, choices, &observed)?;
    refuse_old_kubernetes(context, &observed)?;
    say_claims(context, &observed);
    keep_what_runs(context, &observed, &mut wanted);
    let steps = plan::plan(settings, wanted, &observed);
    if context.dry_run {
        context.ui.document(&run::script(context, &steps)?);
        return Ok(None);
    }
    let result = run::run(context, &steps, &mut progress);
    if is_brought_back {
        progress.set_done(StepName::Cluster);
    }
    if result.is_err() && !choices.keep_on_failure && !context.interrupt.is_set() {
        discard(context, &progress.made)?;
    }
    result?;
    if settings.cluster.context.is_some()
        && let Err(error) = note_belongings(context)
    {
        // Milvus runs; only a removal after the Milvus itself has gone would miss this.
        context.check_interrupt()?;
        context.ui.warn(&format!("{error:#}"));
    }
    Ok(Some(progress))
}

/// Checks the machine, and gets the tools that it lacks, before anything is created.
fn check(context: &Context, choices: Choices, offline: Option<&Offline>) -> anyhow::Result<()> {
    if choices.install_tools {
        match offline {
            Some(offline) => {
                let extract = |tools: &[Tool]| offline.tools(context, tools);
                install_missing_tools(context, Some(&Bundled { extract: &extract }))?;
            }
            None => install_missing_tools(context, None)?,
        }
    } else {
        choose_tools(context);
    }
    let facts = observe_machine(context, false);
    context.check_interrupt()?;
    let needs = planned_needs(context, &facts).context("could not list the cluster's nodes")?;
    check_machine(context, &facts, &needs, choices.force)
}

/// Leaves a Milvus that is there with the image and the dependencies that it has, and says so where something changes.
fn keep_what_runs(context: &Context, observed: &Observed, wanted: &mut Wanted) {
    let Some(live) = &observed.live else { return };
    let Kept { resource, images, stays, leap } = keep(&context.settings, live, observed.is_upgrade());
    wanted.milvus = resource;
    wanted.images = images;
    let is_changed =
        observed.operator != OperatorState::AsWanted || observed.milvus == ResourceState::Differs;
    for line in stays.iter().filter(|_| is_changed) {
        context.ui.line(line);
    }
    if let Some(leap) = leap.filter(|_| is_changed) {
        context.ui.warn(&leap);
    }
}

/// Stops before anything is changed when the operator would install a Pulsar that the cluster refuses.
fn refuse_old_kubernetes(context: &Context, observed: &Observed) -> anyhow::Result<()> {
    let Some(version) = &observed.old_kubernetes else { return Ok(()) };
    Err(Failure::new(
        Exit::Usage,
        format!(
            "the cluster of context `{}` has Kubernetes {version}, and Pulsar 3 needs 1.21 or newer; nothing was changed",
            context.kube_context()
        ),
    )
    .hint("choose another `--message-store`, or `--mode standalone`, which needs no Pulsar")
    .into())
}

/// Says what a new Milvus claims of a cluster that somebody else pays for, before anything is applied.
fn say_claims(context: &Context, observed: &Observed) {
    if observed.cluster != ClusterState::Foreign || observed.milvus != ResourceState::Absent {
        return;
    }
    if let Some(words) = in_words(&claims(&context.settings)) {
        context.ui.line(&words);
    }
}

/// Stops before anything is changed when a cluster would be made without a port that the user chose; of any other, whose
/// cluster or configuration is there already, the rest is exposed.
fn refuse_unmapped(context: &Context, observed: &Observed) -> anyhow::Result<()> {
    let will_be_made = matches!(observed.cluster, ClusterState::Absent | ClusterState::HalfMade);
    for port in &observed.unmapped {
        if will_be_made && port.is_chosen {
            return Err(Failure::new(Exit::Usage, format!("{}; nothing was changed", port.what()))
                .hint(format!("{}: ports cannot be added to an existing cluster", port.remedy))
                .into());
        }
        context.ui.warn(&port.warning());
    }
    Ok(())
}

/// Stops before anything is changed when something of somebody else would be written over.
fn refuse_others(context: &Context, observed: &Observed) -> anyhow::Result<()> {
    let Some(foreign) = observed.in_the_way.first() else { return Ok(()) };
    let milvus = &context.settings.milvus;
    let secret = storage_secret_name(&context.settings);
    let (what, hint) = match foreign {
        Foreign::StorageSecret => (
            format!("Secret `{}/{secret}` was not created by milvusctl", milvus.namespace),
            format!(
                "to use it as it is, set `milvus.storage.secretRef: {secret}` instead of the keys; or set another \
                 `milvus.name`"
            ),
        ),
        Foreign::Hosts { node, path } => (
            format!("`{path}` in node `{node}` was not written by milvusctl, and names other mirrors"),
            format!(
                "to have it written anew, remove it with `docker exec {node} rm {path}`; it may be a file of the host, \
                 mounted there"
            ),
        ),
    };
    Err(Failure::new(Exit::Usage, format!("{what}; nothing was changed")).hint(hint).into())
}

/// Stops before anything is changed when helm is not done with an operator's release that is not milvusctl's.
fn refuse_unfinished(context: &Context, observed: &Observed) -> anyhow::Result<()> {
    let OperatorState::Unfinished(Unfinished { status, is_ours: false }) = &observed.operator else {
        return Ok(());
    };
    let namespace = &context.settings.operator.namespace;
    let same = format!("--namespace {namespace}");
    let kube_context = quote(&context.kube_context());
    let way_out = match operator::attempts(context)?.pop() {
        Some(last) if status != "uninstalling" => format!(
            "`kubectl --context {kube_context} {same} delete secret {}` lets go of the attempt and leaves all else as \
             it is",
            last.state.name
        ),
        _ => format!("`helm --kube-context {kube_context} {same} history {OPERATOR}` shows what was begun"),
    };
    bail!(
        Failure::new(
            Exit::Failed,
            format!(
                "helm is not done with release `{OPERATOR}` in namespace `{namespace}`, which is `{status}` and not \
                 known to be milvusctl's; nothing was changed"
            )
        )
        .hint(format!("if helm is still running, rerun when it is done; if it was stopped, {way_out}"))
    );
}

/// Stops before anything is changed when the operator would take a release for installed of which nothing runs, and
/// which is not known to be milvusctl's to uninstall.
fn refuse_empty_releases(context: &Context, observed: &Observed) -> anyhow::Result<()> {
    let strangers = observed.empty_releases.iter().filter(|release| !release.is_ours);
    let names: Vec<&str> = strangers.map(|release| release.name.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let namespace = &context.settings.milvus.namespace;
    bail!(
        Failure::new(
            Exit::Failed,
            format!(
                "nothing runs of helm's {} in namespace `{namespace}`, though helm calls it deployed; milvus-operator \
                 would install nothing, and Milvus could not start; nothing was changed",
                names.iter().map(|name| format!("release `{name}`")).collect::<Vec<_>>().join(" and ")
            )
        )
        .hint(format!(
            "if it is left over from an earlier Milvus, `helm uninstall {} --kube-context {} --namespace {namespace}` \
             removes it, and volumes stay; then run this again",
            names.join(" "),
            quote(&context.kube_context()),
        ))
    );
}

/// Stops before anything is changed when data of the Milvus that runs would be lost.
fn refuse_losses(context: &Context, choices: Choices, observed: &Observed) -> anyhow::Result<()> {
    let name = &context.settings.milvus.name;
    let said = observed.losses.join("; ");
    match (said.is_empty(), choices.force) {
        (true, _) => Ok(()),
        (false, true) => {
            context.ui.warn(&format!("{said}; continuing because of `--force`"));
            Ok(())
        }
        (false, false) => Err(Failure::new(
            Exit::Usage,
            format!("Milvus `{name}` differs from the settings, and changing it would lose data: {said}; nothing was changed"),
        ).hint(
            "use the flags and settings it was created with, create another one with `--name` or `milvus.name`, or change it anyway with `--force`",
        ).into()),
    }
}

/// Stops before anything is changed when something would go back to an older release.
fn refuse_downgrades(context: &Context, choices: Choices, observed: &Observed) -> anyhow::Result<()> {
    let said: Vec<String> = observed
        .downgrades
        .iter()
        .map(|Downgrade { part, from, to }| format!("{part} {from} runs, and {to} is older"))
        .collect();
    if said.is_empty() {
        return Ok(());
    }
    if choices.force {
        context.ui.warn(&format!("{}; downgrading because of `--force`", said.join("; ")));
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, format!("{}; nothing was changed", said.join("; "))).hint(
        "an older release may not read what a newer one wrote: choose a release with `--operator-version` and \
         `--milvus-version`, or downgrade anyway with `--force`",
    ).into())
}
