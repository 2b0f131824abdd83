//! Which images the cluster needs, which of them it lacks, and what has to be done about it.
//!
//! Everything here is a pure function of what was read from Docker and Kubernetes: it runs nothing, pulls nothing
//! and prints nothing.

pub mod catalog;
pub mod loading;
pub mod mirror;
pub mod missing;
pub mod outcome;
pub mod plan;
pub mod reference;
pub mod room;
pub mod targets;
pub mod trouble;

pub use reference::ImageRef;
