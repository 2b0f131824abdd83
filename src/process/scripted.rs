//! A runner for tests: answers the command lines it knows and panics on any other.

use std::io::{self, Cursor, Read, Write};
use std::path::PathBuf;
use std::sync::Mutex;

use super::{Cmd, ExecError, Interrupt, Output, Runner, Running, Stream};

/// A program's standard output, or the standard error it fails with.
type Answer = Result<Vec<u8>, String>;

/// Answers by the printed command line, and records what it was asked.
///
/// Several answers to one line are given in order, and the last one is repeated.
#[derive(Default)]
pub struct ScriptedRunner {
    answers: Mutex<Vec<(String, Answer)>>,
    asked: Mutex<Vec<String>>,
    missing: Vec<String>,
    own: Vec<String>,
}

impl ScriptedRunner {
    /// Answers `line` with `stdout`.
    pub fn answer(self, line: &str, stdout: &str) -> Self {
        self.answer_bytes(line, stdout.as_bytes())
    }

    /// Answers `line` with bytes.
    ///
    /// # Panics
    /// If an asking thread panicked.
    pub fn answer_bytes(self, line: &str, stdout: &[u8]) -> Self {
        self.answers.lock().unwrap().push((line.to_owned(), Ok(stdout.to_owned())));
        self
    }

    /// Fails `line` with exit status 1 and `stderr`.
    ///
    /// # Panics
    /// If an asking thread panicked.
    pub fn fail(self, line: &str, stderr: &str) -> Self {
        self.answers.lock().unwrap().push((line.to_owned(), Err(stderr.to_owned())));
        self
    }

    /// Makes `line` silent until it is stopped, before later answers to it.
    ///
    /// # Panics
    /// If an asking thread panicked.
    pub fn hang(self, line: &str) -> Self {
        self.answers.lock().unwrap().push((line.to_owned(), Err(HANGS.to_owned())));
        self
    }

    /// Acts as if `program` were not installed.
    pub fn without(mut self, program: &str) -> Self {
        self.missing.push(program.to_owned());
        self
    }

    /// Has milvusctl's own copy of `program` besides the one in PATH; answers follow the order of calls.
    pub fn with_own(mut self, program: &str) -> Self {
        self.own.push(program.to_owned());
        self
    }

    /// The command lines so far, in order.
    ///
    /// # Panics
    /// If an asking thread panicked.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn take(&self, line: &str) -> Answer {
        self.asked.lock().unwrap().push(line.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let mut fitting = answers.iter().enumerate().filter(|(_, (known, _))| known == line);
        let Some((first, _)) = fitting.next() else { panic!("no answer is scripted for `{line}`") };
        if fitting.next().is_some() { answers.remove(first).1 } else { answers[first].1.clone() }
    }
}

/// Stands for a program that prints nothing and never ends.
const HANGS: &str = "\0hangs";

fn failed(cmd: &Cmd, stderr: &str) -> ExecError {
    if stderr == HANGS {
        let silence = cmd.silence.expect("a command that may keep silent for ever is not given up");
        return ExecError::Silent { cmd: cmd.to_string(), silence, tail: Vec::new() };
    }
    ExecError::Failed {
        cmd: cmd.to_string(),
        status: "exit status: 1".into(),
        code: Some(1),
        tail: stderr.lines().map(str::to_owned).collect(),
        stdout: Vec::new(),
    }
}

impl Runner for ScriptedRunner {
    fn run_with(&self, cmd: &Cmd, _: &mut dyn FnMut(Stream, &str)) -> Result<Output, ExecError> {
        match self.take(&cmd.to_string()) {
            Ok(stdout) => Ok(Output { stdout }),
            Err(stderr) => Err(failed(cmd, &stderr)),
        }
    }

    fn start(&self, cmd: &Cmd) -> Result<Box<dyn Running>, ExecError> {
        Ok(Box::new(ScriptedProcess { cmd: cmd.clone(), answer: self.take(&cmd.to_string()) }))
    }

    fn locate(&self, program: &str) -> Option<PathBuf> {
        let is_missing = self.missing.iter().any(|missing| missing == program);
        (!is_missing).then(|| PathBuf::from("/scripted").join(program))
    }

    fn prefer_own(&self, program: &str) -> bool {
        self.own.iter().any(|own| own == program)
    }
}

/// Reads its input to the end, prints its answer, and exits accordingly.
struct ScriptedProcess {
    cmd: Cmd,
    answer: Answer,
}

impl Running for ScriptedProcess {
    fn take_input(&mut self) -> Option<Box<dyn Write + Send>> {
        Some(Box::new(io::sink()))
    }

    fn take_output(&mut self) -> Option<Box<dyn Read + Send>> {
        Some(Box::new(Cursor::new(self.answer.clone().unwrap_or_default())))
    }

    fn wait(&mut self, _: &Interrupt) -> Result<(), ExecError> {
        match &self.answer {
            Ok(_) => Ok(()),
            Err(stderr) => Err(failed(&self.cmd, stderr)),
        }
    }

    fn has_ended(&mut self) -> bool {
        true
    }

    fn stop(&mut self) {}
}
