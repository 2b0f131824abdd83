//! An image named by a setting.

use std::fmt;
use std::str::FromStr;

use semver::Version;

use crate::images::ImageRef;

/// An image named by a setting.
///
/// Tools get the text as typed, since the operator's chart adds its own tag to an image without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSetting {
    text: String,
    reference: ImageRef,
}

impl ImageSetting {
    /// The parsed reference.
    pub fn reference(&self) -> &ImageRef {
        &self.reference
    }

    /// The text as typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The version in the tag.
    pub fn version(&self) -> Option<Version> {
        let tag = self.reference.tag()?;
        Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()
    }
}

impl fmt::Display for ImageSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<&ImageRef> for ImageSetting {
    fn from(reference: &ImageRef) -> Self {
        Self { text: reference.familiar(), reference: reference.clone() }
    }
}

impl FromStr for ImageSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(reference) => Ok(Self { text: text.to_owned(), reference }),
            Err(why) => {
                Err(format!("expected an image such as `milvusdb/milvus:v2.6.11`, found `{text}`: {why}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_kept_as_typed() {
        for text in ["milvusdb/milvus-operator", "docker.io/kindest/node:v1.33.1", "a.b:5000/c"] {
            assert_eq!(text.parse::<ImageSetting>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_a_tag_names_a_version() {
        let digest = format!("@sha256:{}", "0".repeat(64));
        for (text, version) in [
            ("kindest/node:v1.33.1", Some(Version::new(1, 33, 1))),
            ("a.b:5000/milvus:2.6.11", Some(Version::new(2, 6, 11))),
            (&format!("kindest/node:v1.33.1{digest}"), Some(Version::new(1, 33, 1))),
            (&format!("kindest/node{digest}"), None),
            ("a.b:5000/milvus", None),
        ] {
            assert_eq!(text.parse::<ImageSetting>().unwrap().version(), version, "{text}");
        }
    }
}
