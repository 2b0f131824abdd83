//! Running other programs: a command is a value ([`Cmd`]), a [`Runner`] carries it out.
//!
//! This is the only place that starts processes. It answers for finding the program, for passing its
//! output on while it runs, for stopping it when the user interrupts or a limit passes, and for errors
//! that say which command failed with which last lines. What the output means is for `tools` to say.

mod capped;
mod cmd;
mod dry_run;
mod error;
mod interrupt;
mod log;
mod retry;
mod runner;
mod running;
#[cfg(test)]
mod scripted;

pub use capped::CappedRunner;
pub use cmd::{Cmd, Effect, Input, quote};
pub use dry_run::DryRunner;
pub use error::ExecError;
pub use interrupt::Interrupt;
pub use log::LoggingRunner;
pub use retry::{Backoff, Verdict, retry};
pub use runner::{Output, Runner, Source, SystemRunner};
pub use running::Running;
#[cfg(test)]
pub use scripted::ScriptedRunner;
