//! Runs other programs: a command is a value ([`Cmd`]), a [`Runner`] executes it.
//!
//! The only place that starts processes. Finds the program, passes its output on while it runs, stops it on
//! an interrupt or at a limit, and reports errors with the command and its last lines. `tools` interprets the
//! output.

mod capture;
mod cmd;
mod deadline;
mod error;
mod group;
mod interrupt;
mod line;
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
pub use line::{Call, Hold, Line};
pub use lines::each_line;
pub use output::Stream;
pub use pipe::{WatchedReader, WatchedWriter, all_text, open, read_text, stdin};
pub use retry::{Backoff, TryResult, retry};
pub use runner::{Output, Runner, SystemRunner};
pub use running::Running;
#[cfg(test)]
pub use scripted::ScriptedRunner;
pub use temporary::{Temporary, TemporaryFolder};
