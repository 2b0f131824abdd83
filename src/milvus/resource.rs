//! Reads a Milvus resource, planned or live, with the operator's defaults for what it leaves out.

use serde_json::Value;

use crate::images::reference::ImageRef;
use crate::settings::{MessageStore, Mode};

/// A dependency of Milvus that can run in the cluster or outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    Etcd,
    Storage,
    Pulsar,
    Kafka,
}

impl Part {
    /// Its section in the resource.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Storage => "storage",
            Self::Pulsar => "pulsar",
            Self::Kafka => "kafka",
        }
    }
}

/// A view of a Milvus resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resource<'v>(&'v Value);

impl<'v> Resource<'v> {
    pub(crate) fn new(resource: &'v Value) -> Self {
        Self(resource)
    }

    fn at(self, path: &str) -> Option<&'v Value> {
        self.0.pointer(path).filter(|value| !value.is_null())
    }

    fn text(self, path: &str) -> Option<&'v str> {
        self.at(path).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(crate) fn mode(self) -> Mode {
        if self.text("/spec/mode") == Some("cluster") { Mode::Cluster } else { Mode::Standalone }
    }

    /// The image of all components without one of their own, unless the operator chooses.
    pub(crate) fn image(self) -> Option<&'v str> {
        self.text("/spec/components/image")
    }

    /// The images of individual components and of the init containers.
    pub(crate) fn other_images(self) -> Vec<&'v str> {
        let components = self.at("/spec/components").and_then(Value::as_object).into_iter().flatten();
        let own = components.filter_map(|(_, component)| component.get("image")?.as_str());
        own.chain(self.text("/spec/components/toolImage")).filter(|image| !image.is_empty()).collect()
    }

    /// The message store that will run, which milvusctl need not know.
    pub(crate) fn store(self, line: Option<(u64, u64)>) -> &'v str {
        self.text("/spec/dependencies/msgStreamType")
            .unwrap_or_else(|| default_store(self.mode(), line).as_str())
    }

    /// Whether the resource names its message store instead of leaving it to the operator.
    pub(super) fn names_store(self) -> bool {
        self.text("/spec/dependencies/msgStreamType").is_some()
    }

    /// The number of etcd members, if set.
    pub(super) fn etcd_replicas(self) -> Option<u64> {
        self.values(Part::Etcd)?.get("replicaCount")?.as_u64()
    }

    /// `standalone` or `distributed`, if set.
    pub(super) fn minio_mode(self) -> Option<&'v str> {
        self.values(Part::Storage)?.get("mode")?.as_str()
    }

    pub(crate) fn is_external(self, part: Part) -> bool {
        self.at(&format!("/spec/dependencies/{}/external", part.as_str())).and_then(Value::as_bool)
            == Some(true)
    }

    /// The values for a dependency's chart, if set.
    pub(crate) fn values(self, part: Part) -> Option<&'v Value> {
        self.at(&format!("/spec/dependencies/{}/inCluster/values", part.as_str()))
    }

    /// The chart that a dependency is installed from, such as `pulsar-v2`, if set.
    pub(crate) fn chart(self, part: Part) -> Option<&'v str> {
        self.text(&format!("/spec/dependencies/{}/inCluster/chartVersion", part.as_str()))
    }

    /// A dependency's image: `image`, with what the chart values override at `path`.
    pub(crate) fn image_of(self, part: Part, path: &str, image: &ImageRef) -> ImageRef {
        let Some(values) = self.values(part).and_then(|values| values.pointer(path)) else {
            return image.clone();
        };
        let said = |name: &str| values.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let [registry, repository, tag] = ["registry", "repository", "tag"].map(said);
        if [registry, repository, tag].iter().all(Option::is_none) {
            return image.clone();
        }
        let own = image.familiar();
        let (own_repository, own_tag) = own.rsplit_once(':').unwrap_or((own.as_str(), "latest"));
        let registry = registry.map(|registry| format!("{registry}/")).unwrap_or_default();
        let repository = repository.unwrap_or(own_repository);
        let name = format!("{registry}{repository}:{}", tag.unwrap_or(own_tag));
        // An invalid name fails when a pod uses it.
        name.parse().unwrap_or_else(|_| image.clone())
    }
}

/// The message store that the operator defaults to (milvus-operator, `setDefaultMsgStreamType`).
pub(crate) fn default_store(mode: Mode, line: Option<(u64, u64)>) -> MessageStore {
    match mode {
        Mode::Cluster => MessageStore::Pulsar,
        Mode::Standalone if line.is_some_and(|line| line < (2, 6)) => MessageStore::Rocksmq,
        Mode::Standalone => MessageStore::Woodpecker,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn omitted_fields_get_the_operators_defaults() {
        let store = |spec: Value, line| Resource::new(&json!({"spec": spec})).store(line).to_owned();
        assert_eq!(store(json!({}), Some((2, 5))), "rocksmq");
        assert_eq!(store(json!({}), Some((2, 6))), "woodpecker");
        assert_eq!(store(json!({"mode": "cluster"}), Some((2, 6))), "pulsar");
        assert_eq!(store(json!({"dependencies": {"msgStreamType": "custom"}}), None), "custom");
        assert_eq!(Resource::new(&json!({})).mode(), Mode::Standalone);
    }

    #[test]
    fn an_image_in_chart_values_overrides_the_default() {
        let resource = json!({"spec": {"dependencies": {
            "etcd": {"inCluster": {"values": {"image": {"tag": "3.5.14-r1"}}}},
            "storage": {"inCluster": {"values": {"image": {"registry": "r.example:5000", "repository": "m/minio"}}}},
        }}});
        let of = |part, image: &str| {
            Resource::new(&resource).image_of(part, "/image", &image.parse().unwrap()).familiar()
        };
        assert_eq!(of(Part::Etcd, "milvusdb/etcd:3.5.25-r1"), "milvusdb/etcd:3.5.14-r1");
        assert_eq!(of(Part::Storage, "minio/minio:R1"), "r.example:5000/m/minio:R1");
        assert_eq!(of(Part::Kafka, "a/b:1"), "a/b:1");
    }

    #[test]
    fn components_may_have_their_own_images() {
        let resource = json!({"spec": {"components": {
            "image": "a:1", "toolImage": "t:1", "proxy": {"image": "p:1"}, "dataNode": {"replicas": 2},
        }}});
        let resource = Resource::new(&resource);
        assert_eq!((resource.image(), resource.other_images()), (Some("a:1"), vec!["p:1", "t:1"]));
    }
}
