//! `render`: prints what `up` would use.

use std::path::Path;

use anyhow::Context as _;

use crate::cli::{RenderArgs, RenderTarget};
use crate::context::Context;
use crate::error::{Exit, Note};
use crate::render;

/// Prints one of the documents that `up` uses.
///
/// # Errors
/// Fails when a file that the settings name cannot be read or used.
pub(super) fn run(args: &RenderArgs, context: &Context) -> anyhow::Result<Exit> {
    let settings = &context.settings;
    let text = match args.what {
        RenderTarget::Cluster => cluster(context)?,
        RenderTarget::Milvus => render::milvus(settings)?,
        RenderTarget::Attu => render::attu(settings)?,
        RenderTarget::Values => values(context)?,
        RenderTarget::Config => render::config(settings)?,
    };
    if context.wants_json() {
        context.answer_json(&crate::yaml::documents::<serde_json::Value>(&text)?)?;
    } else {
        context.ui.document(&text);
    }
    Ok(Exit::Done)
}

/// The kind configuration that the settings ask for, or the user's own file.
///
/// # Errors
/// Fails with [`Exit::Usage`] when the user's own file cannot be read or used.
pub(super) fn cluster(context: &Context) -> anyhow::Result<String> {
    let own = own_file(context.settings.cluster.kind_config.as_deref())?;
    render::cluster(&context.settings, own.as_deref()).exit(Exit::Usage)
}

/// The helm values of the operator, the user's own merged over them.
///
/// # Errors
/// Fails with [`Exit::Usage`] when the user's own file cannot be read or used.
pub(super) fn values(context: &Context) -> anyhow::Result<String> {
    let own = own_file(context.settings.operator.values_file.as_deref())?;
    render::values(&context.settings, own.as_deref()).exit(Exit::Usage)
}

fn own_file(path: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(path) = path else { return Ok(None) };
    std::fs::read_to_string(path)
        .with_context(|| format!("could not read `{}`", path.display()))
        .exit(Exit::Usage)
        .map(Some)
}
