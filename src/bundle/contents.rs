//! What a bundle says of itself.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::archive::Digest;
use crate::images::ImageRef;

/// The file at a bundle's beginning.
pub(super) const FILE: &str = "milvusctl.json";
/// The format that this program writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;

/// What a bundle holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub format: u32,
    /// The version of the program that wrote it.
    pub milvusctl: String,
    /// The machine that it is for, such as `linux/amd64`; images are for Linux on that architecture.
    pub platform: String,
    /// The images for the nodes.
    pub images: Vec<ImageRef>,
    /// What else `up` needs; none in a bundle of images alone.
    pub plan: Option<PlanContents>,
}

/// What `up` needs beside images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanContents {
    /// What the plan is, in words, such as `Milvus 2.6.11, standalone`.
    pub about: String,
    /// The flags of `up` that lead to it.
    pub flags: Vec<String>,
    /// None where the cluster exists already.
    pub node_image: Option<ImageRef>,
    /// The load balancer that the kind of `tools` puts before several control planes; none before one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<ImageRef>,
    pub operator: Version,
    pub chart: BundledFile,
    pub tools: Vec<BundledTool>,
}

/// A file beside the images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundledFile {
    pub path: String,
    pub size: u64,
    pub digest: Digest,
}

/// A program of the tools that `up` drives, as its project publishes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundledTool {
    pub name: String,
    /// None for a program of the user's own.
    pub version: Option<Version>,
    #[serde(flatten)]
    pub file: BundledFile,
}

impl Contents {
    /// What a bundle of `images` for `platform` holds.
    pub fn new(platform: String, images: Vec<ImageRef>, plan: Option<PlanContents>) -> Self {
        Self { format: FORMAT, milvusctl: env!("CARGO_PKG_VERSION").to_owned(), platform, images, plan }
    }

    /// All images, the nodes' own with them.
    pub fn all_images(&self) -> impl Iterator<Item = &ImageRef> {
        self.plan.iter().flat_map(PlanContents::own_images).chain(&self.images)
    }
}

impl PlanContents {
    /// The images that kind starts the cluster's containers from.
    pub fn own_images(&self) -> impl Iterator<Item = &ImageRef> {
        self.node_image.iter().chain(&self.load_balancer)
    }

    /// The files beside the images, in the order in which they stand.
    pub fn files(&self) -> impl Iterator<Item = &BundledFile> {
        std::iter::once(&self.chart).chain(self.tools.iter().map(|tool| &tool.file))
    }
}
