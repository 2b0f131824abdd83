//! The purpose of the image store: later clusters download nothing, and pinned images keep their digests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::loading::{BadLine, pod};
use crate::machine::{Machine, registry};

const INDEXES: &str =
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";

#[test]
#[ignore = "needs Docker, kind, kubectl and a registry, and takes two minutes"]
fn a_second_cluster_downloads_nothing_and_a_pod_pinned_to_an_index_runs() {
    let machine = Machine::new("milvusctl-test-store");
    let line = BadLine::to(&registry(), u64::MAX, Duration::ZERO);
    let digest = index_digest("library/multiarch", "1");
    // These names belong to the counting proxy, so nothing bypasses its count.
    let pinned = format!("127.0.0.1:{}/library/multiarch@{digest}", line.port);
    let tagged = format!("127.0.0.1:{}/library/busybox:1.36", line.port);
    let load = [
        "images",
        "load",
        &pinned,
        &tagged,
        "--pull-with",
        "registry",
        "--mirror-preset",
        "none",
        "-o",
        "json",
    ];

    make_cluster(&machine);
    let report = machine.milvusctl(&load).ends_with(0).json();
    assert_eq!(report["loaded"], 2, "{report}");
    let passed = line.passed.load(Ordering::Relaxed);
    assert!(passed > 0);
    runs(&machine, "pinned", &pinned);

    machine.tool("kind", &["delete", "cluster", "--name", machine.name()]).unwrap();
    make_cluster(&machine);
    let report = machine.milvusctl(&load).ends_with(0).json();
    assert_eq!(report["loaded"], 2, "{report}");
    assert_eq!(line.passed.load(Ordering::Relaxed) - passed, 0, "bytes came from the registry");
    runs(&machine, "pinned", &pinned);
    runs(&machine, "tagged", &tagged);
}

fn make_cluster(machine: &Machine) {
    let mut args = vec!["create", "cluster", "--name", machine.name(), "--wait", "180s"];
    let image = std::env::var("MILVUSCTL_NODE_IMAGE").unwrap_or_default();
    if !image.is_empty() {
        args.extend(["--image", &image]);
    }
    machine.tool("kind", &args).unwrap();
}

fn runs(machine: &Machine, name: &str, image: &str) {
    machine.kubectl_with_input(&["apply", "-f", "-"], &pod(name, image, None)).unwrap();
    machine.kubectl(&["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=90s"]).unwrap();
}

/// The digest of the index behind a tag, as reported by the registry.
fn index_digest(repository: &str, tag: &str) -> String {
    let mut stream = TcpStream::connect(registry()).unwrap();
    let request = format!(
        "HEAD /v2/{repository}/manifests/{tag} HTTP/1.1\r\nHost: {}\r\nAccept: {INDEXES}\r\nConnection: close\r\n\r\n",
        registry()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let header = answer.lines().find(|line| line.to_ascii_lowercase().starts_with("docker-content-digest:"));
    let digest = header.unwrap_or_else(|| panic!("no digest in {answer}")).split_once(':').unwrap().1;
    digest.trim().to_owned()
}
