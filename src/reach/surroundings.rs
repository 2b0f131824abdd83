//! Queries the cluster and the engine for Services, the pods behind them, and the way to node ports.

use anyhow::{Context as _, bail};

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kube::endpoint::Endpoint;
use crate::kube::node::NodeList;
use crate::kube::service::{Service, ServiceList};
use crate::reach::{Mapping, Reach};

use crate::load::find::{cluster_hint, explain};

/// All Services of the cluster.
///
/// # Errors
/// Fails when the cluster does not answer.
pub(crate) fn services(context: &Context) -> anyhow::Result<Vec<Service>> {
    let list: ServiceList = explain(context, context.kubectl().get(&["services", "--all-namespaces"]))
        .with_context(|| format!("could not read the Services of `{}`", context.kube_context()))?;
    Ok(list.items)
}

/// The pods of `namespace` that have all labels of `selector`.
///
/// # Errors
/// Fails when the cluster does not answer.
pub(crate) fn pods_behind(
    context: &Context,
    namespace: &str,
    selector: &[(String, String)],
) -> anyhow::Result<Vec<Endpoint>> {
    let labels = selector.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
    let could_not = || format!("could not read the pods of namespace `{namespace}`");
    let args = ["pods", "--namespace", namespace, "--selector", &labels];
    let json = context.kubectl().get_bytes(&args).with_context(could_not)?;
    Endpoint::read_all(&json).with_context(could_not)
}

/// Finds out how this machine reaches node ports.
///
/// # Errors
/// Fails when the engine or the cluster does not answer, or has no node.
pub(crate) fn reach(context: &Context) -> anyhow::Result<Reach> {
    let cluster = &context.settings.cluster;
    let name = match &cluster.context {
        None => Some(cluster.name.as_str()),
        // A context of kind's may point to containers on this machine or on another.
        Some(given) => given.strip_prefix("kind-"),
    };
    let mut mappings = Vec::new();
    let mut nodes = 0;
    if let Some(name) = name {
        let docker = &context.tools.docker;
        for node in docker.node_containers(name)? {
            if node.role == "external-load-balancer" {
                continue;
            }
            nodes += 1;
            let ports = if node.running { node.ports } else { docker.configured_ports(&node.name)? };
            mappings.extend(ports.into_iter().map(|port| Mapping {
                address: port.address,
                host: port.host,
                node: port.node,
            }));
        }
    }
    if nodes > 0 {
        return Ok(Reach::Mapped(mappings));
    }
    if cluster.context.is_none() {
        bail!(
            Failure::new(Exit::Failed, format!("there is no kind cluster `{}`", cluster.name))
                .hint(cluster_hint(context))
        );
    }
    let nodes: NodeList = context.kubectl().get(&["nodes"]).context("could not read the nodes")?;
    let address = nodes.address().context("no node has an address")?;
    Ok(Reach::Node(address))
}
