//! Tests of the plan for a cluster of a control plane and two workers.

use super::*;
use crate::images::mirror::Preset;
use crate::images::missing::{NamespaceFilter, collect};
use crate::images::refusal::RefusalReason;
use crate::kube::node::{NodeList, Placement};
use crate::kube::pod::PodList;

const SHA256: &str = "sha256:86e0e091d0da6bde2456dbb48306f3956bbeb2eae1b5b9a43045843f69fe4aaa";

fn node(name: &str, architecture: &str, taints: &str) -> Node {
    serde_json::from_str(&format!(
        r#"{{"metadata": {{"name": "{name}"}}, "spec": {{"taints": [{taints}]}},
            "status": {{"conditions": [{{"type": "Ready", "status": "True"}}],
                        "nodeInfo": {{"operatingSystem": "linux", "architecture": "{architecture}"}}}}}}"#
    ))
    .unwrap()
}

fn cluster() -> Vec<Node> {
    let master = r#"{"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"}"#;
    vec![node("cp", "amd64", master), node("w1", "amd64", ""), node("w2", "amd64", "")]
}

fn missing(image: &str, waiting_on: &[&str]) -> MissingImage {
    let pods =
        waiting_on.iter().map(|node| PodName { namespace: "a".to_owned(), name: format!("on-{node}") });
    MissingImage {
        reasons: [WaitingReason::ErrImagePull].into(),
        pods: pods.collect(),
        nodes: waiting_on.iter().map(|node| (*node).to_owned()).collect(),
        placements: [Placement::default()].into(),
        is_named: waiting_on.is_empty(),
        ..MissingImage::new(ImageName::parse(image))
    }
}

fn held(architecture: &str, is_index: bool) -> HeldImage {
    HeldImage {
        platform: Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None },
        ids: ["sha256:new".to_owned()].into(),
        layers: Vec::new(),
        size_bytes: 1,
        is_index,
    }
}

fn engine(image: &str, held: HeldImage) -> EngineImages {
    EngineImages { held: [(image.parse().unwrap(), held)].into(), keeps_digests: false }
}

fn nodes_hold(rows: &[(&str, &str)]) -> NodeImages {
    nodes_hold_content(&rows.iter().map(|(node, image)| (*node, *image, "sha256:old")).collect::<Vec<_>>())
}

fn nodes_hold_content(rows: &[(&str, &str, &str)]) -> NodeImages {
    let mut images = NodeImages::default();
    for (node, image, id) in rows {
        let of_node = images.0.entry((*node).to_owned()).or_default();
        of_node.insert((*image).to_owned(), ["sha256:manifest".to_owned(), (*id).to_owned()].into());
    }
    images
}

struct Case {
    engine: EngineImages,
    stored: BTreeMap<ImageRef, HeldImage>,
    held: NodeImages,
    nodes: Vec<Node>,
    scope: NodeScope,
    fetches: bool,
    presence: Presence,
}

impl Default for Case {
    fn default() -> Self {
        let held = NodeImages::default();
        Self {
            engine: EngineImages::default(),
            stored: BTreeMap::new(),
            held,
            nodes: cluster(),
            scope: NodeScope::All,
            fetches: false,
            presence: Presence::ByName,
        }
    }
}

impl Case {
    fn plan(&self, missing: &[MissingImage]) -> LoadPlan {
        let rules = Rules::new(vec!["docker.io=127.0.0.1:5000".parse().unwrap()], Preset::None);
        let observed = PlanInput {
            engine: &self.engine,
            stored: &self.stored,
            held: &self.held,
            nodes: &self.nodes,
            rules: &rules,
            fetches: self.fetches,
            presence: self.presence,
        };
        plan(missing, observed, self.scope)
    }

    /// The nodes of the only load: those with waiting pods, and the others.
    fn targets(&self, missing: MissingImage) -> (Vec<String>, Vec<String>) {
        let load = self.plan(&[missing]).loads.remove(0);
        (load.first, load.then)
    }

    fn refusal(&self, missing: MissingImage) -> Refusal {
        self.plan(&[missing]).refused.remove(0)
    }
}

fn names(nodes: &[&str]) -> Vec<String> {
    nodes.iter().map(|node| (*node).to_owned()).collect()
}

#[test]
fn an_image_goes_first_to_nodes_with_waiting_pods_and_never_to_a_tainted_control_plane() {
    let expected = (names(&["w2"]), names(&["w1"]));
    assert_eq!(Case::default().targets(missing("busybox:1", &["w2"])), expected);
}

#[test]
fn waiting_scope_leaves_the_other_nodes_alone() {
    let case = Case { scope: NodeScope::Waiting, ..Case::default() };
    assert_eq!(case.targets(missing("busybox:1", &["w2"])), (names(&["w2"]), vec![]));
}

#[test]
fn a_pod_on_the_control_plane_gets_its_image_there() {
    assert_eq!(Case::default().targets(missing("busybox:1", &["cp"])).0, names(&["cp"]));
}

#[test]
fn nodes_that_hold_the_image_are_left_out() {
    let case = Case { held: nodes_hold(&[("w1", "docker.io/library/busybox:1")]), ..Case::default() };
    assert_eq!(case.targets(missing("busybox:1", &["w1", "w2"])), (names(&["w2"]), vec![]));
}

#[test]
fn an_image_on_every_node_is_present() {
    let image = "docker.io/library/busybox:1";
    let case = Case { held: nodes_hold(&[("w1", image), ("w2", image)]), ..Case::default() };
    let busybox = missing("busybox:1", &["w2"]);
    assert_eq!(
        case.plan(std::slice::from_ref(&busybox)),
        LoadPlan { present: vec![busybox], ..LoadPlan::default() }
    );
}

#[test]
fn a_named_image_goes_to_every_worker_in_either_scope() {
    for scope in [NodeScope::Waiting, NodeScope::All] {
        let case = Case { scope, ..Case::default() };
        let named = MissingImage::new(ImageName::parse("busybox:1"));
        assert_eq!(case.targets(named), (names(&["w1", "w2"]), vec![]));
    }
}

#[test]
fn an_unready_node_gets_nothing_unless_a_pod_waits_there() {
    let mut case = Case::default();
    case.nodes[1].status.conditions.clear();
    assert_eq!(case.targets(missing("busybox:1", &["w2"])), (names(&["w2"]), vec![]));
    assert_eq!(case.targets(missing("busybox:1", &["w1"])), (names(&["w1"]), names(&["w2"])));
}

#[test]
fn a_named_image_goes_to_unready_nodes() {
    let mut case = Case::default();
    case.nodes[1] = node("w1", "amd64", r#"{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}"#);
    case.nodes[1].status.conditions.clear();
    let named = MissingImage::new(ImageName::parse("busybox:1"));
    assert_eq!(case.targets(named), (names(&["w1", "w2"]), vec![]));
}

#[test]
fn a_closed_node_is_left_out_and_the_others_are_loaded() {
    let mut plan = Case::default().plan(&[missing("busybox:1", &["w1"]), missing("busybox:2", &["w2"])]);
    let closed = BTreeMap::from([("w2".to_owned(), "paused".to_owned())]);
    plan.leave_out(&closed);
    let loads: Vec<Vec<&str>> = plan.loads.iter().map(|load| load.nodes().collect()).collect();
    assert_eq!(loads, [["w1"], ["w1"]]);
    let left_out: Vec<_> = plan.left_out.iter().map(|left_out| &left_out.nodes).collect();
    assert_eq!(left_out, [&closed, &closed]);
}

#[test]
fn an_image_for_closed_nodes_alone_is_not_loaded() {
    let case = Case { scope: NodeScope::Waiting, ..Case::default() };
    let mut plan = case.plan(&[missing("busybox:1", &["w2"])]);
    plan.leave_out(&BTreeMap::from([("w2".to_owned(), "paused".to_owned())]));
    assert_eq!((plan.loads, plan.left_out.len()), (vec![], 1));
}

#[test]
fn an_image_in_the_engine_is_not_pulled() {
    let case = Case { engine: engine("busybox:1", held("amd64", false)), ..Case::default() };
    assert_eq!(case.plan(&[missing("busybox:1", &["w1"])]).loads[0].pull, None);
}

#[test]
fn an_image_missing_from_the_engine_is_pulled_by_the_rules() {
    let load = Case::default().plan(&[missing("busybox:1", &["w1"])]).loads.remove(0);
    let candidates: Vec<_> =
        load.pull.unwrap().candidates.iter().map(|candidate| candidate.image.to_string()).collect();
    assert_eq!(candidates, ["127.0.0.1:5000/library/busybox:1", "docker.io/library/busybox:1"]);
    assert_eq!(load.platform.to_string(), "linux/amd64");
}

#[test]
fn an_invalid_name_is_refused_with_the_grammars_reason() {
    let refusal = Case::default().refusal(missing("a/B", &["w1"]));
    assert_eq!(refusal.why, RefusalReason::InvalidImageName);
    assert_eq!(refusal.error, "`a/B` is not an image reference: the repository `a/B` must be lower case");
}

#[test]
fn pods_that_all_pull_always_are_refused() {
    let mut always = missing("busybox", &["w1"]);
    always.always_pulled_by = always.pods.clone();
    let refusal = Case::default().refusal(always);
    assert_eq!(refusal.why, RefusalReason::PullPolicyAlways);
    assert!(refusal.hint.contains(":latest") && refusal.hint.contains("a/on-w1"), "{}", refusal.hint);
}

#[test]
fn one_pod_that_always_pulls_does_not_block_the_others() {
    let mut some = missing("busybox:1", &["w1", "w2"]);
    some.always_pulled_by = some.pods.first().cloned().into_iter().collect();
    let load = Case::default().plan(&[some.clone()]).loads.remove(0);
    assert_eq!(load.image, *some.image.reference().unwrap());
}

#[test]
fn a_pinned_image_is_refused_unless_the_digest_survives() {
    let pinned = format!("busybox:1@{SHA256}");
    let refusal = Case::default().refusal(missing(&pinned, &["w1"]));
    assert_eq!(refusal.why, RefusalReason::PinnedByDigest);
    assert!(refusal.hint.contains("`busybox:1`"), "{}", refusal.hint);
    let keeping = EngineImages { keeps_digests: true, ..EngineImages::default() };
    assert_eq!(Case { engine: keeping, ..Case::default() }.plan(&[missing(&pinned, &["w1"])]).refused, []);
}

#[test]
fn a_pinned_image_bypasses_an_engine_that_would_lose_its_digest() {
    let pinned = format!("busybox:1@{SHA256}");
    let engine = engine(&pinned, held("amd64", false));
    let plan = Case { engine, fetches: true, ..Case::default() }.plan(&[missing(&pinned, &["w1"])]);
    assert_eq!(plan.refused, []);
    assert!(plan.loads[0].pull.is_some(), "{:?}", plan.loads);
}

#[test]
fn a_pinned_image_counts_as_held_only_under_its_digest() {
    let pinned = format!("busybox:1@{SHA256}");
    let by_tag = Case { held: nodes_hold(&[("w1", "docker.io/library/busybox:1")]), ..Case::default() };
    assert_eq!(by_tag.plan(&[missing(&pinned, &["w1"])]).present, []);
    let by_digest = Case {
        held: nodes_hold(&[("w1", &format!("docker.io/library/busybox@{SHA256}"))]),
        scope: NodeScope::Waiting,
        ..Case::default()
    };
    assert_eq!(by_digest.plan(&[missing(&pinned, &["w1"])]).present.len(), 1);
}

#[test]
fn a_wrong_architecture_is_refused_and_an_index_is_not() {
    let case = Case { engine: engine("busybox:1", held("arm64", false)), ..Case::default() };
    let refusal = case.refusal(missing("busybox:1", &["w1"]));
    assert_eq!(refusal.why, RefusalReason::WrongArchitecture);
    assert_eq!(refusal.error, "the engine has it for linux/arm64, but the nodes are linux/amd64");
    assert_eq!(refusal.hint, "pull the nodes' variant with `docker pull --platform linux/amd64 busybox:1`");
    let index = Case { engine: engine("busybox:1", held("arm64", true)), ..Case::default() };
    assert_eq!(index.plan(&[missing("busybox:1", &["w1"])]).refused, []);
}

#[test]
fn a_pod_waiting_on_a_removed_node_is_refused() {
    let case = Case { nodes: vec![cluster().remove(0)], ..Case::default() };
    assert_eq!(case.refusal(missing("busybox:1", &["w9"])).why, RefusalReason::NoNode);
}

#[test]
fn nothing_missing_plans_nothing() {
    assert_eq!(Case::default().plan(&[]), LoadPlan::default());
}

#[test]
fn a_recorded_cluster_is_planned_node_by_node() {
    let pods = include_bytes!("../../tests/fixtures/pods-waiting.kubectl-1.32-k8s-1.20.json");
    let nodes = include_bytes!("../../tests/fixtures/nodes.kubectl-1.32-k8s-1.20.json");
    let pods = PodList::from_slice(pods).unwrap();
    let case = Case { nodes: NodeList::from_slice(nodes).unwrap().items, ..Case::default() };
    let plan = case.plan(&collect(&pods, &NamespaceFilter::All));
    let (control_plane, worker) = ("milvusctl-test-images-control-plane", "milvusctl-test-images-worker");
    let loads: Vec<_> =
        plan.loads.iter().map(|load| (load.image.familiar(), load.nodes().collect::<Vec<_>>())).collect();
    assert_eq!(
        loads,
        [
            ("172.17.0.1:5000/milvusdb/milvus:v2.4.17".to_owned(), vec![worker]),
            ("busybox:1.36".to_owned(), vec![worker]),
            ("milvusdb/milvus-operator:v1.1.4".to_owned(), vec![worker]),
            ("zilliz/agent:1".to_owned(), vec![control_plane, worker]),
            ("quay.io/a/b:1".to_owned(), vec![worker]),
        ]
    );
    let refused: Vec<_> =
        plan.refused.iter().map(|refusal| (refusal.image.to_string(), refusal.why)).collect();
    assert_eq!(
        refused,
        [
            ("docker.io/library/busybox:latest".to_owned(), RefusalReason::PullPolicyAlways),
            ("milvusdb/Milvus:v2.4.17".to_owned(), RefusalReason::InvalidImageName),
        ]
    );
}

#[test]
fn a_rebuilt_image_replaces_the_old_one() {
    let app = "docker.io/library/app:dev";
    let case = Case {
        engine: engine("app:dev", held("amd64", false)),
        held: nodes_hold_content(&[("w1", app, "sha256:old"), ("w2", app, "sha256:new")]),
        presence: Presence::ByContent,
        ..Case::default()
    };
    assert_eq!(case.targets(missing("app:dev", &[])), (names(&["w1"]), vec![]));
    let by_name = Case { presence: Presence::ByName, ..case };
    assert_eq!(by_name.plan(&[missing("app:dev", &[])]).present.len(), 1);
}

#[test]
fn an_image_missing_or_for_another_platform_is_compared_by_name_only() {
    let held_by = nodes_hold(&[("w1", "docker.io/library/app:dev"), ("w2", "docker.io/library/app:dev")]);
    for engine in [EngineImages::default(), engine("app:dev", held("arm64", false))] {
        let case = Case { engine, held: held_by.clone(), presence: Presence::ByContent, ..Case::default() };
        assert_eq!(case.plan(&[missing("app:dev", &[])]).present.len(), 1);
    }
}

#[test]
fn a_bundled_image_replaces_another_of_its_name() {
    let app = "docker.io/library/app:1";
    let case = Case {
        stored: [("app:1".parse().unwrap(), held("amd64", true))].into(),
        held: nodes_hold_content(&[("w1", app, "sha256:old"), ("w2", app, "sha256:new")]),
        fetches: true,
        presence: Presence::ByContent,
        ..Case::default()
    };
    let load = case.plan(&[missing("app:1", &[])]).loads.remove(0);
    assert_eq!((load.nodes().collect::<Vec<_>>(), load.pull.is_some()), (vec!["w1"], true));
    let held = nodes_hold_content(&[("w1", app, "sha256:new"), ("w2", app, "sha256:new")]);
    assert_eq!(Case { held, ..case }.plan(&[missing("app:1", &[])]).present.len(), 1);
}
