//! What there is of the kind cluster.

/// What there is of the kind cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterState {
    /// No container of that name.
    Absent,
    /// A run of this program began to create it and did not come to the end.
    HalfMade,
    Running,
    Stopped(Vec<String>),
    /// It is no kind cluster of ours to make: an existing context.
    Foreign,
}
