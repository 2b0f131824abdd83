//! How something in the cluster is reached from this machine: which Service, which of its ports, which pod
//! behind it, and whether a node port can be had.
//!
//! `address`, `exposure` and `target` decide; the others ask the cluster and the engine, and act.

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
