//! A mark that a cluster is being created by this program, with the containers that were made for it, so that one
//! that was left half made is known as ours and can be made anew, and one of somebody else's never is.
//!
//! A name proves nothing: after an interrupt somebody may make a cluster by hand under the same one. The IDs of
//! containers are never given again.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};

/// A run that began to create a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The number of its process.
    run: u32,
    /// The IDs of the nodes' containers, as far as they were seen.
    containers: BTreeSet<String>,
}

impl Mark {
    /// The mark of this run, before anything is made.
    pub(crate) fn of_this_run() -> Self {
        Self { run: std::process::id(), containers: BTreeSet::new() }
    }

    /// Adds containers; says whether there were any new ones.
    pub(crate) fn add(&mut self, containers: &BTreeSet<String>) -> bool {
        let before = self.containers.len();
        self.containers.extend(containers.iter().cloned());
        self.containers.len() > before
    }

    /// Whether these containers, and there are some, were all made by the run.
    pub(crate) fn has_made(&self, containers: &BTreeSet<String>) -> bool {
        !containers.is_empty() && containers.is_subset(&self.containers)
    }

    /// Writes the mark of `cluster`.
    ///
    /// # Errors
    /// Fails when the folder cannot be written to.
    pub(crate) fn write(&self, cluster: &str) -> io::Result<()> {
        let Some((folder, path)) = folder().zip(path(cluster)) else { return Ok(()) };
        std::fs::create_dir_all(&folder)?;
        // A run that is killed in between leaves the mark of before.
        let file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&file, self)?;
        file.persist(path).map(drop).map_err(Into::into)
    }
}

/// The folder of what has to be remembered between two runs.
pub(crate) fn folder() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    Some(folders.state_dir().unwrap_or_else(|| folders.data_dir()).join("milvusctl"))
}

fn path(cluster: &str) -> Option<PathBuf> {
    Some(folder()?.join(format!("creating-{cluster}")))
}

pub(crate) fn clear(cluster: &str) {
    if let Some(path) = path(cluster) {
        // A mark that is not there is what is wanted.
        _ = std::fs::remove_file(path);
    }
}

/// The mark of `cluster`; one that cannot be read proves nothing, and is none.
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
    fn only_containers_that_the_run_made_are_its_own() {
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
