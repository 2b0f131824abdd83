//! Why Milvus cannot be reached, and what a reachable server reports.

use super::OptionsError;

/// The version of a server that answers like Milvus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// The reported version, such as `2.6.11`. `None` in a build without the feature `smoke`, which only
    /// detects HTTP/2.
    pub version: Option<String>,
}

/// Why Milvus cannot be reached at an address.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[cfg_attr(
    not(any(feature = "smoke", test)),
    expect(dead_code, reason = "only the client is answered by a Milvus")
)]
pub enum NotReached {
    /// The address is invalid.
    #[error(transparent)]
    Address(#[from] OptionsError),
    /// The host name is unknown.
    #[error("could not find the host of `{uri}`: {reason}; check the address")]
    UnknownHost { uri: String, reason: String },
    /// Nothing listens on the port.
    #[error(
        "could not connect to `{uri}`: connection refused; nothing listens there: is Milvus running, and is \
         the port mapped or forwarded (`milvusctl status`)?"
    )]
    Refused { uri: String },
    /// The network does not reach it.
    #[error("could not connect to `{uri}`: {reason}; check the address and the network")]
    Unreachable { uri: String, reason: String },
    /// The connection was accepted and closed, like by a port mapping without a backend.
    #[error(
        "`{uri}` accepted the connection and closed it; the port is mapped but nothing answers behind it: is \
         Milvus ready (`milvusctl status`)?"
    )]
    Closed { uri: String },
    /// No answer in time.
    #[error(
        "timed out: no answer from `{uri}` after {seconds:.1} s; something accepts connections there but does \\n         not answer like Milvus, or the server hangs"
    )]
    Silent {
        uri: String,
        /// How long the client waited.
        seconds: f64,
    },
    /// Something other than Milvus answers.
    #[error("`{uri}` is not a Milvus: {what} answers; Milvus listens on port 19530 by default")]
    NotMilvus {
        uri: String,
        /// What seems to answer.
        what: String,
    },
    #[error("`{uri}` wants an encrypted connection; use `https://`")]
    WantsTls { uri: String },
    /// Milvus refuses the login, or requires one.
    #[error(
        "`{uri}` refused the login: {reason}; set the user and password, or the token, of an account that may \
         log in"
    )]
    LoginRefused { uri: String, reason: String },
    /// Milvus reports an error.
    #[error("`{uri}` answered with an error: {reason}")]
    Trouble { uri: String, reason: String },
    /// The caller asked to stop.
    #[error("interrupted")]
    Stopped,
}

impl NotReached {
    /// Whether Milvus answered, if only with an error.
    pub const fn is_from_milvus(&self) -> bool {
        matches!(self, Self::LoginRefused { .. } | Self::Trouble { .. })
    }
}
