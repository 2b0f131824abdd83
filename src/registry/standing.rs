//! The state of a place for one blob: whether to ask it again, and when.

use std::time::{Duration, Instant};

use super::error::Why;

/// How often a place may fail in a row without delivering anything new.
const ATTEMPTS: u32 = 3;

/// The state of a place for one blob.
pub(super) struct Standing {
    pub failures: u32,
    pub why: Option<Why>,
    /// Do not ask it again.
    pub is_out: bool,
    /// It sends the whole blob whatever range is requested.
    pub knows_no_ranges: bool,
    /// It fell silent mid-transfer; prefer others.
    pub stalled: bool,
    pub not_before: Instant,
}

impl Standing {
    /// A place that an earlier run may have found to lack the blob.
    pub(super) fn new(absent_since: Option<Duration>) -> Self {
        Self {
            failures: 0,
            why: absent_since.map(|ago| Why::Remembered { ago }),
            is_out: absent_since.is_some(),
            knows_no_ranges: false,
            stalled: false,
            not_before: Instant::now(),
        }
    }

    /// Records a failed connection, and whether it delivered anything new.
    pub(super) fn failed(&mut self, why: Why, gave: bool) {
        let is_transient = match &why {
            Why::Network(_) => true,
            Why::Status(status) => *status >= 500 || *status == 408,
            // The gate waits until the refusal expires.
            Why::RateLimited { .. } => {
                self.why = Some(why);
                return;
            }
            _ => false,
        };
        if !is_transient {
            self.is_out = true;
        } else if !gave {
            // After progress, retry at once.
            self.failures += 1;
            self.not_before = Instant::now() + Duration::from_millis(250 << self.failures.min(5));
            self.is_out = self.failures >= ATTEMPTS;
        }
        self.why = Some(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_asked_again() {
        let broken = || Why::Network("the connection failed".to_owned());
        let hour = Duration::from_secs(3600);
        let rows = [
            (vec![(broken(), false); 2], false),
            (vec![(broken(), false); 3], true),
            (vec![(broken(), true); 9], false),
            (vec![(Why::Status(503), false); 2], false),
            (vec![(Why::Status(400), false)], true),
            (vec![(Why::NotFound, false)], true),
            (vec![(Why::Denied { status: 403 }, true)], true),
            (vec![(Why::RateLimited { wait: hour }, false); 9], false),
        ];
        for (failures, is_out) in rows {
            let mut standing = Standing::new(None);
            for (why, gave) in failures.clone() {
                standing.failed(why, gave);
            }
            assert_eq!(standing.is_out, is_out, "{failures:?}");
        }
        assert!(Standing::new(Some(hour)).is_out);
    }
}
