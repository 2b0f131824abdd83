//! Observes the machine: queries the system, the engine and the tools concurrently, and changes nothing.
//!
//! [`crate::machine::findings`] judges the facts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use semver::Version;

use crate::context::Context;
use crate::images::mirror::Rules;
use crate::images::reference::ImageRef;
use crate::images::room::about_bytes;
use crate::load::fetch::store_folder;
use crate::machine::engine::{classify_failure, parse_docker_info};
use crate::machine::environment::observe_environment;
use crate::machine::facts::ImageStore;
use crate::machine::host::{observe_disk, observe_host};
use crate::machine::ports::observe_port;
use crate::machine::registry::probe_registry;
use crate::machine::{
    Disk, DiskUse, Engine, EngineInfo, EnvironmentFacts, Holder, MachineFacts, Mode, Needs, Pods, Port,
    PortState, Registry, ToolFacts,
};
use crate::milvus;
use crate::milvus::images::planned_images;
use crate::net::Network;
use crate::process::ExecError;
use crate::settings::{self, Settings};
use crate::store;
use crate::tools::NodeContainer;
use crate::tools::{Docker, first_version, why_no_info};

/// The timeout for a registry.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(5);

/// Collects everything about the machine that a cluster depends on; `with_registries` also checks whether
/// registries and mirrors answer, which takes up to five seconds.
///
/// Unknown facts are absent. An interrupt makes the tools fail, so call [`Context::check_interrupt`] before
/// using the facts.
pub(crate) fn observe_machine(context: &Context, with_registries: bool) -> MachineFacts {
    let root = Path::new("/");
    let environment = observe_environment(|name| std::env::var_os(name));
    let hosts = if with_registries { registry_hosts(context) } else { Vec::new() };
    let (network, fault) = match Network::of_this_machine() {
        Ok(network) => (Some(network), None),
        Err(why) => (None, Some(why).filter(|_| with_registries)),
    };
    let environment = EnvironmentFacts { network_fault: fault, ..environment };
    thread::scope(|scope| {
        let engine = scope.spawn(|| observe_engine(context));
        let tools = scope.spawn(|| observe_tools(context));
        let network = network.as_ref();
        let probes = hosts.iter().filter_map(|host| Some((network?, host)));
        let registries: Vec<_> =
            probes.map(|(network, host)| scope.spawn(move || probe(context, network, host))).collect();
        let host = observe_host(root);
        let engine = joined(engine.join());
        let ports = observe_ports(root, context, &engine);
        let disks = observe_disks(&engine, &environment);
        MachineFacts {
            host,
            engine,
            tools: joined(tools.join()),
            ports,
            disks,
            registries: registries.into_iter().map(|probe| joined(probe.join())).collect(),
            environment,
            image_store: store_folder(context)
                .ok()
                .map(|folder| ImageStore { bytes: store::size(&folder), folder }),
        }
    })
}

/// Returns what the configured cluster needs from the machine.
///
/// Asks the engine, if it runs, for the host ports that this cluster already holds.
///
/// # Errors
/// Fails when the engine runs but cannot list the nodes.
pub(crate) fn planned_needs(context: &Context, facts: &MachineFacts) -> Result<Needs, ExecError> {
    let cluster = &context.settings.cluster;
    let nodes = match facts.engine {
        Engine::Running(_) if cluster.context.is_none() => {
            context.tools.docker.node_containers(&cluster.name)?
        }
        _ => Vec::new(),
    };
    Ok(needs_beside(context, &nodes))
}

/// Returns what the configured cluster needs if `nodes` already exist.
pub(crate) fn needs_beside(context: &Context, nodes: &[NodeContainer]) -> Needs {
    let settings = &context.settings;
    let planned = planned_images(settings);
    Needs {
        mode: mode(settings),
        workers: usize::from(settings.cluster.workers),
        kubernetes: settings
            .cluster
            .node_image
            .as_ref()
            .and_then(|image| kubernetes_version(image.reference())),
        image_bytes: (planned.is_known && nodes.is_empty()).then(|| about_bytes(&planned.images)),
        memory: milvus::memory(settings),
        pods: Mode::ALL.map(|mode| pods_of(mode, settings)).to_vec(),
        exists: !nodes.is_empty(),
        ours: nodes
            .iter()
            .filter(|node| node.running)
            .flat_map(|node| node.ports.iter().map(|port| port.host))
            .collect(),
    }
}

/// Returns the resources of a mode's pods: by the settings if they choose that mode, else by its defaults.
fn pods_of(wanted: Mode, settings: &Settings) -> Pods {
    let of = |settings: &Settings| Pods {
        mode: wanted,
        requests: milvus::requests(&milvus::custom_resource(settings)),
        memory: milvus::memory(settings),
    };
    if mode(settings) == wanted {
        return of(settings);
    }
    let mut other = Settings::default();
    (other.milvus.mode, other.milvus.sizing) = match wanted {
        Mode::Small => (settings::Mode::Standalone, settings::Sizing::Small),
        Mode::Standalone => (settings::Mode::Standalone, settings::Sizing::Laptop),
        Mode::Cluster => (settings::Mode::Cluster, settings::Sizing::Laptop),
    };
    of(&other)
}

fn mode(settings: &Settings) -> Mode {
    match (settings.milvus.mode, settings.cluster.workers) {
        (settings::Mode::Standalone, 0) => Mode::Small,
        (settings::Mode::Standalone, _) => Mode::Standalone,
        (settings::Mode::Cluster, _) => Mode::Cluster,
    }
}

/// Returns the Kubernetes version in a node image's tag, as kind's own images have it.
fn kubernetes_version(node_image: &ImageRef) -> Option<Version> {
    first_version(node_image.tag()?)
}

/// Queries the engine, if it is installed and runs.
pub(crate) fn observe_engine(context: &Context) -> Engine {
    let Some(client) = context.tools.runner().locate("docker") else { return Engine::Missing };
    let docker = &context.tools.docker;
    match docker.info() {
        Ok(text) => match parse_docker_info(&text, Some(&client)) {
            Engine::Running(info) => {
                let api_version = docker.api_version().ok().flatten();
                Engine::Running(Box::new(EngineInfo { api_version, ..*info }))
            }
            other => other,
        },
        Err(ExecError::NotFound { .. }) => Engine::Missing,
        Err(error) => classify_failure(&why_no_info(&error)),
    }
}

pub(crate) fn observe_tools(context: &Context) -> Vec<ToolFacts> {
    let kube_context = context.kube_context();
    let helm = context.tools.helm(&kube_context);
    let kubectl = context.tools.kubectl(&kube_context);
    let kind = &context.tools.kind;
    let locate = |name: &str| context.tools.runner().locate(name);
    // An unknown version stays absent, which is a finding of its own.
    let facts = |name: &str, path: Option<PathBuf>, version: &dyn Fn() -> Result<Version, ExecError>| {
        let version = path.as_ref().and_then(|_| version().ok()).map(|version| version.to_string());
        ToolFacts { name: name.to_owned(), path, version }
    };
    vec![
        facts("kind", locate("kind"), &|| kind.version()),
        facts("helm", locate("helm"), &|| helm.version()),
        facts("kubectl", locate("kubectl"), &|| kubectl.client_version()),
    ]
}

fn observe_ports(root: &Path, context: &Context, engine: &Engine) -> Vec<Port> {
    let cluster = &context.settings.cluster;
    if cluster.context.is_some() {
        return Vec::new();
    }
    let docker = matches!(engine, Engine::Running(_)).then_some(&context.tools.docker);
    cluster
        .ports
        .iter()
        .map(|mapping| observe_port(root, cluster.listen_address, mapping.host))
        .map(|port| name_container(port, docker))
        .collect()
}

/// Names the container behind a port that the engine or an unknown process has.
fn name_container(port: Port, docker: Option<&Docker>) -> Port {
    let PortState::Taken(holders) = &port.state else { return port };
    if !holders.iter().all(is_the_engine) {
        return port;
    }
    let publisher = docker.and_then(|docker| docker.publisher_of(port.port).ok()).flatten();
    publisher.map_or_else(|| port.clone(), |name| Port { state: PortState::Published(name), ..port })
}

/// Whether a process opens ports for containers: Docker's proxy, its daemon, rootless Docker or Docker
/// Desktop.
fn is_the_engine(holder: &Holder) -> bool {
    ["docker-proxy", "dockerd", "rootlesskit", "com.docker.back"].contains(&holder.name.as_str())
}

fn observe_disks(engine: &Engine, environment: &EnvironmentFacts) -> Vec<Disk> {
    let is_here = environment.docker_host.as_deref().is_none_or(|host| host.starts_with("unix:"));
    let root_dir = match engine {
        Engine::Running(info) if is_here && !info.is_in_desktop_vm() => Some(info.root_dir.as_path()),
        _ => None,
    };
    let engine = root_dir.map(|path| observe_disk(DiskUse::Engine, path));
    let temporary = observe_disk(DiskUse::Temporary, &environment.temporary);
    engine.into_iter().chain([temporary]).filter_map(Result::ok).collect()
}

/// Returns the hosts that images will be pulled from, without duplicates.
fn registry_hosts(context: &Context) -> Vec<String> {
    let rules = context.mirror_rules();
    let mut hosts = places("docker.io/milvusdb/milvus", &rules, true);
    hosts.extend(places("registry.k8s.io/pause", &rules, false));
    for rule in &context.settings.mirror.rules {
        hosts.push(rule.mirror().to_owned());
    }
    let mut seen = BTreeSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    hosts
}

fn places(image: &str, rules: &Rules, with_original: bool) -> Vec<String> {
    let Ok(image) = image.parse::<ImageRef>() else { return Vec::new() };
    let candidates = rules.candidates(&image).into_iter();
    let wanted = candidates.filter(|candidate| with_original || !candidate.is_original);
    wanted.map(|candidate| candidate.image.registry().to_owned()).collect()
}

fn probe(context: &Context, network: &Network, host: &str) -> Registry {
    let is_plain =
        context.settings.mirror.rules.iter().any(|rule| rule.is_plain_http() && rule.mirror() == host);
    // Docker Hub's API has another host name than its images.
    let asked = if host == "docker.io" { "registry-1.docker.io" } else { host };
    Registry { host: host.to_owned(), ..probe_registry(network, asked, is_plain, REGISTRY_PATIENCE) }
}

fn joined<T>(result: thread::Result<T>) -> T {
    // Propagate a thread's panic.
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
#[path = "observe_tests.rs"]
pub(crate) mod tests;
