//! The state of the kind cluster.

/// The state of the kind cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClusterState {
    /// No containers of that name.
    #[default]
    Absent,
    /// A run of milvusctl started creating it and did not finish.
    HalfCreated,
    Running,
    Stopped(Vec<String>),
    /// An existing context rather than our own kind cluster.
    Foreign,
}
