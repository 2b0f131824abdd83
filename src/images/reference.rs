//! Image references as Docker and containerd read them.
//!
//! Parses and normalises names such as `busybox` or `quay.io:443/a/b:1@sha256:…` like
//! `github.com/distribution/reference` (v0.6), which Docker, containerd and the kubelet share. Knows nothing
//! of mirrors, nor whether an image exists.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The default registry.
pub const DOCKER_HUB: &str = "docker.io";
/// The host of Docker Hub's API.
pub const DOCKER_HUB_API: &str = "registry-1.docker.io";
/// Docker Hub's older name, which Docker normalises to [`DOCKER_HUB`].
const LEGACY_DOCKER_HUB: &str = "index.docker.io";
/// The namespace of Docker Hub's official images, which people omit.
const OFFICIAL: &str = "library/";
/// The tag of a name without tag and digest.
const DEFAULT_TAG: &str = "latest";
/// The maximum length of a repository, without its registry.
const REPOSITORY_LENGTH_MAX: usize = 255;
/// The maximum length of a tag.
const TAG_LENGTH_MAX: usize = 128;

/// An image reference in canonical form, with every default written out.
///
/// Two references are equal exactly when Docker treats them as the same name, like `busybox` and
/// `index.docker.io/library/busybox:latest`. A reference has a tag, a digest, or both; `:latest` is added if
/// neither was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ImageRef {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// A text that is not an image reference by Docker's grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{reference}` is not an image reference: {reason}")]
pub struct InvalidReference {
    /// The text as it was given.
    pub reference: String,
    /// What is wrong with it.
    pub reason: InvalidReason,
}

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReason {
    #[error("it is empty")]
    Empty,
    /// The whole text is 64 hexadecimal digits, which Docker reserves for image IDs.
    #[error("64 hexadecimal digits are an image ID, not a name; put a registry in front of it")]
    ImageId,
    /// The repository has upper-case letters.
    #[error("the repository `{0}` must be lower case")]
    Uppercase(String),
    /// The part before the first `/` looks like a registry but is not a host with an optional port.
    #[error("the registry `{0}` is not a host name or address with an optional port")]
    Registry(String),
    /// A path component breaks the grammar.
    #[error(
        "the path component `{0}` must be lower-case letters and digits, joined by one `.`, one or two `_`, or any number of `-`"
    )]
    PathComponent(String),
    /// The repository is longer than 255 characters.
    #[error("the repository has {0} characters; at most {max} are allowed", max = REPOSITORY_LENGTH_MAX)]
    TooLong(usize),
    /// The tag breaks the grammar.
    #[error(
        "the tag `{0}` must be 1 to {max} letters, digits, `_`, `.` or `-`, and not begin with `.` or `-`",
        max = TAG_LENGTH_MAX
    )]
    Tag(String),
    /// The digest is malformed or of an algorithm that Docker does not know.
    #[error(
        "the digest `{0}` must be sha256, sha384 or sha512, then `:` and 64, 96 or 128 lower-case hexadecimal digits"
    )]
    Digest(String),
}

impl ImageRef {
    /// Returns the registry with its port, if it has one: `docker.io`, `127.0.0.1:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the path within the registry: `library/busybox`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the last component of the path: `busybox`.
    pub fn last_component(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or(&self.repository)
    }

    /// Returns the tag; `None` only when the reference is pinned by a digest alone.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest with its algorithm: `sha256:…`.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Returns registry and path without tag and digest: `docker.io/library/busybox`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns the form that people write, without a default `docker.io/` and `library/`.
    ///
    /// It always parses back to the same reference: a Docker Hub repository whose first component looks like
    /// a registry keeps its `docker.io/`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        if self.registry != DOCKER_HUB {
            return full;
        }
        let without_hub = &full[DOCKER_HUB.len() + 1..];
        let short = match without_hub.strip_prefix(OFFICIAL) {
            Some(official) if !self.repository[OFFICIAL.len()..].contains('/') => official,
            _ => without_hub,
        };
        match short.parse::<Self>() {
            Ok(same) if same == *self => short.to_owned(),
            _ => full,
        }
    }

    /// Returns the name by which a node's containerd looks the image up.
    ///
    /// containerd's `ParseDockerRef` drops the tag of a name with a digest, so an image stored as `name:tag`
    /// does not satisfy a pod that asks for `name:tag@digest`.
    pub fn node_name(&self) -> Self {
        let mut name = self.clone();
        if name.digest.is_some() {
            name.tag = None;
        }
        name
    }

    /// Returns this reference with another registry and path; tag and digest stay.
    ///
    /// # Errors
    /// Fails when `registry` is not a host with an optional port, or `repository` breaks the path's grammar or
    /// its length limit.
    pub fn with_name(&self, registry: &str, repository: &str) -> Result<Self, InvalidReference> {
        let moved = Self { registry: registry.to_owned(), repository: repository.to_owned(), ..self.clone() };
        check_registry(registry)
            .and_then(|()| check_repository(repository))
            .map_err(|reason| InvalidReference { reference: moved.to_string(), reason })?;
        Ok(moved)
    }

    /// Returns this reference without its digest, with `:latest` if it had no tag.
    pub fn without_digest(&self) -> Self {
        let tag = self.tag.clone().or_else(|| Some(DEFAULT_TAG.to_owned()));
        Self { tag, digest: None, ..self.clone() }
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageRef {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        parse(text).map_err(|reason| InvalidReference { reference: text.to_owned(), reason })
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.to_string()
    }
}

impl TryFrom<String> for ImageRef {
    type Error = InvalidReference;

    fn try_from(text: String) -> Result<Self, InvalidReference> {
        text.parse()
    }
}

/// Checks that `registry` is a host name, an IPv4 address or a bracketed IPv6 address, with an optional port.
///
/// # Errors
/// Fails with [`InvalidReason::Registry`] when it is not.
pub fn check_registry(registry: &str) -> Result<(), InvalidReason> {
    let (host_is_valid, rest) = if let Some(bracketed) = registry.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']').unwrap_or(("", bracketed));
        let valid =
            !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
        (valid, rest)
    } else {
        let (host, rest) = registry.split_at(registry.find(':').unwrap_or(registry.len()));
        (host.split('.').all(is_domain_component), rest)
    };
    let port_is_valid = rest.is_empty()
        || rest
            .strip_prefix(':')
            .is_some_and(|port| !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()));
    if host_is_valid && port_is_valid { Ok(()) } else { Err(InvalidReason::Registry(registry.to_owned())) }
}

/// Returns whether the part of a name before its first `/` is a registry, rather than a path component.
///
/// A registry is `localhost`, or has a `.`, a `:` or an upper-case letter, which paths must not have.
pub fn is_registry_like(component: &str) -> bool {
    component == "localhost" || component.contains(['.', ':']) || component.chars().any(char::is_uppercase)
}

fn parse(text: &str) -> Result<ImageRef, InvalidReason> {
    if text.is_empty() {
        return Err(InvalidReason::Empty);
    }
    if is_hex(text, 64) {
        return Err(InvalidReason::ImageId);
    }
    let (registry, remainder) = split_registry(text);
    let (rest, digest) = match remainder.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (remainder, None),
    };
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    let repository = if registry == DOCKER_HUB && !path.contains('/') {
        format!("{OFFICIAL}{path}")
    } else {
        path.to_owned()
    };
    if path.chars().any(char::is_uppercase) {
        return Err(InvalidReason::Uppercase(path.to_owned()));
    }
    check_registry(registry)?;
    check_repository(&repository)?;
    if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
        return Err(InvalidReason::Tag(tag.to_owned()));
    }
    if let Some(digest) = digest.filter(|digest| !is_digest(digest)) {
        return Err(InvalidReason::Digest(digest.to_owned()));
    }
    let tag = if tag.is_none() && digest.is_none() { Some(DEFAULT_TAG) } else { tag };
    Ok(ImageRef {
        registry: registry.to_owned(),
        repository,
        tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
    })
}

/// Splits `text` into its registry, by default Docker Hub, and the rest.
fn split_registry(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((LEGACY_DOCKER_HUB, rest)) => (DOCKER_HUB, rest),
        Some((first, rest)) if is_registry_like(first) => (first, rest),
        // A single component like `test:5000` is a name with a tag, never a host with a port.
        _ => (DOCKER_HUB, text),
    }
}

/// Checks the length and every component of `repository`.
///
/// # Errors
/// Fails with [`InvalidReason::PathComponent`] or [`InvalidReason::TooLong`].
pub fn check_repository(repository: &str) -> Result<(), InvalidReason> {
    if repository.len() > REPOSITORY_LENGTH_MAX {
        return Err(InvalidReason::TooLong(repository.chars().count()));
    }
    match repository.split('/').find(|component| !is_path_component(component)) {
        Some(component) => Err(InvalidReason::PathComponent(component.to_owned())),
        None => Ok(()),
    }
}

fn is_domain_component(component: &str) -> bool {
    !component.is_empty()
        && !component.starts_with('-')
        && !component.ends_with('-')
        && component.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_path_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends_are_words = |bytes: &[u8]| {
        bytes.first().is_some_and(|byte| is_word(*byte)) && bytes.last().is_some_and(|byte| is_word(*byte))
    };
    ends_are_words(bytes)
        && bytes.split(|byte| is_word(*byte)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_LENGTH_MAX
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    match digest.split_once(':') {
        Some(("sha256", hex)) => is_hex(hex, 64),
        Some(("sha384", hex)) => is_hex(hex, 96),
        Some(("sha512", hex)) => is_hex(hex, 128),
        _ => false,
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the name of an image with `prefix` in place of its registry: `quay.io/a/b:1` becomes
/// `PREFIX/a/b:1`.
pub fn below(prefix: &str, image: &str) -> String {
    let path = match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        Some(_) => image,
        None => return format!("{prefix}/library/{image}"),
    };
    format!("{prefix}/{path}")
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
