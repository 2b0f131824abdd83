use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::archive::{NAME, contents};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        annotations: BTreeMap::new(),
        platform: None,
    }
}

/// An image of `layers`, and all its blobs.
fn image(name: &str, layers: &[&[u8]]) -> (LayoutImage, HashMap<Digest, Vec<u8>>) {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "name": name,
        "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    .to_string()
    .into_bytes();
    let of = |layer: &&[u8]| descriptor("application/vnd.oci.image.layer.v1.tar", layer);
    let layer_names: Vec<Descriptor> = layers.iter().map(of).collect();
    let config_name = descriptor("application/vnd.oci.image.config.v1+json", &config);
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config_name, "layers": layer_names})
            .to_string()
            .into_bytes();
    let mut top = descriptor(MANIFEST, &manifest);
    top.annotations.insert(NAME.to_owned(), name.to_owned());
    let mut blobs: HashMap<Digest, Vec<u8>> =
        layers.iter().map(|layer| (Digest::of(layer), layer.to_vec())).collect();
    blobs.insert(config_name.digest, config);
    let image = LayoutImage {
        top,
        repo_tag: Some(name.trim_start_matches("docker.io/").to_owned()),
        config: config_name,
        layers: layer_names,
        documents: vec![(Digest::of(&manifest), manifest)],
    };
    (image, blobs)
}

fn open(blobs: HashMap<Digest, Vec<u8>>) -> OpenBlob {
    Box::new(move |digest| {
        let bytes = blobs.get(&digest).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(io::Cursor::new(bytes)))
    })
}

#[test]
fn what_is_written_reads_back_with_a_shared_layer_once() {
    let (shared, own) = (vec![7; 70_000], vec![9; 300]);
    let (left, mut blobs) = image("docker.io/test/left:1", &[&shared]);
    let (right, more) = image("docker.io/test/right:1", &[&shared, &own]);
    blobs.extend(more);
    for for_docker in [false, true] {
        let mut bytes = Vec::new();
        let images = [left.clone(), right.clone()];
        let mut layout = LayoutReader::new(&images, for_docker, BTreeSet::new(), open(blobs.clone()));
        layout.read_to_end(&mut bytes).unwrap();
        assert!(bytes.len() < 2 * 70_000, "{}", bytes.len());
        let found = contents(&bytes[..]).unwrap();
        let names: Vec<(&str, usize)> =
            found.iter().map(|image| (image.name.as_str(), image.diff_ids.len())).collect();
        assert_eq!(names, [("docker.io/test/left:1", 1), ("docker.io/test/right:1", 2)]);
    }
}

#[test]
fn a_blob_that_is_shorter_than_it_should_be_breaks_the_stream_off() {
    let layer = vec![7; 1000];
    let (image, mut blobs) = image("docker.io/test/left:1", &[&layer]);
    blobs.get_mut(&Digest::of(&layer)).unwrap().truncate(999);
    let mut layout = LayoutReader::new(&[image], false, BTreeSet::new(), open(blobs));
    let error = layout.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`blobs/sha256/{}` is not 1000 bytes long", Digest::of(&layer).hex())
    );
}
