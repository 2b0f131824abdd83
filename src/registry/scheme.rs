//! The protocol for a host.

/// The protocol for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Https,
    /// HTTPS with any certificate, because the engine lists the registry as insecure.
    Unverified,
    Http,
}
