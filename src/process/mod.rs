//! Running other programs: a command is a value ([`Cmd`]), a [`Runner`] carries it out.
//!
//! This is the only place that starts processes. It answers for finding the program, for passing its
//! output on while it runs, for stopping it when the user interrupts or a limit passes, and for errors
//! that say which command failed with which last lines. What the output means is for `tools` to say.

mod capture;
mod cmd;
mod deadline;
mod error;
mod group;
mod interrupt;
mod lines;
mod output;
mod pipe;
mod retry;
mod runner;
mod running;
#[cfg(test)]
mod scripted;
mod temporary;

pub use cmd::{Cmd, Effect, Input, quote};
pub use deadline::Deadline;
pub use error::ExecError;
pub use interrupt::Interrupt;
pub use output::Stream;
pub use pipe::{WatchedReader, WatchedWriter, open, stdin};
pub use retry::{Backoff, TryResult, retry};
pub use runner::{Output, Runner, SystemRunner};
pub use running::Running;
#[cfg(test)]
pub use scripted::ScriptedRunner;
pub use temporary::Temporary;
