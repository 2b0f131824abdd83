//! The few fields of Kubernetes objects that matter here, read once, and the scheduler's rules. Pure.

pub mod node;
pub mod pod;
pub mod service;
pub mod workload;
