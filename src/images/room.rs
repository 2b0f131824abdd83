//! Estimates the disk space that a plan's images take.
//!
//! Asks no registry: the estimates per part are rounded up from known unpacked sizes, to detect a disk that
//! is far too small before pulling anything.

use super::catalog::PlannedImage;

const MB: u64 = 1_000_000;

/// Estimates the bytes that the images take on one node, unpacked plus compressed layers.
///
/// Includes Milvus even if the plan leaves it to the operator.
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
        // Kafka or its ZooKeeper.
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
    fn an_image_of_two_parts_counts_once() {
        let planned = [image("a:1", &["etcd", "storage"]), image("b:1", &["milvus"])];
        assert_eq!(about_bytes(&planned), 3400 * MB);
    }

    #[test]
    fn milvus_counts_even_if_left_to_the_operator() {
        assert_eq!(about_bytes(&[image("a:1", &["pulsar"])]), 5000 * MB);
    }
}
