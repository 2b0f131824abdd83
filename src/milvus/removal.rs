//! Plans what `down --context` removes from an existing cluster and what it leaves. Pure.
//!
//! Only what is provably milvusctl's is removed: the Milvus with its label, what belongs to that Milvus, and
//! the operator if milvusctl installed it and no other Milvus needs it. Volumes stay unless the user asks for
//! their deletion.

use serde_json::{Value, json};

use crate::kube::object::Object;
use crate::milvus::OPERATOR;
use crate::milvus::belongings::{Belongings, Owner};
use crate::process::quote;

/// The description of the releases that milvusctl installs; a release without it is somebody else's.
pub(crate) const DESCRIPTION: &str = "installed by milvusctl";

/// The finalizer that the operator sets on a Milvus, and without which running a deletion never ends.
pub(crate) const FINALIZER: &str = "milvus.milvus.io/finalizer";

/// Who installed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// There is none.
    Absent,
    /// milvusctl made it.
    Ours,
    /// Somebody else made it.
    Foreign,
}

/// The configured Milvus as the cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveMilvus {
    pub(crate) object: Object,
    /// The creation time.
    pub(crate) created: String,
    /// Whether milvusctl applied it.
    pub(crate) is_ours: bool,
    /// Whether its deletion waits for the operator.
    pub(crate) has_finalizer: bool,
}

impl LiveMilvus {
    /// What its belongings are matched against.
    pub(crate) fn owner(&self) -> Owner {
        Owner { uid: self.object.uid.clone(), created: self.created.clone() }
    }
}

/// The operator, wherever it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operators {
    /// At least one Deployment has an available pod.
    Running,
    /// These Deployments (`NAMESPACE/NAME`) exist, but none has a ready pod.
    Stopped(Vec<String>),
    /// There is none.
    Absent,
}

impl Operators {
    /// Parses lines of Deployments: namespace, name, available replicas, images. A Deployment is an operator
    /// if its name or an image says so: chart values may rename the Deployment, and a mirror may rename the
    /// image.
    pub(crate) fn read(text: &str) -> Self {
        let mut stopped = Vec::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [namespace, name, ready, images] = words[..] else { continue };
            if ![name, images].iter().any(|word| word.contains(OPERATOR)) {
                continue;
            }
            if ready.parse::<u32>().is_ok_and(|ready| ready > 0) {
                return Self::Running;
            }
            stopped.push(format!("{namespace}/{name}"));
        }
        if stopped.is_empty() { Self::Absent } else { Self::Stopped(stopped) }
    }
}

/// What the cluster has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InCluster {
    /// The configured Milvus.
    pub(crate) milvus: Option<LiveMilvus>,
    /// Every other Milvus, as `NAMESPACE/NAME`.
    pub(crate) other_milvus: Vec<String>,
    /// Who installed the operator's release.
    pub(crate) operator: Ownership,
    /// Whether any operator is running.
    pub(crate) operators: Operators,
    /// What belongs to the Milvus.
    pub(crate) belongings: Belongings,
}

/// What to remove, and what to keep and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Removal {
    /// The Milvus.
    pub(crate) milvus: Option<Object>,
    /// The releases of its dependencies.
    pub(crate) releases: Vec<String>,
    /// Everything else except volumes.
    pub(crate) objects: Vec<Object>,
    /// The claims to delete along with their data.
    pub(crate) volumes: Vec<Object>,
    /// Its claims that are kept.
    pub(crate) staying: Vec<Object>,
    /// Whether the operator is uninstalled.
    pub(crate) operator: bool,
    /// Messages about what is kept.
    pub(crate) kept: Vec<String>,
}

impl Removal {
    /// Decides what to remove.
    pub(crate) fn plan(found: &InCluster, release: &str, delete_data: bool) -> Self {
        let mut kept = Vec::new();
        let is_others = found.milvus.as_ref().is_some_and(|milvus| !milvus.is_ours);
        if is_others {
            kept.push(format!("Milvus `{release}`: not created by milvusctl"));
        }
        let others = &found.other_milvus;
        let has_others = is_others || !others.is_empty();
        match found.operator {
            Ownership::Foreign => kept.push("milvus-operator: not installed by milvusctl".to_owned()),
            Ownership::Ours if has_others => kept.push(match others.first() {
                Some(other) => format!("milvus-operator: Milvus `{other}` needs it"),
                None => format!("milvus-operator: Milvus `{release}` needs it"),
            }),
            _ => {}
        }
        // The parts of somebody else's Milvus are theirs too.
        let ours = if is_others {
            let unproven = found.belongings.unproven.clone();
            Belongings { unproven, ..Belongings::default() }
        } else {
            found.belongings.clone()
        };
        let (volumes, staying) =
            if delete_data { (ours.volumes, Vec::new()) } else { (Vec::new(), ours.volumes) };
        kept.extend(staying.iter().map(ToString::to_string));
        kept.extend(ours.unproven);
        Self {
            milvus: found.milvus.as_ref().filter(|milvus| milvus.is_ours).map(|milvus| milvus.object.clone()),
            releases: ours.releases,
            objects: ours.objects,
            volumes,
            staying,
            operator: found.operator == Ownership::Ours && !has_others,
            kept,
        }
    }

    /// Whether there is nothing to remove.
    pub(crate) fn is_nothing(&self) -> bool {
        self.names().is_empty()
    }

    /// Everything to remove, by name.
    pub(crate) fn names(&self) -> Vec<String> {
        let milvus = self.milvus.iter().map(ToString::to_string);
        let releases = self.releases.iter().map(|release| format!("helm release {release}"));
        let objects = self.objects.iter().map(ToString::to_string);
        let volumes = self.volumes.iter().map(|volume| format!("{volume} AND ITS DATA"));
        let operator = self.operator.then(|| "helm release milvus-operator".to_owned());
        milvus.chain(releases).chain(objects).chain(volumes).chain(operator).collect()
    }
}

/// Why a removal cannot begin, and the way out: with no operator running, its finalizer blocks the deletion
/// for ever.
pub(crate) fn obstacle(found: &InCluster, kube_context: &str) -> Option<(String, String)> {
    let milvus = found.milvus.as_ref().filter(|milvus| milvus.is_ours && milvus.has_finalizer)?;
    let (name, namespace) = (&milvus.object.name, &milvus.object.namespace);
    let context = quote(kube_context);
    let (why, cure) = match &found.operators {
        Operators::Running => return None,
        Operators::Stopped(deployments) => {
            let first = deployments.first().map_or("", String::as_str);
            let (space, deployment) = first.split_once('/').unwrap_or_default();
            (
                format!("milvus-operator (deployment {first}) has no ready pod"),
                format!(
                    "`kubectl --context {context} --namespace {space} scale deployment {deployment} --replicas 1` \
                     restarts it"
                ),
            )
        }
        Operators::Absent => (
            "the cluster has no milvus-operator".to_owned(),
            format!("`milvusctl up --context {context}` reinstalls it"),
        ),
    };
    Some((
        format!(
            "cannot remove Milvus `{namespace}/{name}`: {why}, and only the operator clears the finalizer"
        ),
        format!(
            "{cure}; or abandon the Milvus with `kubectl --context {context} --namespace {namespace} patch milvus \
             {name} --type merge --patch '{{\"metadata\":{{\"finalizers\":null}}}}'`, then run this command again to \
             remove the rest"
        ),
    ))
}

/// The patch that makes the operator delete the dependencies along with the Milvus of `spec`, or `None` if
/// there is nothing to change.
///
/// By default it leaves them behind. Claims are never left to it, even if it was told to delete them: it
/// finds most by labels that others may use as well.
pub(crate) fn deletion_patch(spec: &Value) -> Option<Value> {
    let dependencies = &spec["dependencies"];
    let store = dependencies["msgStreamType"].as_str().unwrap_or("pulsar");
    let mut patch = serde_json::Map::new();
    for name in ["etcd", "storage", "tei", store] {
        let dependency = &dependencies[name];
        let is_inside = match name {
            "tei" => dependency["enabled"] == true,
            "etcd" | "storage" | "pulsar" | "kafka" => dependency["external"] != true,
            _ => false,
        };
        if is_inside {
            let policy = json!({"inCluster": {"deletionPolicy": "Delete", "pvcDeletion": false}});
            patch.insert(name.to_owned(), policy);
        }
        if dependency["persistence"]["pvcDeletion"] == true {
            patch.insert(name.to_owned(), json!({"persistence": {"pvcDeletion": false}}));
        }
    }
    (!patch.is_empty()).then(|| json!({"spec": {"dependencies": patch}}))
}

#[cfg(test)]
#[path = "removal_tests.rs"]
mod tests;
