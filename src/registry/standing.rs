//! The state of a place for one blob: whether to ask it again, and when.

use std::time::{Duration, Instant};

use super::error::PlaceError;

/// How often a place may fail in a row without delivering anything new.
const ATTEMPTS: u32 = 3;

/// How many times in a row the only place may drip.
const DRIPS: u32 = 10;

/// The state of a place for one blob.
pub(super) struct Standing {
    pub failures: u32,
    pub why: Option<PlaceError>,
    /// Do not ask it again.
    pub is_excluded: bool,
    /// It sends the whole blob whatever range is requested.
    pub ignores_ranges: bool,
    /// It fell silent mid-transfer; prefer others.
    pub stalled: bool,
    /// How many times in a row it delivered next to nothing.
    drips: u32,
    pub not_before: Instant,
}

impl Standing {
    /// A place that an earlier run may have found to lack the blob.
    pub(super) fn new(absent_since: Option<Duration>) -> Self {
        Self {
            failures: 0,
            why: absent_since.map(|ago| PlaceError::Remembered { ago }),
            is_excluded: absent_since.is_some(),
            ignores_ranges: false,
            stalled: false,
            drips: 0,
            not_before: Instant::now(),
        }
    }

    /// Records whether it only dripped for a while; returns whether that was once too often.
    pub(super) fn flowed(&mut self, drips: bool) -> bool {
        self.stalled |= drips;
        self.drips = if drips { self.drips + 1 } else { 0 };
        self.drips >= DRIPS
    }

    /// Records a failed connection, and whether it delivered anything new.
    pub(super) fn failed(&mut self, why: PlaceError, gave: bool) {
        let is_transient = match &why {
            PlaceError::Network(_) => true,
            PlaceError::Status(status) => *status >= 500 || *status == 408,
            // The gate waits until the refusal expires.
            PlaceError::RateLimited { .. } => {
                self.why = Some(why);
                return;
            }
            _ => false,
        };
        if !is_transient {
            self.is_excluded = true;
        } else if !gave {
            // After progress, retry at once.
            self.failures += 1;
            self.not_before = Instant::now() + Duration::from_millis(250 << self.failures.min(5));
            self.is_excluded = self.failures >= ATTEMPTS;
        }
        self.why = Some(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_transient_failures_are_retried() {
        let broken = || PlaceError::Network("the connection failed".to_owned());
        let hour = Duration::from_secs(3600);
        let rows = [
            (vec![(broken(), false); 2], false),
            (vec![(broken(), false); 3], true),
            (vec![(broken(), true); 9], false),
            (vec![(PlaceError::Status(503), false); 2], false),
            (vec![(PlaceError::Status(400), false)], true),
            (vec![(PlaceError::NotFound, false)], true),
            (vec![(PlaceError::Denied { status: 403 }, true)], true),
            (vec![(PlaceError::RateLimited { wait: hour }, false); 9], false),
        ];
        for (failures, is_excluded) in rows {
            let mut standing = Standing::new(None);
            for (why, gave) in failures.clone() {
                standing.failed(why, gave);
            }
            assert_eq!(standing.is_excluded, is_excluded, "{failures:?}");
        }
        assert!(Standing::new(Some(hour)).is_excluded);
    }
}
