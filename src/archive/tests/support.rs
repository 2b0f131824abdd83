//! Nodes that keep what they get, archives to send them, and a reader for what arrives.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::{Value, json};

use super::super::tar::{self, EntryKind, TarReader};
use super::super::{
    ArchiveError, Digest, Expected, Limits, NodeHolds, Platform, Sink, TransferReport, transfer,
};

pub(super) const LIMITS: Limits = Limits { queue_bytes: 1 << 20, stall: Duration::from_secs(10) };

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/docker-save-", $name, ".tar"))
    };
}
pub(super) use fixture;

/// A node that keeps everything it is sent.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Blocks in its first write until the other end is dropped.
pub(in crate::archive) struct Hanging(pub(in crate::archive) mpsc::Receiver<()>);

impl Write for Hanging {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        _ = self.0.recv();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A node whose pipe is closed.
pub(in crate::archive) struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    pub(super) fn sink(&self, node: &str, holds: NodeHolds) -> Sink {
        Sink { node: node.to_owned(), writer: Box::new(self.clone()), holds, wants: Vec::new() }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

/// Sends `archive` to one node; returns the report and what the node got.
pub(super) fn send(
    archive: &[u8],
    expected: &[Expected],
    holds: NodeHolds,
) -> Result<(TransferReport, Vec<u8>), ArchiveError> {
    let kept = Kept::default();
    let transfer = transfer(archive, expected, vec![kept.sink("node", holds)], LIMITS, &|_| ())?;
    if let Some(error) = &transfer.nodes[0].error {
        assert!(layout(&kept.bytes()).is_err(), "a node that failed got a whole archive: {error}");
    }
    Ok((transfer, kept.bytes()))
}

pub(super) fn error(archive: &[u8], expected: &[Expected]) -> ArchiveError {
    send(archive, expected, NodeHolds::nothing()).unwrap_err()
}

/// An OCI image layout, read back with every blob's digest checked.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) blobs: BTreeMap<Digest, Vec<u8>>,
    pub(super) index: Value,
}

pub(super) fn layout(bytes: &[u8]) -> Result<Layout, ArchiveError> {
    let mut archive = TarReader::new(bytes);
    let mut entries = archive.entries()?;
    let mut files = BTreeMap::new();
    while let Some(entry) = entries.advance()? {
        assert_eq!(entry.kind, EntryKind::File);
        let mut content = Vec::new();
        while let Some(piece) = entries.chunk()? {
            content.extend_from_slice(&piece);
        }
        assert!(files.insert(entry.path, content).is_none(), "an entry is there twice");
    }
    assert_eq!(files.remove("oci-layout").unwrap(), br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = serde_json::from_slice(&files.remove("index.json").unwrap()).unwrap();
    let mut blobs = BTreeMap::new();
    for (path, content) in files {
        let digest = Digest::of(&content);
        if path.starts_with("blobs/") {
            assert_eq!(path, format!("blobs/sha256/{}", digest.hex()));
        }
        blobs.insert(digest, content);
    }
    Ok(Layout { blobs, index })
}

/// An image in a layout: its name, its configuration and its layers' descriptors.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) name: String,
    pub(super) config: Digest,
    /// Media type, digest, and whether the blob was in the archive.
    pub(super) layers: Vec<(String, Digest, bool)>,
}

impl Layout {
    fn json(&self, descriptor: &Value) -> Value {
        let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
        let bytes = &self.blobs[&digest];
        assert_eq!(descriptor["size"], bytes.len());
        serde_json::from_slice(bytes).unwrap()
    }

    pub(super) fn images(&self) -> Vec<Arrived> {
        let manifests = self.index["manifests"].as_array().unwrap();
        manifests.iter().map(|descriptor| self.image(descriptor)).collect()
    }

    fn image(&self, descriptor: &Value) -> Arrived {
        let manifest = self.json(descriptor);
        assert_eq!(manifest["mediaType"], descriptor["mediaType"]);
        let config = self.json(&manifest["config"]);
        assert_eq!(config["architecture"], descriptor["platform"]["architecture"]);
        // Docker's classic builder writes `null` if there are none.
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let layers = list(&manifest["layers"]);
        assert_eq!(list(&config["rootfs"]["diff_ids"]).len(), layers.len());
        let layer = |layer: &Value| {
            let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
            if let Some(bytes) = self.blobs.get(&digest) {
                assert_eq!(layer["size"], bytes.len());
            }
            (layer["mediaType"].as_str().unwrap().to_owned(), digest, self.blobs.contains_key(&digest))
        };
        Arrived {
            name: descriptor["annotations"]["io.containerd.image.name"].as_str().unwrap().to_owned(),
            config: manifest["config"]["digest"].as_str().unwrap().parse().unwrap(),
            layers: layers.iter().map(layer).collect(),
        }
    }
}

/// A node that holds blobs, given as digest and the diff ID each unpacks to.
pub(super) fn holding(blobs: &[(Digest, Digest)]) -> NodeHolds {
    let line = |(blob, diff_id): &(Digest, Digest)| {
        format!("{blob}\t1.234kB\t2 days\tcontainerd.io/uncompressed={diff_id}\n")
    };
    let lines: String = blobs.iter().map(line).collect();
    NodeHolds::parse(&format!("DIGEST\tSIZE\tAGE\tLABELS\n{lines}")).unwrap()
}

/// Builds a tar archive of files, with its end mark.
pub(super) fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        files.iter().flat_map(|(path, content)| tar::file(path, content).to_vec()).collect();
    bytes.extend_from_slice(&tar::end());
    bytes
}

pub(super) fn config(architecture: &str, layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    json!({"architecture": architecture, "os": "linux", "rootfs": rootfs}).to_string().into_bytes()
}

/// Builds an archive in the old format that holds `layers` and whose manifest names `named`.
pub(super) fn old_archive(layers: &[(&str, &[u8])], named: &[&str], config: &[u8]) -> Vec<u8> {
    let config_path = format!("{}.json", Digest::of(config).hex());
    let manifest = json!([{"Config": config_path, "RepoTags": ["test/image:1"], "Layers": named}]);
    let mut files: Vec<(&str, Vec<u8>)> =
        layers.iter().map(|(path, content)| (*path, content.to_vec())).collect();
    files.push((&config_path, config.to_vec()));
    files.push(("manifest.json", manifest.to_string().into_bytes()));
    archive(&files)
}

/// Builds an archive in the OCI format that holds `blobs` and whose index is `index`.
pub(super) fn oci_archive(blobs: &[Vec<u8>], index: &Value) -> Vec<u8> {
    let paths: Vec<String> =
        blobs.iter().map(|blob| format!("blobs/sha256/{}", Digest::of(blob).hex())).collect();
    let mut files: Vec<(&str, Vec<u8>)> =
        paths.iter().map(String::as_str).zip(blobs.iter().cloned()).collect();
    files.push(("index.json", index.to_string().into_bytes()));
    files.push(("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
    archive(&files)
}

pub(super) fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(content), "size": content.len()})
}

pub(super) fn manifest(config: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    let layers: Vec<Value> =
        layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer)).collect();
    let config = descriptor("application/vnd.oci.image.config.v1+json", config);
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers})
        .to_string()
        .into_bytes()
}

/// An index that names `manifest` as `docker.io/test/image:1`.
pub(super) fn index(manifest: &[u8]) -> Value {
    let mut named = descriptor("application/vnd.oci.image.manifest.v1+json", manifest);
    named["annotations"] = json!({"io.containerd.image.name": "docker.io/test/image:1"});
    json!({"schemaVersion": 2, "manifests": [named]})
}

pub(super) fn image() -> Expected {
    Expected::named("docker.io/test/image:1")
}

pub(super) fn linux(architecture: &str) -> Platform {
    Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
}
