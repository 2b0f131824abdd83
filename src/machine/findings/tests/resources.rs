//! Findings about memory, disk and control groups.

use super::*;
use crate::machine::facts::ImageStore;

#[test]
fn memory_is_checked_against_the_minimum_and_the_documentation() {
    let rows = [
        (Mode::Small, 2, 1_900_000_000, Level::Fail),
        (Mode::Small, 2, 2 * GB, Level::Warn),
        // What Linux reports on an 8 GiB machine.
        (Mode::Small, 2, 8_230_000_000, Level::Ok),
        (Mode::Standalone, 3, 7 * GB, Level::Warn),
        (Mode::Cluster, 8, 7 * GB, Level::Fail),
        (Mode::Cluster, 8, 16 * GB, Level::Warn),
        (Mode::Cluster, 8, 33 * GB, Level::Ok),
    ];
    for (mode, least, memory_bytes, expected) in rows {
        let facts = with_engine(EngineInfo { memory_bytes, ..engine() });
        let memory = MilvusMemory { least: least * GB, ..MilvusMemory::default() };
        let found = find(&facts, &Needs { mode, memory, ..needs() }, "memory");
        assert_eq!(found.level, expected, "{mode:?} {memory_bytes}");
    }
}

#[test]
fn the_engines_memory_counts_not_the_hosts() {
    let info = EngineInfo { memory_bytes: 4 * GB, operating_system: "Docker Desktop".to_owned(), ..engine() };
    let mut facts = with_engine(info);
    facts.host.memory = Some(HostMemory { total_bytes: 64 * GB, available_bytes: None });
    let finding = find(&facts, &needs(), "memory");
    assert_eq!(finding.what, "4 GB of memory for cluster mode: at least 8 GB are needed");
    assert_eq!(finding.fix[0], "give Docker Desktop more memory: Settings, Resources");
}

#[test]
fn every_mode_states_its_requirements() {
    let memory = MilvusMemory { requests: GB, least: 2 * GB, ..MilvusMemory::default() };
    let pods = vec![
        Pods { mode: Mode::Small, requests: "Milvus 100m and 256Mi".to_owned(), memory },
        Pods { mode: Mode::Cluster, requests: String::new(), memory: needs().memory },
    ];
    let found = findings(&machine(), &Needs { pods, ..needs() });
    let said: Vec<_> = found
        .iter()
        .filter(|finding| finding.id == "requests")
        .map(|finding| {
            let lists_pods = finding
                .why
                .as_deref()
                .is_some_and(|why| why.ends_with("; requests of each pod: Milvus 100m and 256Mi"));
            (finding.subject.as_deref(), finding.level, finding.what.as_str(), lists_pods)
        })
        .collect();
    assert_eq!(
        said,
        [
            (
                Some("small"),
                Level::Ok,
                "standalone mode on one node: 4 processors and 8 GB recommended, at least 2 GB; pods request 1 GB",
                true
            ),
            (
                Some("cluster"),
                Level::Ok,
                "cluster mode: 8 processors and 32 GB recommended, at least 8 GB; pods request 5 GB, JVM heaps take \
                 2 GB and direct memory up to 2 GB",
                false
            ),
        ]
    );
}

#[test]
fn images_take_room_in_the_engine_and_on_each_node() {
    let disk = |free_bytes| Disk {
        used_for: DiskUse::Engine,
        path: PathBuf::from("/var/lib/docker"),
        free_bytes,
        total_bytes: 100 * GB,
    };
    let rows = [
        (3, 20 * GB, Level::Ok),
        (3, 19 * GB, Level::Warn),
        (3, 9 * GB, Level::Fail),
        (0, 10 * GB, Level::Ok),
        (0, 9 * GB, Level::Warn),
        (0, 4 * GB, Level::Fail),
    ];
    for (workers, free, expected) in rows {
        let facts = MachineFacts { disks: vec![disk(free)], ..machine() };
        let needs = Needs { workers, image_bytes: Some(5 * GB), ..needs() };
        assert_eq!(find(&facts, &needs, "disk").level, expected, "{workers} {free}");
    }
}

#[test]
fn too_little_free_memory_is_warned_about_before_the_cluster_exists() {
    let rows = [
        (2 * GB, Mode::Small, Some(Level::Warn)),
        (8 * GB, Mode::Small, Some(Level::Ok)),
        (4 * GB, Mode::Cluster, Some(Level::Warn)),
    ];
    let free = |bytes| {
        let mut facts = machine();
        facts.host.memory = Some(HostMemory { total_bytes: 64 * GB, available_bytes: Some(bytes) });
        facts
    };
    let of = |facts: &MachineFacts, needs: &Needs| {
        findings(facts, needs)
            .into_iter()
            .find(|found| found.id == "memory_available")
            .map(|found| found.level)
    };
    for (bytes, mode, expected) in rows {
        assert_eq!(of(&free(bytes), &Needs { mode, ..needs() }), expected, "{bytes} {mode:?}");
    }
    // A running cluster already takes its share.
    assert_eq!(of(&free(2 * GB), &Needs { ours: vec![31000], ..needs() }), None);
}

#[test]
fn a_rootless_engine_needs_cgroup_version_2() {
    let rows = [(CgroupVersion::V2, (Level::Warn, None)), (CgroupVersion::V1, (Level::Fail, Some(3)))];
    for (cgroup, expected) in rows {
        let facts = with_engine(EngineInfo { rootless: true, cgroup: Some(cgroup), ..engine() });
        assert_eq!(level(&facts, &needs(), "engine_rootless"), expected, "{cgroup:?}");
    }
}

#[test]
fn a_small_temporary_folder_only_matters_to_the_archive_loader() {
    let disk =
        Disk { used_for: DiskUse::Temporary, path: PathBuf::from("/tmp"), free_bytes: GB, total_bytes: GB };
    let needs = Needs { image_bytes: Some(5 * GB), ..needs() };
    for (provider, expected) in
        [(None, Level::Ok), (Some("docker"), Level::Ok), (Some("podman"), Level::Warn)]
    {
        let mut facts = MachineFacts { disks: vec![disk.clone()], ..machine() };
        facts.environment.kind_provider = provider.map(str::to_owned);
        assert_eq!(find(&facts, &needs, "disk_temporary").level, expected, "{provider:?}");
    }
}

#[test]
fn the_image_store_reports_its_size_and_how_to_prune_it() {
    let finding = |bytes| {
        let image_store = Some(ImageStore { folder: "/cache/images".into(), bytes });
        find(&MachineFacts { image_store, ..machine() }, &needs(), "image_store")
    };
    let rows = [
        (0, "no downloaded images in `/cache/images`"),
        (1, "1 MB of downloaded images in `/cache/images`"),
        (999_999_999, "1000 MB of downloaded images in `/cache/images`"),
        (12_300_000_000, "12.3 GB of downloaded images in `/cache/images`"),
    ];
    for (bytes, what) in rows {
        assert_eq!((finding(bytes).level, finding(bytes).what.as_str()), (Level::Ok, what));
    }
    assert!(finding(1).why.unwrap().contains("`milvusctl images prune`"));
}
