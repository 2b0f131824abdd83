//! A runner for tests: answers command lines it was told about and fails on any other.

use std::path::PathBuf;
use std::sync::Mutex;

use super::{Cmd, ExecError, Output, Runner, Running, Source};

/// Answers by the printed command line, and remembers what it was asked.
#[derive(Default)]
pub struct ScriptedRunner {
    answers: Vec<(String, Result<String, String>)>,
    asked: Mutex<Vec<String>>,
    missing: Vec<String>,
}

impl ScriptedRunner {
    /// Answers `line` with `stdout`.
    #[must_use]
    pub fn answer(mut self, line: &str, stdout: &str) -> Self {
        self.answers.push((line.to_owned(), Ok(stdout.to_owned())));
        self
    }

    /// Fails `line` with exit status 1 and `stderr`.
    #[must_use]
    pub fn fail(mut self, line: &str, stderr: &str) -> Self {
        self.answers.push((line.to_owned(), Err(stderr.to_owned())));
        self
    }

    /// Is without `program`, as a machine is on which it is not installed.
    #[must_use]
    pub fn without(mut self, program: &str) -> Self {
        self.missing.push(program.to_owned());
        self
    }

    /// The command lines so far, in order.
    ///
    /// # Panics
    /// When a thread that was asking panicked.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Runner for ScriptedRunner {
    fn run_with(&self, cmd: &Cmd, _: &mut dyn FnMut(Source, &str)) -> Result<Output, ExecError> {
        let line = cmd.to_string();
        self.asked.lock().unwrap().push(line.clone());
        match self.answers.iter().find(|(known, _)| *known == line) {
            Some((_, Ok(stdout))) => Ok(Output { stdout: stdout.clone().into_bytes() }),
            Some((_, Err(stderr))) => Err(ExecError::Failed {
                cmd: line,
                status: "exit status: 1".into(),
                code: Some(1),
                tail: stderr.lines().map(str::to_owned).collect(),
                stdout: Vec::new(),
            }),
            None => panic!("no answer is scripted for `{line}`"),
        }
    }

    fn start(&self, cmd: &Cmd) -> Result<Box<dyn Running>, ExecError> {
        panic!("no running program is scripted for `{cmd}`")
    }

    fn locate(&self, program: &str) -> Option<PathBuf> {
        let is_missing = self.missing.iter().any(|missing| missing == program);
        (!is_missing).then(|| PathBuf::from("/scripted").join(program))
    }
}
