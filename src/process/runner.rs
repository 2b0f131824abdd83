//! Runs commands and passes their output on line by line.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::capture::{Capture, Pipes};
use super::error::failure;
use super::group::Group;
use super::interrupt::POLL;
use super::running::{Running, RunningProcess};
use super::{Cmd, Deadline, Effect, ExecError, Input, Interrupt, Stream};

/// Minimum time for a read after the deadline, such as asking for the current state and its cause.
const LAST_QUESTION: Duration = Duration::from_secs(10);

/// What a command wrote to its standard output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// The bytes as written.
    pub stdout: Vec<u8>,
}

impl Output {
    /// The output as text, with replacement characters for invalid UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

pub trait Runner: Send + Sync {
    /// Runs `cmd` to completion and passes each line it writes to `on_line` at once.
    ///
    /// # Errors
    /// Fails if the program is missing, exits with a status other than zero, or is stopped by its limit or
    /// the user.
    fn run_with(&self, cmd: &Cmd, on_line: &mut dyn FnMut(Stream, &str)) -> Result<Output, ExecError>;

    /// Starts `cmd` with pipes to its standard input and output, without waiting for it.
    ///
    /// # Errors
    /// Fails if the program is missing or cannot be started.
    fn start(&self, cmd: &Cmd) -> Result<Box<dyn Running>, ExecError>;

    /// Runs `cmd` to completion.
    ///
    /// # Errors
    /// Fails as [`Runner::run_with`] does.
    fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
        self.run_with(cmd, &mut |_, _| {})
    }

    /// Waits for `time` before a retry; returns whether there is time left for it.
    ///
    /// Runners that start no programs do not wait.
    fn pause(&self, time: Duration) -> bool {
        let _ = time;
        true
    }

    /// The program's path, if it is installed.
    fn locate(&self, program: &str) -> Option<PathBuf>;

    /// From now on runs `program` from milvusctl's own folder even if PATH has another one; returns whether
    /// it is there.
    ///
    /// Runners without such a folder return false.
    fn prefer_own(&self, program: &str) -> bool {
        let _ = program;
        false
    }
}

/// Receives text to show or print.
type Show = Box<dyn Fn(&str) + Send + Sync>;

/// Runs commands on this machine.
pub struct SystemRunner {
    path: OsString,
    own_tools: Option<PathBuf>,
    /// The programs to take from `own_tools` before PATH.
    preferred: Mutex<BTreeSet<String>>,
    interrupt: Interrupt,
    deadline: Deadline,
    log: Option<Show>,
    dry_run: Option<Show>,
    /// When one of the commands with a limit on silence last wrote something.
    heard: Mutex<Instant>,
    capture: usize,
}

/// How long a command may run, and how long it may be silent.
struct RunLimits {
    time: Duration,
    /// The limit that an error reports.
    told: Duration,
    silence: Option<Duration>,
}

impl SystemRunner {
    /// Looks programs up in `path` (formatted like `PATH`), then in `own_tools`; in the reverse order for
    /// those passed to [`Runner::prefer_own`]. No command outlives `deadline`.
    pub fn new(
        path: Option<OsString>,
        own_tools: Option<&Path>,
        interrupt: Interrupt,
        deadline: Deadline,
    ) -> Self {
        let path = path.unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(own_tools.map(Path::to_path_buf));
        let joined = std::env::join_paths(folders).unwrap_or_else(|_| path.clone());
        Self {
            path: joined,
            own_tools: own_tools.map(Path::to_path_buf),
            preferred: Mutex::default(),
            interrupt,
            deadline,
            log: None,
            dry_run: None,
            heard: Mutex::new(Instant::now()),
            capture: usize::MAX,
        }
    }

    /// Passes `+ command` to `show` before running each command.
    pub fn log(mut self, show: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.log = Some(Box::new(show));
        self
    }

    /// Runs only reads, and passes writes to `print` as lines of a shell script, as if they had succeeded.
    pub fn dry_run(mut self, print: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.dry_run = Some(Box::new(print));
        self
    }

    fn own(&self, program: &str) -> Option<PathBuf> {
        which::which_in(program, self.own_tools.as_ref(), "/").ok()
    }

    fn expression(&self, cmd: &Cmd) -> Result<duct::Expression, ExecError> {
        if self.interrupt.is_set() {
            return Err(ExecError::Interrupted { cmd: cmd.line() });
        }
        if let Some(show) = &self.log {
            show(&format!("+ {}", cmd.line()));
        }
        let Some(program) = self.locate(&cmd.program) else {
            return Err(ExecError::NotFound { program: cmd.program.clone() });
        };
        #[expect(clippy::disallowed_methods, reason = "this is the runner that everything else goes through")]
        let expression = duct::cmd(program, &cmd.args).unchecked().env("PATH", &self.path);
        Ok(expression)
    }

    /// A command's limits within the deadline. One that reports progress may go on as long as it does.
    fn limits(&self, cmd: &Cmd) -> RunLimits {
        let own = RunLimits { time: cmd.limit, told: cmd.limit, silence: cmd.silence };
        let Some((left, all)) = self.deadline.left() else { return own };
        if let Some(silence) = cmd.silence {
            return RunLimits { silence: Some(silence.min(all)), ..own };
        }
        let left = if cmd.effect == Effect::Read { left.max(LAST_QUESTION.min(all)) } else { left };
        if left < cmd.limit { RunLimits { time: left, told: all, silence: None } } else { own }
    }

    /// Records that a command wrote something.
    fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long none of the commands with a limit on silence has written anything.
    fn silence(&self) -> Duration {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn carry_out(&self, cmd: &Cmd, on_line: &mut dyn FnMut(Stream, &str)) -> Result<Output, ExecError> {
        let io = |source| ExecError::Io { cmd: cmd.line(), source };
        let expression = self.expression(cmd)?;
        let limits = self.limits(cmd);
        if limits.time.is_zero() {
            let (limit, tail) = (limits.told, Vec::new());
            return Err(ExecError::TimedOut { cmd: cmd.line(), limit, tail });
        }
        let expression = match &cmd.input {
            Input::None => expression.stdin_null(),
            Input::Text(text) | Input::Secret(text) => expression.stdin_bytes(text.as_bytes()),
        };
        let mut pipes = Pipes::open(cmd.terminal).map_err(io)?;
        let group = Group::start(&pipes.attach(expression), &self.interrupt).map_err(io)?;
        let output = pipes.read();

        let started = Instant::now();
        let may_not_be_silent = limits.silence.is_some();
        if may_not_be_silent {
            self.hear();
        }
        let most = cmd.output_limit.min(self.capture);
        let mut capture = Capture::new(most);
        let mut on_line = |source: Stream, line: String| {
            let line = cmd.hidden.masked(line);
            if may_not_be_silent {
                self.hear();
            }
            on_line(source, &line);
            line
        };
        let status = loop {
            output.drain(POLL, &mut capture, &mut on_line);
            if capture.is_full() {
                group.terminate();
                return Err(ExecError::TooMuch { cmd: cmd.line(), limit: most });
            }
            if let Some(output) = group.try_wait().map_err(io)? {
                break output.status;
            }
            if self.interrupt.is_set() {
                group.terminate();
                return Err(ExecError::Interrupted { cmd: cmd.line() });
            }
            if started.elapsed() > limits.time {
                group.terminate();
                let (limit, tail) = (limits.told, capture.tail());
                return Err(ExecError::TimedOut { cmd: cmd.line(), limit, tail });
            }
            let silence = limits.silence.map(|usual| cmd.silence_now(usual));
            if let Some(silence) = silence.filter(|silence| self.silence() > *silence) {
                group.terminate();
                return Err(ExecError::Silent { cmd: cmd.line(), silence, tail: capture.tail() });
            }
        };
        output.linger(&mut capture, &mut on_line);
        if capture.is_full() {
            Err(ExecError::TooMuch { cmd: cmd.line(), limit: most })
        } else if status.success() {
            Ok(Output { stdout: capture.stdout })
        } else if self.interrupt.is_set() {
            Err(ExecError::Interrupted { cmd: cmd.line() })
        } else {
            Err(failure(cmd, status, capture.tail(), capture.stdout))
        }
    }
}

impl Runner for SystemRunner {
    fn run_with(&self, cmd: &Cmd, on_line: &mut dyn FnMut(Stream, &str)) -> Result<Output, ExecError> {
        if let (Some(print), Effect::Write) = (&self.dry_run, cmd.effect) {
            print(&cmd.to_script());
            return Ok(Output::default());
        }
        self.carry_out(cmd, on_line)
    }

    fn start(&self, cmd: &Cmd) -> Result<Box<dyn Running>, ExecError> {
        if let (Some(_), Effect::Write) = (&self.dry_run, cmd.effect) {
            // Callers that stream between programs print their own plan in a dry run.
            return Err(ExecError::Garbage { cmd: cmd.line(), problem: "a dry run starts nothing".into() });
        }
        let expression = self.expression(cmd)?;
        let limits = self.limits(cmd);
        let cmd = Cmd { limit: limits.time, silence: limits.silence, ..cmd.clone() };
        Ok(Box::new(RunningProcess::start(&cmd, &expression, &self.interrupt)?))
    }

    fn pause(&self, time: Duration) -> bool {
        let left = self.deadline.left().map_or(Duration::MAX, |(left, _)| left);
        self.interrupt.sleep(time.min(left)) && time < left
    }

    fn locate(&self, program: &str) -> Option<PathBuf> {
        let is_preferred = self.preferred.lock().unwrap_or_else(PoisonError::into_inner).contains(program);
        let own = if is_preferred { self.own(program) } else { None };
        own.or_else(|| which::which_in(program, Some(&self.path), "/").ok())
    }

    fn prefer_own(&self, program: &str) -> bool {
        let found = self.own(program).is_some();
        if found {
            self.preferred.lock().unwrap_or_else(PoisonError::into_inner).insert(program.to_owned());
        }
        found
    }
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
