//! The images that an operator release deploys, known in advance.
//!
//! The data is `templates/images.yaml`. A release missing there is not an error: its images are found when
//! pods wait for them.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::reference::ImageRef;
use crate::yaml;

/// Attu's repository.
const ATTU: &str = "zilliz/attu";

const BUILTIN: &str = include_str!("../../templates/images.yaml");

/// The known operator releases.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// The operator's image without a tag.
    operator: String,
    /// Milvus's image without a tag.
    milvus: String,
    /// The images of the chart `pulsar-v2`.
    pulsar_2: Vec<ImageRef>,
    /// Ranges of releases, oldest first.
    releases: Vec<Range>,
}

/// Operator releases with the same dependencies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    first: Version,
    last: Version,
    /// The default Milvus by operator release, where known.
    milvus: BTreeMap<Version, Version>,
    etcd: ImageRef,
    storage: ImageRef,
    pulsar: Vec<ImageRef>,
    kafka: Vec<ImageRef>,
}

/// One release of the operator and what it deploys by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorRelease {
    pub version: Version,
    /// The operator's own image, which Milvus pods also use for an init container.
    pub operator: ImageRef,
    /// The default Milvus, if known for this exact release.
    pub milvus: Option<Version>,
    pub etcd: ImageRef,
    pub storage: ImageRef,
    /// Pulsar and its parts.
    pub pulsar: Vec<ImageRef>,
    /// Kafka and its `ZooKeeper`.
    pub kafka: Vec<ImageRef>,
}

/// A message store with pods of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broker {
    Pulsar,
    Kafka,
}

/// Which parts of a Milvus run in the cluster, and with which images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Milvus's image; `None` is the operator's default.
    pub milvus: Option<ImageRef>,
    /// Other images that individual components use.
    pub components: Vec<ImageRef>,
    /// Whether etcd runs in the cluster.
    pub etcd: bool,
    /// Whether the object storage runs in the cluster.
    pub storage: bool,
    /// The message store that runs in the cluster; `None` when it is external or embedded in Milvus.
    pub broker: Option<Broker>,
    /// Attu's image; `None` when it is not installed.
    pub attu: Option<ImageRef>,
}

/// An image that will be needed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PlannedImage {
    pub image: ImageRef,
    /// The parts that need it: `operator`, `milvus`, `etcd`, `storage`, `pulsar`, `kafka`, `attu`.
    pub wanted_by: Vec<&'static str>,
}

impl Catalog {
    /// Returns the built-in catalog.
    ///
    /// # Panics
    /// Never: a test parses the same text.
    pub fn builtin() -> Self {
        Self::parse(BUILTIN).expect("templates/images.yaml is part of the program, and a test reads it")
    }

    fn parse(text: &str) -> Result<Self, yaml::YamlError> {
        yaml::from_str(text)
    }

    /// Returns what the operator release `version` deploys, or `None` if it is unknown.
    pub fn release(&self, version: &Version) -> Option<OperatorRelease> {
        let range = self.releases.iter().find(|range| range.first <= *version && *version <= range.last)?;
        Some(OperatorRelease {
            version: version.clone(),
            operator: tagged(&self.operator, version)?,
            milvus: range.milvus.get(version).cloned(),
            etcd: range.etcd.clone(),
            storage: range.storage.clone(),
            pulsar: range.pulsar.clone(),
            kafka: range.kafka.clone(),
        })
    }

    /// Returns the images of the chart `pulsar-v2`, which newer operators install on an old Kubernetes.
    pub fn pulsar_2(&self) -> Vec<ImageRef> {
        self.pulsar_2.clone()
    }

    /// Whether `repository` is one of Docker Hub's that some release deploys from.
    pub fn publishes(&self, repository: &str) -> bool {
        let of = |range: &Range| {
            let single = [&range.etcd, &range.storage];
            single
                .into_iter()
                .chain(&range.pulsar)
                .chain(&range.kafka)
                .any(|image| image.repository() == repository)
        };
        [self.operator.as_str(), &self.milvus, ATTU].contains(&repository)
            || self.pulsar_2.iter().any(|image| image.repository() == repository)
            || self.releases.iter().any(of)
    }

    /// Returns the image of Milvus `version`.
    pub fn milvus(&self, version: &Version) -> Option<ImageRef> {
        tagged(&self.milvus, version)
    }

    /// Returns the images that `deployment` needs from `release`, without duplicates, in the order in which
    /// they are needed.
    ///
    /// Omits Milvus if neither the deployment nor the catalog names its version.
    pub fn planned(&self, release: &OperatorRelease, deployment: &Deployment) -> Vec<PlannedImage> {
        let default_milvus = || release.milvus.as_ref().and_then(|version| self.milvus(version));
        let broker: (&'static str, &[ImageRef]) = match deployment.broker {
            Some(Broker::Pulsar) => ("pulsar", &release.pulsar),
            Some(Broker::Kafka) => ("kafka", &release.kafka),
            None => ("", &[]),
        };
        let wanted = [("operator", Some(release.operator.clone()))]
            .into_iter()
            .chain([("etcd", deployment.etcd.then(|| release.etcd.clone()))])
            .chain([("storage", deployment.storage.then(|| release.storage.clone()))])
            .chain(broker.1.iter().map(|image| (broker.0, Some(image.clone()))))
            .chain([("milvus", deployment.milvus.clone().or_else(default_milvus))])
            .chain(deployment.components.iter().map(|image| ("milvus", Some(image.clone()))))
            .chain([("attu", deployment.attu.clone())]);
        let mut planned: Vec<PlannedImage> = Vec::new();
        for (part, image) in wanted {
            let Some(image) = image else { continue };
            match planned.iter_mut().find(|known| known.image == image) {
                Some(known) if known.wanted_by.contains(&part) => {}
                Some(known) => known.wanted_by.push(part),
                None => planned.push(PlannedImage { image, wanted_by: vec![part] }),
            }
        }
        planned
    }
}

impl Broker {
    /// Returns the broker that the operator deploys for the message store `word` of the custom resource.
    ///
    /// By default the operator takes Pulsar in cluster mode, and an embedded store in standalone mode:
    /// rocksmq before 2.6, woodpecker since. Woodpecker, rocksmq and natsmq have no pods of their own.
    pub fn of(word: Option<&str>, is_cluster: bool) -> Option<Self> {
        match word {
            Some("pulsar") => Some(Self::Pulsar),
            Some("kafka") => Some(Self::Kafka),
            None if is_cluster => Some(Self::Pulsar),
            _ => None,
        }
    }
}

/// Orders releases of Milvus and its operator: a hotfix such as 2.4.13-hotfix follows its release, unlike a release
/// candidate.
pub fn release_order(version: &Version) -> impl Ord + use<> {
    let is_hotfix = version.pre.starts_with("hotfix");
    let release = Version::new(version.major, version.minor, version.patch);
    (release.clone(), is_hotfix, if is_hotfix { release } else { version.clone() })
}

/// Returns `name` with the tag of `version`, as Milvus's projects form it.
fn tagged(name: &str, version: &Version) -> Option<ImageRef> {
    format!("{name}:v{version}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn release(text: &str) -> OperatorRelease {
        Catalog::builtin().release(&version(text)).unwrap()
    }

    fn deployment(broker: Option<Broker>) -> Deployment {
        Deployment {
            milvus: None,
            components: Vec::new(),
            etcd: true,
            storage: true,
            broker,
            attu: Some("zilliz/attu:v2.4.12".parse().unwrap()),
        }
    }

    fn planned(operator: &str, deployment: &Deployment) -> Vec<String> {
        let images = Catalog::builtin().planned(&release(operator), deployment);
        images
            .iter()
            .map(|planned| format!("{} {}", planned.wanted_by.join("+"), planned.image.familiar()))
            .collect()
    }

    #[test]
    fn the_articles_release_wants_the_articles_images() {
        assert_eq!(
            planned("1.1.4", &deployment(Some(Broker::Pulsar))),
            [
                "operator milvusdb/milvus-operator:v1.1.4",
                "etcd milvusdb/etcd:3.5.14-r1",
                "storage minio/minio:RELEASE.2023-03-20T20-16-18Z",
                "pulsar apachepulsar/pulsar:2.9.5",
                "milvus milvusdb/milvus:v2.4.17",
                "attu zilliz/attu:v2.4.12",
            ]
        );
    }

    #[test]
    fn the_newest_release_wants_pulsar_3_or_kafka_with_zookeeper() {
        let rows = [
            (Some(Broker::Pulsar), vec!["pulsar apachepulsar/pulsar:3.0.7"]),
            (
                Some(Broker::Kafka),
                vec!["kafka bitnamilegacy/kafka:3.1.0", "kafka bitnamilegacy/zookeeper:3.7.0"],
            ),
            (None, vec![]),
        ];
        for (broker, images) in rows {
            let of_the_broker: Vec<_> = planned("1.3.8", &deployment(broker))
                .into_iter()
                .filter(|row| row.starts_with("pulsar") || row.starts_with("kafka"))
                .collect();
            assert_eq!(of_the_broker, images);
        }
    }

    #[test]
    fn external_dependencies_want_no_image() {
        let external =
            Deployment { etcd: false, storage: false, broker: None, attu: None, ..deployment(None) };
        assert_eq!(
            planned("1.3.8", &external),
            ["operator milvusdb/milvus-operator:v1.3.8", "milvus milvusdb/milvus:v2.6.11"]
        );
    }

    #[test]
    fn a_chosen_milvus_replaces_the_operators() {
        let chosen = Deployment { milvus: Some("example.com/milvus:1".parse().unwrap()), ..deployment(None) };
        assert!(planned("1.3.8", &chosen).contains(&"milvus example.com/milvus:1".to_owned()));
    }

    #[test]
    fn an_image_of_two_parts_is_listed_once() {
        let same = Deployment { attu: Some("milvusdb/milvus:v2.6.11".parse().unwrap()), ..deployment(None) };
        assert!(planned("1.3.8", &same).contains(&"milvus+attu milvusdb/milvus:v2.6.11".to_owned()));
    }

    #[test]
    fn releases_within_a_range_share_its_images() {
        let between = release("1.1.0");
        assert_eq!(between.etcd, "milvusdb/etcd:3.5.14-r1".parse().unwrap());
        assert_eq!(between.operator, "milvusdb/milvus-operator:v1.1.0".parse().unwrap());
    }

    #[test]
    fn an_unknown_milvus_is_left_out_rather_than_guessed() {
        // Within a range, but not an operator release.
        assert!(!planned("1.0.30", &deployment(None)).iter().any(|row| row.starts_with("milvus ")));
    }

    #[test]
    fn the_default_milvus_of_every_release_is_known() {
        let patches = [((1, 0), 0..=9), ((1, 1), 0..=9), ((1, 2), 0..=8), ((1, 3), 0..=8)];
        for ((major, minor), patches) in patches {
            for patch in patches {
                let version = Version::new(major, minor, patch);
                let release = Catalog::builtin().release(&version).unwrap();
                assert!(release.milvus.is_some(), "{version}");
            }
        }
        assert_eq!(release("1.1.1").milvus, Some(version("2.4.13-hotfix")));
    }

    #[test]
    fn releases_outside_the_catalog_are_unknown() {
        for text in ["0.9.9", "1.1.10", "1.3.9", "2.0.0"] {
            assert_eq!(Catalog::builtin().release(&version(text)), None, "{text}");
        }
    }

    #[test]
    fn ranges_are_sorted_and_contain_their_releases() {
        let catalog = Catalog::builtin();
        let bounds: Vec<&Version> =
            catalog.releases.iter().flat_map(|range| [&range.first, &range.last]).collect();
        assert!(bounds.windows(2).all(|pair| pair[0] <= pair[1]));
        for range in &catalog.releases {
            assert!(range.milvus.keys().all(|operator| range.first <= *operator && *operator <= range.last));
        }
    }

    #[test]
    fn the_broker_follows_the_operators_defaults() {
        let rows = [
            (None, true, Some(Broker::Pulsar)),
            (None, false, None),
            (Some("pulsar"), false, Some(Broker::Pulsar)),
            (Some("kafka"), true, Some(Broker::Kafka)),
            (Some("woodpecker"), true, None),
            (Some("rocksmq"), false, None),
            (Some("natsmq"), false, None),
        ];
        for (word, is_cluster, broker) in rows {
            assert_eq!(Broker::of(word, is_cluster), broker, "{word:?}");
        }
    }

    #[test]
    fn a_catalog_with_an_invalid_image_is_rejected() {
        let wrong = BUILTIN.replacen("milvusdb/etcd:3.5.5-r4", "milvusdb/Etcd:3.5.5-r4", 1);
        assert!(Catalog::parse(&wrong).unwrap_err().message.contains("must be lower case"));
    }
}
