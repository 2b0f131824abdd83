//! A cluster object, identified by its UID.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An object's kind, name and UID, which a recreated object does not share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `StatefulSet`.
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl Object {
    /// Its path in the API server.
    pub fn path(&self) -> String {
        let group = if self.api_version.contains('/') { "apis" } else { "api" };
        let Self { api_version, namespace, name, .. } = self;
        format!("/{group}/{api_version}/namespaces/{namespace}/{}/{name}", plural(&self.kind))
    }
}

/// Formats it like `statefulset default/my-release-etcd`.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind.as_str() {
            "PersistentVolumeClaim" => "volume".to_owned(),
            kind => kind.to_lowercase(),
        };
        write!(f, "{kind} {}/{}", self.namespace, self.name)
    }
}

/// A kind's resource name, by English plurals, as for all kinds of Kubernetes and the operator.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(api_version: &str, kind: &str) -> Object {
        let text = |text: &str| text.to_owned();
        Object {
            api_version: text(api_version),
            kind: text(kind),
            namespace: text("n"),
            name: text("x"),
            uid: text("u"),
        }
    }

    #[test]
    fn paths_match_the_api_server() {
        let rows = [
            ("v1", "Pod", "/api/v1/namespaces/n/pods/x"),
            ("apps/v1", "StatefulSet", "/apis/apps/v1/namespaces/n/statefulsets/x"),
            ("milvus.io/v1beta1", "Milvus", "/apis/milvus.io/v1beta1/namespaces/n/milvuses/x"),
            (
                "networking.k8s.io/v1",
                "NetworkPolicy",
                "/apis/networking.k8s.io/v1/namespaces/n/networkpolicies/x",
            ),
        ];
        for (api_version, kind, path) in rows {
            assert_eq!(object(api_version, kind).path(), path);
        }
    }

    #[test]
    fn claims_are_displayed_as_volumes() {
        assert_eq!(object("v1", "PersistentVolumeClaim").to_string(), "volume n/x");
        assert_eq!(object("apps/v1", "StatefulSet").to_string(), "statefulset n/x");
    }
}
