//! Which images keep pods from starting, which pods these are, and which images are wanted at all.
//!
//! Reads pods only. What can be done about a missing image is for [`super::plan`] to say.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::Serialize;

use super::message::MessageKind;
use super::nodes::Placement;
use super::pods::{Pod, PodList, PodName, PullPolicy};
use super::reference::{ImageRef, InvalidReference};

/// The namespaces whose pods count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NamespaceFilter {
    /// All of them.
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
    /// The image.
    pub image: ImageName,
    /// The reasons that the kubelet gives, over all pods.
    pub reasons: BTreeSet<WaitingReason>,
    /// The pods that wait.
    pub pods: BTreeSet<PodName>,
    /// Those of the pods whose pull policy is `Always`, so that a loaded image does not help them.
    pub always_pulled_by: BTreeSet<PodName>,
    /// The nodes on which the pods wait.
    pub nodes: BTreeSet<String>,
    /// Which nodes the pods accept: an image may be needed wherever one of them could go.
    pub placements: BTreeSet<Placement>,
    /// The most telling of the messages, if there is one.
    pub message: Option<String>,
}

/// An image that pods name, whether it is missing or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedImage {
    /// The image.
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
#[must_use]
pub fn collect(pods: &PodList<'_>, namespaces: &NamespaceFilter) -> Vec<MissingImage> {
    let mut missing: BTreeMap<ImageName, MissingImage> = BTreeMap::new();
    for pod in alive(pods, namespaces) {
        for (container, waiting) in pod.waiting() {
            let Some(reason) = WaitingReason::parse(&waiting.reason) else { continue };
            let image = ImageName::for_reason(&container.image, reason);
            let entry = missing.entry(image.clone()).or_insert_with(|| MissingImage::new(image));
            let name = pod.full_name();
            if container.image_pull_policy == PullPolicy::Always {
                entry.always_pulled_by.insert(name.clone());
            }
            entry.reasons.insert(reason);
            entry.pods.insert(name);
            entry.nodes.extend(pod.spec.node_name.as_ref().map(ToString::to_string));
            entry.placements.insert(pod.placement());
            entry.hear(&waiting.message);
        }
    }
    missing.into_values().collect()
}

/// Returns every image that the pods in `namespaces` name, sorted and each once.
///
/// Pods that have ended or are being deleted do not count.
#[must_use]
pub fn wanted(pods: &PodList<'_>, namespaces: &NamespaceFilter) -> Vec<WantedImage> {
    // Thousands of pods share a few images: each spelling is parsed once.
    let mut names: HashMap<&str, ImageName> = HashMap::new();
    let mut wanted: BTreeMap<ImageName, WantedImage> = BTreeMap::new();
    for pod in alive(pods, namespaces) {
        for container in pod.containers().filter(|container| !container.image.is_empty()) {
            let image = names.entry(&container.image).or_insert_with(|| ImageName::parse(&container.image));
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

fn alive<'p, 'a>(
    pods: &'p PodList<'a>,
    namespaces: &'p NamespaceFilter,
) -> impl Iterator<Item = &'p Pod<'a>> {
    pods.items.iter().filter(|pod| namespaces.allows(&pod.metadata.namespace) && !pod.is_over())
}

impl NamespaceFilter {
    /// Returns the filter for the namespaces a user named: all, when there are none.
    pub fn new(namespaces: impl IntoIterator<Item = String>) -> Self {
        let named: BTreeSet<String> = namespaces.into_iter().collect();
        if named.is_empty() { Self::All } else { Self::Only(named) }
    }

    fn allows(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(named) => named.contains(namespace),
        }
    }
}

impl WaitingReason {
    /// Returns the reason that `text` names, or nothing when it is not about a missing image.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "ErrImagePull" => Self::ErrImagePull,
            "ImagePullBackOff" => Self::ImagePullBackOff,
            "RegistryUnavailable" => Self::RegistryUnavailable,
            "ErrImageNeverPull" => Self::ErrImageNeverPull,
            "InvalidImageName" => Self::InvalidImageName,
            _ => return None,
        })
    }
}

impl fmt::Display for WaitingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ErrImagePull => "ErrImagePull",
            Self::ImagePullBackOff => "ImagePullBackOff",
            Self::RegistryUnavailable => "RegistryUnavailable",
            Self::ErrImageNeverPull => "ErrImageNeverPull",
            Self::InvalidImageName => "InvalidImageName",
        })
    }
}

impl ImageName {
    /// Reads `text` as a container's image; a text that is no name is kept as it is.
    #[must_use]
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
    #[must_use]
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
    /// Makes a missing image that no pod is known to wait for, as when a user names one.
    #[must_use]
    pub fn new(image: ImageName) -> Self {
        Self {
            image,
            reasons: BTreeSet::new(),
            pods: BTreeSet::new(),
            always_pulled_by: BTreeSet::new(),
            nodes: BTreeSet::new(),
            placements: BTreeSet::new(),
            message: None,
        }
    }

    /// Returns what the kubelet's message says went wrong.
    #[must_use]
    pub fn message_kind(&self) -> MessageKind {
        self.message.as_deref().map_or(MessageKind::Unknown, MessageKind::classify)
    }

    /// Keeps `message` when it tells more than the one known so far: a back-off often hides the cause.
    fn hear(&mut self, message: &str) {
        let says_why = |message: &str| MessageKind::classify(message) != MessageKind::Unknown;
        let is_better = match &self.message {
            None => !message.is_empty(),
            Some(known) => !says_why(known) && says_why(message),
        };
        if is_better {
            self.message = Some(message.to_owned());
        }
    }
}

impl WantedImage {
    fn new(image: ImageName) -> Self {
        Self { image, pods: BTreeSet::new(), nodes: BTreeSet::new(), placements: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One pod whose only container, of the given kind, waits.
    fn pod(
        name: &str,
        kind: &str,
        image: &str,
        policy: &str,
        reason: &str,
        message: &str,
    ) -> serde_json::Value {
        let (containers, statuses) = match kind {
            "init" => ("initContainers", "initContainerStatuses"),
            "ephemeral" => ("ephemeralContainers", "ephemeralContainerStatuses"),
            _ => ("containers", "containerStatuses"),
        };
        let (namespace, name) = name.split_once('/').unwrap();
        serde_json::json!({
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"nodeName": "w1", containers: [{"name": "c", "image": image, "imagePullPolicy": policy}]},
            "status": {"phase": "Pending", statuses: [
                {"name": "c", "image": "something/else", "state": {"waiting": {"reason": reason, "message": message}}},
            ]},
        })
    }

    fn list(pods: &[serde_json::Value]) -> String {
        serde_json::json!({"items": pods}).to_string()
    }

    fn names(found: &[MissingImage]) -> Vec<String> {
        found.iter().map(|missing| missing.image.to_string()).collect()
    }

    fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
        names.map(str::to_owned).into()
    }

    fn pod_names(pods: &BTreeSet<PodName>) -> Vec<String> {
        pods.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn two_spellings_are_one_image_with_both_pods() {
        let json = list(&[
            pod("milvus/b", "main", "milvusdb/milvus:v1", "IfNotPresent", "ImagePullBackOff", ""),
            pod("milvus/a", "main", "docker.io/milvusdb/milvus:v1", "IfNotPresent", "ErrImagePull", ""),
        ]);
        let found = collect(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
        let expected = MissingImage {
            reasons: [WaitingReason::ErrImagePull, WaitingReason::ImagePullBackOff].into(),
            pods: ["a", "b"]
                .map(|name| PodName { namespace: "milvus".to_owned(), name: name.to_owned() })
                .into(),
            nodes: set(["w1"]),
            placements: [Placement::default()].into(),
            ..MissingImage::new(ImageName::parse("milvusdb/milvus:v1"))
        };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn init_and_ephemeral_containers_count() {
        let json = list(&[
            pod("a/1", "init", "init:1", "IfNotPresent", "ErrImagePull", ""),
            pod("a/2", "ephemeral", "ephemeral:1", "IfNotPresent", "ErrImagePull", ""),
        ]);
        let found = collect(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
        assert_eq!(names(&found), ["docker.io/library/ephemeral:1", "docker.io/library/init:1"]);
    }

    #[test]
    fn each_reason_about_an_image_counts_and_no_other() {
        let rows = [
            ("ErrImagePull", true),
            ("ImagePullBackOff", true),
            ("RegistryUnavailable", true),
            ("ErrImageNeverPull", true),
            ("InvalidImageName", true),
            ("ContainerCreating", false),
            ("PodInitializing", false),
            ("CrashLoopBackOff", false),
            ("ErrImagePullBackOff", false),
            ("", false),
        ];
        for (reason, counts) in rows {
            let json = list(&[pod("a/1", "main", "x:1", "IfNotPresent", reason, "")]);
            let found = collect(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
            assert_eq!(!found.is_empty(), counts, "{reason}");
        }
    }

    #[test]
    fn reasons_are_shown_as_the_kubelet_writes_them() {
        for text in [
            "ErrImagePull",
            "ImagePullBackOff",
            "RegistryUnavailable",
            "ErrImageNeverPull",
            "InvalidImageName",
        ] {
            let reason = WaitingReason::parse(text).unwrap();
            assert_eq!(
                (reason.to_string(), serde_json::json!(reason)),
                (text.to_owned(), serde_json::json!(text))
            );
        }
    }

    #[test]
    fn an_invalid_name_keeps_its_text() {
        let json = list(&[
            pod("a/1", "main", "Not A Name", "IfNotPresent", "InvalidImageName", ""),
            pod("a/2", "main", "fine:1", "IfNotPresent", "InvalidImageName", ""),
        ]);
        let found = collect(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
        assert_eq!(names(&found), ["Not A Name", "fine:1"]);
        assert!(found.iter().all(|missing| missing.image.reference().is_none()));
    }

    #[test]
    fn other_namespaces_and_ended_pods_do_not_count() {
        let mut ended = pod("a/2", "main", "ended:1", "IfNotPresent", "ErrImagePull", "");
        ended["status"]["phase"] = "Failed".into();
        let mut deleted = pod("a/3", "main", "deleted:1", "IfNotPresent", "ErrImagePull", "");
        deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let json = list(&[
            pod("a/1", "main", "a:1", "IfNotPresent", "ErrImagePull", ""),
            pod("b/1", "main", "b:1", "IfNotPresent", "ErrImagePull", ""),
            ended,
            deleted,
        ]);
        let pods = PodList::from_slice(json.as_bytes()).unwrap();
        let only_a = NamespaceFilter::new(["a".to_owned()]);
        assert_eq!(names(&collect(&pods, &only_a)), ["docker.io/library/a:1"]);
        assert_eq!(
            names(&collect(&pods, &NamespaceFilter::new([]))),
            ["docker.io/library/a:1", "docker.io/library/b:1"]
        );
    }

    #[test]
    fn pods_that_always_pull_are_told_apart() {
        let json = list(&[
            pod("a/1", "main", "x:1", "Always", "ErrImagePull", ""),
            pod("a/2", "main", "x:1", "IfNotPresent", "ErrImagePull", ""),
        ]);
        let found = collect(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
        assert_eq!(pod_names(&found[0].always_pulled_by), ["a/1"]);
        assert_eq!(pod_names(&found[0].pods), ["a/1", "a/2"]);
    }

    #[test]
    fn the_message_that_says_why_is_kept() {
        let cause = "failed to do request: dial tcp 1.2.3.4:443: i/o timeout";
        let json = list(&[
            pod("a/1", "main", "x:1", "IfNotPresent", "ImagePullBackOff", "Back-off pulling image \"x:1\""),
            pod("a/2", "main", "x:1", "IfNotPresent", "ErrImagePull", cause),
            pod("a/3", "main", "x:1", "IfNotPresent", "ImagePullBackOff", "Back-off pulling image \"x:1\""),
        ]);
        let found = collect(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
        assert_eq!(
            (found[0].message.as_deref(), found[0].message_kind()),
            (Some(cause), MessageKind::Network)
        );
    }

    #[test]
    fn wanted_lists_every_image_and_who_names_it() {
        let json = list(&[
            pod("a/1", "main", "x:1", "IfNotPresent", "ContainerCreating", ""),
            pod("a/2", "init", "docker.io/library/x:1", "IfNotPresent", "ErrImagePull", ""),
            pod("b/1", "main", "Y", "IfNotPresent", "InvalidImageName", ""),
        ]);
        let found = wanted(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
        let rows: Vec<_> =
            found.iter().map(|wanted| (wanted.image.to_string(), pod_names(&wanted.pods))).collect();
        assert_eq!(
            rows,
            [
                ("docker.io/library/x:1".to_owned(), vec!["a/1".to_owned(), "a/2".to_owned()]),
                ("Y".to_owned(), vec!["b/1".to_owned()]),
            ]
        );
    }

    #[test]
    fn a_cluster_without_pods_lacks_nothing() {
        let pods = PodList::from_slice(br#"{"items": []}"#).unwrap();
        assert_eq!(
            (collect(&pods, &NamespaceFilter::All), wanted(&pods, &NamespaceFilter::All)),
            (vec![], vec![])
        );
    }
}
