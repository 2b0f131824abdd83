//! Retries with growing pauses, until something works or cannot.

use std::time::Duration;

/// The outcome of one try.
#[derive(Debug)]
pub enum TryResult<T, E> {
    Done(T),
    /// Failed, and another try would too.
    Final(E),
    /// Failed, but another try may succeed.
    Again(E),
}

/// How often to try, and how long to wait in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The number of tries, at least one.
    pub tries: u32,
    /// The wait after the first try; it doubles each time.
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// The wait after try `n` (from 0), shortened by up to a quarter for a `jitter` in 0..=1, so clients that
    /// failed together do not retry together.
    pub fn wait(&self, n: u32, jitter: f64) -> Duration {
        let full = self.first.saturating_mul(2_u32.saturating_pow(n)).min(self.longest);
        full.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 4.0)
    }
}

/// Calls `attempt` until it is done, final, or out of tries; calls `sleep` in between.
///
/// `sleep` gets each wait and returns whether to go on; if not, the last error is returned.
///
/// # Errors
/// Returns the error of the last try.
pub fn retry<T, E>(
    backoff: Backoff,
    mut jitter: impl FnMut() -> f64,
    mut sleep: impl FnMut(Duration) -> bool,
    mut attempt: impl FnMut(u32) -> TryResult<T, E>,
) -> Result<T, E> {
    let mut n = 0;
    loop {
        match attempt(n) {
            TryResult::Done(value) => return Ok(value),
            TryResult::Final(error) => return Err(error),
            TryResult::Again(error) => {
                if n + 1 >= backoff.tries || !sleep(backoff.wait(n, jitter())) {
                    return Err(error);
                }
            }
        }
        n += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { tries: 4, first: Duration::from_secs(1), longest: Duration::from_secs(3) };

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<_> = (0..4).map(|n| BACKOFF.wait(n, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 3, 3]);
    }

    #[test]
    fn jitter_shortens_a_wait_by_at_most_a_quarter() {
        assert_eq!(BACKOFF.wait(0, 1.0), Duration::from_millis(750));
    }

    #[test]
    fn a_transient_failure_is_retried_until_it_passes() {
        let mut waits = Vec::new();
        let result = retry(
            BACKOFF,
            || 0.0,
            |wait| {
                waits.push(wait.as_secs());
                true
            },
            |n| if n == 2 { TryResult::Done(n) } else { TryResult::Again("busy") },
        );
        assert_eq!((result, waits), (Ok(2), vec![1, 2]));
    }

    #[test]
    fn a_final_failure_is_not_retried() {
        let mut tries = 0;
        let result: Result<(), _> = retry(
            BACKOFF,
            || 0.0,
            |_| true,
            |_| {
                tries += 1;
                TryResult::Final("denied")
            },
        );
        assert_eq!((result, tries), (Err("denied"), 1));
    }

    #[test]
    fn the_last_error_is_returned_when_tries_run_out() {
        let result: Result<(), _> = retry(BACKOFF, || 0.0, |_| true, TryResult::Again);
        assert_eq!(result, Err(3));
    }
}
