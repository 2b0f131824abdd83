use std::io::Read as _;

use super::*;
use crate::archive::{Descriptor, Platform};
use crate::images::ImageRef;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("images"), &Interrupt::default()).unwrap();
    (folder, store)
}

fn begin(store: &Store, bytes: &[u8]) -> Partial {
    match store.begin(Digest::of(bytes), bytes.len() as u64).unwrap() {
        BlobState::Part(partial) => *partial,
        BlobState::Whole => panic!("already in the store"),
    }
}

fn keep(store: &Store, bytes: &[u8]) -> Descriptor {
    let mut partial = begin(store, bytes);
    partial.write_at(0, bytes).unwrap();
    partial.finish().map_err(|(_, error)| error).unwrap();
    Descriptor {
        media_type: String::new(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        annotations: std::collections::BTreeMap::default(),
        platform: None,
    }
}

fn amd64() -> Platform {
    Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None }
}

fn image(store: &Store, name: &str, layers: &[&[u8]]) -> ImageRef {
    let config = keep(store, format!("config of {name}").as_bytes());
    let layers: Vec<_> = layers.iter().map(|layer| keep_once(store, layer)).collect();
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers});
    let digest = store.put(manifest.to_string().as_bytes()).unwrap();
    let size = store.size_of(digest).unwrap();
    let descriptor = Descriptor { media_type: MANIFEST.to_owned(), digest, size, ..config };
    let image: ImageRef = name.parse().unwrap();
    store.name(&image, &descriptor).unwrap();
    image
}

fn keep_once(store: &Store, bytes: &[u8]) -> Descriptor {
    let _ = store.remove(Digest::of(bytes));
    keep(store, bytes)
}

#[test]
fn a_blob_resumes_where_an_earlier_run_stopped() {
    let (_folder, store) = store();
    let bytes = b"0123456789";
    begin(&store, bytes).write_at(0, b"0123").unwrap();
    assert_eq!(store.size_of(Digest::of(bytes)), None);
    let mut partial = begin(&store, bytes);
    assert_eq!(partial.missing(), std::iter::once(4..10).collect::<Vec<_>>());
    partial.write_at(4, b"456789").unwrap();
    assert!(partial.finish().is_ok());
    assert_eq!(store.bytes(Digest::of(bytes)).unwrap().as_deref(), Some(&bytes[..]));
    assert!(matches!(store.begin(Digest::of(bytes), 10).unwrap(), BlobState::Whole));
}

#[test]
fn parts_out_of_order_are_remembered() {
    let (_folder, store) = store();
    let bytes = b"0123456789";
    let mut partial = begin(&store, bytes);
    partial.write_at(0, b"01").unwrap();
    partial.write_at(6, b"67").unwrap();
    drop(partial);
    let mut partial = begin(&store, bytes);
    assert_eq!((partial.held(), partial.missing()), (4, vec![2..6, 8..10]));
    partial.write_at(8, b"89").unwrap();
    partial.write_at(2, b"2345").unwrap();
    assert!(partial.finish().is_ok());
    assert!(!store.blob_path(Digest::of(bytes)).with_extension("parts").exists());
}

#[test]
fn bytes_with_the_wrong_digest_leave_nothing() {
    let (_folder, store) = store();
    let mut partial = begin(&store, b"right");
    partial.write_at(0, b"wrong").unwrap();
    let Err((Some(partial), error)) = partial.finish() else { panic!("it was accepted") };
    assert!(matches!(error, StoreError::Mismatch { found, .. } if found == Digest::of(b"wrong")));
    assert_eq!((partial.held(), store.size_of(Digest::of(b"right"))), (0, None));
}

#[test]
fn bytes_beyond_the_size_of_the_blob_are_refused() {
    let (_folder, store) = store();
    assert!(begin(&store, b"abc").write_at(2, b"cd").is_err());
}

#[test]
fn a_run_waits_for_another_that_writes_the_same_blob() {
    let (folder, store) = store();
    let bytes = b"shared";
    let mut partial = begin(&store, bytes);
    let waiter = std::thread::spawn(move || {
        let other = Store::open(&folder.path().join("images"), &Interrupt::default()).unwrap();
        let begun = other.begin(Digest::of(bytes), 6).unwrap();
        (folder, matches!(begun, BlobState::Whole))
    });
    std::thread::sleep(Duration::from_millis(150));
    partial.write_at(0, bytes).unwrap();
    assert!(partial.finish().is_ok());
    assert!(waiter.join().unwrap().1);
}

#[test]
fn waiting_for_another_run_can_be_interrupted() {
    let (_folder, store) = store();
    let _partial = begin(&store, b"x");
    let limited = Interrupt::default().after(Duration::from_millis(100));
    let other = Store::open(store.root(), &limited).unwrap();
    assert!(matches!(other.begin(Digest::of(b"x"), 1), Err(StoreError::Interrupted)));
}

#[test]
fn opening_waits_for_a_prune_until_the_deadline() {
    let (_folder, store) = store();
    let root = store.root().to_owned();
    drop(store);
    let pruning = open_lock(&root.join("lock")).unwrap();
    pruning.lock().unwrap();
    let time = Duration::from_millis(100);
    let early = Store::open(&root, &Interrupt::default().after(time));
    assert!(matches!(early, Err(StoreError::Interrupted)), "{early:?}");
    let waiter = std::thread::spawn(move || Store::open(&root, &Interrupt::default()).is_ok());
    std::thread::sleep(time);
    pruning.unlock().unwrap();
    assert!(waiter.join().unwrap());
}

#[test]
fn an_interrupt_ends_the_wait_for_the_index_lock() {
    let (_folder, store) = store();
    let digest = keep(&store, b"blob");
    let interrupt = Interrupt::default();
    let store = Store::open(store.root(), &interrupt).unwrap();
    let _naming = open_lock(&store.root().join("index.lock")).map(|lock| lock.lock().map(|()| lock));
    interrupt.set();
    let named = store.name(&"a:1".parse().unwrap(), &digest);
    assert!(matches!(named, Err(StoreError::Interrupted)), "{named:?}");
}

#[test]
fn only_complete_images_are_found() {
    let (_folder, store) = store();
    let name = image(&store, "busybox:1", &[b"layer", b"another"]);
    let held = store.find(&name, &[amd64()]).unwrap().unwrap();
    assert_eq!((held.platforms[0].layers.len(), held.indexes.len()), (2, 0));
    store.remove(Digest::of(b"layer")).unwrap();
    assert_eq!(store.find(&name, &[amd64()]).unwrap(), None);
    assert_eq!(store.find(&"busybox:2".parse().unwrap(), &[amd64()]).unwrap(), None);
}

#[test]
fn a_moved_name_points_to_the_newer_image() {
    let (_folder, store) = store();
    image(&store, "busybox:1", &[b"old"]);
    let name = image(&store, "docker.io/library/busybox:1", &[b"new"]);
    assert_eq!(store.names().unwrap().len(), 1);
    let held = store.find(&name, &[amd64()]).unwrap().unwrap();
    assert_eq!(held.platforms[0].layers[0].digest, Digest::of(b"new"));
}

#[test]
fn reading_a_damaged_blob_fails_and_removes_it() {
    let (_folder, store) = store();
    let digest = keep(&store, b"intact").digest;
    std::fs::write(store.blob_path(digest), b"imtact").unwrap();
    let read = store.reader(digest).unwrap().unwrap().read_to_end(&mut Vec::new());
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    assert_eq!(store.size_of(digest), None);
    keep(&store, b"intact");
    std::fs::write(store.blob_path(digest), b"imtact").unwrap();
    assert_eq!((store.bytes(digest).unwrap(), store.size_of(digest)), (None, None));
}

#[test]
fn a_full_disk_is_reported_before_anything_is_fetched() {
    let (_folder, mut store) = store();
    keep(&store, &[7; 3000]);
    store.room = Some(1000);
    let Err(error) = store.begin(Digest::of(b"large"), 5000) else { panic!("there is no room") };
    assert!(error.is_full());
    let said = error.to_string();
    assert!(
        said.ends_with(
            "is full: 4.88 KiB needed, 1000 B free; `milvusctl images prune --all` would free up to 2.93 KiB"
        ),
        "{said}"
    );
}

#[test]
fn a_write_to_a_full_disk_suggests_pruning() {
    let (_folder, store) = store();
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let error = StoreError::file("write", store.root())(full);
    assert!(matches!(store.explain(error, 7), StoreError::Full { asked: 7, .. }));
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let error = store.explain(StoreError::file("write", store.root())(denied), 7);
    assert!(matches!(error, StoreError::File { .. }));
}

#[test]
fn pruning_removes_unreferenced_blobs() {
    let (_folder, store) = store();
    let name = image(&store, "kept:1", &[b"layer"]);
    keep(&store, b"nobody's");
    begin(&store, b"unfinished").write_at(0, b"unf").unwrap();
    let root = store.root().to_owned();
    drop(store);
    let would = prune(&root, Keep::default(), true, &Interrupt::default()).unwrap();
    let pruned = prune(&root, Keep::default(), false, &Interrupt::default()).unwrap();
    assert_eq!(would, pruned);
    assert_eq!((pruned.images.len(), pruned.freed_bytes, pruned.left_bytes), (0, 11, size(&root)));
    assert!(Store::open(&root, &Interrupt::default()).unwrap().find(&name, &[amd64()]).unwrap().is_some());
}

#[test]
fn pruning_keeps_the_most_recently_used() {
    let (_folder, store) = store();
    let old = image(&store, "old:1", &[b"shared", b"of the old"]);
    let new = image(&store, "new:1", &[b"shared"]);
    let top = store.named(&old).unwrap().unwrap();
    let hour = Duration::from_secs(3600);
    let file = File::options().append(true).open(store.blob_path(top.digest)).unwrap();
    file.set_modified(std::time::SystemTime::now() - 2 * hour).unwrap();
    let root = store.root().to_owned();
    drop(store);
    let by_age =
        prune(&root, Keep { newer_than: Some(hour), ..Keep::default() }, true, &Interrupt::default())
            .unwrap();
    let by_size =
        prune(&root, Keep { bytes: Some(500), ..Keep::default() }, false, &Interrupt::default()).unwrap();
    assert_eq!((by_age.images, &by_size.images), (vec![old.clone()], &vec![old.clone()]));
    let store = Store::open(&root, &Interrupt::default()).unwrap();
    assert_eq!(store.names().unwrap().len(), 1);
    assert!(store.find(&new, &[amd64()]).unwrap().is_some());
}

#[test]
fn pruning_everything_leaves_an_empty_store() {
    let (_folder, store) = store();
    image(&store, "a:1", &[b"layer"]);
    let root = store.root().to_owned();
    drop(store);
    let before = size(&root);
    let pruned =
        prune(&root, Keep { nothing: true, ..Keep::default() }, false, &Interrupt::default()).unwrap();
    assert_eq!((pruned.freed_bytes, pruned.left_bytes, size(&root)), (before, 0, 0));
}

#[test]
fn a_store_in_use_is_not_pruned() {
    let (_folder, store) = store();
    let refused = prune(store.root(), Keep::default(), false, &Interrupt::default());
    assert!(matches!(refused, Err(StoreError::Busy { .. })));
}

#[test]
fn a_folder_that_is_not_a_store_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = folder.path().join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join("mine"), "x").unwrap();
    let all = Keep { nothing: true, ..Keep::default() };
    assert_eq!(prune(folder.path(), all, false, &Interrupt::default()).unwrap(), prune::Pruned::default());
    assert!(blobs.join("mine").exists());
    std::fs::write(folder.path().join("oci-layout"), "something").unwrap();
    assert!(matches!(Store::open(folder.path(), &Interrupt::default()), Err(StoreError::NotAStore { .. })));
}

/// An image for two platforms under an index, with only amd64 in the store; returns the index's digest.
fn pinned_by_an_index(store: &Store) -> (ImageRef, Digest) {
    let config = keep(store, br#"{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":[]}}"#);
    let layer = keep(store, b"layer");
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
    let manifest = store.put(manifest.as_bytes()).unwrap();
    let entry = |digest: Digest, architecture: &str| {
        serde_json::json!({"mediaType": MANIFEST, "digest": digest, "size": 1,
            "platform": {"os": "linux", "architecture": architecture}})
    };
    let manifests = [entry(manifest, "amd64"), entry(Digest::of(b"elsewhere"), "arm64")];
    let index = serde_json::json!({"schemaVersion": 2, "manifests": manifests}).to_string();
    let digest = store.put(index.as_bytes()).unwrap();
    let image: ImageRef = format!("test/pinned:1@{digest}").parse().unwrap();
    let media_type = "application/vnd.oci.image.index.v1+json".to_owned();
    store.name(&image, &Descriptor { media_type, digest, size: index.len() as u64, ..config }).unwrap();
    (image, digest)
}

/// The top of an exported archive, and the blobs in it.
fn exported(
    store: Store,
    image: &ImageRef,
    target: ExportTarget,
    leave_out: &[&[u8]],
) -> (Descriptor, Vec<Digest>) {
    let store = std::sync::Arc::new(store);
    let held = store.find(image, &[amd64()]).unwrap().unwrap();
    let leave_out = leave_out.iter().map(|blob| Digest::of(blob)).collect();
    let mut archive = tar::Archive::new(store.export(&[&held], target, leave_out).unwrap());
    let (mut top, mut blobs) = (None, Vec::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if path == "index.json" {
            let index: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            top = Some(serde_json::from_value(index["manifests"][0].clone()).unwrap());
        }
        blobs.extend(path.strip_prefix("blobs/sha256/").and_then(Digest::from_hex));
    }
    (top.unwrap(), blobs)
}

#[test]
fn a_node_gets_the_index_that_a_name_pins() {
    let (_folder, store) = store();
    let (image, index) = pinned_by_an_index(&store);
    let (top, blobs) = exported(store, &image, ExportTarget::Node, &[]);
    assert_eq!((top.digest, top.platform), (index, None));
    assert_eq!(top.annotations[crate::archive::NAME], format!("docker.io/test/pinned@{index}"));
    assert_eq!((blobs.len(), blobs[0]), (4, index));
}

#[test]
fn kind_gets_the_platform_manifest_instead_of_the_index() {
    let (_folder, store) = store();
    let (image, index) = pinned_by_an_index(&store);
    let (top, blobs) = exported(store, &image, ExportTarget::Kind, &[]);
    assert_eq!((top.media_type.as_str(), blobs.contains(&index)), (MANIFEST, false));
}

#[test]
fn left_out_blobs_are_not_read() {
    let (_folder, store) = store();
    let name = image(&store, "busybox:1", &[b"held", b"new"]);
    std::fs::write(store.blob_path(Digest::of(b"held")), b"hurt").unwrap();
    let (_, blobs) = exported(store, &name, ExportTarget::Node, &[b"held"]);
    assert_eq!((blobs.len(), blobs.contains(&Digest::of(b"held"))), (3, false));
}
