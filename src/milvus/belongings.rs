//! Decides which objects of a namespace belong to a Milvus that milvusctl applied, and by what proof. Pure.
//!
//! Names and chart labels prove nothing: `helm install my-release-etcd` and Milvus's own chart produce the
//! same ones. Proof is any of:
//! - an owner reference to the Milvus's UID;
//! - helm's annotations for a release that the operator creates for this Milvus, if no part of it predates
//!   the Milvus;
//! - being mounted by such a workload, for a volume that does not predate the Milvus either;
//! - milvusctl's label, on the objects that milvusctl creates itself;
//! - a UID that milvusctl recorded while one of the above held.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::kube::MANAGED_BY;
use crate::kube::object::Object;

/// The suffixes of the releases that the operator installs for a Milvus's dependencies (milvus-operator,
/// `Finalize` in pkg/controllers/milvus.go).
const DEPENDENCIES: [&str; 5] = ["etcd", "minio", "pulsar", "kafka", "tei"];

/// The kinds of object that can belong to a Milvus, for `kubectl get`. Pods only show the progress of a
/// removal.
pub(crate) const KINDS: &str = "deployments,statefulsets,jobs,services,configmaps,secrets,serviceaccounts,\
                                poddisruptionbudgets,persistentvolumeclaims,pods,\
                                roles.rbac.authorization.k8s.io,rolebindings.rbac.authorization.k8s.io";

/// The columns that [`ObjectRow::read`] parses. None shows a Secret's contents.
pub(crate) const COLUMNS: &str = r"custom-columns=KIND:.kind,API:.apiVersion,NAME:.metadata.name,UID:.metadata.uid,CREATED:.metadata.creationTimestamp,MANAGER:.metadata.labels.app\.kubernetes\.io/managed-by,STATUS:.metadata.labels.status,RELEASE:.metadata.annotations.meta\.helm\.sh/release-name,SPACE:.metadata.annotations.meta\.helm\.sh/release-namespace,OWNERS:.metadata.ownerReferences[*].uid,TEMPLATES:.spec.volumeClaimTemplates[*].metadata.name,CLAIMS:.spec.template.spec.volumes[*].persistentVolumeClaim.claimName";

/// An object and the evidence of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectRow {
    pub(crate) object: Object,
    /// The creation time, in a format that sorts as text.
    created: String,
    manager: String,
    /// The release's status, on a Secret that stores a helm release.
    status: String,
    /// The helm release and its namespace, from helm's annotations.
    release: (String, String),
    owners: Vec<String>,
    /// A `StatefulSet`'s claim templates.
    templates: Vec<String>,
    /// The claims that its pod template mounts.
    claims: Vec<String>,
}

impl ObjectRow {
    /// Parses what `kubectl get` prints with [`COLUMNS`] for objects in `namespace`.
    pub(crate) fn read(text: &str, namespace: &str) -> Vec<Self> {
        let list = |word: &str| match word {
            "<none>" => Vec::new(),
            words => words.split(',').map(str::to_owned).collect(),
        };
        let read = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [kind, api, name, uid, created, manager, status, release, space, owners, templates, claims] =
                words[..]
            else {
                return None;
            };
            Some(Self {
                object: Object {
                    api_version: api.to_owned(),
                    kind: kind.to_owned(),
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    uid: uid.to_owned(),
                },
                created: created.to_owned(),
                manager: manager.to_owned(),
                status: status.to_owned(),
                release: (release.to_owned(), space.to_owned()),
                owners: list(owners),
                templates: list(templates),
                claims: list(claims),
            })
        };
        text.lines().filter_map(read).collect()
    }

    fn is(&self, kind: &str) -> bool {
        self.object.kind == kind
    }

    /// The release that this Secret stores a revision of, if it is one of helm's.
    fn kept_release(&self) -> Option<&str> {
        let name = self.object.name.strip_prefix("sh.helm.release.v1.").filter(|_| self.is("Secret"))?;
        let (release, revision) = name.rsplit_once(".v")?;
        revision.parse::<u32>().is_ok().then_some(release)
    }

    /// Whether helm created this as part of `release`.
    fn is_part_of(&self, release: &str) -> bool {
        self.release.0 == release && self.release.1 == self.object.namespace
    }
}

/// The live Milvus that objects are matched against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: String,
    pub(crate) created: String,
}

/// The objects recorded as a Milvus's, so that they are still known once the Milvus is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) objects: BTreeSet<Object>,
}

impl Record {
    fn has(&self, candidate: &ObjectRow) -> bool {
        self.objects.iter().any(|object| object.uid == candidate.object.uid)
    }
}

/// What belongs to a Milvus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Belongings {
    /// Its dependencies' releases.
    pub(crate) releases: Vec<String>,
    /// All objects but volumes and helm's release Secrets.
    pub(crate) objects: Vec<Object>,
    /// Those of `objects` that are deleted neither with a release nor with the Milvus.
    pub(crate) loose: Vec<Object>,
    /// Its volume claims.
    pub(crate) volumes: Vec<Object>,
    /// Helm's release Secrets.
    pub(crate) states: Vec<Object>,
    /// Messages about objects that have such names but no proof.
    pub(crate) unproven: Vec<String>,
}

impl Belongings {
    /// Everything to record for a later run.
    pub(crate) fn record(&self) -> Record {
        let objects = [&self.objects, &self.volumes, &self.states];
        Record { objects: objects.into_iter().flatten().cloned().collect() }
    }
}

/// A dependency's release without a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EmptyRelease {
    pub(crate) name: String,
    /// Whether it provably belongs to a Milvus that milvusctl applied.
    pub(crate) is_ours: bool,
}

/// The releases that the operator creates for the Milvus `name`.
pub(crate) fn releases_of(name: &str) -> Vec<String> {
    DEPENDENCIES.iter().map(|part| format!("{name}-{part}")).collect()
}

/// The releases of the Milvus `name` that have no workload although helm calls them deployed, or pending
/// since before `long_ago` because the operator was stopped. The operator takes both for installed and
/// creates nothing (milvus-operator, `NeedUpdate` in pkg/helm/helm.go).
pub(crate) fn empty_releases(
    candidates: &[ObjectRow],
    name: &str,
    owner: Option<&Owner>,
    record: &Record,
    long_ago: &str,
) -> Vec<EmptyRelease> {
    let is_empty = |release: &String| {
        let runs = |candidate: &ObjectRow| {
            (candidate.is("StatefulSet") || candidate.is("Deployment")) && candidate.is_part_of(release)
        };
        let counts = |candidate: &ObjectRow| {
            let is_old = candidate.created.as_str() < long_ago;
            candidate.kept_release() == Some(release)
                && (candidate.status == "deployed" || (is_old && candidate.status.starts_with("pending-")))
        };
        candidates.iter().any(counts) && !candidates.iter().any(runs)
    };
    let ours = our_releases(candidates, name, owner, record);
    let empty = releases_of(name).into_iter().filter(is_empty);
    empty.map(|name| EmptyRelease { is_ours: ours.contains(&name), name }).collect()
}

/// The releases that provably belong to the Milvus `name`. One that predates it is somebody else's, even if
/// the operator has taken it over.
fn our_releases(candidates: &[ObjectRow], name: &str, owner: Option<&Owner>, record: &Record) -> Vec<String> {
    let is_ours = |release: &String| {
        let revisions = || candidates.iter().filter(|one| one.kept_release() == Some(release));
        let is_young = |part: &ObjectRow| owner.is_some_and(|owner| part.created >= owner.created);
        // The charts keep volumes when a release is uninstalled, and the next release adopts them.
        let mut parts = candidates
            .iter()
            .filter(|part| part.is_part_of(release) && !part.is("PersistentVolumeClaim"))
            .chain(revisions());
        revisions().any(|revision| record.has(revision))
            || (revisions().next().is_some() && parts.all(is_young))
    };
    releases_of(name).into_iter().filter(is_ours).collect()
}

/// The name of the `ConfigMap` that holds the record of the Milvus `name`.
pub(crate) fn record_name(name: &str) -> String {
    format!("{name}-milvusctl")
}

/// Whether milvusctl creates an object of this kind and name for the Milvus `name` or to expose a part of it.
fn is_made_by_milvusctl(candidate: &ObjectRow, name: &str) -> bool {
    if candidate.manager != MANAGED_BY.1 {
        return false;
    }
    let own = candidate.object.name.strip_prefix(&format!("{name}-"));
    match (candidate.object.kind.as_str(), own) {
        ("Deployment" | "Service", Some("attu")) | ("Secret", Some("storage")) => true,
        ("Service", Some(own)) => own
            .strip_suffix("-nodeport")
            .is_some_and(|target| ["milvus", "attu"].contains(&target) || DEPENDENCIES.contains(&target)),
        _ => false,
    }
}

/// Sorts out what belongs to the Milvus `name`. `owner` is the live one, if it exists and milvusctl applied
/// it.
pub(crate) fn belongings(
    candidates: &[ObjectRow],
    name: &str,
    owner: Option<&Owner>,
    record: &Record,
) -> Belongings {
    let releases = our_releases(candidates, name, owner, record);
    let is_young = |one: &ObjectRow| owner.is_some_and(|owner| one.created >= owner.created);
    let is_part = |one: &ObjectRow| releases.iter().any(|release| one.is_part_of(release));
    let is_owned = |one: &ObjectRow| owner.is_some_and(|owner| one.owners.contains(&owner.uid));
    let is_ours =
        |one: &ObjectRow| record.has(one) || is_owned(one) || is_part(one) || is_made_by_milvusctl(one, name);
    let workloads: Vec<&ObjectRow> = candidates.iter().filter(|one| is_ours(one)).collect();
    let is_mounted = |claim: &ObjectRow| {
        let claim = &claim.object.name;
        workloads.iter().any(|workload| {
            workload.claims.contains(claim)
                || workload.templates.iter().any(|template| {
                    let number = claim.strip_prefix(&format!("{template}-{}-", workload.object.name));
                    number.is_some_and(|number| number.parse::<u32>().is_ok())
                })
        })
    };
    // A volume that predates the Milvus holds data of something else.
    let is_our_volume = |one: &ObjectRow| {
        record.has(one) || is_owned(one) || (is_young(one) && (is_part(one) || is_mounted(one)))
    };
    let mut found = Belongings { releases: releases.clone(), ..Belongings::default() };
    for one in candidates.iter().filter(|one| !one.is("Pod")) {
        let object = &one.object;
        if one.is("PersistentVolumeClaim") {
            if is_our_volume(one) {
                found.volumes.push(object.clone());
            } else if is_named_for(&object.name, name) {
                found.unproven.push(format!("{object}: not known to be milvusctl's"));
            }
        } else if let Some(release) = one.kept_release() {
            if releases.iter().any(|ours| ours == release) {
                found.states.push(object.clone());
            } else if releases_of(name).iter().any(|named| named == release) {
                found.unproven.push(format!(
                    "helm release {}/{release}: not known to be milvusctl's; `helm uninstall` removes it",
                    object.namespace
                ));
            }
        } else if is_ours(one) {
            if !is_part(one) && !is_owned(one) {
                found.loose.push(object.clone());
            }
            found.objects.push(object.clone());
        }
    }
    for list in [&mut found.objects, &mut found.loose, &mut found.volumes, &mut found.states] {
        list.sort();
    }
    found.unproven.sort();
    found.unproven.dedup();
    found
}

/// Whether a claim of the Milvus `name` could have this name.
fn is_named_for(claim: &str, name: &str) -> bool {
    claim.starts_with(&format!("{name}-")) || claim.contains(&format!("-{name}-"))
}

#[cfg(test)]
#[path = "belongings_tests.rs"]
mod tests;
