//! What kind of trouble getting an image can run into.

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The registry could not be reached or failed: another try or another mirror may help.
    Network,
    /// The registry has no such image, or not for this platform: another try does not help.
    NotFound,
    /// The registry wants a login, or has no such repository and does not say so.
    Denied,
    /// The registry has answered too often: a later try or another mirror helps.
    RateLimited,
    Unknown,
}

impl Trouble {
    /// Returns whether asking the same registry again may help.
    pub fn is_worth_a_retry(self) -> bool {
        matches!(self, Self::Network | Self::RateLimited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_worth_a_retry() {
        use Trouble::{Denied, Network, NotFound, RateLimited, Unknown};
        let retried: Vec<_> = [Network, NotFound, Denied, RateLimited, Unknown]
            .into_iter()
            .filter(|kind| kind.is_worth_a_retry())
            .collect();
        assert_eq!(retried, [Network, RateLimited]);
    }
}
