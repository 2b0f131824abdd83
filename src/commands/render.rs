//! `render`: prints what `up` would use.

use crate::cli::{RenderArgs, RenderTarget};
use crate::cluster::kind_config;
use crate::context::Context;
use crate::error::Exit;
use crate::milvus;
use crate::render;
use crate::settings;

/// Prints one of the documents used by `up`.
///
/// # Errors
/// Fails if a file named in the settings cannot be read or used.
pub(super) fn run(args: &RenderArgs, context: &Context) -> anyhow::Result<Exit> {
    let settings = &context.settings;
    let text = match args.what {
        RenderTarget::Cluster => kind_config(settings)?,
        RenderTarget::Milvus => render::milvus(settings)?,
        RenderTarget::Attu => milvus::attu(settings)?,
        RenderTarget::Values => render::values_with_own_file(context)?,
        RenderTarget::Config => settings::render_config(settings)?,
    };
    if context.wants_json() {
        context.answer_json(&crate::yaml::documents::<serde_json::Value>(&text)?)?;
    } else {
        context.ui.document(&text);
    }
    Ok(Exit::Done)
}
