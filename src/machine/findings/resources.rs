//! Findings about memory, processors, disk and the kernel.

use super::super::facts::{
    CgroupVersion, CpuFeatures, Disk, DiskUse, Engine, EngineInfo, ImageStore, Inotify, MachineFacts,
};
use super::super::needs::{Mode, Needs, Pods};
use super::{Finding, tools};
use crate::milvus::MilvusMemory;

/// The limits that kind's known issues recommend.
const INOTIFY_WATCHES: u64 = 524_288;
const INOTIFY_INSTANCES: u64 = 512;
/// The limits are known to be hit from this many workers on (kind#1652, kind#3910).
const INOTIFY_WORKERS: usize = 3;

pub(super) fn look(facts: &MachineFacts, needs: &Needs, found: &mut Vec<Finding>) {
    let engine = match &facts.engine {
        Engine::Running(info) => Some(info.as_ref()),
        _ => None,
    };
    // The cluster gets the memory of Docker Desktop's virtual machine, which has less than the host.
    let memory = engine
        .map(|info| info.memory_bytes)
        .filter(|bytes| *bytes > 0)
        .or_else(|| facts.host.memory.map(|memory| memory.total_bytes));
    found.extend(memory.map(|bytes| look_at_memory(bytes, engine, needs)));
    let is_elsewhere = engine.is_some_and(EngineInfo::is_in_desktop_vm)
        || facts.environment.docker_host.as_deref().is_some_and(|host| !host.starts_with("unix:"));
    // A running cluster already takes its share, so free memory says nothing.
    if !is_elsewhere && needs.ours.is_empty() {
        let available = facts.host.memory.and_then(|memory| memory.available_bytes);
        found.extend(available.map(|bytes| look_at_available_memory(bytes, needs)));
    }
    let cpus = engine
        .map(|info| info.cpus)
        .filter(|cpus| *cpus > 0)
        .or_else(|| facts.host.cpus.and_then(|cpus| cpus.try_into().ok()));
    found.extend(cpus.map(|cpus| look_at_cpus(cpus, engine, needs)));
    found.extend(needs.pods.iter().map(report_requests));
    // Nodes out of reach of `docker exec` get their images through an archive.
    let archives = facts.environment.kind_provider.as_deref().is_some_and(|provider| provider != "docker");
    found.extend(facts.disks.iter().map(|disk| look_at_disk(disk, archives, needs)));
    found.extend(facts.image_store.as_ref().map(report_image_store));
    found.extend(facts.host.inotify.map(|limits| look_at_inotify(limits, needs)));
    let cgroup = engine.and_then(|info| info.cgroup).or(facts.host.cgroup);
    found.extend(cgroup.map(|cgroup| look_at_cgroup(cgroup, facts, needs)));
    found.extend(facts.host.cpu_features.map(look_at_features));
}

fn report_image_store(store: &ImageStore) -> Finding {
    let folder = store.folder.display().to_string();
    if store.bytes == 0 {
        return Finding::ok("image_store", format!("no downloaded images in `{folder}`")).about(folder);
    }
    let size = if store.bytes < 1_000_000_000 {
        format!("{} MB", store.bytes.div_ceil(1_000_000))
    } else {
        gigabytes(store.bytes)
    };
    Finding::ok("image_store", format!("{size} of downloaded images in `{folder}`"))
        .because("new clusters load them from there; `milvusctl images prune` frees space")
        .about(folder)
}

fn look_at_memory(bytes: u64, engine: Option<&EngineInfo>, needs: &Needs) -> Finding {
    let asked = needs.mode.requirements();
    let what = format!("{} of memory for {}", gigabytes(bytes), needs.mode.name());
    let finding = if bytes < needs.memory.least {
        Finding::fail("memory", 1, format!("{what}: at least {} are needed", at_least(needs.memory.least)))
            .because(adds_up_to(needs.memory))
    } else if bytes < asked.memory_bytes {
        Finding::warn("memory", format!("{what}: {} recommended", gigabytes(asked.memory_bytes)))
            .because(asked.source)
    } else {
        return Finding::ok("memory", what).because(asked.source);
    };
    let finding = if engine.is_some_and(EngineInfo::is_in_desktop_vm) {
        finding.fix("give Docker Desktop more memory: Settings, Resources")
    } else {
        finding
    };
    if needs.mode == Mode::Cluster {
        return finding
            .fix("choose standalone mode on one node, for which 8 GB are enough")
            .command("milvusctl up --small");
    }
    finding.fix("close what else uses memory, or use a larger machine")
}

/// Describes the memory that the pods add up to.
fn adds_up_to(memory: MilvusMemory) -> String {
    let jvms = format!(
        ", their JVMs take {} of heap and up to {} outside it",
        gigabytes(memory.heaps),
        gigabytes(memory.direct)
    );
    let jvms = if memory.heaps > 0 { jvms.as_str() } else { "" };
    format!("its pods request {}{jvms}; Kubernetes and Milvus itself come on top", gigabytes(memory.requests))
}

/// Checks whether other programs leave enough free memory.
fn look_at_available_memory(bytes: u64, needs: &Needs) -> Finding {
    let what = format!("{} of memory currently free", gigabytes(bytes));
    if bytes >= needs.memory.least {
        return Finding::ok("memory_available", what);
    }
    let least = at_least(needs.memory.least);
    Finding::warn("memory_available", format!("{what}: {} needs at least {least}", needs.mode.name()))
        .because("pods that run out of memory exit with code 137, and the machine may freeze")
        .fix("close what else uses memory before `milvusctl up`")
}

fn look_at_cpus(cpus: u64, engine: Option<&EngineInfo>, needs: &Needs) -> Finding {
    let asked = needs.mode.requirements();
    let what = format!("{cpus} processors for {}", needs.mode.name());
    if cpus >= asked.cpus {
        return Finding::ok("cpus", what).because(asked.source);
    }
    let finding = Finding::warn("cpus", format!("{what}: {} recommended", asked.cpus)).because(asked.source);
    if engine.is_some_and(EngineInfo::is_in_desktop_vm) {
        return finding.fix("give Docker Desktop more processors: Settings, Resources");
    }
    finding.fix("expect a slow start, and raise `--timeout`")
}

/// States what a mode asks for, so that the modes can be compared before one is chosen.
fn report_requests(pods: &Pods) -> Finding {
    let asked = pods.mode.requirements();
    let jvms = format!(
        ", JVM heaps take {} and direct memory up to {}",
        gigabytes(pods.memory.heaps),
        gigabytes(pods.memory.direct)
    );
    let what = format!(
        "{}: {} processors and {} recommended, at least {}; pods request {}{}",
        pods.mode.name(),
        asked.cpus,
        gigabytes(asked.memory_bytes),
        at_least(pods.memory.least),
        gigabytes(pods.memory.requests),
        if pods.memory.heaps > 0 { jvms.as_str() } else { "" }
    );
    let why = if pods.requests.is_empty() {
        asked.source.to_owned()
    } else {
        format!("{}; requests of each pod: {}", asked.source, pods.requests)
    };
    Finding::ok("requests", what).about(pods.mode.as_str()).because(why)
}

fn look_at_disk(disk: &Disk, archives: bool, needs: &Needs) -> Finding {
    let free = gigabytes(disk.free_bytes);
    let path = disk.path.display();
    let (id, asked, why) = match disk.used_for {
        DiskUse::Engine => {
            let copies = u64::try_from(needs.image_nodes()).unwrap_or(u64::MAX).saturating_add(1);
            let why = format!(
                "the engine and each of {} nodes that run pods store every image once",
                needs.image_nodes()
            );
            ("disk", needs.image_bytes.map(|bytes| bytes.saturating_mul(copies)), why)
        }
        DiskUse::Temporary => {
            let why = "`--loader kind` writes archives there; the default loader does not".to_owned();
            ("disk_temporary", needs.image_bytes, why)
        }
    };
    let finding = match asked {
        Some(asked) if disk.free_bytes < asked => {
            let what =
                format!("{free} free in `{path}`: about {} are needed (an estimate)", gigabytes(asked));
            // Every run needs the engine's disk; only a non-default loader needs the other. The estimate may
            // be too high, but not by half.
            let finding = match disk.used_for {
                DiskUse::Engine if disk.free_bytes < asked / 2 => Finding::fail(id, 1, what),
                DiskUse::Temporary if !archives => {
                    let asked = gigabytes(asked);
                    let what = format!("{free} free in `{path}`; `--loader kind` would need about {asked}");
                    return Finding::ok(id, what).because(why);
                }
                DiskUse::Engine | DiskUse::Temporary => Finding::warn(id, what),
            };
            let finding = match disk.used_for {
                DiskUse::Engine => finding.fix("use fewer nodes: `--workers 1`, or `--small`"),
                DiskUse::Temporary => finding.fix("point TMPDIR at a larger disk"),
            };
            finding.fix("remove images and containers that nothing uses").command("docker system df")
        }
        Some(asked) => {
            let asked = gigabytes(asked);
            Finding::ok(id, format!("{free} free in `{path}`, about {asked} are needed (an estimate)"))
        }
        None => Finding::ok(id, format!("{free} free in `{path}`")),
    };
    finding.because(why)
}

fn look_at_inotify(limits: Inotify, needs: &Needs) -> Finding {
    let what = format!(
        "inotify: {} watches and {} instances for one user",
        limits.max_user_watches, limits.max_user_instances
    );
    let is_low = limits.max_user_watches < INOTIFY_WATCHES || limits.max_user_instances < INOTIFY_INSTANCES;
    if !is_low || needs.workers < INOTIFY_WORKERS {
        return Finding::ok("inotify", what);
    }
    let (watches, instances) =
        (limits.max_user_watches.max(INOTIFY_WATCHES), limits.max_user_instances.max(INOTIFY_INSTANCES));
    let settings = format!("fs.inotify.max_user_watches={watches} fs.inotify.max_user_instances={instances}");
    Finding::warn(
        "inotify",
        format!("{what}: with {} workers pods may fail with `too many open files`", needs.workers),
    )
    .because(format!(
        "kind's known issues ask for {INOTIFY_WATCHES} watches and {INOTIFY_INSTANCES} instances (kind#1652, \
         kind#3910)"
    ))
    .fix("raise the limits, now and for the next start")
    .command(format!("sudo sysctl -w {settings}"))
    .command(format!("printf '%s\\n' {settings} | sudo tee /etc/sysctl.d/99-inotify.conf"))
}

fn look_at_cgroup(cgroup: CgroupVersion, facts: &MachineFacts, needs: &Needs) -> Finding {
    if cgroup == CgroupVersion::V2 {
        return Finding::ok("cgroup", "cgroup version 2");
    }
    let why =
        "the kubelet of Kubernetes 1.35 and newer does not start on cgroup version 1, and kind drops it";
    let finding = match tools::cluster_version(facts, needs) {
        Some(version) if (version.major, version.minor) < (1, 35) => {
            let what = format!("cgroup version 1, which Kubernetes {version} still supports");
            return Finding::ok("cgroup", what).because(why);
        }
        Some(version) => {
            Finding::fail("cgroup", 1, format!("cgroup version 1, which Kubernetes {version} refuses"))
        }
        None => Finding::warn("cgroup", "cgroup version 1, which new versions of Kubernetes refuse"),
    };
    finding
        .because(why)
        .fix("choose a node image below Kubernetes 1.35: `--node-image kindest/node:v1.34.0`")
        .fix("or start the kernel with `systemd.unified_cgroup_hierarchy=1`")
}

fn look_at_features(features: CpuFeatures) -> Finding {
    let why = "Milvus is built for SSE4.2 and AVX; without them it exits with code 132 and an empty log \
               (milvus#37459, milvus#21649)";
    let names = [(features.sse4_2, "SSE4.2"), (features.avx, "AVX"), (features.avx2, "AVX2")];
    let list = |wanted: bool| {
        let names: Vec<&str> =
            names.iter().filter(|(has, _)| *has == wanted).map(|(_, name)| *name).collect();
        names.join(", ")
    };
    if !features.sse4_2 {
        return Finding::fail("cpu_features", 1, format!("the processor lacks {}", list(false)))
            .because(why)
            .fix("in a virtual machine, pass the host's processor through (`host` or `host-passthrough`)");
    }
    if !features.avx {
        return Finding::warn("cpu_features", format!("the processor lacks {}", list(false)))
            .because(why)
            .fix("in a virtual machine, pass the host's processor through (`host` or `host-passthrough`)");
    }
    Finding::ok("cpu_features", format!("the processor has {}", list(true)))
}

/// Formats a size in gigabytes of 10⁹ bytes, as memory and disks are sold.
pub(in crate::machine) fn gigabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000_000;
    if tenths.is_multiple_of(10) {
        format!("{} GB", tenths / 10)
    } else {
        format!("{}.{} GB", tenths / 10, tenths % 10)
    }
}

/// Formats a required size, rounded up.
pub(in crate::machine) fn at_least(bytes: u64) -> String {
    gigabytes(bytes.next_multiple_of(100_000_000))
}
