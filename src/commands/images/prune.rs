//! `images prune`: deletes downloaded images from the store.

use anyhow::Context as _;
use serde_json::json;

use crate::cli::PruneArgs;
use crate::context::Context;
use crate::error::Exit;
use crate::load::fetch::store_folder;
use crate::store;
use crate::ui::{bytes, count};

/// # Errors
/// Fails if the store cannot be found or read.
pub(super) fn run(context: &Context, args: &PruneArgs) -> anyhow::Result<Exit> {
    let keep = store::Keep {
        newer_than: args.older_than,
        bytes: args.keep.map(|size| size.as_u64()),
        nothing: args.all,
    };
    let folder = store_folder(context)?;
    let pruned = store::prune(&folder, keep, context.dry_run, &context.interrupt)
        .with_context(|| format!("could not prune the image store `{}`", folder.display()))?;
    if context.wants_json() {
        context.answer_json(&json!({
            "store": folder,
            "images": pruned.images,
            "freed_bytes": pruned.freed_bytes,
            "left_bytes": pruned.left_bytes,
        }))?;
        return Ok(Exit::Done);
    }
    for image in &pruned.images {
        context.ui.data(&image.familiar());
    }
    let (delete, free) = if context.dry_run { ("would delete", "free") } else { ("deleted", "freed") };
    context.ui.line(&format!(
        "{delete} {} and {free} {}; {} left in `{}`",
        count(pruned.images.len(), "image"),
        bytes(pruned.freed_bytes),
        bytes(pruned.left_bytes),
        folder.display()
    ));
    Ok(Exit::Done)
}
