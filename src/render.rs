//! Renders what `up` passes to kind, helm and kubectl, as printed by `render`.

use std::path::Path;

use anyhow::Context as _;

use crate::context::Context;
use crate::error::{Exit, Note};
use crate::milvus;
use crate::process::read_text;
use crate::settings::{Credentials, Settings};
use crate::templates::{self, TemplateError};

/// Renders the operator's helm values, with the user's own merged over them.
///
/// # Errors
/// Fails with [`Exit::Usage`] if the user's own file cannot be read or used.
pub(crate) fn values_with_own_file(context: &Context) -> anyhow::Result<String> {
    let own = own_file(context, context.settings.operator.values_file.as_deref())?;
    milvus::helm_values(&context.settings, own.as_deref()).exit(Exit::Usage)
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
pub fn milvus(settings: &Settings) -> Result<String, TemplateError> {
    let resource = templates::document(&milvus::custom_resource(settings))?;
    match settings.milvus.storage.external.as_ref().map(|storage| &storage.credentials) {
        Some(Credentials::Made { .. }) => {
            let secret = templates::document(&milvus::masked_storage_secret(settings))?;
            Ok(format!("{secret}---\n{resource}"))
        }
        _ => Ok(resource),
    }
}
