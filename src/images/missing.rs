//! Finds the images that keep pods from starting, and all images that pods use.
//!
//! Looks at pods only; [`super::plan`] decides what to do about a missing image.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::Serialize;

use super::reference::{ImageRef, InvalidReference};
use super::targets::Demand;
use crate::kube::kubelet::WaitingReason;
use crate::kube::node::Placement;
use crate::kube::pod::{Container, NamedImage, Pod, PodList, PodName, PullPolicy};
use crate::kube::pod_status::Waiting;

/// The namespaces to look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NamespaceFilter {
    #[default]
    All,
    /// Only these.
    Only(BTreeSet<String>),
}

/// The image that a container names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum ImageName {
    /// A name that Docker's grammar allows, in canonical form.
    Valid(ImageRef),
    /// Any other text, as the pod's author wrote it.
    Invalid(String),
}

/// An image that pods wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingImage {
    pub image: ImageName,
    /// The kubelet's reasons, over all pods.
    pub reasons: BTreeSet<WaitingReason>,
    pub pods: BTreeSet<PodName>,
    /// Those pods whose pull policy is `Always`, which a loaded image does not help.
    pub always_pulled_by: BTreeSet<PodName>,
    /// The nodes on which the pods wait.
    pub nodes: BTreeSet<String>,
    /// Which nodes the pods accept: the image may be needed wherever one of them could run.
    pub placements: BTreeSet<Placement>,
    /// Whether a user or a plan named it, rather than waiting pods.
    pub is_named: bool,
}

/// An image that pods use, missing or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedImage {
    pub image: ImageName,
    /// The pods that use it.
    pub pods: BTreeSet<PodName>,
    /// The nodes that these pods are scheduled to.
    pub nodes: BTreeSet<String>,
    /// Which nodes the pods accept.
    pub placements: BTreeSet<Placement>,
}

/// Returns the images that keep pods in `namespaces` from starting, sorted and without duplicates.
///
/// Ignores pods that have ended or are being deleted. Names come from the pod's spec; two spellings of one
/// name are one image.
pub fn collect(pods: &PodList<'_>, namespaces: &NamespaceFilter) -> Vec<MissingImage> {
    let mut missing: BTreeMap<ImageName, MissingImage> = BTreeMap::new();
    for pod in alive(pods, namespaces) {
        for (container, waiting) in pod.waiting() {
            let Some(reason) = WaitingReason::of(waiting) else { continue };
            for named in blamed(pod, container, waiting, reason) {
                let image = ImageName::for_reason(named.name, reason);
                let entry = missing.entry(image.clone()).or_insert_with(|| MissingImage::new(image));
                let name = pod.full_name();
                if named.pull_policy == PullPolicy::Always {
                    entry.always_pulled_by.insert(name.clone());
                }
                entry.is_named = false;
                entry.reasons.insert(reason);
                entry.pods.insert(name);
                entry.nodes.extend(pod.spec.node_name.as_ref().map(ToString::to_string));
                entry.placements.insert(pod.placement());
            }
        }
    }
    missing.into_values().collect()
}

/// Returns every image that pods in `namespaces` use, sorted and without duplicates.
///
/// Ignores pods that have ended or are being deleted.
pub fn wanted(pods: &PodList<'_>, namespaces: &NamespaceFilter) -> Vec<WantedImage> {
    // Thousands of pods share a few images: parse each spelling once.
    let mut names: HashMap<&str, ImageName> = HashMap::new();
    let mut wanted: BTreeMap<ImageName, WantedImage> = BTreeMap::new();
    for pod in alive(pods, namespaces) {
        for named in pod.images() {
            let image = names.entry(named.name).or_insert_with(|| ImageName::parse(named.name));
            if !wanted.contains_key(image) {
                wanted.insert(image.clone(), WantedImage::new(image.clone()));
            }
            if let Some(entry) = wanted.get_mut(image) {
                entry.pods.insert(pod.full_name());
                entry.nodes.extend(pod.spec.node_name.as_ref().map(ToString::to_string));
                entry.placements.insert(pod.placement());
            }
        }
    }
    wanted.into_values().collect()
}

/// Returns the images that a user named, with the nodes where pods that use them run or could run.
pub fn named(images: impl IntoIterator<Item = ImageRef>, pods: &PodList<'_>) -> Vec<MissingImage> {
    let wanted = wanted(pods, &NamespaceFilter::All);
    let named = |image: ImageRef| {
        let mut named = MissingImage::new(ImageName::Valid(image));
        if let Some(wanted) = wanted.iter().find(|wanted| wanted.image == named.image) {
            named.nodes.clone_from(&wanted.nodes);
            named.placements.clone_from(&wanted.placements);
        }
        named
    };
    images.into_iter().map(named).collect()
}

/// Returns the images that `container` may wait for: those that the message names, or all that it needs.
///
/// For an image volume, the kubelet gives the container the reason and message of the volume's pull
/// (`toKubeContainerImageVolumes` in pkg/kubelet/kuberuntime). Extra images do no harm: what a node holds is
/// not loaded again.
fn blamed<'p, 'a>(
    pod: &'p Pod<'a>,
    container: &'p Container<'a>,
    waiting: &Waiting<'_>,
    reason: WaitingReason,
) -> Vec<NamedImage<'p>> {
    let needed: Vec<NamedImage<'p>> = pod.images_of(container).collect();
    // The kubelet quotes the name as the pod spells it, containerd the full name.
    let is_named = |image: &&NamedImage<'_>| {
        let full = || image.name.parse().is_ok_and(|full: ImageRef| waiting.quotes(&full.to_string()));
        waiting.quotes(image.name) || full()
    };
    let named: Vec<NamedImage<'p>> = needed.iter().filter(is_named).copied().collect();
    match reason {
        _ if !named.is_empty() => named,
        // One of several names is invalid; the kubelet checks the container's own last.
        WaitingReason::InvalidImageName => needed.into_iter().take(1).collect(),
        _ => needed,
    }
}

fn alive<'p, 'a>(
    pods: &'p PodList<'a>,
    namespaces: &'p NamespaceFilter,
) -> impl Iterator<Item = &'p Pod<'a>> {
    pods.items.iter().filter(|pod| namespaces.holds(&pod.metadata.namespace) && !pod.is_over())
}

impl NamespaceFilter {
    /// Returns a filter for the namespaces that a user named; none means all.
    pub fn new(namespaces: impl IntoIterator<Item = String>) -> Self {
        let named: BTreeSet<String> = namespaces.into_iter().collect();
        if named.is_empty() { Self::All } else { Self::Only(named) }
    }

    pub fn holds(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(named) => named.contains(namespace),
        }
    }
}

impl ImageName {
    /// Parses a container's image; an invalid name is kept as is.
    pub fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_: InvalidReference| Self::Invalid(text.to_owned()), Self::Valid)
    }

    /// Parses `text`, trusting the kubelet if it calls the name invalid.
    fn for_reason(text: &str, reason: WaitingReason) -> Self {
        match reason {
            WaitingReason::InvalidImageName => Self::Invalid(text.to_owned()),
            _ => Self::parse(text),
        }
    }

    /// Returns the reference if the name is valid.
    pub fn reference(&self) -> Option<&ImageRef> {
        match self {
            Self::Valid(image) => Some(image),
            Self::Invalid(_) => None,
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid(image) => image.fmt(f),
            Self::Invalid(text) => f.write_str(text),
        }
    }
}

impl MissingImage {
    /// Returns which nodes it is for.
    pub fn demand(&self) -> Demand<'_> {
        Demand { nodes: &self.nodes, placements: &self.placements, is_named: self.is_named }
    }

    /// Creates an image named by a user or a plan, which no pod is known to wait for.
    pub fn new(image: ImageName) -> Self {
        Self {
            image,
            reasons: BTreeSet::new(),
            pods: BTreeSet::new(),
            always_pulled_by: BTreeSet::new(),
            nodes: BTreeSet::new(),
            placements: BTreeSet::new(),
            is_named: true,
        }
    }
}

impl WantedImage {
    /// Returns which nodes it is for.
    pub fn demand(&self) -> Demand<'_> {
        Demand { nodes: &self.nodes, placements: &self.placements, is_named: false }
    }

    fn new(image: ImageName) -> Self {
        Self { image, pods: BTreeSet::new(), nodes: BTreeSet::new(), placements: BTreeSet::new() }
    }
}

#[cfg(test)]
#[path = "missing_tests.rs"]
mod tests;
