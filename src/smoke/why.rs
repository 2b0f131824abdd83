//! Why no Milvus is reached, and what is known of one that is.

use super::OptionsError;

/// A server that answered as Milvus does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// The version it gives, such as `2.6.11`. `None` in a build without the feature `smoke`, which only
    /// sees that the server speaks HTTP/2.
    pub version: Option<String>,
}

/// Why no Milvus is reached at an address.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[cfg_attr(
    not(any(feature = "smoke", test)),
    expect(dead_code, reason = "only the client is answered by a Milvus")
)]
pub enum NotReached {
    /// The address is not one.
    #[error(transparent)]
    Address(#[from] OptionsError),
    /// The host name is not known.
    #[error("could not find the host of `{uri}`: {reason}; check the address")]
    UnknownHost { uri: String, reason: String },
    /// Nothing listens on the port.
    #[error(
        "could not connect to `{uri}`: connection refused; nothing listens there: is Milvus running, and is \
         the port mapped or forwarded (`milvusctl status`)?"
    )]
    Refused { uri: String },
    /// The network does not lead there.
    #[error("could not connect to `{uri}`: {reason}; check the address and the network")]
    Unreachable { uri: String, reason: String },
    /// The connection was accepted and closed, as a port mapping does that has nothing behind it.
    #[error(
        "`{uri}` accepted the connection and closed it; the port is mapped but nothing answers behind it: is \
         Milvus ready (`milvusctl status`)?"
    )]
    Closed { uri: String },
    /// Nothing came back in time.
    #[error(
        "timed out: no answer from `{uri}` after {seconds:.1} s; something accepts connections there but does \
         not answer as Milvus does, or the server hangs"
    )]
    Silent {
        uri: String,
        /// How long it was waited for.
        seconds: f64,
    },
    /// Something else than Milvus answers.
    #[error(
        "`{uri}` is not a Milvus: {what} answers there; Milvus listens on port 19530 unless told otherwise"
    )]
    NotMilvus {
        uri: String,
        /// What it seems to be.
        what: String,
    },
    #[error("`{uri}` wants an encrypted connection; use `https://`")]
    WantsTls { uri: String },
    /// A Milvus is there but refuses the login, or the lack of one.
    #[error(
        "`{uri}` refused the login: {reason}; set the user and password, or the token, of an account that may \
         log in"
    )]
    LoginRefused { uri: String, reason: String },
    /// A Milvus is there but reports trouble.
    #[error("`{uri}` answered with an error: {reason}")]
    Trouble { uri: String, reason: String },
    /// The caller asked to stop.
    #[error("interrupted")]
    Stopped,
}

impl NotReached {
    /// Whether a Milvus did answer, though not to our liking.
    pub const fn is_from_milvus(&self) -> bool {
        matches!(self, Self::LoginRefused { .. } | Self::Trouble { .. })
    }
}
