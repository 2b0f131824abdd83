//! The fields of Services that matter here, and the choice of a Service's port.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::kube::MANAGED_BY;

/// The output of `kubectl get services -A -o json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ServiceList {
    pub items: Vec<Service>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Service {
    pub metadata: ServiceMetadata,
    /// Where it leads.
    pub spec: Spec,
}

/// A Service's name and labels.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ServiceMetadata {
    #[serde(default)]
    pub namespace: String,
    /// The name within the namespace.
    pub name: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Where a Service leads.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The type, such as `ClusterIP`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The labels of the pods behind it; empty if it has none.
    #[serde(default)]
    pub selector: BTreeMap<String, String>,
    #[serde(default)]
    pub ports: Vec<ServicePort>,
    /// A node port for load balancers' health checks.
    #[serde(default)]
    pub health_check_node_port: Option<u16>,
}

/// One port of a Service.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// The name, which may be empty for a single port.
    #[serde(default)]
    pub name: String,
    #[serde(default = "tcp")]
    pub protocol: String,
    pub port: u16,
    /// The pods' port: a number or a name; null means the same number.
    #[serde(default)]
    pub target_port: Value,
    #[serde(default)]
    pub node_port: Option<u16>,
}

fn tcp() -> String {
    "TCP".to_owned()
}

impl Service {
    /// The name, as `NAMESPACE/NAME`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.metadata.namespace, self.metadata.name)
    }

    pub fn is_ours(&self) -> bool {
        self.metadata.labels.get(MANAGED_BY.0).is_some_and(|value| value == MANAGED_BY.1)
    }

    /// Whether it uses `port` on the nodes, for any purpose.
    pub fn has_node_port(&self, port: u16) -> bool {
        self.spec.health_check_node_port == Some(port)
            || self.spec.ports.iter().any(|own| own.node_port == Some(port))
    }

    /// Whether it has that namespace and name.
    pub fn is(&self, (namespace, name): (&str, &str)) -> bool {
        self.metadata.namespace == namespace && self.metadata.name == name
    }
}

impl ServicePort {
    /// The pods' port: a number or a name.
    pub fn pod_port(&self) -> Value {
        if self.target_port.is_null() { self.port.into() } else { self.target_port.clone() }
    }

    /// Whether this is Milvus's port for clients; others such as 9091 serve web pages.
    pub fn is_milvus(&self) -> bool {
        self.name == "milvus" || self.port == 19530
    }

    fn label(&self) -> String {
        if self.name.is_empty() { self.port.to_string() } else { format!("{} ({})", self.name, self.port) }
    }
}

/// Picks the port `wanted` by name or number; by default Milvus's own, else Attu's, else the only one.
///
/// # Errors
/// Fails with the list of ports if none matches.
pub fn pick_port<'s>(service: &'s Service, wanted: Option<&str>) -> Result<&'s ServicePort, String> {
    let ports: Vec<&ServicePort> = service.spec.ports.iter().filter(|port| port.protocol == "TCP").collect();
    let find = |is: &dyn Fn(&ServicePort) -> bool| ports.iter().copied().find(|port| is(port));
    let found = match wanted {
        Some(wanted) => find(&|port| port.name == wanted || port.port.to_string() == wanted),
        None => find(&|port| port.name == "milvus")
            .or_else(|| find(&|port| port.port == 19530))
            .or_else(|| find(&|port| port.name == "attu" || port.port == 3000))
            .or_else(|| ports.first().copied().filter(|_| ports.len() == 1)),
    };
    found.ok_or_else(|| match ports.as_slice() {
        [] => "no TCP port".to_owned(),
        ports => ports.iter().map(|port| port.label()).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(ports: &Value) -> Service {
        serde_json::from_value(json!({
            "metadata": {"namespace": "default", "name": "s"},
            "spec": {"selector": {"a": "b"}, "ports": ports},
        }))
        .unwrap()
    }

    #[test]
    fn the_most_likely_port_is_picked() {
        let milvus = json!([{"name": "metrics", "port": 9091}, {"name": "milvus", "port": 19530}]);
        let udp = json!([{"name": "a", "port": 1, "protocol": "UDP"}, {"name": "b", "port": 2}]);
        let rows = [
            (&milvus, None, Ok(19530)),
            (&milvus, Some("metrics"), Ok(9091)),
            (&milvus, Some("9091"), Ok(9091)),
            (&milvus, Some("x"), Err("metrics (9091), milvus (19530)".to_owned())),
            (&udp, None, Ok(2)),
            (&udp, Some("a"), Err("b (2)".to_owned())),
            (&json!([{"port": 80}]), None, Ok(80)),
            (&json!([{"name": "x", "port": 80}, {"name": "y", "port": 3000}]), None, Ok(3000)),
            (
                &json!([{"name": "x", "port": 80}, {"name": "y", "port": 81}]),
                None,
                Err("x (80), y (81)".to_owned()),
            ),
            (&json!([]), None, Err("no TCP port".to_owned())),
        ];
        for (ports, wanted, expected) in rows {
            let service = service(ports);
            let found = pick_port(&service, wanted).map(|port| port.port);
            assert_eq!(found, expected, "{ports} {wanted:?}");
        }
    }

    #[test]
    fn a_port_without_a_target_maps_to_the_same_number() {
        let service = service(&json!([{"port": 80}, {"port": 81, "targetPort": "web"}]));
        let targets: Vec<_> = service.spec.ports.iter().map(ServicePort::pod_port).collect();
        assert_eq!(targets, [json!(80), json!("web")]);
    }
}
