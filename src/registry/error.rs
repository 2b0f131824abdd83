//! Why an image could not be fetched from any place.

use std::time::Duration;

use crate::archive::{Digest, Platform};
use crate::images::ImageRef;
use crate::images::trouble::Trouble;
use crate::store::StoreError;

/// Why one place failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    #[error("it has no such image")]
    NotFound,
    /// It said so in an earlier run.
    #[error("it had no such image {} minutes ago; milvusctl asks it again an hour after that", ago.as_secs() / 60)]
    Remembered { ago: Duration },
    #[error("access is denied (HTTP status {status}); `docker login` may help")]
    Denied { status: u16 },
    #[error("it is rate limiting (HTTP status 429) for another {} s", wait.as_secs())]
    RateLimited { wait: Duration },
    #[error("it answered with HTTP status {0}")]
    Status(u16),
    #[error("{0}")]
    Network(String),
    /// This machine's certificates for the host are unusable.
    #[error("{0}")]
    Certificates(String),
    #[error("it sent data with the digest `{found}`, not `{expected}`")]
    WrongBytes { expected: Digest, found: Digest },
    #[error("it has the image for {}, not for {wanted}", found.join(", "))]
    PlatformAbsent { wanted: Platform, found: Vec<String> },
    #[error("it did not send an image: {0}")]
    NotAnImage(String),
}

impl PlaceError {
    /// Tells whether the fault lies with this machine.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Certificates(_))
    }

    /// The category of the error, shared with the messages of `docker pull`.
    pub fn kind(&self) -> Trouble {
        match self {
            Self::NotFound | Self::Remembered { .. } | Self::PlatformAbsent { .. } => Trouble::NotFound,
            Self::Denied { .. } => Trouble::Denied,
            Self::RateLimited { .. } => Trouble::RateLimited,
            Self::Network(_) => Trouble::Network,
            Self::Status(status) if *status >= 500 => Trouble::Network,
            Self::Status(_) | Self::Certificates(_) | Self::WrongBytes { .. } | Self::NotAnImage(_) => {
                Trouble::Unknown
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No place had it; each with its reason, in the order asked.
    #[error("could not fetch `{}`: {}", image.familiar(), list(attempts))]
    Nowhere { image: Box<ImageRef>, attempts: Vec<(String, PlaceError)> },
    #[error("could not fetch `{}`", image.familiar())]
    Store { image: Box<ImageRef>, source: Box<StoreError> },
    #[error("could not push `{}` to `{}`: {why}", image.familiar(), image.registry())]
    Push { image: Box<ImageRef>, why: PlaceError },
    #[error("interrupted")]
    Interrupted,
}

impl RegistryError {
    /// The category of the error. Not found only if every place said so.
    pub fn kind(&self) -> Trouble {
        let attempts = match self {
            Self::Nowhere { attempts, .. } => attempts,
            Self::Push { why, .. } => return why.kind(),
            Self::Store { .. } | Self::Interrupted => return Trouble::Unknown,
        };
        let kinds: Vec<Trouble> = attempts.iter().map(|(_, why)| why.kind()).collect();
        let first = kinds.iter().copied().find(|kind| *kind != Trouble::NotFound);
        match (first, kinds.last()) {
            (None, Some(_)) => Trouble::NotFound,
            (Some(kind), _) => kind,
            (None, None) => Trouble::Unknown,
        }
    }

    /// Tells whether a TLS handshake failed.
    pub fn is_about_tls(&self) -> bool {
        let says =
            |words: &str| ["certificate", "tls", "corrupt message"].iter().any(|one| words.contains(one));
        self.causes().any(|why| match why {
            PlaceError::Network(words) | PlaceError::Certificates(words) => says(&words.to_lowercase()),
            _ => false,
        })
    }

    /// Tells whether a request was refused for its size.
    pub fn is_too_large(&self) -> bool {
        self.causes().any(|why| *why == PlaceError::Status(413))
    }

    fn causes(&self) -> impl Iterator<Item = &PlaceError> {
        let (attempts, push) = match self {
            Self::Nowhere { attempts, .. } => (attempts.as_slice(), None),
            Self::Push { why, .. } => (&[][..], Some(why)),
            Self::Store { .. } | Self::Interrupted => (&[][..], None),
        };
        attempts.iter().map(|(_, why)| why).chain(push)
    }

    pub fn is_interrupt(&self) -> bool {
        match self {
            Self::Interrupted => true,
            Self::Store { source, .. } => matches!(**source, StoreError::Interrupted),
            Self::Nowhere { .. } | Self::Push { .. } => false,
        }
    }
}

fn list(attempts: &[(String, PlaceError)]) -> String {
    if attempts.is_empty() {
        return "no registry or mirror to fetch it from".to_owned();
    }
    attempts.iter().map(|(host, why)| format!("`{host}`: {why}")).collect::<Vec<_>>().join("; ")
}
