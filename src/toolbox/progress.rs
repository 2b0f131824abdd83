//! Progress reports of a fetch.

use std::time::Duration;

/// Progress of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchProgress {
    /// Another run is fetching the same tool; this one waits for it.
    Waiting,
    /// Bytes have arrived, including those from earlier runs.
    Fetching {
        /// The bytes so far.
        received: u64,
        /// The total, if the server reports it.
        total: Option<u64>,
    },
    /// An attempt failed, and another one follows.
    Retrying {
        why: String,
        /// The delay before it.
        after: Duration,
    },
    /// The checksum is being computed.
    Checking,
    /// The program is being extracted.
    Unpacking,
}
