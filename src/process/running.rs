//! A program running alongside us, with pipes to and from it.

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::error::{TAIL_LINES, failure};
use super::group::Group;
use super::interrupt::POLL;
use super::lines::each_line;
use super::{Cmd, ExecError, Interrupt, WatchedReader, WatchedWriter};

/// A program that was started and may still be running.
///
/// Dropping it stops the program.
pub trait Running: Send {
    /// The pipe to its standard input, on the first call.
    fn take_input(&mut self) -> Option<Box<dyn Write + Send>>;
    /// The pipe from its standard output, on the first call.
    fn take_output(&mut self) -> Option<Box<dyn Read + Send>>;
    /// Closes its input and waits for it to exit, up to the command's limit.
    ///
    /// # Errors
    /// Fails if it exits with a status other than zero, does not exit in time, or the user interrupts.
    fn wait(&mut self, interrupt: &Interrupt) -> Result<(), ExecError>;
    fn has_ended(&mut self) -> bool;
    /// Asks it to exit, then kills it.
    fn stop(&mut self);
}

/// A [`Running`] program on this machine.
pub struct RunningProcess {
    cmd: Cmd,
    group: Group,
    interrupt: Interrupt,
    input: Option<PipeWriter>,
    output: Option<PipeReader>,
    tail: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl RunningProcess {
    pub(super) fn start(
        cmd: &Cmd,
        expression: &duct::Expression,
        interrupt: &Interrupt,
    ) -> Result<Self, ExecError> {
        let io = |source| ExecError::Io { cmd: cmd.line(), source };
        let (stdin, input) = io::pipe().map_err(io)?;
        let (output, stdout) = io::pipe().map_err(io)?;
        let (errors, stderr) = io::pipe().map_err(io)?;
        let expression = expression.stdin_file(stdin).stdout_file(stdout).stderr_file(stderr);
        let group = Group::start(&expression, interrupt).map_err(io)?;
        let tail = Arc::new(Mutex::new(VecDeque::with_capacity(TAIL_LINES)));
        let lines = Arc::clone(&tail);
        let hidden = cmd.hidden.clone();
        let reader = std::thread::spawn(move || {
            each_line(errors, |line| {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() == TAIL_LINES {
                    lines.pop_front();
                }
                lines.push_back(hidden.masked(line));
                true
            });
        });
        Ok(Self {
            cmd: cmd.clone(),
            group,
            interrupt: interrupt.clone(),
            input: Some(input),
            output: Some(output),
            tail,
            reader,
        })
    }

    fn tail(&mut self) -> Vec<String> {
        // The program has exited, so its last lines arrive at once, unless a child keeps the pipe open.
        let end = Instant::now() + Duration::from_millis(300);
        while !self.reader.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Running for RunningProcess {
    fn take_input(&mut self) -> Option<Box<dyn Write + Send>> {
        let pipe = self.input.take()?;
        Some(Box::new(WatchedWriter::new(pipe, self.interrupt.clone(), self.cmd.silence)))
    }

    fn take_output(&mut self) -> Option<Box<dyn Read + Send>> {
        let pipe = self.output.take()?;
        Some(Box::new(WatchedReader::new(pipe, self.interrupt.clone(), self.cmd.silence)))
    }

    fn wait(&mut self, interrupt: &Interrupt) -> Result<(), ExecError> {
        self.input = None;
        let started = Instant::now();
        loop {
            let ended = self.group.wait_timeout(POLL);
            match ended.map_err(|source| ExecError::Io { cmd: self.cmd.line(), source })? {
                Some(output) => {
                    let status = output.status;
                    if status.success() {
                        return Ok(());
                    }
                    if interrupt.is_set() {
                        return Err(ExecError::Interrupted { cmd: self.cmd.line() });
                    }
                    let tail = self.tail();
                    return Err(failure(&self.cmd, status, tail, Vec::new()));
                }
                None if interrupt.is_set() => {
                    self.stop();
                    return Err(ExecError::Interrupted { cmd: self.cmd.line() });
                }
                None if started.elapsed() > self.cmd.limit => {
                    self.stop();
                    let (limit, tail) = (self.cmd.limit, self.tail());
                    return Err(ExecError::TimedOut { cmd: self.cmd.line(), limit, tail });
                }
                None => {}
            }
        }
    }

    fn has_ended(&mut self) -> bool {
        self.group.has_ended()
    }

    fn stop(&mut self) {
        self.input = None;
        self.group.terminate();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Deadline, Runner, SystemRunner};
    use super::*;

    fn start(script: &str) -> Box<dyn Running> {
        let runner =
            SystemRunner::new(std::env::var_os("PATH"), None, Interrupt::default(), Deadline::default());
        runner.start(&Cmd::write("sh", Duration::from_secs(60)).args(["-c", script])).unwrap()
    }

    #[test]
    fn bytes_go_through_a_running_program() {
        let mut running = start("cat");
        let mut input = running.take_input().unwrap();
        input.write_all(b"abc").unwrap();
        drop(input);
        let mut text = String::new();
        running.take_output().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        running.wait(&Interrupt::default()).unwrap();
    }

    #[test]
    fn a_running_program_that_fails_reports_its_last_lines() {
        let error = start("echo no space >&2; exit 1").wait(&Interrupt::default()).unwrap_err();
        assert_eq!(error.tail(), ["no space"]);
    }

    #[test]
    fn a_program_that_does_not_end_after_its_input_is_stopped() {
        let runner =
            SystemRunner::new(std::env::var_os("PATH"), None, Interrupt::default(), Deadline::default());
        let cmd = Cmd::write("sh", Duration::from_millis(100)).args(["-c", "cat; sleep 60"]);
        let mut running = runner.start(&cmd).unwrap();
        let error = running.wait(&Interrupt::default()).unwrap_err();
        assert!(matches!(error, ExecError::TimedOut { .. }), "{error}");
        assert!(running.has_ended());
    }

    #[test]
    fn a_program_that_ignores_sigterm_is_killed() {
        let mut running = start("trap '' TERM; while :; do sleep 0.1; done");
        std::thread::sleep(Duration::from_millis(100));
        running.stop();
        assert!(running.has_ended());
    }
}
