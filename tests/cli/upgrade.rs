//! An operator of another release beside a Milvus that runs: what is applied, loaded and said.

use serde_json::{Value, json};

use crate::fixture::{Fixture, Outcome};
use crate::troubleshooting::add_existing_cluster;
use crate::up::{CONFIG, add_cluster, machine};

/// A standalone Milvus as operator `operator` has written it back.
fn milvus(operator: &str, version: &str, etcd: &str) -> Value {
    json!({
        "metadata": {
            "name": "my-release", "namespace": "default", "uid": "u", "generation": 3,
            "labels": {"app.kubernetes.io/managed-by": "milvusctl", "milvus.io/operator-version": operator},
            "annotations": {"milvus.io/dependency-values-merged": "true"},
        },
        "spec": {
            "mode": "standalone",
            "components": {"image": format!("milvusdb/milvus:v{version}")},
            "dependencies": {
                "msgStreamType": "woodpecker",
                "etcd": {"inCluster": {"deletionPolicy": "Delete", "values": {
                    "replicaCount": 1, "image": {"repository": "milvusdb/etcd", "tag": etcd},
                }}},
                "storage": {"inCluster": {"deletionPolicy": "Delete", "values": {
                    "mode": "standalone", "image": {"tag": "RELEASE.2024-12-18T13-15-44Z"},
                    "resources": {"requests": {"memory": "256Mi"}},
                }}},
            },
        },
        "status": {"status": "Pending"},
    })
}

fn release(version: &str) -> String {
    format!(
        r#"[{{"name":"milvus-operator","namespace":"milvus-operator","revision":"1","status":"deployed","chart":"milvus-operator-{version}"}}]"#
    )
}

/// The existing cluster `prod` with the operator `installed` and the Milvus `live`.
fn existing(installed: &str, live: &Value) -> Fixture {
    let machine = Fixture::new();
    add_existing(&machine, installed, live);
    machine
}

fn add_existing(machine: &Fixture, installed: &str, live: &Value) {
    machine.on("helm list").says(&release(installed));
    machine.on("helm status").says(r#"{"info":{"description":"installed by milvusctl"}}"#);
    machine.on("helm get values").says(
        r#"{"installCRDs":true,"replicaCount":1,"resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"100m","memory":"100Mi"}}}"#,
    );
    machine.on("helm show crds").says("");
    machine.on("helm upgrade").says("");
    machine.on("kubectl --context prod get milvuses.v1beta1.milvus.io my-release").says(&live.to_string());
    add_existing_cluster(machine);
}

/// `up` for operator 1.3.8, which does not wait for long.
fn up(machine: &Fixture, more: &[&str]) -> Outcome {
    let line =
        ["up", "--context", "prod", "--mode", "standalone", "--operator-version", "1.3.8", "--no-attu"];
    machine.milvusctl(&[&line[..], &["--timeout", "2s"], more].concat())
}

/// The Milvus resource that was applied.
#[track_caller]
fn applied(machine: &Fixture) -> Value {
    let inputs = machine.inputs();
    let documents = inputs.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let mut found: Vec<Value> = documents.filter(|document| document["kind"] == "Milvus").collect();
    assert_eq!(found.len(), 1, "{inputs:?}");
    found.remove(0)
}

#[test]
fn a_newer_patch_of_milvus_comes_with_the_operator() {
    let machine = existing("1.3.4", &milvus("1.3.4", "2.6.6", "3.5.23-r2"));
    let outcome = up(&machine, &[]).ends_with(5);
    let resource = applied(&machine);
    assert_eq!(resource["spec"]["components"]["image"], "milvusdb/milvus:v2.6.11");
    assert_eq!(resource["metadata"]["annotations"], json!({"milvusctl/operator-version": "1.3.8"}));
    assert_eq!(resource["spec"]["dependencies"]["etcd"]["inCluster"].get("values"), None);
    assert!(!outcome.err.contains("Milvus stays"), "{}", outcome.err);
    outcome.complains_of(&["`milvusdb/etcd:3.5.23-r2` stay as installed"]);
}

#[test]
fn a_run_that_was_stopped_after_the_operator_is_made_up_for() {
    let machine = existing("1.3.8", &milvus("1.3.4", "2.6.6", "3.5.23-r2"));
    up(&machine, &[]).ends_with(5);
    assert_eq!(applied(&machine)["spec"]["components"]["image"], "milvusdb/milvus:v2.6.11");
    assert!(!machine.calls().iter().any(|call| call.starts_with("helm upgrade")));
}

#[test]
fn a_milvus_that_was_named_is_not_moved_by_the_next_run() {
    let mut live = milvus("1.3.4", "2.6.7", "3.5.23-r2");
    live["metadata"]["annotations"]["milvusctl/operator-version"] = "1.3.8".into();
    let machine = existing("1.3.8", &live);
    let outcome = up(&machine, &[]).ends_with(5).complains_of(&["Milvus `my-release` is up to date"]);
    assert!(!machine.calls().iter().any(|call| call.contains(" apply ")), "{}", outcome.err);
}

#[test]
fn what_is_not_well_elsewhere_is_told_though_nothing_changes() {
    let mut live = milvus("1.3.8", "2.6.11", "3.5.25-r1");
    live["status"] = json!({"status": "Healthy", "observedGeneration": 3});
    let theirs = json!({
        "kind": "Deployment", "metadata": {"namespace": "theirs", "name": "web"}, "spec": {"replicas": 2},
        "status": {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 0},
    });
    let waiting = json!({
        "metadata": {"namespace": "theirs", "name": "p"},
        "spec": {"nodeName": "w", "containers": [{"name": "c", "image": "their/image:1"}]},
        "status": {"phase": "Pending", "containerStatuses": [{
            "name": "c", "image": "their/image:1", "state": {"waiting": {"reason": "ImagePullBackOff", "message": ""}},
        }]},
    });
    let machine = Fixture::new();
    for (what, item) in [("deployments,statefulsets", theirs), ("pods", waiting)] {
        machine.on(&format!("kubectl --context prod get {what}")).says(&json!({"items": [item]}).to_string());
    }
    add_existing(&machine, "1.3.8", &live);
    up(&machine, &[]).ends_with(0).complains_of(&[
        "Milvus is healthy and lacks no image",
        "warning: Deployment `theirs/web` has 0 of 2 pods ready; it is not part of this Milvus and was left alone",
        "warning: other pods wait for docker.io/their/image:1",
        "Nothing to change",
    ]);
}

#[test]
fn another_minor_release_is_left_to_the_user_and_the_way_is_said() {
    let mut live = milvus("1.1.4", "2.4.17", "3.5.14-r1");
    live["spec"]["dependencies"]["msgStreamType"] = "rocksmq".into();
    let machine = existing("1.1.4", &live);
    up(&machine, &[]).ends_with(5).complains_of(&[
        "Milvus stays at `milvusdb/milvus:v2.4.17`; to upgrade it, run this again with `--milvus-version 2.5.16`, and \
         once that runs with `--milvus-version 2.6.11`",
    ]);
    assert_eq!(applied(&machine)["spec"]["components"]["image"], "milvusdb/milvus:v2.4.17");
}

#[test]
fn a_leap_is_carried_out_where_it_is_named_and_warned_of() {
    let mut live = milvus("1.1.4", "2.4.17", "3.5.14-r1");
    live["spec"]["dependencies"]["msgStreamType"] = "rocksmq".into();
    let machine = existing("1.1.4", &live);
    up(&machine, &["--milvus-version", "2.6.11"]).ends_with(5).complains_of(&[
        "warning: Milvus 2.6.11 supports upgrades from 2.5.16 or newer: the upgrade from 2.4.17 may fail; \
         `--milvus-version 2.5.16` first is the documented way",
    ]);
    assert_eq!(applied(&machine)["spec"]["components"]["image"], "milvusdb/milvus:v2.6.11");
}

#[test]
fn only_what_is_new_is_loaded_for_an_upgrade() {
    let machine = machine(CONFIG);
    machine.on("helm list").says(&release("1.3.4"));
    machine.on("helm status").says(r#"{"info":{"description":"installed by milvusctl"}}"#);
    let held = |name: &str| {
        format!(
            "docker.io/{name} application/vnd.oci.image.manifest.v1+json sha256:{} complete (2/2) 1.0 KiB/1.0 KiB true\n",
            "0".repeat(64)
        )
    };
    let images = [
        "milvusdb/milvus-operator:v1.3.4",
        "milvusdb/etcd:3.5.23-r2",
        "minio/minio:RELEASE.2024-12-18T13-15-44Z",
        "milvusdb/milvus:v2.6.6",
    ];
    machine
        .on("docker exec milvus-cluster-control-plane ctr --namespace k8s.io images check")
        .says(&format!("REF TYPE DIGEST STATUS SIZE UNPACKED\n{}", images.map(held).concat()));
    let node = json!({
        "metadata": {"name": "milvus-cluster-control-plane"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"}},
    });
    let live = milvus("1.3.4", "2.6.6", "3.5.23-r2");
    let objects = [("milvuses.v1beta1.milvus.io my-release", live), ("nodes", json!({"items": [node]}))];
    add_cluster(&machine, "running", &objects);
    let variables = [("MILVUSCTL_PULL_WITH", "auto")];
    let outcome = machine.milvusctl_with(&variables, &["up", "--dry-run", "--no-attu"]).ends_with(0);
    let load = outcome.out.lines().find(|line| line.starts_with("milvusctl images load")).unwrap_or_default();
    assert!(load.ends_with(" milvusdb/milvus-operator:v1.3.8 milvusdb/milvus:v2.6.11"), "{}", outcome.out);
    assert!(outcome.out.contains("image: \"milvusdb/milvus:v2.6.11\""), "{}", outcome.out);
}
