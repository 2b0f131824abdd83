//! Why a command did not do what it was started for.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use super::Cmd;

/// How many of a command's last lines an error carries.
pub(super) const TAIL_LINES: usize = 20;

/// A command that could not be started, failed, or was stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The program is in none of the folders that were searched.
    #[error("`{program}` was not found in PATH")]
    NotFound { program: String },
    /// The program ended with a status other than zero.
    #[error("`{cmd}` failed ({status}){}", show_tail(.tail))]
    Failed {
        /// The command as it can be pasted.
        cmd: String,
        /// The exit status in words, such as `exit status 1` or `killed by signal 9`.
        status: String,
        /// The exit code, if the program ended by itself.
        code: Option<i32>,
        /// The last lines the program wrote, on standard error if there were any.
        tail: Vec<String>,
        /// All it wrote to standard output: some tools answer in part and fail (`docker image inspect`).
        stdout: Vec<u8>,
    },
    /// The program was stopped because its time was over.
    #[error("`{cmd}` did not end within {} and was stopped{}", humantime::format_duration(*.limit), show_tail(.tail))]
    TimedOut {
        /// The command as it can be pasted.
        cmd: String,
        limit: Duration,
        /// The last lines the program wrote.
        tail: Vec<String>,
    },
    /// The program was stopped because nothing was heard of it any more.
    #[error("`{cmd}` wrote nothing for {} and was stopped{}", humantime::format_duration(*.silence), show_tail(.tail))]
    Silent {
        /// The command as it can be pasted.
        cmd: String,
        /// How long it could have kept silent.
        silence: Duration,
        /// The last lines the program wrote.
        tail: Vec<String>,
    },
    /// The program was stopped because it wrote more than is read of any program.
    #[error("`{cmd}` wrote more than {} and was stopped", indicatif::HumanBytes(*.limit as u64))]
    TooMuch {
        /// The command as it can be pasted.
        cmd: String,
        /// How many bytes are read.
        limit: usize,
    },
    /// The program was stopped because the user interrupted.
    #[error("`{cmd}` was interrupted")]
    Interrupted {
        /// The command as it can be pasted.
        cmd: String,
    },
    /// The program could not be started or its output not be read.
    #[error("could not run `{cmd}`: {source}")]
    Io {
        /// The command as it can be pasted.
        cmd: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The program ended well, but what it wrote is not what it is known to write.
    #[error("`{cmd}` answered something unexpected: {problem}")]
    Garbage {
        /// The command as it can be pasted.
        cmd: String,
        /// What is wrong with the answer.
        problem: String,
    },
}

impl ExecError {
    /// The last lines that the command wrote, empty when it never ran.
    pub fn tail(&self) -> &[String] {
        match self {
            Self::Failed { tail, .. } | Self::TimedOut { tail, .. } | Self::Silent { tail, .. } => tail,
            _ => &[],
        }
    }

    /// The last line that the command wrote, or what became of it where it wrote none.
    pub fn last_words(&self) -> String {
        self.tail().last().cloned().unwrap_or_else(|| self.to_string())
    }

    /// Whether any of the command's last lines contains `text`, regardless of case.
    pub fn says(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.tail().iter().any(|line| line.to_lowercase().contains(&text))
    }

    /// Whether the user's interrupt ended the command.
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
