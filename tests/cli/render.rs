//! The output of `render`: complete documents, and values that YAML readers tend to misread.

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::snapshot::assert_same;

#[track_caller]
fn rendered(args: &[&str]) -> String {
    let machine = Fixture::with_tools(&[]);
    let line: Vec<&str> = ["render"].iter().chain(args).copied().collect();
    machine.milvusctl(&line).ends_with(0).out
}

/// Parses it with a YAML reader.
#[track_caller]
fn read(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn the_documents_match_the_committed_ones() {
    let rows: [(&str, &[&str]); 9] = [
        ("cluster.yaml", &["cluster"]),
        ("cluster-no-mirror.yaml", &["cluster", "--mirror-preset", "none", "--workers", "1"]),
        ("cluster-small.yaml", &["cluster", "--small"]),
        ("milvus.yaml", &["milvus"]),
        ("milvus-small.yaml", &["milvus", "--small"]),
        (
            "milvus-woodpecker.yaml",
            &["milvus", "--message-store", "woodpecker", "--milvus-version", "v2.6.0"],
        ),
        ("attu.yaml", &["attu"]),
        ("values.yaml", &["values"]),
        ("config.yaml", &["config"]),
    ];
    for (file, args) in rows {
        assert_same(&format!("golden/{file}"), &rendered(args));
    }
}

#[test]
fn the_default_cluster_is_that_of_the_article_on_loopback() {
    let mapping = |host: u16, node: u16| json!({"containerPort": node, "hostPort": host, "listenAddress": "127.0.0.1", "protocol": "TCP"});
    let expected = json!({
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": "milvus-cluster",
        "networking": {"serviceSubnet": "10.0.0.0/16"},
        "kubeadmConfigPatches": [
            "kind: ClusterConfiguration\nimageRepository: registry.aliyuncs.com/google_containers\n"
        ],
        "nodes": [
            {"role": "control-plane", "extraPortMappings": [mapping(31000, 31000), mapping(19530, 31530)]},
            {"role": "worker"}, {"role": "worker"}, {"role": "worker"},
        ],
    });
    assert_eq!(read(&rendered(&["cluster"])), expected);
    assert_eq!(read(&rendered(&[])), expected);
}

#[test]
fn names_that_look_like_something_else_stay_names() {
    for name in ["yes", "no", "null", "on", "1e3", "0x1f", "007", "12.5", "2024-01-01"] {
        let text = rendered(&["cluster", "--name", name]);
        assert_eq!(read(&text)["name"], json!(name));
        // YAML 1.1 readers, kind's among them, take some of these words for booleans or numbers unless
        // quoted.
        assert!(text.contains(&format!("\nname: \"{name}\"\n")), "{text}");
    }
}

#[test]
fn text_with_yaml_syntax_stays_text() {
    for reference in ["a: b", "x # y", "- z", "{q}", "\"", "'", "line\nbreak", "tab\t", "*a", "&a", "!a", "%"]
    {
        let machine = Fixture::with_tools(&[]);
        let outcome = machine.milvusctl(&["render", "cluster", &format!("--node-image={reference}")]);
        if outcome.code == Some(0) {
            assert_eq!(read(&outcome.out)["nodes"][0]["image"], json!(reference));
        } else {
            outcome.ends_with(2).complains_of(&["--node-image"]);
        }
    }
}

#[test]
fn the_node_image_and_the_ports_are_configurable() {
    let args = ["cluster", "--workers", "1", "--node-image", "kindest/node:v1.33.1", "--port", "8080:30080"];
    let cluster = read(&rendered(&[&args[..], &["--listen", "0.0.0.0"]].concat()));
    assert_eq!(
        cluster["nodes"],
        json!([
            {"role": "control-plane", "image": "kindest/node:v1.33.1", "extraPortMappings": [
                {"containerPort": 30080, "hostPort": 8080, "listenAddress": "0.0.0.0", "protocol": "TCP"}
            ]},
            {"role": "worker", "image": "kindest/node:v1.33.1"},
        ])
    );
}

#[test]
fn small_is_one_node_and_standalone() {
    let cluster = read(&rendered(&["cluster", "--small"]));
    assert_eq!(cluster["nodes"].as_array().map(Vec::len), Some(1));
    assert_eq!(read(&rendered(&["milvus", "--small"]))["spec"]["mode"], "standalone");
}

#[test]
fn printed_settings_can_be_read_back() {
    let machine = Fixture::with_tools(&[]);
    let printed =
        machine.milvusctl(&["render", "config", "--workers", "1", "--mode", "standalone"]).ends_with(0).out;
    machine.file("again.yaml", &printed);
    let again = machine.milvusctl(&["render", "config", "-c", "again.yaml"]).ends_with(0).out;
    assert_eq!(read(&again), read(&printed));
}

#[test]
fn every_example_renders() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        seen += 1;
        for what in ["cluster", "milvus", "attu", "values", "config"] {
            let machine = Fixture::with_tools(&[]);
            // An example may name the variables that hold its secrets.
            let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
            machine.milvusctl_with(&keys, &["render", what, "-c", path.to_str().unwrap()]).ends_with(0);
        }
    }
    assert!(seen >= 5, "only {seen} examples were found");
}

#[test]
fn documents_contain_no_secret() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/external-s3.yaml");
    for what in ["cluster", "milvus", "attu", "values", "config"] {
        let machine = Fixture::with_tools(&[]);
        let keys = [("AWS_ACCESS_KEY_ID", "an-id-0815"), ("AWS_SECRET_ACCESS_KEY", "a-secret-4711")];
        let outcome = machine.milvusctl_with(&keys, &["render", what, "-v", "-c", example]).ends_with(0);
        let all = outcome.out + &outcome.err;
        assert!(!all.contains("4711"), "{what}:\n{all}");
    }
}
