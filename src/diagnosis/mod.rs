//! Diagnosis bundles for support: finds failing containers, builds the index and bounds file sizes. Pure,
//! except for [`gather`], which collects the contents.

mod archive;
pub(crate) mod gather;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::kube::pod::{Pod, PodList};
use crate::kube::pod_status::ContainerStatus;

pub use archive::write;

/// The maximum size of one file, in bytes. Longer texts are cut to their end.
pub const FILE_LIMIT: usize = 1024 * 1024;

/// One file of a diagnosis: its text, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    /// Its path in the archive, such as `cluster/events.txt`.
    pub path: String,
    /// A command line or a description.
    pub what: String,
    /// Its text, or why there is none.
    pub text: Result<String, String>,
}

/// A container whose logs are worth reading.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailingContainer {
    pub namespace: String,
    pub pod: String,
    pub container: String,
    /// Whether it has been restarted.
    pub has_run_before: bool,
}

/// The containers that have started and failed or restarted.
pub fn failing_containers(pods: &PodList<'_>) -> Vec<FailingContainer> {
    let failing = |pod: &Pod<'_>, status: &ContainerStatus<'_>| {
        let has_run_before = status.restart_count > 0;
        let state = &status.state;
        let has_started = has_run_before || state.running.is_some() || state.terminated.is_some();
        let is_well = status.ready || state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0);
        (has_started && (!is_well || has_run_before)).then(|| FailingContainer {
            namespace: pod.metadata.namespace.to_string(),
            pod: pod.metadata.name.to_string(),
            container: status.name.to_string(),
            has_run_before,
        })
    };
    let mut found: Vec<FailingContainer> = pods
        .items
        .iter()
        .flat_map(|pod| pod.states().filter_map(move |status| failing(pod, status)))
        .collect();
    found.sort();
    found
}

/// The namespaces with a pod that is neither ready nor succeeded, sorted.
pub fn troubled_namespaces(pods: &PodList<'_>) -> Vec<String> {
    let troubled = pods.items.iter().filter(|pod| !pod.is_ready() && &*pod.status.phase != "Succeeded");
    let names: BTreeSet<&str> = troubled.map(|pod| &*pod.metadata.namespace).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Lists the files of a diagnosis, and which are missing and why.
pub fn index(gathered: &[Gathered]) -> String {
    let mut text =
        String::from("What this bundle holds. Passwords, tokens and keys were replaced by ***.\n\n");
    for file in gathered {
        match &file.text {
            Ok(_) => _ = writeln!(text, "{}\n    {}", file.path, file.what),
            Err(error) => {
                _ = writeln!(text, "{} (missing)\n    {}", file.path, file.what);
                for line in error.lines() {
                    _ = writeln!(text, "    ! {line}");
                }
            }
        }
    }
    text
}

/// Cuts a text that exceeds [`FILE_LIMIT`] to its last whole lines.
pub fn bounded(text: String) -> String {
    if text.len() <= FILE_LIMIT {
        return text;
    }
    let mut from = text.len() - FILE_LIMIT;
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let from = text[from..].find('\n').map_or(from, |line| from + line + 1);
    format!("[{from} earlier bytes were left out]\n{}", &text[from..])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, status: &Value) -> Value {
        json!({"metadata": {"name": name, "namespace": "default"}, "status": status})
    }

    fn read(json: &str) -> PodList<'_> {
        PodList::from_slice(json.as_bytes()).unwrap()
    }

    #[test]
    fn only_containers_that_ran_and_failed_are_found() {
        let pods = json!({"items": [
            pod("well", &json!({"containerStatuses": [
                {"name": "a", "ready": true, "restartCount": 0, "state": {"running": {}}}]})),
            pod("waits", &json!({"containerStatuses": [
                {"name": "a", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]})),
            pod("loops", &json!({"containerStatuses": [
                {"name": "a", "ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]})),
            pod("starts", &json!({
                "initContainerStatuses": [
                    {"name": "config", "ready": true, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}],
                "containerStatuses": [
                    {"name": "a", "ready": false, "restartCount": 0, "state": {"running": {}}}]})),
            pod("init-fails", &json!({"initContainerStatuses": [
                {"name": "config", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 132}}}]})),
            pod("came-back", &json!({"containerStatuses": [
                {"name": "a", "ready": true, "restartCount": 1, "state": {"running": {}}}]})),
        ]});
        let json = pods.to_string();
        let found: Vec<(String, String, bool)> = failing_containers(&read(&json))
            .into_iter()
            .map(|found| (found.pod, found.container, found.has_run_before))
            .collect();
        let expected = [
            ("came-back", "a", true),
            ("init-fails", "config", false),
            ("loops", "a", true),
            ("starts", "a", false),
        ];
        assert_eq!(found, expected.map(|(pod, container, before)| (pod.into(), container.into(), before)));
    }

    #[test]
    fn namespaces_with_unready_pods_are_troubled() {
        let status = |phase: &str, ready: &str| json!({"phase": phase, "conditions": [{"type": "Ready", "status": ready}]});
        let inside = |namespace: &str, status: Value| json!({"metadata": {"name": "p", "namespace": namespace}, "status": status});
        let pods = json!({"items": [
            inside("fine", status("Running", "True")),
            inside("done", status("Succeeded", "False")),
            inside("b", status("Running", "False")),
            inside("a", json!({"phase": "Pending"})),
            inside("b", status("Running", "True")),
        ]});
        assert_eq!(troubled_namespaces(&read(&pods.to_string())), ["a", "b"]);
    }

    #[test]
    fn the_index_lists_every_file_and_why_one_is_missing() {
        let gathered = [
            Gathered { path: "a.txt".into(), what: "kind get clusters".into(), text: Ok("x".into()) },
            Gathered { path: "b.txt".into(), what: "docker info".into(), text: Err("one\ntwo".into()) },
        ];
        assert_eq!(
            index(&gathered),
            "What this bundle holds. Passwords, tokens and keys were replaced by ***.\n\na.txt\n    kind get clusters\n\
             b.txt (missing)\n    docker info\n    ! one\n    ! two\n"
        );
    }

    #[test]
    fn long_texts_keep_their_last_lines() {
        assert_eq!(bounded("short\n".into()), "short\n");
        let text = bounded("ä line\n".repeat(FILE_LIMIT / 4));
        assert!(text.len() < FILE_LIMIT + 100 && text.ends_with("ä line\n"), "{}", text.len());
        assert!(text.lines().skip(1).all(|line| line == "ä line"));
        assert!(text.starts_with('[') && text.contains("earlier bytes were left out"));
    }
}
