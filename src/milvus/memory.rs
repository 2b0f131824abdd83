//! Estimates the memory that a Milvus's pods take, from its custom resource and the charts' defaults.
//!
//! Every kind node advertises the whole machine's memory, so the scheduler overcommits: only the sum over all
//! pods tells whether they fit.

use serde_json::{Value, json};

use super::charts::{self, PulsarChart};
use super::dependencies::pulsar_chart;
use super::resource::{Part, Resource};
use super::{custom_resource, merge};
use crate::kube::quantity::Quantity;
use crate::settings::{Mode, Settings};

const MIB: u64 = 1 << 20;
/// What kubeadm requires for a control plane (kubeadm, `constants.go`, `ControlPlaneMem`).
const CONTROL_PLANE: u64 = 1700 * MIB;
/// An idle Milvus process (milvus#39075: 275 MB for a standalone 2.5). The operator sets no request for it.
const IDLE_MILVUS: u64 = 275 * MIB;
/// The request of the operator's chart (milvus-operator, `values.yaml`), which our values keep.
const OPERATOR: u64 = 100 * MIB;

/// Sums over all pods, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MilvusMemory {
    /// Requests, which is all that the scheduler looks at.
    pub requests: u64,
    /// Maximum JVM heaps.
    pub heaps: u64,
    /// JVM memory outside the heaps, as far as it is limited.
    pub direct: u64,
    /// The minimum for an empty Milvus and the control plane: for each pod, the larger of its request and its
    /// process's initial size.
    pub least: u64,
}

/// The memory of one pod, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PodMemory {
    request: u64,
    /// The initial size of the process; for a JVM, of its heap.
    initial: u64,
    heap: u64,
    direct: u64,
}

/// Adds up the memory of the Milvus of `settings`.
pub fn memory(settings: &Settings) -> MilvusMemory {
    let resource = &custom_resource(settings);
    let line = settings.milvus_line();
    let mut memory = MilvusMemory { least: CONTROL_PLANE, ..MilvusMemory::default() };
    let mut add = |replicas: u64, pod: PodMemory| {
        memory.requests += replicas * pod.request;
        memory.heaps += replicas * pod.heap;
        memory.direct += replicas * pod.direct;
        memory.least += replicas * pod.request.max(pod.initial);
    };
    add(1, PodMemory { request: OPERATOR, ..PodMemory::default() });
    for (replicas, pod) in milvus(resource, line) {
        add(replicas, pod);
    }
    let read = Resource::new(resource);
    let values = |part: Part, mut defaults: Value| {
        if let Some(own) = read.values(part) {
            merge(&mut defaults, own);
        }
        Some(defaults).filter(|_| !read.is_external(part))
    };
    if let Some(values) = values(Part::Etcd, charts::etcd(read.mode())) {
        add(replicas(&values), PodMemory { request: request(&values), ..PodMemory::default() });
    }
    if let Some(values) = values(Part::Storage, charts::minio(read.mode())) {
        let replicas = if values["mode"] == "standalone" { 1 } else { count(&values["replicas"]) };
        add(replicas, PodMemory { request: request(&values), ..PodMemory::default() });
    }
    match read.store(line) {
        "pulsar" => {
            let chart = match read.chart(Part::Pulsar) {
                Some("pulsar-v2") => PulsarChart::V2,
                _ => pulsar_chart(settings),
            };
            for (replicas, pod) in values(Part::Pulsar, charts::pulsar(chart)).iter().flat_map(pulsar) {
                add(replicas, pod);
            }
        }
        "kafka" => {
            if let Some(values) = values(Part::Kafka, charts::kafka()) {
                let options = values["heapOpts"].as_str().unwrap_or_default();
                add(replicas(&values), jvm(request(&values), [options]));
                let zookeeper = &values["zookeeper"];
                let heap = format!("-Xms{0}m -Xmx{0}m", count(&zookeeper["heapSize"]));
                add(replicas(zookeeper), jvm(request(zookeeper), [heap.as_str()]));
            }
        }
        // Other stores run within Milvus or outside the cluster.
        _ => {}
    }
    memory
}

/// Milvus's own pods (milvus-operator, `DefaultComponents` and `GetComponentsBySpec`).
fn milvus(resource: &Value, line: Option<(u64, u64)>) -> Vec<(u64, PodMemory)> {
    let components = &resource["spec"]["components"];
    let has = |name: &str| components.get(name).is_some_and(Value::is_object);
    let coordinators = ["rootCoord", "dataCoord", "indexCoord", "queryCoord"];
    let is_old = line.is_some_and(|line| line < (2, 6));
    let mut names = Vec::new();
    if Resource::new(resource).mode() == Mode::Standalone {
        names.push("standalone");
    } else {
        names.extend(["proxy", "dataNode", "queryNode"]);
        if is_old && !has("mixCoord") && coordinators.into_iter().any(has) {
            names.extend(coordinators);
        } else {
            names.push("mixCoord");
        }
        names.push(if is_old { "indexNode" } else { "streamingNode" });
    }
    let of = |name: &str| {
        let own = &components[name];
        // Kubernetes defaults a request to the limit.
        let request = [own, components].into_iter().map(request).find(|request| *request > 0).unwrap_or(0);
        let replicas = own.get("replicas").map_or(1, count);
        (replicas, PodMemory { request, initial: IDLE_MILVUS, ..PodMemory::default() })
    };
    names.into_iter().map(of).collect()
}

/// Pulsar's pods.
fn pulsar(values: &Value) -> Vec<(u64, PodMemory)> {
    let parts = ["zookeeper", "bookkeeper", "autorecovery", "broker", "proxy"];
    let runs = |part: &&str| values["components"][*part] != json!(false);
    let of = |name: &str| {
        let part = &values[name];
        let config = |key: &str| part["configData"][key].as_str().unwrap_or_default();
        // In command-line order: the last option wins (Pulsar, `bin/pulsar`).
        let options = if name == "autorecovery" {
            [config("BOOKIE_MEM"), config("BOOKIE_GC")]
        } else {
            [config("PULSAR_MEM"), config("PULSAR_GC")]
        };
        (replicas(part), jvm(request(part), options))
    };
    parts.into_iter().filter(runs).map(of).collect()
}

/// A pod that runs a JVM with `options`.
fn jvm<'o>(request: u64, options: impl IntoIterator<Item = &'o str>) -> PodMemory {
    let mut pod = PodMemory { request, ..PodMemory::default() };
    for option in options.into_iter().flat_map(str::split_whitespace) {
        let size = |name: &str| option.strip_prefix(name).and_then(size);
        if let Some(size) = size("-Xms") {
            pod.initial = size;
        } else if let Some(size) = size("-Xmx") {
            pod.heap = size;
        } else if let Some(size) = size("-XX:MaxDirectMemorySize=") {
            pod.direct = size;
        }
    }
    pod
}

/// Parses a size as Java's launcher does: bytes, or with a suffix `k`, `m`, `g` or `t`.
fn size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// The bytes that `part` requests.
fn request(part: &Value) -> u64 {
    let of = |list: &str| part.get("resources")?.get(list)?.get("memory").and_then(Quantity::of);
    of("requests").or_else(|| of("limits")).map_or(0, Quantity::whole)
}

fn replicas(values: &Value) -> u64 {
    count(&values["replicaCount"])
}

/// A number of pods, 1 where an autoscaler decides.
fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    /// In MiB.
    fn of(text: &str) -> [u64; 4] {
        let MilvusMemory { requests, heaps, direct, least } = memory(&settings(text));
        [requests, heaps, direct, least].map(|bytes| bytes / MIB)
    }

    #[test]
    fn a_small_milvus_is_one_pod_of_each() {
        let pods = 100 + 100;
        assert_eq!(of("small: true"), [pods + 256, 0, 0, 1700 + pods + 275]);
    }

    #[test]
    fn a_standalone_milvus_has_one_storage_server_whatever_its_size() {
        assert_eq!(
            of("milvus: {mode: standalone, sizing: operator}"),
            [100 + 2048, 0, 0, 1700 + 100 + 2048 + 275]
        );
    }

    #[test]
    fn the_charts_start_pulsar_with_22_gib_of_heaps() {
        let zookeeper = 3 * 256;
        let heaps = zookeeper + 3 * 4096 + 128 + 2 * 4096 + 2 * 512;
        let minio = 4 * 2048;
        let requests = 100 + minio + zookeeper + 3 * 2048 + 128 + 2 * 2048 + 2 * 1024;
        let least = 1700 + 100 + 5 * 275 + minio + zookeeper + 3 * 4096 + 128 + 2 * 4096 + 2 * 1024;
        assert_eq!(
            of("milvus: {mode: cluster, sizing: operator}"),
            [requests, heaps, 5 * 8192 + 2 * 2048, least]
        );
    }

    #[test]
    fn the_older_chart_has_its_own_sizes() {
        let text = "milvus: {mode: cluster, sizing: operator}\noperator: {version: 1.1.4}";
        let heaps = 3 * 1024 + 3 * 4096 + 64 + 4096 + 2048;
        assert_eq!(of(text)[1..3], [heaps, 4 * 8192 + 2048]);
    }

    #[test]
    fn on_a_laptop_the_heaps_are_within_the_requests() {
        let [requests, heaps, direct, least] = of("milvus: {mode: cluster}");
        let pulsar = 3 * 256 + 3 * 512 + 128 + 2 * 512 + 2 * 256;
        assert_eq!((requests, least), (100 + 4 * 256 + pulsar, 1700 + requests + 5 * 275));
        assert!(heaps + direct <= pulsar, "{heaps} {direct}");
    }

    #[test]
    fn kafka_and_its_zookeeper_count() {
        let [_, heaps, direct, _] = of("milvus: {mode: cluster, messageStore: kafka, sizing: operator}");
        assert_eq!((heaps, direct), (3 * 4096 + 3 * 1024, 0));
        assert_eq!(of("milvus: {mode: cluster, messageStore: kafka}")[1], 3 * 512 + 3 * 128);
    }

    #[test]
    fn embedded_and_external_stores_add_nothing() {
        let without = [100 + 4 * 256, 0, 0, 1700 + 100 + 4 * 256 + 5 * 275];
        assert_eq!(of("milvus: {mode: cluster, messageStore: woodpecker}"), without);
        assert_eq!(of("milvus: {mode: cluster, pulsar: {external: 'p:6650'}}"), without);
    }

    #[test]
    fn the_spec_overrides_the_defaults() {
        let text = "milvus: {mode: standalone, sizing: operator, spec: {mode: cluster, components: {resources: {limits: \
                    {memory: 1Gi}}, queryNode: {replicas: 3, resources: {requests: {memory: 2Gi}}}}, dependencies: \
                    {msgStreamType: pulsar, storage: {inCluster: {values: {mode: standalone}}}, pulsar: {inCluster: \
                    {values: {components: {proxy: false}, broker: {configData: {PULSAR_MEM: -Xms64m -Xmx1g}}}}}}}}";
        let [requests, heaps, _, least] = of(text);
        let milvus = 4 * 1024 + 3 * 2048;
        let zookeeper = 3 * 256;
        assert_eq!(requests, 100 + milvus + 2048 + zookeeper + 3 * 2048 + 128 + 2 * 2048);
        assert_eq!(heaps, zookeeper + 3 * 4096 + 128 + 2 * 1024);
        assert_eq!(least, 1700 + 100 + milvus + 2048 + zookeeper + 3 * 4096 + 128 + 2 * 2048);
    }

    #[test]
    fn an_older_milvus_has_an_index_node_or_four_coordinators() {
        let pods = |text: &str| milvus(&custom_resource(&settings(text)), settings(text).milvus_line()).len();
        assert_eq!(pods("milvus: {mode: cluster, version: 2.5.10}"), 5);
        assert_eq!(pods("milvus: {mode: cluster, version: 2.5.10, spec: {components: {rootCoord: {}}}}"), 8);
    }

    #[test]
    fn sizes_are_read_as_java_reads_them() {
        let rows = [("512m", Some(512 << 20)), ("1G", Some(1 << 30)), ("1024", Some(1024)), ("1x", None)];
        for (text, bytes) in rows {
            assert_eq!(size(text), bytes, "{text}");
        }
    }
}
