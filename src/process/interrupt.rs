//! The user's Ctrl-C, as a flag that everything long-running looks at.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How often a wait looks whether it was interrupted.
pub(super) const POLL: Duration = Duration::from_millis(25);

/// Says whether the user asked the program to stop.
///
/// Clones share one flag. The first signal sets it; a second one ends the program at once with 130.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens to SIGINT, SIGTERM and SIGHUP from now on.
    ///
    /// # Errors
    /// Fails when the operating system refuses the signal handlers.
    pub fn listen() -> io::Result<Self> {
        let this = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // The order matters: at the first signal the flag is still unset, so only the second ends us.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&this.0))?;
            signal_hook::flag::register(signal, Arc::clone(&this.0))?;
        }
        Ok(this)
    }

    /// Whether a stop was asked for.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks everything that shares this flag to stop.
    #[cfg(test)]
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The flag itself, for code that knows nothing of this type.
    pub fn flag(&self) -> &AtomicBool {
        &self.0
    }

    /// Sleeps for `time` or until a stop is asked for; says whether it slept to the end.
    pub fn sleep(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            if self.is_set() {
                return false;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(POLL));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_ends_early_when_a_stop_is_asked_for() {
        let interrupt = Interrupt::default();
        interrupt.clone().set();
        assert!(!interrupt.sleep(Duration::from_secs(60)));
    }
}
