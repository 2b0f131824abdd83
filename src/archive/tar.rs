//! The entries of an archive, forward only, by the `tar` crate.
//!
//! Stricter than the crate where an image archive has no need for more: a stream that ends without its end mark is cut
//! off, names are UTF-8 and stay within the archive, and what stands before an entry is bounded. Knows nothing of
//! images.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::Arc;

use tar::EntryType;

use super::error::ArchiveError;

const BLOCK: usize = 512;
/// Bytes that are read and passed on at once: two pipe buffers of Linux.
pub(super) const CHUNK: usize = 128 * 1024;
/// Bounds the names and attributes that stand before an entry, which the crate keeps in memory.
const EXTENSION_LIMIT: u64 = 1024 * 1024;
/// Bounds a path, as Linux does.
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

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Directory,
    /// A symbolic or hard link, and the path within the archive that it leads to.
    Link(String),
}

/// What the crate's readers share with [`Entries`]: it tells neither how far it is nor why it failed.
#[derive(Default)]
struct Tally {
    /// Bytes taken from the source.
    offset: Cell<u64>,
    /// The bytes that may be read until the next entry's content begins.
    allowance: Cell<Option<u64>>,
    is_too_long: Cell<bool>,
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

/// An archive that is read from its start.
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

    /// Reads what follows the end mark, so that the writing tool ends by itself and not by a closed pipe, and returns
    /// the bytes of all.
    pub(super) fn drain(self) -> Result<u64, ArchiveError> {
        io::copy(&mut self.inner.into_inner(), &mut io::sink())
            .map_err(|error| fault(&self.tally, &error))?;
        Ok(self.tally.offset.get())
    }
}

/// The entries of an archive in the order in which they come.
pub(super) struct Entries<'a, R: Read> {
    entries: tar::Entries<'a, Tallied<R>>,
    /// The present entry, of which content is still to come.
    entry: Option<tar::Entry<'a, Tallied<R>>>,
    remaining: u64,
    tally: Rc<Tally>,
}

impl<R: Read> Entries<'_, R> {
    /// Bytes taken from the source so far.
    pub(super) fn offset(&self) -> u64 {
        self.tally.offset.get()
    }

    /// Returns the next entry, and `None` after the archive's end mark.
    ///
    /// What was not read of the former entry is skipped.
    pub(super) fn advance(&mut self) -> Result<Option<Entry>, ArchiveError> {
        self.skip(&mut |_| ())?;
        self.entry = None;
        self.tally.allowance.set(Some(EXTENSION_LIMIT));
        let next = self.entries.next();
        self.tally.allowance.set(None);
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

    /// Returns the next piece of the present entry's content, at most [`CHUNK`] bytes; `None` at its end.
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

    /// Skips the rest of the present entry, telling `progress` the offset now and then.
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

/// Tells a source that failed or ended from an archive that is wrong.
fn fault(tally: &Tally, error: &io::Error) -> ArchiveError {
    let offset = tally.offset.get();
    match tally.failure.take() {
        // As readers of packed archives say it.
        Some(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
            return ArchiveError::Truncated { offset };
        }
        Some(source) => return ArchiveError::Read { offset, source },
        None => {}
    }
    if tally.is_too_long.get() {
        return damaged(tally, "an entry's attributes are too long");
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
    // The crate passes over records that it cannot read.
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

/// Returns the header of a file of `size` bytes by the name `path`, of at most 100 bytes.
pub(super) fn header(path: &str, size: u64) -> Arc<[u8]> {
    // GNU's form has room for sizes above 8 GiB.
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

/// Returns a small file as a whole entry, padded.
pub(super) fn file(path: &str, content: &[u8]) -> Arc<[u8]> {
    let mut bytes = header(path, content.len() as u64).to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes.into()
}

/// Returns the zeros that follow a content of `size` bytes.
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
