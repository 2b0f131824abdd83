//! Docker, kind, kubectl and helm: one method per query or change.
//!
//! A method builds the command and parses the output with pure functions, which are tested on recorded
//! output. Nothing here makes decisions.

mod containers;
mod credentials;
pub mod docker;
mod docker_errors;
mod docker_info;
mod docker_pull;
pub mod helm;
mod hiccup;
pub mod kind;
pub mod kubeadm_names;
pub mod kubectl;
pub mod node;
pub mod node_import;
pub mod node_survey;
mod pull_errors;
mod registries;

use std::sync::Arc;
use std::time::Duration;

use crate::process::{Cmd, ExecError, Output, Runner};

use hiccup::ClusterPatience;

pub use containers::{NodeContainer, start_command};
pub use credentials::CredentialHelper;
pub use docker::Docker;
pub use docker_errors::{
    ENGINE_DISK_HINT, EngineRefusal, PushRefusal, docker_words, has_no_layers, is_container_gone,
    is_disk_full, is_engine_disk_full, is_engine_down, is_engine_gone, is_not_unpacked,
};
pub use docker_info::{DockerInfo, why_no_info};
pub use docker_pull::{PullLimits, Pulling, pull_command};
pub use helm::Helm;
pub use kind::Kind;
pub use kubeadm_names::create_script;
pub use kubectl::Kubectl;
pub use node::KindNode;
pub use pull_errors::pull_trouble;
pub use registries::EngineRegistries;

/// The programs that milvusctl runs, all through the same runner.
#[derive(Clone)]
pub struct Tools {
    pub docker: Docker,
    pub kind: Kind,
    runner: Arc<dyn Runner>,
    patience: ClusterPatience,
    helm_version: helm::KnownVersion,
    slow_helpers: credentials::SlowHelpers,
}

impl Tools {
    /// All tools, run by `runner`.
    pub fn new(runner: Arc<dyn Runner>) -> Self {
        Self {
            docker: Docker::new(Arc::clone(&runner)),
            kind: Kind::new(Arc::clone(&runner)),
            runner,
            patience: ClusterPatience::default(),
            helm_version: helm::KnownVersion::default(),
            slow_helpers: credentials::SlowHelpers::default(),
        }
    }

    /// kubectl for a given context, so that the current one is never used by accident.
    pub fn kubectl(&self, context: &str) -> Kubectl {
        Kubectl::new(Arc::clone(&self.runner), context, self.patience.clone())
    }

    pub fn helm(&self, context: &str) -> Helm {
        let known = Arc::clone(&self.helm_version);
        Helm::new(Arc::clone(&self.runner), context, self.patience.clone(), known)
    }

    /// A node of a kind cluster, by its container name.
    pub fn node(&self, name: &str) -> KindNode {
        KindNode::new(name, Arc::clone(&self.runner))
    }

    /// Docker's credential helper of that name.
    pub fn credential_helper(&self, name: &str) -> CredentialHelper {
        CredentialHelper::new(name, Arc::clone(&self.runner), Arc::clone(&self.slow_helpers))
    }

    pub fn runner(&self) -> &Arc<dyn Runner> {
        &self.runner
    }
}

/// A read-only command whose output is kept verbatim, for a diagnosis.
pub fn question(program: &str, args: &[&str], limit: Duration) -> Cmd {
    Cmd::read(program, limit).args(args.iter().copied())
}

/// Parses output as JSON.
///
/// # Errors
/// Fails with [`ExecError::Garbage`] when it is not JSON of the expected shape.
pub(crate) fn json<T: serde::de::DeserializeOwned>(cmd: &Cmd, output: &Output) -> Result<T, ExecError> {
    serde_json::from_slice(&output.stdout).map_err(|error| garbage(cmd, &error.to_string(), &output.stdout))
}

/// An error about unexpected output, which quotes its beginning.
pub(crate) fn garbage(cmd: &Cmd, problem: &str, answer: &[u8]) -> ExecError {
    let text = String::from_utf8_lossy(&answer[..answer.len().min(120)]);
    let shown = text.lines().next().unwrap_or_default().trim();
    let problem = if shown.is_empty() {
        format!("{problem} (the answer is empty)")
    } else {
        format!("{problem} (the answer begins `{shown}`)")
    };
    ExecError::Garbage { cmd: cmd.to_string(), problem }
}

/// The first version in a text, such as `1.20.2` in `kind v1.20.2 go1.24`.
pub fn first_version(text: &str) -> Option<semver::Version> {
    text.split(|c: char| c.is_whitespace() || c == '"' || c == ',').find_map(|word| {
        let word = word.trim_start_matches('v');
        let core = word.split(['+', '~']).next()?;
        if !core.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        semver::Version::parse(core).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_the_tools_print() {
        let rows = [
            ("kind v0.27.0 go1.24.4 linux/amd64", "0.27.0"),
            ("v3.17.2+gcc0bbbd", "3.17.2"),
            ("20.10.24+dfsg1", "20.10.24"),
            ("Client Version: v1.32.3", "1.32.3"),
        ];
        for (text, version) in rows {
            assert_eq!(first_version(text).map(|v| v.to_string()).as_deref(), Some(version), "{text}");
        }
        assert_eq!(first_version("no version here"), None);
    }

    #[test]
    fn an_answer_that_is_not_json_is_shown_in_part() {
        let cmd = Cmd::read("kubectl", std::time::Duration::from_secs(60)).args(["get", "pods"]);
        let output = Output { stdout: b"<html>proxy error</html>\nmore".to_vec() };
        let error = json::<serde_json::Value>(&cmd, &output).unwrap_err().to_string();
        assert_eq!(
            error,
            "`kubectl get pods` returned unexpected output: expected value at line 1 column 1 \
             (the answer begins `<html>proxy error</html>`)"
        );
    }
}
