//! How far a pull is, by what `docker pull` shows on a terminal.

use std::collections::HashMap;

/// The layers of one pull, with their bytes.
#[derive(Default)]
pub struct PullProgress {
    known: HashMap<String, (u64, u64)>,
}

impl PullProgress {
    /// Reads a line such as `4f4fb700ef54: Downloading [==>  ] 1.2MB/5.4MB`; says whether it was one.
    pub fn read(&mut self, line: &str) -> bool {
        let Some((id, rest)) = line.split_once(": ") else { return false };
        if id.len() != 12 || !id.chars().all(|c| c.is_ascii_hexdigit()) {
            return false;
        }
        if rest.starts_with("Download complete") || rest.starts_with("Pull complete") {
            if let Some((done, total)) = self.known.get_mut(id) {
                *done = *total;
            }
            return true;
        }
        if !rest.starts_with("Downloading") {
            return false;
        }
        let Some(sizes) = rest.split_whitespace().last().and_then(|word| word.split_once('/')) else {
            return false;
        };
        let (Some(done), Some(total)) = (parse_size(sizes.0), parse_size(sizes.1)) else { return false };
        self.known.insert(id.to_owned(), (done, total));
        true
    }

    /// The bytes that have come and those that there are, of all layers seen so far.
    pub fn sum(&self) -> (u64, u64) {
        self.known.values().fold((0, 0), |sum, (done, total)| (sum.0 + done, sum.1 + total))
    }
}

/// Reads a size as docker writes it, in powers of a thousand: `1.2MB`.
fn parse_size(text: &str) -> Option<u64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * factor;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size below 2^53 and above 0"
    )]
    (0.0..9e15).contains(&bytes).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_summed_over_the_layers() {
        let mut layers = PullProgress::default();
        assert!(layers.read("4f4fb700ef54: Downloading [=>    ]  1.5MB/6MB"));
        assert!(layers.read("aaaabbbbcccc: Downloading  500kB/1MB"));
        assert!(!layers.read("Digest: sha256:0123"));
        assert!(!layers.read("4f4fb700ef54: Extracting 3MB/6MB"));
        assert_eq!(layers.sum(), (2_000_000, 7_000_000));
        assert!(layers.read("4f4fb700ef54: Download complete"));
        assert_eq!(layers.sum(), (6_500_000, 7_000_000));
    }

    #[test]
    fn sizes_that_are_none_are_refused() {
        for text in ["", "12", "xMB", "1.2XB", "-3MB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
