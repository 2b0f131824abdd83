//! The CI examples: every command they run exists, and their exit codes suit a pipeline.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

#[track_caller]
fn parses(line: &str) {
    let words = line.split(['>', '|']).next().unwrap().split_whitespace();
    if let Err(error) = milvusctl::command().try_get_matches_from(words) {
        panic!("`{line}`: {error}");
    }
}

#[test]
fn the_commands_of_the_workflow_parse() {
    let text = fs::read_to_string(example("github-actions.yml")).unwrap();
    let workflow: Value = serde_yaml::from_str(&text).unwrap();
    let steps = workflow["jobs"]["smoke"]["steps"].as_array().unwrap();
    let runs: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    let ours: Vec<&&str> = runs.iter().filter(|run| run.starts_with("milvusctl ")).collect();
    assert_eq!(ours.len(), 5, "{runs:?}");
    for line in ours {
        parses(line);
    }
}

#[test]
fn the_commands_of_the_script_parse() {
    let text = fs::read_to_string(example("ci-smoke.sh")).unwrap();
    let plain = text
        .replace("\"$MILVUSCTL\"", "milvusctl")
        .replace("\"${up_arguments[@]}\"", "--small")
        .replace("MILVUSCTL_TIMEOUT=$MILVUSCTL_TIMEOUT ", "");
    let lines = plain.lines().map(str::trim).filter(|line| line.starts_with("milvusctl "));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    lines.into_iter().for_each(parses);
}

#[test]
fn a_tag_builds_binaries_for_linux_and_macos_on_both_architectures() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows/ci.yml");
    let workflow: Value = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let jobs = &workflow["jobs"];
    let matrix = jobs["release-build"]["strategy"]["matrix"]["include"].as_array().unwrap();
    let names: Vec<&str> = matrix.iter().filter_map(|entry| entry["name"].as_str()).collect();
    assert_eq!(names, ["linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"]);
    // Nothing may be published before everything else has passed.
    let others = jobs.as_object().unwrap().keys().filter(|name| *name != "release");
    let needs = jobs["release"]["needs"].as_array().unwrap();
    for job in others {
        assert!(needs.contains(&Value::from(job.as_str())), "{job}");
    }
}

/// Runs the script with a `milvusctl` that records its arguments and fails the commands in `failing`.
fn script(folder: &Path, failing: &str, arguments: &[&str]) -> (Output, Vec<String>) {
    let fake = folder.join("milvusctl");
    let body = format!(
        "#!/bin/sh\necho \"${{MILVUSCTL_TIMEOUT:+within $MILVUSCTL_TIMEOUT: }}$*\" >>{calls}\ncase \"$1\" in\n{failing}) exit 5;;\n\
         up) printf '{{\\n  \"urls\": {{\\n    \"milvus\": \"http://127.0.0.1:19530\"\\n  }}\\n}}\\n';;\nesac\n",
        calls = folder.join("calls").display(),
    );
    fs::write(&fake, body).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the script under test is what this runs")]
    let mut script = Command::new(example("ci-smoke.sh"));
    let output = script
        .args(arguments)
        .current_dir(folder)
        .env("MILVUSCTL", &fake)
        .env_remove("MILVUSCTL_NAME")
        .env_remove("MILVUSCTL_TIMEOUT")
        .output()
        .unwrap();
    let calls = fs::read_to_string(folder.join("calls")).unwrap();
    (output, calls.lines().map(str::to_owned).collect())
}

#[test]
fn a_successful_run_starts_tests_and_removes_the_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let (output, calls) = script(folder.path(), "none", &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(calls, ["within 15m: up --small -o json", "smoke -o json", "down --yes"]);
}

#[test]
fn tests_get_the_url_of_milvus_and_decide_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let (output, calls) = script(folder.path(), "none", &["sh", "-c", "echo at $MILVUS_URI; exit 7"]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "at http://127.0.0.1:19530\n");
    assert_eq!(calls[2..], ["status", "diagnose -o diagnosis.tar.gz --force", "down --yes"]);
}

#[test]
fn a_failure_is_diagnosed_cleaned_up_and_keeps_its_exit_code() {
    for (failing, calls_before) in [("up", 1), ("smoke", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let (output, calls) = script(folder.path(), failing, &[]);
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        assert_eq!(
            calls[calls_before..],
            ["status", "diagnose -o diagnosis.tar.gz --force", "down --yes"],
            "{failing}"
        );
    }
}
