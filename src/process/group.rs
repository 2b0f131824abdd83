//! A program in a process group of its own, so that whatever it starts is ended with it.
//!
//! The terminal's Ctrl-C reaches the group in the foreground alone, which is ours; a [`Group`] is ended by
//! whoever watches it. None of the tools may read from the terminal: it would be stopped by SIGTTIN.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Output;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::Interrupt;

/// How long a program may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);
/// How long those whom it started may take after it has ended.
const GRACE_OF_REST: Duration = Duration::from_millis(300);
/// How often the end of a group is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// A program that was started, and whatever it has started.
pub(super) struct Group {
    handle: duct::Handle,
    /// The group's number: that of the program, for as long as any of the group lives.
    id: Option<Pid>,
    interrupt: Interrupt,
}

impl Group {
    /// Starts the program of `expression` at the head of a new group.
    pub(super) fn start(expression: &duct::Expression, interrupt: &Interrupt) -> io::Result<Self> {
        let expression = expression.before_spawn(|command| {
            command.process_group(0);
            Ok(())
        });
        let (handle, id) = interrupt.start_group(|| expression.start())?;
        Ok(Self { handle, id, interrupt: interrupt.clone() })
    }

    /// How the program ended, if it has.
    pub(super) fn try_wait(&self) -> io::Result<Option<&Output>> {
        self.handle.try_wait()
    }

    /// Waits for the program's end for up to `time`.
    pub(super) fn wait_timeout(&self, time: Duration) -> io::Result<Option<&Output>> {
        self.handle.wait_timeout(time)
    }

    /// Whether the program has ended.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Asks a program that still runs to end, with all that it started, and kills those that do not in time.
    pub(super) fn terminate(&self) {
        if self.has_ended() {
            return;
        }
        self.signal(Signal::TERM);
        // An error says that it is gone already.
        if matches!(self.wait_timeout(GRACE), Ok(Some(_))) {
            let ended = Instant::now();
            while self.is_there() && ended.elapsed() < GRACE_OF_REST {
                std::thread::sleep(LOOK);
            }
        }
        self.signal(Signal::KILL);
        // The system needs a moment to take a killed program away.
        _ = self.wait_timeout(GRACE);
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // It may have ended meanwhile; then there is nothing to signal.
            _ = kill_process_group(id, signal);
        }
    }

    fn is_there(&self) -> bool {
        self.id.is_some_and(|id| test_kill_process_group(id).is_ok())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.terminate();
        if let Some(id) = self.id {
            self.interrupt.forget_group(id);
        }
    }
}
