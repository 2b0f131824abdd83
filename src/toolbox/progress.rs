//! What is told of a fetch while it goes on.

use std::time::Duration;

/// What goes on while a tool is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchProgress {
    /// Another run is fetching the same tool; this one waits for it.
    Waiting,
    /// So many bytes have arrived, those of earlier runs included.
    Fetching {
        /// The bytes that are here.
        received: u64,
        /// The bytes of the whole, if the server says.
        total: Option<u64>,
    },
    /// An attempt failed, and another one follows.
    Retrying {
        why: String,
        /// How long it waits first.
        after: Duration,
    },
    /// The checksum is being computed.
    Checking,
    /// The program is being taken out of its archive.
    Unpacking,
}
