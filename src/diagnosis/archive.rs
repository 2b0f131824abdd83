//! Writes a diagnosis as a `.tar.gz`.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Gathered, index};

/// The folder of all files in the archive.
const FOLDER: &str = "milvusctl-diagnosis";

/// Writes what was gathered, index first; `seconds` since the Unix epoch is the time of all files.
///
/// # Errors
/// Fails when writing to `to` fails.
pub fn write(to: impl Write, gathered: &[Gathered], seconds: u64) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(to, Compression::default()));
    let mut add = |path: &str, text: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(seconds);
        archive.append_data(&mut header, format!("{FOLDER}/{path}"), text.as_bytes())
    };
    add("index.txt", &index(gathered))?;
    for file in gathered {
        if let Ok(text) = &file.text {
            add(&file.path, text)?;
        }
    }
    archive.into_inner()?.finish()?.flush()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn an_archive_holds_the_index_and_every_text() {
        let gathered = [
            Gathered { path: "a/b.txt".into(), what: "words".into(), text: Ok("text\n".into()) },
            Gathered { path: "c.txt".into(), what: "words".into(), text: Err("none".into()) },
        ];
        let mut bytes = Vec::new();
        write(&mut bytes, &gathered, 1_700_000_000).unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(&bytes[..]));
        let files: Vec<(String, String)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                (entry.path().unwrap().display().to_string(), text)
            })
            .collect();
        let expected = [
            ("milvusctl-diagnosis/index.txt".to_owned(), index(&gathered)),
            ("milvusctl-diagnosis/a/b.txt".to_owned(), "text\n".to_owned()),
        ];
        assert_eq!(files, expected);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert_eq!(write(Full, &[], 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
