//! The user's request to stop: a flag that all long-running code checks, and an immediate end on the second
//! request.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// How often a wait checks for an interrupt.
pub(super) const POLL: Duration = Duration::from_millis(25);

/// Tells whether the user asked the program to stop.
///
/// Clones share one flag, and each may have its own deadline. The first signal sets the flag; a second one
/// kills all started programs, removes temporary files, and exits at once with 130.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<InterruptState>, Option<Instant>);

#[derive(Debug, Default)]
struct InterruptState {
    is_set: AtomicBool,
    ours: Mutex<OwnedResources>,
}

/// What must not outlive this process.
#[derive(Debug, Default)]
struct OwnedResources {
    groups: BTreeSet<i32>,
    files: BTreeSet<PathBuf>,
}

impl Interrupt {
    /// Starts listening to SIGINT, SIGTERM and SIGHUP, except those our parent made us ignore, as `nohup`
    /// does.
    ///
    /// # Errors
    /// Fails if the operating system refuses the signal handlers.
    pub fn listen() -> io::Result<Self> {
        let this = Self::default();
        let listener = this.clone();
        let ignored = ignored_signals();
        let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_in(ignored, *signal));
        let mut signals = Signals::new(heard)?;
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for _ in signals.forever() {
                if listener.0.is_set.swap(true, Ordering::Relaxed) {
                    // Keep the lock: nothing may be started between this and the exit.
                    let ours = listener.ours();
                    ours.end();
                    low_level::exit(130);
                }
            }
        })?;
        Ok(this)
    }

    /// Tells whether a stop was requested, or the deadline of [`Interrupt::after`] has passed.
    pub fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::Relaxed) || self.1.is_some_and(|end| end <= Instant::now())
    }

    /// The same interrupt, which also sets itself after `time`.
    pub fn after(&self, time: Duration) -> Self {
        let end = Instant::now().checked_add(time);
        Self(Arc::clone(&self.0), [self.1, end].into_iter().flatten().min())
    }

    /// Asks everything that shares this flag to stop.
    #[cfg(test)]
    pub fn set(&self) {
        self.0.is_set.store(true, Ordering::Relaxed);
    }

    /// The flag itself, for code that does not know this type.
    pub fn flag(&self) -> &AtomicBool {
        &self.0.is_set
    }

    /// Sleeps for `time` or until a stop is requested; returns whether it slept to the end.
    pub fn sleep(&self, time: Duration) -> bool {
        let begun = Instant::now();
        loop {
            if self.is_set() {
                return false;
            }
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(POLL));
        }
    }

    fn ours(&self) -> MutexGuard<'_, OwnedResources> {
        self.0.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process group and registers it under one lock, so a second signal finds every group.
    pub(super) fn start_group(
        &self,
        start: impl FnOnce() -> io::Result<duct::Handle>,
    ) -> io::Result<(duct::Handle, Option<Pid>)> {
        let mut ours = self.ours();
        let handle = start()?;
        let pid = handle.pids().first().and_then(|pid| Pid::from_raw(i32::try_from(*pid).ok()?));
        ours.groups.extend(pid.map(Pid::as_raw_pid));
        Ok((handle, pid))
    }

    /// Unregisters a process group that has ended.
    pub(super) fn forget_group(&self, group: Pid) {
        self.ours().groups.remove(&group.as_raw_pid());
    }

    /// Registers a file, or a folder with its contents, for a second signal to remove.
    pub(super) fn note_file(&self, path: &Path) {
        self.ours().files.insert(path.to_owned());
    }

    /// Unregisters a removed file or folder.
    pub(super) fn forget_file(&self, path: &Path) {
        self.ours().files.remove(path);
    }
}

impl OwnedResources {
    fn end(&self) {
        for group in self.groups.iter().filter_map(|group| Pid::from_raw(*group)) {
            // Already gone is fine.
            _ = kill_process_group(group, Signal::KILL);
        }
        for file in &self.files {
            let is_folder = file.is_dir();
            _ = if is_folder { std::fs::remove_dir_all(file) } else { std::fs::remove_file(file) };
        }
    }
}

/// The mask of signals this process ignores, from Linux's `/proc`; empty elsewhere.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    parse_ignored(&status).unwrap_or(0)
}

/// Parses `SigIgn` in `/proc/PID/status`, proc(5): a hexadecimal mask.
fn parse_ignored(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn is_in(mask: u64, signal: i32) -> bool {
    u32::try_from(signal - 1).ok().and_then(|bit| mask.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_ends_a_sleep_early() {
        let interrupt = Interrupt::default();
        interrupt.clone().set();
        assert!(!interrupt.sleep(Duration::from_secs(60)));
    }

    #[test]
    fn an_interrupt_with_a_deadline_sets_itself_and_no_others() {
        let interrupt = Interrupt::default();
        let limited = interrupt.after(Duration::from_millis(50));
        let longer = limited.after(Duration::from_secs(60));
        assert!(!limited.sleep(Duration::from_secs(60)));
        assert_eq!((interrupt.is_set(), longer.is_set()), (false, true));
        assert!(!interrupt.after(Duration::MAX).is_set());
    }

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        let mask = parse_ignored("Name:\tx\nSigBlk:\tffff\nSigIgn:\t0000000000001001\n").unwrap();
        assert_eq!([SIGHUP, SIGINT, SIGTERM].map(|signal| is_in(mask, signal)), [true, false, false]);
        assert_eq!(parse_ignored("no such line"), None);
    }
}
