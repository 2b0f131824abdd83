//! What `down --context` takes away from an existing cluster, and what it leaves. Pure.
//!
//! Only what is proven to be milvusctl's goes: the Milvus that carries its label, what belongs to that Milvus, and
//! the operator where milvusctl installed it and nobody else has a Milvus. Volumes stay unless asked for.

use serde_json::{Value, json};

use crate::kube::object::Object;
use crate::milvus::OPERATOR;
use crate::milvus::belongings::{Belongings, Owner};
use crate::process::quote;

/// How milvusctl describes the releases that it installs; a release without these words is somebody else's.
pub(crate) const DESCRIPTION: &str = "installed by milvusctl";

/// The finalizer that the operator puts on a Milvus: without an operator its deletion never ends.
pub(crate) const FINALIZER: &str = "milvus.milvus.io/finalizer";

/// Whose something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// There is none.
    Nobodys,
    /// milvusctl made it.
    Ours,
    /// Somebody else made it.
    Others,
}

/// The Milvus of the settings, as it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveMilvus {
    pub(crate) object: Object,
    /// When it was made.
    pub(crate) created: String,
    /// Whether milvusctl applied it.
    pub(crate) is_ours: bool,
    /// Whether its deletion waits for the operator.
    pub(crate) has_finalizer: bool,
}

impl LiveMilvus {
    /// By what its belongings are known.
    pub(crate) fn owner(&self) -> Owner {
        Owner { uid: self.object.uid.clone(), created: self.created.clone() }
    }
}

/// The operator, wherever it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operators {
    /// At least one is available.
    Running,
    /// These Deployments are there, as namespace and name, and none of their pods is ready.
    Stopped(Vec<String>),
    /// There is none.
    Absent,
}

impl Operators {
    /// Reads lines of namespace, name, available replicas and images of Deployments. A chart's values may give the
    /// Deployment any name, and a mirror the image another registry, so either tells.
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

/// What was found in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InCluster {
    /// The Milvus of the settings.
    pub(crate) milvus: Option<LiveMilvus>,
    /// Every other Milvus, as namespace and name.
    pub(crate) other_milvus: Vec<String>,
    /// The operator's release.
    pub(crate) operator: Whose,
    /// Whether an operator is at work.
    pub(crate) operators: Operators,
    /// What belongs to the Milvus.
    pub(crate) belongings: Belongings,
}

/// What is taken away, and what is not and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Removal {
    /// The Milvus.
    pub(crate) milvus: Option<Object>,
    /// The releases of its dependencies.
    pub(crate) releases: Vec<String>,
    /// Everything else but volumes.
    pub(crate) objects: Vec<Object>,
    /// The claims of which the data is deleted.
    pub(crate) volumes: Vec<Object>,
    /// The claims that stay and are known to be its.
    pub(crate) staying: Vec<Object>,
    /// Whether the operator is uninstalled.
    pub(crate) operator: bool,
    /// What stays, in words.
    pub(crate) kept: Vec<String>,
}

impl Removal {
    /// Decides what goes.
    pub(crate) fn plan(found: &InCluster, release: &str, delete_data: bool) -> Self {
        let mut kept = Vec::new();
        let is_others = found.milvus.as_ref().is_some_and(|milvus| !milvus.is_ours);
        if is_others {
            kept.push(format!("Milvus `{release}`: it was not made by milvusctl"));
        }
        let others = &found.other_milvus;
        let has_others = is_others || !others.is_empty();
        match found.operator {
            Whose::Others => kept.push("milvus-operator: it was not installed by milvusctl".to_owned()),
            Whose::Ours if has_others => kept.push(match others.first() {
                Some(other) => format!("milvus-operator: Milvus `{other}` needs it"),
                None => format!("milvus-operator: Milvus `{release}` needs it"),
            }),
            _ => {}
        }
        // The parts of a Milvus that is somebody else's are so as well.
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
            operator: found.operator == Whose::Ours && !has_others,
            kept,
        }
    }

    /// Whether there is nothing to take away.
    pub(crate) fn is_nothing(&self) -> bool {
        self.names().is_empty()
    }

    /// Everything that goes, each by its name.
    pub(crate) fn names(&self) -> Vec<String> {
        let milvus = self.milvus.iter().map(ToString::to_string);
        let releases = self.releases.iter().map(|release| format!("helm release {release}"));
        let objects = self.objects.iter().map(ToString::to_string);
        let volumes = self.volumes.iter().map(|volume| format!("{volume} AND ITS DATA"));
        let operator = self.operator.then(|| "helm release milvus-operator".to_owned());
        milvus.chain(releases).chain(objects).chain(volumes).chain(operator).collect()
    }
}

/// Why a removal cannot begin, and what to do: the operator's finalizer keeps the Milvus for ever without it.
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
                format!("milvus-operator (deployment {first}) has no pod that is ready"),
                format!(
                    "`kubectl --context {context} --namespace {space} scale deployment {deployment} --replicas 1` \
                     starts one that was stopped"
                ),
            )
        }
        Operators::Absent => (
            "there is no milvus-operator in the cluster".to_owned(),
            format!("`milvusctl up --context {context}` installs it again"),
        ),
    };
    Some((
        format!("Milvus `{namespace}/{name}` cannot be removed: {why}, and only it takes its finalizer away"),
        format!(
            "{cure}; or give the Milvus up with `kubectl --context {context} --namespace {namespace} patch milvus \
             {name} --type merge --patch '{{\"metadata\":{{\"finalizers\":null}}}}'`, then run this again: it removes \
             what is left"
        ),
    ))
}

/// The patch that makes the operator take the dependencies along when the Milvus of `spec` is deleted.
///
/// By its default it leaves them behind. It is never asked to delete claims, and told not to where it was: it finds
/// most by labels, which others may use as well. `None` when there is nothing to tell it.
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
