//! A bundle's description of its contents.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::archive::Digest;
use crate::images::ImageRef;

/// The first file of a bundle.
pub(super) const FILE: &str = "milvusctl.json";
/// The format that this version writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;

/// The contents of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub format: u32,
    /// The version of milvusctl that wrote it.
    pub milvusctl: String,
    /// The platform that it is for, such as `linux/amd64`; the images are for Linux on that architecture.
    pub platform: String,
    /// The images for the nodes.
    pub images: Vec<ImageRef>,
    /// What else `up` needs; none in a bundle of only images.
    pub plan: Option<PlanContents>,
}

/// What `up` needs besides images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanContents {
    /// A description of the plan, such as `Milvus 2.6.11, standalone`.
    pub about: String,
    /// The flags of `up` for this plan.
    pub flags: Vec<String>,
    /// None for an existing cluster.
    pub node_image: Option<ImageRef>,
    /// The load balancer that kind puts in front of several control planes; none for a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<ImageRef>,
    pub operator: Version,
    pub chart: BundledFile,
    pub tools: Vec<BundledTool>,
}

/// A file other than the images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundledFile {
    pub path: String,
    pub size: u64,
    pub digest: Digest,
}

/// A tool that `up` runs, as published by its project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundledTool {
    pub name: String,
    /// None for the user's own program.
    pub version: Option<Version>,
    #[serde(flatten)]
    pub file: BundledFile,
}

impl Contents {
    /// Describes a bundle of `images` for `platform`.
    pub fn new(platform: String, images: Vec<ImageRef>, plan: Option<PlanContents>) -> Self {
        Self { format: FORMAT, milvusctl: env!("CARGO_PKG_VERSION").to_owned(), platform, images, plan }
    }

    /// All images, including those of the nodes themselves.
    pub fn all_images(&self) -> impl Iterator<Item = &ImageRef> {
        self.plan.iter().flat_map(PlanContents::own_images).chain(&self.images)
    }
}

impl PlanContents {
    /// The images that kind starts the cluster's containers from.
    pub fn own_images(&self) -> impl Iterator<Item = &ImageRef> {
        self.node_image.iter().chain(&self.load_balancer)
    }

    /// The files other than the images, in archive order.
    pub fn files(&self) -> impl Iterator<Item = &BundledFile> {
        std::iter::once(&self.chart).chain(self.tools.iter().map(|tool| &tool.file))
    }
}
