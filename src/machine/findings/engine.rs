//! Findings about the container engine.

use std::path::Path;

use semver::Version;

use super::super::facts::{CgroupVersion, Engine, EngineInfo, EnvironmentFacts, MachineFacts};
use super::{Finding, version_in};

/// The oldest engine that milvusctl is tested with.
const ENGINE_TRIED: Version = Version::new(20, 10, 0);

pub(super) fn look(facts: &MachineFacts, found: &mut Vec<Finding>) {
    let fail = |what: &str| Finding::fail("engine", 3, what);
    match &facts.engine {
        Engine::Missing => found.push(
            fail("`docker` was not found in PATH")
                .because("kind runs the cluster's nodes as containers")
                .fix("install Docker Engine or Docker Desktop: https://docs.docker.com/engine/install/"),
        ),
        Engine::NotRunning { message } => {
            found.push(start(fail("the Docker engine is not running"), facts, message));
        }
        Engine::PermissionDenied { message } => found.push(
            fail("this user has no access to the Docker engine")
                .because(message.as_str())
                .fix("join the `docker` group (its members are effectively root), then log in again")
                .command("sudo usermod -aG docker \"$USER\"")
                .command("newgrp docker"),
        ),
        Engine::Failed { message } => found.push(
            fail("could not query the Docker engine")
                .because(message.as_str())
                .fix("run `docker info` and fix what it reports"),
        ),
        Engine::Running(info) => running(info, &facts.environment, found),
    }
    if let Some(provider) =
        facts.environment.kind_provider.as_deref().filter(|provider| *provider != "docker")
    {
        found.push(
            Finding::warn("engine_provider", format!("KIND_EXPERIMENTAL_PROVIDER is `{provider}`"))
                .because("milvusctl reaches the nodes through `docker`, but kind would create them elsewhere")
                .command("unset KIND_EXPERIMENTAL_PROVIDER"),
        );
    }
    if let Some(host) = facts.environment.docker_host.as_deref().filter(|host| !host.starts_with("unix:")) {
        found.push(
            Finding::warn("engine_remote", format!("the engine is on another machine: `{host}`"))
                .because("ports open there, while memory, disk and kernel are checked here")
                .fix("run milvusctl on that machine, or unset DOCKER_HOST"),
        );
    }
}

fn start(finding: Finding, facts: &MachineFacts, message: &str) -> Finding {
    let finding = finding.because(message);
    if let Some(host) = &facts.environment.docker_host {
        return finding
            .fix(format!("start the engine that DOCKER_HOST names, `{host}`, or unset DOCKER_HOST"))
            .command("unset DOCKER_HOST");
    }
    if facts.host.os == "macos" {
        return finding.fix("start Docker Desktop").command("open -a Docker");
    }
    finding.fix("start the engine").command("sudo systemctl start docker")
}

fn running(info: &EngineInfo, environment: &EnvironmentFacts, found: &mut Vec<Finding>) {
    let what = format!("Docker engine {} on {}", info.version, info.operating_system);
    found.push(match version_in(&info.version) {
        Some(version) if version < ENGINE_TRIED => Finding::warn("engine", what)
            .because(format!("milvusctl is tested with Docker {ENGINE_TRIED} and newer"))
            .fix("update Docker if something fails"),
        _ => Finding::ok("engine", what),
    });
    if info.rootless && info.cgroup == Some(CgroupVersion::V1) {
        found.push(
            Finding::fail("engine_rootless", 3, "the engine is rootless on cgroup version 1")
                .because("kind needs cgroup version 2 for a rootless engine")
                .fix("start the kernel with `systemd.unified_cgroup_hierarchy=1`, or use an engine that runs as root")
                .fix("see https://kind.sigs.k8s.io/docs/user/rootless/"),
        );
    } else if info.rootless {
        found.push(
            Finding::warn("engine_rootless", "the engine is rootless")
                .because("kind then needs cgroup version 2 with the `cpu` controller delegated to the user")
                .fix("see https://kind.sigs.k8s.io/docs/user/rootless/ if the cluster does not start"),
        );
    }
    if info.snap {
        found.push(snap(environment));
    }
    found.push(if info.containerd_image_store {
        Finding::ok("engine_image_store", "the engine uses containerd's image store").because(
            "`kind load docker-image` fails there with multi-platform images (kind#3795); milvusctl does not use it",
        )
    } else {
        Finding::ok(
            "engine_image_store",
            format!("the engine uses its own image store ({})", info.storage_driver),
        )
    });
}

fn snap(environment: &EnvironmentFacts) -> Finding {
    let what = "Docker comes from the Snap store";
    let why = "a snap sees only files below the home directory, so archives in `/tmp` fail with `invalid output \
               path` (kind#431, kind#3377)";
    let temporary: &Path = &environment.temporary;
    if environment.home.as_deref().is_some_and(|home| temporary.starts_with(home)) {
        return Finding::ok("engine_snap", format!("{what}, and TMPDIR is below the home directory"))
            .because(why);
    }
    Finding::warn("engine_snap", format!("{what}, which does not see `{}`", temporary.display()))
        .because(why)
        .fix("point TMPDIR below the home directory, or install Docker's own packages")
        .command("mkdir -p \"$HOME/tmp\"")
        .command("export TMPDIR=\"$HOME/tmp\"")
}
