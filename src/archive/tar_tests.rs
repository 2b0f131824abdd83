use super::*;

/// Reads a whole archive: each entry with its content.
fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, ArchiveError> {
    let mut archive = TarReader::new(bytes);
    let mut entries = archive.entries()?;
    let mut found = Vec::new();
    while let Some(entry) = entries.advance()? {
        let mut content = Vec::new();
        while let Some(chunk) = entries.chunk()? {
            content.extend_from_slice(&chunk);
        }
        found.push((entry, content));
    }
    Ok(found)
}

fn paths(bytes: &[u8]) -> Vec<String> {
    read(bytes).unwrap().into_iter().map(|(entry, _)| entry.path).collect()
}

/// A header from `header`, altered, with its checksum recomputed.
fn changed(path: &str, size: u64, change: impl FnOnce(&mut [u8; BLOCK])) -> Vec<u8> {
    let mut block: [u8; BLOCK] = header(path, size)[..].try_into().unwrap();
    change(&mut block);
    let sum = format!("{:06o}\0 ", sum_of(&block));
    block[148..156].copy_from_slice(sum.as_bytes());
    block.to_vec()
}

fn sum_of(block: &[u8; BLOCK]) -> u32 {
    let counted = block[..148].iter().chain(&block[156..]);
    counted.map(|&byte| u32::from(byte)).sum::<u32>() + 8 * u32::from(b' ')
}

fn link(path: &str, kind: u8, target: &str) -> Vec<u8> {
    changed(path, 0, |block| {
        block[156] = kind;
        block[157..157 + target.len()].copy_from_slice(target.as_bytes());
    })
}

fn kind_of(header: Vec<u8>) -> Result<EntryKind, String> {
    let archive = [header, end().to_vec()].concat();
    read(&archive).map(|mut found| found.remove(0).0.kind).map_err(|error| error.to_string())
}

#[test]
fn written_entries_are_read_back() {
    let long = vec![7; CHUNK + 3];
    let archive = [&file("a/b", b"hello")[..], &file("c", b""), &file("long", &long), &end()].concat();
    let entry = |path: &str, size| Entry { path: path.to_owned(), kind: EntryKind::File, size };
    let expected =
        [(entry("a/b", 5), b"hello".to_vec()), (entry("c", 0), vec![]), (entry("long", 131_075), long)];
    assert_eq!(read(&archive).unwrap(), expected);
}

#[test]
fn another_implementation_reads_what_is_written() {
    let archive = [&file("blobs/x", b"content")[..], &end()].concat();
    let mut other = ::tar::Archive::new(&archive[..]);
    let mut entry = other.entries().unwrap().next().unwrap().unwrap();
    let mut content = String::new();
    entry.read_to_string(&mut content).unwrap();
    assert_eq!((entry.path().unwrap().to_str(), content.as_str()), (Some("blobs/x"), "content"));
}

#[test]
fn long_names_of_another_implementation_are_read() {
    let name = format!("{}/layer.tar", "d".repeat(150));
    let mut other = ::tar::Builder::new(Vec::new());
    let mut header = ::tar::Header::new_gnu();
    header.set_size(2);
    other.append_data(&mut header, &name, &b"hi"[..]).unwrap();
    assert_eq!(paths(&other.into_inner().unwrap()), [name]);
}

#[test]
fn sizes_above_eight_gibibytes_survive() {
    let size = 20 << 30;
    let bytes = header("big", size);
    let mut archive = TarReader::new(&bytes[..]);
    let mut entries = archive.entries().unwrap();
    assert_eq!(entries.advance().unwrap().map(|entry| entry.size), Some(size));
}

#[test]
fn extended_headers_replace_path_and_size() {
    let records = b"20 path=other/namex\n10 size=2\n";
    let pax = [changed("pax", records.len() as u64, |block| block[156] = b'x'), records.to_vec()].concat();
    let mut archive = pax;
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    archive.extend_from_slice(&changed("short", 0, |_| ()));
    archive.extend_from_slice(b"hi");
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    archive.extend_from_slice(&end());
    let entry = Entry { path: "other/namex".to_owned(), kind: EntryKind::File, size: 2 };
    assert_eq!(read(&archive).unwrap(), [(entry, b"hi".to_vec())]);
}

#[test]
fn every_cut_is_a_truncation() {
    let archive = [&file("a", b"hello")[..], &end()].concat();
    for length in 0..archive.len() - BLOCK {
        let error = read(&archive[..length]).unwrap_err();
        assert!(matches!(error, ArchiveError::Truncated { offset } if offset == length as u64), "{error:?}");
    }
}

#[test]
fn links_lead_to_paths_within_the_archive() {
    let target = Ok(EntryKind::Link("other/layer.tar".to_owned()));
    assert_eq!(kind_of(link("id/layer.tar", b'2', "../other/layer.tar")), target);
    assert_eq!(kind_of(link("id/layer.tar", b'1', "other/layer.tar")), target);
}

#[test]
fn paths_that_climb_out_are_refused() {
    for path in ["../x", "a/../../x", "/etc/passwd", "a/.."] {
        let archive = [&file(path, b"")[..], &end()].concat();
        let error = read(&archive).unwrap_err();
        assert!(matches!(&error, ArchiveError::PathEscapes { path: found } if found == path), "{error:?}");
    }
    for target in ["../../x", "/x"] {
        assert!(kind_of(link("id/layer.tar", b'2', target)).unwrap_err().contains("points outside"));
    }
}

#[test]
fn a_dot_before_a_path_is_taken_off() {
    assert_eq!(paths(&[&file("./manifest.json", b"")[..], &end()].concat()), ["manifest.json"]);
}

#[test]
fn damaged_headers_are_refused() {
    let mut archive = [&file("a", b"hello")[..], &end()].concat();
    archive[0] = b'b';
    assert_eq!(
        read(&archive).unwrap_err().to_string(),
        "the image archive is damaged at byte 512: archive header checksum mismatch"
    );
    let odd = changed("x", 0, |block| block[156] = b'7');
    assert!(kind_of(odd).unwrap_err().contains("unexpected type '7'"));
    let size = changed("x", 0, |block| block[124..130].copy_from_slice(b"-00001"));
    assert!(kind_of(size).unwrap_err().contains("numeric field was not a number"));
}

#[test]
fn a_source_that_fails_says_where() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let bytes = file("a", b"hello");
    let mut archive = TarReader::new(bytes.chain(Failing));
    let error = archive.entries().unwrap().skip_all().unwrap_err();
    assert!(matches!(error, ArchiveError::Read { offset: 1024, .. }), "{error:?}");
}

impl<R: Read> Entries<'_, R> {
    fn skip_all(&mut self) -> Result<(), ArchiveError> {
        while self.advance()?.is_some() {}
        Ok(())
    }
}
