//! SHA-256 sums: of files, and as read from the checksum files that projects publish.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 sum as 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sha256Sum(String);

impl Sha256Sum {
    /// Parses 64 hexadecimal digits of either case.
    pub fn parse(text: &str) -> Option<Self> {
        let is_sum = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_sum.then(|| Self(text.to_ascii_lowercase()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the sum of the file at `path`, or `None` if `stop` was set meanwhile.
    pub(super) fn of_file(path: &Path, stop: &AtomicBool) -> io::Result<Option<Self>> {
        let mut file = std::fs::File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
        Ok(Some(Self(hex(&hasher.finalize()))))
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Finds the sum of the file `name` in the text of a checksum file.
///
/// kubectl's contains the bare sum, kind's and helm's a line of `sha256sum`, with the name after it. A sum
/// for another name belongs to another file and is skipped.
pub(super) fn parse_checksum_file(text: &str, name: &str) -> Option<Sha256Sum> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let sum = Sha256Sum::parse(words.next()?)?;
        let Some(of) = words.next() else { return Some(sum) };
        let of = of.trim_start_matches('*');
        let base = of.rsplit('/').next().unwrap_or(of);
        (base == name).then_some(sum)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "50030de23cf40a18505f20426f6a8506bedf13c6e509244bd1fa9463721b0f54";

    #[test]
    fn checksum_files_of_every_project_are_read() {
        let rows = [
            ("bare, as kubectl's", SUM.to_owned()),
            ("bare with a line end", format!("{SUM}\n")),
            ("named, as kind's", format!("{SUM}  kind-linux-amd64\n")),
            ("binary mark", format!("{SUM} *kind-linux-amd64\n")),
            ("with a folder", format!("{SUM}  ./bin/kind-linux-amd64\n")),
            ("capitals", format!("{}  kind-linux-amd64\n", SUM.to_uppercase())),
            ("second of two", format!("{}  other\n{SUM}  kind-linux-amd64\n", "0".repeat(64))),
        ];
        for (what, text) in rows {
            assert_eq!(parse_checksum_file(&text, "kind-linux-amd64"), Sha256Sum::parse(SUM), "{what}");
        }
    }

    #[test]
    fn text_without_a_sum_for_the_file_is_refused() {
        let rows = [
            String::new(),
            "<html>sign in to this network</html>".to_owned(),
            format!("{SUM}  kind-linux-arm64\n"),
            format!("{}  kind-linux-amd64\n", &SUM[1..]),
            format!("{}g", &SUM[1..]),
        ];
        for text in rows {
            assert_eq!(parse_checksum_file(&text, "kind-linux-amd64"), None, "{text}");
        }
    }

    #[test]
    fn a_file_has_the_sum_that_sha256sum_prints() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let sum = Sha256Sum::of_file(&path, &AtomicBool::new(false)).unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sum, Sha256Sum::parse(expected));
    }
}
