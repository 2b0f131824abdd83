//! The fields of Kubernetes objects that matter here, parsed once, and the scheduler's rules. Pure.

pub mod covers;
pub mod endpoint;
pub mod kubelet;
pub mod node;
pub mod object;
pub mod pod;
pub mod pod_status;
pub mod quantity;
pub mod service;

/// The label that marks what milvusctl created, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "milvusctl");
