//! What `up` has to do: a pure function of what is wanted and what is there. A second run observes more and
//! so plans less; nothing else is needed to make it repeatable.

use semver::Version;
use serde::Serialize;

use crate::cluster::state::ClusterState;

/// What there is of the operator's release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorState {
    Absent,
    AsWanted,
    /// Installed otherwise, or half: why it is upgraded.
    Differs(String),
    /// Another release of it was installed into an existing cluster by somebody else: it is left as it is.
    NotOurs(String),
}

/// A part that would go back to an older release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downgrade {
    /// Such as `milvus-operator`.
    pub part: &'static str,
    pub from: Version,
    /// The release that is wanted.
    pub to: Version,
}

/// Compares the release that runs with the one that is wanted, as far as both are versions.
///
/// A hotfix such as 2.4.13-hotfix comes after its release, unlike a release candidate.
///
/// Data that a newer Milvus has written an older one may not read, and an older operator's resource definition
/// does not know what a newer one made.
pub fn downgrade(part: &'static str, running: Option<&str>, wanted: Option<&Version>) -> Option<Downgrade> {
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
pub enum ResourceState {
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
pub struct Observed {
    pub cluster: ClusterState,
    /// Whether the kubeconfig knows the cluster.
    pub has_context: bool,
    pub operator: OperatorState,
    pub milvus: ResourceState,
    /// Whether Milvus is healthy and all its workloads ready.
    pub is_healthy: bool,
    pub attu: ResourceState,
    /// Whether each node's containerd knows the mirrors.
    pub mirrors_as_wanted: bool,
    /// What would go back to an older release.
    pub downgrades: Vec<Downgrade>,
}

/// What is wanted besides the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
pub struct Wanted {
    pub attu: bool,
    /// Whether the smoke test runs at the end.
    pub smoke: bool,
    /// Whether images are pushed to the registry of an existing cluster.
    pub push: bool,
    /// Whether node ports can be exposed: not with an existing context.
    pub expose: bool,
    /// Whether the nodes are to know mirrors.
    pub mirrors: bool,
}

/// One step of `up`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    /// The cluster, its nodes, and the way to it.
    Cluster,
    /// The mirrors that the nodes pull through by themselves.
    Mirrors,
    /// The images that are known in advance.
    Images,
    Operator,
    Milvus,
    Attu,
    /// Milvus healthy, with every image that turned out to be missing.
    Healthy,
    ExposeAttu,
    ExposeMilvus,
    Smoke,
}

/// What is done about a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Do,
    /// It is as it should be.
    Unchanged,
    /// It is not wanted, or not ours: why.
    Skip(&'static str),
}

/// The steps in their order, each with what is done about it.
pub fn up(wanted: Wanted, observed: &Observed) -> Vec<(StepName, Action)> {
    let ready = |is_ready: bool| if is_ready { Action::Unchanged } else { Action::Do };
    let cluster_runs =
        matches!(observed.cluster, ClusterState::Running | ClusterState::Foreign) && observed.has_context;
    let resource = |state: ResourceState| match state {
        ResourceState::Absent | ResourceState::Differs => Action::Do,
        ResourceState::AsWanted => Action::Unchanged,
        ResourceState::NotOurs => Action::Skip("it was not made by milvusctl"),
    };
    let operator = match observed.operator {
        OperatorState::NotOurs(_) => Action::Skip("it was not installed by milvusctl"),
        OperatorState::AsWanted => Action::Unchanged,
        OperatorState::Absent | OperatorState::Differs(_) => Action::Do,
    };
    let milvus = resource(observed.milvus);
    let attu = if wanted.attu { resource(observed.attu) } else { Action::Skip("not wanted") };
    let nothing_changes = [&operator, &milvus, &attu].iter().all(|action| **action != Action::Do);
    let settled = cluster_runs && observed.is_healthy && nothing_changes;
    let images = match observed.cluster {
        ClusterState::Foreign if !wanted.push => Action::Skip("the cluster pulls its images itself"),
        _ => ready(settled),
    };
    let expose = |is_wanted: bool| match (is_wanted, wanted.expose) {
        (false, _) => Action::Skip("not wanted"),
        (true, false) => Action::Skip("an existing cluster's ports are its owner's"),
        // Looked at in any case: it is cheap, and the URL is tried again.
        (true, true) => Action::Do,
    };
    let mirrors = match observed.cluster {
        ClusterState::Foreign => Action::Skip("an existing cluster's nodes are its owner's"),
        _ if !wanted.mirrors => Action::Skip("not wanted"),
        _ => ready(cluster_runs && observed.mirrors_as_wanted),
    };
    vec![
        (StepName::Cluster, ready(cluster_runs)),
        (StepName::Mirrors, mirrors),
        (StepName::Images, images),
        (StepName::Operator, operator),
        (StepName::Milvus, milvus),
        (StepName::Attu, attu),
        (StepName::Healthy, ready(settled)),
        (StepName::ExposeAttu, expose(wanted.attu)),
        (StepName::ExposeMilvus, expose(true)),
        (StepName::Smoke, if wanted.smoke { Action::Do } else { Action::Skip("not wanted") }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { attu: true, smoke: false, push: false, expose: true, mirrors: true };

    fn nothing() -> Observed {
        Observed {
            cluster: ClusterState::Absent,
            has_context: false,
            operator: OperatorState::Absent,
            milvus: ResourceState::Absent,
            is_healthy: false,
            attu: ResourceState::Absent,
            mirrors_as_wanted: false,
            downgrades: Vec::new(),
        }
    }

    fn everything() -> Observed {
        Observed {
            cluster: ClusterState::Running,
            has_context: true,
            operator: OperatorState::AsWanted,
            milvus: ResourceState::AsWanted,
            is_healthy: true,
            attu: ResourceState::AsWanted,
            mirrors_as_wanted: true,
            downgrades: Vec::new(),
        }
    }

    fn to_do(wanted: Wanted, observed: &Observed) -> Vec<StepName> {
        let steps = up(wanted, observed).into_iter();
        steps.filter(|(_, action)| *action == Action::Do).map(|(name, _)| name).collect()
    }

    #[test]
    fn from_nothing_everything_is_done() {
        use StepName::{Attu, Cluster, ExposeAttu, ExposeMilvus, Healthy, Images, Milvus, Mirrors, Operator};
        assert_eq!(
            to_do(WANTED, &nothing()),
            [Cluster, Mirrors, Images, Operator, Milvus, Attu, Healthy, ExposeAttu, ExposeMilvus]
        );
    }

    #[test]
    fn on_a_healthy_cluster_only_the_ports_are_tried() {
        assert_eq!(to_do(WANTED, &everything()), [StepName::ExposeAttu, StepName::ExposeMilvus]);
    }

    #[test]
    fn a_milvus_that_is_not_healthy_is_waited_for_and_nothing_is_written() {
        let observed = Observed { is_healthy: false, ..everything() };
        assert_eq!(
            to_do(WANTED, &observed),
            [StepName::Images, StepName::Healthy, StepName::ExposeAttu, StepName::ExposeMilvus]
        );
    }

    #[test]
    fn stopped_nodes_are_started_again() {
        let observed = Observed { cluster: ClusterState::Stopped(vec!["n".into()]), ..everything() };
        assert!(to_do(WANTED, &observed).starts_with(&[StepName::Cluster, StepName::Mirrors]));
    }

    #[test]
    fn mirrors_that_the_nodes_do_not_know_are_told_to_them_and_nothing_else_is_done() {
        let observed = Observed { mirrors_as_wanted: false, ..everything() };
        let ports = [StepName::ExposeAttu, StepName::ExposeMilvus];
        assert_eq!(to_do(WANTED, &observed), [&[StepName::Mirrors], &ports[..]].concat());
        assert_eq!(to_do(Wanted { mirrors: false, ..WANTED }, &observed), ports);
    }

    #[test]
    fn a_lost_kubeconfig_is_written_again() {
        let observed = Observed { has_context: false, ..everything() };
        assert_eq!(to_do(WANTED, &observed)[0], StepName::Cluster);
    }

    #[test]
    fn a_milvus_of_somebody_else_is_left_alone() {
        let observed = Observed { milvus: ResourceState::NotOurs, ..everything() };
        let steps = up(WANTED, &observed);
        assert_eq!(steps[4], (StepName::Milvus, Action::Skip("it was not made by milvusctl")));
    }

    #[test]
    fn an_existing_cluster_gets_no_images_and_no_ports() {
        let observed = Observed { cluster: ClusterState::Foreign, is_healthy: false, ..everything() };
        let wanted = Wanted { expose: false, ..WANTED };
        assert_eq!(to_do(wanted, &observed), [StepName::Healthy]);
    }

    #[test]
    fn an_existing_cluster_with_a_registry_has_images_pushed_before_anything_is_installed() {
        use StepName::{Healthy, Images, Milvus, Operator};
        let observed = Observed { cluster: ClusterState::Foreign, has_context: true, ..nothing() };
        let wanted = Wanted { expose: false, push: true, attu: false, ..WANTED };
        assert_eq!(to_do(wanted, &observed), [Images, Operator, Milvus, Healthy]);
        let settled = Observed { cluster: ClusterState::Foreign, ..everything() };
        assert_eq!(to_do(wanted, &settled), []);
    }

    #[test]
    fn an_operator_of_somebody_else_is_left_alone() {
        let observed = Observed { operator: OperatorState::NotOurs("1.1.4".into()), ..everything() };
        assert_eq!(
            up(WANTED, &observed)[3],
            (StepName::Operator, Action::Skip("it was not installed by milvusctl"))
        );
    }

    #[test]
    fn only_an_older_release_is_a_downgrade() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let is_downgrade =
            |running: Option<&str>, wanted: &str| downgrade("m", running, Some(&version(wanted))).is_some();
        for (running, wanted, expected) in [
            (Some("1.3.8"), "1.1.4", true),
            (Some("v2.6.11"), "2.6.9", true),
            (Some("2.6.0"), "2.6.0-rc1", true),
            (Some("2.4.13"), "2.4.13-hotfix", false),
            (Some("2.4.13-hotfix"), "2.4.13", true),
            (Some("1.3.8"), "1.3.8", false),
            (Some("1.3.8"), "1.10.0", false),
            (Some("nightly"), "1.0.0", false),
            (None, "1.0.0", false),
        ] {
            assert_eq!(is_downgrade(running, wanted), expected, "{running:?} to {wanted}");
        }
        assert_eq!(downgrade("m", Some("1.0.0"), None), None);
    }
}
