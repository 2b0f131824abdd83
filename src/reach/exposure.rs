//! Decides whether a target can be exposed at a node port, and by which Service.

use super::address::Reach;
use super::target::Target;
use crate::kube::service::{Service, pick_port};
use crate::milvus::NodePortService;

/// Kubernetes's default node port range.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

/// What to expose, and at which node port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedPort<'a> {
    /// What to expose.
    pub target: &'a Target,
    pub node_port: u16,
    /// The Service's port, by name or number; `None` picks the most likely one.
    pub service_port: Option<&'a str>,
}

/// How to open the wanted port.
#[derive(Debug, Clone, PartialEq)]
pub struct ExposePlan {
    /// The namespace of the Service that will have the port.
    pub namespace: String,
    pub name: String,
    /// The Service to apply; `None` if nothing needs to change.
    pub write: Option<NodePortService>,
    /// The labels of the pods behind it.
    pub selector: Vec<(String, String)>,
    /// The URL for this machine.
    pub url: String,
    /// Whether Milvus answers there, rather than a web page.
    pub is_milvus: bool,
}

/// Why a target cannot be exposed at a node port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExposeRefusal {
    /// The port is outside Kubernetes's range.
    #[error("node port {port} is out of range: expected a port from {} to {}", NODE_PORTS.start(), NODE_PORTS.end())]
    OutOfRange { port: u16 },
    /// The target does not exist.
    #[error("there is no Service {} in the cluster", looked_for(.0))]
    NoService(Vec<(String, String)>),
    /// The target selects no pods.
    #[error("Service `{0}` has no selector, so there are no pods to expose")]
    NoSelector(String),
    /// The target's port is missing or ambiguous.
    #[error("Service `{service}` has {}, found: {ports}", match .wanted {
        Some(wanted) => format!("no port `{wanted}`"),
        None => "no obvious port".to_owned(),
    })]
    NoPort {
        service: String,
        wanted: Option<String>,
        /// Its ports.
        ports: String,
    },
    /// Somebody else's Service has that name.
    #[error(
        "Service `{0}` was not created by milvusctl (no label `app.kubernetes.io/managed-by: milvusctl`), so it was left unchanged"
    )]
    NotOurs(String),
    /// Another Service has the port.
    #[error("node port {port} is taken by Service `{service}`")]
    Taken { port: u16, service: String },
    /// No host port is mapped to it.
    #[error("node port {port} is not mapped to a port of this machine; {}", mapped(.offers))]
    NotMapped {
        port: u16,
        /// The node ports that are mapped and free, with their URLs.
        offers: Vec<(u16, String)>,
    },
}

fn looked_for(names: &[(String, String)]) -> String {
    names.iter().map(|(namespace, name)| format!("`{namespace}/{name}`")).collect::<Vec<_>>().join(" or ")
}

fn mapped(offers: &[(u16, String)]) -> String {
    if offers.is_empty() {
        return "no other one is both mapped and free".to_owned();
    }
    let shown: Vec<_> = offers.iter().map(|(port, url)| format!("{port} ({url})")).collect();
    format!("mapped and free: {}", shown.join(", "))
}

impl ExposeRefusal {
    /// Whether this is a usage error, rather than due to the cluster's state.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::NoService(_) | Self::NoSelector(_) | Self::NotOurs(_))
    }

    /// Suggests ways out for `wanted`.
    pub fn hints(&self, wanted: WantedPort<'_>) -> Vec<String> {
        let target = wanted.target;
        match self {
            Self::OutOfRange { .. } | Self::NoSelector(_) => Vec::new(),
            Self::NoService(_) => match target {
                Target::Service { .. } => vec!["list them with `kubectl get services -A`".to_owned()],
                _ => vec!["`milvusctl up` installs Milvus and Attu".to_owned()],
            },
            Self::NoPort { .. } => vec!["choose one with `--service-port`".to_owned()],
            Self::NotOurs(name) => {
                let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
                vec![format!("delete it if nobody needs it: `kubectl delete service {name} -n {namespace}`")]
            }
            Self::Taken { .. } => vec!["choose another port with `--nodeport`".to_owned()],
            Self::NotMapped { port, offers } => {
                let mut hints = Vec::new();
                if let Some((offer, _)) = offers.first() {
                    hints.push(format!("use a mapped port: `milvusctl expose {target} --nodeport {offer}`"));
                }
                hints.push(format!(
                    "forward a local port instead, which needs no node port: `milvusctl forward {target}`"
                ));
                hints.push(format!(
                    "ports can only be mapped when a cluster is created: `milvusctl down`, then \
                     `milvusctl up --port {port}:{port}`"
                ));
                hints
            }
        }
    }
}

/// Checks that `port` is in Kubernetes's node port range.
///
/// # Errors
/// Fails with [`ExposeRefusal::OutOfRange`].
pub fn check_range(port: u16) -> Result<(), ExposeRefusal> {
    if NODE_PORTS.contains(&port) { Ok(()) } else { Err(ExposeRefusal::OutOfRange { port }) }
}

/// Finds the first of `candidates` among `services`.
///
/// # Errors
/// Fails with [`ExposeRefusal::NoService`] when none exists.
pub fn find<'s>(
    candidates: &[(String, String)],
    services: &'s [Service],
) -> Result<&'s Service, ExposeRefusal> {
    candidates
        .iter()
        .find_map(|(namespace, name)| services.iter().find(|service| service.is((namespace, name))))
        .ok_or_else(|| ExposeRefusal::NoService(candidates.to_vec()))
}

/// Decides how to open `wanted`, given the cluster's `services`, the Services that the target may mean, and
/// how node ports are reached.
///
/// # Errors
/// Refuses what is impossible, and what belongs to somebody else.
pub fn plan(
    wanted: WantedPort<'_>,
    candidates: &[(String, String)],
    services: &[Service],
    reach: &Reach,
) -> Result<ExposePlan, ExposeRefusal> {
    let node_port = wanted.node_port;
    check_range(node_port)?;
    let target = find(candidates, services)?;
    let port = pick_port(target, wanted.service_port).map_err(|ports| ExposeRefusal::NoPort {
        service: target.full_name(),
        wanted: wanted.service_port.map(str::to_owned),
        ports,
    })?;
    if target.spec.selector.is_empty() {
        return Err(ExposeRefusal::NoSelector(target.full_name()));
    }
    let own = NodePortService {
        target: target.metadata.name.clone(),
        namespace: target.metadata.namespace.clone(),
        labels: std::collections::BTreeMap::new(),
        selector: target.spec.selector.clone(),
        port_name: if port.name.is_empty() { format!("port-{}", port.port) } else { port.name.clone() },
        port: port.port,
        target_port: port.pod_port(),
        node_port,
    };
    let there = services.iter().find(|service| service.is((&own.namespace, &own.name())));
    let is_exposed_itself = port.node_port == Some(node_port);
    if let Some(there) = there.filter(|there| !is_exposed_itself && !there.is_ours()) {
        return Err(ExposeRefusal::NotOurs(there.full_name()));
    }
    let is_allowed = |service: &Service| {
        service.is((&own.namespace, &own.name())) || (is_exposed_itself && service == target)
    };
    if let Some(holder) =
        services.iter().find(|service| service.has_node_port(node_port) && !is_allowed(service))
    {
        return Err(ExposeRefusal::Taken { port: node_port, service: holder.full_name() });
    }
    let url = reach.url(node_port).ok_or_else(|| {
        let is_free =
            |port: u16| !services.iter().any(|other| other.has_node_port(port) && !is_allowed(other));
        let offers =
            reach.offers().into_iter().filter(|(port, _)| NODE_PORTS.contains(port) && is_free(*port));
        let offers = offers.collect();
        ExposeRefusal::NotMapped { port: node_port, offers }
    })?;
    let is_right = is_exposed_itself || there.is_some_and(|there| matches(there, &own));
    Ok(ExposePlan {
        namespace: own.namespace.clone(),
        name: if is_exposed_itself { own.target.clone() } else { own.name() },
        selector: own.selector.clone().into_iter().collect(),
        write: (!is_right).then_some(own),
        url,
        is_milvus: port.is_milvus(),
    })
}

fn matches(there: &Service, own: &NodePortService) -> bool {
    let [port] = there.spec.ports.as_slice() else { return false };
    there.spec.kind == "NodePort"
        && there.spec.selector == own.selector
        && port.name == own.port_name
        && port.port == own.port
        && port.pod_port() == own.target_port
        && port.node_port == Some(own.node_port)
}

#[cfg(test)]
#[path = "exposure_tests.rs"]
mod tests;
