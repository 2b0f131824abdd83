//! Reads the user's own kind config: what it says about the cluster, and what kind would reject or ignore.
//!
//! kind decodes strictly and validates the whole file (its pkg/internal/apis/config/encoding and
//! validate.go), but only once it runs. Here an unknown key is reported, with its position, before anything
//! changes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::image::ImageSetting;
use super::kind_lint;
use super::kind_schema::{CLUSTER, ShapeReader};
use super::origin::{Origin, Problem, WithOrigin};
use super::types::PortMapping;
use super::validate;
use crate::yaml::{Document, PathSegment, without_empty_start};

/// The user's own kind config, as far as it matters outside of kind.
#[derive(Clone, Debug, PartialEq)]
pub struct KindFile {
    pub(super) text: String,
    /// The file with merge keys resolved.
    pub(super) document: Value,
    pub(super) name: Option<WithOrigin<String>>,
    pub(super) control_planes: u8,
    pub(super) workers: WithOrigin<u8>,
    /// The control plane's image, which sets the cluster's Kubernetes version.
    pub(super) node_image: Option<WithOrigin<ImageSetting>>,
    pub(super) service_subnet: WithOrigin<String>,
    /// Fixed TCP host ports.
    pub(super) ports: Vec<WithOrigin<PortMapping>>,
    /// Where the ports listen; `None` without ports.
    pub(super) listen_address: Option<WithOrigin<IpAddr>>,
    pub(super) warnings: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

/// Reads `text`, the kind config at `path`.
///
/// Keeps problems for [`resolve`](super::resolve()) to report with all the others.
pub fn parse(path: &Path, text: &str) -> KindFile {
    let mut file =
        File { path, document: None, value: Value::Null, paths: BTreeMap::new(), problems: Vec::new() };
    match Document::parse(text) {
        Ok(document) => file.check(document),
        Err(error) => file.problems.push(Problem {
            from: Origin::File { path: path.to_owned(), place: error.place },
            key: String::new(),
            message: error.message,
        }),
    }
    file.read(text)
}

struct File<'a> {
    path: &'a Path,
    document: Option<Document<'a>>,
    value: Value,
    /// The position of each value by its key, such as `nodes[0].image`.
    paths: BTreeMap<String, Vec<PathSegment>>,
    problems: Vec<Problem>,
}

impl<'a> File<'a> {
    fn check(&mut self, document: Document<'a>) {
        let mut reader = ShapeReader::new(self.path, &document);
        let root = document.root().clone();
        let value = reader.read("", &root, &CLUSTER, &mut Vec::new());
        let word = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, api_version) = (word("kind"), word("apiVersion"));
        if (kind.as_str(), api_version.as_str()) == ("Cluster", "kind.x-k8s.io/v1alpha4") {
            (self.paths, self.problems) = (reader.paths, reader.problems);
        } else {
            // The other problems only follow from this one.
            let message = format!(
                "expected `kind: Cluster` and `apiVersion: kind.x-k8s.io/v1alpha4`, found `{kind}` and `{api_version}`"
            );
            let from = Origin::File { path: self.path.to_owned(), place: document.place(&[]) };
            self.problems = vec![Problem { from, key: String::new(), message }];
        }
        self.value = value;
        self.document = Some(document);
    }

    /// The position of the value of `key`; only the file if it has none.
    fn origin(&self, key: &str) -> Origin {
        let place = match (&self.document, self.paths.get(key)) {
            (Some(document), Some(path)) => document.place(path),
            _ => None,
        };
        Origin::File { path: PathBuf::from(self.path), place }
    }

    fn problem(&mut self, key: &str, message: String) {
        self.problems.push(Problem { from: self.origin(key), key: key.to_owned(), message });
    }

    fn read(mut self, text: &str) -> KindFile {
        let value = std::mem::take(&mut self.value);
        let non_empty = |value: &Value, field: &str| {
            value[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let nodes: Vec<Value> = value["nodes"].as_array().cloned().unwrap_or_default();
        let roles: Vec<String> = nodes
            .iter()
            .map(|node| non_empty(node, "role").unwrap_or_else(|| "control-plane".to_owned()))
            .collect();
        for (index, role) in roles.iter().enumerate() {
            if !["control-plane", "worker"].contains(&role.as_str()) {
                let message = format!("expected `control-plane` or `worker`, found `{role}`");
                self.problem(&format!("nodes[{index}].role"), message);
            }
        }
        let control_plane = roles.iter().position(|role| role == "control-plane");
        if !nodes.is_empty() && control_plane.is_none() {
            self.problem("nodes", "expected at least one node with `role: control-plane`".to_owned());
        }
        let image_key = format!("nodes[{}].image", control_plane.unwrap_or_default());
        let mut image = None;
        for (index, node) in nodes.iter().enumerate() {
            match non_empty(node, "image").map(|image| validate::image(&image)) {
                Some(Ok(found)) if Some(index) == control_plane => image = Some(found),
                Some(Err(message)) => self.problem(&format!("nodes[{index}].image"), message),
                Some(Ok(_)) | None => {}
            }
        }
        let (ports, addresses) = self.ports(&nodes, &value);
        let networking = &value["networking"];
        let service_subnet = non_empty(networking, "serviceSubnet")
            .unwrap_or_else(|| default_subnet(networking["ipFamily"].as_str()).to_owned());
        let count = |role: &str| {
            let number = roles.iter().filter(|found| *found == role).count();
            u8::try_from(number).unwrap_or(u8::MAX)
        };
        // Without nodes, kind creates a single control plane.
        let (control_planes, workers) = (count("control-plane").max(1), count("worker"));
        let mut warnings = kind_lint::warnings(&value, image.as_ref());
        if control_planes > 1 && workers == 0 {
            // kind only removes the taint from a single-node cluster (its actions/kubeadminit/init.go).
            warnings.push(
                "no pod can be scheduled, since kind taints all nodes of several control planes; add a node with `role: worker`"
                    .to_owned(),
            );
        }
        KindFile {
            text: without_empty_start(text).to_owned(),
            name: non_empty(&value, "name").map(|name| WithOrigin::new(name, self.origin("name"))),
            control_planes,
            workers: WithOrigin::new(workers, self.origin("nodes")),
            node_image: image.map(|image| WithOrigin::new(image, self.origin(&image_key))),
            service_subnet: WithOrigin::new(service_subnet, self.origin("networking.serviceSubnet")),
            ports,
            listen_address: common_address(addresses),
            warnings,
            problems: self.problems,
            document: value,
        }
    }

    /// Reads the ports and their listen addresses.
    fn ports(
        &mut self,
        nodes: &[Value],
        config: &Value,
    ) -> (Vec<WithOrigin<PortMapping>>, Vec<WithOrigin<IpAddr>>) {
        let everywhere = match config["networking"]["ipFamily"].as_str() {
            Some("ipv6") => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let (mut ports, mut addresses) = (Vec::new(), Vec::new());
        for (node, index, mapping) in nodes.iter().enumerate().flat_map(|(node, value)| {
            let mappings = value["extraPortMappings"].as_array().into_iter().flatten();
            mappings.enumerate().map(move |(index, mapping)| (node, index, mapping))
        }) {
            let key = format!("nodes[{node}].extraPortMappings[{index}]");
            let mut number = |field: &str| {
                let port = mapping[field].as_i64().unwrap_or_default();
                if !(-1..=65535).contains(&port) {
                    self.problem(
                        &format!("{key}.{field}"),
                        format!("expected a port up to 65535, found `{port}`"),
                    );
                }
                // For 0 and -1, kind or the engine picks a port.
                u16::try_from(port).ok().filter(|port| *port > 0)
            };
            let (host, container) = (number("hostPort"), number("containerPort"));
            let is_tcp = match mapping["protocol"].as_str().unwrap_or_default().to_uppercase().as_str() {
                "" | "TCP" => true,
                "UDP" | "SCTP" => false,
                other => {
                    let message = format!("expected `TCP`, `UDP` or `SCTP`, found `{other}`");
                    self.problem(&format!("{key}.protocol"), message);
                    false
                }
            };
            let address = match mapping["listenAddress"].as_str().unwrap_or_default() {
                "" => everywhere,
                text => validate::address(text).unwrap_or_else(|message| {
                    self.problem(&format!("{key}.listenAddress"), message);
                    everywhere
                }),
            };
            if let (Some(host), Some(node), true) = (host, container, is_tcp) {
                ports.push(WithOrigin::new(PortMapping { host, node }, self.origin(&key)));
                addresses.push(WithOrigin::new(address, self.origin(&key)));
            }
        }
        (ports, addresses)
    }
}

/// The listen address that all ports share, or the unspecified address if they differ.
fn common_address(addresses: Vec<WithOrigin<IpAddr>>) -> Option<WithOrigin<IpAddr>> {
    let first = addresses.first()?.clone();
    let other = addresses.into_iter().find(|address| address.value != first.value);
    Some(match other {
        Some(other) if !first.value.is_unspecified() => {
            WithOrigin::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), other.from)
        }
        _ => first,
    })
}

/// kind's default Service subnet (pkg/internal/apis/config/default.go).
fn default_subnet(ip_family: Option<&str>) -> &'static str {
    match ip_family {
        Some("ipv6") => "fd00:10:96::/112",
        Some("dual") => "10.96.0.0/16,fd00:10:96::/112",
        _ => "10.96.0.0/16",
    }
}

#[cfg(test)]
#[path = "kind_file_tests.rs"]
mod tests;
