//! A failed push.

/// Why an image was not pushed.
pub(super) struct NotPushed {
    pub(super) error: String,
    pub(super) hint: Option<String>,
}
