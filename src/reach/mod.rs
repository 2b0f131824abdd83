//! How something in the cluster is reached from this machine: which Service, which of its ports, which pod
//! behind it, and whether a node port can be had.
//!
//! Decides on what was read; asking the cluster and the engine, and changing anything, is for `steps`.

mod address;
mod exposure;
mod pods;
mod service;
mod target;

pub use address::{Mapping, Reach, host_of};
pub use exposure::{ExposePlan, Refusal, Wanted, check_range, find, plan};
pub use pods::{Next, Pod, PodList, next, why_not_ready};
pub use service::{Service, ServiceList, ServicePort, pick_port};
pub use target::Target;
