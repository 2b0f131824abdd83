//! Exit codes, hints, and printing an error with its causes.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io;

use crate::process::ExecError;
use crate::tools::{ENGINE_DISK_HINT, is_engine_disk_full, is_engine_down};

/// The exit codes, which are part of the public contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything requested is done.
    Done = 0,
    Failed = 1,
    /// The command line or the configuration is wrong; nothing was changed.
    Usage = 2,
    /// A tool is missing or the engine is not running.
    ToolMissing = 3,
    /// Partly done: an image could not be loaded, or pods still lack one.
    Partial = 4,
    /// The time limit was reached.
    TimedOut = 5,
    Interrupted = 130,
}

/// An error with its exit code and hints.
pub struct Failure {
    exit: Option<Exit>,
    error: anyhow::Error,
    hints: Vec<String>,
}

impl Failure {
    /// Creates a failure from a message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit: Some(exit), error: anyhow::Error::msg(message.into()), hints: Vec::new() }
    }

    /// Wraps another error, which determines the exit code itself.
    pub fn of(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: None, error: error.into(), hints: Vec::new() }
    }

    /// Appends a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        self.hints([hint.into()])
    }

    /// Appends several hints.
    #[must_use]
    pub fn hints(mut self, hints: impl IntoIterator<Item = String>) -> Self {
        self.hints.extend(hints);
        self
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.error, f)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// Turns the error of a result into a [`Failure`].
pub trait Note<T> {
    /// Sets the exit code for this error.
    ///
    /// # Errors
    /// Returns the [`Failure`].
    fn exit(self, exit: Exit) -> anyhow::Result<T>;

    /// Adds a hint.
    ///
    /// # Errors
    /// Returns the [`Failure`].
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Note<T> for Result<T, E> {
    fn exit(self, exit: Exit) -> anyhow::Result<T> {
        self.map_err(|error| Failure { exit: Some(exit), ..Failure::of(error) }.into())
    }

    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| Failure::of(error).hint(hint).into())
    }
}

/// The exit code for `error`: the outermost one set, else the one implied by the failed command.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    let mut exit = None;
    visit_causes(error, &mut |cause| {
        let found = cause.downcast_ref::<Failure>().and_then(|failure| failure.exit);
        let implied = || match cause.downcast_ref::<ExecError>()? {
            ExecError::NotFound { .. } => Some(Exit::ToolMissing),
            ExecError::Interrupted { .. } => Some(Exit::Interrupted),
            error if is_engine_down(error) => Some(Exit::ToolMissing),
            ExecError::TimedOut { .. } | ExecError::Silent { .. } => Some(Exit::TimedOut),
            _ => None,
        };
        exit = exit.or(found).or_else(implied);
        // An interrupt wins over whatever the interrupted step reported.
        if cause.downcast_ref::<ExecError>().is_some_and(ExecError::is_interrupt) {
            exit = Some(Exit::Interrupted);
        }
    });
    exit.unwrap_or(Exit::Failed)
}

/// The hint for a full disk.
fn full_disk_hint(error: &io::Error) -> Option<String> {
    let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    is_full.then(|| "free space on that disk, or choose a location on another one".to_owned())
}

/// The hints for `error`, outermost first, without duplicates.
pub fn hints_of(error: &anyhow::Error) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    visit_causes(error, &mut |cause| {
        let found = if let Some(failure) = cause.downcast_ref::<Failure>() {
            failure.hints.clone()
        } else {
            let of_command = cause.downcast_ref::<ExecError>().and_then(implied_hint);
            of_command.or_else(|| cause.downcast_ref().and_then(full_disk_hint)).into_iter().collect()
        };
        for hint in found {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
    });
    hints
}

fn implied_hint(error: &ExecError) -> Option<String> {
    match error {
        ExecError::NotFound { program } => Some(install_hint(program)),
        ExecError::Failed { .. } if is_engine_down(error) => Some(
            "start Docker (Docker Desktop, or `sudo systemctl start docker`) and rerun the command"
                .to_owned(),
        ),
        error if is_engine_disk_full(error) => Some(ENGINE_DISK_HINT.to_owned()),
        _ => None,
    }
}

/// How to install a missing tool.
pub fn install_hint(program: &str) -> String {
    match program {
        "docker" => "install Docker Engine or Docker Desktop: https://docs.docker.com/get-docker/".to_owned(),
        "kind" | "helm" | "kubectl" => {
            format!("`milvusctl doctor --fix` downloads `{program}`, or put it in PATH yourself")
        }
        _ => format!("install `{program}` and make sure it is in PATH"),
    }
}

/// Renders an error as lines: `error:`, then `caused by:` for each cause and `hint:` for each hint.
pub fn render(error: &anyhow::Error) -> Vec<(&'static str, String)> {
    let mut lines: Vec<(&'static str, String)> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if lines.last().is_some_and(|(_, last)| last.contains(&text)) {
            continue;
        }
        lines.push((if lines.is_empty() { "error" } else { "caused by" }, text));
    }
    lines.extend(hints_of(error).into_iter().map(|hint| ("hint", hint)));
    lines
}

/// Visits an error, its causes, and the errors wrapped in failures, outermost first.
fn visit_causes(error: &anyhow::Error, visit: &mut dyn FnMut(&(dyn Error + 'static))) {
    for cause in error.chain() {
        visit(cause);
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            // The rest of the chain belongs to the inner error and is visited there.
            visit_causes(&failure.error, visit);
            return;
        }
    }
}

/// Formats an error with its causes on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn failed(line: &str) -> ExecError {
        ExecError::Failed {
            cmd: "docker version".into(),
            status: "exit status: 1".into(),
            code: Some(1),
            tail: vec![line.into()],
            stdout: Vec::new(),
        }
    }

    #[test]
    fn an_error_prints_its_causes_and_then_its_hints() {
        let error =
            Err::<(), _>(failed("boom")).hint("try again").context("could not ask the engine").unwrap_err();
        assert_eq!(
            render(&error),
            [
                ("error", "could not ask the engine".to_owned()),
                ("caused by", "`docker version` failed (exit status: 1)\n  boom".to_owned()),
                ("hint", "try again".to_owned()),
            ]
        );
    }

    #[test]
    fn a_missing_tool_exits_with_3_and_an_install_hint() {
        let error = Err::<(), _>(ExecError::NotFound { program: "kind".into() }).context("x").unwrap_err();
        assert_eq!(exit_of(&error), Exit::ToolMissing);
        assert_eq!(hints_of(&error).len(), 1);
    }

    #[test]
    fn a_stopped_engine_exits_with_3() {
        let error = anyhow::Error::from(failed(
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        ));
        assert_eq!(exit_of(&error), Exit::ToolMissing);
    }

    #[test]
    fn an_explicit_code_beats_an_implied_one() {
        let error = Err::<(), _>(failed("x")).exit(Exit::TimedOut).context("y").unwrap_err();
        assert_eq!(exit_of(&error), Exit::TimedOut);
    }

    #[test]
    fn an_interrupt_always_exits_with_130() {
        let error =
            Err::<(), _>(ExecError::Interrupted { cmd: "kind".into() }).exit(Exit::Failed).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Interrupted);
    }
}
