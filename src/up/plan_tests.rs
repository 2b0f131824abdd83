use semver::Version;

use super::super::observed::downgrade;
use super::*;
use crate::cluster::mirrors;
use crate::images::ImageRef;
use crate::images::mirror::Rules;
use crate::milvus::belongings::EmptyRelease;
use crate::settings::{Layer, file, resolve};

/// Settings from a file, with a mirror by default.
fn settings(text: &str) -> Settings {
    let file = file::parse(std::path::Path::new("m.yaml"), text);
    resolve(Layer::default(), Some(file)).unwrap()
}

const MIRROR: &str = "mirror: {preset: none, rules: [{registry: docker.io, prefix: 'http://10.0.0.1:5000'}]}";

#[test]
fn the_chart_comes_from_a_url_an_oci_registry_or_a_helm_repository() {
    let chart = |repo: &str| {
        let install =
            operator_install(&settings(&format!("operator: {{repo: '{repo}'}}")), String::new(), None);
        (install.chart, install.repo)
    };
    let name = || "milvus-operator".to_owned();
    assert_eq!(chart("https://a/b/"), (name(), Some("https://a/b/".to_owned())));
    assert_eq!(chart("oci://a/b/"), ("oci://a/b/milvus-operator".to_owned(), None));
    assert_eq!(chart("@mine"), ("mine/milvus-operator".to_owned(), None));
}

fn plan_of(text: &str, observed: &Observed) -> Vec<Step> {
    plan_through(text, observed, Vec::new())
}

/// The plan of an upgrade that leads through `stages`.
fn plan_through(text: &str, observed: &Observed, stages: Vec<Stage>) -> Vec<Step> {
    let settings = settings(text);
    let rules = Rules::new(settings.mirror.rules.clone(), settings.mirror.preset);
    let wanted = Wanted {
        cluster: String::new(),
        mirrors: mirrors::wanted(&rules),
        images: crate::milvus::images::planned_images(&settings),
        values: String::new(),
        keys: None,
        milvus: serde_json::Value::Null,
        stages,
        required: Vec::new(),
        attu: String::new(),
        bundle: None,
        chart: None,
    };
    plan(&settings, wanted, observed)
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
        ..Observed::default()
    }
}

fn to_do(settings: &str, observed: &Observed) -> Vec<StepName> {
    let steps = plan_of(settings, observed).into_iter();
    steps.filter(|step| step.action.is_run()).map(|step| step.name).collect()
}

/// The remarks on skipped steps.
fn remarks(observed: &Observed) -> Vec<(StepName, Remark)> {
    let steps = plan_of(MIRROR, observed).into_iter();
    let remark = |step: Step| match step.action {
        Action::Skip(Some(remark)) => Some((step.name, remark)),
        _ => None,
    };
    steps.filter_map(remark).collect()
}

#[test]
fn a_first_run_does_everything() {
    use StepName::{Attu, Cluster, ExposeAttu, ExposeMilvus, Healthy, Images, Milvus, Mirrors, Operator};
    assert_eq!(
        to_do(MIRROR, &Observed::default()),
        [Cluster, Mirrors, Images, Operator, Milvus, Attu, Healthy, ExposeAttu, ExposeMilvus]
    );
}

#[test]
fn a_healthy_cluster_only_gets_its_ports_tested() {
    assert_eq!(to_do(MIRROR, &everything()), [StepName::ExposeAttu, StepName::ExposeMilvus]);
}

#[test]
fn an_unmapped_node_port_is_not_exposed() {
    let unmapped = crate::settings::unmapped(&settings("cluster: {ports: ['31000:31000']}"));
    let observed = Observed { unmapped, ..everything() };
    assert_eq!(to_do(MIRROR, &observed), [StepName::ExposeAttu]);
    let said = "Milvus is not exposed; `milvusctl forward milvus` reaches it";
    assert_eq!(remarks(&observed), [(StepName::ExposeMilvus, Remark::LeftOut(said.into()))]);
}

#[test]
fn an_unhealthy_milvus_is_only_waited_for() {
    let observed = Observed { is_healthy: false, ..everything() };
    assert_eq!(
        to_do(MIRROR, &observed),
        [StepName::Images, StepName::Healthy, StepName::ExposeAttu, StepName::ExposeMilvus]
    );
}

#[test]
fn a_milvus_with_empty_dependency_releases_is_reapplied() {
    let empty = EmptyRelease { name: "my-release-etcd".into(), is_ours: true };
    let observed = Observed { is_healthy: false, empty_releases: vec![empty], ..everything() };
    assert_eq!(to_do(MIRROR, &observed)[..3], [StepName::Images, StepName::Milvus, StepName::Healthy]);
}

#[test]
fn stopped_nodes_are_restarted() {
    let observed = Observed { cluster: ClusterState::Stopped(vec!["n".into()]), ..everything() };
    assert!(to_do(MIRROR, &observed).starts_with(&[StepName::Cluster, StepName::Mirrors]));
}

#[test]
fn unknown_mirrors_are_configured_and_nothing_else() {
    let observed = Observed { mirrors_as_wanted: false, ..everything() };
    let ports = [StepName::ExposeAttu, StepName::ExposeMilvus];
    assert_eq!(to_do(MIRROR, &observed), [&[StepName::Mirrors], &ports[..]].concat());
    assert_eq!(to_do("mirror: {preset: none}", &observed), ports);
}

#[test]
fn a_lost_kubeconfig_is_rewritten() {
    let observed = Observed { has_context: false, ..everything() };
    assert_eq!(to_do(MIRROR, &observed)[0], StepName::Cluster);
}

#[test]
fn a_foreign_milvus_is_left_alone() {
    let observed = Observed { milvus: ResourceState::NotOurs, ..everything() };
    assert!(!to_do(MIRROR, &observed).contains(&StepName::Milvus));
    let warning =
        "Milvus `my-release` differs from the settings, but was not created by milvusctl; left unchanged";
    assert_eq!(remarks(&observed), [(StepName::Milvus, Remark::Warning(warning.into()))]);
}

#[test]
fn an_existing_cluster_gets_no_images_and_no_ports() {
    let observed = Observed { cluster: ClusterState::Foreign, is_healthy: false, ..everything() };
    assert_eq!(to_do("cluster: {context: theirs}", &observed), [StepName::Healthy]);
}

#[test]
fn an_existing_cluster_with_a_registry_gets_its_images_pushed_first() {
    use StepName::{Healthy, Images, Milvus, Operator};
    let observed = Observed { cluster: ClusterState::Foreign, has_context: true, ..Observed::default() };
    let wanted = "{cluster: {context: theirs}, mirror: {push: r.example.com/m}, attu: {enabled: false}}";
    assert_eq!(to_do(wanted, &observed), [Images, Operator, Milvus, Healthy]);
    let settled = Observed { cluster: ClusterState::Foreign, ..everything() };
    assert_eq!(to_do(wanted, &settled), []);
}

#[test]
fn a_foreign_operator_is_left_alone() {
    let foreign = ForeignOperator { what: "milvus-operator-1.1.4".into(), version: None };
    let observed = Observed { operator: OperatorState::NotOurs(foreign), ..everything() };
    assert!(!to_do(MIRROR, &observed).contains(&StepName::Operator));
    let line = "Using milvus-operator-1.1.4, which milvusctl did not install";
    assert_eq!(remarks(&observed), [(StepName::Operator, Remark::Line(line.into()))]);
}

#[test]
fn each_release_of_an_upgrade_must_run_before_the_next_one_is_applied() {
    let stage = Stage {
        version: Version::new(2, 5, 16),
        image: "milvusdb/milvus:v2.5.16".into(),
        before: "milvusdb/milvus:v2.4.17".into(),
        resource: serde_json::Value::Null,
    };
    let observed = Observed { milvus: ResourceState::Differs, ..everything() };
    let steps = plan_through(MIRROR, &observed, vec![stage]);
    let begun: Vec<_> = steps
        .iter()
        .filter(|step| step.action.is_run())
        .map(|step| (step.name, step.version.as_deref()))
        .collect();
    assert_eq!(
        begun[..5],
        [
            (StepName::Images, None),
            (StepName::Upgrade, Some("2.5.16")),
            (StepName::Upgraded, Some("2.5.16")),
            (StepName::Milvus, None),
            (StepName::Healthy, None),
        ]
    );
}

#[test]
fn an_existing_milvus_must_stay_healthy_after_a_change() {
    for (operator, milvus, expected) in [
        (OperatorState::AsWanted, ResourceState::AsWanted, Duration::ZERO),
        (OperatorState::Absent, ResourceState::Absent, Duration::ZERO),
        (OperatorState::Differs("old".into()), ResourceState::Absent, Duration::ZERO),
        (OperatorState::Differs("old".into()), ResourceState::AsWanted, SETTLE),
        (OperatorState::AsWanted, ResourceState::Differs, SETTLE),
        (
            OperatorState::Unfinished(Unfinished { status: "pending-upgrade".into(), is_ours: true }),
            ResourceState::AsWanted,
            SETTLE,
        ),
    ] {
        let observed = Observed { operator, milvus, ..everything() };
        assert_eq!(settle(&observed), expected, "{observed:?}");
    }
}

#[test]
fn only_what_later_steps_lack_is_unpacked_from_a_bundle() {
    let bundle = Bundle::for_test();
    let image = |name: &str| name.parse::<ImageRef>().unwrap();
    let lacking = BundleState {
        store_lacks: vec![image("milvusdb/milvus:v2.6.11")],
        engine_lacks: vec![image("kindest/node:v1.34.0")],
    };
    let takes = |state: &BundleState, makes_cluster, moves_images| {
        bundle_action(Some(bundle.clone()), state, makes_cluster, moves_images).is_run()
    };
    assert!(takes(&lacking, true, true));
    assert!(!takes(&lacking, false, false));
    assert!(!takes(&BundleState::default(), true, true));
    assert!(!bundle_action(None, &lacking, true, true).is_run());
}

#[test]
fn a_chart_file_needs_no_repository() {
    let install =
        operator_install(&settings("{}"), String::new(), Some(Path::new("/b/milvus-operator-1.3.8.tgz")));
    assert_eq!(
        (install.chart.as_str(), install.repo, install.version),
        ("/b/milvus-operator-1.3.8.tgz", None, None)
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
