//! `images save`, and the commands that use its file: `images load -i` and `up --bundle`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::snapshot::assert_same;

const SAVED: &str = "docker-save-shared-layer.docker-20.10.tar";

/// A machine whose engine holds `test/left:1` and `test/right:1`.
pub(crate) fn machine() -> Fixture {
    let machine = Fixture::new();
    machine.on("docker version").says("20.10.24 1.41 1.41\n");
    machine.on("docker info").says("{\"OSType\": \"linux\"}\n");
    for name in ["left", "right"] {
        let inspected = json!([{"Id": format!("sha256:{}", "0".repeat(64)), "RepoTags": [format!("test/{name}:1")],
            "Architecture": "amd64", "Os": "linux", "RootFS": {"Layers": []}}]);
        machine.on(&format!("docker image inspect test/{name}:1")).says(&inspected.to_string());
    }
    machine.on("docker image inspect").says("[]\n").fails(1, "Error: No such image: test/none:1\n");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(SAVED);
    machine.on("docker save").runs(&format!("cat '{}'", archive.display()));
    machine
}

fn save(machine: &Fixture, args: &[&str]) -> PathBuf {
    let images =
        ["images", "save", "--platform", "linux/amd64", "-o", "two.tar.zst", "test/left:1", "test/right:1"];
    machine.milvusctl(&[&images[..], args].concat()).ends_with(0);
    machine.path("two.tar.zst")
}

/// A bundle's description of itself.
fn about(bytes: &[u8]) -> Value {
    let unpacked = zstd::decode_all(bytes).unwrap();
    serde_json::Deserializer::from_slice(&unpacked[512..]).into_iter().next().unwrap().unwrap()
}

/// Rewrites the description at the start of a bundle.
fn changed(path: &Path, change: impl FnOnce(&mut Value)) {
    let bytes = fs::read(path).unwrap();
    let mut value = about(&bytes);
    change(&mut value);
    let text = value.to_string();
    let unpacked = zstd::decode_all(&bytes[..]).unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    for (place, entry) in tar::Archive::new(&unpacked[..]).entries().unwrap().enumerate() {
        let mut entry = entry.unwrap();
        let mut header = entry.header().clone();
        if place == 0 {
            header.set_size(text.len() as u64);
            header.set_cksum();
            archive.append(&header, text.as_bytes()).unwrap();
        } else {
            archive.append(&header, &mut entry).unwrap();
        }
    }
    fs::write(path, zstd::encode_all(&archive.into_inner().unwrap()[..], 1).unwrap()).unwrap();
}

#[test]
fn images_of_the_engine_are_saved_under_their_names() {
    let machine = machine();
    let file = save(&machine, &[]);
    let about = about(&fs::read(&file).unwrap());
    assert_eq!(about["images"], json!(["docker.io/test/left:1", "docker.io/test/right:1"]));
    assert_eq!(
        (&about["format"], &about["platform"], &about["plan"]),
        (&json!(1), &json!("linux/amd64"), &Value::Null)
    );
    assert_eq!(machine.temporary_files(), [""; 0].map(PathBuf::from));
}

#[test]
fn an_existing_file_is_only_replaced_with_force() {
    let machine = machine();
    let file = machine.file("two.tar.zst", "the user's");
    machine
        .milvusctl(&["images", "save", "-o", "two.tar.zst", "test/left:1"])
        .ends_with(2)
        .complains_of(&["`two.tar.zst` already exists", "`--force`"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "the user's");
    assert!(machine.calls().is_empty(), "{:?}", machine.calls());
    save(&machine, &["--force"]);
    assert_eq!(about(&fs::read(&file).unwrap())["format"], 1);
}

#[test]
fn unusable_names_and_paths_are_reported_before_fetching() {
    let machine = machine();
    for (args, complaint) in [
        (&["-o", "milvus.zip"][..], "`milvus.zip` is neither a `.tar` nor a `.tar.zst`"),
        (&["-o", "none/milvus.tar"], "there is no folder `none`"),
        (&["-o", "milvus.tar", "--platform", "plan9/mips"], "`plan9/mips` is not a known platform"),
        (&["-o", "milvus.tar", "UPPER"], "`UPPER`"),
        (
            &["-o", "milvus.tar", "--operator-version", "9.9.9"],
            "the images of milvus-operator 9.9.9 are unknown",
        ),
    ] {
        machine.milvusctl(&[&["images", "save"], args].concat()).ends_with(2).complains_of(&[complaint]);
    }
    machine.milvusctl(&["images", "save"]).ends_with(2).complains_of(&["--output <FILE>"]);
    assert!(machine.calls().is_empty(), "{:?}", machine.calls());
}

#[test]
fn an_image_that_cannot_be_found_leaves_no_file() {
    let machine = machine();
    machine.on("docker pull").fails(1, "Error response from daemon: manifest for test/none:1 not found\n");
    machine
        .milvusctl(&[
            "images",
            "save",
            "-o",
            "a.tar",
            "test/left:1",
            "test/none:1",
            "--mirror-preset",
            "none",
        ])
        .ends_with(1)
        .complains_of(&["could not get 1 image", "test/none:1"]);
    assert!(!machine.path("a.tar").exists());
    let left: Vec<_> =
        fs::read_dir(machine.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_dry_run_writes_nothing() {
    let machine = machine();
    machine.milvusctl(&["images", "save", "-o", "a.tar", "test/left:1", "--dry-run"]).ends_with(0);
    assert!(!machine.path("a.tar").exists());
}

#[test]
fn a_bundle_for_other_nodes_is_not_loaded() {
    let machine = machine();
    save(&machine, &[]);
    let nodes = json!({"items": [{"metadata": {"name": "n"}, "status": {"nodeInfo":
        {"operatingSystem": "linux", "architecture": "arm64"}}}]});
    machine.on("kubectl get nodes").says(&nodes.to_string());
    machine.on("kubectl --context kind-milvus-cluster get nodes").says(&nodes.to_string());
    machine.milvusctl(&["images", "load", "-i", "two.tar.zst"]).ends_with(2).complains_of(&[
        "`two.tar.zst` holds images for linux/amd64, and the nodes are linux/arm64",
        "images save --platform linux/arm64",
    ]);
}

#[test]
fn a_bundle_of_a_newer_milvusctl_is_refused() {
    let machine = machine();
    let file = save(&machine, &[]);
    changed(&file, |about| about["format"] = json!(7));
    for args in [&["images", "load", "-i", "two.tar.zst"][..], &["up", "--bundle", "two.tar.zst"]] {
        machine.milvusctl(args).ends_with(2).complains_of(&[
            "`two.tar.zst` cannot be used as a bundle",
            "it is in format 7",
            "update milvusctl",
        ]);
    }
}

#[test]
fn up_rejects_an_unusable_file_before_calling_any_tool() {
    let machine = machine();
    let file = save(&machine, &[]);
    machine.file("words.tar", "just words\n");
    let calls = machine.calls().len();
    let refused = |name: &str, code, complaints: &[&str]| {
        machine.milvusctl(&["up", "--bundle", name]).ends_with(code).complains_of(complaints);
    };
    refused("none.tar", 2, &["file `none.tar` does not exist", "images save -o"]);
    refused("words.tar", 1, &["`words.tar` cannot be used as a bundle"]);
    refused("two.tar.zst", 2, &["`two.tar.zst` only contains images", "images load -i two.tar.zst"]);
    let with_plan = |about: &mut Value| {
        let file = json!({"path": "charts/c.tgz", "size": 1, "digest": format!("sha256:{}", "0".repeat(64))});
        about["plan"] = json!({"about": "Milvus 2.4.17, standalone, milvus-operator 1.1.4", "flags": ["--small"],
            "node_image": "docker.io/kindest/node:v1.34.0", "operator": "1.1.4", "chart": file, "tools": []});
    };
    changed(&file, with_plan);
    refused(
        "two.tar.zst",
        2,
        &[
            "`two.tar.zst` was saved for another plan (Milvus 2.4.17, standalone, milvus-operator 1.1.4) and lacks \
             milvus-operator 1.3.8, milvusdb/milvus-operator:v1.3.8",
            "`milvusctl up --bundle two.tar.zst --small` deploys what it contains",
        ],
    );
    changed(&file, |about| about["platform"] = json!("linux/riscv64"));
    refused("two.tar.zst", 2, &["`two.tar.zst` is for linux/riscv64, and this machine is "]);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..40]).unwrap();
    refused("two.tar.zst", 1, &["`two.tar.zst` cannot be used as a bundle", "breaks off", "copy it again"]);
    assert_eq!(machine.calls().len(), calls);
}

#[test]
fn a_dry_run_takes_images_chart_and_node_image_from_the_bundle() {
    let machine = Fixture::new();
    machine.file("milvusctl.yaml", "cluster: {ports: ['29531:31530', '29100:31000']}\n");
    machine.has_engine_and_tools();
    machine.on("docker ps").says("");
    machine.on("docker image inspect").says("[]\n").fails(1, "Error: No such image: kindest/node:v1.34.0\n");
    machine.on("kubectl config get-contexts").says("");
    let planned = machine.milvusctl(&["images", "plan", "--small", "-o", "json"]).ends_with(0).json();
    let images: Vec<&Value> =
        planned["images"].as_array().unwrap().iter().map(|image| &image["image"]).collect();
    let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let chart = json!({"path": "charts/milvus-operator-1.3.8.tgz", "size": 1, "digest": format!("sha256:{}", "0".repeat(64))});
    let about = json!({
        "format": 1, "milvusctl": "0.1.0", "platform": format!("{os}/{arch}"), "images": images,
        "plan": {"about": "Milvus", "flags": ["--small"], "node_image": "docker.io/kindest/node:v1.34.0",
            "operator": "1.3.8", "chart": chart, "tools": []},
    })
    .to_string();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(about.len() as u64);
    archive.append_data(&mut header, "milvusctl.json", about.as_bytes()).unwrap();
    fs::write(machine.path("b.tar"), archive.into_inner().unwrap()).unwrap();

    let script = machine.milvusctl(&["up", "--small", "--bundle", "b.tar", "--dry-run"]).ends_with(0).out;
    for part in [
        "#   kindest/node:v1.34.0\ndocker load --input b.tar\n",
        "    image: \"kindest/node:v1.34.0\"\n",
        "tar --extract --file b.tar charts/milvus-operator-1.3.8.tgz\n\
         helm upgrade --install milvus-operator charts/milvus-operator-1.3.8.tgz ",
        "#   milvusdb/etcd:3.5.25-r1: the bundle `b.tar`\n",
        "\nmilvusctl images load --name milvus-cluster --input b.tar\n",
    ] {
        assert!(script.contains(part), "`{part}` is not in:\n{script}");
    }
    assert_same("golden/up-bundle.sh", &script);
    for part in ["docker pull", "--repo", "--version"] {
        assert!(!script.contains(part), "`{part}` is in:\n{script}");
    }
    assert!(!machine.calls().iter().any(|call| call.starts_with("docker load")), "{:?}", machine.calls());
}

/// A machine with kind 0.27, a kind configuration with two control planes, and a bundle for them with this
/// load balancer.
fn several_control_planes(load_balancer: Option<&str>) -> Fixture {
    let machine = Fixture::new();
    let node = "image: kindest/node:v1.34.0";
    machine.file(
        "kind.yaml",
        &format!(
            "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{{role: control-plane, {node}}}, \
             {{role: control-plane, {node}}}, {{role: worker, {node}}}]\n"
        ),
    );
    machine.has_engine_and_tools();
    machine.on("docker ps").says("");
    machine.on("docker image inspect").says("[]\n").fails(1, "Error: No such image: x\n");
    machine.on("kubectl config get-contexts").says("");
    let planned = machine.milvusctl(&["images", "plan", "--small", "-o", "json"]).ends_with(0).json();
    let images: Vec<&Value> =
        planned["images"].as_array().unwrap().iter().map(|image| &image["image"]).collect();
    let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let chart = json!({"path": "charts/milvus-operator-1.3.8.tgz", "size": 1, "digest": format!("sha256:{}", "0".repeat(64))});
    let mut about = json!({
        "format": 1, "milvusctl": "0.1.0", "platform": format!("{os}/{arch}"), "images": images,
        "plan": {"about": "Milvus", "flags": ["--small"], "node_image": "docker.io/kindest/node:v1.34.0",
            "operator": "1.3.8", "chart": chart, "tools": []},
    });
    if let Some(image) = load_balancer {
        about["plan"]["load_balancer"] = json!(image);
    }
    let about = about.to_string();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(about.len() as u64);
    archive.append_data(&mut header, "milvusctl.json", about.as_bytes()).unwrap();
    fs::write(machine.path("b.tar"), archive.into_inner().unwrap()).unwrap();
    machine
}

const OF_SEVERAL: [&str; 7] =
    ["up", "--small", "--kind-config", "kind.yaml", "--bundle", "b.tar", "--dry-run"];

#[test]
fn a_bundle_with_the_load_balancer_of_kind_suits_several_control_planes() {
    let machine = several_control_planes(Some("docker.io/kindest/haproxy:v20230606-42a2262b"));
    let script = machine.milvusctl(&OF_SEVERAL).ends_with(0).out;
    assert!(script.contains("docker load --input b.tar\n"), "{script}");
}

#[test]
fn several_control_planes_need_a_bundle_with_the_load_balancer_of_this_kind() {
    for held in [None, Some("docker.io/envoyproxy/envoy:v1.36.2")] {
        several_control_planes(held).milvusctl(&OF_SEVERAL).ends_with(2).complains_of(&[
            "lacks `kindest/haproxy:v20230606-42a2262b`, which kind 0.27.0 needs for several control planes",
        ]);
    }
}
