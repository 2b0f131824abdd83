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

mod network;
mod resources;
mod tools;

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
