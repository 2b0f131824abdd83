//! Opens archive files, compressed or not.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::process::{Interrupt, WatchedReader};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Opens an archive for reading, decompressing it if needed. Reads fail once the user interrupts.
///
/// # Errors
/// Fails if the file cannot be read.
pub fn open_archive(path: &Path, interrupt: &Interrupt) -> io::Result<Box<dyn Read + Send>> {
    let mut file = File::open(path)?;
    let mut begin = Vec::new();
    (&mut file).take(4).read_to_end(&mut begin)?;
    file.seek(SeekFrom::Start(0))?;
    let file = BufReader::with_capacity(128 * 1024, WatchedReader::new(file, interrupt.clone(), None));
    Ok(if begin.starts_with(GZIP) {
        Box::new(MultiGzDecoder::new(file))
    } else if begin.starts_with(ZSTD) {
        Box::new(zstd::Decoder::with_buffer(file)?)
    } else {
        Box::new(file)
    })
}
