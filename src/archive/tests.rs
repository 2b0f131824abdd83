//! Whole transfers: archives recorded from Docker, and archives made here with one thing wrong.

mod failures;
mod nodes;
mod recorded;
mod support;
