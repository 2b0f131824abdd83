//! The smoke test: proves that Milvus works by using it like a client and checking every answer.
//!
//! A run creates its own collection, fills it with vectors derived from a seed, indexes, loads, searches,
//! reads, deletes and counts, and always drops the collection at the end. Expected answers are computed here
//! (`data`, `check`), separately from talking to the server (`client`, `steps`).
//!
//! This module does not find the address, read the environment or print anything; the caller does.
//!
//! The client is the official SDK, behind the cargo feature `smoke`. A build without it has the same
//! functions, but [`run`] returns [`SmokeError::NotBuilt`].

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

/// Why a smoke test could not start. Later failures are failed [`SmokeStep`]s instead.
#[derive(Debug, thiserror::Error)]
pub enum SmokeError {
    /// This binary was built without the client.
    #[error(
        "this milvusctl was built without the smoke test; install one that has it with \
         `cargo install milvusctl`, without `--no-default-features`"
    )]
    NotBuilt,
    /// The options are invalid.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The async runtime could not be created.
    #[cfg(feature = "smoke")]
    #[error("could not start the smoke test's client: {0}")]
    Runtime(#[source] std::io::Error),
}

/// Checks early whether this binary can run the smoke test.
///
/// # Errors
/// Returns [`SmokeError::NotBuilt`] in a build without the feature `smoke`.
pub fn check_built() -> Result<(), SmokeError> {
    built(cfg!(feature = "smoke"))
}

fn built(has_client: bool) -> Result<(), SmokeError> {
    if has_client { Ok(()) } else { Err(SmokeError::NotBuilt) }
}

/// Runs the smoke test and reports each step, also live through `on_step`.
///
/// Blocks for at most [`Options::timeout`], plus a few seconds for dropping the collection. When `stop`
/// becomes true, the current step is abandoned, the collection dropped, and the report marked `interrupted`.
/// Must not be called from inside an asynchronous runtime.
///
/// # Errors
/// Fails before sending anything: [`SmokeError::Options`] if a value is out of bounds,
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
    fn check_built_reflects_the_feature() {
        assert_eq!(check_built().is_ok(), cfg!(feature = "smoke"));
    }
}
