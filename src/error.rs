//! How a run ends: exit codes, hints, and the printing of an error with its causes.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io;

use crate::process::ExecError;
use crate::tools::is_engine_down;

/// The exit codes; they are part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything that was asked for is done.
    Done = 0,
    Failed = 1,
    /// The command line or the configuration is wrong; nothing was changed.
    Usage = 2,
    /// A tool is missing or the engine is not running.
    ToolMissing = 3,
    /// Some of it is done: an image could not be loaded, or pods still lack one.
    Partial = 4,
    /// The time was over first.
    TimedOut = 5,
    Interrupted = 130,
}

/// An error with what it means for the end of the run and what the user can do about it.
pub struct Failure {
    exit: Option<Exit>,
    error: anyhow::Error,
    hints: Vec<String>,
}

impl Failure {
    /// A failure of its own.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit: Some(exit), error: anyhow::Error::msg(message.into()), hints: Vec::new() }
    }

    /// What another error comes to; it says itself with which code the run ends.
    pub fn of(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: None, error: error.into(), hints: Vec::new() }
    }

    /// Adds what the user can do about it, after what is there already.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        self.hints([hint.into()])
    }

    /// As [`Failure::hint`], for several.
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

/// Makes a [`Failure`] of the error of a result.
pub trait Note<T> {
    /// Says with which code the run ends because of this error.
    ///
    /// # Errors
    /// Returns the failure.
    fn exit(self, exit: Exit) -> anyhow::Result<T>;

    /// Says what the user can do about it.
    ///
    /// # Errors
    /// Returns the failure.
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

/// The code with which a run ends because of `error`: what is noted nearest to the top, else what the
/// failed command says.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    let mut exit = None;
    look_through(error, &mut |cause| {
        let found = cause.downcast_ref::<Failure>().and_then(|failure| failure.exit);
        let implied = || match cause.downcast_ref::<ExecError>()? {
            ExecError::NotFound { .. } => Some(Exit::ToolMissing),
            ExecError::Interrupted { .. } => Some(Exit::Interrupted),
            error if is_engine_down(error) => Some(Exit::ToolMissing),
            ExecError::TimedOut { .. } | ExecError::Silent { .. } => Some(Exit::TimedOut),
            _ => None,
        };
        exit = exit.or(found).or_else(implied);
        // An interrupt is one, whatever the interrupted step thought of it.
        if cause.downcast_ref::<ExecError>().is_some_and(ExecError::is_interrupt) {
            exit = Some(Exit::Interrupted);
        }
    });
    exit.unwrap_or(Exit::Failed)
}

/// What to do about a disk without room, whatever was being written.
fn hint_of_disk(error: &io::Error) -> Option<String> {
    let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    is_full.then(|| "free space on that disk, or name a place on another one".to_owned())
}

/// What the user can do about `error`, from the top down, without repetition.
pub fn hints_of(error: &anyhow::Error) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    look_through(error, &mut |cause| {
        let said = if let Some(failure) = cause.downcast_ref::<Failure>() {
            failure.hints.clone()
        } else {
            let of_command = cause.downcast_ref::<ExecError>().and_then(implied_hint);
            of_command.or_else(|| cause.downcast_ref().and_then(hint_of_disk)).into_iter().collect()
        };
        for hint in said {
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
        _ => None,
    }
}

/// Where to get a tool that is missing.
pub fn install_hint(program: &str) -> String {
    match program {
        "docker" => "install Docker Engine or Docker Desktop: https://docs.docker.com/get-docker/".to_owned(),
        "kind" | "helm" | "kubectl" => {
            format!("`milvusctl doctor --fix` downloads `{program}`, or put it in PATH yourself")
        }
        _ => format!("install `{program}` and make sure it is in PATH"),
    }
}

/// Prints an error as lines: `error:`, `caused by:` for each cause, `hint:` for each way out.
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

/// Visits an error, its causes, and what failures were made of, from the top down.
fn look_through(error: &anyhow::Error, visit: &mut dyn FnMut(&(dyn Error + 'static))) {
    for cause in error.chain() {
        visit(cause);
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            // The rest of the chain is the same as the inner error's, so it is visited there alone.
            look_through(&failure.error, visit);
            return;
        }
    }
}

/// An error with its causes on one line.
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
    fn a_missing_tool_ends_with_3_and_says_where_to_get_it() {
        let error = Err::<(), _>(ExecError::NotFound { program: "kind".into() }).context("x").unwrap_err();
        assert_eq!(exit_of(&error), Exit::ToolMissing);
        assert_eq!(hints_of(&error).len(), 1);
    }

    #[test]
    fn an_engine_that_is_down_ends_with_3() {
        let error = anyhow::Error::from(failed(
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        ));
        assert_eq!(exit_of(&error), Exit::ToolMissing);
    }

    #[test]
    fn a_noted_code_beats_what_the_command_implies() {
        let error = Err::<(), _>(failed("x")).exit(Exit::TimedOut).context("y").unwrap_err();
        assert_eq!(exit_of(&error), Exit::TimedOut);
    }

    #[test]
    fn an_interrupt_ends_with_130_whatever_the_step_noted() {
        let error =
            Err::<(), _>(ExecError::Interrupted { cmd: "kind".into() }).exit(Exit::Failed).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Interrupted);
    }
}
