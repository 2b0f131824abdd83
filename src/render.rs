//! Renders what `up` passes to kind, helm and kubectl, as printed by `render`.

use std::path::Path;

use anyhow::Context as _;

use crate::cluster;
use crate::context::Context;
use crate::error::{Exit, Note};
use crate::milvus::{self, ValuesError};
use crate::process::read_text;
use crate::settings::{self, Credentials, Settings};
use crate::templates::{self, TemplateError};

/// Why rendering failed.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The user's own values are invalid.
    #[error(transparent)]
    Values(#[from] ValuesError),
    /// A template does not render.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Renders the kind config, or returns the user's own.
///
/// # Errors
/// Fails if a template does not render, which is a bug.
pub fn cluster(settings: &Settings) -> Result<String, RenderError> {
    Ok(cluster::kind_config(settings)?)
}

/// Renders the operator's helm values, with the user's own merged over them.
///
/// # Errors
/// Fails with [`Exit::Usage`] if the user's own file cannot be read or used.
pub(crate) fn values_with_own_file(context: &Context) -> anyhow::Result<String> {
    let own = own_file(context, context.settings.operator.values_file.as_deref())?;
    values(&context.settings, own.as_deref()).exit(Exit::Usage)
}

/// Reads a file, which may be a pipe without a writer yet.
fn own_file(context: &Context, path: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(path) = path else { return Ok(None) };
    read_text(path, &context.interrupt)
        .with_context(|| format!("could not read `{}`", path.display()))
        .exit(Exit::Usage)
        .map(Some)
}

/// Renders the Milvus resource, preceded by its Secret with `***` for the keys if milvusctl creates one.
///
/// # Errors
/// Fails if a template does not render, which is a bug.
pub fn milvus(settings: &Settings) -> Result<String, RenderError> {
    let resource = templates::document(&milvus::custom_resource(settings))?;
    match settings.milvus.storage.external.as_ref().map(|storage| &storage.credentials) {
        Some(Credentials::Made { .. }) => {
            let secret = templates::document(&milvus::masked_storage_secret(settings))?;
            Ok(format!("{secret}---\n{resource}"))
        }
        _ => Ok(resource),
    }
}

/// Renders Attu's manifests.
///
/// # Errors
/// Fails if a template does not render, which is a bug.
pub fn attu(settings: &Settings) -> Result<String, RenderError> {
    Ok(milvus::attu(settings)?)
}

/// Renders the operator's helm values; `own` is the contents of `operator.valuesFile`.
///
/// # Errors
/// Fails if `own` is not a YAML mapping.
pub fn values(settings: &Settings, own: Option<&str>) -> Result<String, RenderError> {
    Ok(milvus::helm_values(settings, own)?)
}

/// Renders the effective settings with their origins as a configuration file.
///
/// # Errors
/// Fails if a template does not render, which is a bug.
pub fn config(settings: &Settings) -> Result<String, RenderError> {
    Ok(settings::render_config(settings)?)
}
