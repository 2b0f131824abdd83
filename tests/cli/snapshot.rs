//! Committed texts that an output is compared with, exactly. `UPDATE_SNAPSHOTS=1` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

/// Where a folder of committed texts is.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli").join(name)
}

/// Asserts that `text` is what `file` below `tests/cli` holds.
#[track_caller]
pub(crate) fn assert_same(file: &str, text: &str) {
    let path = folder(file);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == committed,
        "this is not what {} holds; if it is meant, run the tests with UPDATE_SNAPSHOTS=1:\n{text}",
        path.display()
    );
}
