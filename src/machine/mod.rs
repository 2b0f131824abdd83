//! Facts about this machine, and what they mean for a Milvus on kind.
//!
//! [`MachineFacts`] is plain data, collected by [`observe`]: [`host`], [`ports`] and [`environment`] read the
//! system, [`engine`] parses the output of `docker info`, [`registry`] times registries. [`findings()`] is
//! pure: it turns facts and [`Needs`] into [`Finding`]s.
//!
//! Nothing is changed: fixes that need root are only suggested.

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
