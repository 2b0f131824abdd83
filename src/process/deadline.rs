//! A time limit for a whole phase of work, on top of each command's own limit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time limit in force. Clones share it; initially there is none.
#[derive(Debug, Clone, Default)]
pub struct Deadline(Arc<Mutex<Option<Phase>>>);

#[derive(Debug, Clone, Copy)]
struct Phase {
    /// When the phase began; `None` if each command has the whole time.
    begun: Option<Instant>,
    time: Duration,
}

/// Restores the former limit when dropped.
#[must_use = "the limit ends when this is dropped"]
pub struct LimitGuard(Deadline, Option<Phase>);

/// Resumes the clock when dropped.
#[must_use = "the time goes on when this is dropped"]
pub struct Pause(Deadline, Option<Phase>, Instant);

impl Deadline {
    /// Gives all commands together `time` from now, until the guard is dropped. An earlier deadline stays in
    /// force.
    pub fn set(&self, time: Duration) -> LimitGuard {
        self.tighten(Phase { begun: Some(Instant::now()), time })
    }

    /// Gives each command `time`, until the guard is dropped. A shorter limit stays in force.
    pub fn set_for_each(&self, time: Duration) -> LimitGuard {
        self.tighten(Phase { begun: None, time })
    }

    /// Suspends the limit until the guard is dropped; the time in between does not count.
    pub fn pause(&self) -> Pause {
        let before = self.get();
        self.put(None);
        Pause(self.clone(), before, Instant::now())
    }

    fn tighten(&self, phase: Phase) -> LimitGuard {
        let before = self.get();
        if before.is_none_or(|before| phase.left() <= before.left()) {
            self.put(Some(phase));
        }
        LimitGuard(self.clone(), before)
    }

    /// The time left and the time there was; `None` without a limit.
    pub fn left(&self) -> Option<(Duration, Duration)> {
        self.get().map(|phase| (phase.left(), phase.time))
    }

    /// The time left for everything together; `None` without a limit, or if each command has its own time.
    pub fn left_together(&self) -> Option<Duration> {
        self.get().filter(|phase| phase.begun.is_some()).map(|phase| phase.left())
    }

    fn get(&self) -> Option<Phase> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, phase: Option<Phase>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }
}

impl Phase {
    fn left(&self) -> Duration {
        self.time.saturating_sub(self.begun.map_or(Duration::ZERO, |begun| begun.elapsed()))
    }
}

impl Drop for LimitGuard {
    fn drop(&mut self) {
        self.0.put(self.1);
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        let paused = self.2.elapsed();
        let later = |phase: Phase| Phase { begun: phase.begun.map(|begun| begun + paused), ..phase };
        self.0.put(self.1.map(later));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(100);
    const SHORT: Duration = Duration::from_secs(10);

    #[test]
    fn a_deadline_ends_with_its_guard() {
        let deadline = Deadline::default();
        let guard = deadline.set(SHORT);
        assert!(deadline.clone().left().is_some_and(|(left, time)| left <= SHORT && time == SHORT));
        drop(guard);
        assert_eq!(deadline.left(), None);
    }

    #[test]
    fn the_earlier_of_two_deadlines_wins() {
        let deadline = Deadline::default();
        let time = |deadline: &Deadline| deadline.left().map(|(_, time)| time);
        let _outer = deadline.set(SHORT);
        {
            let _inner = deadline.set(LONG);
            assert_eq!(time(&deadline), Some(SHORT));
            let _innermost = deadline.set(Duration::from_secs(1));
            assert_eq!(time(&deadline), Some(Duration::from_secs(1)));
        }
        assert_eq!(time(&deadline), Some(SHORT));
    }

    #[test]
    fn a_limit_per_command_does_not_run_down() {
        let deadline = Deadline::default();
        let _guard = deadline.set_for_each(SHORT);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!((deadline.left(), deadline.left_together()), (Some((SHORT, SHORT)), None));
    }

    #[test]
    fn time_in_a_pause_does_not_count() {
        let deadline = Deadline::default();
        let time = Duration::from_millis(500);
        let _guard = deadline.set(time);
        let pause = deadline.pause();
        assert_eq!(deadline.left(), None);
        std::thread::sleep(time);
        drop(pause);
        let left = deadline.left_together().unwrap();
        assert!(!left.is_zero() && left <= time, "{left:?}");
    }

    #[test]
    fn a_deadline_may_lie_beyond_the_range_of_the_clock() {
        let deadline = Deadline::default();
        let _guard = deadline.set(Duration::MAX);
        assert!(deadline.left().is_some_and(|(left, _)| left > LONG));
    }
}
