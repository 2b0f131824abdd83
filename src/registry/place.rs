//! Where to fetch an image from: mirrors by the user's rules, the engine's own mirrors, the registry itself.

use crate::images::ImageRef;
use crate::images::mirror::{Rules, is_loopback};
use crate::images::reference::DOCKER_HUB;
use crate::net::{Scheme, in_network};
use crate::tools::EngineRegistries;

/// The host that serves Docker Hub's API.
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// One place for one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The host and port as used in names and in `docker login`: `docker.io`.
    pub host: String,
    /// The host and port to connect to: `registry-1.docker.io`.
    pub api: String,
    pub scheme: Scheme,
    pub repository: String,
    /// The digest if there is one, otherwise the tag.
    pub reference: String,
    /// This is the registry in the image's name.
    pub is_origin: bool,
}

impl Place {
    fn new(image: &ImageRef, scheme: Scheme, is_origin: bool) -> Self {
        let host = image.registry().to_owned();
        let api = if host == DOCKER_HUB { DOCKER_HUB_API.to_owned() } else { host.clone() };
        let reference = image.digest().or(image.tag()).unwrap_or("latest").to_owned();
        Self { host, api, scheme, repository: image.repository().to_owned(), reference, is_origin }
    }

    /// The URL of `what` (`blobs/sha256:…`, `manifests/1.36`) in the image's repository.
    pub fn url(&self, scheme: Scheme, what: &str) -> String {
        let scheme = if scheme == Scheme::Http { "http" } else { "https" };
        format!("{scheme}://{}/v2/{}/{what}", self.api, self.repository)
    }

    /// Tells whether the image keeps its path here, as in a mirror; a rewritten name is another image.
    pub fn mirrors(&self, image: &ImageRef) -> bool {
        !self.is_origin
            && self
                .repository
                .strip_suffix(image.repository())
                .is_some_and(|before| before.is_empty() || before.ends_with('/'))
    }
}

/// Returns where to look for `image`, best first.
///
/// Leaves out places with digests of their own if the image is pinned by digest: they cannot have it.
pub fn places(image: &ImageRef, rules: &Rules, engine: &EngineRegistries) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for candidate in rules.candidates(image) {
        if candidate.image.digest() != image.digest() {
            continue;
        }
        if candidate.image.registry() == DOCKER_HUB {
            for mirror in &engine.mirrors {
                places.extend(engine_mirror(mirror, &candidate.image));
            }
        }
        let registry = candidate.image.registry();
        // To Docker all of 127.0.0.0/8 is insecure (`NewServiceConfig` of moby's registry/config.go). A rule to such an
        // address need not say which protocol it speaks.
        let scheme = if is_loopback(registry) {
            Scheme::Unverified
        } else if rules.is_plain(registry) {
            Scheme::Http
        } else if is_insecure(engine, registry) {
            Scheme::Unverified
        } else {
            Scheme::Https
        };
        places.push(Place::new(&candidate.image, scheme, candidate.is_original));
    }
    let mut seen = std::collections::HashSet::new();
    places.retain(|place| seen.insert((place.api.clone(), place.repository.clone())));
    places
}

fn engine_mirror(address: &str, image: &ImageRef) -> Option<Place> {
    let (scheme, rest) = address.split_once("://")?;
    let host = rest.trim_end_matches('/');
    let scheme = if scheme == "http" { Scheme::Http } else { Scheme::Https };
    let moved = image.with_name(host, image.repository()).ok()?;
    Some(Place::new(&moved, scheme, false))
}

/// Tells whether the engine is configured to accept any certificate from `registry`, by name or network.
fn is_insecure(engine: &EngineRegistries, registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    let address = host.trim_matches(['[', ']']);
    engine.insecure.iter().any(|entry| entry == registry || entry == host || in_network(address, entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Digest;
    use crate::images::mirror::Preset;

    fn rules(texts: &[&str], preset: Preset) -> Rules {
        Rules::new(texts.iter().map(|text| text.parse().unwrap()).collect(), preset)
    }

    fn urls(image: &str, rules: &Rules, engine: &EngineRegistries) -> Vec<String> {
        let image = image.parse().unwrap();
        let url = |place: &Place| place.url(place.scheme, &format!("manifests/{}", place.reference));
        places(&image, rules, engine).iter().map(url).collect()
    }

    #[test]
    fn rules_come_before_the_mirrors_of_the_engine_and_the_registry() {
        let engine =
            EngineRegistries { mirrors: vec!["https://hub.example.com/".to_owned()], insecure: vec![] };
        let rules = rules(&["docker.io=http://m.example.com/hub", "docker.io=127.0.0.1:5000"], Preset::None);
        assert_eq!(
            urls("busybox:1", &rules, &engine),
            [
                "http://m.example.com/v2/hub/library/busybox/manifests/1",
                "https://127.0.0.1:5000/v2/library/busybox/manifests/1",
                "https://hub.example.com/v2/library/busybox/manifests/1",
                "https://registry-1.docker.io/v2/library/busybox/manifests/1",
            ]
        );
        assert_eq!(urls("quay.io/a/b:1", &rules, &engine), ["https://quay.io/v2/a/b/manifests/1"]);
    }

    #[test]
    fn places_with_their_own_digests_are_not_asked_for_pinned_images() {
        let pinned = format!("registry.k8s.io/pause:3.9@{}", Digest::of(b"x"));
        let asked = urls(&pinned, &rules(&[], Preset::Aliyun), &EngineRegistries::default());
        assert_eq!(asked, [format!("https://registry.k8s.io/v2/pause/manifests/{}", Digest::of(b"x"))]);
    }

    #[test]
    fn certificates_of_insecure_registries_are_not_verified() {
        let insecure = ["10.1.0.0/16", "r.example.com:5000"].map(str::to_owned).to_vec();
        let engine = EngineRegistries { mirrors: vec![], insecure };
        let rows = [
            ("10.1.2.3:80/a:1", Scheme::Unverified),
            ("10.2.2.3:80/a:1", Scheme::Https),
            ("r.example.com:5000/a:1", Scheme::Unverified),
            ("r.example.com/a:1", Scheme::Https),
            ("localhost:5000/a:1", Scheme::Unverified),
            ("127.0.0.1:5000/a:1", Scheme::Unverified),
        ];
        for (image, expected) in rows {
            let image = image.parse().unwrap();
            assert_eq!(places(&image, &rules(&[], Preset::None), &engine)[0].scheme, expected, "{image}");
        }
    }

    #[test]
    fn a_rewritten_name_is_not_a_mirror() {
        let image = "bitnami/etcd:1".parse().unwrap();
        let rules = rules(
            &["docker.io/bitnami=docker.io/bitnamilegacy", "docker.io=m.example.com/hub"],
            Preset::None,
        );
        let mirrors: Vec<(String, bool)> = places(&image, &rules, &EngineRegistries::default())
            .iter()
            .map(|place| (place.repository.clone(), place.mirrors(&image)))
            .collect();
        let expected = [
            ("hub/bitnamilegacy/etcd", false),
            ("bitnamilegacy/etcd", false),
            ("hub/bitnami/etcd", true),
            ("bitnami/etcd", false),
        ];
        assert_eq!(mirrors, expected.map(|(name, is)| (name.to_owned(), is)));
    }
}
