//! Archives with one fault each, and the error each gets.

use serde_json::json;

use super::super::{ArchiveError, Digest, Expected, NodeError, NodeHolds, Platform, contents};
use super::support::{
    archive, config, descriptor, error, holding, image, index, layout, linux, manifest, oci_archive,
    old_archive, send,
};

const A: &[u8] = b"layer a";
const B: &[u8] = b"layer b";

fn message(archive: &[u8], expected: &[Expected]) -> String {
    error(archive, expected).to_string()
}

#[test]
fn an_archive_of_another_kind_is_refused() {
    assert_eq!(
        message(&archive(&[("hello.txt", b"hello".to_vec())]), &[image()]),
        "the image archive has an unknown format: neither `index.json` nor `manifest.json` is there"
    );
    assert!(message(&archive(&[]), &[]).contains("unknown form"));
    assert!(message(b"", &[]).contains("breaks off after 0 bytes"));
    assert!(message(&[b'x'; 2048], &[]).contains("damaged at byte 512"));
}

#[test]
fn an_archive_without_names_needs_one_to_be_asked_for() {
    let bytes = archive(&[("manifest.json", b"[]".to_vec())]);
    assert!(message(&bytes, &[]).contains("no image in it has a name"));
}

#[test]
fn a_path_that_climbs_out_stops_the_transfer() {
    let bytes = archive(&[("../manifest.json", b"[]".to_vec())]);
    assert!(matches!(error(&bytes, &[]), ArchiveError::PathEscapes { .. }));
}

#[test]
fn a_manifest_that_names_a_layer_twice_is_refused_unless_the_image_repeats_it() {
    let layers = [("a/layer.tar", A), ("b/layer.tar", B)];
    let twice = ["a/layer.tar", "a/layer.tar"];
    let found = error(&old_archive(&layers, &twice, &config("amd64", &[A, B])), &[image()]);
    assert!(
        matches!(found, ArchiveError::DigestMismatch { ref path, .. } if path == "a/layer.tar"),
        "{found:?}"
    );
    let repeated = old_archive(&layers[..1], &twice, &config("amd64", &[A, A]));
    assert!(send(&repeated, &[image()], NodeHolds::nothing()).unwrap().0.nodes[0].error.is_none());
}

#[test]
fn a_manifest_that_names_too_few_layers_is_refused() {
    let bytes = old_archive(&[("a/layer.tar", A)], &[], &config("amd64", &[A]));
    assert_eq!(
        message(&bytes, &[image()]),
        "the image archive's `manifest.json` cannot be used: it names 0 layers for `docker.io/test/image:1`, \
         whose configuration has 1"
    );
}

#[test]
fn a_manifest_that_names_an_absent_layer_is_refused() {
    let bytes = old_archive(&[], &["a/layer.tar"], &config("amd64", &[A]));
    let expected =
        "the image archive lacks layer `a/layer.tar` of `docker.io/test/image:1`; pull the image again";
    assert_eq!(message(&bytes, &[image()]), expected);
    let config = config("amd64", &[A]);
    let manifest = manifest(&config, &[A]);
    let bytes = oci_archive(&[config, manifest.clone()], &index(&manifest));
    assert!(matches!(error(&bytes, &[image()]), ArchiveError::LayerAbsent { .. }));
}

#[test]
fn a_layer_that_the_archive_lacks_and_the_node_holds_does_no_harm() {
    let config = config("amd64", &[A]);
    let manifest = manifest(&config, &[A]);
    let bytes = oci_archive(&[config, manifest.clone()], &index(&manifest));
    let held = (Digest::of(A), Digest::of(A));
    let (transfer, arrived) = send(&bytes, &[image()], holding(&[held])).unwrap();
    assert!(transfer.nodes[0].error.is_none());
    assert_eq!(layout(&arrived).unwrap().images().len(), 1);
}

#[test]
fn a_held_encoding_replaces_a_layer_of_an_oci_archive() {
    let config = config("amd64", &[A, B]);
    let manifest = manifest(&config, &[A, B]);
    let blobs = [A.to_vec(), B.to_vec(), config, manifest.clone()];
    let compressed = Digest::of(b"compressed a");
    let held = holding(&[(compressed, Digest::of(A))]);
    let (transfer, arrived) = send(&oci_archive(&blobs, &index(&manifest)), &[image()], held).unwrap();
    let layers = layout(&arrived).unwrap().images().remove(0).layers;
    assert_eq!(
        layers.iter().map(|layer| (layer.1, layer.2)).collect::<Vec<_>>(),
        [(compressed, false), (Digest::of(B), true)]
    );
    assert_ne!(transfer.nodes[0].images[0].manifest, Digest::of(&manifest));
}

#[test]
fn a_blob_that_is_not_what_its_name_says_is_refused() {
    for blob in [&b"layer"[..], b"{}"] {
        let name = format!("blobs/sha256/{}", Digest::of(A).hex());
        let found = error(&archive(&[(&name, blob.to_vec())]), &[image()]);
        let (expected, of_blob) = (Digest::of(A), Digest::of(blob));
        assert!(
            matches!(&found, ArchiveError::DigestMismatch { path, expected: e, found: f }
                if *path == name && *e == expected && *f == of_blob),
            "{found:?}"
        );
    }
}

#[test]
fn a_configuration_that_is_not_what_its_name_says_is_refused() {
    let name = format!("{}.json", Digest::of(b"other").hex());
    let saved = json!([{"Config": name, "RepoTags": ["test/image:1"], "Layers": []}]);
    let files = [(&name[..], config("amd64", &[])), ("manifest.json", saved.to_string().into_bytes())];
    assert!(matches!(error(&archive(&files), &[image()]), ArchiveError::DigestMismatch { .. }));
}

#[test]
fn an_absent_configuration_is_named() {
    let saved = br#"[{"Config":"x.json","RepoTags":["test/image:1"],"Layers":[]}]"#.to_vec();
    assert_eq!(
        message(&archive(&[("manifest.json", saved)]), &[image()]),
        "the image archive lacks the configuration `x.json` of `docker.io/test/image:1`; pull the image again"
    );
    let config = config("amd64", &[]);
    let manifest = manifest(&config, &[]);
    let bytes = oci_archive(std::slice::from_ref(&manifest), &index(&manifest));
    assert!(matches!(error(&bytes, &[image()]), ArchiveError::ConfigMissing { .. }));
}

#[test]
fn an_image_that_was_not_saved_is_absent() {
    let bytes = old_archive(&[], &[], &config("amd64", &[]));
    assert_eq!(
        message(&bytes, &[Expected::named("docker.io/library/other:1")]),
        "the image archive does not hold `docker.io/library/other:1`; it holds `docker.io/test/image:1`"
    );
}

#[test]
fn an_image_saved_by_its_id_is_found_by_its_configuration() {
    let config = config("amd64", &[]);
    let bytes = old_archive(&[], &[], &config);
    let expected =
        Expected { config: Some(Digest::of(&config)), ..Expected::named("docker.io/library/other:1") };
    let (_, arrived) = send(&bytes, &[expected], NodeHolds::nothing()).unwrap();
    assert_eq!(layout(&arrived).unwrap().images()[0].name, "docker.io/library/other:1");
}

#[test]
fn an_image_that_changed_meanwhile_is_refused() {
    let bytes = old_archive(&[("a/layer.tar", A)], &["a/layer.tar"], &config("amd64", &[A]));
    let other = Expected { config: Some(Digest::of(b"before")), ..image() };
    assert!(message(&bytes, &[other]).contains("its configuration differs"));
    let other = Expected { diff_ids: vec![Digest::of(B)], ..image() };
    assert!(message(&bytes, &[other]).contains("its list of layers differs"));
}

#[test]
fn another_platform_than_the_asked_one_is_refused() {
    let bytes = old_archive(&[], &[], &config("arm64", &[]));
    let expected = Expected { platform: Some(linux("amd64")), ..image() };
    let found = error(&bytes, &[expected]);
    assert!(
        matches!(&found, ArchiveError::PlatformAbsent { found, .. } if *found == ["linux/arm64"]),
        "{found:?}"
    );
}

#[test]
fn a_variant_counts_only_where_both_sides_name_one() {
    let arm = |variant: Option<&str>| Platform {
        os: "linux".to_owned(),
        architecture: "arm".to_owned(),
        variant: variant.map(str::to_owned),
    };
    assert!(arm(None).fits(&arm(Some("v7"))) && arm(Some("v7")).fits(&arm(None)));
    assert!(!arm(Some("v6")).fits(&arm(Some("v7"))));
    assert_eq!(arm(Some("v7")).to_string(), "linux/arm/v7");
}

#[test]
fn several_platforms_need_one_to_be_asked_for() {
    let configs = ["amd64", "arm64"].map(|architecture| config(architecture, &[A]));
    let manifests = configs.clone().map(|config| manifest(&config, &[A]));
    let list: Vec<_> =
        manifests.iter().map(|m| descriptor("application/vnd.oci.image.manifest.v1+json", m)).collect();
    let nested = json!({"schemaVersion": 2, "manifests": list}).to_string().into_bytes();
    let blobs = [&configs[..], &manifests, &[nested.clone(), A.to_vec()]].concat();
    let bytes = oci_archive(&blobs, &index(&nested));
    assert_eq!(
        message(&bytes, &[image()]),
        "the image archive holds `docker.io/test/image:1` for `linux/amd64`, `linux/arm64`, \
         where one platform was expected"
    );
    let arm = Expected { platform: Some(linux("arm64")), ..image() };
    let (_, arrived) = send(&bytes, &[arm], NodeHolds::nothing()).unwrap();
    assert_eq!(layout(&arrived).unwrap().images()[0].config, Digest::of(&configs[1]));
    let held: Vec<_> = contents(&bytes[..]).unwrap().into_iter().map(|image| image.platform).collect();
    assert_eq!(held, [Some(linux("amd64")), Some(linux("arm64"))]);
}

#[test]
fn descriptions_of_the_wrong_shape_name_their_file() {
    for (path, text) in
        [("manifest.json", "{}"), ("index.json", "[]"), ("index.json", r#"{"manifests":[{}]}"#)]
    {
        let found = error(&archive(&[(path, text.as_bytes().to_vec())]), &[image()]);
        assert!(
            matches!(&found, ArchiveError::BadMetadata { path: named, .. } if named == path),
            "{found:?}"
        );
    }
}

#[test]
fn an_entry_that_is_there_twice_is_refused() {
    let bytes = archive(&[("index.json", b"{}".to_vec()), ("index.json", b"{}".to_vec())]);
    assert!(message(&bytes, &[]).contains("`index.json` is there twice"));
}

#[test]
fn too_many_descriptions_are_refused() {
    let text = format!("[\"{}\"]", "x".repeat(7 << 20)).into_bytes();
    let files: Vec<(String, Vec<u8>)> = (0..5).map(|n| (format!("{n}.json"), text.clone())).collect();
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(path, text)| (&path[..], text.clone())).collect();
    assert!(matches!(error(&archive(&files), &[]), ArchiveError::MetadataTooLarge { limit: 33_554_432 }));
}

#[test]
fn a_layer_that_begins_like_json_is_still_a_layer() {
    let odd = [b"{name".to_vec(), vec![0; 3000]].concat();
    let bytes = old_archive(&[("a/layer.tar", &odd)], &["a/layer.tar"], &config("amd64", &[&odd]));
    let (_, arrived) = send(&bytes, &[image()], NodeHolds::nothing()).unwrap();
    assert_eq!(layout(&arrived).unwrap().blobs[&Digest::of(&odd)], odd);
}

#[test]
fn a_guess_from_a_file_name_that_proves_wrong_fails_the_node_only() {
    // The name claims layer A, which the node holds; the configuration says layer B.
    let path = format!("{}.tar", Digest::of(A).hex());
    let bytes = old_archive(&[(&path, B)], &[&path], &config("amd64", &[B]));
    let held = (Digest::of(A), Digest::of(A));
    let (transfer, _) = send(&bytes, &[image()], holding(&[held])).unwrap();
    let failed = &transfer.nodes[0];
    assert!(matches!(failed.error, Some(NodeError::LayerNotHeld { layer, .. }) if layer == Digest::of(B)));
    assert!(failed.images.is_empty());
}

#[test]
fn podmans_archive_is_read_and_its_names_believed_once_proven() {
    let path = format!("{}.tar", Digest::of(A).hex());
    let bytes = old_archive(&[(&path, A)], &[&path], &config("amd64", &[A]));
    let (whole, _) = send(&bytes, &[image()], NodeHolds::nothing()).unwrap();
    assert_eq!(whole.nodes[0].layers_sent, 1);
    let held = (Digest::of(A), Digest::of(A));
    let (delta, _) = send(&bytes, &[image()], holding(&[held])).unwrap();
    assert!(delta.nodes[0].error.is_none());
    assert_eq!((delta.nodes[0].layers_sent, delta.nodes[0].layers_left_out), (0, 1));
}

#[test]
fn an_index_that_contains_itself_ends() {
    // No digest can name its own content; a chain that is too long comes closest.
    let mut inner = json!({"manifests": []}).to_string().into_bytes();
    let mut blobs = vec![inner.clone()];
    for _ in 0..6 {
        inner = json!({"manifests": [descriptor("x", &inner)]}).to_string().into_bytes();
        blobs.push(inner.clone());
    }
    assert!(message(&oci_archive(&blobs, &index(&inner)), &[image()]).contains("nested too deeply"));
}

#[test]
fn links_in_a_circle_end() {
    let mut bytes = Vec::new();
    for (path, target) in [("a/layer.tar", "../b/layer.tar"), ("b/layer.tar", "../a/layer.tar")] {
        let mut header = ::tar::Header::new_ustar();
        header.set_entry_type(::tar::EntryType::Symlink);
        header.set_path(path).unwrap();
        header.set_link_name(target).unwrap();
        header.set_size(0);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
    }
    bytes.extend_from_slice(&old_archive(&[], &["a/layer.tar"], &config("amd64", &[A])));
    assert!(matches!(error(&bytes, &[image()]), ArchiveError::LayerAbsent { .. }));
}
