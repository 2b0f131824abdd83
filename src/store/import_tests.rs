use super::*;
use crate::process::Interrupt;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("images"), &Interrupt::default()).unwrap();
    (folder, store)
}

/// A Docker archive rewritten for a node that holds nothing: names come last, and layers have other names.
fn rewritten(archive: &[u8]) -> Vec<u8> {
    use crate::archive::{Limits, NodeHolds, Sink, transfer};
    let (mut reader, writer) = std::io::pipe().unwrap();
    let holds = NodeHolds::nothing();
    let sink = Sink { node: "n".to_owned(), writer: Box::new(writer), holds, wants: Vec::new() };
    let read = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    });
    transfer(archive, &[], vec![sink], Limits::default(), &|_| ()).unwrap();
    read.join().unwrap()
}

#[test]
fn archives_saved_by_the_engine_are_imported_whole() {
    let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None };
    let images: Vec<ImageRef> = ["test/left:1", "test/right:1"].map(|name| name.parse().unwrap()).into();
    for archive in [
        &include_bytes!("../../tests/fixtures/docker-save-shared-layer.docker-20.10.tar")[..],
        include_bytes!("../../tests/fixtures/docker-save-shared-layer.docker-28.5.tar"),
    ] {
        let (_folder, store) = store();
        let held = store.import(&rewritten(archive)[..], &images, &platform, &mut |_| ()).unwrap();
        assert_eq!(held.iter().map(|held| held.platforms[0].layers.len()).collect::<Vec<_>>(), [2, 2]);
        for blob in held.iter().flat_map(|held| held.platforms[0].blobs()) {
            let mut reader = store.reader(blob.digest).unwrap().unwrap();
            std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        }
    }
}
