//! Tags each node's built-in images with the names that kubeadm asks for, while kind works.
//!
//! A node image contains Kubernetes's images under upstream's names. With another `imageRepository`, kubeadm
//! asks for names that no node has, and the kubelet would pull each from that registry; kind itself never
//! pulls them (pkg/cluster/internal/kubeadm/config.go). Images missing from the node image still come from
//! the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::context::Context;
use crate::yaml;

/// How often to check the nodes. kubeadm 1.34 gives its control plane one minute.
const PAUSE: Duration = Duration::from_secs(1);
/// How often to check whether kind has exited.
const POLL: Duration = Duration::from_millis(100);

/// The image repositories that a kind config sets for kubeadm.
pub(super) fn repositories(config: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let Ok(config) = yaml::from_str::<Value>(config) else { return found };
    let nodes = config["nodes"].as_array().into_iter().flatten();
    let patches =
        std::iter::once(&config).chain(nodes).filter_map(|part| part["kubeadmConfigPatches"].as_array());
    for patch in patches.flatten().filter_map(Value::as_str) {
        for document in yaml::documents::<Value>(patch).unwrap_or_default() {
            collect(&document, &mut found);
        }
    }
    found
}

/// Also collects those of only `dns` or `etcd.local`.
fn collect(value: &Value, found: &mut BTreeSet<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        match value.as_str() {
            Some(repository) if key == "imageRepository" => {
                found.insert(repository.trim_end_matches('/').to_owned());
            }
            _ => collect(value, found),
        }
    }
}

/// Tags images on every node until kind is done. Returns the control plane images that nodes lacked last.
pub(super) fn tag_while(
    context: &Context,
    repositories: &BTreeSet<String>,
    kind_is_done: &AtomicBool,
) -> BTreeSet<String> {
    let mut lacking = BTreeMap::new();
    while !repositories.is_empty() && pause(context, kind_is_done) {
        for node in running_nodes(context) {
            let Some(names) = context.tools.node(&node).name_for_kubeadm(repositories) else { continue };
            // A failed tag is retried in the next round.
            let wanted: Vec<String> = names.wanted.difference(&names.held).cloned().collect();
            lacking.insert(node, wanted);
        }
    }
    lacking.into_values().flatten().collect()
}

/// Waits a moment; `false` if kind has exited in the meantime.
fn pause(context: &Context, kind_is_done: &AtomicBool) -> bool {
    let end = Instant::now() + PAUSE;
    while !kind_is_done.load(Ordering::Relaxed) && !context.interrupt.is_set() {
        if Instant::now() >= end {
            return true;
        }
        std::thread::sleep(POLL);
    }
    false
}

/// The running nodes of the cluster; empty if the engine does not answer.
fn running_nodes(context: &Context) -> Vec<String> {
    let nodes = context.tools.docker.node_containers(&context.settings.cluster.name).unwrap_or_default();
    let nodes = nodes.into_iter().filter(|node| node.running && node.role != "external-load-balancer");
    nodes.map(|node| node.name).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::process::ScriptedRunner;
    use crate::tools::kubeadm_names::name_for_kubeadm;

    const ALIYUN: &str = "registry.aliyuncs.com/google_containers";

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_repository_in_a_config_is_found() {
        let config = "kind: Cluster\nkubeadmConfigPatches:\n- |\n  kind: ClusterConfiguration\n  imageRepository: a.io/x/\n  \
                      dns:\n    imageRepository: b.io\nnodes:\n- role: worker\n  kubeadmConfigPatches:\n  - |\n    \
                      kind: ClusterConfiguration\n    imageRepository: c.io\n    ---\n    kind: JoinConfiguration\n";
        assert_eq!(repositories(config), set(&["a.io/x", "b.io", "c.io"]));
        assert_eq!(repositories("kind: Cluster\n"), set(&[]));
    }

    #[test]
    fn nodes_are_tagged_once_they_answer_and_missing_images_are_returned() {
        let ps = "docker ps --all --no-trunc --filter label=io.x-k8s.kind.cluster=milvus-cluster --format \
                  '{{.Names}}|{{.Label \"io.x-k8s.kind.role\"}}|{{.State}}|{{.Image}}|{{.Ports}}'";
        let name = name_for_kubeadm("n", &set(&[ALIYUN])).to_string();
        let runner = ScriptedRunner::default()
            .answer(
                ps,
                "n|control-plane|running|i|\nlb|external-load-balancer|running|i|\nold|worker|exited|i|\n",
            )
            .fail(&name, "ctr: failed to dial \"/run/containerd/containerd.sock\": context deadline exceeded")
            .answer(
                &name,
                &format!("{ALIYUN}/etcd:3.4\n--\n{ALIYUN}/etcd:3.4\n{ALIYUN}/kube-apiserver:v9\n"),
            );
        let runner = Arc::new(runner);
        let context = Context::for_test(runner.clone());
        let is_done = AtomicBool::new(false);
        let lacking = std::thread::scope(|scope| {
            let watch = scope.spawn(|| tag_while(&context, &set(&[ALIYUN]), &is_done));
            while runner.asked().iter().filter(|asked| **asked == name).count() < 2 {
                std::thread::sleep(POLL);
            }
            is_done.store(true, Ordering::Relaxed);
            watch.join().unwrap()
        });
        assert_eq!(lacking, set(&[&format!("{ALIYUN}/kube-apiserver:v9")]));
        assert_eq!(runner.asked()[..4], [ps.to_owned(), name.clone(), ps.to_owned(), name]);
    }
}
