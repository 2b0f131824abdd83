//! What kept an image from a registry.

/// Why an image was not pushed.
pub(super) struct NotPushed {
    pub(super) error: String,
    pub(super) hint: Option<String>,
}
