//! Kinds of trouble in getting an image.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The registry could not be reached or failed: a retry or another mirror may help.
    Network,
    /// The registry has no such image, or not for this platform: a retry does not help.
    NotFound,
    /// The registry requires a login, or hides that it has no such repository.
    Denied,
    /// Too many requests: a later retry or another mirror helps.
    RateLimited,
    Unknown,
}

impl Trouble {
    /// Returns whether retrying with the same registry may help.
    pub fn is_worth_a_retry(self) -> bool {
        matches!(self, Self::Network | Self::RateLimited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_transient_trouble_is_worth_a_retry() {
        use Trouble::{Denied, Network, NotFound, RateLimited, Unknown};
        let retried: Vec<_> = [Network, NotFound, Denied, RateLimited, Unknown]
            .into_iter()
            .filter(|kind| kind.is_worth_a_retry())
            .collect();
        assert_eq!(retried, [Network, RateLimited]);
    }
}
