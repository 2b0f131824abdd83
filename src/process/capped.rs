//! Gives every command less time than it asks for: for answers that are worth nothing when they come late.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Cmd, ExecError, Output, Runner, Running, Source};

/// Stops each command of its inner runner after a time, whatever its own limit is.
pub struct CappedRunner {
    inner: Arc<dyn Runner>,
    cap: Duration,
}

impl CappedRunner {
    /// Commands go to `inner` and may take up to `cap`.
    pub fn new(inner: Arc<dyn Runner>, cap: Duration) -> Self {
        Self { inner, cap }
    }

    fn capped(&self, cmd: &Cmd) -> Cmd {
        cmd.clone().limit(cmd.limit.min(self.cap))
    }
}

impl Runner for CappedRunner {
    fn run_with(&self, cmd: &Cmd, on_line: &mut dyn FnMut(Source, &str)) -> Result<Output, ExecError> {
        self.inner.run_with(&self.capped(cmd), on_line)
    }

    fn start(&self, cmd: &Cmd) -> Result<Box<dyn Running>, ExecError> {
        self.inner.start(&self.capped(cmd))
    }

    fn locate(&self, program: &str) -> Option<PathBuf> {
        self.inner.locate(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ScriptedRunner;

    #[test]
    fn the_shorter_of_both_times_counts() {
        let capped = CappedRunner::new(Arc::new(ScriptedRunner::default()), Duration::from_secs(2));
        let limit = |cmd: &Cmd| capped.capped(cmd).limit;
        assert_eq!(limit(&Cmd::read("a", Duration::from_secs(60))), Duration::from_secs(2));
        assert_eq!(limit(&Cmd::read("a", Duration::from_secs(1))), Duration::from_secs(1));
    }
}
