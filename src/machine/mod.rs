//! What is known about this machine, and what follows from it for a Milvus on kind.
//!
//! [`MachineFacts`] is plain data: the readers in [`host`], [`ports`] and [`environment`] fill in what the
//! standard library can see, [`engine`] reads what `docker info` and `docker version` answered, [`registry`]
//! times a registry, and the caller adds the versions of the tools it asked. [`findings()`] is pure: from facts
//! and [`Needs`] to a list of [`Finding`]s.
//!
//! No command is run here, nothing is printed and nothing is changed. What needs root rights is text only.

pub(crate) mod check;
pub(crate) mod checklist;
pub mod engine;
pub mod environment;
mod facts;
mod findings;
pub(crate) mod groups;
pub mod host;
mod needs;
pub(crate) mod observe;
pub mod ports;
pub mod registry;

pub use facts::{
    Disk, DiskUse, Engine, EngineInfo, EnvironmentFacts, Holder, MachineFacts, Port, PortState, Registry,
    ToolFacts,
};
pub use findings::{Finding, Level, findings};
pub use needs::{Mode, Needs, Pods};
