//! Finds node ports of Attu or Milvus that no host port maps to. A container's ports cannot be added later,
//! so this is reported before the cluster is created.

use super::keys::{self, Key};
use super::{Origin, Settings};

/// A node port to expose that no host port maps to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmapped {
    pub name: &'static str,
    pub node_port: u16,
    /// Whether the user chose the ports or this one, so that going without is not what they asked for. Their
    /// own kind config may have been written for something else.
    pub is_chosen: bool,
    /// How to map it.
    pub remedy: String,
}

impl Unmapped {
    /// The problem, in one clause.
    pub fn what(&self) -> String {
        format!("no host port maps to {}'s node port {}", self.name, self.node_port)
    }

    /// The problem as a warning, with remedies.
    pub fn warning(&self) -> String {
        format!(
            "{}, so it is not exposed; {}, or use `milvusctl forward {}`",
            self.what(),
            self.remedy,
            self.name.to_lowercase()
        )
    }
}

/// Returns the node ports to expose that no host port of the cluster maps to.
pub fn unmapped(settings: &Settings) -> Vec<Unmapped> {
    if settings.cluster.context.is_some() {
        return Vec::new();
    }
    let mut found = Vec::new();
    if settings.attu.enabled {
        let port = settings.attu.node_port;
        found.extend(check(settings, "Attu", keys::ATTU_NODE_PORT, port, port));
    }
    found.extend(check(settings, "Milvus", keys::MILVUS_NODE_PORT, settings.milvus.node_port, 19530));
    found
}

fn check(settings: &Settings, name: &'static str, key: Key, node_port: u16, host: u16) -> Option<Unmapped> {
    let cluster = &settings.cluster;
    if cluster.ports.iter().any(|mapping| mapping.node == node_port) {
        return None;
    }
    let remedy = match &cluster.own {
        Some(_) => format!(
            "add `{{containerPort: {node_port}, hostPort: {host}, listenAddress: 127.0.0.1}}` to a node's \
             `extraPortMappings` in your own kind configuration"
        ),
        None => match settings.origin(keys::CLUSTER_PORTS) {
            Origin::Flag(_) => format!("add `--port {host}:{node_port}`"),
            _ => format!("add `{host}:{node_port}` to `cluster.ports`"),
        },
    };
    let is_chosen = cluster.own.is_none() || settings.origin(key) != Origin::Default;
    Some(Unmapped { name, node_port, is_chosen, remedy })
}
