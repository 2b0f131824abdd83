//! How a host is spoken with.

/// How a host is spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Https,
    /// Whatever certificate it shows, as the engine was told that it has no good one.
    Unverified,
    Http,
}
