//! Mirrors: the names to pull an image by when its own registry is slow, blocked or gone.
//!
//! Rewrites and orders names. Whether a candidate answers only shows when it is pulled.

mod hosts;
mod rule;

use std::fmt;

pub use hosts::{MARK, hosts_toml, mirrored_registries};
pub use rule::{InvalidRule, Rule, is_loopback};

use crate::images::ImageRef;
use crate::string_enum::string_enum;

/// Aliyun's copies of Kubernetes' images.
pub const ALIYUN_REPOSITORY: &str = "registry.aliyuncs.com/google_containers";
/// The registries whose images Aliyun copies.
const ALIYUN_REGISTRIES: [&str; 2] = ["registry.k8s.io", "k8s.gcr.io"];
/// The host of DaoCloud's public mirror.
const DAOCLOUD: &str = "m.daocloud.io";
/// The registries that DaoCloud mirrors (github.com/DaoCloud/public-image-mirror), each with an allowlist.
const DAOCLOUD_REGISTRIES: [&str; 10] = [
    "docker.elastic.co",
    "docker.io",
    "gcr.io",
    "ghcr.io",
    "k8s.gcr.io",
    "mcr.microsoft.com",
    "nvcr.io",
    "quay.io",
    "registry.k8s.io",
    "registry.ollama.ai",
];

string_enum! {
    /// A named set of mirrors.
    Preset {
        /// Kubernetes's own images from Aliyun.
        ///
        /// Aliyun's names are flat and its digests differ, so the last path component stays and the digest is
        /// dropped.
        Aliyun = "aliyun",
        /// Every registry that DaoCloud mirrors, as `m.daocloud.io/` and the canonical name; digests stay.
        DaoCloud = "daocloud",
        None = "none",
    }
}

/// The user's own mirror rules, in order, followed by a preset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    own: Vec<Rule>,
    preset: Preset,
    preset_mirrors: Vec<Rule>,
}

/// A name to try to pull an image by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Candidate {
    pub image: ImageRef,
    /// Whether this is the requested name, so that no retagging is needed.
    pub is_original: bool,
}

/// A rule that helps with an image that its publisher removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    pub rule: Rule,
    /// The image's name under that rule.
    pub image: ImageRef,
}

impl Rules {
    /// Puts the user's `rules` before those of `preset`.
    pub fn new(rules: Vec<Rule>, preset: Preset) -> Self {
        Self { own: rules, preset, preset_mirrors: preset.mirrors() }
    }

    /// Returns the names to try for `image`, best first, without duplicates.
    ///
    /// The user's mirrors come first, in order, then the preset's, then the name itself: whoever configures a
    /// mirror has a slow or blocked registry. A rewritten name and its mirrors come before the name it
    /// replaces. Without a matching rule, the name itself is the only candidate.
    pub fn candidates(&self, image: &ImageRef) -> Vec<Candidate> {
        let rewritten = self.own.iter().filter(|rule| rule.is_rewrite()).filter_map(|rule| rule.apply(image));
        let mut candidates: Vec<Candidate> = Vec::new();
        for name in rewritten.chain([image.clone()]) {
            let mirrors = self.all_mirrors().into_iter().filter_map(|rule| rule.apply(&name));
            let aliyun = self.aliyun(&name);
            for place in mirrors.chain(aliyun).chain([name.clone()]) {
                if !candidates.iter().any(|known| known.image == place) {
                    let is_original = place == *image;
                    candidates.push(Candidate { image: place, is_original });
                }
            }
        }
        candidates
    }

    /// Returns the rule that helps if `image` is not found because its publisher moved it.
    ///
    /// Bitnami removed its versioned tags from Docker Hub in 2025 and keeps them under `bitnamilegacy`
    /// (zilliztech/milvus-operator#399). The rule is only suggested, since those images get no updates.
    pub fn suggestion(&self, image: &ImageRef) -> Option<Suggestion> {
        let rule = Rule::new("docker.io/bitnami", "docker.io/bitnamilegacy").ok()?;
        let legacy = rule.apply(image)?;
        (!self.own.contains(&rule)).then_some(Suggestion { rule, image: legacy })
    }

    /// Returns whether a rule makes `registry` use plain HTTP.
    pub fn is_plain(&self, registry: &str) -> bool {
        self.own.iter().chain(&self.preset_mirrors).any(|rule| rule.is_plain_at(registry))
    }

    /// Returns the whole-registry rules, the user's before the preset's.
    fn all_mirrors(&self) -> Vec<&Rule> {
        self.own.iter().filter(|rule| !rule.is_rewrite()).chain(&self.preset_mirrors).collect()
    }

    fn mirrors_of(&self, registry: &str) -> Vec<&Rule> {
        self.all_mirrors().into_iter().filter(|rule| rule.registry() == registry).collect()
    }

    /// Returns Aliyun's copy of a Kubernetes image if the preset is on.
    ///
    /// An image with only a digest has none: Aliyun's digests differ (kubernetes/minikube#20006), and without
    /// a tag the version is unknown.
    fn aliyun(&self, image: &ImageRef) -> Option<ImageRef> {
        if self.preset != Preset::Aliyun || !ALIYUN_REGISTRIES.contains(&image.registry()) {
            return None;
        }
        image.tag()?;
        let (registry, namespace) = ALIYUN_REPOSITORY.split_once('/')?;
        let repository = format!("{namespace}/{}", image.last_component());
        image.without_digest().with_name(registry, &repository).ok()
    }
}

impl Preset {
    /// Returns the preset's mirrors that can be expressed as rules.
    fn mirrors(self) -> Vec<Rule> {
        match self {
            Self::Aliyun | Self::None => Vec::new(),
            Self::DaoCloud => DAOCLOUD_REGISTRIES
                .iter()
                .filter_map(|registry| Rule::new(registry, &format!("{DAOCLOUD}/{registry}")).ok())
                .collect(),
        }
    }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "bitnami has moved its versioned images; pass `--mirror {}` to use `{}`",
            self.rule,
            self.image.familiar()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &str = "sha256:86e0e091d0da6bde2456dbb48306f3956bbeb2eae1b5b9a43045843f69fe4aaa";

    fn rules(texts: &[&str], preset: Preset) -> Rules {
        Rules::new(texts.iter().map(|text| text.parse().unwrap()).collect(), preset)
    }

    fn candidates(rules: &Rules, image: &str) -> Vec<String> {
        rules
            .candidates(&image.parse().unwrap())
            .iter()
            .map(|candidate| candidate.image.to_string())
            .collect()
    }

    #[test]
    fn without_a_rule_the_name_is_its_only_candidate() {
        let busybox: ImageRef = "busybox:1".parse().unwrap();
        let only = [Candidate { image: busybox.clone(), is_original: true }];
        assert_eq!(rules(&[], Preset::None).candidates(&busybox), only);
        assert_eq!(rules(&["quay.io=example.com"], Preset::Aliyun).candidates(&busybox), only);
    }

    #[test]
    fn mirrors_come_in_order_and_the_original_last() {
        let rules = rules(
            &["docker.io=127.0.0.1:5000", "quay.io=q.example.com", "docker.io=b.example.com/hub"],
            Preset::DaoCloud,
        );
        assert_eq!(
            candidates(&rules, "busybox:1"),
            [
                "127.0.0.1:5000/library/busybox:1",
                "b.example.com/hub/library/busybox:1",
                "m.daocloud.io/docker.io/library/busybox:1",
                "docker.io/library/busybox:1",
            ]
        );
    }

    #[test]
    fn candidates_are_unique() {
        let rules = rules(&["docker.io=m.daocloud.io/docker.io"], Preset::DaoCloud);
        assert_eq!(
            candidates(&rules, "busybox:1"),
            ["m.daocloud.io/docker.io/library/busybox:1", "docker.io/library/busybox:1"]
        );
    }

    #[test]
    fn aliyun_keeps_the_last_component_and_drops_the_digest() {
        let rows = [
            (
                "registry.k8s.io/coredns/coredns:v1.11.1".to_owned(),
                "registry.aliyuncs.com/google_containers/coredns:v1.11.1",
            ),
            (format!("k8s.gcr.io/pause:3.9@{SHA256}"), "registry.aliyuncs.com/google_containers/pause:3.9"),
        ];
        for (image, copy) in rows {
            assert_eq!(candidates(&rules(&[], Preset::Aliyun), &image), [copy, image.as_str()]);
        }
    }

    #[test]
    fn aliyun_has_only_kubernetes_images_with_a_tag() {
        for image in
            ["docker.io/milvusdb/milvus:v2.4.17".to_owned(), format!("registry.k8s.io/pause@{SHA256}")]
        {
            assert_eq!(candidates(&rules(&[], Preset::Aliyun), &image), [image.as_str()]);
        }
    }

    #[test]
    fn daocloud_keeps_digests_and_serves_only_the_registries_it_mirrors() {
        let rules = rules(&[], Preset::DaoCloud);
        let pinned = format!("quay.io/a/b@{SHA256}");
        assert_eq!(candidates(&rules, &pinned), [format!("m.daocloud.io/{pinned}"), pinned]);
        assert_eq!(candidates(&rules, "example.com/a/b:1"), ["example.com/a/b:1"]);
    }

    #[test]
    fn a_rewritten_name_has_mirrors_of_its_own() {
        let rules =
            rules(&["docker.io=127.0.0.1:5000", "docker.io/bitnami=docker.io/bitnamilegacy"], Preset::None);
        assert_eq!(
            candidates(&rules, "bitnami/kafka:3"),
            [
                "127.0.0.1:5000/bitnamilegacy/kafka:3",
                "docker.io/bitnamilegacy/kafka:3",
                "127.0.0.1:5000/bitnami/kafka:3",
                "docker.io/bitnami/kafka:3",
            ]
        );
    }

    #[test]
    fn bitnami_is_left_alone_and_the_rule_suggested() {
        let kafka: ImageRef = "bitnami/kafka:3.1.0".parse().unwrap();
        assert_eq!(
            candidates(&rules(&[], Preset::None), "bitnami/kafka:3.1.0"),
            ["docker.io/bitnami/kafka:3.1.0"]
        );
        assert_eq!(
            rules(&[], Preset::None).suggestion(&kafka).unwrap().to_string(),
            "bitnami has moved its versioned images; pass `--mirror docker.io/bitnami=docker.io/bitnamilegacy` to use `bitnamilegacy/kafka:3.1.0`"
        );
    }

    #[test]
    fn no_rule_is_suggested_for_other_images_or_twice() {
        let kafka: ImageRef = "bitnami/kafka:3.1.0".parse().unwrap();
        let busybox: ImageRef = "busybox".parse().unwrap();
        assert_eq!(rules(&[], Preset::None).suggestion(&busybox), None);
        assert_eq!(
            rules(&["docker.io/bitnami=docker.io/bitnamilegacy"], Preset::None).suggestion(&kafka),
            None
        );
    }

    #[test]
    fn presets_round_trip() {
        for preset in [Preset::Aliyun, Preset::DaoCloud, Preset::None] {
            assert_eq!(preset.to_string().parse(), Ok(preset));
        }
        assert!("Aliyun".parse::<Preset>().is_err());
    }
}
