//! Captures a program's output: reads both streams on threads, so a full pipe never blocks the program,
//! within bounds.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::Stream;
use super::error::TAIL_LINES;
use super::lines::each_line;

/// How long a finished program's output may stay open without new data, as when one of its children lives on.
const LINGER: Duration = Duration::from_millis(500);
/// The same if the child keeps writing.
const LONGEST_LINGER: Duration = Duration::from_secs(10);
/// Pieces that may queue for the reader before the program has to wait.
const WAITING: usize = 16;

/// Pipes for a program that has not been started yet.
pub(super) struct Pipes {
    stdout: (File, Option<OwnedFd>),
    stderr: (File, Option<OwnedFd>),
    terminal: bool,
}

impl Pipes {
    /// Opens pipes for a program's output; with `terminal`, a pseudo-terminal for its standard output.
    pub(super) fn open(terminal: bool) -> io::Result<Self> {
        Ok(Self { stdout: if terminal { open_terminal() } else { pipe() }?, stderr: pipe()?, terminal })
    }

    /// Attaches the program's ends to `expression`.
    pub(super) fn attach(&mut self, expression: duct::Expression) -> duct::Expression {
        let expression = match self.stdout.1.take() {
            Some(stdout) => expression.stdout_file(stdout),
            None => expression,
        };
        match self.stderr.1.take() {
            Some(stderr) => expression.stderr_file(stderr),
            None => expression,
        }
    }

    /// Starts reading.
    pub(super) fn read(self) -> Events {
        let (sender, events) = sync_channel(WAITING);
        let (stdout, stderr) = (self.stdout.0, self.stderr.0);
        let stderr_sender = sender.clone();
        // Not joined: each thread ends with its pipe, which a grandchild may hold open for longer.
        if self.terminal {
            std::thread::spawn(move || read_lines(stdout, Stream::Out, &sender));
        } else {
            std::thread::spawn(move || read_bytes(stdout, &sender));
        }
        std::thread::spawn(move || read_lines(stderr, Stream::Err, &stderr_sender));
        Events(events)
    }
}

/// A piece of output on its way to the caller.
enum Chunk {
    Bytes(Vec<u8>),
    Line(Stream, String),
}

/// A program's output as it arrives.
pub(super) struct Events(Receiver<Chunk>);

impl Events {
    /// Takes what arrives within `time`, or until both streams are closed.
    ///
    /// `on_line` sees each line and returns what to keep of it.
    pub(super) fn drain(
        &self,
        time: Duration,
        capture: &mut Capture,
        on_line: &mut impl FnMut(Stream, String) -> String,
    ) {
        let begun = Instant::now();
        // A program that never pauses must not keep the caller from checking the clock.
        while begun.elapsed() <= time {
            if !self.take(time.saturating_sub(begun.elapsed()), capture, on_line) {
                return;
            }
        }
    }

    /// Takes what a finished program left in its pipes.
    pub(super) fn linger(&self, capture: &mut Capture, on_line: &mut impl FnMut(Stream, String) -> String) {
        let begun = Instant::now();
        while begun.elapsed() < LONGEST_LINGER && self.take(LINGER, capture, on_line) {}
    }

    /// Waits for one piece and takes it; returns whether there may be more.
    fn take(
        &self,
        time: Duration,
        capture: &mut Capture,
        on_line: &mut impl FnMut(Stream, String) -> String,
    ) -> bool {
        match self.0.recv_timeout(time) {
            Ok(Chunk::Bytes(bytes)) => capture.keep(&bytes),
            Ok(Chunk::Line(source, line)) => capture.line(source, on_line(source, line)),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => {
                // Closed streams return at once; without this nap the caller's loop would spin.
                std::thread::sleep(Duration::from_millis(1));
                return false;
            }
        }
        !capture.is_full()
    }
}

/// What is kept of a program's output.
pub(super) struct Capture {
    /// All of its standard output.
    pub(super) stdout: Vec<u8>,
    limit: usize,
    is_full: bool,
    out: VecDeque<String>,
    err: VecDeque<String>,
}

impl Capture {
    /// Keeps up to `limit` bytes of standard output.
    pub(super) fn new(limit: usize) -> Self {
        Self { stdout: Vec::new(), limit, is_full: false, out: VecDeque::new(), err: VecDeque::new() }
    }

    /// Tells whether more arrived than fits.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.is_full |= self.stdout.len() + bytes.len() > self.limit;
        if !self.is_full {
            self.stdout.extend(bytes);
        }
    }

    fn line(&mut self, source: Stream, line: String) {
        if source == Stream::Out {
            self.keep(line.as_bytes());
            self.keep(b"\n");
        }
        let lines = if source == Stream::Err { &mut self.err } else { &mut self.out };
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The last lines, preferably of standard error, which says more.
    pub(super) fn tail(&self) -> Vec<String> {
        for lines in [&self.err, &self.out] {
            if !lines.is_empty() {
                return lines.iter().cloned().collect();
            }
        }
        let text = String::from_utf8_lossy(&self.stdout);
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec()
    }
}

fn read_bytes(mut output: File, events: &SyncSender<Chunk>) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = output.read(&mut chunk) {
        if events.send(Chunk::Bytes(chunk[..n].to_vec())).is_err() {
            // The command was given up and nobody listens.
            return;
        }
    }
}

fn read_lines(output: File, source: Stream, events: &SyncSender<Chunk>) {
    each_line(output, |line| events.send(Chunk::Line(source, line)).is_ok());
}

fn pipe() -> io::Result<(File, Option<OwnedFd>)> {
    let (reader, writer) = io::pipe()?;
    Ok((File::from(OwnedFd::from(reader)), Some(OwnedFd::from(writer))))
}

/// Opens a pseudo-terminal: our end to read from, and the program's end.
fn open_terminal() -> io::Result<(File, Option<OwnedFd>)> {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let theirs = rustix::fs::open(name, flags, rustix::fs::Mode::empty())?;
    Ok((File::from(ours), Some(theirs)))
}
