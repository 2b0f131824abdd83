//! Whole transfers, of archives recorded from Docker and of archives built here with one fault.

mod bounds;
mod failures;
mod mutations;
mod nodes;
mod pinned;
mod recorded;
pub(super) mod support;
