//! Which images keep pods from starting, which pods these are, and which images are wanted at all.
//!
//! Reads pods only. What can be done about a missing image is for [`super::plan`] to say.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::Serialize;

use super::reference::{ImageRef, InvalidReference};
use super::targets::Demand;
use crate::kube::node::Placement;
use crate::kube::pod::{Container, NamedImage, Pod, PodList, PodName, PullPolicy, Waiting};

/// The namespaces whose pods count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NamespaceFilter {
    #[default]
    All,
    /// These only.
    Only(BTreeSet<String>),
}

/// Why a container waits for its image, in the kubelet's words (`pkg/kubelet/images/types.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum WaitingReason {
    /// The pull failed just now.
    ErrImagePull,
    /// The pull failed, and the kubelet waits before it tries again.
    ImagePullBackOff,
    /// The registry could not be reached.
    RegistryUnavailable,
    /// The node lacks the image and the pull policy is `Never`.
    ErrImageNeverPull,
    /// The name is none; no image can cure that.
    InvalidImageName,
    /// The node lists the image and lacks a part of it, so that no container can be made from it.
    CreateContainerError,
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
    /// The reasons that the kubelet gives, over all pods.
    pub reasons: BTreeSet<WaitingReason>,
    pub pods: BTreeSet<PodName>,
    /// Those of the pods whose pull policy is `Always`, so that a loaded image does not help them.
    pub always_pulled_by: BTreeSet<PodName>,
    /// The nodes on which the pods wait.
    pub nodes: BTreeSet<String>,
    /// Which nodes the pods accept: an image may be needed wherever one of them could go.
    pub placements: BTreeSet<Placement>,
    /// Whether a user named it, or a plan, and not the pods that wait.
    pub is_named: bool,
}

/// An image that pods name, whether it is missing or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedImage {
    pub image: ImageName,
    /// The pods that name it.
    pub pods: BTreeSet<PodName>,
    /// The nodes that these pods were given to.
    pub nodes: BTreeSet<String>,
    /// Which nodes the pods accept.
    pub placements: BTreeSet<Placement>,
}

/// Returns the images that keep pods in `namespaces` from starting, sorted and each once.
///
/// Pods that have ended or are being deleted do not count. The image is the one in the pod's spec; two spellings of
/// one name are one image.
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

/// Returns every image that the pods in `namespaces` name, sorted and each once.
///
/// Pods that have ended or are being deleted do not count.
pub fn wanted(pods: &PodList<'_>, namespaces: &NamespaceFilter) -> Vec<WantedImage> {
    // Thousands of pods share a few images: each spelling is parsed once.
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

/// Returns images that a user named, with the nodes where the pods that want them are or could go.
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

/// Returns the images for which `container` may wait: those that the message names, or all that it needs.
///
/// The kubelet gives a container that mounts the image of a volume the reason and the message of that image's pull
/// (`toKubeContainerImageVolumes` in pkg/kubelet/kuberuntime). An image too many does no harm: what a node holds is not
/// loaded.
fn blamed<'p, 'a>(
    pod: &'p Pod<'a>,
    container: &'p Container<'a>,
    waiting: &Waiting<'_>,
    reason: WaitingReason,
) -> Vec<NamedImage<'p>> {
    let needed: Vec<NamedImage<'p>> = pod.images_of(container).collect();
    let quotes = |name: &str| waiting.message.contains(&format!("\"{name}\""));
    // The kubelet quotes the name as the pod has it, containerd in full.
    let is_named = |image: &&NamedImage<'_>| {
        quotes(image.name) || image.name.parse().is_ok_and(|full: ImageRef| quotes(&full.to_string()))
    };
    let named: Vec<NamedImage<'p>> = needed.iter().filter(is_named).copied().collect();
    match reason {
        _ if !named.is_empty() => named,
        // Of several names one is none; the container's own is what the kubelet looks at last.
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
    /// Returns the filter for the namespaces a user named: all, when there are none.
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

impl WaitingReason {
    /// Returns why the kubelet waits, or nothing when it is not about a missing image.
    pub fn of(waiting: &Waiting<'_>) -> Option<Self> {
        Some(match &*waiting.reason {
            "ErrImagePull" => Self::ErrImagePull,
            "ImagePullBackOff" => Self::ImagePullBackOff,
            "RegistryUnavailable" => Self::RegistryUnavailable,
            "ErrImageNeverPull" => Self::ErrImageNeverPull,
            "InvalidImageName" => Self::InvalidImageName,
            "CreateContainerError" if lacks_content(&waiting.message) => Self::CreateContainerError,
            _ => return None,
        })
    }
}

/// Whether containerd says that it does not hold all of an image (`ErrNotFound` of its content store).
fn lacks_content(message: &str) -> bool {
    message.contains("content digest sha256:") && message.contains(": not found")
}

impl fmt::Display for WaitingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ErrImagePull => "ErrImagePull",
            Self::ImagePullBackOff => "ImagePullBackOff",
            Self::RegistryUnavailable => "RegistryUnavailable",
            Self::ErrImageNeverPull => "ErrImageNeverPull",
            Self::InvalidImageName => "InvalidImageName",
            Self::CreateContainerError => "CreateContainerError",
        })
    }
}

impl ImageName {
    /// Reads `text` as a container's image; a text that is no name is kept as it is.
    pub fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_: InvalidReference| Self::Invalid(text.to_owned()), Self::Valid)
    }

    /// Reads `text`, believing the kubelet when it calls the name invalid.
    fn for_reason(text: &str, reason: WaitingReason) -> Self {
        match reason {
            WaitingReason::InvalidImageName => Self::Invalid(text.to_owned()),
            _ => Self::parse(text),
        }
    }

    /// Returns the reference when the name is one.
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

    /// Makes an image that a user names, or a plan: no pod is known to wait for it.
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
