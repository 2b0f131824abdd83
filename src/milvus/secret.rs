//! The Secret with the keys to an external object storage.

use serde_json::{Value, json};

use crate::error::{Exit, Failure};
use crate::kube::MANAGED_BY;
use crate::process::{Interrupt, read_text};
use crate::settings::{Credentials, SecretSource, Settings};
use crate::text::Secret;

/// The keys to an external object storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageKeys {
    pub access: Secret,
    pub secret: Secret,
}

impl StorageKeys {
    /// Reads the keys from the environment variables or files that the settings name, or returns `None` if no
    /// keys are needed.
    ///
    /// # Errors
    /// Fails with [`Exit::Usage`] when one is missing.
    pub fn read(settings: &Settings, interrupt: &Interrupt) -> anyhow::Result<Option<Self>> {
        let Some((access, secret)) = sources(settings) else { return Ok(None) };
        Ok(Some(Self { access: read_secret(access, interrupt)?, secret: read_secret(secret, interrupt)? }))
    }

    /// Placeholders for places that must not show the keys.
    pub fn masked(settings: &Settings) -> Option<Self> {
        let mask = Secret::new("***");
        sources(settings).map(|_| Self { access: mask.clone(), secret: mask })
    }
}

fn sources(settings: &Settings) -> Option<(&SecretSource, &SecretSource)> {
    match &settings.milvus.storage.external.as_ref()?.credentials {
        Credentials::Made { access_key, secret_key } => Some((access_key, secret_key)),
        Credentials::Iam | Credentials::Existing(_) => None,
    }
}

/// Reads a secret from its environment variable or file.
///
/// # Errors
/// Fails with [`Exit::Usage`] when it is missing or empty, with [`Exit::Interrupted`] on an
/// interrupt.
pub fn read_secret(source: &SecretSource, interrupt: &Interrupt) -> anyhow::Result<Secret> {
    let value = match source {
        SecretSource::Environment(name) => Ok(std::env::var(name).unwrap_or_default()),
        SecretSource::File(path) => read_text(path, interrupt)
            .map(|text| text.trim_end().to_owned())
            .map_err(|error| error.to_string()),
    };
    let (exit, why) = match value {
        Ok(value) if !value.is_empty() => return Ok(Secret::new(value)),
        Ok(_) => (Exit::Usage, String::new()),
        Err(_) if interrupt.is_set() => (Exit::Interrupted, ": interrupted".to_owned()),
        Err(why) => (Exit::Usage, format!(": {why}")),
    };
    Err(Failure::new(exit, format!("no value in {source}{why}")).into())
}

/// Returns the name of the Secret that milvusctl creates for the object storage.
pub fn storage_secret_name(settings: &Settings) -> String {
    format!("{}-storage", settings.milvus.name)
}

/// Returns the Secret that gives Milvus the keys to its external object storage.
///
/// It holds the keys in plain text: only ever pass it to a command's standard input.
pub fn storage_secret(settings: &Settings, access_key: &Secret, secret_key: &Secret) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": storage_secret_name(settings),
            "namespace": settings.milvus.namespace,
            "labels": {MANAGED_BY.0: MANAGED_BY.1},
        },
        "type": "Opaque",
        "stringData": {"accesskey": access_key.expose(), "secretkey": secret_key.expose()},
    })
}

/// Returns the same Secret with `***` for the keys.
pub fn masked_storage_secret(settings: &Settings) -> Value {
    let mask = Secret::new("***");
    storage_secret(settings, &mask, &mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_has_the_operators_key_names() {
        let secret = storage_secret(&Settings::default(), &Secret::new("yes"), &Secret::new("12:30"));
        assert_eq!(secret["stringData"], json!({"accesskey": "yes", "secretkey": "12:30"}));
        assert_eq!(secret["metadata"]["name"], "my-release-storage");
    }

    #[test]
    fn the_masked_secret_holds_no_key() {
        let masked = masked_storage_secret(&Settings::default());
        assert_eq!(masked["stringData"], json!({"accesskey": "***", "secretkey": "***"}));
    }
}
