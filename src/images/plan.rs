//! Plans which images to pull and where to load them, and refuses those that loading cannot help.
//!
//! Decides from what was observed; does nothing itself.

use std::collections::{BTreeMap, BTreeSet};

use super::missing::{ImageName, MissingImage};
use super::reference::ImageRef;
use super::refusal::{Refusal, Verdict, always_pulled, invalid_name, no_node, pinned, wrong_architecture};
use crate::archive::Platform;
use crate::images::mirror::{Candidate, Rules};
use crate::kube::kubelet::WaitingReason;
use crate::kube::node::Node;
use crate::kube::pod::PodName;

/// An image held by the engine, the store or an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldImage {
    /// The platform; for an index, the one that the engine would run.
    pub platform: Platform,
    /// The digests that identify its content: of its config, or of the manifest or index that its name refers
    /// to, whichever the engine reports.
    pub ids: BTreeSet<String>,
    /// The digests of the uncompressed layers, bottom first.
    pub layers: Vec<String>,
    /// The size in bytes: uncompressed in the classic store, compressed in containerd's.
    pub size_bytes: u64,
    /// Whether the name refers to an index, which may have more platforms.
    pub is_index: bool,
}

/// What is known about the engine and its image store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineImages {
    /// The images it holds, of those it was asked about.
    pub held: BTreeMap<ImageRef, HeldImage>,
    /// Whether a load keeps the digest that a pod may have pinned.
    ///
    /// It never does with the classic store, for which `docker save` writes a manifest of its own.
    pub keeps_digests: bool,
}

/// By node, the images that it can run, by canonical containerd name, with the digests of their manifest or
/// index and config.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeImages(pub BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

/// When a node counts as holding an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// When it has an image of that name: the pods there run it.
    #[default]
    ByName,
    /// When its image of that name has the same content: a user may have rebuilt the image, and an archive
    /// may hold another one.
    ByContent,
}

/// Which nodes an image goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NodeScope {
    /// Only those where pods wait for it.
    Waiting,
    /// Those first, then the others that could run the pods.
    #[default]
    All,
}

/// Everything that a plan depends on besides the images.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    pub engine: &'a EngineImages,
    /// The images that will come from the store for certain, because a bundle held them.
    pub stored: &'a BTreeMap<ImageRef, HeldImage>,
    pub held: &'a NodeImages,
    pub nodes: &'a [Node],
    pub rules: &'a Rules,
    /// Whether images can bypass the engine and keep their registry digest.
    pub fetches: bool,
    pub presence: Presence,
}

/// What to do about the images.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadPlan {
    pub loads: Vec<ImageLoad>,
    /// Images that loading cannot help.
    pub refused: Vec<Refusal>,
    /// Images that are already on every node that needs them.
    pub present: Vec<MissingImage>,
    /// Images for nodes that cannot be entered.
    pub left_out: Vec<LeftOut>,
}

/// The nodes that need an image but cannot be entered.
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
    /// How to get it; `None` if the engine holds it.
    pub pull: Option<Pull>,
    /// The nodes with waiting pods that do not hold it. For an image that a user named, all its nodes.
    pub first: Vec<String>,
    /// The other nodes that could run the pods and do not hold it.
    pub then: Vec<String>,
    /// The platform that the nodes need it for.
    pub platform: Platform,
}

/// How to get an image that the engine does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The names to try, best first.
    pub candidates: Vec<Candidate>,
}

/// Plans what to do about `missing`, in the same order.
///
/// [`super::targets`] decides which nodes get an image. An image that the engine holds is not pulled again.
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

/// Returns how to load `missing`, or `None` if every node has it.
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
    // A digest already identifies the content, and an image that the nodes cannot run must not replace
    // theirs.
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
        // An image that a user named is needed first on all nodes.
        let (first, mut then): (Vec<&Node>, Vec<&Node>) =
            targets.partition(|node| missing.is_named || demand.has_pods_on(node));
        if scope == NodeScope::Waiting {
            then.clear();
        }
        Self { first, then }.of_one_platform()
    }

    /// Drops nodes whose platform differs from the first one's: one load carries one platform.
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
    /// Returns the image if the engine holds it and can save it under this name, including a digest.
    pub fn savable(&self, image: &ImageRef) -> Option<&HeldImage> {
        self.held.get(image).filter(|_| image.digest().is_none() || self.keeps_digests)
    }
}

impl HeldImage {
    /// Returns whether the image can run on `platform`, as far as known.
    fn suits(&self, platform: &Platform) -> bool {
        self.is_index || !self.platform.is_known() || !platform.is_known() || self.platform == *platform
    }
}

impl NodeImages {
    /// Returns whether `node` holds `image` under the name that the kubelet will use.
    pub fn holds(&self, node: &str, image: &ImageRef) -> bool {
        self.under(node, image).is_some()
    }

    /// Returns whether what `node` holds under that name has one of the digests `ids`.
    pub fn holds_content(&self, node: &str, image: &ImageRef, ids: &BTreeSet<String>) -> bool {
        self.under(node, image).is_some_and(|held| !held.is_disjoint(ids))
    }

    fn under(&self, node: &str, image: &ImageRef) -> Option<&BTreeSet<String>> {
        self.0.get(node)?.get(&image.node_name().to_string())
    }
}

impl LoadPlan {
    /// Removes nodes that cannot be entered from the loads, and records what they miss.
    ///
    /// `closed` maps each such node to the reason.
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
    /// Returns all nodes that the image goes to, those with waiting pods first.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.first.iter().chain(&self.then).map(String::as_str)
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
