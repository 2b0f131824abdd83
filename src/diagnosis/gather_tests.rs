use std::sync::Arc;

use super::*;
use crate::process::{Output, Runner, Running, Stream};

const PODS: &str = r#"{"items": [{
    "metadata": {"name": "my-release-etcd-0", "namespace": "default"},
    "status": {"phase": "Running", "containerStatuses": [
        {"name": "etcd", "ready": false, "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}}]}"#;

/// Answers commands that contain a key of `answers`, and fails all others.
struct Machine {
    answers: &'static [(&'static str, &'static str)],
    fails_with: &'static str,
    asked: Mutex<Vec<String>>,
}

impl Runner for Machine {
    fn run_with(&self, cmd: &Cmd, _: &mut dyn FnMut(Stream, &str)) -> Result<Output, ExecError> {
        let line = cmd.to_string();
        self.asked.lock().unwrap().push(line.clone());
        match self.answers.iter().find(|(part, _)| line.contains(part)) {
            Some((_, answer)) => Ok(Output { stdout: answer.as_bytes().to_vec() }),
            None => Err(ExecError::Failed {
                cmd: line,
                status: "exit status: 1".into(),
                code: Some(1),
                tail: vec![self.fails_with.to_owned()],
                stdout: Vec::new(),
            }),
        }
    }

    fn start(&self, cmd: &Cmd) -> Result<Box<dyn Running>, ExecError> {
        Err(ExecError::NotFound { program: cmd.to_string() })
    }

    fn locate(&self, program: &str) -> Option<std::path::PathBuf> {
        Some(std::path::Path::new("/scripted").join(program))
    }
}

fn gathered(
    answers: &'static [(&'static str, &'static str)],
    fails_with: &'static str,
    mask: &Mask,
) -> (Vec<Gathered>, Vec<String>) {
    let machine = Arc::new(Machine { answers, fails_with, asked: Mutex::default() });
    let context = Context::for_test(machine.clone());
    let gathered = gather(&context, mask, &|_| ()).unwrap();
    let asked = machine.asked.lock().unwrap().clone();
    (gathered, asked)
}

fn file<'a>(gathered: &'a [Gathered], path: &str) -> &'a Gathered {
    gathered.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}"))
}

#[test]
fn a_machine_without_engine_and_cluster_is_diagnosed() {
    let (gathered, asked) = gathered(&[], "Cannot connect to the Docker daemon", &Mask::default());
    assert!(file(&gathered, "settings.yaml").text.as_ref().unwrap().contains("milvus-cluster"));
    assert!(file(&gathered, "milvusctl.txt").text.as_ref().unwrap().contains(env!("CARGO_PKG_VERSION")));
    assert!(file(&gathered, "machine.json").text.is_ok());
    for path in ["versions/docker.json", "nodes", "cluster"] {
        let error = file(&gathered, path).text.as_ref().unwrap_err();
        assert!(error.contains("Cannot connect to the Docker daemon"), "{path}: {error}");
    }
    let to_cluster = asked.iter().filter(|line| line.contains("--context")).count();
    assert_eq!(to_cluster, 1, "a cluster that does not answer is asked once: {asked:?}");
}

#[test]
fn logs_of_a_failing_container_include_its_previous_run() {
    let answers = &[("get pods --all-namespaces --output json", PODS), ("logs --namespace default", "words")];
    let (gathered, asked) = gathered(answers, "no", &Mask::default());
    let log = "logs --namespace default my-release-etcd-0 --container etcd --tail 1000";
    let logs: Vec<&String> = asked.iter().filter(|line| line.contains("my-release-etcd-0")).collect();
    assert_eq!(logs.len(), 2);
    for line in &logs {
        assert!(line.starts_with("kubectl --context kind-milvus-cluster logs"), "{line}");
        assert!(line.contains(log), "{line}");
    }
    assert_eq!(file(&gathered, "pods/default/my-release-etcd-0/etcd.log").text.as_deref(), Ok("words"));
    assert!(file(&gathered, "pods/default/my-release-etcd-0/etcd.before.log").what.ends_with("--previous"));
    for namespace in ["default", "milvus-operator"] {
        assert!(file(&gathered, &format!("pods/{namespace}/description.txt")).text.is_err());
    }
}

#[test]
fn each_node_is_queried_from_inside() {
    let containers =
        &[("docker ps --all --no-trunc", "milvus-cluster-worker|worker|running|kindest/node:v1|")];
    let (found, asked) = gathered(containers, "no", &Mask::default());
    let inside: Vec<&String> =
        asked.iter().filter(|line| line.contains("docker exec milvus-cluster-worker")).collect();
    assert_eq!(inside.len(), 4, "{asked:?}");
    assert!(file(&found, "nodes/milvus-cluster-worker/kubelet.log").text.is_err());
}

#[test]
fn no_secret_gets_into_a_file_or_an_error() {
    let answers = &[
        ("get pods --all-namespaces --output json", PODS),
        ("describe pods", "  MINIO_SECRET_KEY:  s3cr3t-by-name\n  other: known-value\n"),
        ("milvuses.v1beta1.milvus.io", r#"{"items":[{"spec":{"config":{"password":"s3cr3t-by-key"}}}]}"#),
    ];
    let (gathered, _) = gathered(answers, "login me:known-value failed", &Mask::new(["known-value".into()]));
    let shown = format!("{gathered:?}");
    for secret in ["s3cr3t-by-name", "s3cr3t-by-key", "known-value"] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
    assert!(
        file(&gathered, "pods/default/description.txt")
            .text
            .as_ref()
            .unwrap()
            .contains("MINIO_SECRET_KEY:  ***")
    );
    assert!(shown.contains("login me:*** failed"));
}

#[test]
fn no_secret_object_is_read() {
    let (_, asked) = gathered(&[("get pods --all-namespaces --output json", PODS)], "no", &Mask::default());
    assert!(asked.iter().all(|line| !line.contains("secret")), "{asked:?}");
}
