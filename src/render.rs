//! The texts that `render` prints: what `up` would hand to kind, helm and kubectl.

use std::path::Path;

use anyhow::Context as _;

use crate::cluster;
use crate::context::Context;
use crate::error::{Exit, Note};
use crate::milvus::{self, ValuesError};
use crate::process;
use crate::settings::{self, Credentials, Settings};
use crate::templates::{self, TemplateError};

/// A text that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The user's own values do not fit.
    #[error(transparent)]
    Values(#[from] ValuesError),
    /// A template does not fit.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Renders the kind configuration, or gives the user's own.
///
/// # Errors
/// When a template does not fit, which is a fault of the program.
pub fn cluster(settings: &Settings) -> Result<String, RenderError> {
    Ok(cluster::kind_config(settings)?)
}

/// The helm values of the operator, the user's own merged over them.
///
/// # Errors
/// Fails with [`Exit::Usage`] when the user's own file cannot be read or used.
pub(crate) fn values_with_own_file(context: &Context) -> anyhow::Result<String> {
    let own = own_file(context, context.settings.operator.values_file.as_deref())?;
    values(&context.settings, own.as_deref()).exit(Exit::Usage)
}

/// The text of a file, which may be a pipe that somebody writes to only later.
fn own_file(context: &Context, path: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(path) = path else { return Ok(None) };
    process::open(path, &context.interrupt)
        .and_then(std::io::read_to_string)
        .with_context(|| format!("could not read `{}`", path.display()))
        .exit(Exit::Usage)
        .map(Some)
}

/// Renders the Milvus resource, and before it its Secret with `***` for the keys when milvusctl makes one.
///
/// # Errors
/// When a template does not fit, which is a fault of the program.
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
/// When a template does not fit, which is a fault of the program.
pub fn attu(settings: &Settings) -> Result<String, RenderError> {
    Ok(milvus::attu(settings)?)
}

/// Renders the operator's helm values; `own` is the text of the file that `operator.valuesFile` names.
///
/// # Errors
/// When `own` is not a YAML mapping.
pub fn values(settings: &Settings, own: Option<&str>) -> Result<String, RenderError> {
    Ok(milvus::helm_values(settings, own)?)
}

/// Renders the settings in force with where each came from, as a configuration file.
///
/// # Errors
/// When a template does not fit, which is a fault of the program.
pub fn config(settings: &Settings) -> Result<String, RenderError> {
    Ok(settings::render_config(settings)?)
}
