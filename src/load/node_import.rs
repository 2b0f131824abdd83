//! The outcome of importing an image on a node.

use crate::archive::Digest;
use crate::images::outcome::{NodeOutcome, Outcome};
use crate::tools::is_disk_full;

/// The outcome of importing an image on a node, before verification.
pub(super) struct NodeImport {
    pub(super) outcome: NodeOutcome,
    /// The manifest sent to the node, if known.
    pub(super) manifest: Option<Digest>,
    /// Whether it failed although only layers held by the node were left out.
    pub(super) is_refused_delta: bool,
}

impl NodeImport {
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
        let mut import = Self::loaded(node);
        import.outcome.outcome = Outcome::LoadFailed;
        import.outcome.error = Some(error);
        import
    }
}

/// Whether the node's disk is full, so that a retry would only fill it further.
pub(super) fn is_out_of_space(outcome: &NodeOutcome) -> bool {
    outcome.error.as_deref().is_some_and(is_disk_full)
}
