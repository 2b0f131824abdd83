//! Looks at the machine: asks the system, the engine and the tools, all at once, and changes nothing.
//!
//! What follows from the facts is for [`crate::machine::findings`] to say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use semver::Version;

use crate::context::Context;
use crate::images::mirror::Rules;
use crate::images::reference::ImageRef;
use crate::images::room::about_bytes;
use crate::machine::engine::{classify_failure, parse_docker_info};
use crate::machine::environment::observe_environment;
use crate::machine::host::{observe_disk, observe_host};
use crate::machine::ports::observe_port;
use crate::machine::registry::probe_registry;
use crate::machine::{
    Disk, DiskUse, Engine, EngineInfo, EnvironmentFacts, Holder, MachineFacts, Mode, Needs, Pods, Port,
    PortState, Registry, ToolFacts,
};
use crate::milvus;
use crate::milvus::images::planned_images;
use crate::process::ExecError;
use crate::settings::{self, Settings};
use crate::tools::NodeContainer;
use crate::tools::{Docker, first_version};

/// How long a registry may take to answer.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(5);

/// Learns everything about the machine that a cluster depends on; with `with_registries` also whether the
/// registries and mirrors answer, which takes up to five seconds.
///
/// What cannot be learnt is absent from the facts. An interrupt makes the tools' answers failures, so ask
/// [`Context::check_interrupt`] before the facts are used.
pub(crate) fn observe_machine(context: &Context, with_registries: bool) -> MachineFacts {
    let root = Path::new("/");
    let environment = observe_environment(|name| std::env::var_os(name));
    let hosts = if with_registries { registry_hosts(context) } else { Vec::new() };
    thread::scope(|scope| {
        let engine = scope.spawn(|| observe_engine(context));
        let tools = scope.spawn(|| observe_tools(context));
        let registries: Vec<_> = hosts.iter().map(|host| scope.spawn(|| probe(context, host))).collect();
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
        }
    })
}

/// Returns what the cluster of the settings needs of the machine that `facts` describe.
///
/// Asks the engine, if it runs, which host ports this very cluster holds already.
///
/// # Errors
/// Fails when the engine runs and does not say which nodes there are.
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

/// What the cluster of the settings needs where `nodes` are of it already.
pub(crate) fn needs_beside(context: &Context, nodes: &[NodeContainer]) -> Needs {
    let settings = &context.settings;
    let planned = planned_images(settings);
    Needs {
        mode: mode(settings),
        workers: usize::from(settings.cluster.workers),
        kubernetes: settings.cluster.node_image.as_deref().and_then(kubernetes_version),
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

/// Returns what the pods of `wanted` take: by the settings where they choose that mode, else by its defaults.
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

/// Returns the Kubernetes version that a node image's tag names, as kind's own images do.
fn kubernetes_version(node_image: &str) -> Option<Version> {
    first_version(ImageRef::from_str(node_image).ok()?.tag()?)
}

/// Asks the engine what it is, if it is there and runs.
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
        Err(error) => engine_failure(&error, &client),
    }
}

fn engine_failure(error: &ExecError, client: &Path) -> Engine {
    let (tail, stdout) = match error {
        ExecError::NotFound { .. } => return Engine::Missing,
        ExecError::Failed { tail, stdout, .. } => (tail.join("\n"), stdout.as_slice()),
        _ => return classify_failure(&error.to_string()),
    };
    match classify_failure(&tail) {
        // Some clients write what is wrong into their JSON, and on standard error only that something is.
        Engine::Failed { .. } if stdout.starts_with(b"{") => {
            match parse_docker_info(&String::from_utf8_lossy(stdout), Some(client)) {
                Engine::Failed { .. } | Engine::Running(_) => Engine::Failed { message: tail },
                told => told,
            }
        }
        engine => engine,
    }
}

pub(crate) fn observe_tools(context: &Context) -> Vec<ToolFacts> {
    let kube_context = context.kube_context();
    let helm = context.tools.helm(&kube_context);
    let kubectl = context.tools.kubectl(&kube_context);
    let kind = &context.tools.kind;
    let locate = |name: &str| context.tools.runner().locate(name);
    // A version that cannot be learnt is itself a finding, made of its absence.
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

/// Names the container behind a port that the engine has, or that belongs to somebody who cannot be seen.
fn name_container(port: Port, docker: Option<&Docker>) -> Port {
    let PortState::Taken(holders) = &port.state else { return port };
    if !holders.iter().all(is_the_engine) {
        return port;
    }
    let publisher = docker.and_then(|docker| docker.publisher_of(port.port).ok()).flatten();
    publisher.map_or_else(|| port.clone(), |name| Port { state: PortState::Published(name), ..port })
}

/// Whether a process opens ports for containers: Docker's proxy, the daemon itself, or rootless Docker's.
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

/// Returns where images are going to be pulled from, each host once.
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
    let Ok(image) = ImageRef::from_str(image) else { return Vec::new() };
    let candidates = rules.candidates(&image).into_iter();
    let wanted = candidates.filter(|candidate| with_original || !candidate.is_original);
    wanted.map(|candidate| candidate.image.registry().to_owned()).collect()
}

fn probe(context: &Context, host: &str) -> Registry {
    let is_plain =
        context.settings.mirror.rules.iter().any(|rule| rule.is_plain_http() && rule.mirror() == host);
    // Docker Hub answers pulls under another name than the one that images have.
    let asked = if host == "docker.io" { "registry-1.docker.io" } else { host };
    Registry { host: host.to_owned(), ..probe_registry(asked, is_plain, REGISTRY_PATIENCE) }
}

fn joined<T>(result: thread::Result<T>) -> T {
    // A panic in a thread is one of ours, and goes on as such.
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;

    use super::*;
    use crate::images::mirror::{Preset, Rule};
    use crate::process::ScriptedRunner;
    use crate::settings::PortMapping;

    const INFO: &str = include_str!("../../tests/fixtures/docker-info-20.10.24.json");
    const VERSION: &str = include_str!("../../tests/fixtures/docker-version-20.10.24.json");
    const DOCKER_INFO: &str = "docker info --format '{{json .}}'";
    const PUBLISHER: &str = "docker ps --filter publish=31000 --format '{{.Names}}'";

    /// A context with the default settings in which nothing is shown.
    pub(crate) fn context(runner: ScriptedRunner) -> Context {
        Context::for_test(Arc::new(runner))
    }

    fn tools() -> ScriptedRunner {
        ScriptedRunner::default()
            .answer("kind version", "kind v0.27.0 go1.24.4 linux/amd64\n")
            .answer("helm version --short", "v3.17.2+gcc0bbbd\n")
            .answer("kubectl version --client --output json", r#"{"clientVersion":{"gitVersion":"v1.32.3"}}"#)
    }

    fn versions(context: &Context) -> Vec<(String, bool, Option<String>)> {
        let facts = observe_tools(context).into_iter();
        facts.map(|tool| (tool.name, tool.path.is_some(), tool.version)).collect()
    }

    fn taken(names: &[&str]) -> Port {
        let holders = names.iter().map(|name| Holder { pid: 1, name: (*name).to_owned() }).collect();
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        Port { address, port: 31000, state: PortState::Taken(holders) }
    }

    fn named(port: Port, answer: &str) -> PortState {
        let docker = Docker::new(Arc::new(ScriptedRunner::default().answer(PUBLISHER, answer)));
        name_container(port, Some(&docker)).state
    }

    #[test]
    fn tools_are_found_with_their_versions() {
        let row = |name: &str, version: &str| (name.to_owned(), true, Some(version.to_owned()));
        assert_eq!(
            versions(&context(tools())),
            [row("kind", "0.27.0"), row("helm", "3.17.2"), row("kubectl", "1.32.3")]
        );
    }

    #[test]
    fn a_missing_tool_is_not_asked_and_a_broken_one_has_no_version() {
        let runner = ScriptedRunner::default()
            .without("kind")
            .fail("helm version --short", "segmentation fault")
            .answer("kubectl version --client --output json", "hello");
        let row = |name: &str, is_there: bool| (name.to_owned(), is_there, None);
        assert_eq!(versions(&context(runner)), [row("kind", false), row("helm", true), row("kubectl", true)]);
    }

    #[test]
    fn a_running_engine_is_read_with_its_api_version() {
        let runner = ScriptedRunner::default()
            .answer(DOCKER_INFO, INFO)
            .answer("docker version --format '{{json .}}'", VERSION);
        let Engine::Running(info) = observe_engine(&context(runner)) else { panic!("it runs") };
        assert_eq!((info.version.as_str(), info.api_version.as_deref()), ("20.10.24+dfsg1", Some("1.41")));
    }

    #[test]
    fn without_docker_nothing_is_asked() {
        assert_eq!(observe_engine(&context(ScriptedRunner::default().without("docker"))), Engine::Missing);
    }

    #[test]
    fn an_engine_that_does_not_run_is_told_from_one_that_is_forbidden() {
        let rows = [
            (
                "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
                "not_running",
            ),
            ("permission denied while trying to connect to the Docker daemon socket", "permission_denied"),
            ("unknown flag: --format", "failed"),
        ];
        for (stderr, state) in rows {
            let engine = observe_engine(&context(ScriptedRunner::default().fail(DOCKER_INFO, stderr)));
            assert_eq!(serde_json::to_value(&engine).unwrap()["state"], state, "{stderr}");
        }
    }

    #[test]
    fn what_is_wrong_may_stand_in_the_json_alone() {
        let message = "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?";
        let failed = |stdout: String| ExecError::Failed {
            cmd: DOCKER_INFO.to_owned(),
            status: "exit status: 1".to_owned(),
            code: Some(1),
            tail: vec!["errors pretty printing info".to_owned()],
            stdout: stdout.into_bytes(),
        };
        let told = failed(serde_json::json!({"ServerErrors": [message]}).to_string());
        let client = Path::new("/usr/bin/docker");
        assert_eq!(engine_failure(&told, client), Engine::NotRunning { message: message.to_owned() });
        let message = "errors pretty printing info".to_owned();
        assert_eq!(engine_failure(&failed(INFO.to_owned()), client), Engine::Failed { message });
    }

    #[test]
    fn a_port_that_the_engine_has_is_its_containers() {
        let container = PortState::Published("web".to_owned());
        assert_eq!(named(taken(&["docker-proxy"]), "web\n"), container);
        assert_eq!(named(taken(&[]), "web\n"), container);
    }

    #[test]
    fn a_port_that_no_container_has_keeps_its_holder() {
        assert_eq!(named(taken(&[]), ""), taken(&[]).state);
        assert_eq!(named(taken(&["python3"]), "web\n"), taken(&["python3"]).state);
        let port = taken(&["docker-proxy"]);
        assert_eq!(name_container(port.clone(), None), port);
    }

    #[test]
    fn the_ports_of_the_settings_are_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut context = context(ScriptedRunner::default());
        context.settings.cluster.ports = vec![PortMapping { host: port, node: 31000 }];
        let observed = observe_ports(Path::new("/"), &context, &Engine::Missing);
        assert!(matches!(observed.as_slice(), [Port { state: PortState::Taken(_), .. }]), "{observed:?}");
        context.settings.cluster.context = Some("minikube".to_owned());
        assert_eq!(observe_ports(Path::new("/"), &context, &Engine::Missing), []);
    }

    #[test]
    fn the_ports_of_this_very_cluster_are_ours() {
        let line = "docker ps --all --no-trunc --filter label=io.x-k8s.kind.cluster=milvus-cluster --format \
                    '{{.Names}}|{{.Label \"io.x-k8s.kind.role\"}}|{{.State}}|{{.Image}}|{{.Ports}}'";
        let answer = "a|control-plane|running|x|127.0.0.1:31000->31000/tcp\n\
                      b|worker|exited|x|127.0.0.1:19530->31530/tcp\n";
        let mut context = context(ScriptedRunner::default().answer(line, answer));
        context.settings.cluster.node_image =
            Some("kindest/node:v1.20.2@sha256:".to_owned() + &"a".repeat(64));
        let facts = MachineFacts { engine: Engine::Running(Box::default()), ..MachineFacts::default() };
        let needs = planned_needs(&context, &facts).unwrap();
        assert_eq!(needs.ours, [31000]);
        assert_eq!(needs.image_bytes, None, "the images are in these nodes already");
        assert_eq!(needs.kubernetes, Some(Version::new(1, 20, 2)));
        assert_eq!(planned_needs(&context, &MachineFacts::default()).unwrap().ours, Vec::<u16>::new());
    }

    #[test]
    fn a_new_cluster_needs_room_for_the_images_of_its_plan() {
        let mut context = context(ScriptedRunner::default());
        let facts = MachineFacts::default();
        let room = |context: &Context| planned_needs(context, &facts).unwrap().image_bytes;
        let cluster = room(&context).unwrap();
        context.settings.milvus.mode = settings::Mode::Standalone;
        assert!(room(&context).unwrap() < cluster);
        context.settings.operator.version = Version::new(99, 0, 0);
        assert_eq!(room(&context), None, "the images of that release are not known");
    }

    #[test]
    fn each_mode_is_told_with_what_its_pods_ask_for() {
        let mut context = context(ScriptedRunner::default());
        context.settings.milvus.sizing = settings::Sizing::Operator;
        let pods = planned_needs(&context, &MachineFacts::default()).unwrap().pods;
        let pods: Vec<(Mode, &str)> = pods.iter().map(|pods| (pods.mode, pods.requests.as_str())).collect();
        assert_eq!(
            pods,
            [
                (Mode::Small, "Milvus 100m and 256Mi, storage 100Mi"),
                (Mode::Standalone, "storage 256Mi"),
                (Mode::Cluster, ""),
            ]
        );
    }

    #[test]
    fn only_tags_that_are_versions_name_a_kubernetes() {
        let rows = [
            ("kindest/node:v1.34.0", Some(Version::new(1, 34, 0))),
            ("127.0.0.1:5000/kindest/node:v1.33.1", Some(Version::new(1, 33, 1))),
            ("kindest/node:latest", None),
            ("kindest/node", None),
            ("Not An Image", None),
        ];
        for (image, version) in rows {
            assert_eq!(kubernetes_version(image), version, "{image}");
        }
    }

    #[test]
    fn registries_are_asked_once_each_mirrors_first() {
        let rules = vec![Rule::new("docker.io", "127.0.0.1:5000").unwrap()];
        let rules = Rules::new(rules, Preset::Aliyun);
        assert_eq!(places("docker.io/milvusdb/milvus", &rules, true), ["127.0.0.1:5000", "docker.io"]);
        assert_eq!(places("registry.k8s.io/pause", &rules, false), ["registry.aliyuncs.com"]);
        let mut context = context(ScriptedRunner::default());
        assert_eq!(registry_hosts(&context), ["docker.io", "registry.aliyuncs.com"]);
        let rule = Rule::new("quay.io", "http://10.0.0.1:5000/q").unwrap();
        context.settings.mirror.rules = vec![rule];
        assert_eq!(registry_hosts(&context), ["docker.io", "registry.aliyuncs.com", "10.0.0.1:5000"]);
    }
}
