//! Layers in another encoding, and images pinned by a digest, which must not change.

use serde_json::{Value, json};

use super::super::{Digest, Expected, NodeHolds, transfer};
use super::support::{
    Kept, LIMITS, config, descriptor, holding, image, index, layout, manifest, oci_archive, send,
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &[u8] = b"the layer's own bytes";
const PACKED: &[u8] = &[0x1f, 0x8b, 1, 2, 3];
/// The same layer as compressed by another tool.
const OTHER: &[u8] = &[0x1f, 0x8b, 4, 5];

fn of(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}

/// An image with one compressed layer: configuration and manifest.
fn packed() -> (Vec<u8>, Vec<u8>) {
    let config = config("amd64", &[LAYER]);
    let manifest = manifest(&config, &[PACKED]);
    (config, manifest)
}

/// What is known beforehand of the image of [`packed`] under `name`.
fn known(name: &str) -> Expected {
    Expected { diff_ids: vec![of(LAYER)], blobs: vec![of(PACKED)], ..Expected::named(name) }
}

fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({"io.containerd.image.name": name});
    json!({"schemaVersion": 2, "manifests": [descriptor]})
}

#[test]
fn a_layer_that_the_node_holds_in_another_encoding_is_not_sent() {
    let (config, manifest) = packed();
    let archive = oci_archive(&[config, manifest.clone(), PACKED.to_vec()], &index(&manifest));
    let holds = holding(&[(of(OTHER), of(LAYER))]);
    let (done, bytes) = send(&archive, &[known(&image().name)], holds).unwrap();
    assert_eq!((done.nodes[0].layers_sent, done.nodes[0].layers_left_out), (0, 1));
    let layers = layout(&bytes).unwrap().images().remove(0).layers;
    assert_eq!(layers.iter().map(|(_, blob, sent)| (*blob, *sent)).collect::<Vec<_>>(), [(of(OTHER), false)]);
}

#[test]
fn an_archive_may_lack_a_layer_that_the_node_holds() {
    let (config, manifest) = packed();
    let archive = oci_archive(&[config, manifest.clone()], &index(&manifest));
    for blob in [PACKED, OTHER] {
        let (done, _) = send(&archive, &[known(&image().name)], holding(&[(of(blob), of(LAYER))])).unwrap();
        assert!(done.nodes[0].error.is_none(), "{:?}", done.nodes[0].error);
    }
}

#[test]
fn a_pinned_image_keeps_its_manifest_and_gets_the_very_layer() {
    let (config, manifest) = packed();
    let name = format!("docker.io/test/image@{}", of(&manifest));
    let root = named(descriptor(MANIFEST, &manifest), &name);
    let archive = oci_archive(&[config, manifest.clone(), PACKED.to_vec()], &root);
    let (done, bytes) = send(&archive, &[known(&name)], holding(&[(of(OTHER), of(LAYER))])).unwrap();
    let node = &done.nodes[0];
    assert_eq!((node.layers_sent, node.layers_left_out, node.images[0].manifest), (1, 0, of(&manifest)));
    assert!(layout(&bytes).unwrap().blobs.contains_key(&of(PACKED)));
}

#[test]
fn an_image_pinned_by_an_index_arrives_under_that_index() {
    let (config, manifest) = packed();
    let mut amd64 = descriptor(MANIFEST, &manifest);
    amd64["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let mut arm64 = descriptor(MANIFEST, b"not here");
    arm64["platform"] = json!({"os": "linux", "architecture": "arm64"});
    let inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [amd64, arm64]}).to_string();
    let name = format!("docker.io/test/image@{}", of(inner.as_bytes()));
    let root = named(descriptor(INDEX, inner.as_bytes()), &name);
    let archive =
        oci_archive(&[config, manifest.clone(), PACKED.to_vec(), inner.clone().into_bytes()], &root);
    let (done, bytes) = send(&archive, &[known(&name)], NodeHolds::nothing()).unwrap();
    let layout = layout(&bytes).unwrap();
    let top = &layout.index["manifests"][0];
    assert_eq!(
        (top["digest"].as_str(), top["mediaType"].as_str(), top["platform"].is_null()),
        (Some(of(inner.as_bytes()).to_string().as_str()), Some(INDEX), true)
    );
    assert_eq!(done.nodes[0].images[0].manifest, of(inner.as_bytes()));
    assert!([inner.as_bytes(), &manifest, PACKED].iter().all(|blob| layout.blobs.contains_key(&of(blob))));
}

#[test]
fn an_index_above_an_image_that_is_named_by_a_tag_is_not_sent() {
    let (config, manifest) = packed();
    let inner =
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(MANIFEST, &manifest)]});
    let inner = inner.to_string().into_bytes();
    let root = named(descriptor(INDEX, &inner), &image().name);
    let archive = oci_archive(&[config, manifest.clone(), PACKED.to_vec(), inner], &root);
    let (done, _) = send(&archive, &[image()], NodeHolds::nothing()).unwrap();
    assert_eq!(done.nodes[0].images[0].manifest, of(&manifest));
}

#[test]
fn a_pinned_image_is_not_made_of_another_encoding() {
    let config = config("amd64", &[LAYER]);
    let manifest = manifest(&config, &[LAYER]);
    let name = format!("docker.io/test/image@{}", of(&manifest));
    let root = named(descriptor(MANIFEST, &manifest), &name);
    let archive = oci_archive(&[config, manifest.clone(), LAYER.to_vec()], &root);
    let (done, _) = send(&archive, &[Expected::named(&name)], holding(&[(of(PACKED), of(LAYER))])).unwrap();
    let node = &done.nodes[0];
    assert_eq!((node.layers_sent, node.images[0].manifest), (1, of(&manifest)));
}

#[test]
fn a_node_is_not_sent_the_layers_of_an_image_for_another_node() {
    let (shared, own): (&[u8], &[u8]) = (b"shared", b"own");
    let small = config("amd64", &[shared]);
    let large = config("amd64", &[shared, own]);
    let (few, many) = (manifest(&small, &[shared]), manifest(&large, &[shared, own]));
    let mut roots = [descriptor(MANIFEST, &few), descriptor(MANIFEST, &many)];
    let names = ["docker.io/test/few:1", "docker.io/test/many:1"];
    for (root, name) in roots.iter_mut().zip(names) {
        root["annotations"] = json!({"io.containerd.image.name": name});
    }
    let root = json!({"schemaVersion": 2, "manifests": roots});
    let archive = oci_archive(&[small, large, few, many, shared.to_vec(), own.to_vec()], &root);
    let expected = [(names[0], vec![of(shared)]), (names[1], vec![of(shared), of(own)])]
        .map(|(name, layers)| Expected { diff_ids: layers.clone(), blobs: layers, ..Expected::named(name) });
    let kept = [Kept::default(), Kept::default()];
    let sinks = kept.iter().zip(names).map(|(kept, name)| {
        let mut sink = kept.sink(name, NodeHolds::nothing());
        sink.wants = vec![name.to_owned()];
        sink
    });
    let done = transfer(&archive[..], &expected, sinks.collect(), LIMITS, &|_| ()).unwrap();
    let sent: Vec<(usize, bool)> =
        done.nodes.iter().map(|node| (node.layers_sent, node.error.is_none())).collect();
    assert_eq!(sent, [(1, true), (2, true)]);
}
