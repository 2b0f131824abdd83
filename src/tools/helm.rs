//! helm: charts and releases.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use super::hiccup::ClusterPatience;
use super::{first_version, garbage, json};
use crate::kube::MANAGED_BY;
use crate::process::{Cmd, ExecError, Output, Runner};

/// The equivalent of helm 3's `--all`, which helm 4 lacks; it lists all states by default.
pub const ALL_STATES: [&str; 6] =
    ["--deployed", "--failed", "--pending", "--superseded", "--uninstalled", "--uninstalling"];

/// The timeout for queries.
const ANSWER: Duration = Duration::from_secs(60);
/// The timeout for fetching, installing or uninstalling a chart.
const CHANGE: Duration = Duration::from_secs(300);

/// The version of `helm` and the path of the program that reported it: milvusctl may download and switch to
/// another.
pub(super) type KnownVersion = Arc<Mutex<Option<(Option<PathBuf>, semver::Version)>>>;

/// The `helm` program, for one kubeconfig context.
#[derive(Clone)]
pub struct Helm {
    runner: Arc<dyn Runner>,
    context: String,
    patience: ClusterPatience,
    known: KnownVersion,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Release {
    pub name: String,
    /// The namespace that it is installed in.
    pub namespace: String,
    /// Such as `deployed`, `failed` or `pending-install`.
    pub status: String,
    /// The chart's name and version, such as `milvus-operator-1.3.8`.
    pub chart: String,
    pub revision: String,
}

impl Release {
    /// The chart's version.
    pub fn chart_version(&self) -> Option<&str> {
        self.chart.rsplit_once('-').map(|(_, version)| version)
    }
}

/// A revision in a release's history.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Revision {
    /// Such as `deployed`, `superseded` or `pending-upgrade`.
    pub status: String,
    /// The installer's description, or helm's own while it works and if it failed.
    pub description: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    pub release: String,
    /// The namespace, created if missing.
    pub namespace: String,
    /// A chart's name in `repo`; without `repo`, the path of a chart archive, `oci://…/CHART`, or
    /// `NAME/CHART` of a repository known to helm.
    pub chart: String,
    /// The chart repository's URL.
    pub repo: Option<String>,
    /// The chart's version; by default the newest.
    pub version: Option<String>,
    /// The values, as JSON or YAML text.
    pub values: String,
    /// The release's description, which tells who installed it.
    pub description: String,
}

impl Helm {
    /// helm for `context`, run by `runner`.
    pub(super) fn new(
        runner: Arc<dyn Runner>,
        context: &str,
        patience: ClusterPatience,
        known: KnownVersion,
    ) -> Self {
        Self { runner, context: context.to_owned(), patience, known }
    }

    /// Queries the cluster, waiting out brief outages.
    fn ask(&self, cmd: &Cmd) -> Result<Output, ExecError> {
        self.patience.ask(self.runner.as_ref(), cmd)
    }

    /// Helm's version, cached.
    ///
    /// # Errors
    /// Fails when helm is missing or prints no version.
    pub fn version(&self) -> Result<semver::Version, ExecError> {
        let program = self.runner.locate("helm");
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, version)) = known.as_ref().filter(|(of, _)| *of == program) {
            return Ok(version.clone());
        }
        let cmd = Cmd::read("helm", ANSWER).args(["version", "--short"]);
        let output = self.runner.run(&cmd)?;
        let version =
            first_version(&output.text()).ok_or_else(|| garbage(&cmd, "no version", &output.stdout))?;
        *known = Some((program, version.clone()));
        Ok(version)
    }

    /// The releases in a namespace, including failed and unfinished ones.
    ///
    /// # Errors
    /// Fails when the cluster does not answer.
    pub fn releases(&self, namespace: &str) -> Result<Vec<Release>, ExecError> {
        let cmd = Cmd::read("helm", ANSWER)
            .args(["list", "--kube-context", &self.context, "--namespace", namespace])
            .args(ALL_STATES)
            .args(["--output", "json"]);
        let output = self.ask(&cmd)?;
        json(&cmd, &output)
    }

    /// A release's values, without the chart's defaults.
    ///
    /// # Errors
    /// Fails when the cluster does not answer or there is no such release.
    pub fn values(&self, release: &str, namespace: &str) -> Result<serde_json::Value, ExecError> {
        let cmd = Cmd::read("helm", ANSWER)
            .args(["get", "values", release, "--kube-context", &self.context, "--namespace", namespace])
            .args(["--output", "json"]);
        let output = self.ask(&cmd)?;
        json(&cmd, &output)
    }

    /// A release's description.
    ///
    /// # Errors
    /// Fails when the cluster does not answer or there is no such release.
    pub fn description(&self, release: &str, namespace: &str) -> Result<String, ExecError> {
        let cmd = Cmd::read("helm", ANSWER)
            .args(["status", release, "--kube-context", &self.context, "--namespace", namespace])
            .args(["--output", "json"]);
        let output = self.ask(&cmd)?;
        let answer: serde_json::Value = json(&cmd, &output)?;
        Ok(answer["info"]["description"].as_str().unwrap_or_default().to_owned())
    }

    /// A release's revisions, oldest first.
    ///
    /// # Errors
    /// Fails when the cluster does not answer or there is no such release.
    pub fn history(&self, release: &str, namespace: &str) -> Result<Vec<Revision>, ExecError> {
        let cmd = Cmd::read("helm", ANSWER)
            .args(["history", release, "--kube-context", &self.context, "--namespace", namespace])
            .args(["--output", "json"]);
        let output = self.ask(&cmd)?;
        json(&cmd, &output)
    }

    /// Installs or upgrades a release, without waiting for its pods.
    ///
    /// # Errors
    /// Fails with helm's last lines.
    pub fn install(&self, install: &Install) -> Result<(), ExecError> {
        self.runner.run(&self.install_command(install)?).map(drop)
    }

    /// The command of [`Helm::install`].
    ///
    /// The description is only set once helm is done; the label is there from the start, since helm 3.13.
    ///
    /// By default helm 4 uses server-side apply, where Kubernetes 1.20 rejects Service ports without a
    /// `protocol`, such as those of the operator's chart. helm 3 never did.
    ///
    /// # Errors
    /// Fails when helm's version is unknown.
    pub fn install_command(&self, install: &Install) -> Result<Cmd, ExecError> {
        let mut cmd = Cmd::write("helm", CHANGE)
            .args(["upgrade", "--install", &install.release, &install.chart])
            .args(["--kube-context", &self.context, "--namespace", &install.namespace])
            .args(["--create-namespace", "--description", &install.description]);
        if let Some(repo) = &install.repo {
            cmd = cmd.args(["--repo", repo]);
        }
        if let Some(version) = &install.version {
            cmd = cmd.args(["--version", version]);
        }
        let version = self.version()?;
        if version >= semver::Version::new(3, 13, 0) {
            cmd = cmd.args(["--labels", &format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)]);
        }
        cmd = cmd.args(["--values", "-"]);
        if version.major >= 4 {
            cmd = cmd.arg("--server-side=false");
        }
        Ok(cmd.input(&install.values))
    }

    /// The CRDs in the chart's `crds` folder, which helm installs once and never upgrades; empty if the chart
    /// has them among its templates.
    ///
    /// # Errors
    /// Fails with helm's last lines when the chart cannot be had.
    pub fn chart_crds(&self, install: &Install) -> Result<String, ExecError> {
        Ok(self.runner.run(&Self::crds_command(install))?.text())
    }

    /// The command of [`Helm::chart_crds`].
    pub fn crds_command(install: &Install) -> Cmd {
        let mut cmd = Cmd::read("helm", CHANGE).args(["show", "crds", &install.chart]);
        if let Some(repo) = &install.repo {
            cmd = cmd.args(["--repo", repo]);
        }
        if let Some(version) = &install.version {
            cmd = cmd.args(["--version", version]);
        }
        cmd
    }

    /// Downloads a chart's archive into `folder`.
    ///
    /// # Errors
    /// Fails with helm's last lines when the chart cannot be had.
    pub fn pull(&self, install: &Install, folder: &Path) -> Result<(), ExecError> {
        let mut cmd = Cmd::read("helm", CHANGE).args(["pull", &install.chart]);
        if let Some(repo) = &install.repo {
            cmd = cmd.args(["--repo", repo]);
        }
        if let Some(version) = &install.version {
            cmd = cmd.args(["--version", version]);
        }
        let cmd = cmd.arg("--destination").arg(folder.display().to_string());
        self.runner.run(&cmd).map(drop)
    }

    /// Uninstalls a release; one that is already gone is not an error.
    ///
    /// # Errors
    /// Fails with helm's last lines.
    pub fn uninstall(&self, release: &str, namespace: &str) -> Result<(), ExecError> {
        let cmd = self.uninstall_command(release, namespace);
        match self.runner.run(&cmd) {
            // helm 3 and 4 (pkg/storage/driver: `ErrReleaseNotFound`); `--ignore-not-found` only exists since
            // 3.13.
            Err(error) if error.mentions("release: not found") => Ok(()),
            other => other.map(drop),
        }
    }

    /// The command of [`Helm::uninstall`].
    pub fn uninstall_command(&self, release: &str, namespace: &str) -> Cmd {
        Cmd::write("helm", CHANGE).args([
            "uninstall",
            release,
            "--kube-context",
            &self.context,
            "--namespace",
            namespace,
        ])
    }
}

/// Whether the chart could not be fetched (helm, pkg/repo/chartrepo.go and pkg/downloader).
pub fn is_without_chart(error: &ExecError) -> bool {
    [
        "is not a valid chart repository",
        "failed to fetch",
        "failed to download",
        "failed to perform",
        "not found in",
        "no chart version found",
        "no chart name found",
        "no cached repo found",
        "error: repo ",
    ]
    .iter()
    .any(|text| error.mentions(text))
}

/// Whether another helm works on the release, or was interrupted (helm, pkg/action/action.go).
pub fn is_taken(error: &ExecError) -> bool {
    error.mentions("another operation (install/upgrade/rollback) is in progress")
}

#[cfg(test)]
#[path = "helm_tests.rs"]
mod tests;
