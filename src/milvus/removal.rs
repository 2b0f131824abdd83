//! What `down --context` takes away from an existing cluster, and what it leaves. Pure.
//!
//! Only what milvusctl made goes: the Milvus that carries its label, what the operator made for that Milvus, and
//! the operator where milvusctl installed it and nobody else has a Milvus. Volumes stay unless asked for.

use serde_json::{Value, json};

/// How milvusctl describes the releases that it installs; a release without these words is somebody else's.
pub(crate) const DESCRIPTION: &str = "installed by milvusctl";

/// The dependencies that the operator installs beside a Milvus, by the ends of their releases' names.
const DEPENDENCIES: [&str; 4] = ["etcd", "minio", "pulsar", "kafka"];

/// One object of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Object {
    /// Its kind, in lower case.
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Object {
    /// Reads the lines of `kubectl get … -o custom-columns` with kind, namespace and name; others are left out.
    pub(crate) fn read(text: &str) -> Vec<Self> {
        let read = |line: &str| {
            let mut words = line.split_whitespace();
            let (kind, namespace, name) = (words.next()?, words.next()?, words.next()?);
            Some(Self { kind: kind.to_lowercase(), namespace: namespace.into(), name: name.into() })
        };
        text.lines().filter_map(read).collect()
    }

    /// Such as `service default/my-release-attu`.
    pub(crate) fn in_words(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// There is none.
    Nobodys,
    Ours,
    Others,
}

/// What was found in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The Milvus of the settings.
    pub(crate) milvus: Whose,
    /// Every other Milvus, as namespace and name.
    pub(crate) other_milvus: Vec<String>,
    pub(crate) operator: Whose,
    /// Objects with milvusctl's label that belong to the Milvus of the settings.
    pub(crate) objects: Vec<Object>,
    /// What is left of workloads that the operator made for it.
    pub(crate) leftovers: Vec<Object>,
    pub(crate) volumes: Vec<Object>,
}

/// What is taken away, and what is not and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Removal {
    /// Whether the Milvus goes, and with it what the operator made for it.
    pub(crate) milvus: bool,
    /// The objects of milvusctl's own.
    pub(crate) objects: Vec<Object>,
    /// The claims of which the data is deleted.
    pub(crate) volumes: Vec<Object>,
    /// Whether the operator is uninstalled.
    pub(crate) operator: bool,
    pub(crate) kept: Vec<String>,
}

impl Removal {
    pub(crate) fn plan(found: &Found, release: &str, delete_data: bool) -> Self {
        let mut kept = Vec::new();
        if found.milvus == Whose::Others {
            kept.push(format!("Milvus `{release}`: it was not made by milvusctl"));
        }
        // Its parts are its owner's as well.
        let is_ours = found.milvus != Whose::Others;
        let others = &found.other_milvus;
        let has_others = found.milvus == Whose::Others || !others.is_empty();
        let operator = found.operator == Whose::Ours && !has_others;
        match found.operator {
            Whose::Others => kept.push("milvus-operator: it was not installed by milvusctl".to_owned()),
            Whose::Ours if has_others => kept.push(match others.first() {
                Some(other) => format!("milvus-operator: Milvus `{other}` needs it"),
                None => format!("milvus-operator: Milvus `{release}` needs it"),
            }),
            _ => {}
        }
        let (volumes, stay) = if delete_data && is_ours {
            (found.volumes.clone(), Vec::new())
        } else {
            (Vec::new(), found.volumes.clone())
        };
        kept.extend(stay.iter().map(|volume| format!("volume {}/{}", volume.namespace, volume.name)));
        Self {
            milvus: is_ours && (found.milvus == Whose::Ours || !found.leftovers.is_empty()),
            objects: if is_ours { found.objects.clone() } else { Vec::new() },
            volumes,
            operator,
            kept,
        }
    }

    /// Whether there is nothing to take away.
    pub(crate) fn is_nothing(&self) -> bool {
        !self.milvus && !self.operator && self.objects.is_empty() && self.volumes.is_empty()
    }
}

/// The selectors of what the operator makes for the Milvus `release`: charts label it in two ways.
pub(crate) fn selectors(release: &str) -> [String; 2] {
    let dependencies: Vec<String> = DEPENDENCIES.iter().map(|part| format!("{release}-{part}")).collect();
    let dependencies = dependencies.join(",");
    [
        format!("app.kubernetes.io/instance in ({release},{dependencies})"),
        format!("release in ({dependencies})"),
    ]
}

/// The patch that makes the operator take the dependencies along when the Milvus of `spec` is deleted.
///
/// By its default it leaves them behind. `None` when no dependency runs in the cluster.
pub(crate) fn deletion_patch(spec: &Value, delete_data: bool) -> Option<Value> {
    let store = spec["dependencies"]["msgStreamType"].as_str().unwrap_or("pulsar").to_owned();
    let mut dependencies = serde_json::Map::new();
    for name in ["etcd", "storage", store.as_str()] {
        let is_inside = spec["dependencies"][name]["external"] != true;
        if is_inside && ["etcd", "storage", "pulsar", "kafka"].contains(&name) {
            let policy = json!({"inCluster": {"deletionPolicy": "Delete", "pvcDeletion": delete_data}});
            dependencies.insert(name.to_owned(), policy);
        }
    }
    (!dependencies.is_empty()).then(|| json!({"spec": {"dependencies": dependencies}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, name: &str) -> Object {
        Object { kind: kind.into(), namespace: "default".into(), name: name.into() }
    }

    fn found() -> Found {
        Found {
            milvus: Whose::Ours,
            other_milvus: Vec::new(),
            operator: Whose::Ours,
            objects: vec![object("deployment", "m-attu")],
            leftovers: Vec::new(),
            volumes: vec![object("persistentvolumeclaim", "data-m-etcd-0")],
        }
    }

    #[test]
    fn everything_of_ours_goes_and_volumes_stay() {
        assert_eq!(
            Removal::plan(&found(), "m", false),
            Removal {
                milvus: true,
                objects: vec![object("deployment", "m-attu")],
                volumes: Vec::new(),
                operator: true,
                kept: vec!["volume default/data-m-etcd-0".into()],
            }
        );
    }

    #[test]
    fn data_goes_only_when_asked_for() {
        let removal = Removal::plan(&found(), "m", true);
        assert_eq!((removal.volumes.len(), removal.kept), (1, Vec::new()));
    }

    #[test]
    fn a_milvus_of_somebody_else_stays_with_its_operator_and_its_data() {
        let removal = Removal::plan(&Found { milvus: Whose::Others, ..found() }, "m", true);
        assert!(removal.is_nothing(), "{removal:?}");
        assert_eq!(
            removal.kept,
            [
                "Milvus `m`: it was not made by milvusctl",
                "milvus-operator: Milvus `m` needs it",
                "volume default/data-m-etcd-0"
            ]
        );
    }

    #[test]
    fn an_operator_that_others_need_or_installed_stays() {
        let shared = Removal::plan(&Found { other_milvus: vec!["prod/main".into()], ..found() }, "m", false);
        assert!(shared.milvus && !shared.operator);
        assert_eq!(shared.kept[0], "milvus-operator: Milvus `prod/main` needs it");
        let theirs = Removal::plan(&Found { operator: Whose::Others, ..found() }, "m", false);
        assert!(theirs.milvus && !theirs.operator);
        assert_eq!(theirs.kept[0], "milvus-operator: it was not installed by milvusctl");
    }

    #[test]
    fn what_an_earlier_run_left_goes_too() {
        let half =
            Found { milvus: Whose::Nobodys, leftovers: vec![object("statefulset", "m-etcd")], ..found() };
        assert!(Removal::plan(&half, "m", false).milvus);
        let gone = Found {
            milvus: Whose::Nobodys,
            operator: Whose::Nobodys,
            objects: Vec::new(),
            volumes: Vec::new(),
            ..found()
        };
        assert!(Removal::plan(&gone, "m", true).is_nothing());
    }

    #[test]
    fn dependencies_in_the_cluster_are_told_to_go_along() {
        let spec = json!({"dependencies": {
            "msgStreamType": "kafka",
            "etcd": {"external": true, "endpoints": ["e:2379"]},
            "storage": {"inCluster": {"values": {}}},
        }});
        let policy = json!({"inCluster": {"deletionPolicy": "Delete", "pvcDeletion": false}});
        assert_eq!(
            deletion_patch(&spec, false),
            Some(json!({"spec": {"dependencies": {"storage": policy, "kafka": policy}}}))
        );
        let external = json!({"dependencies": {
            "msgStreamType": "woodpecker", "etcd": {"external": true}, "storage": {"external": true}}});
        assert_eq!(deletion_patch(&external, true), None);
    }

    #[test]
    fn objects_are_read_from_kubectls_columns() {
        let text = "Deployment   default   m-attu\nService default m-attu\n\nNo resources found\n";
        assert_eq!(Object::read(text)[..2], [object("deployment", "m-attu"), object("service", "m-attu")]);
        assert_eq!(Object::read("x y"), []);
    }

    #[test]
    fn both_ways_of_labelling_are_looked_for() {
        assert_eq!(
            selectors("m"),
            [
                "app.kubernetes.io/instance in (m,m-etcd,m-minio,m-pulsar,m-kafka)",
                "release in (m-etcd,m-minio,m-pulsar,m-kafka)"
            ]
        );
    }
}
