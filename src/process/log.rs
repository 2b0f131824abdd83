//! Shows each command before it runs (`-v`).

use std::path::PathBuf;
use std::sync::Arc;

use super::{Cmd, ExecError, Output, Runner, Running, Source};

/// Hands `+ command` to `show` before each command that its inner runner carries out.
pub struct LoggingRunner {
    inner: Arc<dyn Runner>,
    show: Box<dyn Fn(&str) + Send + Sync>,
}

impl LoggingRunner {
    /// Commands go to `inner`, their lines to `show`.
    pub fn new(inner: Arc<dyn Runner>, show: Box<dyn Fn(&str) + Send + Sync>) -> Self {
        Self { inner, show }
    }
}

impl Runner for LoggingRunner {
    fn run_with(&self, cmd: &Cmd, on_line: &mut dyn FnMut(Source, &str)) -> Result<Output, ExecError> {
        (self.show)(&format!("+ {cmd}"));
        self.inner.run_with(cmd, on_line)
    }

    fn start(&self, cmd: &Cmd) -> Result<Box<dyn Running>, ExecError> {
        (self.show)(&format!("+ {cmd}"));
        self.inner.start(cmd)
    }

    fn locate(&self, program: &str) -> Option<PathBuf> {
        self.inner.locate(program)
    }

    fn prefer_own(&self, program: &str) -> bool {
        self.inner.prefer_own(program)
    }
}
