//! The smoke test: proves that a Milvus works by using it as a client does, and checking every answer.
//!
//! A run creates a collection of its own, fills it with vectors that follow from a seed, indexes, loads,
//! searches, reads, deletes, counts, and drops the collection again whatever happened. What a right answer
//! is gets computed here (`data`, `check`); talking to the server is apart from that (`client`, `steps`).
//!
//! This module does not find the address, read the environment or show anything: the caller does.
//!
//! The client is the official SDK, behind the cargo feature `smoke`. A build without it has the same
//! functions; [`run`] then returns [`SmokeError::NotBuilt`].

mod options;
pub mod probe;
mod report;
mod why;

#[cfg(feature = "smoke")]
mod check;
#[cfg(feature = "smoke")]
mod client;
#[cfg(feature = "smoke")]
mod connection;
#[cfg(feature = "smoke")]
mod data;
#[cfg(feature = "smoke")]
mod faults;
#[cfg(feature = "smoke")]
mod listing;
#[cfg(feature = "smoke")]
mod steps;
#[cfg(test)]
#[cfg(feature = "smoke")]
mod tests;

use std::sync::atomic::AtomicBool;

pub use options::{Consistency, Index, Login, Metric, Options, OptionsError, one_database, without_database};
pub use probe::reachable;
pub use report::{SmokeReport, StepEvent};
#[cfg(any(feature = "smoke", test))]
pub use report::{SmokeStep, SmokeStepName};
pub use why::NotReached;

/// Why a smoke test could not even begin. What goes wrong on the way is a failed [`SmokeStep`] instead.
#[derive(Debug, thiserror::Error)]
pub enum SmokeError {
    /// This binary was built without the client.
    #[error(
        "this milvusctl was built without the smoke test; install one that has it with \
         `cargo install milvusctl`, without `--no-default-features`"
    )]
    NotBuilt,
    /// The options cannot be carried out.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The system refused what the client needs to run on.
    #[cfg(feature = "smoke")]
    #[error("could not start the client of the smoke test: {0}")]
    Runtime(#[source] std::io::Error),
}

/// Says whether this binary can run the smoke test, for whoever wants to know before a long way to it.
///
/// # Errors
/// Fails with [`SmokeError::NotBuilt`] in a build without the feature `smoke`.
pub fn check_built() -> Result<(), SmokeError> {
    built(cfg!(feature = "smoke"))
}

fn built(has_client: bool) -> Result<(), SmokeError> {
    if has_client { Ok(()) } else { Err(SmokeError::NotBuilt) }
}

/// Runs the smoke test and reports each step, also to `on_step` as it begins and ends.
///
/// Blocks until done; takes at most [`Options::timeout`] and a few seconds more for dropping the collection.
/// When `stop` becomes true the step under way is given up, the collection is dropped, and the report says
/// `interrupted`. Must not be called from inside an asynchronous runtime.
///
/// # Errors
/// Fails before anything is sent: [`SmokeError::Options`] when a value is out of bounds,
/// [`SmokeError::NotBuilt`] in a build without the feature `smoke`.
pub fn run(
    options: &Options,
    on_step: &mut dyn FnMut(StepEvent<'_>),
    stop: &AtomicBool,
) -> Result<SmokeReport, SmokeError> {
    options.check()?;
    #[cfg(feature = "smoke")]
    return steps::run(options, on_step, stop);
    #[cfg(not(feature = "smoke"))]
    {
        let _ = (on_step, stop);
        Err(SmokeError::NotBuilt)
    }
}

#[cfg(test)]
#[cfg(not(feature = "smoke"))]
mod without_client {
    use super::*;

    #[test]
    fn a_build_without_the_feature_says_how_to_get_it() {
        let error =
            run(&Options::new("http://127.0.0.1:1"), &mut |_| {}, &AtomicBool::new(false)).unwrap_err();
        assert!(error.to_string().contains("cargo install milvusctl"), "{error}");
    }
}

#[cfg(test)]
mod build_tests {
    use super::*;

    #[test]
    fn a_build_without_the_client_says_how_to_get_one_with_it() {
        let error = built(false).unwrap_err().to_string();
        assert!(error.contains("`cargo install milvusctl`, without `--no-default-features`"), "{error}");
    }

    #[test]
    fn this_build_is_known_by_its_feature() {
        assert_eq!(check_built().is_ok(), cfg!(feature = "smoke"));
    }
}
