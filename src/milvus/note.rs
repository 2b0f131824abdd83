//! Notes what belongs to Milvus in an existing cluster while that can be told, for a removal to come.

use crate::context::Context;
use crate::milvus::look::{belongings_of, owner};
use crate::milvus::record;

/// Notes what belongs to Milvus, so that it is known when Milvus itself is gone.
///
/// # Errors
/// Fails when the cluster cannot be asked or refuses.
pub(crate) fn note_belongings(context: &Context) -> anyhow::Result<()> {
    let stored = record::read(context)?;
    let owner = owner(context)?;
    let found = belongings_of(context, owner.as_ref(), &stored.record)?;
    record::write(context, &stored, &found.record())
}
