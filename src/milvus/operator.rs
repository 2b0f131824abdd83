//! The operator's helm release: who installed it, and whether helm was interrupted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use semver::Version;

use crate::context::Context;
use crate::images::ImageRef;
use crate::kube::MANAGED_BY;
use crate::kube::object::Object;
use crate::load::find::explain;
use crate::milvus::OPERATOR;
use crate::milvus::removal::{DESCRIPTION, Ownership};
use crate::tools::helm::{Release, Revision};

/// How long helm may work on a release: its default `--timeout`, which milvusctl does not change.
pub(crate) const HELM_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The columns that [`Attempt::read`] parses.
const COLUMNS: &str = r"custom-columns=NAME:.metadata.name,UID:.metadata.uid,REVISION:.metadata.labels.version,STATUS:.metadata.labels.status,BEGUN:.metadata.labels.createdAt,MANAGER:.metadata.labels.app\.kubernetes\.io/managed-by";

/// The columns that [`outside_our_release`] parses.
const DEPLOYMENTS: &str = r"custom-columns=NAMESPACE:.metadata.namespace,NAME:.metadata.name,RELEASE:.metadata.annotations.meta\.helm\.sh/release-name,IN:.metadata.annotations.meta\.helm\.sh/release-namespace,IMAGES:.spec.template.spec.containers[*].image";

/// One revision of the release, from the Secret that helm stores it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The Secret.
    pub(crate) state: Object,
    /// Such as `deployed` or `pending-upgrade`.
    pub(crate) status: String,
    /// When helm began, in seconds since the Unix epoch by the clock of the machine that ran it.
    pub(crate) begun: Option<u64>,
    has_our_label: bool,
    revision: u32,
}

impl Attempt {
    fn read(text: &str, namespace: &str) -> Vec<Self> {
        let read = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, uid, revision, status, begun, manager] = words[..] else { return None };
            Some(Self {
                state: Object {
                    api_version: "v1".to_owned(),
                    kind: "Secret".to_owned(),
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    uid: uid.to_owned(),
                },
                status: status.to_owned(),
                begun: begun.parse().ok(),
                has_our_label: manager == MANAGED_BY.1,
                revision: revision.parse().ok()?,
            })
        };
        let mut attempts: Vec<Self> = text.lines().filter_map(read).collect();
        attempts.sort_by_key(|attempt| attempt.revision);
        attempts
    }

    /// How long ago helm began, by its clock; zero if unknown or in the future.
    pub(crate) fn age(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.begun.map_or(Duration::ZERO, |begun| now.saturating_sub(Duration::from_secs(begun)))
    }

    /// Whether helm began an operation that it has not finished.
    pub(crate) fn is_unfinished(&self) -> bool {
        is_unfinished(&self.status)
    }
}

/// Whether this status means an unfinished operation (helm, pkg/release/status.go). Helm refuses to touch
/// such a release, for ever.
pub(crate) fn is_unfinished(status: &str) -> bool {
    status.starts_with("pending-") || status == "uninstalling"
}

/// The operator release's revisions, oldest first; empty if helm stores them elsewhere than in Secrets.
///
/// # Errors
/// Fails when the cluster cannot be queried.
pub(crate) fn attempts(context: &Context) -> anyhow::Result<Vec<Attempt>> {
    let namespace = &context.settings.operator.namespace;
    let selector = format!("owner=helm,name={OPERATOR}");
    let args = ["secrets", "--namespace", namespace, "--selector", &selector];
    Ok(Attempt::read(&explain(context, context.kubectl().columns(&args, COLUMNS))?, namespace))
}

/// Who installed the operator's release.
///
/// # Errors
/// Fails when the cluster cannot be queried.
pub(crate) fn ownership(context: &Context, release: &Release) -> anyhow::Result<Ownership> {
    let namespace = &context.settings.operator.namespace;
    let helm = context.tools.helm(&context.kube_context());
    if explain(context, helm.description(OPERATOR, namespace))?.contains(DESCRIPTION) {
        return Ok(Ownership::Ours);
    }
    if release.status == "deployed" {
        return Ok(Ownership::Foreign);
    }
    // While it works and when it fails, helm replaces our description. Labels (since helm 3.13) and the
    // previous revision's description survive.
    if attempts(context)?.last().is_some_and(|last| last.has_our_label) {
        return Ok(Ownership::Ours);
    }
    let history = explain(context, helm.history(OPERATOR, namespace))?;
    let before = history.iter().rev().find(|revision| has_been_deployed(revision));
    let is_ours = before.is_some_and(|revision| revision.description.contains(DESCRIPTION));
    Ok(if is_ours { Ownership::Ours } else { Ownership::Foreign })
}

/// An operator that milvusctl does not manage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignOperator {
    /// Its release's chart, or its Deployment.
    pub(crate) what: String,
    /// Its version, if that can be known.
    pub(crate) version: Option<Version>,
}

impl ForeignOperator {
    pub(crate) fn of_release(release: &Release) -> Self {
        let version = release.chart_version().and_then(|version| Version::parse(version).ok());
        Self { what: release.chart.clone(), version }
    }
}

/// An operator from outside the release that milvusctl installs: applied from manifests, or installed under another name
/// or in another namespace.
///
/// # Errors
/// Fails when the cluster cannot be queried.
pub(crate) fn foreign_operator(context: &Context) -> anyhow::Result<Option<ForeignOperator>> {
    let deployments =
        explain(context, context.kubectl().columns(&["deployments", "--all-namespaces"], DEPLOYMENTS))?;
    Ok(outside_our_release(&deployments, &context.settings.operator.namespace))
}

/// Helm annotates everything it creates with its release. If that release is gone, helm adopts the objects.
fn outside_our_release(deployments: &str, namespace: &str) -> Option<ForeignOperator> {
    deployments.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [space, name, release, release_namespace, images] = words[..] else { return None };
        let is_operator = [name, images].iter().any(|word| word.contains(OPERATOR));
        let is_ours = (release, release_namespace) == (OPERATOR, namespace);
        let image = images.split(',').find(|image| image.contains(OPERATOR));
        let tag = image.and_then(|image| image.parse::<ImageRef>().ok()?.tag().map(str::to_owned));
        let version = tag.and_then(|tag| Version::parse(tag.trim_start_matches('v')).ok());
        let what = format!("milvus-operator of deployment `{space}/{name}`");
        (is_operator && !is_ours).then_some(ForeignOperator { what, version })
    })
}

fn has_been_deployed(revision: &Revision) -> bool {
    ["deployed", "superseded"].contains(&revision.status.as_str())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::process::ScriptedRunner;

    const SECRETS: &str = "kubectl --context kind-milvus-cluster get secrets --namespace milvus-operator --selector \
                           owner=helm,name=milvus-operator --no-headers --output";

    /// Who installed a release with this status, description, label `manager` on its latest Secret, and
    /// history.
    fn ownership_of(status: &str, description: &str, manager: &str, history: &str) -> Ownership {
        let helm = |verb: &str| {
            format!(
                "helm {verb} milvus-operator --kube-context kind-milvus-cluster --namespace milvus-operator --output json"
            )
        };
        let runner = ScriptedRunner::default()
            .answer(&helm("status"), &format!(r#"{{"info":{{"description":"{description}"}}}}"#))
            .answer(
                &format!("{SECRETS} '{COLUMNS}'"),
                &format!("sh.helm.release.v1.milvus-operator.v2 u-2 2 {status} 1764000000 {manager}\n"),
            )
            .answer(&helm("history"), history);
        let release = Release {
            name: OPERATOR.into(),
            namespace: OPERATOR.into(),
            status: status.into(),
            chart: "milvus-operator-1.3.8".into(),
            revision: "2".into(),
        };
        ownership(&Context::for_test(Arc::new(runner)), &release).unwrap()
    }

    /// What helm 3.17 and 4.3 say of a killed upgrade.
    const PREPARING: &str = "Preparing upgrade";
    const BY_US: &str = r#"[{"revision":1,"status":"deployed","description":"installed by milvusctl"},
                            {"revision":2,"status":"pending-upgrade","description":"Preparing upgrade"}]"#;
    const BY_THEM: &str = r#"[{"revision":1,"status":"deployed","description":"Install complete"},
                              {"revision":2,"status":"pending-upgrade","description":"Preparing upgrade"}]"#;

    #[test]
    fn a_deployed_release_is_identified_by_its_description() {
        assert_eq!(ownership_of("deployed", DESCRIPTION, "<none>", "[]"), Ownership::Ours);
        // An upgrade by somebody else keeps the label.
        assert_eq!(ownership_of("deployed", "Upgrade complete", "milvusctl", BY_US), Ownership::Foreign);
    }

    #[test]
    fn an_interrupted_release_is_identified_by_label_or_previous_revision() {
        assert_eq!(
            ownership_of("pending-install", "Initial install underway", "milvusctl", "[]"),
            Ownership::Ours
        );
        assert_eq!(
            ownership_of("failed", "Release \\\"milvus-operator\\\" failed: x", "milvusctl", "[]"),
            Ownership::Ours
        );
        assert_eq!(ownership_of("pending-upgrade", PREPARING, "<none>", BY_US), Ownership::Ours);
        assert_eq!(ownership_of("pending-upgrade", PREPARING, "<none>", BY_THEM), Ownership::Foreign);
        assert_eq!(
            ownership_of("pending-install", "Initial install underway", "<none>", "[]"),
            Ownership::Foreign
        );
    }

    #[test]
    fn attempts_are_sorted_by_revision() {
        let text = "a.v10 u-10 10 pending-upgrade 1764000000 milvusctl\n\
                    a.v9 u-9 9 deployed 1763000000 <none>\nNo resources found\n";
        let attempts = Attempt::read(text, "n");
        let names: Vec<&str> = attempts.iter().map(|attempt| attempt.state.name.as_str()).collect();
        assert_eq!(names, ["a.v9", "a.v10"]);
        assert!(attempts[1].is_unfinished() && attempts[1].age() > HELM_LIMIT, "{attempts:?}");
        assert_eq!(Attempt { begun: None, ..attempts[1].clone() }.age(), Duration::ZERO);
    }

    #[test]
    fn an_operator_outside_our_release_is_foreign() {
        let image = "milvusdb/milvus-operator:v1.3.8";
        for (deployments, expected) in [
            (String::new(), None),
            ("default web <none> <none> nginx:1\n".into(), None),
            (format!("milvus-operator milvus-operator milvus-operator milvus-operator {image}\n"), None),
            // As applied from milvus-operator's deployment.yaml.
            (
                format!("milvus-operator milvus-operator <none> <none> {image}\n"),
                Some(("milvus-operator/milvus-operator", Some("1.3.8"))),
            ),
            (format!("tools mine mine tools proxy:1,{image}\n"), Some(("tools/mine", Some("1.3.8")))),
            (
                "tools milvus-operator milvus-operator tools mine/milvus-operator@sha256:0\n".into(),
                Some(("tools/milvus-operator", None)),
            ),
        ] {
            let expected = expected.map(|(deployment, version): (&str, Option<&str>)| ForeignOperator {
                what: format!("milvus-operator of deployment `{deployment}`"),
                version: version.map(|version| version.parse().unwrap()),
            });
            assert_eq!(outside_our_release(&deployments, OPERATOR), expected, "{deployments}");
        }
    }

    #[test]
    fn unfinished_statuses_are_recognised() {
        for status in ["pending-install", "pending-upgrade", "pending-rollback", "uninstalling"] {
            assert!(is_unfinished(status), "{status}");
        }
        for status in ["deployed", "failed", "superseded", "uninstalled", "unknown"] {
            assert!(!is_unfinished(status), "{status}");
        }
    }
}
