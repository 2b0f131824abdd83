//! Reads facts about the operating system and the hardware. Without `/proc`, most are absent.

use std::path::Path;

use super::facts::{CgroupVersion, CpuFeatures, Disk, DiskUse, HostFacts, Inotify, Memory};

/// Reads the facts below `root`, which is `/` except in tests.
pub fn observe_host(root: &Path) -> HostFacts {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    HostFacts {
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        memory: read("proc/meminfo").and_then(|text| parse_meminfo(&text)),
        cpus: std::thread::available_parallelism().ok().map(std::num::NonZero::get),
        cpu_features: read("proc/cpuinfo").map_or_else(detected_features, |text| parse_cpuinfo(&text)),
        inotify: observe_inotify(root),
        cgroup: observe_cgroup(root),
    }
}

/// Returns the free space on the file system of `path` or its nearest existing parent.
///
/// # Errors
/// Fails when the folder's file system cannot be queried.
pub fn observe_disk(used_for: DiskUse, path: &Path) -> std::io::Result<Disk> {
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(existing)?;
    Ok(Disk {
        used_for,
        path: path.to_path_buf(),
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
    })
}

fn parse_meminfo(text: &str) -> Option<Memory> {
    let bytes_of = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    Some(Memory { total_bytes: bytes_of("MemTotal")?, available_bytes: bytes_of("MemAvailable") })
}

/// Parses the instruction sets of the first processor. Arm has no such line, and nothing to check.
fn parse_cpuinfo(text: &str) -> Option<CpuFeatures> {
    let flags = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "flags").then_some(value)
    })?;
    let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
    Some(CpuFeatures { sse4_2: has("sse4_2"), avx: has("avx"), avx2: has("avx2") })
}

/// Detects the features directly, for x86 machines without `/proc`, such as older Macs.
fn detected_features() -> Option<CpuFeatures> {
    #[cfg(target_arch = "x86_64")]
    let features = Some(CpuFeatures {
        sse4_2: std::arch::is_x86_feature_detected!("sse4.2"),
        avx: std::arch::is_x86_feature_detected!("avx"),
        avx2: std::arch::is_x86_feature_detected!("avx2"),
    });
    #[cfg(not(target_arch = "x86_64"))]
    let features = None;
    features
}

fn observe_inotify(root: &Path) -> Option<Inotify> {
    let read = |name: &str| {
        let path = root.join("proc/sys/fs/inotify").join(name);
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    Some(Inotify {
        max_user_watches: read("max_user_watches")?,
        max_user_instances: read("max_user_instances")?,
    })
}

fn observe_cgroup(root: &Path) -> Option<CgroupVersion> {
    let folder = root.join("sys/fs/cgroup");
    if folder.join("cgroup.controllers").exists() {
        return Some(CgroupVersion::V2);
    }
    // In a hybrid layout, version 2 has its own folder, but the controllers are on version 1.
    folder.join("memory").is_dir().then_some(CgroupVersion::V1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn a_linux_machine_is_read() {
        let root = tree(&[
            ("proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:    8192 kB\n"),
            ("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sse4_2 avx avx2 avx512f\n"),
            ("proc/sys/fs/inotify/max_user_watches", "8192\n"),
            ("proc/sys/fs/inotify/max_user_instances", "128\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
        ]);
        let facts = observe_host(root.path());
        let memory = Memory { total_bytes: 16384 * 1024, available_bytes: Some(8192 * 1024) };
        assert_eq!(facts.memory, Some(memory));
        assert_eq!(facts.cpu_features, Some(CpuFeatures { sse4_2: true, avx: true, avx2: true }));
        assert_eq!(facts.inotify, Some(Inotify { max_user_watches: 8192, max_user_instances: 128 }));
        assert_eq!(facts.cgroup, Some(CgroupVersion::V2));
    }

    #[test]
    fn without_proc_the_facts_are_absent() {
        let facts = observe_host(tree(&[]).path());
        assert_eq!((facts.memory, facts.inotify, facts.cgroup), (None, None, None));
        assert_eq!(facts.os, std::env::consts::OS);
    }

    #[test]
    fn a_hybrid_layout_is_version_1() {
        let root = tree(&[("sys/fs/cgroup/memory/x", ""), ("sys/fs/cgroup/unified/cgroup.controllers", "")]);
        assert_eq!(observe_cgroup(root.path()), Some(CgroupVersion::V1));
    }

    #[test]
    fn a_processor_has_exactly_the_features_it_lists() {
        let features = parse_cpuinfo("flags : sse4_2 avx512f\n");
        assert_eq!(features, Some(CpuFeatures { sse4_2: true, avx: false, avx2: false }));
        assert_eq!(parse_cpuinfo("Features : fp asimd\n"), None);
    }

    #[test]
    fn garbled_memory_is_absent() {
        for text in ["", "MemTotal: lots\n", "MemTotal: 5\n", "MemTotal: 99999999999999999999 kB\n"] {
            assert_eq!(parse_meminfo(text), None, "{text}");
        }
    }

    #[test]
    fn a_missing_folder_has_the_space_of_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("not/yet");
        let disk = observe_disk(DiskUse::Temporary, &path).unwrap();
        assert_eq!(disk.path, path);
        assert!(disk.total_bytes >= disk.free_bytes && disk.total_bytes > 0);
    }
}
