//! What came of one image on one node.

use crate::archive::Digest;
use crate::images::outcome::{NodeOutcome, Outcome};

/// What came of one image on one node, before the node was asked again.
pub(super) struct Given {
    pub(super) outcome: NodeOutcome,
    /// The manifest that the node was given, where that is known.
    pub(super) manifest: Option<Digest>,
    /// Whether it failed although only what the node holds was left out.
    pub(super) is_refused_delta: bool,
}

impl Given {
    pub(super) fn loaded(node: &str) -> Self {
        let outcome = NodeOutcome {
            node: node.to_owned(),
            outcome: Outcome::Loaded,
            bytes_sent: 0,
            sent_whole: false,
            error: None,
        };
        Self { outcome, manifest: None, is_refused_delta: false }
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.outcome.outcome == Outcome::Loaded
    }

    pub(super) fn failed(node: &str, error: String) -> Self {
        let mut given = Self::loaded(node);
        given.outcome.outcome = Outcome::LoadFailed;
        given.outcome.error = Some(error);
        given
    }
}
