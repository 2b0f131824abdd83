//! The client's timeouts.

use std::time::Duration;

/// The timeouts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// How long the first byte may take before the next place is asked as well.
    pub late: Duration,
    /// How long a transfer may pause before its place is left.
    pub stall: Duration,
    /// How long a transfer may deliver next to nothing before its place is left.
    pub drip: Duration,
    /// The period for counting requests: a minute, plus some slack for clock differences.
    pub minute: Duration,
    /// The longest refusal worth waiting for.
    pub refusal: Duration,
    /// How long the origin registry may take to report a tag's digest.
    pub compare: Duration,
    /// Remember for an hour what a registry on this machine lacks, too.
    pub remembers_loopback: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            late: Duration::from_secs(3),
            stall: Duration::from_secs(10),
            drip: Duration::from_secs(30),
            minute: Duration::from_secs(61),
            refusal: Duration::from_secs(10 * 60),
            compare: Duration::from_secs(10),
            remembers_loopback: false,
        }
    }
}
