//! Streams an OCI image layout whose blobs are stored elsewhere.
//!
//! JSON documents come first, so a reader knows every blob before its bytes arrive. Memory holds the
//! documents and one blob's reader.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read};
use std::sync::Arc;

use serde_json::json;

use super::digest::Digest;
use super::forms::Descriptor;
use super::read::blob_path;
use super::tar;

/// Opens a blob. Its reader fails at the end if the bytes do not match the digest.
pub type OpenBlob = Box<dyn Fn(Digest) -> io::Result<Box<dyn Read + Send>> + Send>;

/// An image to write into a layout.
#[derive(Debug, Clone)]
pub struct LayoutImage {
    /// What the name points to, annotated with the name as nodes and engines expect it.
    pub top: Descriptor,
    /// The name as Docker writes it; `None` for an image pinned by digest alone.
    pub repo_tag: Option<String>,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
    /// Manifest and indexes, exactly as the registry returned them.
    pub documents: Vec<(Digest, Vec<u8>)>,
}

/// A file beside the layout in the archive; tools that read layouts ignore it.
pub struct LayoutFile {
    /// At most 100 bytes.
    pub path: String,
    pub size: u64,
    pub reader: Box<dyn Read + Send>,
}

/// Reads as a tar archive of a layout.
pub struct LayoutReader {
    entries: VecDeque<Piece>,
    open: OpenBlob,
    /// The file being streamed.
    current: Option<LayoutFile>,
    /// Bytes of it that are left.
    left: u64,
    /// Bytes to return next, and how many have been.
    bytes: (Arc<[u8]>, usize),
}

enum Piece {
    Bytes(Arc<[u8]>),
    Blob(Digest, u64),
    File(LayoutFile),
}

impl LayoutReader {
    /// Builds a layout of `images` with each blob once, except those in `leave_out`, which the reader has.
    ///
    /// With `for_docker` it also has Docker's `manifest.json`, which engines with the classic image store
    /// read.
    pub fn new(
        images: &[LayoutImage],
        for_docker: bool,
        leave_out: BTreeSet<Digest>,
        open: OpenBlob,
    ) -> Self {
        let mut entries = VecDeque::new();
        let mut add = |path: &str, content: &[u8]| entries.push_back(Piece::Bytes(tar::file(path, content)));
        add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        let tops: Vec<&Descriptor> = images.iter().map(|image| &image.top).collect();
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": tops,
        });
        add("index.json", index.to_string().as_bytes());
        if for_docker {
            let saved = images.iter().map(|image| {
                let layers: Vec<String> = image.layers.iter().map(|layer| blob_path(&layer.digest)).collect();
                json!({"Config": blob_path(&image.config.digest), "RepoTags": image.repo_tag.as_slice(), "Layers": layers})
            });
            add("manifest.json", json!(saved.collect::<Vec<_>>()).to_string().as_bytes());
        }
        let mut written = leave_out;
        for (digest, bytes) in images.iter().flat_map(|image| &image.documents) {
            if written.insert(*digest) {
                add(&blob_path(digest), bytes);
            }
        }
        for blob in images.iter().flat_map(|image| std::iter::once(&image.config).chain(&image.layers)) {
            if written.insert(blob.digest) {
                entries.push_back(Piece::Blob(blob.digest, blob.size));
            }
        }
        entries.push_back(Piece::Bytes(tar::end()));
        Self { entries, open, current: None, left: 0, bytes: (Arc::from([]), 0) }
    }

    /// Puts `files` in front of the layout.
    #[must_use]
    pub fn behind(mut self, files: Vec<LayoutFile>) -> Self {
        for file in files.into_iter().rev() {
            self.entries.push_front(Piece::File(file));
        }
        self
    }

    fn begin(&mut self, file: LayoutFile) {
        self.bytes = (tar::header(&file.path, file.size), 0);
        self.left = file.size;
        self.current = Some(file);
    }
}

impl Read for LayoutReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let rest = &self.bytes.0[self.bytes.1..];
            if !rest.is_empty() || buffer.is_empty() {
                let taken = rest.len().min(buffer.len());
                buffer[..taken].copy_from_slice(&rest[..taken]);
                self.bytes.1 += taken;
                return Ok(taken);
            }
            if let Some(file) = &mut self.current {
                let read = file.reader.read(buffer)?;
                // A file whose length differs from its header would shift everything after it.
                let Some(left) = self.left.checked_sub(read as u64).filter(|left| read > 0 || *left == 0)
                else {
                    let what = format!("`{}` is not {} bytes long", file.path, file.size);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                };
                self.left = left;
                if read > 0 {
                    return Ok(read);
                }
                self.bytes = (tar::zeros_after(file.size), 0);
                self.current = None;
                continue;
            }
            match self.entries.pop_front() {
                None => return Ok(0),
                Some(Piece::Bytes(bytes)) => self.bytes = (bytes, 0),
                Some(Piece::File(file)) => self.begin(file),
                Some(Piece::Blob(digest, size)) => {
                    let reader = (self.open)(digest)?;
                    self.begin(LayoutFile { path: blob_path(&digest), size, reader });
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
