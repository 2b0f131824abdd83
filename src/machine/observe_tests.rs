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

/// A silent context with default settings.
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
fn a_missing_tool_is_not_run_and_a_broken_one_has_no_version() {
    let runner = ScriptedRunner::default()
        .without("kind")
        .fail("helm version --short", "segmentation fault")
        .answer("kubectl version --client --output json", "hello");
    let row = |name: &str, is_there: bool| (name.to_owned(), is_there, None);
    assert_eq!(versions(&context(runner)), [row("kind", false), row("helm", true), row("kubectl", true)]);
}

#[test]
fn a_running_engine_is_observed_with_its_api_version() {
    let runner = ScriptedRunner::default()
        .answer(DOCKER_INFO, INFO)
        .answer("docker version --format '{{json .}}'", VERSION);
    let Engine::Running(info) = observe_engine(&context(runner)) else { panic!("it runs") };
    assert_eq!((info.version.as_str(), info.api_version.as_deref()), ("20.10.24+dfsg1", Some("1.41")));
}

#[test]
fn without_docker_no_command_runs() {
    assert_eq!(observe_engine(&context(ScriptedRunner::default().without("docker"))), Engine::Missing);
}

#[test]
fn a_stopped_engine_is_told_from_a_forbidden_one() {
    let rows = [
        ("Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", "not_running"),
        ("permission denied while trying to connect to the Docker daemon socket", "permission_denied"),
        ("unknown flag: --format", "failed"),
    ];
    for (stderr, state) in rows {
        let engine = observe_engine(&context(ScriptedRunner::default().fail(DOCKER_INFO, stderr)));
        assert_eq!(serde_json::to_value(&engine).unwrap()["state"], state, "{stderr}");
    }
}

#[test]
fn the_error_may_be_in_the_json_only() {
    let message = "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?";
    let failed = |stdout: String| ExecError::Failed {
        cmd: DOCKER_INFO.to_owned(),
        status: "exit status: 1".to_owned(),
        code: Some(1),
        tail: vec!["errors pretty printing info".to_owned()],
        stdout: stdout.into_bytes(),
    };
    let told = failed(serde_json::json!({"ServerErrors": [message]}).to_string());
    assert_eq!(why_no_info(&told), message);
    assert_eq!(why_no_info(&failed(INFO.to_owned())), "errors pretty printing info");
}

#[test]
fn a_port_of_the_engine_is_its_containers() {
    let container = PortState::Published("web".to_owned());
    assert_eq!(named(taken(&["docker-proxy"]), "web\n"), container);
    assert_eq!(named(taken(&[]), "web\n"), container);
}

#[test]
fn a_port_without_a_container_keeps_its_holder() {
    assert_eq!(named(taken(&[]), ""), taken(&[]).state);
    assert_eq!(named(taken(&["python3"]), "web\n"), taken(&["python3"]).state);
    let port = taken(&["docker-proxy"]);
    assert_eq!(name_container(port.clone(), None), port);
}

#[test]
fn the_configured_ports_are_checked() {
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
fn the_ports_of_this_cluster_are_ours() {
    let line = "docker ps --all --no-trunc --filter label=io.x-k8s.kind.cluster=milvus-cluster --format \
                '{{.Names}}|{{.Label \"io.x-k8s.kind.role\"}}|{{.State}}|{{.Image}}|{{.Ports}}'";
    let answer = "a|control-plane|running|x|127.0.0.1:31000->31000/tcp\n\
                  b|worker|exited|x|127.0.0.1:19530->31530/tcp\n";
    let mut context = context(ScriptedRunner::default().answer(line, answer));
    context.settings.cluster.node_image =
        Some(format!("kindest/node:v1.20.2@sha256:{}", "a".repeat(64)).parse().unwrap());
    let facts = MachineFacts { engine: Engine::Running(Box::default()), ..MachineFacts::default() };
    let needs = planned_needs(&context, &facts).unwrap();
    assert_eq!(needs.ours, [31000]);
    assert_eq!(needs.image_bytes, None, "the nodes already have the images");
    assert_eq!(needs.kubernetes, Some(Version::new(1, 20, 2)));
    assert_eq!(planned_needs(&context, &MachineFacts::default()).unwrap().ours, Vec::<u16>::new());
}

#[test]
fn a_new_cluster_needs_space_for_its_planned_images() {
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
fn every_mode_is_listed_with_its_pods_requests() {
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
fn only_version_tags_name_a_kubernetes() {
    let rows = [
        ("kindest/node:v1.34.0", Some(Version::new(1, 34, 0))),
        ("127.0.0.1:5000/kindest/node:v1.33.1", Some(Version::new(1, 33, 1))),
        ("kindest/node:latest", None),
        ("kindest/node", None),
    ];
    for (image, version) in rows {
        assert_eq!(kubernetes_version(&image.parse().unwrap()), version, "{image}");
    }
}

#[test]
fn each_registry_is_queried_once_mirrors_first() {
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
