use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use semver::Version;

use super::super::facts::{
    CgroupVersion, CpuFeatures, Disk, DiskUse, Engine, EngineInfo, Holder, HostFacts, Inotify, Kubeconfig,
    KubeconfigState, Memory as HostMemory, Port, PortState, Proxy, Registry, RegistryState, ToolFacts,
};
use super::super::needs::{Mode, Pods};
use super::*;
use crate::milvus::MilvusMemory;

mod resources;

const GB: u64 = 1_000_000_000;

fn tool(name: &str, version: &str) -> ToolFacts {
    let path = Some(PathBuf::from(format!("/usr/bin/{name}")));
    ToolFacts { name: name.to_owned(), path, version: Some(version.to_owned()) }
}

/// A machine without problems.
fn machine() -> MachineFacts {
    MachineFacts {
        host: HostFacts { os: "linux".to_owned(), arch: "x86_64".to_owned(), ..HostFacts::default() },
        engine: Engine::Running(Box::new(engine())),
        tools: vec![tool("kind", "v0.33.0"), tool("helm", "v3.19.0+g3d8990f"), tool("kubectl", "v1.36.4")],
        ..MachineFacts::default()
    }
}

fn engine() -> EngineInfo {
    EngineInfo {
        version: "28.5.1".to_owned(),
        operating_system: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        memory_bytes: 64 * GB,
        cpus: 16,
        cgroup: Some(CgroupVersion::V2),
        storage_driver: "overlay2".to_owned(),
        root_dir: PathBuf::from("/var/lib/docker"),
        ..EngineInfo::default()
    }
}

fn with_engine(info: EngineInfo) -> MachineFacts {
    MachineFacts { engine: Engine::Running(Box::new(info)), ..machine() }
}

fn needs() -> Needs {
    Needs {
        mode: Mode::Cluster,
        workers: 3,
        kubernetes: None,
        image_bytes: None,
        memory: MilvusMemory { requests: 5 * GB, heaps: 2 * GB, direct: 2 * GB, least: 8 * GB },
        pods: Vec::new(),
        exists: false,
        ours: Vec::new(),
    }
}

fn find(facts: &MachineFacts, needs: &Needs, id: &str) -> Finding {
    let found: Vec<Finding> = findings(facts, needs).into_iter().filter(|finding| finding.id == id).collect();
    let [finding] = found.as_slice() else { panic!("{id}: {found:?}") };
    finding.clone()
}

fn level(facts: &MachineFacts, needs: &Needs, id: &str) -> (Level, Option<u8>) {
    let finding = find(facts, needs, id);
    (finding.level, finding.exit)
}

#[test]
fn a_good_machine_has_no_problems() {
    let bad: Vec<_> =
        findings(&machine(), &needs()).into_iter().filter(|finding| finding.level > Level::Ok).collect();
    assert_eq!(bad, []);
}

#[test]
fn every_problem_says_what_to_do() {
    let mut facts = machine();
    facts.tools.clear();
    facts.engine = Engine::NotRunning { message: "Cannot connect".to_owned() };
    facts.host.memory = Some(HostMemory { total_bytes: 3 * GB, available_bytes: None });
    facts.host.cpus = Some(1);
    facts.host.cgroup = Some(CgroupVersion::V1);
    facts.host.cpu_features = Some(CpuFeatures { sse4_2: false, avx: false, avx2: false });
    facts.host.inotify = Some(Inotify { max_user_watches: 8192, max_user_instances: 128 });
    let found = findings(&facts, &needs());
    let ids: Vec<_> = found.iter().map(|finding| finding.id).collect();
    assert_eq!(
        ids,
        [
            "tool_kind",
            "tool_helm",
            "tool_kubectl",
            "engine",
            "memory",
            "cpus",
            "inotify",
            "cgroup",
            "cpu_features"
        ]
    );
    for finding in found {
        assert!(finding.level > Level::Ok && !finding.fix.is_empty(), "{finding:?}");
    }
}

#[test]
fn a_finding_has_stable_fields_as_json() {
    let facts = MachineFacts { engine: Engine::Missing, ..machine() };
    assert_eq!(
        serde_json::to_value(find(&facts, &needs(), "engine")).unwrap(),
        serde_json::json!({
            "id": "engine",
            "subject": null,
            "level": "fail",
            "what": "`docker` was not found in PATH",
            "why": "kind runs the cluster's nodes as containers",
            "fix": ["install Docker Engine or Docker Desktop: https://docs.docker.com/engine/install/"],
            "commands": [],
            "exit": 3,
        })
    );
}

#[test]
fn a_missing_tool_exits_with_3_and_can_be_downloaded() {
    let mut facts = machine();
    facts.tools.remove(1);
    let finding = find(&facts, &needs(), "tool_helm");
    assert_eq!((finding.level, finding.exit), (Level::Fail, Some(3)));
    assert_eq!(finding.what, "`helm` was not found in PATH");
    assert_eq!(finding.commands, ["milvusctl doctor --fix"]);
}

#[test]
fn versions_are_parsed_in_every_format() {
    let rows = [
        ("v0.27.0", Some(Version::new(0, 27, 0))),
        ("kind v0.33.0-alpha+14e85a5d go1.24 linux/amd64", Some(Version::new(0, 33, 0))),
        ("v3.17.3+ge4da497", Some(Version::new(3, 17, 3))),
        ("1.32", Some(Version::new(1, 32, 0))),
        ("20.10.24+dfsg1", Some(Version::new(20, 10, 24))),
        ("dev", None),
        ("", None),
        ("7", None),
    ];
    for (text, expected) in rows {
        assert_eq!(version_in(text), expected, "{text}");
    }
}

#[test]
fn a_node_image_needs_a_recent_kind() {
    let needed = |minor| tools::kind_needed(Some(&Version::new(1, minor, 0))).map(|(kind, _)| kind.minor);
    let rows = [(20, None), (32, None), (33, Some(27)), (35, Some(27)), (36, Some(32)), (37, Some(32))];
    for (kubernetes, kind) in rows {
        assert_eq!(needed(kubernetes), kind, "1.{kubernetes}");
    }
    assert_eq!(tools::kind_needed(None), None);
}

#[test]
fn a_kind_too_old_for_the_node_image_is_reported_with_the_one_to_use() {
    let mut facts = machine();
    facts.tools[0] = tool("kind", "v0.27.0");
    let needs = Needs { kubernetes: Some(Version::new(1, 36, 1)), ..needs() };
    let finding = find(&facts, &needs, "tool_kind");
    assert_eq!(
        finding.what,
        "kind 0.27.0 is too old for the node image: 0.32.0 or newer is needed (`/usr/bin/kind`)"
    );
    assert_eq!((finding.level, finding.exit), (Level::Fail, Some(3)));
}

#[test]
fn tools_have_version_bounds() {
    let rows = [
        ("tool_helm", tool("helm", "v3.11.9"), (Level::Fail, Some(3))),
        ("tool_helm", tool("helm", "v3.12.0"), (Level::Ok, None)),
        ("tool_helm", tool("helm", "v4.1.1"), (Level::Ok, None)),
        ("tool_helm", tool("helm", "unknown"), (Level::Warn, None)),
        ("tool_kind", tool("kind", "v0.26.0"), (Level::Warn, None)),
        // kind 0.33 defaults to Kubernetes 1.37.
        ("tool_kubectl", tool("kubectl", "v1.36.4"), (Level::Ok, None)),
        ("tool_kubectl", tool("kubectl", "v1.35.0"), (Level::Warn, None)),
    ];
    for (id, tool, expected) in rows {
        let mut facts = machine();
        let what = format!("{tool:?}");
        facts.tools.retain(|other| other.name != tool.name);
        facts.tools.push(tool);
        assert_eq!(level(&facts, &needs(), id), expected, "{what}");
    }
}

#[test]
fn an_engine_that_does_not_answer_exits_with_3_and_the_reason() {
    let message = || "what docker said".to_owned();
    let rows = [
        (Engine::Missing, "`docker` was not found in PATH"),
        (Engine::NotRunning { message: message() }, "the Docker engine is not running"),
        (Engine::PermissionDenied { message: message() }, "this user has no access to the Docker engine"),
        (Engine::Failed { message: message() }, "could not query the Docker engine"),
    ];
    for (engine, what) in rows {
        let finding = find(&MachineFacts { engine, ..machine() }, &needs(), "engine");
        assert_eq!((finding.what.as_str(), finding.exit), (what, Some(3)));
    }
}

#[test]
fn a_stopped_engine_is_started_by_its_systems_means() {
    let mut facts =
        MachineFacts { engine: Engine::NotRunning { message: "Cannot connect".to_owned() }, ..machine() };
    assert_eq!(find(&facts, &needs(), "engine").commands, ["sudo systemctl start docker"]);
    facts.host.os = "macos".to_owned();
    assert_eq!(find(&facts, &needs(), "engine").commands, ["open -a Docker"]);
}

#[test]
fn an_engine_named_by_docker_host_is_not_started_here() {
    let mut facts =
        MachineFacts { engine: Engine::NotRunning { message: "Cannot connect".to_owned() }, ..machine() };
    facts.environment.docker_host = Some("unix:///run/other.sock".to_owned());
    assert_eq!(find(&facts, &needs(), "engine").commands, ["unset DOCKER_HOST"]);
}

#[test]
fn inotify_limits_matter_from_three_workers_on() {
    let rows = [
        (8192, 128, 2, Level::Ok),
        (8192, 128, 3, Level::Warn),
        (524_288, 128, 3, Level::Warn),
        (524_288, 512, 9, Level::Ok),
    ];
    for (max_user_watches, max_user_instances, workers, expected) in rows {
        let mut facts = machine();
        facts.host.inotify = Some(Inotify { max_user_watches, max_user_instances });
        assert_eq!(find(&facts, &Needs { workers, ..needs() }, "inotify").level, expected);
    }
}

#[test]
fn a_high_limit_is_not_lowered() {
    let mut facts = machine();
    facts.host.inotify = Some(Inotify { max_user_watches: 1_048_576, max_user_instances: 128 });
    assert_eq!(
        find(&facts, &needs(), "inotify").commands[0],
        "sudo sysctl -w fs.inotify.max_user_watches=1048576 fs.inotify.max_user_instances=512"
    );
}

#[test]
fn old_control_groups_end_with_kubernetes_1_35() {
    let rows = [
        (Some(Version::new(1, 34, 0)), "v0.33.0", Level::Ok),
        (Some(Version::new(1, 35, 0)), "v0.33.0", Level::Fail),
        (None, "v0.30.0", Level::Ok),
        (None, "v0.31.0", Level::Fail),
        (None, "v0.99.0", Level::Warn),
    ];
    for (kubernetes, kind, expected) in rows {
        let mut facts = with_engine(EngineInfo { cgroup: Some(CgroupVersion::V1), ..engine() });
        facts.tools[0] = tool("kind", kind);
        let needs = Needs { kubernetes, ..needs() };
        assert_eq!(find(&facts, &needs, "cgroup").level, expected, "{kind} {needs:?}");
    }
}

#[test]
fn milvus_needs_the_instruction_sets_it_is_built_for() {
    let rows = [
        (true, true, true, Level::Ok),
        (true, true, false, Level::Ok),
        (true, false, false, Level::Warn),
        (false, false, false, Level::Fail),
    ];
    for (sse4_2, avx, avx2, expected) in rows {
        let mut facts = machine();
        facts.host.cpu_features = Some(CpuFeatures { sse4_2, avx, avx2 });
        assert_eq!(find(&facts, &needs(), "cpu_features").level, expected);
    }
}

#[test]
fn a_snap_needs_its_temporary_files_at_home() {
    let rows = [("/tmp", Level::Warn), ("/home/u/tmp", Level::Ok)];
    for (temporary, expected) in rows {
        let mut facts = with_engine(EngineInfo { snap: true, ..engine() });
        facts.environment.home = Some(PathBuf::from("/home/u"));
        facts.environment.temporary = PathBuf::from(temporary);
        assert_eq!(find(&facts, &needs(), "engine_snap").level, expected, "{temporary}");
    }
}

#[test]
fn other_providers_and_machines_are_reported() {
    let mut facts = machine();
    facts.environment.kind_provider = Some("podman".to_owned());
    facts.environment.docker_host = Some("ssh://***@builder".to_owned());
    assert_eq!(level(&facts, &needs(), "engine_provider"), (Level::Warn, None));
    assert_eq!(level(&facts, &needs(), "engine_remote"), (Level::Warn, None));
}

#[test]
fn a_port_is_free_taken_or_ours() {
    let proxy = Holder { pid: 42, name: "docker-proxy".to_owned() };
    let rows = [
        (PortState::Free, vec![], Level::Ok, None, "port 127.0.0.1:31000 is free"),
        (
            PortState::Taken(vec![proxy.clone()]),
            vec![],
            Level::Fail,
            Some(2),
            "port 127.0.0.1:31000 is taken by `docker-proxy` (process 42)",
        ),
        (
            PortState::Taken(vec![]),
            vec![19530],
            Level::Fail,
            Some(2),
            "port 127.0.0.1:31000 is taken by a process of another user",
        ),
        (
            PortState::Published("web".to_owned()),
            vec![],
            Level::Fail,
            Some(2),
            "port 127.0.0.1:31000 is taken by the container `web`",
        ),
        (
            PortState::Published("milvus-cluster-control-plane".to_owned()),
            vec![31000],
            Level::Ok,
            None,
            "port 127.0.0.1:31000 is used by this cluster",
        ),
        (
            PortState::Taken(vec![proxy]),
            vec![31000],
            Level::Ok,
            None,
            "port 127.0.0.1:31000 is used by this cluster",
        ),
        (
            PortState::NoSuchAddress,
            vec![],
            Level::Fail,
            Some(2),
            "this machine does not have the address `127.0.0.1`",
        ),
    ];
    for (state, ours, level, exit, what) in rows {
        let port = Port { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 31000, state };
        let facts = MachineFacts { ports: vec![port], ..machine() };
        let finding = find(&facts, &Needs { ours, ..needs() }, "port");
        assert_eq!((finding.level, finding.exit, finding.what.as_str()), (level, exit, what));
        assert_eq!(finding.subject.as_deref(), Some("31000"));
    }
}

#[test]
fn a_loopback_proxy_is_out_of_reach_of_the_nodes() {
    let rows = [
        ("HTTPS_PROXY", "http://127.0.0.1:7890", Level::Warn),
        ("https_proxy", "http://***@localhost:7890", Level::Warn),
        ("HTTPS_PROXY", "http://proxy.example:3128", Level::Ok),
        ("NO_PROXY", "localhost,127.0.0.1", Level::Ok),
    ];
    for (name, value, expected) in rows {
        let mut facts = machine();
        facts.environment.proxies = vec![Proxy { name: name.to_owned(), value: value.to_owned() }];
        assert_eq!(find(&facts, &needs(), "proxy").level, expected, "{name} {value}");
    }
}

#[test]
fn a_variable_that_cannot_be_used_is_a_failure_with_a_way_out() {
    let mut facts = machine();
    assert!(!findings(&facts, &needs()).iter().any(|finding| finding.id == "network"));
    let why = "`HTTPS_PROXY` is not a valid proxy address";
    facts.environment.network_fault = Some(why.to_owned());
    let finding = find(&facts, &needs(), "network");
    assert_eq!((finding.level, finding.exit, finding.what.as_str()), (Level::Fail, Some(1), why));
    assert_eq!(finding.fix, ["correct the variable, or unset it"]);
}

#[test]
fn a_slow_or_unreachable_registry_is_a_warning() {
    let rows = [
        (RegistryState::Answered(401), 120, Level::Ok),
        (RegistryState::Answered(401), 3000, Level::Warn),
        (RegistryState::Answered(503), 120, Level::Warn),
        (RegistryState::Failed("its name could not be resolved".to_owned()), 5, Level::Warn),
    ];
    for (state, millis, expected) in rows {
        let registry = Registry { host: "registry.example".to_owned(), millis, state };
        let facts = MachineFacts { registries: vec![registry], ..machine() };
        assert_eq!(level(&facts, &needs(), "registry"), (expected, None));
    }
}

#[test]
fn a_kubeconfig_may_be_missing_but_not_unreadable() {
    let rows = [
        (KubeconfigState::Readable, Level::Ok),
        (KubeconfigState::Missing, Level::Ok),
        (KubeconfigState::Unreadable("Permission denied (os error 13)".to_owned()), Level::Fail),
    ];
    for (state, expected) in rows {
        let mut facts = machine();
        facts.environment.kubeconfigs =
            vec![Kubeconfig { path: PathBuf::from("/home/o'h/.kube/config"), state }];
        let finding = find(&facts, &needs(), "kubeconfig");
        assert_eq!(finding.level, expected);
        if expected == Level::Fail {
            assert_eq!(finding.commands, [r#"sudo chown "$USER" '/home/o'\''h/.kube/config'"#]);
        }
    }
}

#[test]
fn facts_round_trip_through_json() {
    let facts = machine();
    let text = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<MachineFacts>(&text).unwrap(), facts);
}
