//! Tools from a folder of the user.

use super::*;

#[test]
fn a_folder_of_plain_programs_is_trusted_and_reported_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for tool in Tool::ALL {
        std::fs::write(folder.path().join(tool.name()), program()).unwrap();
        let source = ToolSource::Folder(folder.path().to_path_buf());
        let installed = run(&request(tool, dir.path(), source)).0.unwrap();
        assert_eq!((installed.checked, installed.version), (Checked::Trusted, None));
    }
    assert_eq!(programs(dir.path()), ["helm", "kind", "kubectl"]);
}

#[test]
fn a_release_file_in_a_folder_must_be_the_pinned_one() {
    let dir = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kind-linux-amd64");
    let request = request(Tool::Kind, dir.path(), ToolSource::Folder(folder.path().to_path_buf()));
    let evil = b"#!/bin/sh\nevil";
    std::fs::write(&file, evil).unwrap();
    std::fs::write(folder.path().join("kind-linux-amd64.sha256"), sum_of(evil).as_str()).unwrap();
    assert!(matches!(run(&request).0, Err(FetchError::WrongChecksum { .. })));
    std::fs::write(&file, program()).unwrap();
    let installed = run(&request).0.unwrap();
    assert_eq!((installed.checked, installed.version), (Checked::Pinned, Some("0.33.0".to_owned())));
}

#[test]
fn a_checksum_beside_a_plain_program_must_match() {
    let dir = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sum = folder.path().join("kind.sha256");
    std::fs::write(folder.path().join("kind"), program()).unwrap();
    std::fs::write(&sum, sum_of(b"other").as_str()).unwrap();
    let request = request(Tool::Kind, dir.path(), ToolSource::Folder(folder.path().to_path_buf()));
    assert!(matches!(run(&request).0, Err(FetchError::WrongChecksum { .. })));
    std::fs::write(&sum, sum_line(&program(), "kind")).unwrap();
    assert_eq!(run(&request).0.unwrap().checked, Checked::Against(sum.display().to_string()));
}

#[test]
fn a_folder_without_the_tool_is_reported_with_the_paths_searched() {
    let dir = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = ToolSource::Folder(folder.path().to_path_buf());
    let error = run(&request(Tool::Kind, dir.path(), source)).0.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "could not find kind in the folder `{}`: looked for `kind/v0.33.0/kind-linux-amd64`, \
             `v0.33.0/kind-linux-amd64`, `kind-linux-amd64`, `kind`",
            folder.path().display()
        )
    );
}

#[test]
fn a_web_page_saved_as_a_tool_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kubectl"), "<html>not found</html>").unwrap();
    let source = ToolSource::Folder(folder.path().to_path_buf());
    let error = run(&request(Tool::Kubectl, dir.path(), source)).0.unwrap_err();
    assert!(matches!(error, FetchError::NotAProgram { .. }), "{error}");
    assert_eq!(programs(dir.path()), [""; 0]);
}
