//! Reads an archive's entries in order, through the `tar` crate, and writes entries.
//!
//! Stricter than the crate, since image archives need no more: a stream without its end mark is truncated,
//! names must be UTF-8 and stay within the archive, and headers before an entry are bounded. Knows nothing of
//! images.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::Arc;

use tar::EntryType;

use super::error::ArchiveError;

const BLOCK: usize = 512;
/// Bytes read and passed on at a time: two Linux pipe buffers.
pub(super) const CHUNK: usize = 128 * 1024;
/// Limits the names and attributes before an entry, which the crate keeps in memory.
const EXTENSION_LIMIT: u64 = 1024 * 1024;
/// Limits their total across the archive. Writers need a KiB or two per entry, if any, and headers are slower to read
/// than content.
const EXTENSIONS_LIMIT: u64 = 8 * 1024 * 1024;
/// An entry's own header and the padding before it.
const PLAIN: u64 = 2 * BLOCK as u64;
/// Linux's limit for a path.
const PATH_LIMIT: usize = 4096;

/// An entry's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Relative, without `.` and `..`.
    pub(super) path: String,
    pub(super) kind: EntryKind,
    /// Bytes of content; 0 unless a file.
    pub(super) size: u64,
}

/// An entry's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Directory,
    /// A symbolic or hard link, and its target within the archive.
    Link(String),
}

/// State shared between the crate's reader and [`Entries`]: the crate reports neither its offset nor why it
/// failed.
#[derive(Default)]
struct Tally {
    /// Bytes read from the source.
    offset: Cell<u64>,
    /// How many bytes may be read before the next entry's content starts.
    allowance: Cell<Option<u64>>,
    is_too_long: Cell<bool>,
    /// Bytes read before entries, apart from their own headers.
    extensions: Cell<u64>,
    has_ended: Cell<bool>,
    failure: RefCell<Option<io::Error>>,
}

struct Tallied<R> {
    inner: R,
    tally: Rc<Tally>,
}

impl<R: Read> Read for Tallied<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = match self.inner.read(buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                let told = io::Error::new(error.kind(), error.to_string());
                self.tally.failure.replace(Some(error));
                return Err(told);
            }
        };
        self.tally.has_ended.set(read == 0);
        self.tally.offset.set(self.tally.offset.get() + read as u64);
        if let Some(allowance) = self.tally.allowance.get() {
            self.tally.allowance.set(Some(allowance.saturating_sub(read as u64)));
            if read as u64 > allowance {
                self.tally.is_too_long.set(true);
                return Err(io::Error::other("too long"));
            }
        }
        Ok(read)
    }
}

/// An archive, read from its start.
pub(super) struct TarReader<R: Read> {
    inner: tar::Archive<Tallied<R>>,
    tally: Rc<Tally>,
}

impl<R: Read> TarReader<R> {
    pub(super) fn new(source: R) -> Self {
        let tally = Rc::new(Tally::default());
        let source = Tallied { inner: source, tally: Rc::clone(&tally) };
        Self { inner: tar::Archive::new(source), tally }
    }

    pub(super) fn entries(&mut self) -> Result<Entries<'_, R>, ArchiveError> {
        let tally = Rc::clone(&self.tally);
        let entries = self.inner.entries().map_err(|error| fault(&tally, &error))?;
        Ok(Entries { entries, entry: None, remaining: 0, tally })
    }

    /// Reads what follows the end mark, so the writing tool exits normally instead of on a closed pipe, and
    /// returns the total bytes.
    pub(super) fn drain(self) -> Result<u64, ArchiveError> {
        io::copy(&mut self.inner.into_inner(), &mut io::sink())
            .map_err(|error| fault(&self.tally, &error))?;
        Ok(self.tally.offset.get())
    }
}

/// An archive's entries in stream order.
pub(super) struct Entries<'a, R: Read> {
    entries: tar::Entries<'a, Tallied<R>>,
    /// The current entry, whose content is still to be read.
    entry: Option<tar::Entry<'a, Tallied<R>>>,
    remaining: u64,
    tally: Rc<Tally>,
}

impl<R: Read> Entries<'_, R> {
    /// Bytes read from the source so far.
    pub(super) fn offset(&self) -> u64 {
        self.tally.offset.get()
    }

    /// Returns the next entry, or `None` after the archive's end mark.
    ///
    /// Skips what is left of the current one.
    pub(super) fn advance(&mut self) -> Result<Option<Entry>, ArchiveError> {
        self.skip(&mut |_| ())?;
        self.entry = None;
        let allowed = EXTENSION_LIMIT.min(EXTENSIONS_LIMIT.saturating_sub(self.tally.extensions.get()));
        self.tally.allowance.set(Some(allowed.max(PLAIN)));
        let begin = self.offset();
        let next = self.entries.next();
        self.tally.allowance.set(None);
        let before = (self.offset() - begin).saturating_sub(PLAIN);
        self.tally.extensions.set(self.tally.extensions.get() + before);
        let Some(entry) = next else {
            // The crate takes the end of the source for the end of the archive.
            let offset = self.offset();
            return if self.tally.has_ended.get() {
                Err(ArchiveError::Truncated { offset })
            } else {
                Ok(None)
            };
        };
        let mut entry = entry.map_err(|error| fault(&self.tally, &error))?;
        let described = describe(&mut entry, &self.tally)?;
        self.remaining = entry.size();
        self.entry = Some(entry);
        Ok(Some(described))
    }

    /// Returns the next piece of the current entry's content, at most [`CHUNK`] bytes; `None` at its end.
    pub(super) fn chunk(&mut self) -> Result<Option<Arc<[u8]>>, ArchiveError> {
        let Some(entry) = self.entry.as_mut().filter(|_| self.remaining > 0) else { return Ok(None) };
        let wanted = self.remaining.min(CHUNK as u64);
        let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or(CHUNK));
        let read = entry.take(wanted).read_to_end(&mut bytes);
        read.map_err(|error| fault(&self.tally, &error))?;
        if (bytes.len() as u64) < wanted {
            return Err(ArchiveError::Truncated { offset: self.offset() });
        }
        self.remaining -= wanted;
        Ok(Some(bytes.into()))
    }

    /// Skips the rest of the current entry, reporting the offset to `progress` as it goes.
    pub(super) fn skip(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), ArchiveError> {
        let Some(entry) = self.entry.as_mut().filter(|_| self.remaining > 0) else { return Ok(()) };
        let mut scratch = vec![0; CHUNK];
        while self.remaining > 0 {
            match entry.read(&mut scratch) {
                Ok(0) => return Err(ArchiveError::Truncated { offset: self.tally.offset.get() }),
                Ok(read) => self.remaining -= read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(fault(&self.tally, &error)),
            }
            progress(self.tally.offset.get());
        }
        Ok(())
    }
}

/// Distinguishes a source that failed or ended from a damaged archive.
fn fault(tally: &Tally, error: &io::Error) -> ArchiveError {
    let offset = tally.offset.get();
    match tally.failure.take() {
        // Decompressors report truncation this way.
        Some(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
            return ArchiveError::Truncated { offset };
        }
        Some(source) => return ArchiveError::Read { offset, source },
        None => {}
    }
    if tally.is_too_long.get() {
        let is_of_all = tally.extensions.get() + EXTENSION_LIMIT > EXTENSIONS_LIMIT;
        let whose = if is_of_all { "the entries' attributes are" } else { "an entry's attributes are" };
        return damaged(tally, format!("{whose} too long"));
    }
    if tally.has_ended.get() {
        return ArchiveError::Truncated { offset };
    }
    damaged(tally, error.to_string())
}

fn damaged(tally: &Tally, reason: impl Into<String>) -> ArchiveError {
    ArchiveError::Damaged { offset: tally.offset.get(), reason: reason.into() }
}

fn describe<R: Read>(entry: &mut tar::Entry<'_, R>, tally: &Tally) -> Result<Entry, ArchiveError> {
    // The crate ignores records it cannot read.
    if let Some(records) = entry.pax_extensions().map_err(|error| damaged(tally, error.to_string()))?
        && records.into_iter().any(|record| record.is_err())
    {
        return Err(damaged(tally, "an extended header cannot be read"));
    }
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(_) if bytes.len() > PATH_LIMIT => Err(damaged(tally, "a name is too long")),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(damaged(tally, "a name is not UTF-8")),
    };
    let path = resolve("", &text(&entry.path_bytes())?)?;
    let target = || text(&entry.link_name_bytes().unwrap_or_default());
    let kind = match entry.header().entry_type() {
        EntryType::Regular => EntryKind::File,
        EntryType::Directory => EntryKind::Directory,
        EntryType::Symlink => {
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            EntryKind::Link(resolve(parent, &target()?)?)
        }
        EntryType::Link => EntryKind::Link(resolve("", &target()?)?),
        other => {
            let kind = char::from(other.as_byte());
            return Err(damaged(tally, format!("`{path}` is of the unexpected type {kind:?}")));
        }
    };
    let size = if kind == EntryKind::File { entry.size() } else { 0 };
    Ok(Entry { path, kind, size })
}

/// Joins `path` to the directory `base` and resolves `.` and `..`.
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

/// Returns the header of a file of `size` bytes; `path` is at most 100 bytes.
pub(super) fn header(path: &str, size: u64) -> Arc<[u8]> {
    // The GNU format allows sizes above 8 GiB.
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_size(size);
    header.set_mode(0o444);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Arc::from(*header.as_bytes())
}

/// Returns a small file as a complete, padded entry.
pub(super) fn file(path: &str, content: &[u8]) -> Arc<[u8]> {
    let mut bytes = header(path, content.len() as u64).to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes.into()
}

/// Returns the zero padding after `size` bytes of content.
pub(super) fn zeros_after(size: u64) -> Arc<[u8]> {
    let length = usize::try_from(size.wrapping_neg() % BLOCK as u64).unwrap_or_default();
    Arc::from(&[0; BLOCK][..length])
}

/// Returns the end mark.
pub(super) fn end() -> Arc<[u8]> {
    Arc::from([0; 2 * BLOCK])
}

#[cfg(test)]
#[path = "tar_tests.rs"]
mod tests;
