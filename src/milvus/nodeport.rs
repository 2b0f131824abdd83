//! A Service of milvusctl's that opens a node port.
//!
//! The operator reverts edits to its own Service, so that one is left alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::templates::{self, TemplateError};

/// A `NodePort` Service beside the Service it exposes.
#[derive(Clone, Debug, PartialEq)]
pub struct NodePortService {
    /// The exposed Service; this one is named `<target>-nodeport`.
    pub target: String,
    pub namespace: String,
    /// Labels in addition to the `managed-by` label.
    pub labels: BTreeMap<String, String>,
    pub selector: BTreeMap<String, String>,
    pub port_name: String,
    /// The Service's port.
    pub port: u16,
    /// The target Service's target port: a number or a name.
    pub target_port: Value,
    /// The node port, 30000 to 32767.
    pub node_port: u16,
}

impl NodePortService {
    /// Returns the Service's own name.
    pub fn name(&self) -> String {
        format!("{}-nodeport", self.target)
    }

    /// Renders the manifest.
    ///
    /// # Errors
    /// Fails when the template does not render, which is a bug.
    pub fn render(&self) -> Result<String, TemplateError> {
        templates::render(
            "nodeport-service.yaml.j2",
            json!({
                "name": self.name(),
                "namespace": self.namespace,
                "labels": self.labels,
                "selector": self.selector,
                "port_name": self.port_name,
                "port": self.port,
                "target_port": self.target_port,
                "node_port": self.node_port,
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn the_service_has_the_targets_selector_and_port() {
        let service = NodePortService {
            target: "my-release-milvus".into(),
            namespace: "default".into(),
            labels: BTreeMap::new(),
            selector: [("app.kubernetes.io/instance".into(), "yes".into())].into(),
            port_name: "milvus".into(),
            port: 19530,
            target_port: "milvus".into(),
            node_port: 31530,
        };
        let manifest: Value = yaml::from_str(&service.render().unwrap()).unwrap();
        assert_eq!(
            manifest,
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": "my-release-milvus-nodeport",
                    "namespace": "default",
                    "labels": {"app.kubernetes.io/managed-by": "milvusctl"},
                },
                "spec": {
                    "type": "NodePort",
                    "selector": {"app.kubernetes.io/instance": "yes"},
                    "ports": [{"name": "milvus", "protocol": "TCP", "port": 19530, "targetPort": "milvus", "nodePort": 31530}],
                },
            })
        );
    }
}
