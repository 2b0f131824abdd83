//! Tests of the custom resource: what each setting becomes, and that settings can express the operator's
//! samples.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::settings::{Layer, file, resolve};
use crate::{render, yaml};

pub(super) fn settings(text: &str) -> Settings {
    resolve(Layer::default(), Some(file::parse(Path::new("m.yaml"), text)))
        .unwrap_or_else(|problems| panic!("{text}: {problems}"))
}

fn spec(text: &str) -> Value {
    custom_resource(&settings(text))["spec"].clone()
}

fn dependency(text: &str, name: &str) -> Value {
    spec(text)["dependencies"][name].clone()
}

#[test]
fn the_default_matches_the_article() {
    let resource = custom_resource(&Settings::default());
    assert_eq!(
        resource["metadata"],
        json!({"name": "my-release", "namespace": "default", "labels": {"app.kubernetes.io/managed-by": "milvusctl"}})
    );
    assert_eq!(resource["spec"]["mode"], "cluster");
    assert_eq!(resource["spec"]["components"], json!({}));
    let dependencies = &resource["spec"]["dependencies"];
    // Three etcd, four MinIO and the operator's message store: no count is set, so the operator's defaults
    // apply.
    assert_eq!(
        dependencies["etcd"],
        json!({"inCluster": {"deletionPolicy": "Delete", "pvcDeletion": false}})
    );
    assert_eq!(dependencies.get("msgStreamType"), None);
    assert_eq!(
        dependencies["storage"]["inCluster"]["values"],
        json!({"resources": {"requests": {"memory": "256Mi"}}})
    );
    let pulsar = dependencies["pulsar"]["inCluster"]["values"].as_object().unwrap();
    assert!(pulsar.values().all(|part| part.get("replicaCount").is_none()), "{pulsar:?}");
}

#[test]
fn a_small_milvus_has_one_of_everything() {
    let text = "small: true";
    assert_eq!(spec(text)["mode"], "standalone");
    assert_eq!(dependency(text, "etcd")["inCluster"]["values"]["replicaCount"], 1);
    assert_eq!(dependency(text, "storage")["inCluster"]["values"]["mode"], "standalone");
    assert_eq!(spec(text)["components"]["resources"]["requests"]["memory"], "256Mi");
}

#[test]
fn a_small_cluster_prefers_woodpecker_and_falls_back_to_a_small_pulsar() {
    let small =
        |operator: &str| format!("small: true\nmilvus: {{mode: cluster}}\noperator: {{version: {operator}}}");
    assert_eq!(dependency(&small("1.3.8"), "msgStreamType"), "woodpecker");
    assert_eq!(dependency(&small("1.3.8"), "pulsar"), Value::Null);
    assert_eq!(dependency(&small("1.1.4"), "msgStreamType"), Value::Null);
    assert_eq!(dependency(&small("1.1.4"), "pulsar")["inCluster"]["values"]["bookkeeper"]["replicaCount"], 1);
}

#[test]
fn the_message_store_is_set_only_if_chosen() {
    let names = |text| {
        let found = spec(text)["dependencies"].clone();
        found
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| !["etcd", "storage"].contains(&key.as_str()))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(names("milvus: {mode: standalone}"), Vec::<String>::new());
    assert_eq!(names("milvus: {mode: standalone, messageStore: rocksmq}"), ["msgStreamType", "rocksmq"]);
    assert_eq!(names("milvus: {messageStore: woodpecker}"), ["msgStreamType"]);
    assert_eq!(names("milvus: {messageStore: kafka}"), ["kafka", "msgStreamType"]);
    assert_eq!(names("milvus: {messageStore: pulsar}"), ["msgStreamType", "pulsar"]);
}

#[test]
fn external_dependencies_are_not_installed() {
    let text = "milvus: {etcd: {external: [\"e:2379\"]}, kafka: {external: [\"k:9092\"]}, storage: {endpoint: \"s:9000\", useIAM: true}}";
    assert_eq!(
        spec(text)["dependencies"],
        json!({
            "etcd": {"external": true, "endpoints": ["e:2379"]},
            "msgStreamType": "kafka",
            "kafka": {"external": true, "brokerList": ["k:9092"]},
            "storage": {"external": true, "type": "S3", "endpoint": "s:9000"},
        })
    );
    assert_eq!(spec(text)["config"], json!({"minio": {"useIAM": true}}));
    assert_eq!(
        dependency("milvus: {pulsar: {external: \"p:6650\"}}", "pulsar"),
        json!({"external": true, "endpoint": "p:6650"})
    );
}

#[test]
fn the_image_follows_the_version() {
    assert_eq!(spec("milvus: {version: 2.5.4}")["components"]["image"], "milvusdb/milvus:v2.5.4");
    let own = spec("milvus: {version: 2.5.4, image: \"a/b:c\"}");
    assert_eq!(
        (&own["components"]["image"], &own["components"]["version"]),
        (&json!("a/b:c"), &json!("v2.5.4"))
    );
}

#[test]
fn an_older_operator_gets_no_version_field() {
    let components = |operator: &str| {
        spec(&format!("operator: {{version: {operator}}}\nmilvus: {{version: 2.5.4, image: \"a/b:c\"}}"))["components"].clone()
    };
    assert_eq!(components("1.2.8"), json!({"image": "a/b:c"}));
    assert_eq!(components("1.3.0"), json!({"image": "a/b:c", "version": "v2.5.4"}));
}

#[test]
fn another_message_store_in_the_spec_drops_pulsar() {
    let text = "milvus: {spec: {mode: standalone, dependencies: {msgStreamType: rocksmq}}}";
    let found = spec(text);
    assert_eq!(found["mode"], "standalone");
    let names: Vec<_> = found["dependencies"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["etcd", "msgStreamType", "rocksmq", "storage"]);
}

#[test]
fn settings_express_the_azure_sample() {
    let found = spec(
        "milvus: {storage: {type: Azure, endpoint: 'core.windows.net:443', useSSL: true, \
                      secretRef: my-release-azure-secret, bucket: c, rootPath: milvus/my-release}}",
    );
    // As in the operator's `config/samples/milvus_azure_blob_accesskey.yaml`.
    assert_eq!(
        found["config"],
        json!({
            "common": {"storageType": "remote"},
            "minio": {"cloudProvider": "azure", "bucketName": "c", "rootPath": "milvus/my-release", "useSSL": true},
        })
    );
    assert_eq!(
        found["dependencies"]["storage"],
        json!({"external": true, "type": "Azure", "endpoint": "core.windows.net:443", "secretRef": "my-release-azure-secret"})
    );
}

#[test]
fn volumes_have_the_chosen_sizes() {
    let volumes = "volumes: {etcd: 1Gi, storage: 2Gi, zookeeper: 3Gi, journal: 4Gi, ledgers: 5Gi, kafka: 6Gi, log: 7Gi}";
    let values = |store: &str, part: &str| {
        let text = format!("milvus: {{messageStore: {store}, {volumes}}}");
        dependency(&text, part)["inCluster"]["values"].clone()
    };
    assert_eq!(values("pulsar", "etcd")["persistence"]["size"], "1Gi");
    assert_eq!(values("pulsar", "storage")["persistence"]["size"], "2Gi");
    let pulsar = values("pulsar", "pulsar");
    assert_eq!(pulsar["zookeeper"]["volumes"]["data"]["size"], "3Gi");
    assert_eq!(
        pulsar["bookkeeper"]["volumes"],
        json!({"journal": {"size": "4Gi"}, "ledgers": {"size": "5Gi"}})
    );
    let kafka = values("kafka", "kafka");
    assert_eq!(
        (&kafka["persistence"]["size"], &kafka["zookeeper"]["persistence"]["size"]),
        (&json!("6Gi"), &json!("3Gi"))
    );
    let rocksmq =
        dependency(&format!("milvus: {{mode: standalone, messageStore: rocksmq, {volumes}}}"), "rocksmq");
    assert_eq!(
        rocksmq["persistence"]["persistentVolumeClaim"]["spec"]["resources"]["requests"]["storage"],
        "7Gi"
    );
}

#[test]
fn a_kubernetes_too_old_for_pulsar_3_gets_the_chart_of_pulsar_2() {
    let chart = |operator: &str, node: &str| {
        let text =
            format!("operator: {{version: {operator}}}\ncluster: {{nodeImage: 'kindest/node:{node}'}}");
        dependency(&text, "pulsar")["inCluster"]["chartVersion"].clone()
    };
    assert_eq!(chart("1.3.8", "v1.20.2"), "pulsar-v2");
    assert_eq!(chart("1.3.8", "v1.34.0"), Value::Null);
    // That operator has no other chart, and no field for it.
    assert_eq!(chart("1.1.4", "v1.20.2"), Value::Null);
}

#[test]
fn pushed_images_are_below_the_prefix() {
    let with = settings(
        "cluster: {context: c}\nmirror: {push: \"r:5000/x\"}\nmilvus: {version: 2.6.0, messageStore: pulsar}",
    );
    for (image, expected) in [
        ("busybox", "r:5000/x/library/busybox"),
        ("minio/minio", "r:5000/x/minio/minio"),
        ("quay.io/a/b:1", "r:5000/x/a/b:1"),
        ("localhost/a:1", "r:5000/x/a:1"),
        ("h:1/a:1", "r:5000/x/a:1"),
    ] {
        assert_eq!(pushed(&with, image), expected);
    }
    let dependencies = &custom_resource(&with)["spec"]["dependencies"];
    assert_eq!(
        dependencies["etcd"]["inCluster"]["values"],
        json!({"image": {"registry": "r:5000/x", "repository": "milvusdb/etcd"}})
    );
    assert_eq!(
        dependencies["storage"]["inCluster"]["values"],
        json!({"image": {"repository": "r:5000/x/minio/minio"}})
    );
    let pulsar = &dependencies["pulsar"]["inCluster"]["values"];
    assert_eq!(pulsar["images"]["bookie"]["repository"], "r:5000/x/apachepulsar/pulsar");
    assert_eq!(pushed(&Settings::default(), "busybox"), "busybox");
}

#[test]
fn the_users_spec_is_merged_over_everything() {
    let text = "milvus: {spec: {mode: standalone, components: {proxy: {serviceType: NodePort}}, dependencies: {etcd: ~, storage: {inCluster: {values: {mode: standalone}}}}}}";
    let found = spec(text);
    assert_eq!((&found["mode"], found["dependencies"].get("etcd")), (&json!("standalone"), None));
    assert_eq!(found["components"]["proxy"]["serviceType"], "NodePort");
    assert_eq!(
        found["dependencies"]["storage"]["inCluster"]["values"],
        json!({"mode": "standalone", "resources": {"requests": {"memory": "256Mi"}}})
    );
}

#[test]
fn merging_replaces_scalars_and_null_removes_keys() {
    for (value, over, expected) in [
        (json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
        (json!({"a": 1, "b": 2}), json!({"a": null}), json!({"b": 2})),
        (json!({"a": 1}), json!({"a": {"b": null, "c": 1}}), json!({"a": {"c": 1}})),
        (json!({}), json!({"a": {"b": {"c": null}}}), json!({"a": {"b": {}}})),
    ] {
        let mut merged = value;
        merge(&mut merged, &over);
        assert_eq!(merged, expected);
    }
}

#[test]
fn ambiguous_strings_are_quoted() {
    let text = render::milvus(&settings(
        "milvus: {namespace: \"1e3\", storage: {bucket: \"yes\", region: \"12:30\"}}",
    ))
    .unwrap();
    for line in ["  namespace: \"1e3\"\n", "bucketName: \"yes\"\n", "region: \"12:30\"\n"] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn rendering_shows_a_secret_without_its_keys() {
    let text = render::milvus(&settings(include_str!("../../examples/external-s3.yaml"))).unwrap();
    let documents: Vec<Value> = yaml::documents(&text).unwrap();
    assert_eq!(documents[0]["stringData"], json!({"accesskey": "***", "secretkey": "***"}));
    assert_eq!(
        documents[1]["spec"]["dependencies"]["storage"]["secretRef"],
        documents[0]["metadata"]["name"]
    );
}

/// Settings that leave everything a sample does not mention to the operator.
const PLAIN: &str = "sizing: operator, deletionPolicy: Retain";

/// Drops what means nothing: empty mappings, and the operator's default mode.
fn essence(mut spec: Value) -> Value {
    fn prune(value: &mut Value) {
        if let Value::Object(map) = value {
            map.values_mut().for_each(prune);
            map.retain(|_, value| *value != json!({}));
        }
    }
    prune(&mut spec);
    if spec["mode"] == "standalone" {
        spec.as_object_mut().unwrap().remove("mode");
    }
    spec
}

macro_rules! samples {
    ($($name:ident: $file:literal, $settings:expr;)+) => {$(
        #[test]
        fn $name() {
            let sample = include_str!(concat!("../../tests/fixtures/milvus-operator-1.3.8-samples/", $file, ".yaml"));
            let sample: Value = yaml::documents::<Value>(sample).unwrap().swap_remove(0);
            let expected = sample.get("spec").cloned().unwrap_or_else(|| json!({"mode": "standalone"}));
            assert_eq!(essence(spec(&$settings)), essence(expected));
        }
    )+};
}

samples! {
    settings_express_the_default_sample: "milvus_default", format!("milvus: {{mode: standalone, {PLAIN}}}");
    settings_express_the_cluster_sample: "milvus_cluster_default", format!("milvus: {{{PLAIN}}}");
    settings_express_the_rocksmq_sample: "milvus_rocksmq",
        format!("milvus: {{mode: standalone, messageStore: rocksmq, {PLAIN}}}");
    settings_express_the_natsmq_sample: "milvus_natsmq",
        // The sample names no release; 2.6 dropped this store, so use an older operator.
        format!("operator: {{version: 1.2.8}}\nmilvus: {{mode: standalone, messageStore: natsmq, {PLAIN}}}");
    settings_express_the_woodpecker_sample: "milvus_cluster_woodpecker",
        format!("milvus: {{version: 2.6.0, messageStore: woodpecker, {PLAIN}}}");
    settings_express_the_resource_sample: "milvus_resource", format!(
        "milvus: {{mode: standalone, {PLAIN}, resources: {{limits: {{cpu: 4, memory: 8Gi}}, requests: {{cpu: 1, memory: 2Gi}}}}}}"
    );
    the_cluster_resource_sample_can_be_said: "milvus_cluster_resource", format!("
milvus:
  version: 2.5.16
  resources: {{limits: {{cpu: 4, memory: 8Gi}}, requests: {{cpu: 200m, memory: 512Mi}}}}
  replicas: {{proxy: 1, dataNode: 1, indexNode: 1, queryNode: 1}}
  {}
  spec:
    components:
      proxy:
        serviceType: LoadBalancer
        resources: {{limits: {{cpu: \"2\", memory: 4Gi}}, requests: {{cpu: 100m, memory: 128Mi}}}}
      dataCoord: {{replicas: 1}}
      indexCoord: {{replicas: 1}}
      queryCoord: {{replicas: 1}}
      rootCoord: {{replicas: 1}}
", PLAIN.replace(", ", "\n  "));
    the_s3_sample_can_be_said: "milvus_s3", format!("
milvus:
  mode: standalone
  {}
  storage:
    type: S3
    endpoint: s3.us-west-2.amazonaws.com:443
    secretRef: my-release-s3-secret
    bucket: <my-bucket>
    rootPath: milvus/my-release
    region: us-west-2
    useSSL: true
", PLAIN.replace(", ", "\n  "));
    the_kafka_sample_can_be_said: "milvus_kafka", "
milvus:
  mode: standalone
  messageStore: kafka
  sizing: operator
  deletionPolicy: Delete
  deleteVolumes: true
  spec:
    # The sample keeps what the others keep by default.
    dependencies: {etcd: ~, storage: ~}
    config:
      kafka: {securityProtocol: PLAINTEXT, saslMechanisms: PLAIN, saslUsername: \"\", saslPassword: \"\"}
";
    the_deletion_sample_can_be_said: "milvus_deletion", "
milvus: {sizing: operator, deletionPolicy: Delete, deleteVolumes: true, spec: {dependencies: {pulsar: ~}}}
";
}

#[test]
fn settings_express_the_external_dependencies_sample() {
    // Its placeholders in angle brackets are not addresses, so both sides get real ones.
    let sample =
        include_str!("../../tests/fixtures/milvus-operator-1.3.8-samples/milvus_external_dependencies.yaml")
            .replace("<etcdAddr-", "etcd-")
            .replace("<storageAddr:9000>", "storage:9000")
            .replace("<my-storage-secret>", "my-storage-secret")
            .replace("2379>", "2379");
    let sample: Value = yaml::from_str(&sample).unwrap();
    let text = format!(
        "
milvus:
  mode: standalone
  {}
  topicPrefix: my-release
  etcd: {{external: [\"etcd-1:2379\", \"etcd-2:2379\", \"etcd-3:2379\"], rootPath: my-release}}
  storage: {{type: MinIO, endpoint: \"storage:9000\", secretRef: my-storage-secret, bucket: <my-bucket>, rootPath: milvus/my-release}}
",
        PLAIN.replace(", ", "\n  ")
    );
    assert_eq!(essence(spec(&text)), essence(sample["spec"].clone()));
}
