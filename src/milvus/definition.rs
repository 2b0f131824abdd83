//! The custom resource definition (CRD) of Milvus, which uninstalling the operator's chart deletes.

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::load::find::explain;
use crate::tools::kubectl::{DEFINITION, MILVUSES, is_absent};
use crate::ui::StepLine;

const COLUMNS: &str = "custom-columns=AT:.metadata.deletionTimestamp,UID:.metadata.uid";
const NAMES: &str = "custom-columns=NAMESPACE:.metadata.namespace,NAME:.metadata.name";

/// The polling interval. The API server itself checks every 5 seconds whether a CRD's resources are gone
/// (apiextensions-apiserver, `crd_finalizer.go`).
const POLL: Duration = Duration::from_secs(1);

/// A CRD that is being deleted.
///
/// Helm would take it for installed, and leave the cluster without a CRD.
pub(crate) struct TerminatingCrd {
    uid: String,
}

impl TerminatingCrd {
    /// Finds the CRD if it exists and is being deleted.
    ///
    /// # Errors
    /// Fails when the cluster cannot be queried.
    pub(crate) fn find(context: &Context) -> anyhow::Result<Option<Self>> {
        let line = match context.kubectl().columns(&["customresourcedefinitions", DEFINITION], COLUMNS) {
            Err(error) if is_absent(&error) => return Ok(None),
            line => explain(context, line)?,
        };
        Ok(terminating_uid(&line).map(|uid| Self { uid: uid.to_owned() }))
    }

    /// The resources that block the deletion, each as `NAMESPACE/NAME`.
    ///
    /// # Errors
    /// Fails when the cluster cannot be queried.
    pub(crate) fn blockers(context: &Context) -> anyhow::Result<Vec<String>> {
        match context.kubectl().columns(&[MILVUSES, "--all-namespaces"], NAMES) {
            Err(error) if is_absent(&error) => Ok(Vec::new()),
            listed => Ok(names(&explain(context, listed)?)),
        }
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// Fails when the cluster cannot be queried, and with [`Exit::TimedOut`] after `--timeout`.
    pub(crate) fn wait_until_gone(&self, context: &Context, step: &StepLine) -> anyhow::Result<()> {
        let timeout = context.settings.up.timeout;
        let end = Instant::now() + timeout;
        while Self::find(context)?.is_some_and(|found| found.uid == self.uid) {
            if Instant::now() > end {
                bail!(Self::stays(context, timeout)?);
            }
            step.waits_for("the old resource definitions to be deleted");
            context.sleep(POLL)?;
        }
        Ok(())
    }

    fn stays(context: &Context, timeout: Duration) -> anyhow::Result<Failure> {
        let blockers = Self::blockers(context)?;
        let said = format!("`{DEFINITION}` is still being deleted after {}", crate::ui::seconds(timeout));
        Ok(match blockers.first().and_then(|name| name.split_once('/')) {
            None => Failure::new(Exit::TimedOut, said)
                .hint(format!("`kubectl describe customresourcedefinitions {DEFINITION}` shows why")),
            Some((namespace, name)) => {
                Failure::new(Exit::TimedOut, format!("{said}: Milvus `{}` blocks it", blockers.join("`, `")))
                    .hint(format!(
                        "to abandon it: `kubectl --namespace {namespace} patch milvus {name} \
                         --type=merge --patch '{{\"metadata\":{{\"finalizers\":null}}}}'`"
                    ))
            }
        })
    }
}

/// The UID in the columns of a CRD, if it is being deleted.
fn terminating_uid(line: &str) -> Option<&str> {
    let mut columns = line.split_whitespace();
    let (at, uid) = (columns.next()?, columns.next()?);
    (at != "<none>").then_some(uid)
}

fn names(lines: &str) -> Vec<String> {
    let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    lines.lines().map(columns).filter(|columns| columns.len() == 2).map(|columns| columns.join("/")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_crd_being_deleted_is_terminating() {
        assert_eq!(terminating_uid("2026-11-25T13:00:00Z   8a1c\n"), Some("8a1c"));
        assert_eq!(terminating_uid("<none>   8a1c\n"), None);
        assert_eq!(terminating_uid(""), None);
    }

    #[test]
    fn blocking_resources_are_named_with_their_namespace() {
        assert_eq!(names("default      my-release\nvectors   a\n"), ["default/my-release", "vectors/a"]);
        assert!(names("").is_empty());
    }
}
