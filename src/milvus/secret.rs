//! The Secret with the keys of an external object storage.

use serde_json::{Value, json};

use super::MANAGED_BY;
use crate::settings::Settings;
use crate::text::Secret;

/// Returns the name of the Secret that milvusctl makes for the object storage.
pub fn storage_secret_name(settings: &Settings) -> String {
    format!("{}-storage", settings.milvus.name)
}

/// Returns the Secret from which Milvus takes the keys of its external object storage.
///
/// The result holds the keys in clear, so it belongs on the standard input of a command and nowhere else.
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

/// Returns the same Secret with `***` in the place of the keys.
pub fn masked_storage_secret(settings: &Settings) -> Value {
    let mask = Secret::new("***");
    storage_secret(settings, &mask, &mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_has_the_keys_that_the_operator_reads() {
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
