//! The texts that `render` prints: what `up` would hand to kind, helm and kubectl.

use crate::cluster::{ClusterSpec, OwnConfigError};
use crate::milvus::{self, ValuesError};
use crate::settings::{self, Credentials, Settings};
use crate::templates::{self, TemplateError};

/// A text that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The user's own kind configuration is not one.
    #[error("could not read the kind configuration of your own")]
    Cluster(#[from] OwnConfigError),
    /// The user's own values do not fit.
    #[error(transparent)]
    Values(#[from] ValuesError),
    /// A template does not fit.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Renders the kind configuration; `own` is the text of the file that `cluster.kindConfig` names.
///
/// # Errors
/// When `own` is not a configuration of kind.
pub fn cluster(settings: &Settings, own: Option<&str>) -> Result<String, RenderError> {
    Ok(ClusterSpec::new(settings, own)?.render()?)
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
