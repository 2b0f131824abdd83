//! Images that loading cannot help: why, and what to do instead.

use std::collections::BTreeSet;

use serde::Serialize;

use super::missing::ImageName;
use super::reference::ImageRef;
use crate::archive::Platform;
use crate::kube::kubelet::WaitingReason;
use crate::kube::pod::PodName;

/// An image that loading cannot help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The image, or its invalid name.
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
    /// The name is invalid.
    InvalidImageName,
    /// Every waiting pod pulls it from the registry each time.
    PullPolicyAlways,
    /// It is pinned by a digest that does not survive the load.
    PinnedByDigest,
    /// The engine holds it for a platform other than the nodes'.
    WrongArchitecture,
    /// No node can run the pods that use it.
    NoNode,
}

/// A refusal that is not yet tied to an image.
pub(super) struct Verdict {
    pub(super) why: RefusalReason,
    pub(super) error: String,
    pub(super) hint: String,
}

pub(super) fn invalid_name(text: &str) -> Verdict {
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

pub(super) fn always_pulled(image: &ImageRef, pods: &BTreeSet<PodName>) -> Verdict {
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

pub(super) fn pinned(image: &ImageRef) -> Verdict {
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

pub(super) fn wrong_architecture(image: &ImageRef, held: &Platform, wanted: &Platform) -> Verdict {
    Verdict {
        why: RefusalReason::WrongArchitecture,
        error: format!("the engine has it for {held}, but the nodes are {wanted}"),
        hint: format!("pull the nodes' variant with `docker pull --platform {wanted} {}`", image.familiar()),
    }
}

pub(super) fn no_node(image: &ImageRef) -> Verdict {
    Verdict {
        why: RefusalReason::NoNode,
        error: format!("no node can run a pod with `{}`", image.familiar()),
        hint: "check the nodes' conditions and taints with `kubectl describe nodes`".to_owned(),
    }
}
