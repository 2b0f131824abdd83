//! Reads YAML. The only module that names `serde_yaml`, and it never writes.

use serde::de::DeserializeOwned;

/// A text that is not the YAML that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    /// What is wrong, and where.
    pub message: String,
}

/// Reads `text`, one YAML document, into `T`.
///
/// # Errors
/// When `text` is not YAML, holds several documents, or does not have the shape of `T`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    serde_yaml::from_str(text).map_err(|error| YamlError { message: error.to_string() })
}
