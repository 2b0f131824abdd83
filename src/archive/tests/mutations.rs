//! Randomly damaged archives and `ctr` output: nothing panics, and a node that gets an index gets everything
//! it names.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{NodeHolds, parse_images_check, parse_snapshotter};
use super::support::{fixture, layout, send};

const ARCHIVES: [&[u8]; 5] = [
    fixture!("two-layers.docker-20.10"),
    fixture!("two-layers.docker-28.5"),
    fixture!("shared-layer.docker-28.5"),
    fixture!("multi-platform.docker-28.5"),
    fixture!("zstd.docker-28.5"),
];
const LISTINGS: [&[u8]; 3] = [
    include_bytes!("../../../tests/fixtures/ctr-content-ls.ctr-1.6.20.txt"),
    include_bytes!("../../../tests/fixtures/ctr-images-check.ctr-1.6.20.txt"),
    include_bytes!("../../../tests/fixtures/containerd-config-dump.containerd-1.6.20.toml"),
];

/// Changes to some bytes, at positions between 0 and 1.
#[derive(Debug, Clone)]
enum Damage {
    Change(f64, u8),
    Cut(f64),
    Remove(f64, usize),
    Repeat(f64, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    // Whole blocks keep their checksums right when moved; single bytes break them.
    let length = prop_oneof![Just(512_usize), Just(1024), 1..700_usize];
    let place = 0.0..1.0;
    prop_oneof![
        8 => (place.clone(), any::<u8>()).prop_map(|(at, byte)| Damage::Change(at, byte)),
        1 => place.clone().prop_map(Damage::Cut),
        2 => (place.clone(), length.clone()).prop_map(|(at, length)| Damage::Remove(at, length)),
        2 => (place, length).prop_map(|(at, length)| Damage::Repeat(at, length)),
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a place within a small file"
)]
fn damaged(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damages {
        let place = |at: f64| (at * bytes.len() as f64) as usize;
        match *damage {
            Damage::Change(at, byte) => {
                let place = place(at);
                bytes.get_mut(place).into_iter().for_each(|old| *old = byte);
            }
            Damage::Cut(at) => bytes.truncate(place(at)),
            Damage::Remove(at, length) => {
                let begin = place(at) / 512 * 512;
                bytes.drain(begin..(begin + length).min(bytes.len()));
            }
            Damage::Repeat(at, length) => {
                let begin = place(at) / 512 * 512;
                let part = bytes[begin..(begin + length).min(bytes.len())].to_vec();
                bytes.splice(begin..begin, part);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_archive_is_an_error_or_arrives_whole(
        archive in 0..ARCHIVES.len(),
        damages in vec(damage(), 1..4),
    ) {
        let bytes = damaged(ARCHIVES[archive], &damages);
        if let Ok((transfer, arrived)) = send(&bytes, &[], NodeHolds::nothing())
            && transfer.nodes[0].error.is_none()
        {
            // Every blob matches its digest, and every image has its configuration and layers.
            let images = layout(&arrived).unwrap().images();
            prop_assert_eq!(images.len(), transfer.nodes[0].images.len());
            prop_assert!(images.iter().flat_map(|image| &image.layers).all(|(_, _, sent)| *sent));
        }
    }

    #[test]
    fn a_damaged_answer_of_a_node_is_no_panic(
        listing in 0..LISTINGS.len(),
        damages in vec(damage(), 1..4),
    ) {
        let text = String::from_utf8_lossy(&damaged(LISTINGS[listing], &damages)).into_owned();
        let _ = NodeHolds::parse(&text);
        let _ = parse_images_check(&text);
        let _ = parse_snapshotter(&text);
    }
}
