//! Archives recorded from Docker 20.10, and from Docker 28.5 with the containerd image store.

use super::super::{ArchiveError, Digest, Expected, NodeHolds, Sink, contents, transfer};
use super::support::{Kept, LIMITS, Layout, error, fixture, holding, layout, linux, send};

const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";
const GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const OLD_TWO: &[u8] = fixture!("two-layers.docker-20.10");
const NEW_TWO: &[u8] = fixture!("two-layers.docker-28.5");
const OLD_SHARED: &[u8] = fixture!("shared-layer.docker-20.10");
const NEW_SHARED: &[u8] = fixture!("shared-layer.docker-28.5");

/// Every recording that holds its images whole.
const WHOLE: [(&str, &[u8]); 12] = [
    ("two-layers 20.10", OLD_TWO),
    ("two-layers 28.5", NEW_TWO),
    ("shared-layer 20.10", OLD_SHARED),
    ("shared-layer 28.5", NEW_SHARED),
    ("equal-layers 20.10", fixture!("equal-layers.docker-20.10")),
    ("equal-layers 28.5", fixture!("equal-layers.docker-28.5")),
    ("repeated-layer 20.10", fixture!("repeated-layer.docker-20.10")),
    ("repeated-layer 28.5", fixture!("repeated-layer.docker-28.5")),
    ("multi-platform 28.5", fixture!("multi-platform.docker-28.5")),
    ("zstd 28.5", fixture!("zstd.docker-28.5")),
    ("schema2-manifest 28.5", fixture!("schema2-manifest.docker-28.5")),
    ("without-layers 28.5", fixture!("without-layers.docker-28.5")),
];

fn sent_blobs(layout: &Layout) -> usize {
    layout.images().iter().flat_map(|image| &image.layers).filter(|(_, _, sent)| *sent).count()
}

#[test]
fn every_recording_arrives_whole() {
    for (name, archive) in WHOLE {
        for expected in [vec![], contents(archive).unwrap()] {
            let (transfer, bytes) = send(archive, &expected, NodeHolds::nothing()).unwrap();
            let images = layout(&bytes).unwrap().images();
            assert!(images.iter().flat_map(|image| &image.layers).all(|(_, _, sent)| *sent), "{name}");
            let arrived: Vec<_> = images.iter().map(|image| (&image.name, Some(image.config))).collect();
            let held = contents(archive).unwrap();
            let asked: Vec<_> = held.iter().map(|image| (&image.name, image.config)).collect();
            assert_eq!(arrived, asked, "{name}");
            assert_eq!(transfer.nodes[0].bytes_sent, bytes.len() as u64, "{name}");
            assert_eq!(transfer.bytes_read, archive.len() as u64, "{name}");
        }
    }
}

#[test]
fn a_node_that_holds_the_layers_gets_descriptions_only() {
    for (name, archive) in WHOLE {
        let (_, bytes) = send(archive, &[], NodeHolds::nothing()).unwrap();
        let layers: Vec<(Digest, Digest)> = layout(&bytes)
            .unwrap()
            .images()
            .iter()
            .flat_map(|image| image.layers.iter().map(|(_, digest, _)| (*digest, *digest)))
            .collect();
        let expected = contents(archive).unwrap();
        let (transfer, bytes) = send(archive, &expected, holding(&layers)).unwrap();
        assert!(transfer.nodes[0].error.is_none(), "{name}: {transfer:?}");
        assert_eq!(transfer.nodes[0].layers_sent, 0, "{name}");
        assert_eq!(sent_blobs(&layout(&bytes).unwrap()), 0, "{name}");
    }
}

#[test]
fn one_held_layer_is_left_out() {
    for archive in [OLD_SHARED, NEW_SHARED] {
        let expected = contents(archive).unwrap();
        let (_, whole) = send(archive, &expected, NodeHolds::nothing()).unwrap();
        let images = layout(&whole).unwrap().images();
        let (_, shared, _) = images[0].layers[0];
        let (transfer, bytes) = send(archive, &expected, holding(&[(shared, shared)])).unwrap();
        let left: Vec<bool> =
            layout(&bytes).unwrap().images()[1].layers.iter().map(|layer| layer.2).collect();
        assert_eq!(left, [false, true]);
        assert_eq!((transfer.nodes[0].layers_sent, transfer.nodes[0].layers_left_out), (2, 1));
    }
}

#[test]
fn a_layer_shared_by_images_is_sent_once() {
    for archive in [OLD_SHARED, NEW_SHARED] {
        let (transfer, _) = send(archive, &[], NodeHolds::nothing()).unwrap();
        assert_eq!(transfer.nodes[0].layers_sent, 3);
    }
}

#[test]
fn the_bytes_of_a_shared_layer_count_for_the_first_image_that_has_it() {
    let (transfer, _) = send(OLD_SHARED, &[], NodeHolds::nothing()).unwrap();
    let layers: Vec<u64> = transfer.nodes[0].images.iter().map(|image| image.bytes / 2048).collect();
    let described: u64 = transfer.nodes[0].images.iter().map(|image| image.bytes).sum();
    // Each layer has 2048 bytes, and each image's documents take one to three times that.
    assert_eq!(layers[0] - layers[1], 1, "{:?}", transfer.nodes[0].images);
    assert!(described < transfer.nodes[0].bytes_sent);
}

#[test]
fn a_node_is_given_those_images_alone_that_it_wants() {
    for archive in [OLD_SHARED, NEW_SHARED] {
        let expected = contents(archive).unwrap();
        let (left, both) = (Kept::default(), Kept::default());
        let wants = vec!["docker.io/test/left:1".to_owned()];
        let sinks = vec![
            Sink { wants: wants.clone(), ..left.sink("left", NodeHolds::nothing()) },
            both.sink("both", NodeHolds::nothing()),
        ];
        let done = transfer(archive, &expected, sinks, LIMITS, &|_| ()).unwrap();
        let names = |node: usize| -> Vec<String> {
            done.nodes[node].images.iter().map(|image| image.name.clone()).collect()
        };
        assert_eq!(names(0), wants);
        assert_eq!(names(1), ["docker.io/test/left:1", "docker.io/test/right:1"]);
        assert_eq!(layout(&left.bytes()).unwrap().images().len(), 1);
    }
}

#[test]
fn equal_layers_behind_a_link_are_sent_once() {
    let (transfer, bytes) = send(fixture!("equal-layers.docker-20.10"), &[], NodeHolds::nothing()).unwrap();
    let images = layout(&bytes).unwrap().images();
    assert_eq!(transfer.nodes[0].layers_sent, 1);
    assert_eq!(images[0].layers, images[1].layers);
}

#[test]
fn a_layer_held_compressed_stands_for_the_uncompressed_one() {
    let expected = contents(OLD_TWO).unwrap();
    let compressed = Digest::of(b"compressed");
    let diff_id = expected[0].diff_ids[0];
    let (transfer, bytes) = send(OLD_TWO, &expected, holding(&[(compressed, diff_id)])).unwrap();
    let layers = layout(&bytes).unwrap().images().remove(0).layers;
    let other = expected[0].diff_ids[1];
    assert_eq!(layers, [(GZIP.to_owned(), compressed, false), (PLAIN.to_owned(), other, true)]);
    assert_eq!(transfer.nodes[0].layers_left_out, 1);
}

#[test]
fn a_blob_that_nothing_ties_to_a_held_layer_is_sent() {
    let known = contents(NEW_TWO).unwrap();
    let diff_id = known[0].diff_ids[0];
    // The archive's blob is gzip: without its diff ID known beforehand it is sent, and named as sent.
    let unknown: Vec<Expected> =
        known.iter().map(|image| Expected { blobs: Vec::new(), ..image.clone() }).collect();
    for (expected, sent) in [(unknown, 2), (known, 1)] {
        let (transfer, bytes) = send(NEW_TWO, &expected, holding(&[(diff_id, diff_id)])).unwrap();
        assert_eq!((transfer.nodes[0].layers_sent, sent_blobs(&layout(&bytes).unwrap())), (sent, sent));
    }
}

#[test]
fn the_new_engines_manifest_goes_on_unchanged() {
    let (transfer, _) = send(NEW_TWO, &[], NodeHolds::nothing()).unwrap();
    let id = "sha256:14e88d34c65b5a6a4a2387d408e1ccf645483b327cc751699a72296b86a24701";
    let named: Vec<_> =
        transfer.nodes[0].images.iter().map(|image| (&image.name[..], image.manifest)).collect();
    assert_eq!(named, [("docker.io/test/two:1", id.parse().unwrap())]);
}

#[test]
fn what_docker_says_beforehand_is_what_the_archive_holds() {
    for (inspected, archive) in [
        (&include_bytes!("../../../tests/fixtures/docker-image-inspect.docker-20.10.json")[..], OLD_TWO),
        (&include_bytes!("../../../tests/fixtures/docker-image-inspect.docker-28.5.json")[..], NEW_TWO),
    ] {
        let inspected: serde_json::Value = serde_json::from_slice(inspected).unwrap();
        let layers: Vec<Digest> = serde_json::from_value(inspected[0]["RootFS"]["Layers"].clone()).unwrap();
        assert_eq!(inspected[0]["RepoTags"][0], "test/two:1");
        assert_eq!(contents(archive).unwrap()[0].diff_ids, layers);
    }
}

#[test]
fn a_multi_platform_index_is_reduced_to_what_is_there() {
    let archive = fixture!("multi-platform.docker-28.5");
    let expected = Expected { platform: Some(linux("amd64")), ..Expected::named("docker.io/test/multi:1") };
    let (_, bytes) = send(archive, std::slice::from_ref(&expected), NodeHolds::nothing()).unwrap();
    let whole = layout(&bytes).unwrap();
    assert_eq!(whole.images().len(), 1);
    assert_eq!(whole.index["manifests"][0]["platform"]["architecture"], "amd64");
    let filtered = fixture!("multi-platform-amd64.docker-28.5");
    let (_, filtered) = send(filtered, &[expected], NodeHolds::nothing()).unwrap();
    assert_eq!(layout(&filtered).unwrap().images(), whole.images());
}

#[test]
fn a_platform_that_the_engine_did_not_pull_is_absent() {
    let archive = fixture!("multi-platform.docker-28.5");
    let expected = Expected { platform: Some(linux("arm64")), ..Expected::named("docker.io/test/multi:1") };
    assert_eq!(
        error(archive, &[expected]).to_string(),
        "the image archive does not hold `docker.io/test/multi:1` for linux/arm64; it holds `linux/amd64`; \
         pull it with `--platform linux/arm64`"
    );
}

#[test]
fn an_image_that_the_engine_holds_in_part_is_refused() {
    // Docker 28.5 does not fetch layers whose content is already unpacked, and then saves the image without
    // them.
    let found = error(fixture!("without-its-layers.docker-28.5"), &[]);
    assert!(matches!(found, ArchiveError::ConfigMissing { .. }), "{found:?}");
}

#[test]
fn every_cut_of_a_recording_leaves_the_node_without_an_index() {
    for archive in [OLD_TWO, NEW_TWO] {
        for length in (0..archive.len() - 1024).step_by(317) {
            let found = error(&archive[..length], &[]);
            assert!(matches!(found, ArchiveError::Truncated { .. }), "{length}: {found:?}");
        }
    }
}

#[test]
fn a_flipped_bit_in_a_layer_is_found() {
    for (archive, name) in [(OLD_TWO, "two-layers"), (NEW_TWO, "two-layers")] {
        let mut damaged = archive.to_vec();
        let layer = layer_offset(archive);
        damaged[layer] ^= 1;
        for expected in [vec![], contents(archive).unwrap()] {
            let found = error(&damaged, &expected);
            assert!(matches!(found, ArchiveError::DigestMismatch { .. }), "{name}: {found:?}");
        }
    }
}

/// Finds the offset of a byte inside a layer's content.
fn layer_offset(archive: &[u8]) -> usize {
    let mut read = super::super::tar::TarReader::new(archive);
    let mut entries = read.entries().unwrap();
    while let Some(entry) = entries.advance().unwrap() {
        let start = usize::try_from(entries.offset()).unwrap();
        if entry.path.ends_with("layer.tar") || archive[start..].starts_with(&[0x1f, 0x8b]) {
            return start + 40;
        }
    }
    panic!("no layer in the archive");
}
