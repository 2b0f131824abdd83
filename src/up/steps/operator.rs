//! The operator's chart.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::milvus::OPERATOR;
use crate::milvus::definition::TerminatingCrd;
use crate::milvus::look::milvuses;
use crate::milvus::operator::{Attempt, HELM_LIMIT, attempts};
use crate::process::{ExecError, quote};
use crate::tools::Helm;
use crate::tools::helm::{Install, is_taken, is_without_chart};
use crate::ui::{self, StepLine};
use crate::up::work::{Progress, StepOutcome, Work};

/// Installs or upgrades the operator.
pub(crate) struct InstallOperator {
    pub(crate) install: Install,
    /// Why to upgrade the existing release; `None` without one.
    pub(crate) upgrade: Option<String>,
    /// Whether the existing release has an unfinished helm operation.
    pub(crate) is_unfinished: bool,
}

/// How often to check a helm that may be running.
const POLL: Duration = Duration::from_secs(3);

impl InstallOperator {
    /// Where the chart comes from.
    fn source(&self) -> &str {
        self.install.repo.as_deref().unwrap_or(&self.install.chart)
    }

    /// Installs the chart so that its definitions stay, even if those of an uninstalled operator are still
    /// being deleted: helm would adopt them and not notice when they vanish a moment later.
    fn install_with_definitions(&self, context: &Context, step: &StepLine) -> anyhow::Result<()> {
        if let Some(leaving) = TerminatingCrd::find(context)? {
            if !TerminatingCrd::blockers(context)?.is_empty() {
                // Only an operator releases them, and they must be gone before the definition can be deleted.
                self.install(context)?;
            }
            leaving.wait_until_gone(context, step)?;
        }
        self.install(context)
    }

    fn install(&self, context: &Context) -> anyhow::Result<()> {
        let Err(error) = context.tools.helm(&context.kube_context()).install(&self.install) else {
            return Ok(());
        };
        let (hint, from) = (self.hint(&error), self.source());
        let version = &context.settings.operator.version;
        let failed =
            Err(error).with_context(|| format!("could not install milvus-operator {version} from {from}"));
        match hint {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }

    /// A hint for helm's failure, if the chart or another helm caused it.
    fn hint(&self, error: &ExecError) -> Option<&'static str> {
        if is_taken(error) {
            return Some("another helm is working on it, or was stopped; rerun, which handles both");
        }
        // Only a chart from a repository has a version here.
        (is_without_chart(error) && self.install.version.is_some()).then_some(
            "check `--operator-repo` and `--operator-version`; `helm search repo --versions` lists what is available",
        )
    }
}

/// Waits as long as another helm may still be running, then clears what it left unfinished.
///
/// helm refuses a release in such a state forever. Without the Secret of that attempt, it continues from the
/// previous revision, or installs afresh and adopts existing objects by their annotations. Running workloads
/// are not touched, whereas uninstalling would delete the definitions and with them every Milvus.
fn clear_unfinished(context: &Context, step: &StepLine) -> anyhow::Result<()> {
    let begun_waiting = Instant::now();
    loop {
        let Some(last) = attempts(context)?.pop().filter(Attempt::is_unfinished) else { return Ok(()) };
        let age = last.age().max(begun_waiting.elapsed());
        if age >= HELM_LIMIT {
            return clear(context, &last);
        }
        let timeout = context.settings.up.timeout;
        if begun_waiting.elapsed() >= timeout {
            bail!(Failure::new(
                Exit::TimedOut,
                format!(
                    "another helm is working on {OPERATOR} (`{}`), and was not done after {}",
                    last.status,
                    ui::seconds(timeout)
                )
            ));
        }
        let left = HELM_LIMIT.saturating_sub(age);
        step.waits_for(&format!(
            "another helm to finish (`{}`, at most {} more)",
            last.status,
            ui::seconds(left)
        ));
        context.sleep(POLL.min(left))?;
    }
}

/// Clears an attempt that no helm is working on any more.
fn clear(context: &Context, attempt: &Attempt) -> anyhow::Result<()> {
    let namespace = &attempt.state.namespace;
    if attempt.status == "uninstalling" {
        let (own, mut others) = milvuses(context)?;
        others.extend(own.map(|own| format!("{}/{}", own.object.namespace, own.object.name)));
        if let Some(milvus) = others.first() {
            bail!(
                Failure::new(
                    Exit::Failed,
                    format!("helm was stopped while uninstalling {OPERATOR}, and Milvus `{milvus}` still exists")
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
            .with_context(|| format!("could not finish uninstalling {OPERATOR}"));
    }
    let deleted = context.kubectl().delete_exactly(&attempt.state);
    deleted.with_context(|| format!("could not clear helm's `{}` release of {OPERATOR}", attempt.status))?;
    context.ui.line(&format!(
        "Cleared helm's `{}` release of {OPERATOR}, which was never finished ({})",
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
        if self.upgrade.is_some() {
            let apply = context.kubectl().apply_command();
            install = format!(
                "crds=$({})\n[ -z \"$crds\" ] || printf '%s\\n' \"$crds\" | {apply}\n{install}",
                Helm::crds_command(&self.install)
            );
        }
        if let Some(bundle) = &context.settings.images.bundle {
            let (bundle, chart) = (quote(&bundle.display().to_string()), quote(&self.install.chart));
            install = format!("tar --extract --file {bundle} {chart}\n{install}");
        }
        Ok(install)
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        let operator = &context.settings.operator;
        let step = context.ui.step(&format!("Installing milvus-operator {}", operator.version));
        let helm = context.tools.helm(&context.kube_context());
        if self.is_unfinished {
            clear_unfinished(context, &step)?;
        }
        if let Some(why) = &self.upgrade {
            context.ui.verbose(&format!("upgrading the operator: {why}"));
            // helm never updates what is in a chart's `crds` folder.
            let crds = helm.chart_crds(&self.install).with_context(|| {
                format!("could not read the resource definitions of milvus-operator {}", operator.version)
            })?;
            if !crds.trim().is_empty() {
                step.waits_for("its resource definitions");
                context.kubectl().apply(&crds).context("could not upgrade the resource definitions")?;
            }
        }
        self.install_with_definitions(context, &step)?;
        step.done(&format!("Installed milvus-operator {}", operator.version));
        Ok(StepOutcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::process::ScriptedRunner;

    const DEFINITION: &str = "kubectl --context kind-milvus-cluster get customresourcedefinitions \
                              milvuses.milvus.io --no-headers --output \
                              custom-columns=AT:.metadata.deletionTimestamp,UID:.metadata.uid";
    const HELD_BY: &str = "kubectl --context kind-milvus-cluster get milvuses.v1beta1.milvus.io \
                           --all-namespaces --no-headers --output \
                           custom-columns=NAMESPACE:.metadata.namespace,NAME:.metadata.name";
    const INSTALL: &str = "helm upgrade --install milvus-operator o.tgz --kube-context kind-milvus-cluster \
                           --namespace o --create-namespace --description d --labels app.kubernetes.io/managed-by=milvusctl --values -";
    const ABSENT: &str = "Error from server (NotFound): customresourcedefinitions.apiextensions.k8s.io \
                          \"milvuses.milvus.io\" not found";
    const LEAVING: &str = "2026-11-25T13:00:00Z   u-1\n";

    /// Runs the step and returns the names of the commands it ran.
    fn install(runner: ScriptedRunner) -> Vec<&'static str> {
        let runner = Arc::new(
            runner.answer("helm version --short", "v3.20.0\n").answer(INSTALL, "Release is deployed\n"),
        );
        let context = Context::for_test(runner.clone());
        let install = Install {
            release: "milvus-operator".into(),
            namespace: "o".into(),
            chart: "o.tgz".into(),
            repo: None,
            version: None,
            values: String::new(),
            description: "d".into(),
        };
        InstallOperator { install, upgrade: None, is_unfinished: false }
            .run(&context, &mut Progress::default())
            .unwrap();
        let names = [(DEFINITION, "definition"), (HELD_BY, "held by"), (INSTALL, "install")];
        let asked = runner.asked();
        asked.iter().filter_map(|line| Some(names.iter().find(|(known, _)| line == known)?.1)).collect()
    }

    #[test]
    fn the_chart_is_installed_once() {
        for runner in [
            ScriptedRunner::default().fail(DEFINITION, ABSENT),
            ScriptedRunner::default().answer(DEFINITION, "<none>   u-1\n"),
        ] {
            assert_eq!(install(runner), ["definition", "install"]);
        }
    }

    #[test]
    fn the_chart_waits_for_a_definition_being_deleted() {
        let runner = ScriptedRunner::default()
            .answer(DEFINITION, LEAVING)
            .answer(DEFINITION, LEAVING)
            .fail(DEFINITION, ABSENT)
            .answer(HELD_BY, "");
        assert_eq!(install(runner), ["definition", "held by", "definition", "definition", "install"]);
    }

    #[test]
    fn a_definition_blockers_a_milvus_is_released_by_the_operator_and_reinstalled() {
        let runner = ScriptedRunner::default()
            .answer(DEFINITION, LEAVING)
            .answer(DEFINITION, "<none>   u-2\n")
            .answer(HELD_BY, "default   m\n");
        assert_eq!(install(runner), ["definition", "held by", "install", "definition", "install"]);
    }
}
