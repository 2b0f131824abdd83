//! Decides which nodes need an image, both for loading and for listing missing images.

use std::collections::BTreeSet;

use crate::kube::node::{Node, Placement, can_run};

/// Who needs an image.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// The nodes that its pods are scheduled to.
    pub nodes: &'a BTreeSet<String>,
    /// Which nodes its pods accept.
    pub placements: &'a BTreeSet<Placement>,
    /// Whether a user named it, so that its pods may not exist yet.
    pub is_named: bool,
}

impl Demand<'_> {
    /// Whether a pod that uses the image is on `node`, which then needs it regardless of taints and state.
    pub fn has_pods_on(self, node: &Node) -> bool {
        self.nodes.contains(node.name())
    }

    /// Whether `node` should hold the image.
    ///
    /// It should where a pod that uses the image is, or could run if the node is ready; a daemon set's pod
    /// may also run on a tainted control plane. An image that a user named also goes wherever pods without
    /// tolerations could run, ready or not: it may be just what makes the node ready, such as a network
    /// plugin.
    pub fn includes(self, node: &Node) -> bool {
        let could_run = |placement: &Placement| can_run(placement, node);
        let by_pods = (self.is_named || node.is_ready()) && self.placements.iter().any(could_run);
        let by_name = self.is_named && could_run(&Placement::once_ready());
        self.has_pods_on(node) || by_pods || by_name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = r#"{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}"#;
    const NOT_READY: &str = r#"{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}"#;

    fn node(name: &str, taints: &[&str], ready: &str) -> Node {
        let taints = taints.join(", ");
        serde_json::from_str(&format!(
            r#"{{"metadata": {{"name": "{name}"}}, "spec": {{"taints": [{taints}]}},
                "status": {{"conditions": [{{"type": "Ready", "status": "{ready}"}}]}}}}"#
        ))
        .unwrap()
    }

    /// A tainted control plane, two workers, and one that is not ready.
    fn cluster() -> Vec<Node> {
        vec![
            node("cp", &[MASTER], "True"),
            node("w1", &[], "True"),
            node("w2", &[], "True"),
            node("new", &[NOT_READY], "False"),
        ]
    }

    fn included(pods_on: &[&str], placements: &[Placement], is_named: bool) -> Vec<String> {
        let nodes = pods_on.iter().map(|name| (*name).to_owned()).collect();
        let placements = placements.iter().cloned().collect();
        let demand = Demand { nodes: &nodes, placements: &placements, is_named };
        let cluster = cluster();
        cluster.iter().filter(|node| demand.includes(node)).map(|node| node.name().to_owned()).collect()
    }

    /// A network plugin's daemon set accepts every node.
    fn anywhere() -> Placement {
        let toleration = serde_json::from_str(r#"{"operator": "Exists"}"#).unwrap();
        Placement { tolerations: vec![toleration], ..Placement::default() }
    }

    /// A daemon set's pod on `node` accepts that node only.
    fn pinned_to(node: &str) -> Placement {
        let term = format!(
            r#"[{{"matchFields": [{{"key": "metadata.name", "operator": "In", "values": ["{node}"]}}]}}]"#
        );
        Placement { required: Some(serde_json::from_str(&term).unwrap()), ..anywhere() }
    }

    #[test]
    fn a_deployments_image_goes_where_its_pods_run_or_could_run() {
        assert_eq!(included(&["w1"], &[Placement::default()], false), ["w1", "w2"]);
    }

    #[test]
    fn a_daemon_sets_image_goes_to_tainted_nodes_and_to_unready_ones_with_waiting_pods() {
        let pods = ["cp", "w1", "w2", "new"];
        assert_eq!(included(&pods, &pods.map(pinned_to), false), pods);
        assert_eq!(included(&["w1"], &[anywhere()], false), ["cp", "w1", "w2"]);
    }

    #[test]
    fn a_named_image_goes_where_pods_without_tolerations_could_run() {
        assert_eq!(included(&[], &[], true), ["w1", "w2", "new"]);
    }

    #[test]
    fn a_named_image_also_goes_where_its_pods_run_or_could_run() {
        assert_eq!(included(&["cp"], &[pinned_to("cp")], true), ["cp", "w1", "w2", "new"]);
        assert_eq!(included(&[], &[anywhere()], true), ["cp", "w1", "w2", "new"]);
    }

    #[test]
    fn an_unused_image_goes_nowhere() {
        assert_eq!(included(&[], &[], false), [""; 0]);
    }
}
