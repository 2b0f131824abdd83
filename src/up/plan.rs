//! What `up` has to do: a pure function of what is wanted and what is there. A second run observes more and
//! so plans less; nothing else is needed to make it repeatable.

use std::path::Path;
use std::time::Duration;

use semver::Version;

use super::steps::{
    ApplyMilvus, AwaitHealth, BringToRun, ExposeTarget, InstallAttu, InstallOperator, LoadImages, PushImages,
    SmokeTest, TakeBundle, TellMirrors,
};
use super::wanted::Wanted;
use super::work::{StepName, Work};
use crate::bundle::Bundle;
use crate::cluster::state::ClusterState;
use crate::images::ImageRef;
use crate::milvus::OPERATOR;
use crate::milvus::belongings::EmptyRelease;
use crate::milvus::removal::DESCRIPTION;
use crate::reach::Target;
use crate::settings::{Settings, Unmapped};
use crate::tools::helm::Install;

/// How long the operator may take to come round after it was replaced or its resource was changed.
const SETTLE: Duration = Duration::from_secs(15);

/// What there is of the operator's release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OperatorState {
    Absent,
    AsWanted,
    /// Installed otherwise, or half: why it is upgraded.
    Differs(String),
    /// helm was stopped in the middle of it, or is at work.
    Unfinished(Unfinished),
    /// Somebody else installed it, as is said here: it is left as it is.
    NotOurs(String),
}

/// A release that helm has begun to change and is not done with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfinished {
    /// Such as `pending-upgrade`.
    pub(super) status: String,
    /// Whether it is milvusctl's.
    pub(super) is_ours: bool,
}

/// What somebody else made under a name that milvusctl would write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Foreign {
    /// The Secret for the keys of the object storage.
    StorageSecret,
    /// A node's file about the mirrors of a registry.
    Hosts { node: String, path: String },
}

/// A part that would go back to an older release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Downgrade {
    /// Such as `milvus-operator`.
    pub(super) part: &'static str,
    pub(super) from: Version,
    /// The release that is wanted.
    pub(super) to: Version,
}

/// Compares the release that runs with the one that is wanted, as far as both are versions.
///
/// A hotfix such as 2.4.13-hotfix comes after its release, unlike a release candidate.
///
/// Data that a newer Milvus has written an older one may not read, and an older operator's resource definition
/// does not know what a newer one made.
pub(super) fn downgrade(
    part: &'static str,
    running: Option<&str>,
    wanted: Option<&Version>,
) -> Option<Downgrade> {
    let (from, to) = (Version::parse(running?.trim_start_matches('v')).ok()?, wanted?);
    let order = |version: &Version| {
        let is_hotfix = version.pre.starts_with("hotfix");
        let release = Version::new(version.major, version.minor, version.patch);
        (release.clone(), is_hotfix, if is_hotfix { release } else { version.clone() })
    };
    (order(to) < order(&from)).then(|| Downgrade { part, from, to: to.clone() })
}

/// What there is of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResourceState {
    /// None of that name.
    Absent,
    AsWanted,
    /// Ours, and otherwise than wanted.
    Differs,
    /// Made by somebody else; left as it is.
    NotOurs,
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observed {
    pub(super) cluster: ClusterState,
    /// Whether the kubeconfig knows the cluster.
    pub(super) has_context: bool,
    pub(super) operator: OperatorState,
    pub(super) milvus: ResourceState,
    /// The UID of a Milvus of that name that is being deleted.
    pub(super) leaving: Option<String>,
    /// Helm releases of dependencies behind which nothing runs.
    pub(super) empty_releases: Vec<EmptyRelease>,
    /// Whether Milvus is healthy and all its workloads ready.
    pub(super) is_healthy: bool,
    pub(super) attu: ResourceState,
    /// Whether each node's containerd knows the mirrors.
    pub(super) mirrors_as_wanted: bool,
    /// What would go back to an older release.
    pub(super) downgrades: Vec<Downgrade>,
    /// What is to be exposed and cannot be.
    pub(super) unmapped: Vec<Unmapped>,
    /// What of the bundle is still to be taken out; nothing without one.
    pub(super) bundle: BundleState,
    /// What would be lost by making the Milvus that runs into the one that is wanted.
    pub(super) losses: Vec<String>,
    /// What would be written over, and is somebody else's.
    pub(super) in_the_way: Vec<Foreign>,
    /// The Milvus that is there and is ours.
    pub(super) live: Option<serde_json::Value>,
    /// The Kubernetes of an existing cluster that is too old for the Pulsar that the operator would install.
    pub(super) old_kubernetes: Option<Version>,
}

impl Observed {
    /// Whether another release of the operator takes the place of the one that is there.
    pub(super) fn is_upgrade(&self) -> bool {
        matches!(self.operator, OperatorState::Differs(_))
    }

    /// Whether there is a cluster into which nobody can look before it is brought to run.
    pub(super) fn is_out_of_sight(&self) -> bool {
        match &self.cluster {
            ClusterState::Stopped(_) => true,
            ClusterState::Running => !self.has_context,
            ClusterState::Absent | ClusterState::HalfMade | ClusterState::Foreign => false,
        }
    }
}

/// What of a bundle is not where it is needed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct BundleState {
    /// The images for nodes that the store lacks.
    pub(super) store_lacks: Vec<ImageRef>,
    /// The node image where the engine lacks it, and the images that it is to push.
    pub(super) engine_lacks: Vec<ImageRef>,
}

pub(super) struct Step {
    pub(super) name: StepName,
    pub(super) action: Action,
}

/// What is done about a step.
pub(super) enum Action {
    Run(Box<dyn Work>),
    /// It is as it should be, which may be worth a line.
    Unchanged(Option<String>),
    /// It is not wanted, or not ours.
    Skip(Option<Remark>),
}

/// What the user is told of a step that is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remark {
    Line(String),
    Warning(String),
    /// It was asked for, so that the run is done in part only.
    LeftOut(String),
}

impl Action {
    fn run(work: impl Work + 'static) -> Self {
        Self::Run(Box::new(work))
    }

    fn unchanged(line: String) -> Self {
        Self::Unchanged(Some(line))
    }

    fn is_run(&self) -> bool {
        matches!(self, Self::Run(_))
    }
}

/// What is done about the Milvus resource.
fn milvus_action(
    settings: &Settings,
    observed: &Observed,
    resource: serde_json::Value,
    keys: Option<crate::milvus::StorageKeys>,
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
                empty_releases: observed.empty_releases.iter().map(|release| release.name.clone()).collect(),
            })
        }
    }
}

/// The steps in their order, each with what is done about it.
pub(super) fn plan(settings: &Settings, wanted: Wanted, observed: &Observed) -> Vec<Step> {
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
        Action::run(BringToRun {
            state: observed.cluster.clone(),
            config: wanted.cluster,
            images: wanted.images.images.clone(),
        })
    };

    // An existing cluster's nodes are its owner's.
    let mirrors = if is_foreign || wanted.mirrors.is_empty() {
        Action::Skip(None)
    } else if runs && observed.mirrors_as_wanted {
        Action::Unchanged(None)
    } else {
        Action::run(TellMirrors { hosts: wanted.mirrors, nodes: nodes.clone() })
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
        OperatorState::NotOurs(chart) => {
            Action::Skip(Some(Remark::Line(format!("Using {chart}, which milvusctl did not install"))))
        }
    };

    let milvus = milvus_action(settings, observed, wanted.milvus, wanted.keys);

    let attu = match observed.attu {
        _ if !settings.attu.enabled => Action::Skip(None),
        ResourceState::Absent | ResourceState::Differs => Action::run(InstallAttu { manifests: wanted.attu }),
        ResourceState::AsWanted => Action::unchanged(format!("Attu {} is installed", settings.attu.version)),
        ResourceState::NotOurs => Action::Skip(None),
    };

    let nothing_changes = ![&operator, &milvus, &attu].into_iter().any(Action::is_run);
    let settled = runs && observed.is_healthy && nothing_changes;
    let images = match &settings.mirror.push {
        // The cluster pulls its images itself.
        None if is_foreign => Action::Skip(None),
        _ if settled => Action::Unchanged(None),
        Some(to) => Action::run(PushImages { images: wanted.images.images, to: to.clone() }),
        None => Action::run(LoadImages { images: wanted.images, nodes, runs }),
    };

    let bundle = bundle_action(wanted.bundle, &observed.bundle, cluster.is_run(), images.is_run());

    let healthy = if settled {
        Action::unchanged("Milvus is healthy and no image is missing".to_owned())
    } else {
        Action::run(AwaitHealth { settle: settle(observed), timeout: settings.up.timeout })
    };

    let expose = |target: Target, node_port| {
        if settings.cluster.context.is_some() {
            // An existing cluster's ports are its owner's.
            Action::Skip(None)
        } else if let Some(unmapped) = observed.unmapped.iter().find(|port| port.node_port == node_port) {
            Action::Skip(Some(Remark::LeftOut(format!(
                "{} is not exposed; `milvusctl forward {target}` reaches it",
                unmapped.name
            ))))
        } else {
            // Looked at in any case: it is cheap, and the URL is tried again.
            Action::run(ExposeTarget { target, node_port })
        }
    };
    let expose_attu = if settings.attu.enabled {
        expose(Target::Attu, settings.attu.node_port)
    } else {
        Action::Skip(None)
    };

    [
        (StepName::Bundle, bundle),
        (StepName::Cluster, cluster),
        (StepName::Mirrors, mirrors),
        (StepName::Images, images),
        (StepName::Operator, operator),
        (StepName::Milvus, milvus),
        (StepName::Attu, attu),
        (StepName::Healthy, healthy),
        (StepName::ExposeAttu, expose_attu),
        (StepName::ExposeMilvus, expose(Target::Milvus, settings.milvus.node_port)),
        (StepName::Smoke, if settings.up.smoke { Action::run(SmokeTest) } else { Action::Skip(None) }),
    ]
    .map(|(name, action)| Step { name, action })
    .into()
}

/// What is taken out of the bundle: what the later steps need and is not yet where they look.
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
    Action::run(TakeBundle { bundle, store, engine })
}

/// How long Milvus has to stay healthy before it is believed: where one was there and something changes.
fn settle(observed: &Observed) -> Duration {
    let was_there = observed.milvus != ResourceState::Absent;
    let is_changed = matches!(observed.operator, OperatorState::Differs(_) | OperatorState::Unfinished(_));
    let changes = observed.milvus == ResourceState::Differs || is_changed;
    if was_there && changes { SETTLE } else { Duration::ZERO }
}

/// The operator's chart as helm is to install it.
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
    // helm takes no `--repo` for a repository of a registry, nor for one that it knows by name.
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

/// The nodes that kind is going to make, the control plane first.
fn nodes(settings: &Settings) -> Vec<String> {
    let cluster = &settings.cluster;
    // kind numbers the nodes of a role from the second on (`MakeNodeNamer` in its providers' common).
    let named = |role: &'static str, count: u8| {
        (1..=count).map(move |n| if n == 1 { role.to_owned() } else { format!("{role}{n}") })
    };
    let roles = named("control-plane", cluster.control_planes).chain(named("worker", cluster.workers));
    roles.map(|role| format!("{}-{role}", cluster.name)).collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
