//! The engine's containers, including the nodes of kind clusters.

use std::collections::BTreeSet;
use std::time::Duration;

use super::docker::{ANSWER, Docker};
use super::json;
use crate::process::{Cmd, ExecError};

/// The timeout for starting containers.
const START: Duration = Duration::from_secs(3 * 60);

/// A node container of a kind cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeContainer {
    /// The name of the container and node.
    pub name: String,
    /// `control-plane`, `worker` or `external-load-balancer`.
    pub role: String,
    pub running: bool,
    /// The image it was created from.
    pub image: String,
    /// Its published ports.
    pub ports: Vec<PublishedPort>,
}

/// A host port that is mapped to a node's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPort {
    /// The host address that listens.
    pub address: String,
    pub host: u16,
    pub node: u16,
}

impl Docker {
    /// Starts stopped containers.
    ///
    /// # Errors
    /// Fails with docker's last lines.
    pub fn start_containers(&self, names: &[String]) -> Result<(), ExecError> {
        self.runner.run(&start_command(names)).map(drop)
    }

    /// The node containers of a kind cluster, sorted by name.
    ///
    /// # Errors
    /// Fails when the engine does not answer.
    pub fn node_containers(&self, cluster: &str) -> Result<Vec<NodeContainer>, ExecError> {
        let filter = format!("label=io.x-k8s.kind.cluster={cluster}");
        let format = r#"{{.Names}}|{{.Label "io.x-k8s.kind.role"}}|{{.State}}|{{.Image}}|{{.Ports}}"#;
        let cmd = Cmd::read("docker", ANSWER).args([
            "ps",
            "--all",
            "--no-trunc",
            "--filter",
            &filter,
            "--format",
            format,
        ]);
        let output = self.runner.run(&cmd)?;
        let mut nodes: Vec<_> = output.text().lines().filter_map(parse_node_container).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(nodes)
    }

    /// The IDs of [`Docker::node_containers`], which change when a container is recreated.
    ///
    /// # Errors
    /// Fails when the engine does not answer.
    pub fn node_ids(&self, cluster: &str) -> Result<BTreeSet<String>, ExecError> {
        let filter = format!("label=io.x-k8s.kind.cluster={cluster}");
        let cmd =
            Cmd::read("docker", ANSWER).args(["ps", "--all", "--no-trunc", "--quiet", "--filter", &filter]);
        Ok(self.runner.run(&cmd)?.text().lines().map(|line| line.trim().to_owned()).collect())
    }

    /// The ports that a stopped container will have: `docker ps` only shows those of running ones.
    ///
    /// # Errors
    /// Fails when the engine does not answer or the container is gone.
    pub fn configured_ports(&self, container: &str) -> Result<Vec<PublishedPort>, ExecError> {
        let cmd = Cmd::read("docker", ANSWER).args([
            "inspect",
            "--format",
            "{{json .HostConfig.PortBindings}}",
            container,
        ]);
        let output = self.runner.run(&cmd)?;
        let bindings: serde_json::Value = json(&cmd, &output)?;
        Ok(parse_port_bindings(&bindings))
    }

    /// The container that publishes `port` on the host, if any.
    ///
    /// # Errors
    /// Fails when the engine does not answer.
    pub fn publisher_of(&self, port: u16) -> Result<Option<String>, ExecError> {
        let filter = format!("publish={port}");
        let cmd = Cmd::read("docker", ANSWER).args(["ps", "--filter", &filter, "--format", "{{.Names}}"]);
        Ok(self.runner.run(&cmd)?.text().lines().next().map(str::to_owned))
    }
}

/// The command that starts containers.
pub fn start_command(names: &[String]) -> Cmd {
    Cmd::write("docker", START).arg("start").args(names)
}

fn parse_node_container(line: &str) -> Option<NodeContainer> {
    let mut fields = line.splitn(5, '|');
    let (name, role, state) = (fields.next()?, fields.next()?, fields.next()?);
    let (image, ports) = (fields.next()?, fields.next()?);
    Some(NodeContainer {
        name: name.to_owned(),
        role: role.to_owned(),
        running: state == "running",
        image: image.to_owned(),
        ports: parse_ports(ports),
    })
}

/// Parses `127.0.0.1:31000->31000/tcp, 127.0.0.1:41235->6443/tcp`, including ranges.
fn parse_ports(text: &str) -> Vec<PublishedPort> {
    let mut ports = Vec::new();
    for part in text.split(", ") {
        let Some((host, node)) = part.split_once("->") else { continue };
        let Some((address, host)) = host.rsplit_once(':') else { continue };
        let node = node.split('/').next().unwrap_or_default();
        let (Some(host), Some(node)) = (parse_range(host), parse_range(node)) else { continue };
        for (host, node) in host.zip(node) {
            ports.push(PublishedPort { address: address.to_owned(), host, node });
        }
    }
    ports
}

fn parse_range(text: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

fn parse_port_bindings(bindings: &serde_json::Value) -> Vec<PublishedPort> {
    let mut ports = Vec::new();
    for (node, hosts) in bindings.as_object().into_iter().flatten() {
        let Some(node) = node.split('/').next().and_then(|port| port.parse().ok()) else { continue };
        for host in hosts.as_array().into_iter().flatten() {
            let field = |name: &str| host.get(name).and_then(serde_json::Value::as_str);
            let Some(port) = field("HostPort").and_then(|port| port.parse().ok()) else { continue };
            ports.push(PublishedPort { address: field("HostIp").unwrap_or("").to_owned(), host: port, node });
        }
    }
    ports.sort_by_key(|port| port.host);
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(address: &str, host: u16, node: u16) -> PublishedPort {
        PublishedPort { address: address.into(), host, node }
    }

    #[test]
    fn ports_of_a_running_node_come_from_the_list() {
        let line = "milvus-cluster-control-plane|control-plane|running|kindest/node:v1.20.2|\
                    127.0.0.1:31000->31000/tcp, 127.0.0.1:19530->31530/tcp, 127.0.0.1:40000-40001->50000-50001/tcp";
        let node = parse_node_container(line).unwrap();
        assert_eq!(
            node.ports,
            [
                mapping("127.0.0.1", 31000, 31000),
                mapping("127.0.0.1", 19530, 31530),
                mapping("127.0.0.1", 40000, 50000),
                mapping("127.0.0.1", 40001, 50001),
            ]
        );
        assert_eq!((node.role.as_str(), node.running), ("control-plane", true));
    }

    #[test]
    fn ports_of_a_stopped_node_come_from_its_configuration() {
        let bindings = serde_json::json!({
            "31530/tcp": [{"HostIp": "127.0.0.1", "HostPort": "19530"}],
            "6443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "41235"}],
        });
        assert_eq!(
            parse_port_bindings(&bindings),
            [mapping("127.0.0.1", 19530, 31530), mapping("127.0.0.1", 41235, 6443)]
        );
    }
}
