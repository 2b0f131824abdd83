//! Extracts one program from a release archive.

use std::io::{self, Read as _, Write};
use std::path::{Component, Path};

/// The size limit for a program in bytes; helm 3.19 has about 60 MB.
const PROGRAM_LIMIT_BYTES: u64 = 512 * 1024 * 1024;

/// Why the program could not be extracted.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    /// The archive is damaged or not as expected.
    #[error("{0}")]
    Archive(String),
    /// The program could not be written.
    #[error("{0}")]
    Write(io::Error),
}

/// Writes the file `member` of the `.tar.gz` archive to `out`.
///
/// Writes nothing else anywhere. Refuses an archive with any path that leads out of it, because no release
/// has one.
pub(super) fn member(archive: impl io::Read, member: &str, out: &mut impl Write) -> Result<(), UnpackError> {
    let damaged = |error: io::Error| UnpackError::Archive(format!("the archive is damaged: {error}"));
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    let mut found = false;
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        if path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            let path = path.display();
            return Err(UnpackError::Archive(format!("the archive's path `{path}` points outside it")));
        }
        if path.strip_prefix(".").unwrap_or(&path) != Path::new(member) {
            continue;
        }
        if !entry.header().entry_type().is_file() {
            return Err(UnpackError::Archive(format!("`{member}` in the archive is not a plain file")));
        }
        if entry.size() > PROGRAM_LIMIT_BYTES {
            return Err(UnpackError::Archive(format!("`{member}` in the archive is too large")));
        }
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = entry.read(&mut buffer).map_err(damaged)?;
            if read == 0 {
                break;
            }
            out.write_all(&buffer[..read]).map_err(UnpackError::Write)?;
        }
        found = true;
    }
    if found { Ok(()) } else { Err(UnpackError::Archive(format!("the archive does not contain `{member}`"))) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Builds a `.tar.gz` archive of `entries`, with their paths unchecked.
    pub(in super::super) fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut builder = tar::Builder::new(encoder);
        for (path, kind, body) in entries {
            let mut header = tar::Header::new_gnu();
            // `set_path` refuses the very paths that need testing.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            header.set_size(body.len() as u64);
            header.set_cksum();
            builder.append(&header, *body).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        member(bytes, "linux-amd64/helm", &mut out).map(|()| out).map_err(|error| error.to_string())
    }

    #[test]
    fn the_program_is_extracted() {
        let bytes = archive(&[
            ("linux-amd64/LICENSE", tar::EntryType::Regular, b"text"),
            ("./linux-amd64/helm", tar::EntryType::Regular, b"program"),
        ]);
        assert_eq!(unpacked(&bytes), Ok(b"program".to_vec()));
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        for path in ["../helm", "/etc/passwd", "linux-amd64/../../x"] {
            let bytes = archive(&[
                ("linux-amd64/helm", tar::EntryType::Regular, b"program"),
                (path, tar::EntryType::Regular, b"evil"),
            ]);
            assert_eq!(unpacked(&bytes), Err(format!("the archive's path `{path}` points outside it")));
        }
    }

    #[test]
    fn a_link_in_place_of_the_program_is_refused() {
        let bytes = archive(&[("linux-amd64/helm", tar::EntryType::Symlink, b"")]);
        let expected = "`linux-amd64/helm` in the archive is not a plain file";
        assert_eq!(unpacked(&bytes), Err(expected.to_owned()));
    }

    #[test]
    fn an_archive_without_the_program_is_refused() {
        let bytes = archive(&[("helm", tar::EntryType::Regular, b"program")]);
        assert_eq!(unpacked(&bytes), Err("the archive does not contain `linux-amd64/helm`".to_owned()));
    }

    #[test]
    fn a_cut_archive_is_damaged() {
        let bytes = archive(&[("linux-amd64/helm", tar::EntryType::Regular, &[7; 5000])]);
        let error = unpacked(&bytes[..bytes.len() / 2]).unwrap_err();
        assert!(error.starts_with("the archive is damaged: "), "{error}");
    }
}
