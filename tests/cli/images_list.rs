//! `images list`: where each image is, and how large.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::fixture::Fixture;

/// A pod for each of three images. The node holds the first two, the engine the second, the store the third.
fn machine() -> Fixture {
    let machine = Fixture::new();
    let says = |rest: &str, answer: Value| {
        machine.on(&format!("kubectl --context kind-milvus-cluster {rest}")).says(&answer.to_string());
    };
    let node = json!({
        "metadata": {"name": "n1"},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"},
            "images": [{"names": ["docker.io/a/one:1"], "sizeBytes": 1024}],
        },
    });
    says("get nodes", json!({"items": [node]}));
    let pod = |name: &str| {
        json!({
            "metadata": {"namespace": "default", "name": name},
            "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": format!("a/{name}:1")}]},
            "status": {"phase": "Running"},
        })
    };
    says("get pods", json!({"items": [pod("one"), pod("two"), pod("three")]}));
    machine.on("docker ps").says("n1|control-plane|running|kindest/node:v1|\n");
    let digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let row = |name: &str| format!("docker.io/a/{name}:1 manifest {digest} complete (2/2) 1 B/1 B true\n");
    machine.on("docker exec n1 ctr --namespace k8s.io images check").says(&format!(
        "REF TYPE DIGEST STATUS SIZE UNPACKED\n{}{}",
        row("one"),
        row("two")
    ));
    machine.on("docker info").says("{}");
    let held =
        r#"[{"Id":"sha256:2","Os":"linux","Architecture":"amd64","Size":2048,"RootFS":{"Layers":[]}}]"#;
    let absent = "for name in one three; do echo \"Error: No such image: a/$name:1\" >&2; done";
    machine.on("docker image inspect").runs(&format!("echo '{held}'; {absent}; exit 1"));
    keep(&machine);
    machine
}

/// Writes a store that holds `a/three:1`.
fn keep(machine: &Fixture) {
    let root = machine.home().join(".cache/milvusctl/images");
    fs::create_dir_all(root.join("blobs/sha256")).unwrap();
    fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let put = |media_type: &str, bytes: &str| {
        let hash =
            Sha256::digest(bytes).iter().fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
        fs::write(root.join("blobs/sha256").join(&hash), bytes).unwrap();
        json!({"mediaType": media_type, "digest": format!("sha256:{hash}"), "size": bytes.len()})
    };
    let config = put("application/vnd.oci.image.config.v1+json", r#"{"os":"linux","architecture":"amd64"}"#);
    let layer = put("application/vnd.oci.image.layer.v1.tar", &"x".repeat(3000));
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer]});
    let mut top = put(media_type, &manifest.to_string());
    top["annotations"] = json!({"io.containerd.image.name": "docker.io/a/three:1"});
    fs::write(root.join("index.json"), json!({"schemaVersion": 2, "manifests": [top]}).to_string()).unwrap();
}

#[test]
fn each_image_is_listed_with_its_places_and_size() {
    let answer = machine().milvusctl(&["images", "list", "-o", "json"]).ends_with(0).json();
    let images: Vec<Value> = answer["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| {
            let fields = ["image", "present_on", "missing_on", "in_engine", "in_store", "size_bytes"];
            json!(fields.map(|field| image[field].clone()))
        })
        .collect();
    assert_eq!(
        images,
        [
            json!(["docker.io/a/one:1", ["n1"], [], false, false, 1024]),
            json!(["docker.io/a/three:1", [], ["n1"], false, true, 3037]),
            json!(["docker.io/a/two:1", ["n1"], [], true, false, 2048]),
        ]
    );
}

#[test]
fn the_table_names_engine_and_store() {
    let text = machine().milvusctl(&["images", "list"]).ends_with(0).out;
    let words: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        words,
        [
            "IMAGE PODS SIZE ON NODES ALSO IN MISSING ON",
            "docker.io/a/one:1 1 1.00 KiB 1 of 1",
            "docker.io/a/three:1 1 2.97 KiB 0 of 1 store n1",
            "docker.io/a/two:1 1 2.00 KiB 1 of 1 engine",
        ]
    );
}

#[test]
fn listing_does_not_create_a_store() {
    let machine = machine();
    let root = machine.home().join(".cache/milvusctl/images");
    fs::remove_dir_all(&root).unwrap();
    machine.milvusctl(&["images", "list"]).ends_with(0);
    assert!(!root.exists());
}

#[test]
fn a_plan_sums_up_the_volumes_of_milvus() {
    let machine = Fixture::new();
    machine.file("milvusctl.yaml", "milvus: {mode: standalone, volumes: {etcd: 2Gi, storage: 3Gi}}\n");
    let volumes = machine.milvusctl(&["images", "plan", "-o", "json"]).ends_with(0).json()["volumes"].clone();
    let claims = volumes["claims"].as_array().unwrap();
    let number = |claim: &Value, key: &str| claim[key].as_u64().unwrap();
    let sum: u64 = claims.iter().map(|claim| number(claim, "count") * number(claim, "bytes")).sum();
    assert!(claims.len() > 1 && volumes["bytes"] == sum, "{volumes}");
    machine
        .milvusctl(&["images", "plan"])
        .ends_with(0)
        .complains_of(&["of volumes: etcd 1 x 2.00 GiB, storage 1 x 3.00 GiB"]);
}
