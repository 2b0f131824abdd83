//! Plans `up`: a pure function of the wanted and the observed state. A second run observes more and plans
//! less, which is all it takes to be repeatable.

use std::path::Path;
use std::time::Duration;

use super::observed::{BundleState, Observed, OperatorState, ResourceState, Unfinished};
use super::steps::{
    ApplyMilvus, AwaitHealth, ConfigureMirrors, EnsureRunning, ExposeTarget, InstallAttu, InstallOperator,
    LoadImages, PushImages, SmokeTest, StageOf, UnpackBundle,
};
use super::wanted::Wanted;
use super::work::{StepName, Work};
use crate::bundle::Bundle;
use crate::cluster::state::ClusterState;
use crate::milvus::OPERATOR;
use crate::milvus::kept::Stage;
use crate::milvus::operator::ForeignOperator;
use crate::milvus::removal::DESCRIPTION;
use crate::reach::Target;
use crate::settings::Settings;
use crate::tools::helm::Install;

/// How long the operator may take to react after it was replaced or its resource changed.
const SETTLE: Duration = Duration::from_secs(15);

pub(super) struct Step {
    pub(super) name: StepName,
    /// The release of Milvus, for a step of an upgrade.
    pub(super) version: Option<String>,
    pub(super) action: Action,
}

/// What to do about a step.
pub(super) enum Action {
    Run(Box<dyn Work>),
    /// Already as wanted; optionally with a line to print.
    Unchanged(Option<String>),
    /// Not wanted, or not ours.
    Skip(Option<Remark>),
}

/// What to tell the user about a skipped step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remark {
    Line(String),
    Warning(String),
    /// Requested but left out, so the run is only partly done.
    LeftOut(String),
}

impl Action {
    fn run(work: impl Work + 'static) -> Self {
        Self::Run(Box::new(work))
    }

    fn unchanged(line: String) -> Self {
        Self::Unchanged(Some(line))
    }

    pub(super) fn is_run(&self) -> bool {
        matches!(self, Self::Run(_))
    }
}

/// What to do about the Milvus resource.
fn milvus_action(
    settings: &Settings,
    observed: &Observed,
    resource: serde_json::Value,
    keys: Option<crate::milvus::StorageKeys>,
    is_first: bool,
) -> Action {
    let name = &settings.milvus.name;
    match observed.milvus {
        ResourceState::NotOurs => Action::Skip(Some(Remark::Warning(format!(
            "Milvus `{name}` differs from the settings, but was not created by milvusctl; left unchanged"
        )))),
        ResourceState::AsWanted if observed.empty_releases.is_empty() => {
            Action::unchanged(format!("Milvus `{name}` is up to date"))
        }
        ResourceState::Absent | ResourceState::AsWanted | ResourceState::Differs => {
            Action::run(ApplyMilvus {
                resource,
                keys,
                leaving: observed.leaving.clone(),
                // The first of several uninstalls them.
                empty_releases: observed
                    .empty_releases
                    .iter()
                    .filter(|_| is_first)
                    .map(|release| release.name.clone())
                    .collect(),
                stage: None,
            })
        }
    }
}

/// The steps of an upgrade before the last one: each release is applied, and must run before the next one.
fn upgrade(
    settings: &Settings,
    observed: &Observed,
    stages: Vec<Stage>,
    keys: Option<&crate::milvus::StorageKeys>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for stage in stages {
        let version = Some(stage.version.to_string());
        let wait =
            AwaitHealth { settle: SETTLE, timeout: settings.up.timeout, image: Some(stage.image.clone()) };
        let releases = observed.empty_releases.iter().filter(|_| steps.is_empty());
        let apply = ApplyMilvus {
            resource: stage.resource,
            keys: keys.cloned(),
            leaving: None,
            empty_releases: releases.map(|release| release.name.clone()).collect(),
            stage: Some(StageOf { version: stage.version, before: stage.before }),
        };
        steps.push(Step { name: StepName::Upgrade, version: version.clone(), action: Action::run(apply) });
        steps.push(Step { name: StepName::Upgraded, version, action: Action::run(wait) });
    }
    steps
}

/// The image that an upgrade through other releases ends with.
fn last_image(wanted: &Wanted) -> Option<String> {
    let image = wanted.milvus.pointer("/spec/components/image")?.as_str()?;
    (!wanted.stages.is_empty()).then(|| image.to_owned())
}

/// The steps in order, each with its action.
pub(super) fn plan(settings: &Settings, wanted: Wanted, observed: &Observed) -> Vec<Step> {
    let last_image = last_image(&wanted);
    let is_foreign = observed.cluster == ClusterState::Foreign;
    let runs =
        matches!(observed.cluster, ClusterState::Running | ClusterState::Foreign) && observed.has_context;
    let nodes = nodes(settings);

    let cluster = if runs {
        Action::unchanged(match &settings.cluster.context {
            Some(context) => format!("Using the cluster of context `{context}`"),
            None => format!("Cluster `{}` is running", settings.cluster.name),
        })
    } else {
        Action::run(EnsureRunning {
            state: observed.cluster.clone(),
            config: wanted.cluster,
            images: wanted.images.images.clone(),
        })
    };

    // The nodes of an existing cluster belong to its owner.
    let mirrors = if is_foreign || wanted.mirrors.is_empty() {
        Action::Skip(None)
    } else if runs && observed.mirrors_as_wanted {
        Action::Unchanged(None)
    } else {
        Action::run(ConfigureMirrors { hosts: wanted.mirrors, nodes: nodes.clone() })
    };

    let version = &settings.operator.version;
    let install = |upgrade, is_unfinished| {
        let install = operator_install(settings, wanted.values.clone(), wanted.chart.as_deref());
        Action::run(InstallOperator { install, upgrade, is_unfinished })
    };
    let operator = match &observed.operator {
        OperatorState::Absent => install(None, false),
        OperatorState::Differs(why) => install(Some(why.clone()), false),
        OperatorState::Unfinished(Unfinished { status, .. }) => {
            install(Some(format!("its release is `{status}`")), true)
        }
        OperatorState::AsWanted => Action::unchanged(format!("milvus-operator {version} is installed")),
        OperatorState::NotOurs(ForeignOperator { what, .. }) => {
            Action::Skip(Some(Remark::Line(format!("Using {what}, which milvusctl did not install"))))
        }
    };

    let upgrade = upgrade(settings, observed, wanted.stages, wanted.keys.as_ref());
    let milvus = milvus_action(settings, observed, wanted.milvus, wanted.keys, upgrade.is_empty());

    let attu = match observed.attu {
        _ if !settings.attu.enabled => Action::Skip(None),
        ResourceState::Absent | ResourceState::Differs => Action::run(InstallAttu { manifests: wanted.attu }),
        ResourceState::AsWanted => Action::unchanged(format!("Attu {} is installed", settings.attu.version)),
        ResourceState::NotOurs => Action::Skip(None),
    };

    let nothing_changes = ![&operator, &milvus, &attu].into_iter().any(Action::is_run);
    let is_settled = runs && observed.is_healthy && nothing_changes;
    let images = match &settings.mirror.push {
        // The cluster pulls its images by itself.
        None if is_foreign => Action::Skip(None),
        _ if is_settled => Action::Unchanged(None),
        Some(to) => {
            let mut images = wanted.images.images;
            images.retain(|planned| !planned.image.to_string().starts_with(&format!("{to}/")));
            Action::run(PushImages { images, to: to.clone() })
        }
        None => Action::run(LoadImages { images: wanted.images, required: wanted.required, nodes, runs }),
    };

    let bundle = bundle_action(wanted.bundle, &observed.bundle, cluster.is_run(), images.is_run());

    let healthy = if is_settled {
        Action::unchanged("Milvus is healthy and lacks no image".to_owned())
    } else {
        Action::run(AwaitHealth { settle: settle(observed), timeout: settings.up.timeout, image: last_image })
    };

    let expose = |target: Target, node_port| {
        if settings.cluster.context.is_some() {
            // The ports of an existing cluster belong to its owner.
            Action::Skip(None)
        } else if let Some(unmapped) = observed.unmapped.iter().find(|port| port.node_port == node_port) {
            Action::Skip(Some(Remark::LeftOut(format!(
                "{} is not exposed; `milvusctl forward {target}` reaches it",
                unmapped.name
            ))))
        } else {
            // Always run: it is cheap and tests the URL again.
            Action::run(ExposeTarget { target, node_port })
        }
    };
    let expose_attu = if settings.attu.enabled {
        expose(Target::Attu, settings.attu.node_port)
    } else {
        Action::Skip(None)
    };

    let before = [
        (StepName::Bundle, bundle),
        (StepName::Cluster, cluster),
        (StepName::Mirrors, mirrors),
        (StepName::Images, images),
        (StepName::Operator, operator),
    ];
    let after = [
        (StepName::Milvus, milvus),
        (StepName::Attu, attu),
        (StepName::Healthy, healthy),
        (StepName::ExposeAttu, expose_attu),
        (StepName::ExposeMilvus, expose(Target::Milvus, settings.milvus.node_port)),
        (StepName::Smoke, if settings.up.smoke { Action::run(SmokeTest) } else { Action::Skip(None) }),
    ];
    let step = |(name, action)| Step { name, version: None, action };
    before.into_iter().map(step).chain(upgrade).chain(after.into_iter().map(step)).collect()
}

/// What to unpack from the bundle: what later steps need and do not have yet.
fn bundle_action(
    bundle: Option<Bundle>,
    state: &BundleState,
    makes_cluster: bool,
    moves_images: bool,
) -> Action {
    let Some(bundle) = bundle else { return Action::Skip(None) };
    let BundleState { store_lacks, engine_lacks } = state.clone();
    let store = if moves_images { store_lacks } else { Vec::new() };
    let engine = if makes_cluster || moves_images { engine_lacks } else { Vec::new() };
    if store.is_empty() && engine.is_empty() {
        return Action::Unchanged(None);
    }
    Action::run(UnpackBundle { bundle, store, engine })
}

/// How long Milvus must stay healthy to count as such: only if it existed before and something changes.
fn settle(observed: &Observed) -> Duration {
    let was_there = observed.milvus != ResourceState::Absent;
    let is_changed = matches!(observed.operator, OperatorState::Differs(_) | OperatorState::Unfinished(_));
    let changes = observed.milvus == ResourceState::Differs || is_changed;
    if was_there && changes { SETTLE } else { Duration::ZERO }
}

/// The helm installation of the operator's chart.
pub(super) fn operator_install(settings: &Settings, values: String, chart: Option<&Path>) -> Install {
    let operator = &settings.operator;
    if let Some(chart) = chart {
        return Install {
            release: OPERATOR.to_owned(),
            namespace: operator.namespace.clone(),
            chart: chart.display().to_string(),
            repo: None,
            version: None,
            values,
            description: DESCRIPTION.to_owned(),
        };
    }
    let repo = operator.repo.trim_end_matches('/');
    // helm takes no `--repo` for an OCI registry, nor for a repository that it knows by name.
    let (chart, repo) = match repo.strip_prefix('@') {
        Some(name) => (format!("{name}/{OPERATOR}"), None),
        None if repo.starts_with("oci://") => (format!("{repo}/{OPERATOR}"), None),
        None => (OPERATOR.to_owned(), Some(operator.repo.clone())),
    };
    Install {
        release: OPERATOR.to_owned(),
        namespace: operator.namespace.clone(),
        chart,
        repo,
        version: Some(operator.version.to_string()),
        values,
        description: DESCRIPTION.to_owned(),
    }
}

/// The names of the nodes that kind will create, control plane first.
fn nodes(settings: &Settings) -> Vec<String> {
    let cluster = &settings.cluster;
    // kind numbers the nodes of a role starting with the second (`MakeNodeNamer` in its providers' common).
    let named = |role: &'static str, count: u8| {
        (1..=count).map(move |n| if n == 1 { role.to_owned() } else { format!("{role}{n}") })
    };
    let roles = named("control-plane", cluster.control_planes).chain(named("worker", cluster.workers));
    roles.map(|role| format!("{}-{role}", cluster.name)).collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
