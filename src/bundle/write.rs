//! Writes a bundle.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::contents::{Contents, FILE, PlanContents};
use crate::archive::{LayoutFile, LayoutReader};
use crate::process::Interrupt;

/// The compression level. Layers are already compressed, so a higher one gains little.
const LEVEL: i32 = 3;
/// The size of the copy buffer.
const PIECE: usize = 128 * 1024;

/// How a bundle is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    None,
    Zstd,
}

impl Packing {
    /// Derives it from a file name: `.tar`, `.tar.zst` or `.tzst`.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        match name.rsplit_once('.')? {
            (_, "tar") => Some(Self::None),
            (rest, "zst") if rest.strip_suffix(".tar").is_some_and(|stem| !stem.is_empty()) => {
                Some(Self::Zstd)
            }
            (_, "tzst") => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Writes a bundle of `contents`, with its files from the folder `files` and its images from `layout`.
///
/// `progress` gets the uncompressed size of each chunk.
///
/// # Errors
/// Fails on read and write errors, and when the user interrupts.
pub fn write(
    to: impl Write,
    packing: Packing,
    contents: &Contents,
    files: &Path,
    layout: LayoutReader,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let about = serde_json::to_vec_pretty(contents)?;
    let size = about.len() as u64;
    let mut first =
        vec![LayoutFile { path: FILE.to_owned(), size, reader: Box::new(io::Cursor::new(about)) }];
    for file in contents.plan.iter().flat_map(PlanContents::files) {
        let reader = Box::new(File::open(files.join(&file.path))?);
        first.push(LayoutFile { path: file.path.clone(), size: file.size, reader });
    }
    let mut reader = layout.behind(first);
    match packing {
        Packing::None => copy(&mut reader, to, interrupt, progress).map(drop),
        Packing::Zstd => {
            let mut encoder = zstd::Encoder::new(to, LEVEL)?;
            // To detect a bundle that was damaged in transit.
            encoder.include_checksum(true)?;
            copy(&mut reader, encoder, interrupt, progress)?.finish()?.flush()
        }
    }
}

fn copy<W: Write>(
    from: &mut impl Read,
    mut to: W,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(u64),
) -> io::Result<W> {
    let mut piece = vec![0; PIECE];
    loop {
        if interrupt.is_set() {
            return Err(io::Error::other("interrupted"));
        }
        match from.read(&mut piece)? {
            0 => break,
            read => {
                to.write_all(&piece[..read])?;
                progress(read as u64);
            }
        }
    }
    to.flush()?;
    Ok(to)
}
