//! Reaching things in the cluster from this machine: by which Service, port and pod, and whether a node port
//! is available.
//!
//! `address`, `exposure` and `target` decide; the others query the cluster and the engine, and act.

mod address;
pub(crate) mod answer;
pub(crate) mod expose;
mod exposure;
pub(crate) mod forward;
pub(crate) mod local_port;
mod login;
pub(crate) mod smoke;
pub(crate) mod surroundings;
mod target;

pub use address::{Mapping, Reach, host_of};
pub use exposure::{ExposePlan, ExposeRefusal, WantedPort, check_range, find, plan};
pub use target::Target;
