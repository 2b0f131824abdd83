//! Disks that are really full: each run gets a small file system that only it can see.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::fixture::{Fixture, Outcome};
use crate::troubleshooting::{cluster_with, up, waiting, without_cluster};

/// More than fits on any of the disks.
const LAYER: usize = 6 << 20;

/// Runs milvusctl with a private file system of `size` at `folder`, and then lists the files left there after
/// `left:` on standard error. `None` if users may not mount file systems here.
fn on_a_small_disk(machine: &Fixture, size: &str, folder: &Path, args: &[&str]) -> Option<Outcome> {
    const SCRIPT: &str = "mount -t tmpfs -o size=$SIZE,mode=1777 none \"$0\" || exit 99\n\
        \"$@\"\ncode=$?\nfind \"$0\" -type f -printf 'left: %f %s\\n' >&2\nexit $code";
    std::fs::create_dir_all(folder).unwrap();
    let plain = machine.command(args);
    #[expect(clippy::disallowed_methods, reason = "it gives the run a file system of its own")]
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--map-root-user", "--mount", "/bin/sh", "-c", SCRIPT]).arg(folder);
    command.arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("SIZE", size).env("PATH", format!("{}:/usr/bin:/bin", machine.path("../bin").display()));
    command.current_dir(plain.get_current_dir().unwrap());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
    let outcome = Outcome::of_child(child);
    let is_refused = outcome.code == Some(99) || outcome.err.starts_with("unshare:");
    if is_refused {
        say(&format!("left out, as this user may not mount: {}", outcome.err));
    }
    (!is_refused).then_some(outcome)
}

#[expect(clippy::print_stderr, reason = "a test that is left out has to say so")]
fn say(text: &str) {
    eprintln!("{}", text.trim_end());
}

/// The files left on the small disk, with their sizes.
fn left(outcome: &Outcome) -> Vec<(&str, u64)> {
    let files = outcome.err.lines().filter_map(|line| line.strip_prefix("left: ")?.split_once(' '));
    files.map(|(name, size)| (name, size.parse().unwrap())).collect()
}

/// The digest of some bytes, as images write it.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: Vec<String> = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", hex.concat())
}

/// A registry with the image `a/b:1`.
fn registry() -> String {
    let layer = vec![7; LAYER];
    let config = json!({"architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}})
    .to_string();
    let kind = |name: &str| format!("application/vnd.oci.image.{name}");
    let manifest = json!({"schemaVersion": 2, "mediaType": kind("manifest.v1+json"),
        "config": {"mediaType": kind("config.v1+json"), "digest": digest(config.as_bytes()), "size": config.len()},
        "layers": [{"mediaType": kind("layer.v1.tar"), "digest": digest(&layer), "size": layer.len()}]})
    .to_string();
    let top = digest(manifest.as_bytes());
    let files: HashMap<String, Vec<u8>> = [
        ("manifests/1".to_owned(), manifest.clone().into_bytes()),
        (format!("manifests/{top}"), manifest.into_bytes()),
        (format!("blobs/{}", digest(config.as_bytes())), config.into_bytes()),
        (format!("blobs/{}", digest(&layer)), layer),
    ]
    .into();
    let files = Arc::new(files);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let files = Arc::clone(&files);
            std::thread::spawn(move || serve(&stream, &files));
        }
    });
    host
}

/// Answers requests until the client closes the connection.
fn serve(mut stream: &TcpStream, files: &HashMap<String, Vec<u8>>) -> Option<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    loop {
        let request = lines.next()?;
        let start = lines
            .by_ref()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| {
                line.to_lowercase().strip_prefix("range: bytes=")?.split('-').next()?.parse().ok()
            })
            .last()
            .unwrap_or(0_usize);
        let path = request.split(' ').nth(1)?.strip_prefix("/v2/a/b/").unwrap_or_default();
        let Some(bytes) = files.get(path) else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").ok()?;
            continue;
        };
        let (length, end) = (bytes.len() - start, bytes.len() - 1);
        let range = if start > 0 {
            format!("206 Partial Content\r\nContent-Range: bytes {start}-{end}/{}", bytes.len())
        } else {
            "200 OK".to_owned()
        };
        let kind = if path.starts_with("manifests/") {
            "application/vnd.oci.image.manifest.v1+json"
        } else {
            "application/octet-stream"
        };
        let head = format!("HTTP/1.1 {range}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        if !request.starts_with("HEAD") {
            stream.write_all(&bytes[start..]).ok()?;
        }
    }
}

/// A machine with a pod that waits for the image, and a node that lists it once it was sent. The node runs
/// `first` before it answers what it holds.
pub(crate) fn waiting_for(machine: Fixture, image: &str, first: &str) -> Fixture {
    waiting_for_with(machine, image, first, "")
}

/// The same with a node that runs `in_import` before it imports.
pub(crate) fn waiting_for_with(machine: Fixture, image: &str, first: &str, in_import: &str) -> Fixture {
    machine.on("docker info").says("{}");
    let holds = "\"$FAKE_TOOL_DIR/holds\"";
    machine.on("docker exec -i w ctr").runs(&format!(
        "{in_import}tar -xOf \"$FAKE_TOOL_DIR/input.$$\" index.json | sed 's/.*\"digest\":\"\\(sha256:[0-9a-f]*\\)\".*/\\1/' >{holds}"
    ));
    machine.on("kind load").runs(&format!("echo {} >{holds}", digest(b"what kind loads")));
    machine.on("docker exec w ctr --namespace k8s.io images check").runs(&format!(
        "{first}\necho REF TYPE DIGEST STATUS SIZE UNPACKED\n[ ! -e {holds} ] || \
         echo \"{image} application/vnd.oci.image.manifest.v1+json $(cat {holds}) complete (2/2) 1 B/1 B true\""
    ));
    machine.on("docker exec w ctr --namespace k8s.io images").says("REF TYPE DIGEST SIZE PLATFORMS LABELS\n");
    machine.on("docker exec w ctr images import --help").says("");
    cluster_with(machine, &[waiting("late", image, "IfNotPresent", "ErrImagePull")])
}

#[test]
fn a_store_on_a_full_disk_is_reported_and_the_next_run_resumes() {
    let host = registry();
    let machine = waiting_for(Fixture::new(), &format!("{host}/a/b:1"), "");
    let args = ["load-missing-images", "--pull-with", "registry", "--store", "store"];
    let Some(outcome) = on_a_small_disk(&machine, "2m", &machine.path("store"), &args) else { return };
    let outcome = outcome.ends_with(4).complains_of(&[
        "the disk with the image store `store` is full: 6.00 MiB needed",
        "make room with `milvusctl images prune`, or name a folder on another disk with `--store`",
    ]);
    let layers = left(&outcome).into_iter().filter(|(_, size)| *size > 1 << 20).count();
    assert_eq!(layers, 0, "{}", outcome.err);
    machine.milvusctl(&args).ends_with(0);
}

#[test]
fn a_full_temporary_folder_is_reported_and_left_empty() {
    let machine = Fixture::new();
    let inspected = json!([{"Id": digest(b"x"), "RepoTags": ["a/b:1"], "Os": "linux", "Architecture": "amd64",
        "Size": 3, "RootFS": {"Type": "layers", "Layers": [digest(b"y")]}}]);
    machine.on("docker image inspect").says(&inspected.to_string());
    // In the words of Docker 20.10's client.
    machine.on("docker save").runs(&format!(
        "file=$(tail -n 1 \"$FAKE_TOOL_DIR/calls\" | sed 's/.*--output \\([^ ]*\\).*/\\1/')\n\
         head -c {LAYER} /dev/zero >\"$file\" 2>/dev/null || {{ echo \"write $file: no space left on device\" >&2; exit 1; }}"
    ));
    let machine = waiting_for(machine, "docker.io/a/b:1", "");
    let args = ["load-missing-images", "--loader", "kind"];
    let Some(outcome) = on_a_small_disk(&machine, "2m", &machine.path("../tmp"), &args) else { return };
    let outcome =
        outcome.ends_with(4).complains_of(&["hint: docker.io/a/b:1: free space there, or set `TMPDIR`"]);
    assert!(outcome.out.contains("tmp`, the folder for temporary files"), "{}", outcome.out);
    assert_eq!(left(&outcome), []);
    machine.milvusctl(&args).ends_with(0);
}

#[test]
fn a_bundle_on_a_full_disk_is_reported_and_leaves_no_file() {
    let machine = crate::images_save::machine();
    let (folder, images) = (machine.path("disk"), ["test/left:1", "test/right:1"]);
    let args = [&["images", "save", "--platform", "linux/amd64", "-o", "disk/two.tar"][..], &images].concat();
    let Some(outcome) = on_a_small_disk(&machine, "8k", &folder, &args) else { return };
    let outcome = outcome.ends_with(1).complains_of(&[
        "error: could not write `disk/two.tar`",
        "caused by: No space left on device",
        "hint: free space on that disk",
    ]);
    assert_eq!(left(&outcome), []);
    machine.milvusctl(&args).ends_with(0);
}

/// Docker 28.5's error when its own disk is full.
const FULL_SAVE: &str = "Error response from daemon: write /var/lib/docker/tmp/docker-export-3278879657/blobs/sha256/\
                         d16dd658: no space left on device";
const ENGINE_HINT: &str =
    "free up disk space for the engine: `docker system df` shows what uses it, `docker system prune` removes";

#[test]
fn an_engine_without_room_to_save_is_told_and_the_next_run_loads() {
    let machine = Fixture::new();
    let archive = "tests/fixtures/docker-save-shared-layer.docker-20.10.tar";
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(archive);
    let inspected = json!([{"Id": digest(b"x"), "RepoTags": ["test/left:1"], "Os": "linux", "Architecture": "amd64",
        "Size": 3, "RootFS": {"Type": "layers", "Layers": []}}]);
    machine.on("docker image inspect").says(&inspected.to_string());
    machine.on("docker save").fails(1, &format!("{FULL_SAVE}\n")).once();
    machine.on("docker save").runs(&format!("cat '{}'", archive.display()));
    let machine = waiting_for(machine, "docker.io/test/left:1", "");
    let outcome = machine.milvusctl(&["load-missing-images"]).ends_with(4).complains_of(&[ENGINE_HINT]);
    assert!(outcome.out.contains("no space left on device"), "{}", outcome.out);
    assert!(!outcome.out.contains("--loader kind"), "{}", outcome.out);
    machine.assert_all_ended();
    machine.milvusctl(&["load-missing-images"]).ends_with(0);
}

#[test]
fn an_engine_without_room_for_a_node_is_told_with_what_helps() {
    let machine = without_cluster();
    machine.on("docker pull").fails(1, "no route to host\n");
    machine.on("kind create cluster").fails(
        1,
        "ERROR: failed to create cluster: command \"docker run --name milvus-cluster-control-plane\" failed with error: \
         exit status 125\nCommand Output: docker: Error response from daemon: mkdir /var/lib/docker/overlay2/4f1c-init: \
         no space left on device.\n",
    );
    up(&machine, &["--mirror-preset", "none"]).ends_with(1).complains_of(&[
        "error: could not create cluster `milvus-cluster`",
        "no space left on device",
        ENGINE_HINT,
    ]);
}
