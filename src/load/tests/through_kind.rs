//! Loads through `kind load image-archive`.

use std::path::PathBuf;

use super::*;

const TO_KIND: &str = "kind load image-archive";

/// A runner for `--loader kind`, where the file's name differs between runs.
struct ThroughKind {
    fails_with: Option<&'static str>,
    inner: ScriptedRunner,
    asked: std::sync::Mutex<Vec<String>>,
}

impl crate::process::Runner for ThroughKind {
    fn run_with(
        &self,
        cmd: &crate::process::Cmd,
        on_line: &mut dyn FnMut(crate::process::Stream, &str),
    ) -> Result<crate::process::Output, crate::process::ExecError> {
        let line = cmd.to_string();
        if line.starts_with("docker save --output ") || line.starts_with(TO_KIND) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let path = words.iter().find(|word| word.contains("milvusctl-image-")).unwrap();
            self.asked.lock().unwrap().push(line.replace(path, "FILE"));
            if line.starts_with("docker save") {
                std::fs::write(path, [0; 7]).unwrap();
            } else if let Some(words) = self.fails_with {
                assert!(std::path::Path::new(path).exists());
                return Err(crate::process::ExecError::Failed {
                    cmd: line,
                    status: "exit status: 1".into(),
                    code: Some(1),
                    tail: vec![words.into()],
                    stdout: Vec::new(),
                });
            }
            return Ok(crate::process::Output::default());
        }
        self.inner.run_with(cmd, on_line)
    }

    fn start(
        &self,
        cmd: &crate::process::Cmd,
    ) -> Result<Box<dyn crate::process::Running>, crate::process::ExecError> {
        self.inner.start(cmd)
    }

    fn locate(&self, program: &str) -> Option<PathBuf> {
        self.inner.locate(program)
    }
}

fn load_with(
    loader: Loader,
    fails_with: Option<&'static str>,
    inner: ScriptedRunner,
) -> (ImageOutcome, Vec<String>) {
    let runner = Arc::new(ThroughKind { fails_with, inner, asked: std::sync::Mutex::default() });
    let report = load_images(&context_with(loader, runner.clone()), &method(), &[load(&["n1"])]).unwrap();
    let asked = runner.asked.lock().unwrap().clone();
    (report.images.into_iter().next().unwrap(), asked)
}

fn listed_by_name() -> ScriptedRunner {
    script().answer(CHECK, &listed(true))
}

#[test]
fn kinds_loader_uses_a_temporary_file() {
    let (image, asked) = load_with(Loader::Kind, None, listed_by_name());
    assert_eq!((image.outcome, image.nodes[0].bytes_sent), (Outcome::Loaded, 7));
    assert_eq!(
        asked,
        [
            "docker save --output FILE test/two:1",
            "kind load image-archive FILE --name milvus-cluster --nodes n1"
        ]
    );
}

#[test]
fn kinds_error_about_an_archive_is_reported() {
    let words = "ERROR: failed to load image: command failed";
    let (image, _) = load_with(Loader::Kind, Some(words), listed_by_name());
    assert_eq!(
        (image.outcome, image.error.as_deref()),
        (Outcome::LoadFailed, Some("node `n1`: ERROR: failed to load image: command failed"))
    );
}

#[test]
fn a_node_without_ctr_is_loaded_through_kind_unless_direct_was_requested() {
    let no_ctr = "OCI runtime exec failed: exec failed: \"ctr\": executable file not found in $PATH: unknown";
    let inner = || script().answer(CONTENT, NO_CONTENT).fail(IMPORT, no_ctr).answer(CHECK, &listed(true));
    let (image, asked) = load_with(Loader::Auto, None, inner());
    assert_eq!((image.outcome, asked.len()), (Outcome::Loaded, 2), "{:?}", image.error);
    let (image, asked) = load_with(Loader::Direct, None, inner());
    assert_eq!((image.outcome, asked.len()), (Outcome::LoadFailed, 0));
}
