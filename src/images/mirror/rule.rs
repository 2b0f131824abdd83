//! One mirror rule: which names it covers and what it maps them to.

use std::fmt;
use std::str::FromStr;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::images::reference::{
    DOCKER_HUB, DOCKER_HUB_API, ImageRef, InvalidReason, check_registry, check_repository, is_registry_like,
};

/// Maps the names below `from` to names below `to`: `docker.io=m.daocloud.io/docker.io`.
///
/// A rule for a whole registry is a mirror. A rule with a path on the left
/// (`docker.io/bitnami=docker.io/bitnamilegacy`) rewrites the name, and mirrors apply to the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    from: RegistryPath,
    to: RegistryPath,
    plain_http: bool,
}

/// A registry and a path in it, which may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RegistryPath {
    registry: String,
    path: String,
}

/// A text that is not a mirror rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{rule}` is not a mirror rule: {reason}; write `REGISTRY=PREFIX`, such as `docker.io=mirror.example.com/hub`"
)]
pub struct InvalidRule {
    /// The rule as it was given.
    pub rule: String,
    /// What is wrong with it.
    pub reason: InvalidRuleReason,
}

/// Why a text is not a mirror rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRuleReason {
    /// There is no `=`.
    #[error("it has no `=`")]
    NoEquals,
    /// A side does not begin with a registry host, so that Docker would take it for Docker Hub.
    #[error("`{0}` does not begin with a registry; a registry is `localhost` or has a `.` or a port")]
    NoRegistry(String),
    /// A side's registry or path is invalid.
    #[error(transparent)]
    Name(#[from] InvalidReason),
    /// The prefix has a login, which every list of rules would reveal.
    #[error("it must not contain a login")]
    Login,
    /// Both sides are the same.
    #[error("it points back to the same place")]
    Itself,
}

impl Rule {
    /// Creates the rule that maps names of `registry` to `prefix`.
    ///
    /// `prefix` is a registry with or without a path (`127.0.0.1:5000`, `m.daocloud.io/docker.io`), and may
    /// begin with `https://` or, for a mirror without TLS, `http://`.
    ///
    /// # Errors
    /// Fails when a side does not begin with a registry or has an invalid path, or when both sides are the
    /// same.
    pub fn new(registry: &str, prefix: &str) -> Result<Self, InvalidRule> {
        if prefix.contains('@') {
            return Err(InvalidRule { rule: format!("{registry}=***"), reason: InvalidRuleReason::Login });
        }
        Self::parse(registry, prefix)
            .map_err(|reason| InvalidRule { rule: format!("{registry}={prefix}"), reason })
    }

    fn parse(registry: &str, prefix: &str) -> Result<Self, InvalidRuleReason> {
        let (plain_http, bare) = match prefix.strip_prefix("http://") {
            Some(bare) => (true, bare),
            None => (false, prefix.strip_prefix("https://").unwrap_or(prefix)),
        };
        let from = registry.parse::<RegistryPath>()?;
        let to = bare.parse::<RegistryPath>()?;
        if from == to {
            return Err(InvalidRuleReason::Itself);
        }
        let plain_http = plain_http || is_loopback(&to.registry);
        Ok(Self { from, to, plain_http })
    }

    /// The right side as text, with `http://` unless that is implied.
    fn prefix(&self) -> String {
        let scheme = if self.plain_http && !is_loopback(&self.to.registry) { "http://" } else { "" };
        format!("{scheme}{}", self.to)
    }

    /// Returns the registry that the rule applies to.
    pub fn registry(&self) -> &str {
        &self.from.registry
    }

    /// Returns the host of the registry that is used instead.
    pub fn mirror(&self) -> &str {
        &self.to.registry
    }

    pub fn is_plain_http(&self) -> bool {
        self.plain_http
    }

    /// Returns whether the rule rewrites a path in a registry, rather than mirroring all of it.
    pub fn is_rewrite(&self) -> bool {
        !self.from.path.is_empty()
    }

    /// Returns whether the rule maps to `registry` without TLS.
    pub(super) fn is_plain_at(&self, registry: &str) -> bool {
        self.plain_http && self.to.registry == registry
    }

    /// Returns the name that the rule maps `image` to, or `None` if the rule does not cover it or the result
    /// would be longer than Docker allows.
    pub fn apply(&self, image: &ImageRef) -> Option<ImageRef> {
        if image.registry() != self.from.registry {
            return None;
        }
        let below = if self.from.path.is_empty() {
            image.repository()
        } else {
            image.repository().strip_prefix(&self.from.path)?.strip_prefix('/')?
        };
        let path =
            if self.to.path.is_empty() { below.to_owned() } else { format!("{}/{below}", self.to.path) };
        image.with_name(&self.to.registry, &path).ok()
    }

    /// Returns the mirror's API endpoint and whether it has a path.
    ///
    /// The endpoint has the form of containerd's `hosts.toml`: with a path it ends in `/v2/<path>` and needs
    /// `override_path`.
    pub(super) fn endpoint(&self) -> (String, bool) {
        let scheme = if self.plain_http { "http" } else { "https" };
        let has_path = !self.to.path.is_empty();
        let path = if has_path { format!("/v2/{}", self.to.path) } else { String::new() };
        // Docker Hub's API has another host name than its images.
        let host = if self.to.registry == DOCKER_HUB { DOCKER_HUB_API } else { &self.to.registry };
        (format!("{scheme}://{host}{path}"), has_path)
    }
}

/// Serialises as in the configuration file.
impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rule = serializer.serialize_struct("Rule", 2)?;
        rule.serialize_field("registry", &self.from.to_string())?;
        rule.serialize_field("prefix", &self.prefix())?;
        rule.end()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.from, self.prefix())
    }
}

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        match text.split_once('=') {
            Some((registry, prefix)) => Self::new(registry, prefix),
            None => Err(InvalidRule { rule: text.to_owned(), reason: InvalidRuleReason::NoEquals }),
        }
    }
}

impl fmt::Display for RegistryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.registry)?;
        if !self.path.is_empty() {
            write!(f, "/{}", self.path)?;
        }
        Ok(())
    }
}

impl FromStr for RegistryPath {
    type Err = InvalidRuleReason;

    fn from_str(text: &str) -> Result<Self, InvalidRuleReason> {
        let text = text.trim_end_matches('/');
        let (registry, path) = text.split_once('/').unwrap_or((text, ""));
        if !is_registry_like(registry) {
            return Err(InvalidRuleReason::NoRegistry(text.to_owned()));
        }
        check_registry(registry)?;
        if !path.is_empty() {
            check_repository(path)?;
        }
        let registry = if registry == "index.docker.io" { DOCKER_HUB } else { registry };
        Ok(Self { registry: registry.to_owned(), path: path.to_owned() })
    }
}

/// Returns whether `registry` is on loopback, where Docker and containerd expect no TLS.
pub fn is_loopback(registry: &str) -> bool {
    registry == "localhost"
        || registry.starts_with("localhost:")
        || registry.starts_with("[::1]")
        || registry
            .split(':')
            .next()
            .is_some_and(|host| host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &str = "sha256:86e0e091d0da6bde2456dbb48306f3956bbeb2eae1b5b9a43045843f69fe4aaa";

    fn moved(rule: &str, image: &str) -> Option<String> {
        let rule: Rule = rule.parse().unwrap();
        rule.apply(&image.parse().unwrap()).map(|image| image.to_string())
    }

    #[test]
    fn a_rule_replaces_the_registry_by_its_prefix() {
        let rows = [
            ("docker.io=m.daocloud.io/docker.io", "busybox:1", "m.daocloud.io/docker.io/library/busybox:1"),
            ("docker.io=127.0.0.1:5000", "milvusdb/milvus:v2", "127.0.0.1:5000/milvusdb/milvus:v2"),
            ("docker.io=localhost:5000/a/b/", "busybox", "localhost:5000/a/b/library/busybox:latest"),
            ("index.docker.io=example.com", "busybox", "example.com/library/busybox:latest"),
            ("docker.io=http://example.com/hub", "a/b:1", "example.com/hub/a/b:1"),
            ("docker.io=https://example.com/hub", "a/b:1", "example.com/hub/a/b:1"),
            (
                "docker.io/bitnami=docker.io/bitnamilegacy",
                "bitnami/kafka:3",
                "docker.io/bitnamilegacy/kafka:3",
            ),
        ];
        for (rule, image, expected) in rows {
            assert_eq!(moved(rule, image).as_deref(), Some(expected), "{rule}");
        }
    }

    #[test]
    fn digest_survives_a_mirror_rewrite() {
        assert_eq!(
            moved("docker.io=m.daocloud.io/docker.io", &format!("busybox:1@{SHA256}")),
            Some(format!("m.daocloud.io/docker.io/library/busybox:1@{SHA256}"))
        );
    }

    #[test]
    fn other_names_are_left_alone() {
        let rows = [
            ("docker.io=example.com", "quay.io/a/b:1"),
            ("docker.io/bitnami=docker.io/bitnamilegacy", "bitnamilegacy/kafka:3"),
            ("docker.io/bitnami=docker.io/bitnamilegacy", "quay.io/bitnami/kafka:3"),
        ];
        for (rule, image) in rows {
            assert_eq!(moved(rule, image), None, "{rule}");
        }
    }

    #[test]
    fn a_name_that_would_become_too_long_has_no_mirror() {
        let longest = format!("{}a", "a/".repeat(127));
        assert_eq!(moved("docker.io=example.com/b", &longest), None);
    }

    #[test]
    fn a_login_is_refused_and_not_repeated() {
        let error = "docker.io=http://me:s3cr3t@example.com".parse::<Rule>().unwrap_err();
        assert_eq!(error, InvalidRule { rule: "docker.io=***".to_owned(), reason: InvalidRuleReason::Login });
    }

    #[test]
    fn errors_name_the_reason() {
        let no_registry = |side: &str| InvalidRuleReason::NoRegistry(side.to_owned());
        let rows = [
            ("docker.io", InvalidRuleReason::NoEquals),
            ("=example.com", no_registry("")),
            ("docker.io=", no_registry("")),
            ("docker.io=mirror", no_registry("mirror")),
            ("docker.io=mirror/hub", no_registry("mirror/hub")),
            ("bitnami=docker.io/bitnamilegacy", no_registry("bitnami")),
            ("docker.io=ftp://example.com", InvalidReason::Registry("ftp:".to_owned()).into()),
            ("docker.io=exa mple.com", InvalidReason::Registry("exa mple.com".to_owned()).into()),
            ("docker.io=example.com/Hub", InvalidReason::PathComponent("Hub".to_owned()).into()),
            ("docker.io=example.com//hub", InvalidReason::PathComponent(String::new()).into()),
            ("docker.io=docker.io/", InvalidRuleReason::Itself),
        ];
        for (rule, reason) in rows {
            assert_eq!(rule.parse::<Rule>(), Err(InvalidRule { rule: rule.to_owned(), reason }));
        }
    }

    #[test]
    fn rules_round_trip() {
        for text in ["docker.io=127.0.0.1:5000", "quay.io=http://example.com/q", "docker.io/a=docker.io/b/c"]
        {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for registry in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000"] {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in ["localhost.example.com", "172.17.0.1:5000", "127.0.0.1.example.com", "[fc00::1]"] {
            assert!(!is_loopback(registry), "{registry}");
        }
    }
}
