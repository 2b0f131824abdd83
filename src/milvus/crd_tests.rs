//! Checks every rendered resource against the schema of the operator's own CRD.

use std::io::Read;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::tests::settings;
use super::{attu, custom_resource, helm_values};
use crate::render;
use crate::yaml;

const EXAMPLES: &[(&str, &str)] = &[
    ("article", include_str!("../../examples/article.yaml")),
    ("small", include_str!("../../examples/small.yaml")),
    ("kafka", include_str!("../../examples/kafka.yaml")),
    ("woodpecker", include_str!("../../examples/woodpecker.yaml")),
    ("external-etcd", include_str!("../../examples/external-etcd.yaml")),
    ("external-s3", include_str!("../../examples/external-s3.yaml")),
    ("mirrors-in-china", include_str!("../../examples/mirrors-in-china.yaml")),
    ("existing-cluster", include_str!("../../examples/existing-cluster.yaml")),
];

/// The schema of `milvus.io/v1beta1`, made to reject fields that the API server would drop.
static CRD: LazyLock<Validator> = LazyLock::new(|| {
    let packed: &[u8] = include_bytes!("../../tests/fixtures/milvus-operator-1.3.8-milvuses-crd.yaml.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let crd: Value = yaml::from_str(&text).unwrap();
    let versions = crd["spec"]["versions"].as_array().unwrap();
    let version = versions.iter().find(|version| version["name"] == "v1beta1").unwrap();
    let mut schema = version["schema"]["openAPIV3Schema"].clone();
    refuse_unknown(&mut schema);
    // The API server checks metadata itself.
    schema["properties"]["metadata"] = json!({"type": "object"});
    jsonschema::validator_for(&schema).unwrap()
});

fn refuse_unknown(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let keeps_unknown = map.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
            if map.contains_key("properties") && map.get("type") == Some(&json!("object")) && !keeps_unknown {
                map.insert("additionalProperties".into(), json!(false));
            }
            map.values_mut().for_each(refuse_unknown);
        }
        Value::Array(items) => items.iter_mut().for_each(refuse_unknown),
        _ => {}
    }
}

fn errors(resource: &Value) -> Vec<String> {
    CRD.iter_errors(resource).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_schema_rejects_fields_that_the_api_server_would_drop() {
    let mut resource = custom_resource(&settings(""));
    resource["spec"]["dependencies"]["etcd"]["inCluster"]["valuez"] = json!({});
    assert_eq!(errors(&resource).len(), 1, "{:?}", errors(&resource));
    resource["spec"]["mode"] = json!("both");
    assert_eq!(errors(&resource).len(), 2, "{:?}", errors(&resource));
}

#[test]
fn every_example_is_accepted_by_the_crd() {
    for (name, text) in EXAMPLES {
        assert_eq!(errors(&custom_resource(&settings(text))), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn every_example_renders_whole() {
    for (name, text) in EXAMPLES {
        let settings = settings(text);
        for rendered in [
            crate::cluster::kind_config(&settings).unwrap(),
            render::milvus(&settings).unwrap(),
            attu(&settings).unwrap(),
            helm_values(&settings, None).unwrap(),
            crate::settings::render_config(&settings).unwrap(),
        ] {
            let documents: Vec<Value> = yaml::documents(&rendered).unwrap();
            assert!(!documents.is_empty(), "{name}");
        }
        let last: Value =
            yaml::documents::<Value>(&render::milvus(&settings).unwrap()).unwrap().pop().unwrap();
        assert_eq!(last, custom_resource(&settings), "{name}");
        assert_eq!(crate::settings::warnings(&settings), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn every_combination_is_accepted_by_the_crd() {
    let stores = [
        ("", ""),
        ("pulsar", "messageStore: pulsar,"),
        ("pulsar outside", "pulsar: {external: \"p:6650\"},"),
        ("kafka", "messageStore: kafka,"),
        ("kafka outside", "kafka: {external: [\"k:9092\"]},"),
        ("woodpecker", "messageStore: woodpecker,"),
        ("rocksmq", "messageStore: rocksmq,"),
    ];
    let etcds = ["", "etcd: {external: [\"e:2379\"], rootPath: p},"];
    let storages = [
        "",
        "storage: {bucket: b},",
        "storage: {type: S3, endpoint: \"s:443\", useSSL: true, useIAM: true, region: r},",
        "storage: {type: Azure, endpoint: \"s:443\", useSSL: true, secretRef: s},",
        "storage: {endpoint: \"s:9000\", accessKeyEnv: A, secretKeyFile: b, bucket: b, rootPath: p},",
    ];
    let mut count = 0;
    for mode in ["standalone", "cluster"] {
        for (name, store) in stores.iter().filter(|(name, _)| (mode, *name) != ("cluster", "rocksmq")) {
            for (etcd, storage) in etcds.iter().flat_map(|etcd| storages.map(|storage| (etcd, storage))) {
                for sizing in ["small", "laptop", "operator"] {
                    for deletion in ["deletionPolicy: Delete, deleteVolumes: true", "deletionPolicy: Retain"]
                    {
                        let text = format!(
                            "milvus: {{mode: {mode}, version: 2.6.11, {store} {etcd} {storage} sizing: {sizing}, {deletion}}}"
                        );
                        assert_eq!(
                            errors(&custom_resource(&settings(&text))),
                            Vec::<String>::new(),
                            "{name}: {text}"
                        );
                        count += 1;
                    }
                }
            }
        }
    }
    assert_eq!(count, 13 * 10 * 6);
}

#[test]
fn the_editors_schema_is_the_parsers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/milvusctl.schema.json");
    let schema = format!("{:#}\n", crate::settings::json_schema());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == schema,
        "`UPDATE_SNAPSHOTS=1 cargo test` writes it anew"
    );
}

#[test]
fn every_example_fits_the_editors_schema() {
    let validator = jsonschema::validator_for(&crate::settings::json_schema()).unwrap();
    for (name, text) in EXAMPLES {
        let value: Value = yaml::from_str(text).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
    }
    assert!(!validator.is_valid(&json!({"cluster": {"worker": 1}})));
}
