//! Small archives that describe far more than any image has.

use std::io;

use serde_json::{Value, json};

use super::super::tar;
use super::super::{ArchiveError, Digest, Expected, NodeHolds, contents};
use super::support::{config, descriptor, error, image, manifest, oci_archive, old_archive, send};

const LAYER: &[u8] = b"layer";

#[test]
fn indexes_that_name_each_other_many_times_are_gathered_once() {
    let config = config("amd64", &[LAYER]);
    let mut inner = manifest(&config, &[LAYER]);
    let mut blobs = vec![LAYER.to_vec(), config, inner.clone()];
    for _ in 0..3 {
        let children = vec![descriptor("x", &inner); 500];
        inner = json!({"manifests": children}).to_string().into_bytes();
        blobs.push(inner.clone());
    }
    let mut named = descriptor("application/vnd.oci.image.index.v1+json", &inner);
    named["annotations"] = json!({"io.containerd.image.name": "docker.io/test/image:1"});
    let roots: Vec<Value> = vec![named; 500];
    let bytes = oci_archive(&blobs, &json!({"schemaVersion": 2, "manifests": roots}));
    send(&bytes, &[image()], NodeHolds::nothing()).unwrap();
    assert_eq!(contents(&bytes[..]).unwrap()[0].diff_ids, [Digest::of(LAYER)]);
}

#[test]
fn many_names_for_a_long_list_of_layers_are_refused() {
    let config = config("amd64", &vec![LAYER; 1_100]);
    let bytes = old_archive(&[("a/layer.tar", LAYER)], &vec!["a/layer.tar"; 1_100], &config);
    assert_eq!(contents(&bytes[..]).unwrap()[0].diff_ids.len(), 1_100);
    let expected: Vec<Expected> = vec![image(); 100];
    let reason = "its images name more than 100000 layers";
    assert!(error(&bytes, &expected).to_string().contains(reason));
}

/// An entry with a GNU long name of `length` bytes.
fn long_name(length: usize) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut header = ::tar::Header::new_gnu();
    header.set_size(1);
    builder.append_data(&mut header, "d/".repeat(length / 2), &b"x"[..]).unwrap();
    let mut bytes = builder.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes
}

#[test]
fn a_name_that_is_longer_than_a_path_can_be_is_refused() {
    let refused = |bytes: Vec<u8>| {
        let error = error(&[bytes, tar::end().to_vec()].concat(), &[]);
        assert!(matches!(error, ArchiveError::Damaged { .. }), "{error:?}");
        error.to_string()
    };
    assert!(refused(long_name(5_000)).contains("a name is too long"));
    assert!(refused(long_name(2 << 20)).contains("an entry's attributes are too long"));
}

#[test]
fn names_that_are_long_without_end_are_refused_soon() {
    /// Repeats one directory, each time with `length` bytes of attributes before it.
    struct Endless {
        entry: Vec<u8>,
        read: usize,
    }
    impl io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let at = self.read % self.entry.len();
            let read = (&self.entry[at..]).read(buffer)?;
            self.read += read;
            Ok(read)
        }
    }
    let endless = |comment: usize| {
        let mut builder = ::tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("comment", "x".repeat(comment).as_bytes())]).unwrap();
        let mut header = ::tar::Header::new_ustar();
        header.set_entry_type(::tar::EntryType::Directory);
        header.set_path("d").unwrap();
        header.set_size(0);
        header.set_cksum();
        let mut entry = builder.into_inner().unwrap();
        entry.truncate(entry.len() - 1024);
        entry.extend_from_slice(header.as_bytes());
        Endless { entry, read: 0 }
    };
    for comment in [400, 4_000, 1 << 19] {
        let mut archive = endless(comment);
        let error = contents(&mut archive).unwrap_err();
        assert!(matches!(error, ArchiveError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("the entries' attributes are too long"), "{error}");
        assert!(archive.read < 32 << 20, "{}", archive.read);
    }
}

#[test]
fn entries_without_end_are_refused() {
    /// The same link under a new name each time.
    struct Endless(u64, io::Cursor<Vec<u8>>);
    impl io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.1.position() == self.1.get_ref().len() as u64 {
                let mut header = ::tar::Header::new_gnu();
                header.set_entry_type(::tar::EntryType::Symlink);
                header.set_path(format!("{}/layer.tar", self.0))?;
                header.set_link_name("x".repeat(90))?;
                header.set_size(0);
                header.set_cksum();
                *self = Self(self.0 + 1, io::Cursor::new(header.as_bytes().to_vec()));
            }
            self.1.read(buffer)
        }
    }
    let error = contents(Endless(0, io::Cursor::default())).unwrap_err();
    assert!(matches!(error, ArchiveError::MetadataTooLarge { .. }), "{error:?}");
}
