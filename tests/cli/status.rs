//! `status`: what keeps a pod from starting, and what to do about it.

use serde_json::{Value, json};

use crate::fixture::Fixture;

/// A cluster with a pod for each reason not to start.
fn machine() -> Fixture {
    let machine = Fixture::new();
    let kubectl = |rest: &str| format!("kubectl --context kind-milvus-cluster {rest}");
    let says = |rest: &str, answer: Value| {
        machine.on(&kubectl(rest)).says(&answer.to_string());
    };
    says("get nodes", json!({"items": []}));
    says("get deployments,statefulsets", json!({"items": []}));
    says(
        "get milvuses.v1beta1.milvus.io my-release",
        json!({
            "metadata": {"name": "my-release", "namespace": "default"},
            "spec": {"mode": "cluster"},
            "status": {"status": "Pending", "conditions": [
                {"type": "EtcdReady", "status": "False", "reason": "EtcdNotReady", "message": "1 of 3 endpoints"},
            ]},
        }),
    );
    says("get services", json!({"items": []}));
    says(
        "get persistentvolumeclaims",
        json!({"items": [{"metadata": {"namespace": "default", "name": "data-etcd-0"}, "status": {"phase": "Pending"}}]}),
    );
    let unscheduled = |name: &str, message: &str| {
        json!({"metadata": {"namespace": "default", "name": name}, "spec": {"containers": []}, "status": {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}],
        }})
    };
    let waiting = |name: &str, reason: &str, ended: Value| {
        json!({
            "metadata": {"namespace": "default", "name": name},
            "spec": {"containers": [{"name": "main", "image": "milvusdb/milvus:v2.6.11"}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "main", "state": {"waiting": {"reason": reason, "message": "back-off"}}, "lastState": ended},
            ]},
        })
    };
    let ended = |code: i64| json!({"terminated": {"reason": "Error", "exitCode": code}});
    says(
        "get pods",
        json!({"items": [
            unscheduled("bookie-0", "0/4 nodes are available: 4 Insufficient memory."),
            unscheduled("etcd-0", "pod has unbound immediate PersistentVolumeClaims"),
            waiting("proxy-0", "ImagePullBackOff", json!({})),
            waiting("querynode-0", "CrashLoopBackOff", ended(132)),
            waiting("datanode-0", "CrashLoopBackOff", ended(1)),
        ]}),
    );
    machine.on(&kubectl("get leases.coordination.k8s.io")).fails(
        1,
        "Error from server (NotFound): leases.coordination.k8s.io \"71808ec5.milvus.io\" not found\n",
    );
    machine.on(&kubectl("logs --namespace default datanode-0")).says("panic: no etcd\nroot:hunter2@x gone\n");
    machine.on(&kubectl("logs")).says("");
    machine.on("docker ps").says("");
    machine
}

#[test]
fn each_reason_not_to_start_is_reported_with_a_hint() {
    let outcome = machine().milvusctl(&["status"]).ends_with(0);
    for text in [
        "EtcdReady: False  EtcdNotReady 1 of 3 endpoints",
        "Insufficient memory",
        "Unbound volume claims: default/data-etcd-0",
        "milvusdb/milvus:v2.6.11",
        "exit code 132: this processor lacks instructions that Milvus needs (AVX, SSE4.2)",
        "Last log lines of default/datanode-0\n  panic: no etcd\n",
    ] {
        assert!(outcome.out.contains(text), "`{text}` is not in:\n{}", outcome.out);
    }
    outcome.complains_of(&[
        "hint: no node has enough memory left",
        "hint: a volume was not provisioned",
        "hint: `milvusctl load-missing-images` loads what is missing",
        "hint: Milvus needs a processor with SSE4.2 and AVX",
    ]);
}

#[test]
fn the_json_contains_the_reasons_too() {
    let answer = machine().milvusctl(&["status", "-o", "json"]).ends_with(0).json();
    let pods = answer["pods"].as_array().unwrap();
    let pod = |name: &str| pods.iter().find(|pod| pod["name"] == name).unwrap();
    assert_eq!(pod("default/datanode-0")["log"][0], "panic: no etcd");
    assert_eq!(pod("default/bookie-0")["reason"], "Unschedulable");
    assert_eq!(answer["missing_images"], json!(["docker.io/milvusdb/milvus:v2.6.11"]));
    assert_eq!(answer["pending_volumes"], json!(["default/data-etcd-0"]));
    assert_eq!(answer["milvus"]["conditions"][0]["reason"], "EtcdNotReady");
}
