//! `images plan`: lists the images that `up` needs and the volumes that Milvus will claim.

use serde_json::json;

use crate::context::Context;
use crate::error::Exit;
use crate::milvus::claims::{claims, in_words, sum};
use crate::ui::table;
use crate::up::existing;

/// # Errors
/// Fails if serializing to JSON fails.
pub(super) fn run(context: &Context) -> anyhow::Result<Exit> {
    let planned = existing::planned(context)?;
    if !planned.is_known {
        context.ui.warn(&format!(
            "milvus-operator {} is unknown; its images will be found once pods wait for them",
            context.settings.operator.version
        ));
    }
    let claims = claims(&context.settings);
    if context.wants_json() {
        let images: Vec<_> = planned
            .images
            .iter()
            .map(|image| json!({"image": image.image, "wanted_by": image.wanted_by}))
            .collect();
        context.answer_json(&json!({
            "operator_version": context.settings.operator.version.to_string(),
            "known": planned.is_known,
            "images": images,
            "volumes": {"bytes": sum(&claims), "claims": claims},
        }))?;
    } else {
        let rows: Vec<_> = planned
            .images
            .iter()
            .map(|image| {
                let by: Vec<&str> = image.wanted_by.iter().map(AsRef::as_ref).collect();
                [image.image.to_string(), by.join(", ")]
            })
            .collect();
        context.ui.data(&table(["IMAGE", "WANTED BY"], &rows, context.ui.width()));
        if let Some(words) = in_words(&claims) {
            context.ui.line(&words);
        }
    }
    Ok(Exit::Done)
}
