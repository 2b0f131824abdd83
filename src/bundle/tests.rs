use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::archive::{Descriptor, contents};
use crate::bundle::{BundledTool, Packing, PlanContents};
use crate::store::ExportTarget;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn amd64() -> Platform {
    Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None }
}

/// A store with two images that share a layer.
struct PackedStore {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    images: Vec<ImageRef>,
}

impl PackedStore {
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&folder.path().join("images"), &Interrupt::default()).unwrap());
        Self { folder, store, images: Vec::new() }
    }

    fn new() -> Self {
        let mut machine = Self::empty();
        let shared: Vec<u8> = (0..70_000_u32).flat_map(u32::to_le_bytes).collect();
        machine.image("kindest/node:v1.34.0", &[b"the node's"]);
        machine.image("test/left:1", &[&shared]);
        machine.image("test/right:1", &[&shared, b"its own"]);
        machine
    }

    fn image(&mut self, name: &str, layers: &[&[u8]]) {
        let describe = |media_type: &str, bytes: &[u8]| -> Descriptor {
            let digest = self.store.put(bytes).unwrap();
            serde_json::from_value(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
                .unwrap()
        };
        let layers: Vec<Descriptor> =
            layers.iter().map(|layer| describe("application/vnd.oci.image.layer.v1.tar", layer)).collect();
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
        let config = json!({"architecture": "amd64", "os": "linux", "name": name,
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = describe("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})
            .to_string();
        let manifest = describe(MANIFEST, manifest.as_bytes());
        let image: ImageRef = name.parse().unwrap();
        self.store.name(&image, &manifest).unwrap();
        self.images.push(image);
    }

    fn held(&self) -> Vec<StoredImage> {
        self.images.iter().map(|image| self.store.find(image, &[amd64()]).unwrap().unwrap()).collect()
    }

    fn contents(&self) -> Contents {
        let files = self.folder.path().join("files");
        let file = |path: &str, text: &str| {
            std::fs::create_dir_all(files.join(path).parent().unwrap()).unwrap();
            std::fs::write(files.join(path), text).unwrap();
            let (size, digest) = (text.len() as u64, Digest::of(text.as_bytes()));
            BundledFile { path: path.to_owned(), size, digest }
        };
        let tool =
            BundledTool { name: "kind".into(), version: None, file: file("tools/kind", "#!/bin/sh\n") };
        let plan = PlanContents {
            about: "Milvus".to_owned(),
            flags: vec!["--small".to_owned()],
            node_image: Some(self.images[0].clone()),
            load_balancer: None,
            operator: semver::Version::new(1, 3, 8),
            chart: file("charts/milvus-operator-1.3.8.tgz", "a chart"),
            tools: vec![tool],
        };
        Contents::new("linux/amd64".to_owned(), self.images[1..].to_vec(), Some(plan))
    }

    fn write(&self, contents: &Contents, packing: Packing) -> Vec<u8> {
        let held = self.held();
        let layout = self
            .store
            .export(&held.iter().collect::<Vec<_>>(), ExportTarget::Engine, BTreeSet::new())
            .unwrap();
        let mut bytes = Vec::new();
        let files = self.folder.path().join("files");
        super::super::write(
            &mut bytes,
            packing,
            contents,
            &files,
            layout,
            &Interrupt::default(),
            &mut |_| (),
        )
        .unwrap();
        bytes
    }

    /// Writes a bundle of everything to a file.
    fn bundle(&self, packing: Packing) -> (PathBuf, Vec<u8>) {
        let bytes = self.write(&self.contents(), packing);
        (self.file(&bytes), bytes)
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("bundle");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self, bytes: &[u8]) -> Result<Option<Bundle>, BundleError> {
        Bundle::open(&self.file(bytes), &Interrupt::default())
    }

    fn import(&self, bundle: &Bundle, images: &[ImageRef]) -> Result<Vec<StoredImage>, ImportError> {
        bundle.import(&self.store, images, &Interrupt::default(), &mut |_| ())
    }
}

#[test]
fn bundles_round_trip_compressed_or_not() {
    let machine = PackedStore::new();
    for packing in [Packing::None, Packing::Zstd] {
        let (path, _) = machine.bundle(packing);
        let bundle = Bundle::open(&path, &Interrupt::default()).unwrap().unwrap();
        assert_eq!(bundle.contents, machine.contents());
        let other = PackedStore::empty();
        let images: Vec<ImageRef> = bundle.contents.all_images().cloned().collect();
        let taken = other.import(&bundle, &images).unwrap();
        let manifests = |held: &[StoredImage]| -> Vec<Digest> {
            held.iter().map(|held| held.platforms[0].manifest.digest).collect()
        };
        assert_eq!(manifests(&taken), manifests(&machine.held()), "{packing:?}");
        for blob in taken.iter().flat_map(|held| held.platforms[0].blobs()) {
            let mut reader = other.store.reader(blob.digest).unwrap().unwrap();
            reader.read_to_end(&mut Vec::new()).unwrap();
        }
    }
}

#[test]
fn a_bundle_is_an_image_archive_with_each_layer_once() {
    let machine = PackedStore::new();
    let (_, bytes) = machine.bundle(Packing::None);
    assert!(bytes.len() < 2 * 280_000, "{}", bytes.len());
    let names: Vec<String> = contents(&bytes[..]).unwrap().into_iter().map(|image| image.name).collect();
    assert_eq!(names, ["docker.io/kindest/node:v1.34.0", "docker.io/test/left:1", "docker.io/test/right:1"]);
}

#[test]
fn only_the_wanted_images_are_imported() {
    let machine = PackedStore::new();
    let bundle = machine.open(&machine.bundle(Packing::None).1).unwrap().unwrap();
    let other = PackedStore::empty();
    other.import(&bundle, &bundle.contents.images).unwrap();
    let names: Vec<String> =
        other.store.names().unwrap().into_iter().map(|name| name.image.familiar()).collect();
    assert_eq!(names, ["test/left:1", "test/right:1"]);
    assert!(!other.store.has(Digest::of(b"the node's"), 10));
}

#[test]
fn files_are_extracted_and_checked() {
    let machine = PackedStore::new();
    let (_, bytes) = machine.bundle(Packing::Zstd);
    let bundle = machine.open(&bytes).unwrap().unwrap();
    let plan = bundle.contents.plan.as_ref().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let extract = |file: &BundledFile| bundle.extract(&[file], folder.path(), &Interrupt::default());
    extract(&plan.tools[0].file).unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("tools/kind")).unwrap(), "#!/bin/sh\n");
    assert!(!folder.path().join("charts").exists());
    let other = BundledFile { digest: Digest::of(b"another"), ..plan.chart.clone() };
    assert!(matches!(extract(&other), Err(BundleError::Damaged { .. })));
    let absent = BundledFile { path: "tools/helm".to_owned(), ..plan.chart.clone() };
    assert!(matches!(extract(&absent), Err(BundleError::Absent(path)) if path == "tools/helm"));
}

#[test]
fn a_truncated_bundle_names_no_image() {
    let machine = PackedStore::new();
    let mut images = machine.images.clone();
    images.remove(0);
    for packing in [Packing::None, Packing::Zstd] {
        let (_, bytes) = machine.bundle(packing);
        // Even if all blobs arrived and only the end is missing.
        for cut in [bytes.len() / 2, bytes.len() - 1025, bytes.len() - 2] {
            let bundle = match machine.open(&bytes[..cut]) {
                Ok(bundle) => bundle.unwrap(),
                Err(BundleError::Archive(ArchiveError::Truncated { .. })) => continue,
                Err(error) => panic!("{error}"),
            };
            let other = PackedStore::empty();
            let error = other.import(&bundle, &images);
            let is_whole_enough = packing == Packing::None && cut == bytes.len() - 2;
            assert!(
                matches!(error, Err(ImportError::Archive(ArchiveError::Truncated { .. }))) || is_whole_enough,
                "{packing:?} cut at {cut}: {error:?}"
            );
            assert!(is_whole_enough || other.store.names().unwrap().is_empty());
        }
    }
}

#[test]
fn a_damaged_blob_is_named_and_not_kept() {
    let machine = PackedStore::new();
    let (_, mut bytes) = machine.bundle(Packing::None);
    let at = bytes.windows(7).position(|window| window == b"its own").unwrap();
    bytes[at] = b'I';
    let bundle = machine.open(&bytes).unwrap().unwrap();
    let other = PackedStore::empty();
    let error = other.import(&bundle, &machine.images).unwrap_err();
    let digest = Digest::of(b"its own");
    assert!(matches!(error, ImportError::Damaged { digest: found, .. } if found == digest), "{error}");
    assert!(!other.store.has(digest, 7));
    assert_eq!(other.store.names().unwrap(), []);
}

#[test]
fn a_missing_image_is_named() {
    let machine = PackedStore::new();
    let bundle = machine.open(&machine.bundle(Packing::None).1).unwrap().unwrap();
    let error = PackedStore::empty().import(&bundle, &["test/other:1".parse().unwrap()]).unwrap_err();
    assert_eq!(error.to_string(), "it does not hold `docker.io/test/other:1`");
}

#[test]
fn a_newer_format_is_rejected_before_it_is_parsed() {
    let machine = PackedStore::new();
    let file = crate::archive::LayoutFile {
        path: FILE.to_owned(),
        size: 48,
        reader: Box::new(&br#"{"format": 2, "milvusctl": "9.1.0", "what": [1]}"#[..]),
    };
    let mut bytes = Vec::new();
    machine
        .store
        .export(&[], ExportTarget::Engine, BTreeSet::new())
        .unwrap()
        .behind(vec![file])
        .read_to_end(&mut bytes)
        .unwrap();
    let error = machine.open(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "it is in format 2, which milvusctl 9.1.0 wrote; this milvusctl, {}, reads formats up to 1",
            env!("CARGO_PKG_VERSION")
        )
    );
}

#[test]
fn another_archive_is_not_a_bundle() {
    let machine = PackedStore::new();
    let mut bytes = Vec::new();
    machine
        .store
        .export(&machine.held().iter().collect::<Vec<_>>(), ExportTarget::Engine, BTreeSet::new())
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert!(machine.open(&bytes).unwrap().is_none());
    assert!(matches!(machine.open(b"just words"), Err(BundleError::Archive(_))));
}

#[test]
fn a_bundle_describes_its_contents_in_json() {
    let machine = PackedStore::new();
    let (_, bytes) = machine.bundle(Packing::None);
    let about: Value =
        serde_json::Deserializer::from_slice(&bytes[512..]).into_iter().next().unwrap().unwrap();
    let file = |path: &str, text: &str| {
        let map = BTreeMap::from([
            ("path", json!(path)),
            ("size", json!(text.len())),
            ("digest", json!(Digest::of(text.as_bytes()))),
        ]);
        json!(map)
    };
    let mut kind = file("tools/kind", "#!/bin/sh\n");
    kind["name"] = json!("kind");
    kind["version"] = Value::Null;
    let expected = json!({
        "format": 1, "milvusctl": env!("CARGO_PKG_VERSION"), "platform": "linux/amd64",
        "images": ["docker.io/test/left:1", "docker.io/test/right:1"],
        "plan": {
            "about": "Milvus", "flags": ["--small"], "node_image": "docker.io/kindest/node:v1.34.0", "operator": "1.3.8",
            "chart": file("charts/milvus-operator-1.3.8.tgz", "a chart"), "tools": [kind],
        },
    });
    assert_eq!(about, expected);
}
