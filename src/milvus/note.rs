//! Records what belongs to Milvus in an existing cluster while it can be proven, for a later removal.

use crate::context::Context;
use crate::milvus::look::{belongings_of, owner};
use crate::milvus::record;

/// Records what belongs to Milvus, so that it is still known once Milvus is gone.
///
/// # Errors
/// Fails when the cluster cannot be reached or rejects the change.
pub(crate) fn note_belongings(context: &Context) -> anyhow::Result<()> {
    let stored = record::read(context)?;
    let owner = owner(context)?;
    let found = belongings_of(context, owner.as_ref(), &stored.record)?;
    record::write(context, &stored, &found.record())
}
