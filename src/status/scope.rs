//! Tells which objects belong to one Milvus: its operator, components, dependencies and Attu. `up` judges
//! only those.

use serde_json::Value;

use crate::settings::Settings;

/// The operator's release and its chart's `app.kubernetes.io/name`.
const OPERATOR: &str = "milvus-operator";

/// The suffixes of the helm releases that the operator creates for a Milvus (milvus-operator,
/// `pkg/controllers/milvus.go`).
const DEPENDENCIES: [&str; 4] = ["etcd", "minio", "pulsar", "kafka"];

/// The names that identify a Milvus and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    release: String,
    namespace: String,
    operator_namespace: String,
}

impl Scope {
    pub fn new(settings: &Settings) -> Self {
        Self {
            release: settings.milvus.name.clone(),
            namespace: settings.milvus.namespace.clone(),
            operator_namespace: settings.operator.namespace.clone(),
        }
    }

    /// Whether `object`, a workload or pod in kubectl's JSON, belongs to the Milvus.
    pub fn holds(&self, object: &Value) -> bool {
        let at = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        self.holds_labels(at("/metadata/namespace"), |label| {
            let labels = object.pointer("/metadata/labels")?.as_object()?;
            labels.get(label)?.as_str()
        })
    }

    /// Tells whether an object with this namespace and these labels belongs to the operator.
    pub fn is_operator<'l>(&self, namespace: &str, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        let of_chart = [label("app.kubernetes.io/name"), label("app.kubernetes.io/instance")];
        namespace == self.operator_namespace && of_chart == [Some(OPERATOR); 2]
    }

    /// Like [`Self::holds`], given an object's namespace and labels.
    pub fn holds_labels<'l>(&self, namespace: &str, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        if self.is_operator(namespace, &label) {
            return true;
        }
        let instance = label("app.kubernetes.io/instance");
        let name = label("app.kubernetes.io/name");
        if namespace != self.namespace {
            return false;
        }
        // The charts of MinIO and Pulsar only set `release`.
        matches!(name, Some("milvus" | "attu")) && instance == Some(self.release.as_str())
            || [instance, label("release")].into_iter().flatten().any(|found| self.is_dependency(found))
    }

    fn is_dependency(&self, release: &str) -> bool {
        let end = release.strip_prefix(self.release.as_str()).and_then(|rest| rest.strip_prefix('-'));
        end.is_some_and(|end| DEPENDENCIES.contains(&end))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(namespace: &str, labels: &Value) -> bool {
        let object = json!({"metadata": {"namespace": namespace, "labels": labels}});
        Scope::new(&Settings::default()).holds(&object)
    }

    #[test]
    fn operator_milvus_dependencies_and_attu_are_in_scope() {
        let of = |name: &str, instance: &str| json!({"app.kubernetes.io/name": name, "app.kubernetes.io/instance": instance});
        assert!(holds("milvus-operator", &of("milvus-operator", "milvus-operator")));
        assert!(holds("default", &of("milvus", "my-release")));
        assert!(holds("default", &of("attu", "my-release")));
        assert!(holds("default", &of("etcd", "my-release-etcd")));
        assert!(holds("default", &json!({"app": "minio", "release": "my-release-minio"})));
        assert!(holds("default", &json!({"app": "pulsar", "release": "my-release-pulsar"})));
    }

    #[test]
    fn other_objects_are_not_in_scope() {
        let instance = |instance: &str| json!({"app.kubernetes.io/instance": instance});
        assert!(!holds("default", &instance("other")));
        assert!(!holds("default", &instance("my-release")));
        assert!(!holds("default", &instance("my-release-2-etcd")));
        assert!(!holds("other", &instance("my-release")));
        assert!(!holds("milvus-operator", &instance("monitoring")));
        assert!(!holds("default", &json!({"release": "my-release-web"})));
        assert!(!holds("default", &Value::Null));
    }
}
