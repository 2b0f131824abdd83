//! A runner that looks but does not touch: reads run, writes are collected as a shell script.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Cmd, Effect, ExecError, Output, Runner, Running, Source};

/// Carries out reads and hands writes to `print` as lines of a shell script, as if they had succeeded.
pub struct DryRunner {
    inner: Arc<dyn Runner>,
    print: Box<dyn Fn(&str) + Send + Sync>,
}

impl DryRunner {
    /// Reads go to `inner`, writes to `print`.
    pub fn new(inner: Arc<dyn Runner>, print: Box<dyn Fn(&str) + Send + Sync>) -> Self {
        Self { inner, print }
    }
}

impl Runner for DryRunner {
    fn run_with(&self, cmd: &Cmd, on_line: &mut dyn FnMut(Source, &str)) -> Result<Output, ExecError> {
        match cmd.effect() {
            Effect::Read => self.inner.run_with(cmd, on_line),
            Effect::Write => {
                (self.print)(&cmd.to_script());
                Ok(Output::default())
            }
        }
    }

    fn start(&self, cmd: &Cmd) -> Result<Box<dyn Running>, ExecError> {
        if cmd.effect() == Effect::Read {
            return self.inner.start(cmd);
        }
        // What is streamed between programs is printed by those who plan it; nothing can be started here.
        Err(ExecError::Garbage { cmd: cmd.to_string(), problem: "a dry run starts nothing".into() })
    }

    fn locate(&self, program: &str) -> Option<PathBuf> {
        self.inner.locate(program)
    }

    fn prefer_own(&self, program: &str) -> bool {
        self.inner.prefer_own(program)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::super::{Interrupt, SystemRunner};
    use super::*;

    #[test]
    fn reads_run_and_writes_are_printed() {
        let printed = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&printed);
        let system = Arc::new(SystemRunner::new(std::env::var_os("PATH"), None, Interrupt::default()));
        let runner =
            DryRunner::new(system, Box::new(move |line| lines.lock().unwrap().push(line.to_owned())));
        assert_eq!(runner.run(&Cmd::read("echo", Duration::from_secs(60)).arg("hi")).unwrap().text(), "hi\n");
        assert_eq!(
            runner.run(&Cmd::write("rm", Duration::from_secs(60)).arg("/nothing")).unwrap().text(),
            ""
        );
        assert_eq!(*printed.lock().unwrap(), ["rm /nothing"]);
    }
}
