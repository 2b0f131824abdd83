//! Pipes that never block for good: waits for data or room check for an interrupt and the time.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Interrupt;

/// How often a wait checks for an interrupt.
const LOOK: Duration = Duration::from_millis(100);

/// A reader of a pipe that may stay silent.
pub struct WatchedReader<F> {
    inner: F,
    interrupt: Interrupt,
    silence: Option<Duration>,
}

impl<F: Read + AsFd> WatchedReader<F> {
    /// Reads from `inner` until it ends, the user interrupts, or no data has arrived for `silence`.
    pub fn new(inner: F, interrupt: Interrupt, silence: Option<Duration>) -> Self {
        Self { inner, interrupt, silence }
    }
}

impl<F: Read + AsFd> Read for WatchedReader<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let begun = Instant::now();
        loop {
            check(&self.interrupt)?;
            if is_ready(self.inner.as_fd(), PollFlags::IN)? {
                return self.inner.read(buffer);
            }
            if let Some(silence) = self.silence.filter(|silence| begun.elapsed() > *silence) {
                let message = format!("no data arrived for {}", humantime::format_duration(silence));
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
        }
    }
}

/// A writer to a pipe whose reader may block.
pub struct WatchedWriter<F> {
    inner: F,
    interrupt: Interrupt,
    silence: Option<Duration>,
}

impl<F: Write + AsFd> WatchedWriter<F> {
    /// Writes to `inner` until it is closed, the user interrupts, or it accepts nothing for `silence`.
    pub fn new(inner: F, interrupt: Interrupt, silence: Option<Duration>) -> Self {
        // If this fails, writes block as usual. The flag only affects our end.
        _ = rustix::io::ioctl_fionbio(inner.as_fd(), true);
        Self { inner, interrupt, silence }
    }
}

impl<F: Write + AsFd> Write for WatchedWriter<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let begun = Instant::now();
        loop {
            check(&self.interrupt)?;
            if let Some(silence) = self.silence.filter(|silence| begun.elapsed() > *silence) {
                let message = format!("nothing was taken for {}", humantime::format_duration(silence));
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            match self.inner.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    is_ready(self.inner.as_fd(), PollFlags::OUT)?;
                }
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// This process's standard input; reads fail once the user interrupts.
///
/// # Errors
/// Fails if it cannot be duplicated.
pub fn stdin(interrupt: &Interrupt) -> io::Result<WatchedReader<File>> {
    let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    Ok(WatchedReader::new(file, interrupt.clone(), None))
}

/// Opens a file, possibly a named pipe without a writer yet; reads fail once the user interrupts.
///
/// # Errors
/// Fails if it cannot be opened, or the user interrupts before a writer arrives.
pub fn open(path: &Path, interrupt: &Interrupt) -> io::Result<WatchedReader<File>> {
    let (sender, opened) = channel();
    let path = path.to_owned();
    // A thread still waiting for a writer is abandoned; it ends with this process.
    std::thread::spawn(move || {
        // After an interrupt nobody listens.
        _ = sender.send(File::open(path));
    });
    loop {
        check(interrupt)?;
        match opened.recv_timeout(LOOK) {
            Ok(file) => return Ok(WatchedReader::new(file?, interrupt.clone(), None)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("the file was not opened")),
        }
    }
}

/// The size limit for text files that users name.
const TEXT_LIMIT: u64 = 16 * 1024 * 1024;

/// Reads a text file, which may be a named pipe, until it ends or the user interrupts.
///
/// # Errors
/// Fails if it cannot be read, is not UTF-8, or exceeds the size limit.
pub fn read_text(path: &Path, interrupt: &Interrupt) -> io::Result<String> {
    all_text(open(path, interrupt)?)
}

/// Reads all text from `reader`.
///
/// # Errors
/// Fails as [`read_text`] does.
pub fn all_text(reader: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(TEXT_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > TEXT_LIMIT {
        return Err(io::Error::other(format!("it is larger than {}", indicatif::HumanBytes(TEXT_LIMIT))));
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

/// Fails if a stop was requested. Not with [`io::ErrorKind::Interrupted`], which makes readers retry.
fn check(interrupt: &Interrupt) -> io::Result<()> {
    if interrupt.is_set() { Err(io::Error::other("interrupted")) } else { Ok(()) }
}

/// Waits briefly; returns whether there is data to read or room to write, or the other end is closed.
pub(super) fn is_ready(fd: BorrowedFd<'_>, flags: PollFlags) -> io::Result<bool> {
    let look = Timespec::try_from(LOOK).map_err(io::Error::other)?;
    match poll(&mut [PollFd::from_borrowed_fd(fd, flags)], Some(&look)) {
        Ok(n) => Ok(n > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_end_is_refused() {
        let error = all_text(io::repeat(b'a')).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 16.00 MiB");
        assert_eq!(all_text(&b"a: 1"[..]).unwrap(), "a: 1");
        assert_eq!(all_text(&b"\xff"[..]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    fn interrupted_soon() -> Interrupt {
        let interrupt = Interrupt::default();
        let copy = interrupt.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            copy.set();
        });
        interrupt
    }

    #[test]
    fn written_bytes_are_read_to_the_end() {
        let (reader, writer) = io::pipe().unwrap();
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let copy = sent.clone();
        std::thread::spawn(move || {
            WatchedWriter::new(writer, Interrupt::default(), None).write_all(&copy).unwrap();
        });
        let mut read = Vec::new();
        WatchedReader::new(reader, Interrupt::default(), None).read_to_end(&mut read).unwrap();
        assert!(read == sent);
    }

    #[test]
    fn an_interrupt_ends_a_read_of_a_silent_pipe() {
        let (reader, _writer) = io::pipe().unwrap();
        let error = WatchedReader::new(reader, interrupted_soon(), None).read(&mut [0]).unwrap_err();
        assert_eq!(error.to_string(), "interrupted");
    }

    #[test]
    fn an_interrupt_ends_a_write_to_a_full_pipe() {
        let (_reader, writer) = io::pipe().unwrap();
        let error =
            WatchedWriter::new(writer, interrupted_soon(), None).write_all(&vec![0; 1 << 20]).unwrap_err();
        assert_eq!(error.to_string(), "interrupted");
    }

    #[test]
    fn reading_a_silent_pipe_times_out() {
        let (reader, _writer) = io::pipe().unwrap();
        let silence = Duration::from_millis(200);
        let error =
            WatchedReader::new(reader, Interrupt::default(), Some(silence)).read(&mut [0]).unwrap_err();
        assert_eq!(error.to_string(), "no data arrived for 200ms");
    }

    #[test]
    fn a_pipe_that_takes_nothing_for_too_long_is_given_up() {
        let (_reader, writer) = io::pipe().unwrap();
        let silence = Some(Duration::from_millis(200));
        let written = WatchedWriter::new(writer, Interrupt::default(), silence).write_all(&vec![0; 1 << 20]);
        assert_eq!(written.unwrap_err().to_string(), "nothing was taken for 200ms");
    }

    #[test]
    fn an_interrupt_ends_the_wait_for_a_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let error = open(&path, &interrupted_soon()).err().unwrap();
        assert_eq!(error.to_string(), "interrupted");
    }
}
