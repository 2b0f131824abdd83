//! `diagnose` writes a complete file or none, on any machine, and reveals no secrets.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::read::GzDecoder;

use crate::fixture::Fixture;

/// The files in a diagnosis, with their content.
fn files(path: &Path) -> Vec<(String, String)> {
    let mut archive = tar::Archive::new(GzDecoder::new(fs::File::open(path).unwrap()));
    let read = |entry: std::io::Result<tar::Entry<'_, GzDecoder<fs::File>>>| {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (entry.path().unwrap().display().to_string(), text)
    };
    archive.entries().unwrap().map(read).collect()
}

#[test]
fn a_diagnosis_needs_neither_tools_nor_an_engine() {
    let machine = Fixture::with_tools(&[]);
    let outcome = machine.milvusctl(&["diagnose", "-o", "d.tar.gz"]).ends_with(0);
    assert_eq!(outcome.out, "d.tar.gz\n");
    let path = machine.file("mark", "").with_file_name("d.tar.gz");
    let files = files(&path);
    assert_eq!(files[0].0, "milvusctl-diagnosis/index.txt");
    assert!(files[0].1.contains("`docker` was not found in PATH"), "{}", files[0].1);
    assert!(
        files.iter().any(|(name, text)| name.ends_with("settings.yaml") && text.contains("milvus-cluster"))
    );
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_existing_file_is_only_replaced_on_request() {
    let machine = Fixture::with_tools(&[]);
    let path = machine.file("d.tar.gz", "mine");
    machine.milvusctl(&["diagnose", "-o", "d.tar.gz"]).ends_with(2).complains_of(&["d.tar.gz", "--force"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    machine.milvusctl(&["diagnose", "-o", "d.tar.gz", "--force"]).ends_with(0);
    assert!(files(&path).len() > 1);
}

#[test]
fn a_missing_folder_is_reported() {
    let machine = Fixture::with_tools(&[]);
    machine.milvusctl(&["diagnose", "-o", "none/d.tar.gz"]).ends_with(2).complains_of(&["folder `none`"]);
}

#[test]
fn the_file_name_is_required() {
    let machine = Fixture::with_tools(&[]);
    machine.milvusctl(&["diagnose"]).ends_with(2).complains_of(&["--output <FILE>"]);
}

#[test]
fn an_output_format_in_the_environment_is_not_the_file() {
    let machine = Fixture::with_tools(&[]);
    machine.milvusctl_with(&[("MILVUSCTL_OUTPUT", "json")], &["diagnose"]).ends_with(2);
    machine.milvusctl_with(&[("MILVUSCTL_OUTPUT", "json")], &["diagnose", "-o", "d.tar.gz"]).ends_with(0);
}

#[test]
fn logins_and_keys_in_the_environment_are_not_collected() {
    let machine = Fixture::new();
    let config =
        "milvus:\n  storage: {endpoint: 's3:9000', bucket: b, accessKeyEnv: KEY_ID, secretKeyEnv: KEY}\n";
    machine.file("milvusctl.yaml", config);
    machine.on("docker ps --all").says("container with sw0rdfish and k3y-of-s3 in it\n");
    let secrets = [("MILVUSCTL_PASSWORD", "sw0rdfish"), ("KEY_ID", "id-of-k3y"), ("KEY", "k3y-of-s3")];
    machine.milvusctl_with(&secrets, &["diagnose", "-o", "d.tar.gz"]).ends_with(0);
    let path = machine.file("mark", "").with_file_name("d.tar.gz");
    let text: String = files(&path).into_iter().map(|(_, text)| text).collect();
    assert!(text.contains("container with *** and *** in it"), "{text}");
    for (_, secret) in secrets {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}
