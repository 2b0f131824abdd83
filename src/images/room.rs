//! About how much room the images of a plan take.
//!
//! No registry is asked: these are estimates by part, rounded up from what the images are known to take when
//! unpacked, so that a disk which is far too small is found before anything is pulled.

use super::catalog::PlannedImage;

const MB: u64 = 1_000_000;

/// Returns about how many bytes the images take on one node, unpacked and with their compressed layers.
///
/// A plan that leaves Milvus to the operator is counted with it.
pub fn about_bytes(planned: &[PlannedImage]) -> u64 {
    let has_milvus = planned.iter().any(|image| image.wanted_by.contains(&"milvus"));
    let unnamed = if has_milvus { 0 } else { of_part("milvus") };
    planned
        .iter()
        .map(|image| image.wanted_by.iter().map(|part| of_part(part)).max().unwrap_or_default())
        .sum::<u64>()
        + unnamed
}

fn of_part(part: &str) -> u64 {
    match part {
        "milvus" => 3000 * MB,
        "pulsar" => 2000 * MB,
        // Kafka, and the ZooKeeper that comes with it.
        "kafka" => 1000 * MB,
        _ => 400 * MB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, wanted_by: &[&'static str]) -> PlannedImage {
        PlannedImage { image: name.parse().unwrap(), wanted_by: wanted_by.to_vec() }
    }

    #[test]
    fn each_image_counts_once_whoever_wants_it() {
        let planned = [image("a:1", &["etcd", "storage"]), image("b:1", &["milvus"])];
        assert_eq!(about_bytes(&planned), 3400 * MB);
    }

    #[test]
    fn a_milvus_that_is_left_to_the_operator_counts_too() {
        assert_eq!(about_bytes(&[image("a:1", &["pulsar"])]), 5000 * MB);
    }
}
