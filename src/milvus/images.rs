//! Predicts the images that `up` needs, from the resource to apply.

use serde_json::Value;

use super::resource::{Part, Resource};
use crate::images::catalog::{Broker, Catalog, Deployment, PlannedImage};
use crate::images::reference::ImageRef;
use crate::milvus;
use crate::settings::{Mode, Settings};

/// The images of a plan.
pub(crate) struct Planned {
    /// Empty when the operator's release is unknown.
    pub(crate) images: Vec<PlannedImage>,
    /// Whether the catalog knows the operator's release.
    pub(crate) is_known: bool,
}

/// The images that `settings` need on a fresh cluster.
pub(crate) fn planned_images(settings: &Settings) -> Planned {
    // Plan with publishers' names, even if the cluster pulls from a push registry.
    let mut published = settings.clone();
    published.mirror.push = None;
    images_of(settings, &milvus::custom_resource(&published))
}

/// The images that `resource`, a complete Milvus resource, needs.
pub(crate) fn images_of(settings: &Settings, resource: &Value) -> Planned {
    let catalog = Catalog::builtin();
    let Some(mut release) = catalog.release(&settings.operator.version) else {
        return Planned { images: Vec::new(), is_known: false };
    };
    let resource = Resource::new(resource);
    let store = resource.store(settings.milvus_line());
    let broker = Broker::of(Some(store), resource.mode() == Mode::Cluster).filter(|broker| {
        !resource.is_external(match broker {
            Broker::Pulsar => Part::Pulsar,
            Broker::Kafka => Part::Kafka,
        })
    });
    if resource.chart(Part::Pulsar) == Some("pulsar-v2") {
        release.pulsar = catalog.pulsar_2();
    }
    release.etcd = resource.image_of(Part::Etcd, "/image", &release.etcd);
    release.storage = resource.image_of(Part::Storage, "/image", &release.storage);
    let parts =
        ["/images/zookeeper", "/images/bookie", "/images/autorecovery", "/images/broker", "/images/proxy"];
    let of_pulsar = |image: &ImageRef| parts.map(|path| resource.image_of(Part::Pulsar, path, image));
    release.pulsar = release.pulsar.iter().flat_map(of_pulsar).collect();
    if let [kafka, zookeeper, ..] = release.kafka.as_mut_slice() {
        *kafka = resource.image_of(Part::Kafka, "/image", kafka);
        *zookeeper = resource.image_of(Part::Kafka, "/zookeeper/image", zookeeper);
    }
    let attu = settings.attu.enabled.then(|| format!("zilliz/attu:{}", settings.attu.version).parse().ok());
    let deployment = Deployment {
        milvus: resource.image().and_then(|image| image.parse().ok()),
        components: resource.other_images().into_iter().filter_map(|image| image.parse().ok()).collect(),
        etcd: !resource.is_external(Part::Etcd),
        storage: !resource.is_external(Part::Storage),
        broker,
        attu: attu.flatten(),
    };
    Planned { images: catalog.planned(&release, &deployment), is_known: true }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    fn planned(text: &str) -> Vec<String> {
        let planned = planned_images(&settings(&format!("attu: {{enabled: false}}\n{text}")));
        let row =
            |planned: &PlannedImage| format!("{} {}", planned.wanted_by.join("+"), planned.image.familiar());
        planned.images.iter().map(row).collect()
    }

    #[test]
    fn images_in_the_spec_are_planned() {
        assert_eq!(
            planned(
                "milvus: {spec: {mode: standalone, components: {image: 'milvusdb/milvus:v2.6.4', \
                 standalone: {image: 'milvusdb/milvus:v2.6.4-gpu'}}, dependencies: {msgStreamType: kafka, \
                 etcd: {inCluster: {values: {image: {tag: 3.5.18-r1}}}}, storage: {external: true, endpoint: 's:9000'}}}}"
            ),
            [
                "operator milvusdb/milvus-operator:v1.3.8",
                "etcd milvusdb/etcd:3.5.18-r1",
                "kafka bitnamilegacy/kafka:3.1.0",
                "kafka bitnamilegacy/zookeeper:3.7.0",
                "milvus milvusdb/milvus:v2.6.4",
                "milvus milvusdb/milvus:v2.6.4-gpu",
            ]
        );
    }

    #[test]
    fn an_old_kubernetes_gets_pulsar_2() {
        let pulsar = |text: &str| {
            let is_pulsar = |row: &String| row.starts_with("pulsar");
            planned(text).into_iter().filter(is_pulsar).collect::<Vec<_>>()
        };
        let on = |node: &str| format!("cluster: {{nodeImage: 'kindest/node:{node}'}}");
        assert_eq!(pulsar(&on("v1.20.2")), ["pulsar apachepulsar/pulsar:2.9.5"]);
        assert_eq!(pulsar(&on("v1.21.1")), ["pulsar apachepulsar/pulsar:3.0.7"]);
    }

    #[test]
    fn pushed_images_are_planned_under_publishers_names() {
        let text = "cluster: {context: c}\nmirror: {push: 'r:5000/x'}\nmilvus: {mode: standalone}";
        assert_eq!(
            planned(text),
            [
                "operator milvusdb/milvus-operator:v1.3.8",
                "etcd milvusdb/etcd:3.5.25-r1",
                "storage minio/minio:RELEASE.2024-12-18T13-15-44Z",
                "milvus milvusdb/milvus:v2.6.11",
            ]
        );
    }
}
