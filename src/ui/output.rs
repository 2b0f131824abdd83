//! The output format, and errors while writing output.

use std::io::{Error, ErrorKind};
use std::os::fd::BorrowedFd;

use clap::ValueEnum;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The format of standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Human-readable
    Text,
    /// One document with stable field names.
    Json,
}

/// Why data did not get to standard output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteFailure {
    /// The reader has gone, like `head` once it has enough; nothing to report.
    #[error("standard output was closed")]
    Closed,
    /// Writing failed, as on a full disk.
    #[error("could not write to standard output: {0}")]
    Failed(String),
}

impl From<&Error> for WriteFailure {
    fn from(error: &Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::Closed } else { Self::Failed(error.to_string()) }
    }
}

/// Whether `output` is a pipe whose reader has gone.
pub(super) fn is_closed(output: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(output, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Linux reports POLLERR for such a pipe, others POLLHUP.
    poll(&mut asked, Some(&now)).is_ok() && asked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_pipe_is_closed_once_its_reader_has_gone() {
        let (reader, writer) = std::io::pipe().unwrap();
        assert!(!is_closed(writer.as_fd()));
        drop(reader);
        assert!(is_closed(writer.as_fd()));
    }
}
