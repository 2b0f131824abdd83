//! The images that `up` is going to need, known before anything runs.

use crate::images::catalog::{Broker, Catalog, Deployment, PlannedImage};
use crate::milvus;
use crate::settings::{Mode, Settings};

/// The images of a plan.
pub(crate) struct Planned {
    /// The images; empty when the release is not known.
    pub(crate) images: Vec<PlannedImage>,
    /// Whether the operator's release is known.
    pub(crate) is_known: bool,
}

/// The images that the settings lead to.
pub(crate) fn planned_images(settings: &Settings) -> Planned {
    let catalog = Catalog::builtin();
    let store = milvus::message_store(settings).to_string();
    let is_external = settings.milvus.pulsar.is_some() || !settings.milvus.kafka.is_empty();
    let broker =
        if is_external { None } else { Broker::of(Some(&store), settings.milvus.mode == Mode::Cluster) };
    let attu = settings
        .attu
        .enabled
        .then(|| format!("zilliz/attu:{}", settings.attu.version).parse().ok())
        .flatten();
    let deployment = Deployment {
        milvus: milvus::source_image(settings).and_then(|image| image.parse().ok()),
        etcd: settings.milvus.etcd.external.is_empty(),
        storage: settings.milvus.storage.external.is_none(),
        broker,
        attu,
    };
    match catalog.release(&settings.operator.version) {
        Some(release) => Planned { images: catalog.planned(&release, &deployment), is_known: true },
        None => Planned { images: Vec::new(), is_known: false },
    }
}
