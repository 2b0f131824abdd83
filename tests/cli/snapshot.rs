//! Compares output with committed texts, exactly. `UPDATE_SNAPSHOTS=1` updates them.

use std::fs;
use std::path::{Path, PathBuf};

/// The path of a folder of committed texts.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli").join(name)
}

/// Asserts that `text` equals `file` below `tests/cli`.
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
