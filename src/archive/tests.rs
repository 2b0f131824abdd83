//! Whole transfers: archives recorded from Docker, and archives made here with one thing wrong.

mod bounds;
mod failures;
mod mutations;
mod nodes;
mod pinned;
mod recorded;
pub(super) mod support;
