//! The words of the kubelet, the scheduler and the container runtime on pods that do not run: reasons, messages and
//! exit codes. Nothing else knows them.

use std::fmt;

use serde::Serialize;

use crate::kube::pod_status::{Terminated, Waiting};

/// Why a container waits for its image, in the kubelet's words (`pkg/kubelet/images/types.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum WaitingReason {
    /// The pull failed just now.
    ErrImagePull,
    /// The pull failed, and the kubelet waits before retrying.
    ImagePullBackOff,
    /// The registry could not be reached.
    RegistryUnavailable,
    /// The node lacks the image and the pull policy is `Never`.
    ErrImageNeverPull,
    /// The name is invalid, which no image can fix.
    InvalidImageName,
    /// The node lists the image but lacks a part of it, so that no container can be created from it.
    CreateContainerError,
}

impl WaitingReason {
    /// Returns why the kubelet waits, or `None` if it is not for an image.
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

/// Whether containerd reports missing content of an image (`ErrNotFound` of its content store).
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

impl Waiting<'_> {
    /// Whether it waits only for an earlier container of its pod.
    pub fn is_initializing(&self) -> bool {
        &*self.reason == "PodInitializing"
    }

    /// Whether the kubelet waits before it starts a crashed container again.
    pub fn is_crash_loop(&self) -> bool {
        &*self.reason == "CrashLoopBackOff"
    }

    /// Whether the message quotes an image's name.
    pub fn quotes(&self, image: &str) -> bool {
        self.message.contains(&format!("\"{image}\""))
    }
}

impl Terminated<'_> {
    /// Whether the processor lacks an instruction (SIGILL).
    pub const fn lacks_instruction(&self) -> bool {
        self.exit_code == 132
    }

    /// Whether it was killed (SIGKILL), as for want of memory.
    pub const fn was_killed(&self) -> bool {
        self.exit_code == 137
    }

    /// The reason, unless it says no more than the exit code.
    pub fn extra_reason(&self) -> Option<&str> {
        Some(&*self.reason).filter(|reason| !matches!(*reason, "" | "Error"))
    }
}

/// What keeps a pod from running, as far as its reason and message tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodProblem {
    /// Its node ran out of memory.
    NodeMemory,
    /// Its node ran out of disk space.
    NodeDisk,
    /// No node has enough memory left.
    NoMemoryLeft,
    /// No node has enough processors left.
    NoCpuLeft,
    /// A volume was not provisioned.
    Volume,
    /// The processor lacks an instruction that a container needs.
    Instruction,
    /// A container ran out of memory, or was killed.
    OutOfMemory,
    /// An image could not be pulled.
    Image,
}

impl PodProblem {
    /// Recognizes a problem from the pod's or its stuck container's reason and message, and how that container last
    /// ended.
    pub fn of(reason: &str, message: &str, ended: Option<&Terminated<'_>>) -> Option<Self> {
        let says = |text: &str| message.contains(text) || reason.contains(text);
        Some(if says("low on resource: memory") || says("MemoryPressure") {
            Self::NodeMemory
        } else if says("low on resource: ephemeral-storage") || says("DiskPressure") {
            Self::NodeDisk
        } else if says("Insufficient memory") {
            Self::NoMemoryLeft
        } else if says("Insufficient cpu") {
            Self::NoCpuLeft
        } else if says("PersistentVolumeClaim") {
            Self::Volume
        } else if ended.is_some_and(Terminated::lacks_instruction) {
            Self::Instruction
        } else if says("OOMKilled") || ended.is_some_and(Terminated::was_killed) {
            Self::OutOfMemory
        } else if says("ImagePull") || says("ErrImageNeverPull") {
            Self::Image
        } else {
            return None;
        })
    }
}

/// Whether a container ended for this reason and its log may tell why.
pub fn may_have_logged_why(reason: &str) -> bool {
    ["CrashLoopBackOff", "Error", "OOMKilled", "RunContainerError"].iter().any(|end| reason.ends_with(end))
}

/// Whether the reason is about an image.
pub fn is_about_image(reason: &str) -> bool {
    reason.contains("Image")
}

/// Whether no node was found for a pod with this reason yet.
pub fn is_unscheduled(reason: &str) -> bool {
    matches!(reason, "Unschedulable" | "Pending")
}
