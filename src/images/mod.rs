//! Which images the cluster needs, which of them it lacks, and what to do about it.
//!
//! Pure functions of what was read from Docker and Kubernetes: nothing here runs a tool, pulls or prints.

pub mod catalog;
pub mod loading;
pub mod mirror;
pub mod missing;
pub mod outcome;
pub mod plan;
pub mod reference;
pub mod refusal;
pub mod room;
pub mod targets;
pub mod trouble;

pub use reference::ImageRef;
