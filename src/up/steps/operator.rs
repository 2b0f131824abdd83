//! The operator's chart.

use anyhow::Context as _;

use crate::context::Context;
use crate::error::Note;
use crate::tools::Helm;
use crate::tools::helm::Install;
use crate::up::work::{Progress, StepOutcome, Work};

/// Installs or upgrades the operator.
pub(crate) struct InstallOperator {
    pub(crate) install: Install,
    /// Why the release that is there is upgraded; none where there is no release.
    pub(crate) upgrade: Option<String>,
}

impl InstallOperator {
    /// Where the chart comes from.
    fn source(&self) -> &str {
        self.install.repo.as_deref().unwrap_or(&self.install.chart)
    }

    fn way_out(&self) -> &'static str {
        // A chart of a repository has a version, a file is one.
        if self.install.version.is_some() {
            "check `--operator-repo` and `--operator-version`; `helm search repo --versions` shows what there is"
        } else {
            "`-v` shows the command; run the same command again to go on"
        }
    }
}

impl Work for InstallOperator {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        let helm = context.tools.helm(&context.kube_context());
        let install = helm.install_command(&self.install)?.to_script();
        if self.upgrade.is_none() {
            return Ok(install);
        }
        let crds = Helm::crds_command(&self.install);
        Ok(format!("{crds} | {}\n{install}", context.kubectl().apply_command()))
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        let operator = &context.settings.operator;
        let step = context.ui.step(&format!("Installing milvus-operator {}", operator.version));
        let helm = context.tools.helm(&context.kube_context());
        if let Some(why) = &self.upgrade {
            context.ui.verbose(&format!("upgrading the operator: {why}"));
            // helm leaves what is in a chart's `crds` folder as it was first installed.
            let crds = helm.chart_crds(&self.install).with_context(|| {
                format!("could not read the resource definitions of milvus-operator {}", operator.version)
            })?;
            if !crds.trim().is_empty() {
                step.waits_for("its resource definitions");
                context.kubectl().apply(&crds).context("could not upgrade the resource definitions")?;
            }
        }
        helm.install(&self.install)
            .with_context(|| {
                format!("could not install milvus-operator {} from {}", operator.version, self.source())
            })
            .hint(self.way_out())?;
        step.done(&format!("Installed milvus-operator {}", operator.version));
        Ok(StepOutcome::Done)
    }
}
