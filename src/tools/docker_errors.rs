//! Classifies docker's errors by their messages.

use crate::process::ExecError;

/// Why the engine did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineRefusal {
    NotRunning,
    /// It may run, but this user has no access.
    PermissionDenied,
    Other,
}

impl EngineRefusal {
    /// Classifies what `docker` wrote to standard error.
    pub fn of(stderr: &str) -> Self {
        let lower = stderr.to_ascii_lowercase();
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
        if says(&["permission denied"]) {
            Self::PermissionDenied
        } else if says(&[
            "cannot connect to the docker daemon",
            "failed to connect to the docker api",
            "is the docker daemon running",
            "connection refused",
            "no such file or directory",
            "error during connect",
        ]) {
            Self::NotRunning
        } else {
            Self::Other
        }
    }
}

/// Whether a tool failed because the engine is down; kind passes on docker's messages.
pub fn is_engine_down(error: &ExecError) -> bool {
    [
        "cannot connect to the docker daemon",
        "is the docker daemon running",
        "permission denied while trying to connect to the docker",
        "failed to connect to the docker api",
    ]
    .iter()
    .any(|words| error.mentions(words))
}

/// Whether the disk of a node or the engine is full, so that a retry would only fill it further.
pub fn is_disk_full(words: &str) -> bool {
    words.to_lowercase().contains("no space left on device")
}

/// Whether a line of `docker load` reports an image that was stored but not unpacked; the command still exits 0 (moby,
/// `daemon/containerd/image_exporter.go`; seen with 28.5).
pub fn is_not_unpacked(line: &str) -> bool {
    line.starts_with("Error unpacking image ")
}

/// What to do about the engine's disk, which also holds the nodes' disks.
pub const ENGINE_DISK_HINT: &str = "free up disk space for the engine: `docker system df` shows what uses it, `docker \
                                    system prune` removes what nothing uses; then rerun";

/// Whether a command failed because the engine's disk is full. Only docker and kind write there.
pub fn is_engine_disk_full(error: &ExecError) -> bool {
    let ExecError::Failed { cmd, tail, .. } = error else { return false };
    let is_of_engine = ["docker", "kind"].contains(&cmd.split(' ').next().unwrap_or_default());
    is_of_engine && tail.iter().any(|line| is_disk_full(line))
}

/// Whether Docker's classic image store refused to save an image that has no layers.
pub fn has_no_layers(words: &str) -> bool {
    words.to_lowercase().contains("empty export")
}

/// Whether the container does not exist.
pub fn is_container_gone(words: &str) -> bool {
    words.to_lowercase().contains("no such container")
}

/// Why a push failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushRefusal {
    /// The registry has no TLS, but the engine expects it.
    PlainHttp,
    Denied,
    /// The engine does not trust the registry's certificate.
    Certificate,
    /// A proxy rejects requests of that size.
    TooLarge,
    Unreachable,
}

impl PushRefusal {
    /// Classifies the output of `docker push`; `None` if unknown.
    pub fn of(words: &str) -> Option<Self> {
        let words = words.to_lowercase();
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
        if says(&["server gave http response to https client"]) {
            Some(Self::PlainHttp)
        } else if says(&["denied", "unauthorized", "authentication required", "no basic auth credentials"]) {
            Some(Self::Denied)
        } else if says(&["x509", "certificate"]) {
            Some(Self::Certificate)
        } else if says(&["413", "too large"]) {
            Some(Self::TooLarge)
        } else if says(&[
            "no such host",
            "connection refused",
            "timeout",
            "timed out",
            "no route to host",
            "eof",
        ]) {
            Some(Self::Unreachable)
        } else {
            None
        }
    }
}

/// Whether the engine went down in the middle of a command.
pub fn is_engine_gone(words: &str) -> bool {
    let words = words.to_lowercase();
    ["error during connect", "cannot connect to the docker daemon"].iter().any(|one| words.contains(one))
}

/// Docker's error message without its usual prefixes.
pub fn docker_words(error: &ExecError) -> String {
    if let ExecError::Silent { silence, .. } = error {
        return format!("connection timed out: no byte came for {}", humantime::format_duration(*silence));
    }
    if let ExecError::TimedOut { limit, .. } = error {
        return format!("connection too slow: not done after {}", humantime::format_duration(*limit));
    }
    let last = error.tail().iter().rev().find(|line| !line.trim().is_empty());
    let words = last.map_or_else(|| error.to_string(), Clone::clone);
    words.trim_start_matches("Error response from daemon: ").trim_start_matches("Error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_docker_and_kind_fill_the_engines_disk() {
        let failed = |cmd: &str, line: &str| ExecError::Failed {
            cmd: cmd.into(),
            status: "exit status: 1".into(),
            code: Some(1),
            tail: vec![line.into()],
            stdout: Vec::new(),
        };
        let full = "Error response from daemon: write /var/lib/docker/tmp/x: no space left on device";
        assert!(is_engine_disk_full(&failed("docker save a:1", full)));
        assert!(is_engine_disk_full(&failed("kind create cluster", full)));
        assert!(!is_engine_disk_full(&failed("helm pull x", full)));
        assert!(!is_engine_disk_full(&failed("docker save a:1", "no such image")));
    }

    #[test]
    fn refusals_are_classified_by_message() {
        let not_running = [
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct and \
             if the daemon is running: dial unix /var/run/docker.sock: connect: no such file or directory",
            "error during connect: Get \"http://builder:2375/v1.24/info\": dial tcp: connection refused",
        ];
        let denied = [
            "Got permission denied while trying to connect to the Docker daemon socket at \
             unix:///var/run/docker.sock: dial unix /var/run/docker.sock: connect: permission denied",
            "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock",
        ];
        for text in not_running {
            assert_eq!(EngineRefusal::of(text), EngineRefusal::NotRunning, "{text}");
        }
        for text in denied {
            assert_eq!(EngineRefusal::of(text), EngineRefusal::PermissionDenied, "{text}");
        }
        assert_eq!(EngineRefusal::of("context \"desktop\" does not exist"), EngineRefusal::Other);
    }
}
