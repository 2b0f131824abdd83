//! How long the client waits for what.

use std::time::Duration;

/// The times that a run goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// How long a first byte may take until the next place is asked meanwhile.
    pub late: Duration,
    /// How long bytes may stay away once they came, until the place is left.
    pub stall: Duration,
    /// The time that a pace is counted over: a minute, with some room for two clocks.
    pub minute: Duration,
    /// The longest refusal that is waited for.
    pub refusal: Duration,
    /// How long the registry of a name may take to say which digest its tag has.
    pub compare: Duration,
    /// Whether a registry on this machine is believed for an hour, too, that it lacks an image.
    pub believes_loopback: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            late: Duration::from_secs(3),
            stall: Duration::from_secs(10),
            minute: Duration::from_secs(61),
            refusal: Duration::from_secs(10 * 60),
            compare: Duration::from_secs(10),
            believes_loopback: false,
        }
    }
}
