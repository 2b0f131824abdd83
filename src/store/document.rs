//! Indexes and manifests, as registries return them and layouts hold them.

use serde::Deserialize;

use crate::archive::{Descriptor, Platform};

/// The distribution specification's size limit for an index or a manifest.
pub const DOCUMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// An index or a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageDocument {
    /// Entries for each platform, possibly further indexes.
    Index(Vec<Descriptor>),
    /// An image for one platform.
    Manifest { config: Descriptor, layers: Vec<Descriptor> },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    #[serde(default)]
    schema_version: u32,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

impl ImageDocument {
    /// Parses an index or a manifest, in either OCI's or Docker's format.
    ///
    /// # Errors
    /// Says what the document is instead.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let fields: Fields = serde_json::from_slice(bytes)
            .map_err(|error| format!("it is neither an index nor a manifest: {error}"))?;
        match fields {
            Fields { schema_version: 1, .. } => {
                Err("it is a schema 1 manifest, which nodes no longer run; push the image again with a newer tool"
                    .to_owned())
            }
            Fields { manifests: Some(manifests), .. } => Ok(Self::Index(manifests)),
            Fields { config: Some(config), layers: Some(layers), .. } => Ok(Self::Manifest { config, layers }),
            _ => Err("it has neither `manifests` nor `config` and `layers`".to_owned()),
        }
    }
}

/// Returns an index's entry for `platform`, the first that containerd would accept, or else a nested index
/// without a platform, which may hold one.
///
/// An exact match of the variant wins over an entry where only one side has a variant.
pub fn choose<'a>(entries: &'a [Descriptor], platform: &Platform) -> Option<&'a Descriptor> {
    let of = |entry: &Descriptor| {
        let platform = entry.platform.as_ref()?;
        Some(Platform {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
        })
    };
    let exact = entries.iter().find(|entry| of(entry).as_ref() == Some(platform));
    let fitting = || entries.iter().find(|entry| of(entry).is_some_and(|found| found.fits(platform)));
    let index = || entries.iter().find(|entry| entry.platform.is_none() && is_index(&entry.media_type));
    exact.or_else(fitting).or_else(index)
}

/// Tells whether a media type is OCI's or Docker's for an index.
pub fn is_index(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json"
    )
}

/// The platforms in an index, for messages.
pub fn platforms(entries: &[Descriptor]) -> Vec<String> {
    let mut found: Vec<String> = entries
        .iter()
        .filter_map(|entry| entry.platform.as_ref())
        .filter(|platform| platform.os != "unknown")
        .map(|platform| {
            let variant = platform.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
            format!("{}/{}{variant}", platform.os, platform.architecture)
        })
        .collect();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Digest;

    fn entry(platform: &str) -> Descriptor {
        let mut words = platform.split('/').map(str::to_owned);
        serde_json::from_value(serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": Digest::of(platform.as_bytes()), "size": 1,
            "platform": {"os": words.next(), "architecture": words.next(), "variant": words.next()},
        }))
        .unwrap()
    }

    fn platform(text: &str) -> Platform {
        let mut words = text.split('/').map(str::to_owned);
        Platform { os: words.next().unwrap(), architecture: words.next().unwrap(), variant: words.next() }
    }

    #[test]
    fn an_exact_variant_wins_over_a_compatible_one() {
        let entries =
            ["unknown/unknown", "linux/arm", "linux/arm/v6", "linux/arm/v7", "linux/amd64"].map(entry);
        let rows = [
            ("linux/arm/v7", Some("linux/arm/v7")),
            ("linux/arm/v5", Some("linux/arm")),
            ("linux/arm", Some("linux/arm")),
            ("linux/amd64", Some("linux/amd64")),
            ("linux/s390x", None),
            ("windows/amd64", None),
        ];
        for (asked, expected) in rows {
            let found = choose(&entries, &platform(asked)).map(|found| found.digest);
            assert_eq!(found, expected.map(|text| Digest::of(text.as_bytes())), "{asked}");
        }
        assert_eq!(platforms(&entries), ["linux/arm", "linux/arm/v6", "linux/arm/v7", "linux/amd64"]);
    }

    #[test]
    fn other_documents_are_refused_with_a_reason() {
        let rows = [
            ("{}", "it has neither `manifests` nor `config` and `layers`"),
            (
                r#"{"schemaVersion":1,"fsLayers":[]}"#,
                "it is a schema 1 manifest, which nodes no longer run; push the image again with a newer tool",
            ),
        ];
        for (text, why) in rows {
            assert_eq!(ImageDocument::parse(text.as_bytes()), Err(why.to_owned()));
        }
        assert!(
            ImageDocument::parse(b"<html>")
                .unwrap_err()
                .starts_with("it is neither an index nor a manifest: ")
        );
    }
}
