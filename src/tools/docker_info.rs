//! The output of `docker info`.

use std::path::PathBuf;

use serde::Deserialize;

use super::EngineRefusal;
use crate::process::ExecError;

/// The part of `docker info --format '{{json .}}'` that is used.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DockerInfo {
    /// Empty without an engine.
    pub server_version: String,
    pub name: String,
    pub operating_system: String,
    pub architecture: String,
    pub mem_total: u64,
    #[serde(rename = "NCPU")]
    pub cpus: u64,
    pub cgroup_version: String,
    pub docker_root_dir: PathBuf,
    pub driver: String,
    driver_status: Option<Vec<(String, String)>>,
    security_options: Option<Vec<String>>,
    /// Without an engine, some clients print the errors here and exit successfully.
    server_errors: Option<Vec<String>>,
}

/// What docker wrote about a failed `docker info`.
///
/// Some clients put the actual error into their JSON, with a generic one on standard error.
pub fn why_no_info(error: &ExecError) -> String {
    let ExecError::Failed { tail, stdout, .. } = error else { return error.to_string() };
    let tells = |words: &String| EngineRefusal::of(words) != EngineRefusal::Other;
    let tail = tail.join("\n");
    if tells(&tail) {
        return tail;
    }
    let info = DockerInfo::read(&String::from_utf8_lossy(stdout)).ok();
    info.and_then(|info| info.errors()).filter(tells).unwrap_or(tail)
}

impl DockerInfo {
    /// Parses the command's output.
    ///
    /// # Errors
    /// Fails when it is not JSON of the known shape.
    pub fn read(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// The client's errors, if no engine answered.
    pub fn errors(&self) -> Option<String> {
        self.server_errors.as_ref().filter(|errors| !errors.is_empty()).map(|errors| errors.join("; "))
    }

    /// Whether an engine answered.
    pub fn is_from_an_engine(&self) -> bool {
        self.errors().is_none() && !self.server_version.is_empty()
    }

    /// Whether the engine uses containerd's image store, the default of Docker Engine 29 and Docker Desktop
    /// (kind#3795).
    pub fn has_containerd_store(&self) -> bool {
        let driver = self.driver_status.iter().flatten();
        driver.into_iter().any(|(key, value)| key == "driver-type" && value == "io.containerd.snapshotter.v1")
    }

    /// Whether the engine is rootless.
    pub fn is_rootless(&self) -> bool {
        let options = self.security_options.iter().flatten();
        options.into_iter().any(|option| option.split(',').any(|part| part == "name=rootless"))
    }
}
