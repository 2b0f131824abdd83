//! Runs a program in its own process group, so that everything it starts ends with it.
//!
//! The terminal's Ctrl-C only reaches the foreground group, which is ours; whoever watches a [`Group`] ends
//! it. Tools must not read from the terminal: SIGTTIN would stop them.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Output;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::Interrupt;

/// How long a program may take to exit after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);
/// How long its children may take after it has exited.
const CHILDREN_GRACE: Duration = Duration::from_millis(300);
/// How often to check whether a group has ended.
const LOOK: Duration = Duration::from_millis(5);

/// A started program, and everything it has started.
pub(super) struct Group {
    handle: duct::Handle,
    /// The group's ID: that of the program, valid while any of the group lives.
    id: Option<Pid>,
    interrupt: Interrupt,
}

impl Group {
    /// Starts the program of `expression` as the leader of a new group.
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

    /// Waits up to `time` for the program to exit.
    pub(super) fn wait_timeout(&self, time: Duration) -> io::Result<Option<&Output>> {
        self.handle.wait_timeout(time)
    }

    /// Tells whether the program has exited.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Asks a running program and everything it started to exit, and kills what remains.
    pub(super) fn terminate(&self) {
        if self.has_ended() {
            return;
        }
        self.signal(Signal::TERM);
        // An error means that it is gone already.
        if matches!(self.wait_timeout(GRACE), Ok(Some(_))) {
            let ended = Instant::now();
            while self.exists() && ended.elapsed() < CHILDREN_GRACE {
                std::thread::sleep(LOOK);
            }
        }
        self.signal(Signal::KILL);
        // The system takes a moment to reap a killed program.
        _ = self.wait_timeout(GRACE);
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // If it has ended meanwhile, there is nothing to signal.
            _ = kill_process_group(id, signal);
        }
    }

    fn exists(&self) -> bool {
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
