//! Where images are besides the nodes: in the engine and in the store, and how large they are there.

use std::collections::BTreeMap;

use crate::context::Context;
use crate::images::ImageRef;
use crate::images::plan::Platform;
use crate::load::fetch::{archive_platform, store_folder};
use crate::load::find::engine_images;
use crate::store::{PlatformImage, Store};

/// Where an image is besides the nodes, by its size there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    /// None where the engine does not hold it.
    pub(crate) engine_bytes: Option<u64>,
    /// None where the store does not hold all of it for the platform.
    pub(crate) store_bytes: Option<u64>,
}

/// Looks for `images` in the engine and in the store, for `platform`.
///
/// A place that cannot be looked into is said, and counts as one that holds none of them.
pub(crate) fn whereabouts(
    context: &Context,
    images: &[&ImageRef],
    platform: &Platform,
) -> BTreeMap<ImageRef, Whereabouts> {
    let mut found: BTreeMap<ImageRef, Whereabouts> = BTreeMap::new();
    match engine_images(context, images) {
        Ok(engine) => {
            for (image, held) in engine.held {
                found.entry(image).or_default().engine_bytes = Some(held.size_bytes);
            }
        }
        Err(error) => context.ui.warn(&format!("the engine's images are not known: {error:#}")),
    }
    let in_store = store_folder(context).and_then(|folder| {
        let store = Store::open_if_there(&folder, &context.interrupt)?;
        store.map_or(Ok(Vec::new()), |store| sizes_in(&store, images, platform))
    });
    match in_store {
        Ok(sizes) => {
            for (image, size) in sizes {
                found.entry(image).or_default().store_bytes = Some(size);
            }
        }
        Err(error) => context.ui.warn(&format!("the image store's images are not known: {error:#}")),
    }
    found
}

fn sizes_in(
    store: &Store,
    images: &[&ImageRef],
    platform: &Platform,
) -> anyhow::Result<Vec<(ImageRef, u64)>> {
    let mut sizes = Vec::new();
    for image in images {
        if let Some(held) = store.find(image, &[archive_platform(platform)])? {
            let blobs = held.platforms.iter().flat_map(PlatformImage::blobs);
            sizes.push(((*image).clone(), blobs.map(|blob| blob.size).sum()));
        }
    }
    Ok(sizes)
}
