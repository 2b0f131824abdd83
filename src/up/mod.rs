//! `up`: creates the cluster and deploys Milvus. Observes the current state, plans the changes, and runs each
//! step, or prints it in a dry run.

pub(crate) mod existing;
mod observe;
mod observed;
mod offline;
mod plan;
mod run;
pub(crate) mod save;
mod steps;
mod wanted;
mod work;

use anyhow::{Context as _, bail};

use crate::cluster::create::{discard, ensure_running};
use crate::cluster::lock;
use crate::cluster::state::ClusterState;
use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::load::push;
use crate::machine::check::check_machine;
use crate::machine::observe::{observe_machine, planned_needs};
use crate::milvus::OPERATOR;
use crate::milvus::claims::{claims, in_words};
use crate::milvus::kept::{Kept, RunningMilvus, keep};
use crate::milvus::note::note_belongings;
use crate::milvus::operator::{self, ForeignOperator};
use crate::milvus::storage_secret_name;
use crate::milvus::wait::warn_of_others;
use crate::process::quote;
use crate::smoke;
use crate::toolbox::Tool;
use crate::toolbox::fetch::{Bundled, choose_tools, install_missing_tools};

pub(crate) use work::{Progress, StepReport};

use work::StepName;

use observed::{Downgrade, Foreign, Observed, OperatorState, ResourceState, Unfinished};
use offline::Offline;
use wanted::Wanted;

/// Per-run choices that are not settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choices {
    /// Whether to allow downgrades, data loss, and pods that do not fit.
    pub(crate) force: bool,
    /// Whether to download missing tools.
    pub(crate) install_tools: bool,
    /// Whether to keep a cluster created by this run after a failure.
    pub(crate) keep_on_failure: bool,
}

/// Deploys everything and returns what was done; a dry run prints a script and returns `None`.
///
/// # Errors
/// Returns the failed step's error. Nothing is rolled back; another run resumes.
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
        // Fail now rather than after everything else is done.
        smoke::check_built().exit(Exit::Usage)?;
    }
    let mut wanted = wanted(context, offline)?;
    push::check_known(context, wanted.images.is_known)?;
    let _lock = lock::take(context, "up")?;
    check(context, choices, offline)?;
    let step = context.ui.step("Checking the current state");
    let observed = observe::observe(context, &wanted);
    step.vanish();
    let mut observed = observed?;
    refuse_unmapped(context, &observed)?;
    let mut progress = Progress::default();
    let was_restarted = !context.dry_run && observed.is_unobservable();
    if was_restarted {
        // Ownership and possible losses only show once it runs.
        let _lift = context.deadline.set(settings.up.timeout);
        ensure_running(context, &observed.cluster, &wanted.cluster, &[], &progress.made)?;
        observed = observe::observe(context, &wanted)?;
    }
    let adopted = for_foreign_operator(context, &observed);
    let context = adopted.as_ref().unwrap_or(context);
    let settings = &context.settings;
    if adopted.is_some() {
        wanted = self::wanted(context, offline)?;
        observed = observe::observe(context, &wanted)?;
    }
    refuse_others(context, &observed)?;
    refuse_unfinished(context, &observed)?;
    refuse_empty_releases(context, &observed)?;
    refuse_losses(context, choices, &observed)?;
    refuse_downgrades(context, choices, &observed)?;
    refuse_old_kubernetes(context, &observed)?;
    warn_of_differences(context, &observed);
    print_claims(context, &observed);
    keep_running_milvus(context, choices, &mut observed, &mut wanted)?;
    let steps = plan::plan(settings, wanted, &observed);
    if context.dry_run {
        context.ui.document(&run::script(context, &steps)?);
        return Ok(None);
    }
    let is_settled = steps.iter().any(|step| step.name == StepName::Healthy && !step.action.is_run());
    let result = run::run(context, &steps, &mut progress);
    if was_restarted {
        progress.set_done(StepName::Cluster);
    }
    if result.is_err() && !choices.keep_on_failure && !context.interrupt.is_set() {
        discard(context, &progress.made)?;
    }
    result?;
    if is_settled {
        // Else this was told at the end of the wait.
        warn_of_others(context, &observed.others);
    }
    if settings.cluster.context.is_some()
        && let Err(error) = note_belongings(context)
    {
        // Milvus runs; only an uninstall after the Milvus resource is gone would miss this.
        context.check_interrupt()?;
        context.ui.warn(&format!("{error:#}"));
    }
    Ok(Some(progress))
}

fn wanted(context: &Context, offline: Option<&Offline>) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted::read(context)?;
    if let Some(offline) = offline {
        offline.add_to(context, &mut wanted);
    }
    Ok(wanted)
}

/// The context with the version of an operator that milvusctl does not manage, if it is another than in the settings:
/// fields of the resource and images depend on it.
fn for_foreign_operator(context: &Context, observed: &Observed) -> Option<Context> {
    let OperatorState::NotOurs(ForeignOperator { what, version }) = &observed.operator else { return None };
    let assumed = &context.settings.operator.version;
    let Some(version) = version else {
        context.ui.warn(&format!(
            "the version of {what} is unknown, and {assumed} is assumed; `--operator-version` names another"
        ));
        return None;
    };
    let mut settings = context.settings.clone();
    settings.operator.version.clone_from(version);
    (version != assumed).then(|| Context { settings, ..context.clone() })
}

/// Checks the machine and installs missing tools, before creating anything.
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

/// Plans what a running Milvus keeps and where it goes, and reports it if anything changes.
fn keep_running_milvus(
    context: &Context,
    choices: Choices,
    observed: &mut Observed,
    wanted: &mut Wanted,
) -> anyhow::Result<()> {
    let Some(live) = &observed.live else { return Ok(()) };
    let is_settled = observed.is_healthy;
    let kept =
        keep(&context.settings, RunningMilvus { live, follows: observed.is_our_operator(), is_settled });
    let Kept { resource, stages, images, required, notes, refusal, leap } = kept;
    let is_changed =
        observed.operator != OperatorState::AsWanted || observed.milvus == ResourceState::Differs;
    if let Some(why) = refusal.filter(|_| is_changed) {
        if !choices.force {
            return Err(Failure::new(Exit::Usage, format!("{why}; nothing was changed"))
                .hint("choose another release with `--milvus-version`, or apply it at once with `--force`")
                .into());
        }
        context.ui.warn(&format!("{why}; applying it because of `--force`"));
    }
    for line in notes.iter().filter(|_| is_changed) {
        context.ui.line(line);
    }
    if let Some(leap) = leap.filter(|_| is_changed) {
        context.ui.warn(&leap);
    }
    if let Some(bundle) = &wanted.bundle {
        offline::add_from_bundle(context, bundle, &required, &mut observed.bundle)?;
    }
    wanted.milvus = resource;
    wanted.stages = stages;
    wanted.images = images;
    wanted.required = required;
    Ok(())
}

/// Refuses a Pulsar that the cluster is too old for, before changing anything.
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

/// Warns of settings that an existing cluster cannot take on.
fn warn_of_differences(context: &Context, observed: &Observed) {
    if observed.differences.is_empty() {
        return;
    }
    let cluster = &context.settings.cluster.name;
    context.ui.warn(&format!(
        "kind cluster `{cluster}` already exists with {}; to change that, delete it first: `milvusctl down --name \
         {cluster}`",
        observed.differences.join(", ")
    ));
}

/// Prints the volumes that a new Milvus will claim on an existing cluster, before applying anything.
fn print_claims(context: &Context, observed: &Observed) {
    if observed.cluster != ClusterState::Foreign || observed.milvus != ResourceState::Absent {
        return;
    }
    if let Some(words) = in_words(&claims(&context.settings)) {
        context.ui.line(&words);
    }
}

/// Refuses to create a cluster without a port that the user chose, before changing anything. Otherwise only
/// warns, as the cluster or its config already exists.
fn refuse_unmapped(context: &Context, observed: &Observed) -> anyhow::Result<()> {
    let will_be_made = matches!(observed.cluster, ClusterState::Absent | ClusterState::HalfCreated);
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

/// Refuses to overwrite what somebody else owns, before changing anything.
fn refuse_others(context: &Context, observed: &Observed) -> anyhow::Result<()> {
    let Some(foreign) = observed.in_the_way.first() else { return Ok(()) };
    let milvus = &context.settings.milvus;
    let secret = storage_secret_name(&context.settings);
    let (what, hint) = match foreign {
        Foreign::StorageSecret => (
            format!("Secret `{}/{secret}` was not created by milvusctl", milvus.namespace),
            format!(
                "to use it as is, set `milvus.storage.secretRef: {secret}` instead of the keys; or set another \
                 `milvus.name`"
            ),
        ),
        Foreign::Hosts { node, path } => (
            format!("`{path}` in node `{node}` was not written by milvusctl, and names other mirrors"),
            format!(
                "to have it rewritten, remove it with `docker exec {node} rm {path}`; it may be a file mounted from the \\n                 host"
            ),
        ),
    };
    Err(Failure::new(Exit::Usage, format!("{what}; nothing was changed")).hint(hint).into())
}

/// Refuses an unfinished operator release that is not milvusctl's, before changing anything.
fn refuse_unfinished(context: &Context, observed: &Observed) -> anyhow::Result<()> {
    let OperatorState::Unfinished(Unfinished { status, is_ours: false }) = &observed.operator else {
        return Ok(());
    };
    let namespace = &context.settings.operator.namespace;
    let same = format!("--namespace {namespace}");
    let kube_context = quote(&context.kube_context());
    let hint = match operator::attempts(context)?.pop() {
        Some(last) if status != "uninstalling" => format!(
            "`kubectl --context {kube_context} {same} delete secret {}` clears the attempt and changes \\n             nothing else",
            last.state.name
        ),
        _ => format!("`helm --kube-context {kube_context} {same} history {OPERATOR}` shows its history"),
    };
    bail!(
        Failure::new(
            Exit::Failed,
            format!(
                "helm has not finished release `{OPERATOR}` in namespace `{namespace}`, which is `{status}` and not \
                 known to be milvusctl's; nothing was changed"
            )
        )
        .hint(format!("if helm is still running, rerun when it is done; if it was stopped, {hint}"))
    );
}

/// Refuses dependency releases without workloads that may not be milvusctl's to uninstall, before changing
/// anything. The operator would consider them installed.
fn refuse_empty_releases(context: &Context, observed: &Observed) -> anyhow::Result<()> {
    let foreign = observed.empty_releases.iter().filter(|release| !release.is_ours);
    let names: Vec<&str> = foreign.map(|release| release.name.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let namespace = &context.settings.milvus.namespace;
    bail!(
        Failure::new(
            Exit::Failed,
            format!(
                "helm reports {} in namespace `{namespace}` as deployed, but nothing of it runs; milvus-operator would \\n                 not install it again, and Milvus could not start; nothing was changed",
                names.iter().map(|name| format!("release `{name}`")).collect::<Vec<_>>().join(" and ")
            )
        )
        .hint(format!(
            "if it is a leftover of an earlier Milvus, `helm uninstall {} --kube-context {} --namespace {namespace}` \
             removes it and keeps the volumes; then rerun",
            names.join(" "),
            quote(&context.kube_context()),
        ))
    );
}

/// Refuses to lose data of the running Milvus, before changing anything.
fn refuse_losses(context: &Context, choices: Choices, observed: &Observed) -> anyhow::Result<()> {
    let name = &context.settings.milvus.name;
    let shown = observed.losses.join("; ");
    match (shown.is_empty(), choices.force) {
        (true, _) => Ok(()),
        (false, true) => {
            context.ui.warn(&format!("{shown}; continuing because of `--force`"));
            Ok(())
        }
        (false, false) => Err(Failure::new(
            Exit::Usage,
            format!("Milvus `{name}` differs from the settings, and changing it would lose data: {shown}; nothing was changed"),
        ).hint(
            "use the flags and settings it was created with, create another with `--name` or `milvus.name`, or change it anyway with `--force`",
        ).into()),
    }
}

/// Refuses downgrades, before changing anything.
fn refuse_downgrades(context: &Context, choices: Choices, observed: &Observed) -> anyhow::Result<()> {
    let shown: Vec<String> = observed
        .downgrades
        .iter()
        .map(|Downgrade { part, from, to }| format!("{part} {from} is running, and {to} is older"))
        .collect();
    if shown.is_empty() {
        return Ok(());
    }
    if choices.force {
        context.ui.warn(&format!("{}; downgrading because of `--force`", shown.join("; ")));
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, format!("{}; nothing was changed", shown.join("; "))).hint(
        "an older release may not read what a newer one wrote: choose a release with `--operator-version` and \
         `--milvus-version`, or downgrade anyway with `--force`",
    ).into())
}
