//! Marks a cluster as being created by milvusctl, with the IDs of its containers, so that a half-created
//! cluster is recognised as ours and can be recreated, and somebody else's never is.
//!
//! A name proves nothing: after an interrupt somebody may create a cluster of the same name by hand.
//! Container IDs are never reused.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};

/// A run that started creating a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The process ID.
    run: u32,
    /// The IDs of the node containers seen so far.
    containers: BTreeSet<String>,
}

impl Mark {
    /// The mark of this run, before anything is created.
    pub(crate) fn of_this_run() -> Self {
        Self { run: std::process::id(), containers: BTreeSet::new() }
    }

    /// Adds containers; returns whether any was new.
    pub(crate) fn add(&mut self, containers: &BTreeSet<String>) -> bool {
        let before = self.containers.len();
        self.containers.extend(containers.iter().cloned());
        self.containers.len() > before
    }

    /// Whether there are containers and the run created all of them.
    pub(crate) fn has_made(&self, containers: &BTreeSet<String>) -> bool {
        !containers.is_empty() && containers.is_subset(&self.containers)
    }

    /// Writes the mark of `cluster`.
    ///
    /// # Errors
    /// Fails if the folder is not writable.
    pub(crate) fn write(&self, cluster: &str) -> io::Result<()> {
        let Some((folder, path)) = folder().zip(path(cluster)) else { return Ok(()) };
        std::fs::create_dir_all(&folder)?;
        // Atomic: a run killed in between leaves the previous mark.
        let file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&file, self)?;
        file.persist(path).map(drop).map_err(Into::into)
    }
}

/// The folder for state kept between runs.
pub(crate) fn folder() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    Some(folders.state_dir().unwrap_or_else(|| folders.data_dir()).join("milvusctl"))
}

fn path(cluster: &str) -> Option<PathBuf> {
    Some(folder()?.join(format!("creating-{cluster}")))
}

pub(crate) fn clear(cluster: &str) {
    if let Some(path) = path(cluster) {
        // A missing mark is fine.
        _ = std::fs::remove_file(path);
    }
}

/// The mark of `cluster`; an unreadable one proves nothing and counts as missing.
pub(crate) fn read(cluster: &str) -> Option<Mark> {
    serde_json::from_slice(&std::fs::read(path(cluster)?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_run_only_owns_the_containers_it_created() {
        let mut mark = Mark::of_this_run();
        assert!(!mark.has_made(&ids(&["a"])), "a mark without containers proves nothing");
        assert!(mark.add(&ids(&["a", "b"])) && !mark.add(&ids(&["a"])));
        for (containers, is_ours) in
            [(&["a", "b"][..], true), (&["a"], true), (&["a", "c"], false), (&["c"], false), (&[], false)]
        {
            assert_eq!(mark.has_made(&ids(containers)), is_ours, "{containers:?}");
        }
    }
}
