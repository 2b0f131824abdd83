//! Locates the images used by pods: on nodes, in the engine and in the store, and their sizes.

use std::collections::BTreeMap;

use anyhow::Context as _;

use crate::archive::Platform;
use crate::context::Context;
use crate::images::ImageRef;
use crate::images::missing::{NamespaceFilter, WantedImage, wanted};
use crate::images::plan::platform_of;
use crate::kube::node::Node;
use crate::load::containerd::{NodeAnswers, held_by_nodes};
use crate::load::fetch::store_folder;
use crate::load::find::{engine_images, nodes, pods_json, read_pods};
use crate::store::{PlatformImage, Store};

/// The location of an image used by pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageLocation {
    pub(crate) image: String,
    /// The pods, as `NAMESPACE/NAME`.
    pub(crate) wanted_by: Vec<String>,
    /// The nodes that have it, among those that run or could run the pods.
    pub(crate) present_on: Vec<String>,
    /// The nodes that lack it, among the same.
    pub(crate) missing_on: Vec<String>,
    pub(crate) in_engine: bool,
    pub(crate) in_store: bool,
    /// `None` if unknown everywhere.
    pub(crate) size_bytes: Option<u64>,
}

/// Locates the images used by pods in `namespaces`; reports unreachable nodes and leaves them out.
///
/// # Errors
/// Fails if the cluster or all of its nodes do not respond.
pub(crate) fn image_locations(
    context: &Context,
    namespaces: &NamespaceFilter,
) -> anyhow::Result<Vec<ImageLocation>> {
    let json = pods_json(context)?;
    let pods = read_pods(&json)?;
    let nodes = nodes(context)?;
    let names: Vec<String> = nodes.iter().map(|node| node.name().to_owned()).collect();
    let held = held_by_nodes(context, &names).context("could not list the nodes' images")?;
    for (node, why) in &held.closed {
        context.ui.warn(&format!("node `{node}` is left out: {why}"));
    }
    let images = wanted(&pods, namespaces);
    let references: Vec<&ImageRef> = images.iter().filter_map(|image| image.image.reference()).collect();
    let platform = nodes.first().map_or_else(Platform::of_this_machine, platform_of);
    let elsewhere = elsewhere(context, &references, &platform);
    Ok(images.iter().map(|image| placed(image, &nodes, &held, &elsewhere)).collect())
}

fn placed(
    image: &WantedImage,
    nodes: &[Node],
    held: &NodeAnswers,
    elsewhere: &BTreeMap<ImageRef, OutsideNodes>,
) -> ImageLocation {
    let reference = image.image.reference();
    let open = nodes.iter().filter(|node| !held.closed.contains_key(node.name()));
    let demand = image.demand();
    let needing = open.filter(|node| demand.includes(node));
    let (present_on, missing_on) = needing
        .map(|node| node.name().to_owned())
        .partition(|node| reference.is_some_and(|name| held.images.holds(node, name)));
    let elsewhere = reference.and_then(|name| elsewhere.get(name)).copied().unwrap_or_default();
    let on_node = || {
        let name = reference?.node_name().to_string();
        nodes.iter().find_map(|node| node.image_bytes(&name))
    };
    ImageLocation {
        image: image.image.to_string(),
        wanted_by: image.pods.iter().map(ToString::to_string).collect(),
        present_on,
        missing_on,
        in_engine: elsewhere.engine_bytes.is_some(),
        in_store: elsewhere.store_bytes.is_some(),
        size_bytes: elsewhere.store_bytes.or_else(on_node).or(elsewhere.engine_bytes),
    }
}

/// The size of an image outside the nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct OutsideNodes {
    /// `None` if the engine does not have it.
    engine_bytes: Option<u64>,
    /// `None` if the store does not have all of it for the platform.
    store_bytes: Option<u64>,
}

/// Locates `images` in the engine and the store, for `platform`.
///
/// An unreadable place is reported and counts as empty.
fn elsewhere(
    context: &Context,
    images: &[&ImageRef],
    platform: &Platform,
) -> BTreeMap<ImageRef, OutsideNodes> {
    let mut found: BTreeMap<ImageRef, OutsideNodes> = BTreeMap::new();
    match engine_images(context, images) {
        Ok(engine) => {
            for (image, held) in engine.held {
                found.entry(image).or_default().engine_bytes = Some(held.size_bytes);
            }
        }
        Err(error) => context.ui.warn(&format!("could not list the engine's images: {error:#}")),
    }
    let in_store = store_folder(context).and_then(|folder| {
        let store = Store::open_existing(&folder, &context.interrupt)?;
        store.map_or(Ok(Vec::new()), |store| sizes_in(&store, images, platform))
    });
    match in_store {
        Ok(sizes) => {
            for (image, size) in sizes {
                found.entry(image).or_default().store_bytes = Some(size);
            }
        }
        Err(error) => context.ui.warn(&format!("could not list the image store's images: {error:#}")),
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
        if let Some(held) = store.find(image, std::slice::from_ref(platform))? {
            let blobs = held.platforms.iter().flat_map(PlatformImage::blobs);
            sizes.push(((*image).clone(), blobs.map(|blob| blob.size).sum()));
        }
    }
    Ok(sizes)
}
