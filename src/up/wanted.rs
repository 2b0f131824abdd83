//! What is to be there in the end, made of the settings and the files that they name; nothing outside is asked.

use std::path::PathBuf;

use semver::Version;
use serde_json::Value;

use crate::bundle::Bundle;
use crate::cluster::mirrors::{self, Hosts};
use crate::context::Context;
use crate::images::catalog::Catalog;
use crate::milvus::images::{Planned, planned_images};
use crate::milvus::{self, StorageKeys};
use crate::render;
use crate::settings::Settings;

/// What is to be there in the end.
pub(super) struct Wanted {
    /// The kind configuration.
    pub(super) cluster: String,
    /// What the nodes' containerd is to know of the mirrors.
    pub(super) mirrors: Vec<Hosts>,
    /// The images that are known in advance.
    pub(super) images: Planned,
    /// The values of the operator's chart.
    pub(super) values: String,
    /// The keys of the external storage, where milvusctl makes a Secret of them.
    pub(super) keys: Option<StorageKeys>,
    /// The Milvus resource.
    pub(super) milvus: Value,
    /// Attu's manifests.
    pub(super) attu: String,
    /// The file that images and chart come from, where there is one.
    pub(super) bundle: Option<Bundle>,
    /// The operator's chart, where it is a file.
    pub(super) chart: Option<PathBuf>,
}

impl Wanted {
    /// Reads what the settings lead to.
    ///
    /// # Errors
    /// Fails with [`crate::error::Exit::Usage`] when a file or a secret that the settings name cannot be used.
    pub(super) fn read(context: &Context) -> anyhow::Result<Self> {
        let settings = &context.settings;
        Ok(Self {
            cluster: render::cluster(settings)?,
            mirrors: mirrors::wanted(&context.mirror_rules()),
            images: planned_images(settings),
            values: render::values_with_own_file(context)?,
            // A dry run shows the keys no place, so it needs none.
            keys: if context.dry_run { StorageKeys::masked(settings) } else { StorageKeys::read(settings)? },
            milvus: milvus::custom_resource(settings),
            attu: render::attu(settings)?,
            bundle: None,
            chart: None,
        })
    }
}

/// The Milvus that is wanted: the one of the settings, else the operator's default where that is known.
pub(super) fn milvus_version(settings: &Settings) -> Option<Version> {
    let default = || Catalog::builtin().release(&settings.operator.version)?.milvus;
    settings.milvus.version.clone().or_else(default)
}
