//! What has to be pulled and loaded where, and what cannot be helped by that.
//!
//! Decides from what was observed; carries nothing out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::missing::{ImageName, MissingImage, WaitingReason};
use super::reference::ImageRef;
use crate::archive::Platform;
use crate::images::mirror::{Candidate, Rules};
use crate::kube::node::Node;
use crate::kube::pod::PodName;

/// An image as engine, store or archive hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldImage {
    /// The platform; of an index the one that the engine would run.
    pub platform: Platform,
    /// The digests that tell its content: of its configuration, or of the manifest or index that its name leads to,
    /// whichever the engine says.
    pub ids: BTreeSet<String>,
    /// The digests of the uncompressed layers, lowest first.
    pub layers: Vec<String>,
    /// The size in bytes: unpacked in the classic store, compressed in containerd's.
    pub size_bytes: u64,
    /// Whether the name leads to an index, which may name more platforms.
    pub is_index: bool,
}

/// What is known of the engine and its store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineImages {
    /// The images it holds, of those it was asked for.
    pub held: BTreeMap<ImageRef, HeldImage>,
    /// Whether a load keeps the digest by which a pod may have pinned an image.
    ///
    /// The classic store writes a manifest of its own into `docker save`, so there it never does.
    pub keeps_digests: bool,
}

/// The images that each node can run, by their names in containerd's canonical form, with the digests that tell their
/// content: of manifest or index, and of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeImages(pub BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

/// When a node holds an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// When it has one by that name: it is what the pods there run.
    #[default]
    ByName,
    /// When it has by that name what it is going to be given: a user who names an image may have built it anew, and
    /// an archive may hold another.
    ByContent,
}

/// To which nodes an image goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NodeScope {
    /// Only where pods wait for it.
    Waiting,
    /// To these first, then to the others that could run the pods.
    #[default]
    All,
}

/// Everything that a plan is made from, besides the images.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    pub engine: &'a EngineImages,
    /// What the store is going to give of the images that a user names, where that is settled: what a bundle held.
    pub stored: &'a BTreeMap<ImageRef, HeldImage>,
    pub held: &'a NodeImages,
    pub nodes: &'a [Node],
    pub rules: &'a Rules,
    /// Whether images can come past the engine, under the digest that they have in the registry.
    pub fetches: bool,
    pub presence: Presence,
}

/// What to do about the images.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadPlan {
    pub loads: Vec<ImageLoad>,
    /// The images that loading cannot help.
    pub refused: Vec<Refusal>,
    /// The images that are already on every node that needs them.
    pub present: Vec<MissingImage>,
    /// What nodes should get that cannot be entered, beside the loads to the others.
    pub left_out: Vec<LeftOut>,
}

/// The nodes that should get an image and cannot be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub image: ImageRef,
    /// Why pods wait for it; empty when a user named it.
    pub reasons: BTreeSet<WaitingReason>,
    /// The pods that wait for it.
    pub pods: BTreeSet<PodName>,
    /// The nodes, and why each cannot be entered.
    pub nodes: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLoad {
    pub image: ImageRef,
    /// Why pods wait for it; empty when a user named it.
    pub reasons: BTreeSet<WaitingReason>,
    /// The pods that wait for it.
    pub pods: BTreeSet<PodName>,
    /// How to get it into the engine; nothing when it is there.
    pub pull: Option<Pull>,
    /// The nodes on which pods wait, without those that hold it. For an image that a user named, all its nodes.
    pub first: Vec<String>,
    /// The other nodes that could run the pods, without those that hold it.
    pub then: Vec<String>,
    /// The platform that the nodes need it for.
    pub platform: Platform,
}

/// How to get an image into the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The names to try, best first.
    pub candidates: Vec<Candidate>,
}

/// An image that loading cannot help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The image, as far as it is one.
    pub image: ImageName,
    /// Why pods wait for it.
    pub reasons: BTreeSet<WaitingReason>,
    /// The pods that wait for it.
    pub pods: BTreeSet<PodName>,
    pub why: RefusalReason,
    pub error: String,
    pub hint: String,
}

/// Why loading cannot help an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum RefusalReason {
    /// The name is none.
    InvalidImageName,
    /// Every pod that waits for it asks the registry each time.
    PullPolicyAlways,
    /// It is pinned by a digest that does not survive the load.
    PinnedByDigest,
    /// The engine holds it for another platform than the nodes'.
    WrongArchitecture,
    /// No node can run the pods that want it.
    NoNode,
}

/// Plans what to do about `missing`, in the same order.
///
/// Which nodes get an image is [`super::targets`]'s to say. An image that the engine holds is not pulled again.
pub fn plan(missing: &[MissingImage], observed: PlanInput<'_>, scope: NodeScope) -> LoadPlan {
    let mut plan = LoadPlan::default();
    for missing in missing {
        match decide(missing, observed, scope) {
            Ok(Some(load)) => plan.loads.push(load),
            Ok(None) => plan.present.push(missing.clone()),
            Err(verdict) => plan.refused.push(Refusal {
                image: missing.image.clone(),
                reasons: missing.reasons.clone(),
                pods: missing.pods.clone(),
                why: verdict.why,
                error: verdict.error,
                hint: verdict.hint,
            }),
        }
    }
    plan
}

/// A refusal before it knows whose it is.
struct Verdict {
    why: RefusalReason,
    error: String,
    hint: String,
}

/// Returns how to load `missing`, or nothing when it is everywhere already.
fn decide(
    missing: &MissingImage,
    observed: PlanInput<'_>,
    scope: NodeScope,
) -> Result<Option<ImageLoad>, Verdict> {
    let image = match &missing.image {
        ImageName::Valid(image) => image,
        ImageName::Invalid(text) => return Err(invalid_name(text)),
    };
    if !missing.pods.is_empty() && missing.always_pulled_by == missing.pods {
        return Err(always_pulled(image, &missing.pods));
    }
    let targets = Targets::of(missing, observed.nodes, scope);
    let Some(platform) = targets.platform() else { return Err(no_node(image)) };
    let is_lost = image.digest().is_some() && !observed.engine.keeps_digests;
    let held = observed.engine.savable(image);
    // A name with a digest tells the content; and what the nodes cannot run is not to replace what they hold.
    let given = held.or_else(|| observed.stored.get(image));
    let compared = given.filter(|held| {
        observed.presence == Presence::ByContent && image.digest().is_none() && held.suits(&platform)
    });
    let has = |node: &Node| match compared {
        Some(held) => observed.held.holds_content(node.name(), image, &held.ids),
        None => observed.held.holds(node.name(), image),
    };
    let names = |nodes: &[&Node]| -> Vec<String> {
        nodes.iter().filter(|node| !has(node)).map(|node| node.name().to_owned()).collect()
    };
    let (first, then) = (names(&targets.first), names(&targets.then));
    if first.is_empty() && then.is_empty() {
        return Ok(None);
    }
    if is_lost && !observed.fetches {
        return Err(pinned(image));
    }
    if let Some(held) = held.filter(|held| !held.suits(&platform)) {
        return Err(wrong_architecture(image, &held.platform, &platform));
    }
    let pull = held.is_none().then(|| Pull { candidates: observed.rules.candidates(image) });
    Ok(Some(ImageLoad {
        image: image.clone(),
        reasons: missing.reasons.clone(),
        pods: missing.pods.clone(),
        pull,
        first,
        then,
        platform,
    }))
}

/// The nodes that need an image, whether they hold it or not.
struct Targets<'a> {
    first: Vec<&'a Node>,
    then: Vec<&'a Node>,
}

impl<'a> Targets<'a> {
    fn of(missing: &MissingImage, nodes: &'a [Node], scope: NodeScope) -> Self {
        let demand = missing.demand();
        let targets = nodes.iter().filter(|node| demand.includes(node));
        // Those that a user named are waited for everywhere.
        let (first, mut then): (Vec<&Node>, Vec<&Node>) =
            targets.partition(|node| missing.is_named || demand.has_pods_on(node));
        if scope == NodeScope::Waiting {
            then.clear();
        }
        Self { first, then }.of_one_platform()
    }

    /// Leaves out the nodes of another platform than the first one's: one load carries one platform.
    fn of_one_platform(mut self) -> Self {
        if let Some(platform) = self.platform() {
            self.first.retain(|node| platform_of(node) == platform);
            self.then.retain(|node| platform_of(node) == platform);
        }
        self
    }

    fn platform(&self) -> Option<Platform> {
        self.first.iter().chain(&self.then).map(|node| platform_of(node)).next()
    }
}

/// The platform of `node`.
pub fn platform_of(node: &Node) -> Platform {
    let info = &node.status.node_info;
    Platform { os: info.operating_system.clone(), architecture: info.architecture.clone(), variant: None }
}

impl EngineImages {
    /// Returns an image that the engine holds and can give away by the name that was asked for, its digest included.
    pub fn savable(&self, image: &ImageRef) -> Option<&HeldImage> {
        self.held.get(image).filter(|_| image.digest().is_none() || self.keeps_digests)
    }
}

impl HeldImage {
    /// Returns whether the image can run on `platform`, as far as is known.
    fn suits(&self, platform: &Platform) -> bool {
        self.is_index || !self.platform.is_known() || !platform.is_known() || self.platform == *platform
    }
}

impl NodeImages {
    /// Returns whether `node` holds `image` under the name by which the kubelet will ask for it.
    pub fn holds(&self, node: &str, image: &ImageRef) -> bool {
        self.under(node, image).is_some()
    }

    /// Returns whether what `node` holds under that name is what one of `ids` is the digest of.
    pub fn holds_content(&self, node: &str, image: &ImageRef, ids: &BTreeSet<String>) -> bool {
        self.under(node, image).is_some_and(|held| !held.is_disjoint(ids))
    }

    fn under(&self, node: &str, image: &ImageRef) -> Option<&BTreeSet<String>> {
        self.0.get(node)?.get(&image.node_name().to_string())
    }
}

impl LoadPlan {
    /// Takes the nodes that cannot be entered out of the loads, and notes what they do not get.
    ///
    /// `closed` holds why each cannot be entered.
    pub fn leave_out(&mut self, closed: &BTreeMap<String, String>) {
        for load in &mut self.loads {
            let nodes: BTreeMap<String, String> = load
                .nodes()
                .filter_map(|node| closed.get_key_value(node))
                .map(|(node, why)| (node.clone(), why.clone()))
                .collect();
            if nodes.is_empty() {
                continue;
            }
            load.first.retain(|node| !closed.contains_key(node));
            load.then.retain(|node| !closed.contains_key(node));
            self.left_out.push(LeftOut {
                image: load.image.clone(),
                reasons: load.reasons.clone(),
                pods: load.pods.clone(),
                nodes,
            });
        }
        self.loads.retain(|load| load.nodes().next().is_some());
    }
}

impl ImageLoad {
    /// Returns all nodes that the image goes to, those where pods wait first.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.first.iter().chain(&self.then).map(String::as_str)
    }
}

fn invalid_name(text: &str) -> Verdict {
    let error = match text.parse::<ImageRef>() {
        Err(error) => error.to_string(),
        Ok(_) => format!("the kubelet refuses `{text}` as an image name"),
    };
    Verdict {
        why: RefusalReason::InvalidImageName,
        error,
        hint: "fix the image in the Deployment, StatefulSet or other owner of the pods".to_owned(),
    }
}

fn always_pulled(image: &ImageRef, pods: &BTreeSet<PodName>) -> Verdict {
    let example = pods.first().map(|pod| format!(", such as `{pod}`")).unwrap_or_default();
    let hint = if image.tag() == Some("latest") {
        format!(
            "pin a version instead of `:latest`, which Kubernetes always pulls, or set `imagePullPolicy: IfNotPresent` on the owner of the pods{example}"
        )
    } else {
        format!("set `imagePullPolicy: IfNotPresent` on the owner of the pods{example}")
    };
    Verdict {
        why: RefusalReason::PullPolicyAlways,
        error: "the pods' pull policy is `Always`, so the kubelet contacts the registry even when the image is loaded"
            .to_owned(),
        hint,
    }
}

fn pinned(image: &ImageRef) -> Verdict {
    let by_tag = image.without_digest().familiar();
    let instead = match image.tag() {
        Some(_) => format!("refer to it by tag only, `{by_tag}`"),
        None => "refer to it by tag".to_owned(),
    };
    Verdict {
        why: RefusalReason::PinnedByDigest,
        error: "the image is pinned by digest, which the engine drops when it saves an image".to_owned(),
        hint: format!("{instead}, or let the nodes pull it themselves through a mirror"),
    }
}

fn wrong_architecture(image: &ImageRef, held: &Platform, wanted: &Platform) -> Verdict {
    Verdict {
        why: RefusalReason::WrongArchitecture,
        error: format!("the engine has it for {held}, but the nodes are {wanted}"),
        hint: format!("pull the nodes' variant with `docker pull --platform {wanted} {}`", image.familiar()),
    }
}

fn no_node(image: &ImageRef) -> Verdict {
    Verdict {
        why: RefusalReason::NoNode,
        error: format!("no node can run a pod with `{}`", image.familiar()),
        hint: "check the nodes' conditions and taints with `kubectl describe nodes`".to_owned(),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
