//! Tests with tables, and with a pod list recorded from a cluster that can reach no registry.

use super::*;
use crate::text::Text;

/// A pod whose only container, of the given kind, waits.
fn pod(name: &str, kind: &str, image: &str, policy: &str, reason: &str, message: &str) -> serde_json::Value {
    let (containers, statuses) = match kind {
        "init" => ("initContainers", "initContainerStatuses"),
        "ephemeral" => ("ephemeralContainers", "ephemeralContainerStatuses"),
        _ => ("containers", "containerStatuses"),
    };
    let (namespace, name) = name.split_once('/').unwrap();
    serde_json::json!({
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"nodeName": "w1", containers: [{"name": "c", "image": image, "imagePullPolicy": policy}]},
        "status": {"phase": "Pending", statuses: [
            {"name": "c", "image": "something/else", "state": {"waiting": {"reason": reason, "message": message}}},
        ]},
    })
}

fn list(pods: &[serde_json::Value]) -> String {
    serde_json::json!({"items": pods}).to_string()
}

fn names(found: &[MissingImage]) -> Vec<String> {
    found.iter().map(|missing| missing.image.to_string()).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

fn pod_names(pods: &BTreeSet<PodName>) -> Vec<String> {
    pods.iter().map(ToString::to_string).collect()
}

#[test]
fn two_spellings_are_one_image_with_both_pods() {
    let json = list(&[
        pod("milvus/b", "main", "milvusdb/milvus:v1", "IfNotPresent", "ImagePullBackOff", ""),
        pod("milvus/a", "main", "docker.io/milvusdb/milvus:v1", "IfNotPresent", "ErrImagePull", ""),
    ]);
    let found = collect(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
    let expected = MissingImage {
        reasons: [WaitingReason::ErrImagePull, WaitingReason::ImagePullBackOff].into(),
        pods: ["a", "b"].map(|name| PodName { namespace: "milvus".to_owned(), name: name.to_owned() }).into(),
        nodes: set(["w1"]),
        placements: [Placement::default()].into(),
        is_named: false,
        ..MissingImage::new(ImageName::parse("milvusdb/milvus:v1"))
    };
    assert_eq!(found, [expected]);
}

#[test]
fn init_and_ephemeral_containers_count() {
    let json = list(&[
        pod("a/1", "init", "init:1", "IfNotPresent", "ErrImagePull", ""),
        pod("a/2", "ephemeral", "ephemeral:1", "IfNotPresent", "ErrImagePull", ""),
    ]);
    let found = collect(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
    assert_eq!(names(&found), ["docker.io/library/ephemeral:1", "docker.io/library/init:1"]);
}

#[test]
fn only_reasons_about_images_count() {
    let rows = [
        ("ErrImagePull", true),
        ("ImagePullBackOff", true),
        ("RegistryUnavailable", true),
        ("ErrImageNeverPull", true),
        ("InvalidImageName", true),
        ("ContainerCreating", false),
        ("PodInitializing", false),
        ("CrashLoopBackOff", false),
        ("ErrImagePullBackOff", false),
        ("", false),
    ];
    for (reason, counts) in rows {
        let json = list(&[pod("a/1", "main", "x:1", "IfNotPresent", reason, "")]);
        let found = collect(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
        assert_eq!(!found.is_empty(), counts, "{reason}");
    }
}

#[test]
fn reasons_are_spelled_as_by_the_kubelet() {
    for text in
        ["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ErrImageNeverPull", "InvalidImageName"]
    {
        let waiting = Waiting { reason: text.into(), message: Text::default() };
        let reason = WaitingReason::of(&waiting).unwrap();
        assert_eq!(
            (reason.to_string(), serde_json::json!(reason)),
            (text.to_owned(), serde_json::json!(text))
        );
    }
}

#[test]
fn an_invalid_name_keeps_its_text() {
    let json = list(&[
        pod("a/1", "main", "Not A Name", "IfNotPresent", "InvalidImageName", ""),
        pod("a/2", "main", "fine:1", "IfNotPresent", "InvalidImageName", ""),
    ]);
    let found = collect(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
    assert_eq!(names(&found), ["Not A Name", "fine:1"]);
    assert!(found.iter().all(|missing| missing.image.reference().is_none()));
}

#[test]
fn other_namespaces_and_ended_pods_do_not_count() {
    let mut ended = pod("a/2", "main", "ended:1", "IfNotPresent", "ErrImagePull", "");
    ended["status"]["phase"] = "Failed".into();
    let mut deleted = pod("a/3", "main", "deleted:1", "IfNotPresent", "ErrImagePull", "");
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let json = list(&[
        pod("a/1", "main", "a:1", "IfNotPresent", "ErrImagePull", ""),
        pod("b/1", "main", "b:1", "IfNotPresent", "ErrImagePull", ""),
        ended,
        deleted,
    ]);
    let pods = PodList::from_slice(json.as_bytes()).unwrap();
    let only_a = NamespaceFilter::new(["a".to_owned()]);
    assert_eq!(names(&collect(&pods, &only_a)), ["docker.io/library/a:1"]);
    assert_eq!(
        names(&collect(&pods, &NamespaceFilter::new([]))),
        ["docker.io/library/a:1", "docker.io/library/b:1"]
    );
}

#[test]
fn pods_that_always_pull_are_listed_separately() {
    let json = list(&[
        pod("a/1", "main", "x:1", "Always", "ErrImagePull", ""),
        pod("a/2", "main", "x:1", "IfNotPresent", "ErrImagePull", ""),
    ]);
    let found = collect(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
    assert_eq!(pod_names(&found[0].always_pulled_by), ["a/1"]);
    assert_eq!(pod_names(&found[0].pods), ["a/1", "a/2"]);
}

#[test]
fn wanted_lists_every_image_and_its_pods() {
    let json = list(&[
        pod("a/1", "main", "x:1", "IfNotPresent", "ContainerCreating", ""),
        pod("a/2", "init", "docker.io/library/x:1", "IfNotPresent", "ErrImagePull", ""),
        pod("b/1", "main", "Y", "IfNotPresent", "InvalidImageName", ""),
    ]);
    let found = wanted(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
    let rows: Vec<_> =
        found.iter().map(|wanted| (wanted.image.to_string(), pod_names(&wanted.pods))).collect();
    assert_eq!(
        rows,
        [
            ("docker.io/library/x:1".to_owned(), vec!["a/1".to_owned(), "a/2".to_owned()]),
            ("Y".to_owned(), vec!["b/1".to_owned()]),
        ]
    );
}

#[test]
fn a_cluster_without_pods_lacks_nothing() {
    let pods = PodList::from_slice(br#"{"items": []}"#).unwrap();
    assert_eq!(
        (collect(&pods, &NamespaceFilter::All), wanted(&pods, &NamespaceFilter::All)),
        (vec![], vec![])
    );
}

const RECORDED: &[u8] = include_bytes!("../../tests/fixtures/pods-waiting.kubectl-1.32-k8s-1.20.json");

#[test]
fn a_recorded_cluster_lacks_what_its_pods_wait_for() {
    let found = collect(&PodList::from_slice(RECORDED).unwrap(), &NamespaceFilter::All);
    let rows: Vec<_> = found
        .iter()
        .map(|missing| {
            (
                missing.image.to_string(),
                missing.reasons.iter().map(ToString::to_string).collect(),
                pod_names(&missing.pods),
            )
        })
        .collect();
    let row = |image: &str, reason: &str, pods: &[&str]| -> (String, Vec<String>, Vec<String>) {
        (image.to_owned(), vec![reason.to_owned()], pods.iter().map(|pod| (*pod).to_owned()).collect())
    };
    assert_eq!(
        rows,
        [
            row("172.17.0.1:5000/milvusdb/milvus:v2.4.17", "ImagePullBackOff", &["milvus/other-registry"]),
            row("docker.io/library/busybox:1.36", "ErrImageNeverPull", &["default/never"]),
            row("docker.io/library/busybox:latest", "ImagePullBackOff", &["default/always"]),
            row(
                "docker.io/milvusdb/milvus-operator:v1.1.4",
                "ImagePullBackOff",
                &["default/same-operator", "milvus/proxy-78cdff5f6b-jsfgs", "milvus/proxy-78cdff5f6b-s9rll"],
            ),
            row(
                "docker.io/zilliz/agent:1",
                "ImagePullBackOff",
                &["milvus/agent-jtjtz", "milvus/agent-zbqsk"]
            ),
            row("quay.io/a/b:1", "ImagePullBackOff", &["milvus/other-registry"]),
            row("milvusdb/Milvus:v2.4.17", "InvalidImageName", &["default/invalid"]),
        ]
    );
}

#[test]
fn only_the_recorded_pod_without_a_version_always_pulls() {
    let found = collect(&PodList::from_slice(RECORDED).unwrap(), &NamespaceFilter::All);
    let always: Vec<_> = found.iter().flat_map(|missing| pod_names(&missing.always_pulled_by)).collect();
    assert_eq!(always, ["default/always"]);
}

#[test]
fn wanted_includes_images_that_no_recorded_pod_waits_for() {
    let found = wanted(&PodList::from_slice(RECORDED).unwrap(), &NamespaceFilter::new(["milvus".to_owned()]));
    let images: Vec<_> = found.iter().map(|wanted| wanted.image.to_string()).collect();
    assert_eq!(
        images,
        [
            "172.17.0.1:5000/milvusdb/milvus:v2.4.17",
            "docker.io/milvusdb/milvus:v2.4.17",
            "docker.io/milvusdb/milvus-operator:v1.1.4",
            "docker.io/never/scheduled:1",
            "docker.io/zilliz/agent:1",
            "quay.io/a/b:1",
        ]
    );
}

/// Four containers: running, with an image volume that cannot be pulled, with an image that lacks a layer on
/// its node, and with an image that has no command.
const CONTENT: &str = include_str!("../../tests/fixtures/pods-content.kubectl-1.34-k8s-1.34.json");

#[test]
fn only_the_image_volume_and_the_incomplete_image_are_missing() {
    let found = collect(&PodList::from_slice(CONTENT.as_bytes()).unwrap(), &NamespaceFilter::All);
    let found: Vec<_> =
        found.iter().map(|missing| (missing.image.to_string(), missing.reasons.clone())).collect();
    let expected = [
        ("test.local/half:2".to_owned(), [WaitingReason::CreateContainerError].into()),
        ("test.local/volume:1".to_owned(), [WaitingReason::ErrImagePull].into()),
    ];
    assert_eq!(found, expected);
}

#[test]
fn image_volumes_are_wanted() {
    let wanted = wanted(&PodList::from_slice(CONTENT.as_bytes()).unwrap(), &NamespaceFilter::All);
    let names: Vec<String> = wanted.iter().map(|image| image.image.to_string()).collect();
    assert_eq!(
        names,
        ["test.local/app:dev", "test.local/half:2", "test.local/nolayers:1", "test.local/volume:1"]
    );
}

/// A pod whose only container mounts an image volume and waits.
fn pod_with_volume(reason: &str, message: &str) -> String {
    let mut pod = pod("a/1", "main", "own:1", "IfNotPresent", reason, message);
    pod["spec"]["volumes"] = serde_json::json!([
        {"name": "mounted", "image": {"reference": "mounted:1", "pullPolicy": "Always"}},
        {"name": "other", "image": {"reference": "other:1"}},
        {"name": "files", "emptyDir": {}},
    ]);
    pod["spec"]["containers"][0]["volumeMounts"] =
        serde_json::json!([{"name": "files", "mountPath": "/f"}, {"name": "mounted", "mountPath": "/m"}]);
    list(&[pod])
}

#[test]
fn a_container_waits_for_the_images_its_message_names_or_all_it_mounts() {
    let (own, mounted) = ("docker.io/library/own:1", "docker.io/library/mounted:1");
    let rows = [
        ("ImagePullBackOff", r#"Back-off pulling image "mounted:1""#, vec![mounted]),
        ("ErrImagePull", r#"failed to pull and unpack image "docker.io/library/own:1": EOF"#, vec![own]),
        ("ErrImagePull", "rpc error", vec![mounted, own]),
        ("InvalidImageName", "no name", vec!["own:1"]),
    ];
    for (reason, message, expected) in rows {
        let json = pod_with_volume(reason, message);
        let found = collect(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
        assert_eq!(names(&found), expected, "{reason}: {message}");
    }
}

#[test]
fn an_image_volume_has_its_own_pull_policy() {
    let json = pod_with_volume("ImagePullBackOff", r#"Back-off pulling image "mounted:1""#);
    let found = collect(&PodList::from_slice(json.as_bytes()).unwrap(), &NamespaceFilter::All);
    assert_eq!(pod_names(&found[0].always_pulled_by), ["a/1"]);
}

#[test]
fn a_named_image_is_for_the_nodes_of_its_pods() {
    let pods = br#"{"items": [
        {"metadata": {"name": "cni-1", "namespace": "kube-system"},
         "spec": {"nodeName": "cp", "tolerations": [{"operator": "Exists"}],
                  "containers": [{"name": "c", "image": "calico/node:v3"}]},
         "status": {"phase": "Pending"}}]}"#;
    let images = ["docker.io/calico/node:v3", "app:1"].map(|name| name.parse().unwrap());
    let images = named(images, &PodList::from_slice(pods).unwrap());
    let found: Vec<(bool, Vec<&str>, usize, usize)> = images
        .iter()
        .map(|image| {
            let nodes = image.nodes.iter().map(String::as_str).collect();
            (image.is_named, nodes, image.placements.len(), image.pods.len())
        })
        .collect();
    assert_eq!(found, [(true, vec!["cp"], 1, 0), (true, vec![], 0, 0)]);
}
