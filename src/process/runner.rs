//! Carries commands out, with their output passed on line by line.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::TAIL_LINES;
use super::interrupt::POLL;
use super::running::{Running, RunningProcess, terminate};
use super::{Cmd, ExecError, Input, Interrupt};

/// How long the output of a program that has ended may stay open, as it does when a child of it lives on.
const LINGER: Duration = Duration::from_millis(500);

/// Which of its two outputs a program wrote a line to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Out,
    Err,
}

/// What a command wrote to its standard output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// The bytes as they came.
    pub stdout: Vec<u8>,
}

impl Output {
    /// The output as text; bytes that are not UTF-8 become replacement characters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

pub trait Runner: Send + Sync {
    /// Runs `cmd` to its end and passes each line it writes to `on_line` as it comes.
    ///
    /// # Errors
    /// Fails when the program is missing, ends with another status than zero, or is stopped by its limit
    /// or by the user.
    fn run_with(&self, cmd: &Cmd, on_line: &mut dyn FnMut(Source, &str)) -> Result<Output, ExecError>;

    /// Starts `cmd` with pipes to its standard input and output and returns while it runs.
    ///
    /// # Errors
    /// Fails when the program is missing or cannot be started.
    fn start(&self, cmd: &Cmd) -> Result<Box<dyn Running>, ExecError>;

    /// Runs `cmd` to its end.
    ///
    /// # Errors
    /// As [`Runner::run_with`].
    fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
        self.run_with(cmd, &mut |_, _| {})
    }

    /// Where the program of that name is, if it is installed.
    fn locate(&self, program: &str) -> Option<PathBuf>;

    /// Takes `program` from milvusctl's own folder from now on, also where PATH has another one; says whether
    /// it is there.
    ///
    /// Runners that have no such folder say that it is not.
    fn prefer_own(&self, program: &str) -> bool {
        let _ = program;
        false
    }
}

/// Runs commands on this machine.
#[derive(Debug)]
pub struct SystemRunner {
    path: OsString,
    own_tools: Option<PathBuf>,
    /// The programs that are taken from `own_tools` first.
    preferred: Mutex<BTreeSet<String>>,
    interrupt: Interrupt,
    /// When one of the commands that may not keep silent was last heard.
    heard: Mutex<Instant>,
}

impl SystemRunner {
    /// Looks programs up in the folders of `path` (as `PATH` lists them), then in `own_tools`; the other way
    /// round those that [`Runner::prefer_own`] named.
    pub fn new(path: Option<OsString>, own_tools: Option<&Path>, interrupt: Interrupt) -> Self {
        let path = path.unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(own_tools.map(Path::to_path_buf));
        let joined = std::env::join_paths(folders).unwrap_or_else(|_| path.clone());
        Self {
            path: joined,
            own_tools: own_tools.map(Path::to_path_buf),
            preferred: Mutex::default(),
            interrupt,
            heard: Mutex::new(Instant::now()),
        }
    }

    fn own(&self, program: &str) -> Option<PathBuf> {
        which::which_in(program, self.own_tools.as_ref(), "/").ok()
    }

    pub(super) fn expression(&self, cmd: &Cmd) -> Result<duct::Expression, ExecError> {
        let Some(program) = self.locate(&cmd.program) else {
            return Err(ExecError::NotFound { program: cmd.program.clone() });
        };
        #[expect(clippy::disallowed_methods, reason = "this is the runner that everything else goes through")]
        let expression = duct::cmd(program, &cmd.args).unchecked().env("PATH", &self.path);
        Ok(expression)
    }

    /// Notes that a command was heard just now.
    fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long none of the commands that may not keep silent was heard.
    fn silence(&self) -> Duration {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn carry_out(&self, cmd: &Cmd, on_line: &mut dyn FnMut(Source, &str)) -> Result<Output, ExecError> {
        let io = |source| ExecError::Io { cmd: cmd.to_string(), source };
        let mut expression = self.expression(cmd)?;
        expression = match &cmd.input {
            Input::None => expression.stdin_null(),
            Input::Text(text) | Input::Secret(text) => expression.stdin_bytes(text.as_bytes()),
        };
        let (stdout, stdout_writer) = if cmd.terminal { open_terminal() } else { pipe() }.map_err(io)?;
        let (stderr, stderr_writer) = pipe().map_err(io)?;
        let handle = expression.stdout_file(stdout_writer).stderr_file(stderr_writer).start().map_err(io)?;
        // `expression` and with it our ends of the pipes are gone here, so the readers see the end.
        let (sender, events) = channel();
        read_aside(stdout, Source::Out, cmd.terminal, sender.clone());
        read_aside(stderr, Source::Err, true, sender);

        let mut stdout = Vec::new();
        let mut tail = Tail::default();
        let started = Instant::now();
        let may_not_be_silent = cmd.silence.is_some();
        if may_not_be_silent {
            self.hear();
        }
        let mut on_event = |event: Event| match event {
            Event::Bytes(bytes) => stdout.extend(bytes),
            Event::Line(source, line) => {
                let line = cmd.hidden.masked(line);
                if may_not_be_silent {
                    self.hear();
                }
                on_line(source, &line);
                if source == Source::Out {
                    stdout.extend(line.as_bytes());
                    stdout.push(b'\n');
                }
                tail.push(source, line);
            }
        };
        let status = loop {
            drain(&events, POLL, &mut on_event);
            if let Some(output) = handle.try_wait().map_err(io)? {
                break output.status;
            }
            if self.interrupt.is_set() {
                terminate(&handle);
                return Err(ExecError::Interrupted { cmd: cmd.to_string() });
            }
            if started.elapsed() > cmd.limit {
                terminate(&handle);
                let (limit, tail) = (cmd.limit, tail.lines(&stdout));
                return Err(ExecError::TimedOut { cmd: cmd.to_string(), limit, tail });
            }
            if let Some(silence) = cmd.silence.filter(|silence| self.silence() > *silence) {
                terminate(&handle);
                return Err(ExecError::Silent { cmd: cmd.to_string(), silence, tail: tail.lines(&stdout) });
            }
        };
        drain(&events, LINGER, &mut on_event);
        if status.success() {
            Ok(Output { stdout })
        } else if self.interrupt.is_set() {
            Err(ExecError::Interrupted { cmd: cmd.to_string() })
        } else {
            Err(failure(cmd, status, tail.lines(&stdout), stdout))
        }
    }
}

impl Runner for SystemRunner {
    fn run_with(&self, cmd: &Cmd, on_line: &mut dyn FnMut(Source, &str)) -> Result<Output, ExecError> {
        if self.interrupt.is_set() {
            return Err(ExecError::Interrupted { cmd: cmd.to_string() });
        }
        self.carry_out(cmd, on_line)
    }

    fn start(&self, cmd: &Cmd) -> Result<Box<dyn Running>, ExecError> {
        let expression = self.expression(cmd)?;
        Ok(Box::new(RunningProcess::start(cmd, &expression)?))
    }

    fn locate(&self, program: &str) -> Option<PathBuf> {
        let is_preferred = self.preferred.lock().unwrap_or_else(PoisonError::into_inner).contains(program);
        let own = if is_preferred { self.own(program) } else { None };
        own.or_else(|| which::which_in(program, Some(&self.path), "/").ok())
    }

    fn prefer_own(&self, program: &str) -> bool {
        let is_there = self.own(program).is_some();
        if is_there {
            self.preferred.lock().unwrap_or_else(PoisonError::into_inner).insert(program.to_owned());
        }
        is_there
    }
}

pub(super) fn failure(cmd: &Cmd, status: ExitStatus, tail: Vec<String>, stdout: Vec<u8>) -> ExecError {
    ExecError::Failed { cmd: cmd.to_string(), status: status.to_string(), code: status.code(), tail, stdout }
}

/// A piece of a program's output on its way to the caller.
enum Event {
    Bytes(Vec<u8>),
    Line(Source, String),
}

/// The last lines of each output; those of standard error say more, so they win.
#[derive(Default)]
struct Tail {
    out: VecDeque<String>,
    err: VecDeque<String>,
}

impl Tail {
    fn push(&mut self, source: Source, line: String) {
        let lines = if source == Source::Err { &mut self.err } else { &mut self.out };
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn lines(self, stdout: &[u8]) -> Vec<String> {
        if !self.err.is_empty() {
            return self.err.into();
        }
        if !self.out.is_empty() {
            return self.out.into();
        }
        let text = String::from_utf8_lossy(stdout);
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec()
    }
}

/// Hands events on for up to `time`, or until both outputs are closed.
fn drain(events: &Receiver<Event>, time: Duration, on_event: &mut impl FnMut(Event)) {
    let end = Instant::now() + time;
    loop {
        match events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(event) => on_event(event),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => {
                // Closed outputs end the wait at once; without this nap the caller's loop would spin.
                std::thread::sleep(Duration::from_millis(1));
                return;
            }
        }
    }
}

fn pipe() -> io::Result<(File, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((File::from(OwnedFd::from(reader)), OwnedFd::from(writer)))
}

/// A pseudo-terminal: our end to read from, and the program's end.
fn open_terminal() -> io::Result<(File, OwnedFd)> {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let theirs = rustix::fs::open(name, flags, rustix::fs::Mode::empty())?;
    Ok((File::from(ours), theirs))
}

/// Reads one output on a thread of its own, so that a full pipe never blocks the program.
///
/// The thread is not joined: it ends with the pipe, which a grandchild may hold open for longer.
fn read_aside(output: File, source: Source, lines: bool, events: Sender<Event>) {
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut chunk = vec![0; 64 * 1024];
        let mut rest = Vec::new();
        // A pseudo-terminal whose other side is closed answers with an error (EIO): that is its end.
        while let Ok(n @ 1..) = output.read(&mut chunk) {
            if !lines {
                if events.send(Event::Bytes(chunk[..n].to_vec())).is_err() {
                    return;
                }
                continue;
            }
            for &byte in &chunk[..n] {
                if byte == b'\n' || byte == b'\r' {
                    if !rest.is_empty() && events.send(line_event(source, &rest)).is_err() {
                        return;
                    }
                    rest.clear();
                } else {
                    rest.push(byte);
                }
            }
        }
        if !rest.is_empty() {
            // Nobody listens any more when the command was given up; the line is lost on purpose.
            drop(events.send(line_event(source, &rest)));
        }
    });
}

fn line_event(source: Source, bytes: &[u8]) -> Event {
    let text = String::from_utf8_lossy(bytes);
    Event::Line(source, console::strip_ansi_codes(&text).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner() -> SystemRunner {
        SystemRunner::new(std::env::var_os("PATH"), None, Interrupt::default())
    }

    fn sh(script: &str) -> Cmd {
        Cmd::read("sh", Duration::from_secs(60)).args(["-c", script])
    }

    #[test]
    fn output_is_captured_byte_for_byte() {
        let output = runner().run(&sh(r"printf 'a\r\n\nb'")).unwrap();
        assert_eq!(output.stdout, b"a\r\n\nb");
    }

    #[test]
    fn input_reaches_the_program() {
        let output = runner().run(&Cmd::read("cat", Duration::from_secs(60)).input("hello")).unwrap();
        assert_eq!(output.text(), "hello");
    }

    #[test]
    fn lines_of_standard_error_are_passed_on_as_they_come() {
        let mut lines = Vec::new();
        let cmd = sh("echo one >&2; echo two >&2");
        runner().run_with(&cmd, &mut |source, line| lines.push((source, line.to_owned()))).unwrap();
        assert_eq!(lines, [(Source::Err, "one".to_owned()), (Source::Err, "two".to_owned())]);
    }

    #[test]
    fn a_failing_command_reports_its_status_and_standard_error() {
        let error = runner().run(&sh("echo out; echo broken >&2; exit 3")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c 'echo out; echo broken >&2; exit 3'` failed (exit status: 3)\n  broken"
        );
    }

    #[test]
    fn a_failing_command_without_standard_error_reports_its_output() {
        let error = runner().run(&sh("echo why; exit 1")).unwrap_err();
        assert_eq!(error.tail(), ["why"]);
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = runner().run(&Cmd::read("no-such-tool", Duration::from_secs(60))).unwrap_err();
        assert_eq!(error.to_string(), "`no-such-tool` was not found in PATH");
    }

    #[test]
    fn an_own_program_comes_after_path_until_it_is_preferred() {
        use std::os::unix::fs::PermissionsExt as _;
        let own = tempfile::tempdir().unwrap();
        let program = own.path().join("cat");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let runner = SystemRunner::new(std::env::var_os("PATH"), Some(own.path()), Interrupt::default());
        assert_ne!(runner.locate("cat").unwrap(), program);
        assert!(runner.prefer_own("cat") && !runner.prefer_own("sh"));
        assert_eq!(runner.locate("cat").unwrap(), program);
        assert!(runner.locate("sh").is_some());
    }

    #[test]
    fn a_secret_that_a_program_repeats_is_not_heard() {
        let cmd = sh("read line; echo \"bad: $line!\" >&2; exit 1").secret_input("hunter2\n", ["hunter2"]);
        assert_eq!(runner().run(&cmd).unwrap_err().tail(), ["bad: ***!"]);
    }

    #[test]
    fn a_program_beyond_its_limit_is_stopped() {
        let started = Instant::now();
        let error = runner().run(&sh("sleep 60").limit(Duration::from_millis(100))).unwrap_err();
        assert!(matches!(error, ExecError::TimedOut { .. }), "{error}");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_program_that_is_heard_no_more_is_stopped() {
        let started = Instant::now();
        let silence = Duration::from_millis(300);
        let error = runner().run(&sh("echo one >&2; sleep 60").silence(silence)).unwrap_err();
        assert!(matches!(error, ExecError::Silent { .. }), "{error}");
        assert_eq!(error.tail(), ["one"]);
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_program_may_keep_silent_while_another_one_speaks() {
        let runner = runner();
        let silence = Duration::from_secs(1);
        let speaker = sh("for i in 1 2 3 4 5 6 7 8 9 10; do echo $i >&2; sleep 0.2; done").silence(silence);
        std::thread::scope(|scope| {
            scope.spawn(|| runner.run(&speaker).unwrap());
            runner.run(&sh("sleep 2").silence(silence)).unwrap();
        });
    }

    #[test]
    fn an_interrupt_stops_the_program() {
        let interrupt = Interrupt::default();
        let runner = SystemRunner::new(std::env::var_os("PATH"), None, interrupt.clone());
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            interrupt.set();
        });
        assert!(runner.run(&sh("sleep 60")).unwrap_err().is_interrupt());
    }

    #[test]
    fn a_child_that_lives_on_does_not_hold_up_the_answer() {
        let started = Instant::now();
        let output = runner().run(&sh("sleep 30 & echo done")).unwrap();
        assert_eq!(output.text(), "done\n");
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_program_that_asks_for_a_terminal_finds_one() {
        let output = runner().run(&sh("test -t 1 && printf 'one\\rtwo\\n'").terminal()).unwrap();
        assert_eq!(output.text(), "one\ntwo\n");
    }
}
