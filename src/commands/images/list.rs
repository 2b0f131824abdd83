//! `images list`: the images that pods use, and the nodes that have them.

use serde_json::json;

use crate::context::Context;
use crate::error::Exit;
use crate::images::missing::NamespaceFilter;
use crate::load::locations::{ImageLocation, image_locations};
use crate::ui::{bytes, table};

/// # Errors
/// Fails if the cluster or its nodes do not respond.
pub(super) fn run(context: &Context, namespaces: &[String], only_missing: bool) -> anyhow::Result<Exit> {
    let mut images = image_locations(context, &NamespaceFilter::new(namespaces.iter().cloned()))?;
    images.retain(|image| !only_missing || !image.missing_on.is_empty());
    if context.wants_json() {
        let images: Vec<_> = images
            .iter()
            .map(|image| {
                json!({
                    "image": image.image, "wanted_by": image.wanted_by, "present_on": image.present_on,
                    "missing_on": image.missing_on, "in_engine": image.in_engine, "in_store": image.in_store,
                    "size_bytes": image.size_bytes,
                })
            })
            .collect();
        context.answer_json(&json!({"cluster": context.settings.cluster.name, "images": images}))?;
    } else if images.is_empty() {
        context.ui.line(if only_missing { "No node is missing an image" } else { "No pod uses an image" });
    } else {
        let rows: Vec<_> = images.iter().map(row).collect();
        let header = ["IMAGE", "PODS", "SIZE", "ON NODES", "ALSO IN", "MISSING ON"];
        context.ui.data(&table(header, &rows, context.ui.width()));
    }
    Ok(Exit::Done)
}

fn row(image: &ImageLocation) -> [String; 6] {
    let places = [(image.in_engine, "engine"), (image.in_store, "store")];
    let places: Vec<&str> =
        places.into_iter().filter_map(|(is_there, name)| is_there.then_some(name)).collect();
    [
        image.image.clone(),
        image.wanted_by.len().to_string(),
        image.size_bytes.map_or_else(|| "?".to_owned(), bytes),
        format!("{} of {}", image.present_on.len(), image.present_on.len() + image.missing_on.len()),
        places.join(", "),
        image.missing_on.join(", "),
    ]
}
