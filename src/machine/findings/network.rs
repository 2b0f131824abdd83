//! Findings about ports, proxies, registries and kubeconfig files.

use super::super::facts::{
    Holder, Kubeconfig, KubeconfigState, MachineFacts, Port, PortState, Proxy, Registry, RegistryState,
};
use super::super::needs::Needs;
use super::Finding;
use crate::net::VARIABLE_HINT;

/// A registry counts as slow from this many milliseconds on.
const SLOW_MILLIS: u64 = 3000;

/// Why a taken port is a problem.
const ALLOCATED: &str = "Docker would refuse to create the node: `port is already allocated`";

pub(super) fn look(facts: &MachineFacts, needs: &Needs, found: &mut Vec<Finding>) {
    found.extend(facts.ports.iter().map(|port| look_at_port(port, needs)));
    found.extend(facts.environment.proxies.iter().map(look_at_proxy));
    found.extend(facts.environment.network_fault.as_ref().map(|why| {
        Finding::fail("network", 1, why.as_str())
            .because("registries and tool downloads are not tried until it is fixed")
            .fix(VARIABLE_HINT)
    }));
    found.extend(facts.registries.iter().map(look_at_registry));
    found.extend(facts.environment.kubeconfigs.iter().map(look_at_kubeconfig));
}

fn look_at_port(port: &Port, needs: &Needs) -> Finding {
    let (address, number) = (port.address, port.port);
    let place = std::net::SocketAddr::new(address, number);
    let finding = match &port.state {
        PortState::Free => Finding::ok("port", format!("port {place} is free")),
        PortState::Taken(_) | PortState::Published(_) if needs.ours.contains(&number) => {
            Finding::ok("port", format!("port {place} is used by this cluster"))
        }
        PortState::Taken(holders) => {
            let finding = Finding::fail("port", 2, format!("port {place} is taken by {}", name(holders)))
                .because(ALLOCATED)
                .fix("stop what listens there, or map another host port with `--port HOST:NODE`");
            if holders.is_empty() {
                finding.command(format!("sudo ss -ltnp 'sport = :{number}'"))
            } else {
                finding
            }
        }
        PortState::Published(container) => {
            Finding::fail("port", 2, format!("port {place} is taken by the container `{container}`"))
                .because(ALLOCATED)
                .fix("stop the container, or map another host port with `--port HOST:NODE`")
                .command(format!("docker stop {container}"))
        }
        PortState::NoSuchAddress => {
            Finding::fail("port", 2, format!("this machine does not have the address `{address}`"))
                .fix("give `--listen` an address of this machine; 127.0.0.1 is the default")
        }
    };
    finding.about(number.to_string())
}

fn name(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "a process of another user".to_owned();
    }
    let names: Vec<String> =
        holders.iter().map(|holder| format!("`{}` (process {})", holder.name, holder.pid)).collect();
    names.join(", ")
}

fn look_at_proxy(proxy: &Proxy) -> Finding {
    let Proxy { name, value } = proxy;
    let what = format!("{name} is `{value}`");
    let rest = value.split_once("://").map_or(value.as_str(), |(_, rest)| rest);
    let rest = rest.strip_prefix("***@").unwrap_or(rest);
    let is_loopback = ["127.", "localhost", "[::1]"].iter().any(|start| rest.starts_with(start));
    let finding = if is_loopback && !name.eq_ignore_ascii_case("NO_PROXY") {
        Finding::warn("proxy", what)
            .because(
                "kind passes it on to the nodes, where this address is the node itself and nothing listens",
            )
            .fix("make the proxy listen on an address that containers can reach, and use that one")
            .fix("or ignore this: images that milvusctl loads do not use the nodes' network")
    } else {
        Finding::ok("proxy", what)
    };
    finding.about(name.as_str())
}

fn look_at_registry(registry: &Registry) -> Finding {
    let Registry { host, millis, state } = registry;
    let finding = match state {
        RegistryState::Answered(status) if *status >= 500 => {
            Finding::warn("registry", format!("`{host}` answered HTTP status {status} after {millis} ms"))
                .fix("try again later, or use a mirror with `--mirror REG=PREFIX`")
        }
        RegistryState::Answered(_) if *millis >= SLOW_MILLIS => {
            Finding::warn("registry", format!("`{host}` answered slowly, after {millis} ms"))
                .fix("use a nearer mirror with `--mirror REG=PREFIX` or `--mirror-preset daocloud`")
        }
        RegistryState::Answered(_) => Finding::ok("registry", format!("`{host}` answered after {millis} ms")),
        RegistryState::Failed(why) => Finding::warn("registry", format!("`{host}` cannot be reached: {why}"))
            .because("its images need a mirror, unless the engine already has them")
            .fix("use a mirror with `--mirror REG=PREFIX` or `--mirror-preset daocloud`, or set HTTPS_PROXY"),
    };
    finding.about(host.as_str())
}

fn look_at_kubeconfig(kubeconfig: &Kubeconfig) -> Finding {
    let path = kubeconfig.path.display();
    let finding = match &kubeconfig.state {
        KubeconfigState::Readable => Finding::ok("kubeconfig", format!("`{path}` is readable")),
        KubeconfigState::Missing => {
            Finding::ok("kubeconfig", format!("`{path}` does not exist yet; kind creates it"))
        }
        KubeconfigState::Unreadable(why) => {
            Finding::fail("kubeconfig", 1, format!("`{path}` cannot be read: {why}"))
                .because("kind writes the cluster's address and keys there, and kubectl and helm read them")
                .fix("take ownership of it, or point KUBECONFIG at another file")
                .command(format!("sudo chown \"$USER\" {}", quoted(&path.to_string())))
        }
    };
    finding.about(path.to_string())
}

/// Quotes `path` for a shell.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}
