//! How a place stands with one blob: whether it is asked again, and when.

use std::time::{Duration, Instant};

use super::error::Why;

/// How often in a row a place may fail without a new byte.
const ATTEMPTS: u32 = 3;

/// What is known of a place for one blob.
pub(super) struct Standing {
    pub failures: u32,
    pub why: Option<Why>,
    /// It has nothing to give.
    pub is_out: bool,
    /// It answers with the whole, whatever range was asked for.
    pub knows_no_ranges: bool,
    /// It fell silent in the middle: others come first.
    pub stalled: bool,
    pub not_before: Instant,
}

impl Standing {
    /// A place of which an earlier run may have found, some time ago, that it does not have the blob.
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

    /// Notes a failure of a connection that gave something new, or nothing.
    pub(super) fn failed(&mut self, why: Why, gave: bool) {
        let is_transient = match &why {
            Why::Network(_) => true,
            Why::Status(status) => *status >= 500 || *status == 408,
            // Its host waits for the end of the refusal, and is asked again then.
            Why::RateLimited { .. } => {
                self.why = Some(why);
                return;
            }
            _ => false,
        };
        if !is_transient {
            self.is_out = true;
        } else if !gave {
            // Whoever gave something new goes on at once.
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
