//! The wanted state, derived from the settings and the files they name, without asking anything outside.

use std::path::PathBuf;

use semver::Version;
use serde_json::Value;

use crate::bundle::Bundle;
use crate::cluster::kind_config;
use crate::cluster::mirrors::{self, Hosts};
use crate::context::Context;
use crate::images::ImageRef;
use crate::images::catalog::Catalog;
use crate::milvus::images::{Planned, planned_images};
use crate::milvus::kept::Stage;
use crate::milvus::{self, StorageKeys};
use crate::render;
use crate::settings::Settings;

/// The wanted state.
pub(super) struct Wanted {
    /// The kind config.
    pub(super) cluster: String,
    /// The mirror configuration for containerd on the nodes.
    pub(super) mirrors: Vec<Hosts>,
    /// The images known in advance.
    pub(super) images: Planned,
    /// The operator chart's values.
    pub(super) values: String,
    /// The keys of the external storage, if milvusctl creates a Secret from them.
    pub(super) keys: Option<StorageKeys>,
    /// The Milvus resource.
    pub(super) milvus: Value,
    /// The releases of Milvus that must run before.
    pub(super) stages: Vec<Stage>,
    /// The images without which a running Milvus must not be changed.
    pub(super) required: Vec<ImageRef>,
    /// Attu's manifests.
    pub(super) attu: String,
    /// The bundle that images and chart come from, if any.
    pub(super) bundle: Option<Bundle>,
    /// The operator's chart, if it is a file.
    pub(super) chart: Option<PathBuf>,
}

impl Wanted {
    /// Derives the wanted state from the settings.
    ///
    /// # Errors
    /// Fails with [`crate::error::Exit::Usage`] if a file or secret named in the settings cannot be used.
    pub(super) fn read(context: &Context) -> anyhow::Result<Self> {
        let settings = &context.settings;
        Ok(Self {
            cluster: kind_config(settings)?,
            mirrors: mirrors::wanted(&context.mirror_rules()),
            images: planned_images(settings),
            values: render::values_with_own_file(context)?,
            // A dry run never shows the keys, so it needs none.
            keys: if context.dry_run {
                StorageKeys::masked(settings)
            } else {
                StorageKeys::read(settings, &context.interrupt)?
            },
            milvus: milvus::custom_resource(settings),
            stages: Vec::new(),
            required: Vec::new(),
            attu: milvus::attu(settings)?,
            bundle: None,
            chart: None,
        })
    }
}

/// The wanted Milvus version: from the settings, else the operator's default if known.
pub(super) fn milvus_version(settings: &Settings) -> Option<Version> {
    let default = || Catalog::builtin().release(&settings.operator.version)?.milvus;
    settings.milvus.version.clone().or_else(default)
}
