//! Tests of the scheduler's rules.

use serde_json::json;

use super::*;

const CONTROL_PLANE: &str = r#"{"metadata": {"name": "cp", "labels": {"role": "cp", "cores": "4"}},
    "spec": {"taints": [{"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"}]}}"#;
const WORKER: &str =
    r#"{"metadata": {"name": "w1", "labels": {"role": "worker", "cores": "8", "disk": "ssd"}}}"#;

fn node(json: &str) -> Node {
    serde_json::from_str(json).unwrap()
}

fn placement(spec: &str) -> Placement {
    let pod = format!(r#"{{"metadata": {{"name": "a"}}, "spec": {spec}}}"#);
    serde_json::from_str::<crate::kube::pod::Pod<'_>>(&pod).unwrap().placement()
}

fn affinity(term: &str) -> String {
    format!(
        r#"{{"affinity": {{"nodeAffinity": {{"requiredDuringSchedulingIgnoredDuringExecution": {{"nodeSelectorTerms": [{term}]}}}}}}}}"#
    )
}

fn demand(key: &str, operator: &str, values: &str) -> String {
    affinity(&format!(
        r#"{{"matchExpressions": [{{"key": "{key}", "operator": "{operator}", "values": {values}}}]}}"#
    ))
}

#[test]
fn a_tainted_control_plane_is_left_out() {
    let anywhere = placement("{}");
    assert!(!can_run(&anywhere, &node(CONTROL_PLANE)));
    assert!(can_run(&anywhere, &node(WORKER)));
}

#[test]
fn tolerations_open_a_tainted_node() {
    let rows = [
        (r#"{"operator": "Exists"}"#, true),
        (r#"{"key": "node-role.kubernetes.io/master", "operator": "Exists"}"#, true),
        (r#"{"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"}"#, true),
        (r#"{"key": "node-role.kubernetes.io/master", "effect": "NoExecute"}"#, false),
        (r#"{"key": "node-role.kubernetes.io/master", "value": "x"}"#, false),
        (r#"{"key": "other", "operator": "Exists"}"#, false),
    ];
    for (toleration, can) in rows {
        let placement = placement(&format!(r#"{{"tolerations": [{toleration}]}}"#));
        assert_eq!(can_run(&placement, &node(CONTROL_PLANE)), can, "{toleration}");
    }
}

#[test]
fn a_preference_excludes_no_pod() {
    let node = node(
        r#"{"metadata": {"name": "a"}, "spec": {"taints": [{"key": "k", "value": "v", "effect": "PreferNoSchedule"}]}}"#,
    );
    assert!(can_run(&Placement::default(), &node));
}

#[test]
fn a_cordoned_node_takes_no_new_pods() {
    let cordoned = node(r#"{"metadata": {"name": "a"}, "spec": {"unschedulable": true}}"#);
    assert!(!can_run(&Placement::default(), &cordoned));
    let daemon =
        placement(&format!(r#"{{"tolerations": [{{"key": "{UNSCHEDULABLE}", "operator": "Exists"}}]}}"#));
    assert!(can_run(&daemon, &cordoned));
}

#[test]
fn a_node_selector_requires_every_label() {
    let rows = [
        (r#"{"disk": "ssd"}"#, true),
        (r#"{"disk": "ssd", "role": "worker"}"#, true),
        (r#"{"disk": "hdd"}"#, false),
        (r#"{"disk": "ssd", "zone": "a"}"#, false),
    ];
    for (selector, can) in rows {
        let placement = placement(&format!(r#"{{"nodeSelector": {selector}}}"#));
        assert_eq!(can_run(&placement, &node(WORKER)), can, "{selector}");
    }
}

#[test]
fn required_affinity_supports_every_operator() {
    let rows = [
        ("disk", "In", r#"["ssd", "nvme"]"#, true),
        ("disk", "In", r#"["hdd"]"#, false),
        ("zone", "In", r#"["a"]"#, false),
        ("disk", "NotIn", r#"["ssd"]"#, false),
        ("zone", "NotIn", r#"["a"]"#, true),
        ("disk", "Exists", "[]", true),
        ("zone", "Exists", "[]", false),
        ("disk", "DoesNotExist", "[]", false),
        ("zone", "DoesNotExist", "[]", true),
        ("cores", "Gt", r#"["7"]"#, true),
        ("cores", "Gt", r#"["8"]"#, false),
        ("cores", "Lt", r#"["10"]"#, true),
        ("disk", "Lt", r#"["10"]"#, false),
        ("disk", "Resembles", r#"["ssd"]"#, false),
    ];
    for (key, operator, values, can) in rows {
        let placement = placement(&demand(key, operator, values));
        assert_eq!(can_run(&placement, &node(WORKER)), can, "{key} {operator} {values}");
    }
}

#[test]
fn one_term_of_several_is_enough_and_an_empty_one_matches_nothing() {
    let exists = |key: &str| format!(r#"{{"matchExpressions": [{{"key": "{key}", "operator": "Exists"}}]}}"#);
    let rows = [
        (format!("{}, {}", exists("zone"), exists("disk")), true),
        (format!("{}, {}", exists("zone"), exists("other")), false),
        ("{}".to_owned(), false),
        (String::new(), false),
    ];
    for (terms, can) in rows {
        assert_eq!(can_run(&placement(&affinity(&terms)), &node(WORKER)), can, "{terms}");
    }
}

#[test]
fn a_daemon_sets_pod_is_bound_to_a_node_by_name() {
    let on = |name: &str| {
        placement(&affinity(&format!(
            r#"{{"matchFields": [{{"key": "metadata.name", "operator": "In", "values": ["{name}"]}}]}}"#
        )))
    };
    assert!(can_run(&on("w1"), &node(WORKER)));
    assert!(!can_run(&on("w2"), &node(WORKER)));
}

#[test]
fn a_node_is_ready_only_if_reported() {
    let with = |status: &str| {
        node(&format!(
            r#"{{"metadata": {{"name": "a"}}, "status": {{"conditions": [{{"type": "Ready", "status": "{status}"}}]}}}}"#
        ))
    };
    assert!(with("True").is_ready());
    assert!(!with("Unknown").is_ready());
    assert!(!node(WORKER).is_ready());
}

#[test]
fn kind_taints_control_planes_unless_the_only_node() {
    let takes_pods = |control_planes, of| -> Vec<bool> {
        let node = |index| Node::planned("n", index, control_planes, of);
        (0..of).map(|index| can_run(&Placement::default(), &node(index))).collect()
    };
    assert_eq!(takes_pods(1, 1), [true]);
    assert_eq!(takes_pods(1, 3), [false, true, true]);
    assert_eq!(takes_pods(3, 5), [false, false, false, true, true]);
}

#[test]
fn a_nodes_external_address_is_preferred() {
    let inner = json!({"type": "InternalIP", "address": "10.0.0.7"});
    let outer = json!({"type": "ExternalIP", "address": "198.51.100.7"});
    let rows = [
        (json!([inner, outer]), Some("198.51.100.7")),
        (json!([inner]), Some("10.0.0.7")),
        (json!([{"type": "Hostname", "address": "n"}]), None),
    ];
    for (addresses, expected) in rows {
        let nodes: NodeList = serde_json::from_value(
            json!({"items": [{"metadata": {"name": "n"}, "status": {"addresses": addresses}}]}),
        )
        .unwrap();
        assert_eq!(nodes.address().as_deref(), expected);
    }
}
