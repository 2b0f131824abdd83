//! The operator's chart.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::milvus::OPERATOR;
use crate::milvus::look::milvuses;
use crate::milvus::operator::{Attempt, HELM_LIMIT, attempts};
use crate::process::{ExecError, quote};
use crate::tools::Helm;
use crate::tools::helm::{Install, is_taken, is_without_chart};
use crate::ui::{self, Step};
use crate::up::work::{Progress, StepOutcome, Work};

/// Installs or upgrades the operator.
pub(crate) struct InstallOperator {
    pub(crate) install: Install,
    /// Why the release that is there is upgraded; none where there is no release.
    pub(crate) upgrade: Option<String>,
    /// Whether helm has begun a change of the release that is there and has not ended it.
    pub(crate) is_unfinished: bool,
}

/// How long to wait between two looks at a helm that may be at work.
const POLL: Duration = Duration::from_secs(3);

impl InstallOperator {
    /// Where the chart comes from.
    fn source(&self) -> &str {
        self.install.repo.as_deref().unwrap_or(&self.install.chart)
    }

    /// What to do about helm's failure, where it is the chart or another helm that fails it.
    fn way_out(&self, error: &ExecError) -> Option<&'static str> {
        if is_taken(error) {
            return Some(
                "another helm is at work on it, or was stopped; run the same command again, which sees to it",
            );
        }
        // A chart of a repository has a version, a file is one.
        (is_without_chart(error) && self.install.version.is_some()).then_some(
            "check `--operator-repo` and `--operator-version`; `helm search repo --versions` shows what there is",
        )
    }
}

/// Waits for a helm that may still be at work, for as long as one may be; then lets go of what it began.
///
/// helm refuses a release in such a state for ever. Without the Secret of the attempt it goes on from the revision
/// before, or installs anew and takes over what is there: the objects carry its annotations. So nothing that runs
/// is touched, whereas uninstalling would take the definitions along, and with them every Milvus.
fn let_go(context: &Context, step: &Step) -> anyhow::Result<()> {
    let begun_waiting = Instant::now();
    loop {
        let Some(last) = attempts(context)?.pop().filter(Attempt::is_unfinished) else { return Ok(()) };
        let age = last.age().max(begun_waiting.elapsed());
        if age >= HELM_LIMIT {
            return give_up(context, &last);
        }
        let timeout = context.settings.up.timeout;
        if begun_waiting.elapsed() >= timeout {
            bail!(Failure::new(
                Exit::TimedOut,
                format!(
                    "another helm is at work on {OPERATOR} (`{}`), and was not done after {}",
                    last.status,
                    ui::seconds(timeout)
                )
            ));
        }
        let left = HELM_LIMIT.saturating_sub(age);
        step.waits_for(&format!(
            "another helm to end (`{}`, at most {} more)",
            last.status,
            ui::seconds(left)
        ));
        context.sleep(POLL.min(left))?;
    }
}

/// Lets go of an attempt that no helm is at work on any more.
fn give_up(context: &Context, attempt: &Attempt) -> anyhow::Result<()> {
    let namespace = &attempt.state.namespace;
    if attempt.status == "uninstalling" {
        let (own, mut others) = milvuses(context)?;
        others.extend(own.map(|own| format!("{}/{}", own.object.namespace, own.object.name)));
        if let Some(milvus) = others.first() {
            bail!(
                Failure::new(
                    Exit::Failed,
                    format!("helm was stopped while it uninstalled {OPERATOR}, and Milvus `{milvus}` is there")
                )
                .hint(format!(
                    "`helm uninstall {OPERATOR} --kube-context {} --namespace {namespace}` ends it; the operator's \
                     definitions go with it, and every Milvus with them",
                    quote(&context.kube_context())
                ))
            );
        }
        let helm = context.tools.helm(&context.kube_context());
        return helm
            .uninstall(OPERATOR, namespace)
            .with_context(|| format!("could not end the uninstallation of {OPERATOR} that was begun"));
    }
    let deleted = context.kubectl().delete_exactly(&attempt.state);
    deleted.with_context(|| format!("could not let go of helm's `{}` of {OPERATOR}", attempt.status))?;
    context.ui.line(&format!(
        "Let go of helm's `{}` of {OPERATOR}, which was begun and not ended ({})",
        attempt.status, attempt.state
    ));
    Ok(())
}

impl Work for InstallOperator {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        let helm = context.tools.helm(&context.kube_context());
        let mut install = helm.install_command(&self.install)?.to_script();
        if self.is_unfinished
            && let Some(last) = attempts(context)?.pop().filter(Attempt::is_unfinished)
        {
            let first = match last.status.as_str() {
                "uninstalling" => helm.uninstall_command(OPERATOR, &last.state.namespace),
                _ => context.kubectl().delete_command(&last.state),
            };
            install = format!("{}\n{install}", first.to_script());
        }
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
        if self.is_unfinished {
            let_go(context, &step)?;
        }
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
        if let Err(error) = helm.install(&self.install) {
            let way_out = self.way_out(&error);
            let from = self.source();
            let what = format!("could not install milvus-operator {} from {from}", operator.version);
            let failed = Err(error).context(what);
            return match way_out {
                Some(hint) => failed.hint(hint),
                None => failed,
            };
        }
        step.done(&format!("Installed milvus-operator {}", operator.version));
        Ok(StepOutcome::Done)
    }
}
