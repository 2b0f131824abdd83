//! Loads images into the nodes: pulls a few at a time, sends each to the nodes as soon as it has arrived, and
//! verifies what the nodes hold afterwards.

pub(crate) mod archive_file;
mod board;
pub(crate) mod bundled;
mod containerd;
pub(crate) mod dry_run;
mod feed;
pub(crate) mod fetch;
pub(crate) mod find;
mod from_engine;
mod give;
pub(crate) mod keep;
mod kind;
pub(crate) mod locations;
mod method;
mod node_import;
mod not_pushed;
pub(crate) mod pull;
pub(crate) mod push;
mod push_engine;
pub(crate) mod report;
pub(crate) mod restart;
mod run;
mod send;
mod sending;
mod undo;
mod verify;
pub(crate) mod waves;

pub(crate) use containerd::held_by_nodes;
pub(crate) use method::{Method, Source};
