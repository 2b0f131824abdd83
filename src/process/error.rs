//! Why a command failed.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use super::Cmd;

/// How many of a command's last lines an error keeps.
pub(super) const TAIL_LINES: usize = 20;

/// A command that could not be started, failed, or was stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The program is in none of the folders searched.
    #[error("`{program}` was not found in PATH")]
    NotFound { program: String },
    /// The program exited with a status other than zero.
    #[error("`{cmd}` failed ({status}){}", show_tail(.tail))]
    Failed {
        /// The command, ready to paste.
        cmd: String,
        /// The exit status in words, such as `exit status 1` or `killed by signal 9`.
        status: String,
        /// The exit code, if the program exited by itself.
        code: Option<i32>,
        /// The last lines it wrote, of standard error if there were any.
        tail: Vec<String>,
        /// All its standard output: some tools print part of the answer and fail (`docker image inspect`).
        stdout: Vec<u8>,
    },
    /// The program was stopped at its time limit.
    #[error("`{cmd}` did not end within {} and was stopped{}", humantime::format_duration(*.limit), show_tail(.tail))]
    TimedOut {
        /// The command, ready to paste.
        cmd: String,
        limit: Duration,
        /// The last lines it wrote.
        tail: Vec<String>,
    },
    /// The program was stopped because it had been silent for too long.
    #[error("`{cmd}` wrote nothing for {} and was stopped{}", humantime::format_duration(*.silence), show_tail(.tail))]
    Silent {
        /// The command, ready to paste.
        cmd: String,
        /// How long it was allowed to be silent.
        silence: Duration,
        /// The last lines it wrote.
        tail: Vec<String>,
    },
    /// The program was stopped because its output exceeded the limit for any program.
    #[error("`{cmd}` wrote more than {} and was stopped", indicatif::HumanBytes(*.limit as u64))]
    TooMuch {
        /// The command, ready to paste.
        cmd: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The user interrupted and the program was stopped.
    #[error("`{cmd}` was interrupted")]
    Interrupted {
        /// The command, ready to paste.
        cmd: String,
    },
    /// The program could not be started, or its output not be read.
    #[error("could not run `{cmd}`: {source}")]
    Io {
        /// The command, ready to paste.
        cmd: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The program succeeded, but its output is not what is expected of it.
    #[error("`{cmd}` returned unexpected output: {problem}")]
    Garbage {
        /// The command, ready to paste.
        cmd: String,
        /// What is wrong with the output.
        problem: String,
    },
}

impl ExecError {
    /// The last lines the command wrote; empty if it never ran.
    pub fn tail(&self) -> &[String] {
        match self {
            Self::Failed { tail, .. } | Self::TimedOut { tail, .. } | Self::Silent { tail, .. } => tail,
            _ => &[],
        }
    }

    /// The last line the command wrote, or else the error itself.
    pub fn last_words(&self) -> String {
        self.tail().last().cloned().unwrap_or_else(|| self.to_string())
    }

    /// Tells whether any of the command's last lines contains `text`, ignoring case.
    pub fn mentions(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.tail().iter().any(|line| line.to_lowercase().contains(&text))
    }

    /// Tells whether the user interrupted the command.
    pub fn is_interrupt(&self) -> bool {
        matches!(self, Self::Interrupted { .. })
    }
}

pub(super) fn failure(cmd: &Cmd, status: ExitStatus, tail: Vec<String>, stdout: Vec<u8>) -> ExecError {
    ExecError::Failed { cmd: cmd.line(), status: status.to_string(), code: status.code(), tail, stdout }
}

fn show_tail(tail: &[String]) -> String {
    tail.iter().flat_map(|line| ["\n  ", line]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_command_the_status_and_the_last_lines() {
        let error = ExecError::Failed {
            cmd: "helm version".into(),
            status: "exit status 1".into(),
            code: Some(1),
            tail: vec!["Error: no".into(), "really".into()],
            stdout: Vec::new(),
        };
        assert_eq!(error.to_string(), "`helm version` failed (exit status 1)\n  Error: no\n  really");
    }
}
