//! An operator of another release beside a Milvus that runs: what is applied, loaded and said.

use serde_json::{Value, json};

use crate::fixture::{Fixture, Outcome};
use crate::snapshot::assert_same;
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

/// A Milvus as the article's operator made it, at `version`.
fn old(version: &str) -> Value {
    let mut live = milvus("1.1.4", version, "3.5.14-r1");
    live["spec"]["dependencies"]["msgStreamType"] = "rocksmq".into();
    live
}

#[test]
fn another_minor_release_comes_by_way_of_the_release_in_between() {
    for more in [&[][..], &["--milvus-version", "2.6.11"]] {
        let machine = existing("1.1.4", &old("2.4.17"));
        up(&machine, more).ends_with(5).complains_of(&[
            "Milvus goes from `milvusdb/milvus:v2.4.17` to `milvusdb/milvus:v2.6.11` by way of `milvusdb/milvus:v2.5.16`",
            "Applied Milvus `my-release` with release 2.5.16",
        ]);
        // It never gets healthy here, so the next one is not applied.
        let resource = applied(&machine);
        assert_eq!(resource["spec"]["components"]["image"], "milvusdb/milvus:v2.5.16");
        assert_eq!(resource["metadata"]["annotations"], json!({"milvusctl/operator-version": "1.1.4"}));
    }
}

#[test]
fn an_upgrade_that_was_stopped_on_the_way_goes_on_once_that_release_runs() {
    let mut live = old("2.5.16");
    live["metadata"]["annotations"]["milvusctl/operator-version"] = "1.1.4".into();
    let image = |live: &Value| {
        let machine = existing("1.3.8", live);
        up(&machine, &[]).ends_with(5);
        applied(&machine)["spec"]["components"]["image"].clone()
    };
    assert_eq!(image(&live), "milvusdb/milvus:v2.5.16", "it is not healthy yet");
    live["status"] = json!({"status": "Healthy", "observedGeneration": 3});
    assert_eq!(image(&live), "milvusdb/milvus:v2.6.11");
}

#[test]
fn an_upgrade_that_the_guides_do_not_know_is_refused_where_it_is_named() {
    let machine = existing("1.1.4", &old("2.1.4"));
    up(&machine, &["--milvus-version", "2.6.11"]).ends_with(2).complains_of(&[
        "Milvus 2.1.4 cannot be upgraded to 2.6.11: the metadata of releases before 2.2.0 must be migrated first",
        "nothing was changed",
        "--force",
    ]);
    assert!(!machine.calls().iter().any(|call| call.contains(" apply ") || call.starts_with("helm upgrade")));
    let machine = existing("1.1.4", &old("2.1.4"));
    up(&machine, &[]).ends_with(5).complains_of(&["Milvus stays at `milvusdb/milvus:v2.1.4`: the metadata"]);
    assert_eq!(applied(&machine)["spec"]["components"]["image"], "milvusdb/milvus:v2.1.4");
}

#[test]
fn the_fields_are_those_of_the_operator_that_runs() {
    let image = |deployed: &str| {
        let machine = Fixture::new();
        machine
            .on("kubectl --context prod get deployments --all-namespaces")
            .says(&format!("tools mine <none> <none> {deployed}\n"));
        add_existing_cluster(&machine);
        machine.file("milvusctl.yaml", "milvus: {image: 'mine/milvus:1', version: 2.6.11}\n");
        let outcome = up(&machine, &[]).ends_with(5);
        (applied(&machine)["spec"]["components"]["version"].clone(), outcome.err)
    };
    assert_eq!(image("milvusdb/milvus-operator:v1.3.8").0, "v2.6.11");
    assert_eq!(image("milvusdb/milvus-operator:v1.2.8").0, Value::Null, "it would refuse the field");
    let (version, said) = image("mine/milvus-operator:main");
    assert_eq!(version, "v2.6.11");
    assert!(
        said.contains(
            "the version of milvus-operator of deployment `tools/mine` is unknown, and 1.3.8 is assumed"
        ),
        "{said}"
    );
}

/// The kind cluster with the article's operator and Milvus, and their images in its node.
fn article(config: &str) -> Fixture {
    let machine = machine(config);
    machine.on("helm list").says(&release("1.1.4"));
    machine.on("helm status").says(r#"{"info":{"description":"installed by milvusctl"}}"#);
    let held = |name: &str| {
        format!(
            "docker.io/{name} application/vnd.oci.image.manifest.v1+json sha256:{} complete (2/2) 1.0 KiB/1.0 KiB true\n",
            "0".repeat(64)
        )
    };
    let images =
        ["milvusdb/etcd:3.5.14-r1", "minio/minio:RELEASE.2024-12-18T13-15-44Z", "milvusdb/milvus:v2.4.17"];
    machine
        .on("docker exec milvus-cluster-control-plane ctr --namespace k8s.io images check")
        .says(&format!("REF TYPE DIGEST STATUS SIZE UNPACKED\n{}", images.map(held).concat()));
    let node = json!({
        "metadata": {"name": "milvus-cluster-control-plane"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"}},
    });
    let objects =
        [("milvuses.v1beta1.milvus.io my-release", old("2.4.17")), ("nodes", json!({"items": [node]}))];
    add_cluster(&machine, "running", &objects);
    machine
}

/// The settings of a cluster without a mirror.
const PLAIN: &str = "
cluster: {workers: 0, ports: ['29531:31530', '29100:31000']}
mirror: {preset: none}
operator: {version: 1.3.8}
milvus: {mode: standalone}
attu: {enabled: false}
";

#[test]
fn a_dry_run_shows_every_release_on_the_way() {
    let machine = article(PLAIN);
    let outcome =
        machine.milvusctl_with(&[("MILVUSCTL_PULL_WITH", "auto")], &["up", "--dry-run"]).ends_with(0);
    assert_same("golden/up-upgrade.sh", &outcome.out.replace("linux/arm64", "linux/amd64"));
}

#[test]
fn without_an_image_of_the_way_nothing_is_changed() {
    let machine = article(PLAIN);
    machine
        .on("docker pull")
        .fails(1, "Error response from daemon: manifest for it not found: manifest unknown\n");
    machine.milvusctl(&["up"]).ends_with(4).complains_of(&[
        "Milvus `my-release` was not upgraded: 2 images of it could not be loaded, and nothing else was changed",
        "docker.io/milvusdb/milvus:v2.5.16: ",
        "milvusctl images save -o upgrade.tar.zst docker.io/milvusdb/milvus:v2.5.16 docker.io/milvusdb/milvus:v2.6.11",
        "milvusctl images load --name milvus-cluster -i upgrade.tar.zst",
    ]);
    assert!(!machine.calls().iter().any(|call| call.contains(" apply ") || call.starts_with("helm upgrade")));
}

#[test]
fn the_plan_of_a_cluster_that_runs_names_every_image_of_the_way() {
    let machine = article(PLAIN);
    let plan = machine.milvusctl(&["images", "plan", "-o", "json"]).ends_with(0);
    let images: Vec<String> = plan.json()["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["image"].as_str().unwrap().trim_start_matches("docker.io/").to_owned())
        .collect();
    assert_eq!(
        images,
        [
            "milvusdb/milvus-operator:v1.3.8",
            "milvusdb/etcd:3.5.14-r1",
            "minio/minio:RELEASE.2024-12-18T13-15-44Z",
            "milvusdb/milvus:v2.5.16",
            "milvusdb/milvus:v2.6.11",
        ]
    );
    plan.complains_of(&["by way of `milvusdb/milvus:v2.5.16`"]);
    let save = machine.milvusctl(&["images", "save", "-o", "all.tar", "--dry-run"]).ends_with(0);
    save.complains_of(&["by way of `milvusdb/milvus:v2.5.16`"]);
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
