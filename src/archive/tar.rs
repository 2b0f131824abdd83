//! The tar format, read and written forward only.
//!
//! Reads what Docker, Podman and crane write (ustar with the PAX and GNU extensions for long names and large
//! sizes) and is strict about the rest: a header whose checksum fails, a stream that ends without its end
//! mark, or a path that climbs out is an error. Knows nothing of images.

use std::io::{self, Read};
use std::sync::Arc;

use super::error::ArchiveError;

const BLOCK: usize = 512;
/// Bytes that are read and passed on at once: two pipe buffers of Linux.
pub(super) const CHUNK: usize = 128 * 1024;
/// Bounds the names and attributes that stand before an entry.
const EXTENSION_LIMIT: u64 = 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Relative, without `.` and `..`.
    pub(super) path: String,
    pub(super) kind: Kind,
    /// Bytes of content; 0 unless a file.
    pub(super) size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// A symbolic or hard link, and the path within the archive that it leads to.
    Link(String),
}

/// The entries of an archive in the order in which they come.
pub(super) struct Entries<R> {
    source: R,
    /// Bytes taken from the source.
    offset: u64,
    /// Bytes of the present entry's content that are still to come, and its padding.
    remaining: u64,
    padding: u64,
}

impl<R: Read> Entries<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, offset: 0, remaining: 0, padding: 0 }
    }

    /// Bytes taken from the source so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the next entry, and `None` after the archive's end mark.
    ///
    /// What was not read of the former entry is skipped.
    pub(super) fn advance(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip(&mut |_| ())?;
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            if block.iter().all(|&byte| byte == 0) {
                return Ok(None);
            }
            let header = Header(&block);
            header.verify().map_err(|reason| self.damaged(reason))?;
            let size = header.size().ok_or_else(|| self.damaged("an entry's size cannot be read"))?;
            let kind = header.0[156];
            if matches!(kind, b'x' | b'g' | b'L' | b'K') {
                let text = self.extension(size)?;
                extensions.add(kind, &text).map_err(|reason| self.damaged(reason))?;
                continue;
            }
            return self.entry(&header, size, extensions).map(Some);
        }
    }

    fn entry(&mut self, header: &Header<'_>, size: u64, ext: Extensions) -> Result<Entry, ArchiveError> {
        let size = ext.size.unwrap_or(size);
        let not_utf8 = "a name is not UTF-8";
        let path = match ext.path {
            Some(path) => path,
            None => header.path().ok_or_else(|| self.damaged(not_utf8))?,
        };
        let target = match ext.target {
            Some(target) => target,
            None => header.text(157, 100).ok_or_else(|| self.damaged(not_utf8))?,
        };
        let path = resolve("", &path)?;
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let kind = match header.0[156] {
            b'0' | 0 => Kind::File,
            b'5' => Kind::Directory,
            b'2' => Kind::Link(resolve(parent, &target)?),
            b'1' => Kind::Link(resolve("", &target)?),
            other => {
                return Err(
                    self.damaged(format!("`{path}` is of the unexpected type {:?}", char::from(other)))
                );
            }
        };
        let size = if kind == Kind::File { size } else { 0 };
        self.expect(size);
        Ok(Entry { path, kind, size })
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > EXTENSION_LIMIT {
            return Err(self.damaged("an entry's attributes are too long"));
        }
        self.expect(size);
        let mut text = Vec::new();
        while let Some(chunk) = self.chunk()? {
            text.extend_from_slice(&chunk);
        }
        Ok(text)
    }

    fn expect(&mut self, size: u64) {
        self.remaining = size;
        self.padding = padding(size);
    }

    /// Returns the next piece of the present entry's content, at most [`CHUNK`] bytes; `None` at its end.
    pub(super) fn chunk(&mut self) -> Result<Option<Arc<[u8]>>, ArchiveError> {
        if self.remaining == 0 {
            return Ok(None);
        }
        let wanted = self.remaining.min(CHUNK as u64);
        let mut bytes = Vec::with_capacity(CHUNK.min(usize::try_from(wanted).unwrap_or(CHUNK)));
        let read = self.source.by_ref().take(wanted).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        read.map_err(|source| ArchiveError::Read { offset: self.offset, source })?;
        if (bytes.len() as u64) < wanted {
            return Err(ArchiveError::Truncated { offset: self.offset });
        }
        self.remaining -= wanted;
        Ok(Some(bytes.into()))
    }

    /// Skips the rest of the present entry, telling `progress` the offset now and then.
    pub(super) fn skip(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), ArchiveError> {
        let mut left = self.remaining + self.padding;
        (self.remaining, self.padding) = (0, 0);
        let mut scratch = if left > 0 { vec![0; CHUNK] } else { Vec::new() };
        while left > 0 {
            let piece = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            self.fill(&mut scratch[..piece])?;
            left -= piece as u64;
            progress(self.offset);
        }
        Ok(())
    }

    /// Reads what follows the end mark, so that the writing tool ends by itself and not by a closed pipe.
    pub(super) fn drain(&mut self) -> Result<(), ArchiveError> {
        let mut scratch = vec![0; CHUNK];
        loop {
            match self.source.read(&mut scratch) {
                Ok(0) => return Ok(()),
                Ok(read) => self.offset += read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(ArchiveError::Read { offset: self.offset, source }),
            }
        }
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), ArchiveError> {
        while !buffer.is_empty() {
            match self.source.read(buffer) {
                Ok(0) => return Err(ArchiveError::Truncated { offset: self.offset }),
                Ok(read) => {
                    self.offset += read as u64;
                    buffer = &mut buffer[read..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(ArchiveError::Read { offset: self.offset, source }),
            }
        }
        Ok(())
    }

    fn damaged(&self, reason: impl Into<String>) -> ArchiveError {
        ArchiveError::Damaged { offset: self.offset, reason: reason.into() }
    }
}

/// What PAX and GNU headers say about the entry after them.
#[derive(Default)]
struct Extensions {
    path: Option<String>,
    target: Option<String>,
    size: Option<u64>,
}

impl Extensions {
    fn add(&mut self, kind: u8, text: &[u8]) -> Result<(), &'static str> {
        let utf8 =
            |text: &[u8]| std::str::from_utf8(text).map(str::to_owned).map_err(|_| "a name is not UTF-8");
        match kind {
            b'L' => self.path = Some(utf8(text)?.trim_end_matches('\0').to_owned()),
            b'K' => self.target = Some(utf8(text)?.trim_end_matches('\0').to_owned()),
            b'x' => self.add_pax(text)?,
            // Global headers hold comments; image tools write none that matter here.
            _ => {}
        }
        Ok(())
    }

    /// Reads records of the form `LENGTH KEY=VALUE\n`, the length counting the whole record.
    fn add_pax(&mut self, mut text: &[u8]) -> Result<(), &'static str> {
        const BROKEN: &str = "an extended header cannot be read";
        while !text.is_empty() {
            let space = text.iter().position(|&byte| byte == b' ').ok_or(BROKEN)?;
            let length: usize =
                std::str::from_utf8(&text[..space]).ok().and_then(|n| n.parse().ok()).ok_or(BROKEN)?;
            let record = text.get(space + 1..length).ok_or(BROKEN)?;
            let record = record.strip_suffix(b"\n").ok_or(BROKEN)?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or(BROKEN)?;
            let value = &record[equals + 1..];
            let value_text = || std::str::from_utf8(value).map_err(|_| BROKEN);
            match &record[..equals] {
                b"path" => self.path = Some(value_text()?.to_owned()),
                b"linkpath" => self.target = Some(value_text()?.to_owned()),
                b"size" => self.size = Some(value_text()?.parse().map_err(|_| BROKEN)?),
                _ => {}
            }
            text = &text[length..];
        }
        Ok(())
    }
}

struct Header<'a>(&'a [u8; BLOCK]);

impl Header<'_> {
    fn verify(&self) -> Result<(), &'static str> {
        let sum: u64 = checksum(self.0);
        (number(&self.0[148..156]) == Some(sum)).then_some(()).ok_or("a header's checksum does not fit")
    }

    fn size(&self) -> Option<u64> {
        let field = &self.0[124..136];
        if field[0] & 0x80 == 0 {
            return number(field);
        }
        // GNU's form for files above 8 GiB: the last eight bytes, big-endian.
        (field[0] == 0x80 && field[1..4].iter().all(|&byte| byte == 0))
            .then(|| field[4..].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    }

    fn path(&self) -> Option<String> {
        let name = self.text(0, 100)?;
        // Only ustar has a prefix; GNU keeps times in its place.
        let prefix = if &self.0[257..263] == b"ustar\0" { self.text(345, 155)? } else { String::new() };
        Some(if prefix.is_empty() { name } else { format!("{prefix}/{name}") })
    }

    fn text(&self, start: usize, length: usize) -> Option<String> {
        let field = &self.0[start..start + length];
        let end = field.iter().position(|&byte| byte == 0).unwrap_or(length);
        std::str::from_utf8(&field[..end]).ok().map(str::to_owned)
    }
}

fn number(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(|c| c == ' ' || c == '\0');
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

fn checksum(block: &[u8; BLOCK]) -> u64 {
    let spaces = 8 * u64::from(b' ');
    let counted = block[..148].iter().chain(&block[156..]);
    counted.map(|&byte| u64::from(byte)).sum::<u64>() + spaces
}

/// Joins `path` to the directory `base` and takes `.` and `..` out.
fn resolve(base: &str, path: &str) -> Result<String, ArchiveError> {
    let escapes = || ArchiveError::PathEscapes { path: path.to_owned() };
    if path.starts_with('/') {
        return Err(escapes());
    }
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if base.is_empty() => return Err(escapes()),
            ".." => _ = parts.pop().ok_or_else(escapes)?,
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Returns the bytes between a content's end and the next block.
pub(super) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// Returns the header of a file of `size` bytes by the name `path`, of at most 100 bytes.
pub(super) fn header(path: &str, size: u64) -> Arc<[u8]> {
    let mut block = [0; BLOCK];
    block[..path.len()].copy_from_slice(path.as_bytes());
    block[100..108].copy_from_slice(b"0000444\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    if size < 1 << 33 {
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        block[124] = 0x80;
        block[128..136].copy_from_slice(&size.to_be_bytes());
    }
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = b'0';
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum = format!("{:06o}\0 ", checksum(&block));
    block[148..156].copy_from_slice(sum.as_bytes());
    Arc::from(block)
}

/// Returns a small file as a whole entry, padded.
pub(super) fn file(path: &str, content: &[u8]) -> Arc<[u8]> {
    let mut bytes = header(path, content.len() as u64).to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes.into()
}

/// Returns the zeros that follow a content of `size` bytes.
pub(super) fn zeros_after(size: u64) -> Arc<[u8]> {
    let length = usize::try_from(padding(size)).unwrap_or_default();
    Arc::from(&[0; BLOCK][..length])
}

pub(super) fn end() -> Arc<[u8]> {
    Arc::from([0; 2 * BLOCK])
}

#[cfg(test)]
#[path = "tar_tests.rs"]
mod tests;
