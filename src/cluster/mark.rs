//! A mark that a cluster is being created by this program, so that one that was left half made is known as
//! ours and can be made anew, and one of somebody else's never is.

use std::io;
use std::path::PathBuf;

use etcetera::BaseStrategy;

fn path(cluster: &str) -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    let state = folders.state_dir().unwrap_or_else(|| folders.data_dir());
    Some(state.join("milvusctl").join(format!("creating-{cluster}")))
}

/// Sets the mark.
///
/// # Errors
/// Fails when the folder cannot be written to.
pub(crate) fn set(cluster: &str) -> io::Result<()> {
    let Some(path) = path(cluster) else { return Ok(()) };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, "")
}

pub(crate) fn clear(cluster: &str) {
    if let Some(path) = path(cluster) {
        // A mark that is not there is what is wanted.
        _ = std::fs::remove_file(path);
    }
}

/// Whether the mark is set.
pub(crate) fn is_set(cluster: &str) -> bool {
    path(cluster).is_some_and(|path| path.exists())
}
