//! Applies the user's own kind config to the settings. kind gets the file unchanged, so its values win; only
//! its name yields to one given elsewhere.

use super::keys::{self, Key};
use super::kind_file::KindFile;
use super::layer::Raw;
use super::origin::{Origin, Problem, WithOrigin};
use super::reader::Resolver;
use super::types::{Cluster, OwnConfig};
use super::validate;

pub(super) fn apply(resolver: &mut Resolver, cluster: &mut Cluster, file: KindFile) {
    resolver.problems.extend(file.problems);
    let mut warnings = file.warnings;
    if let Some(WithOrigin { value: name, from: origin }) = file.name
        && !resolver.is_set(keys::CLUSTER_NAME)
    {
        match validate::cluster_name(&name) {
            Ok(_) => resolver.show(keys::CLUSTER_NAME, Raw::Text(name.clone()), origin),
            Err(message) => resolver.problems.push(Problem { from: origin, key: "name".to_owned(), message }),
        }
        cluster.name = name;
    }
    let mut take = |key: Key, value: Raw, origin: Origin| {
        if resolver.values.get(key.path).is_some_and(|given| !is_same(&given.value, &value)) {
            warnings.push(format!(
                "`{}` has no effect, since your own kind configuration is used as is; set it there",
                key.path
            ));
        }
        resolver.show(key, value, origin);
    };
    let WithOrigin { value: workers, from: nodes } = file.workers;
    take(keys::CLUSTER_WORKERS, Raw::Integer(workers.into()), nodes.clone());
    let (image, origin) = match file.node_image {
        Some(image) => (Some(image.value), image.from),
        None => (None, nodes.clone()),
    };
    take(
        keys::CLUSTER_NODE_IMAGE,
        Raw::Text(image.as_ref().map(ToString::to_string).unwrap_or_default()),
        origin,
    );
    let subnet = file.service_subnet;
    take(keys::CLUSTER_SERVICE_SUBNET, Raw::Text(subnet.value.clone()), subnet.from);
    let ports: Vec<_> =
        file.ports.iter().map(|port| WithOrigin::new(port.value.to_string(), port.from.clone())).collect();
    let origin = ports.first().map_or(nodes, |port| port.from.clone());
    take(keys::CLUSTER_PORTS, Raw::Texts(ports), origin);
    if let Some(address) = file.listen_address {
        take(keys::CLUSTER_LISTEN_ADDRESS, Raw::Text(address.value.to_string()), address.from);
        cluster.listen_address = address.value;
    }
    cluster.control_planes = file.control_planes;
    cluster.workers = workers;
    cluster.node_image = image;
    cluster.service_subnet = subnet.value;
    cluster.ports = file.ports.into_iter().map(|port| port.value).collect();
    cluster.own = Some(OwnConfig { text: file.text, document: file.document, warnings });
}

/// Whether two values are equal, ignoring their origins.
fn is_same(one: &Raw, other: &Raw) -> bool {
    match (one, other) {
        (Raw::Texts(one), Raw::Texts(other)) => {
            one.iter().map(|given| &given.value).eq(other.iter().map(|given| &given.value))
        }
        _ => one == other,
    }
}
