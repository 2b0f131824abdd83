use serde_json::json;

use super::super::custom_resource;
use super::super::tests::settings;
use super::*;

/// A standalone Milvus as operator 1.1.4 writes it back.
fn live() -> Value {
    json!({
        "metadata": {
            "name": "my-release",
            "labels": {"milvus.io/operator-version": "1.1.4"},
            "annotations": {"milvus.io/dependency-values-merged": "true"},
        },
        "spec": {
            "mode": "standalone",
            "components": {"image": "milvusdb/milvus:v2.4.17"},
            "dependencies": {
                "msgStreamType": "rocksmq",
                "etcd": {"inCluster": {"values": {"image": {"repository": "milvusdb/etcd", "tag": "3.5.14-r1"}}}},
                "storage": {"inCluster": {"values": {"image": {"tag": "RELEASE.2023-03-20T20-16-18Z"}}}},
            },
        },
    })
}

fn kept_of(settings: &Settings, live: &Value) -> Kept {
    keep(settings, RunningMilvus { live, follows: true, is_settled: true })
}

/// The images that Milvus goes through, or what is said of the one that stays.
fn way(text: &str, live: &Value) -> (Vec<String>, Vec<String>) {
    let kept = kept_of(&settings(&format!("operator: {{version: 1.3.8}}\n{text}")), live);
    let image =
        |resource: &Value| resource["spec"]["components"]["image"].as_str().unwrap_or_default().to_owned();
    let images =
        kept.stages.iter().map(|stage| image(&stage.resource)).chain([image(&kept.resource)]).collect();
    (images, kept.notes.into_iter().filter(|note| note.starts_with("Milvus ")).collect())
}

fn kept(text: &str) -> (Value, Vec<String>, Vec<String>) {
    let settings = settings(&format!("operator: {{version: 1.3.8}}\nattu: {{enabled: false}}\n{text}"));
    let Kept { resource, images, notes, .. } = kept_of(&settings, &live());
    let images = images.images.iter().map(|planned| planned.image.familiar()).collect();
    (resource["spec"]["components"]["image"].clone(), images, notes)
}

#[test]
fn a_newer_operator_brings_its_milvus_by_way_of_the_release_in_between() {
    assert_eq!(
        kept("milvus: {mode: standalone}"),
        (
            json!("milvusdb/milvus:v2.6.11"),
            vec![
                "milvusdb/milvus-operator:v1.3.8".to_owned(),
                "milvusdb/etcd:3.5.14-r1".to_owned(),
                "minio/minio:RELEASE.2023-03-20T20-16-18Z".to_owned(),
                "milvusdb/milvus:v2.5.16".to_owned(),
                "milvusdb/milvus:v2.6.11".to_owned(),
            ],
            vec![
                "Milvus goes from `milvusdb/milvus:v2.4.17` to `milvusdb/milvus:v2.6.11` by way of \
                 `milvusdb/milvus:v2.5.16`"
                    .to_owned(),
                "`milvusdb/etcd:3.5.14-r1`, `minio/minio:RELEASE.2023-03-20T20-16-18Z` stay as installed: the \
                 operator does not upgrade the dependencies of an existing Milvus"
                    .to_owned(),
            ],
        )
    );
}

#[test]
fn a_release_on_the_way_keeps_the_mark_of_the_former_operator() {
    let settings = settings(
        "operator: {version: 1.3.8}\nmilvus: {mode: standalone, resources: {limits: {memory: 2Gi}}}",
    );
    let live = live();
    let Kept { resource, stages, required, .. } = kept_of(&settings, &live);
    let [stage] = &stages[..] else { panic!("{} stages", stages.len()) };
    assert_eq!(stage.before, "milvusdb/milvus:v2.4.17");
    let mark = |resource: &Value| resource["metadata"]["annotations"][APPLIED_FOR].clone();
    assert_eq!((mark(&stage.resource), mark(&resource)), (json!("1.1.4"), json!("1.3.8")));
    assert_eq!(
        stage.resource["spec"]["components"]["resources"],
        resource["spec"]["components"]["resources"]
    );
    let required: Vec<String> = required.iter().map(ImageRef::familiar).collect();
    assert_eq!(required, ["milvusdb/milvus:v2.5.16", "milvusdb/milvus:v2.6.11"]);

    // A run that was stopped there goes on, once that release runs.
    let mut reached = live.clone();
    reached["spec"]["components"]["image"] = stage.image.as_str().into();
    reached["metadata"]["annotations"][APPLIED_FOR] = mark(&stage.resource);
    assert!(is_of_another_operator(&settings, &reached));
    let images = |is_settled| {
        let kept = keep(&settings, RunningMilvus { live: &reached, follows: true, is_settled });
        let stages = kept.stages.iter().map(|stage| stage.image.clone());
        (stages.collect::<Vec<_>>(), kept.resource["spec"]["components"]["image"].clone())
    };
    assert_eq!(images(true), (Vec::new(), json!("milvusdb/milvus:v2.6.11")));
    assert_eq!(images(false), (vec!["milvusdb/milvus:v2.5.16".to_owned()], json!("milvusdb/milvus:v2.6.11")));
}

#[test]
fn only_releases_follow_the_operator() {
    let text = "milvus: {mode: standalone}";
    for (image, said) in [
        (
            "mine/milvus:v2.4.17",
            "Milvus stays at `mine/milvus:v2.4.17`, which is not a release of `milvusdb/milvus`; \
             `--milvus-version 2.6.11` replaces it",
        ),
        (
            "milvusdb/milvus:master-20251101",
            "Milvus stays at `milvusdb/milvus:master-20251101`, which is not a release of `milvusdb/milvus`; \
             `--milvus-version 2.6.11` replaces it",
        ),
        (
            "milvusdb/milvus:v2.4.17-gpu",
            "Milvus stays at `milvusdb/milvus:v2.4.17-gpu`, a build of its own; `--milvus-version 2.6.11` replaces it",
        ),
        (
            "milvusdb/milvus:v2.6.0-rc1",
            "Milvus stays at `milvusdb/milvus:v2.6.0-rc1`: Milvus supports no upgrade from a release candidate",
        ),
        (
            "milvusdb/milvus:v2.1.4",
            "Milvus stays at `milvusdb/milvus:v2.1.4`: the metadata of releases before 2.2.0 must be migrated first, \
             see milvus-operator's `MilvusUpgrade`",
        ),
    ] {
        let mut live = live();
        live["spec"]["components"]["image"] = image.into();
        assert_eq!(way(text, &live), (vec![image.to_owned()], vec![said.to_owned()]));
    }
    let mut live = live();
    live["spec"]["components"]["image"] = "docker.io/milvusdb/milvus:v2.5.20".into();
    assert_eq!(way(text, &live).0, ["milvusdb/milvus:v2.6.11"]);
}

#[test]
fn a_named_version_is_reached_the_same_way() {
    let named = |image: &str, text: &str| {
        let mut live = live();
        live["spec"]["components"]["image"] = image.into();
        way(&format!("milvus: {{mode: standalone, {text}}}"), &live).0
    };
    let old = "milvusdb/milvus:v2.4.17";
    assert_eq!(named(old, "version: 2.6.11"), ["milvusdb/milvus:v2.5.16", "milvusdb/milvus:v2.6.11"]);
    assert_eq!(named(old, "version: 2.5.27"), ["milvusdb/milvus:v2.5.27"]);
    assert_eq!(
        named(old, "spec: {components: {image: 'milvusdb/milvus:v2.6.4'}}"),
        ["milvusdb/milvus:v2.5.16", "milvusdb/milvus:v2.6.4"]
    );
    assert_eq!(
        named("milvusdb/milvus:v2.4.17-gpu", "image: 'milvusdb/milvus:v2.6.11-gpu'"),
        ["milvusdb/milvus:v2.5.16-gpu", "milvusdb/milvus:v2.6.11-gpu"]
    );
    assert_eq!(named("milvusdb/milvus:v2.6.11", "version: 2.4.17"), ["milvusdb/milvus:v2.4.17"]);
    assert_eq!(named("mine/milvus:main", "version: 2.6.11"), ["milvusdb/milvus:v2.6.11"]);
    let refused = |running: &str| {
        let mut live = live();
        live["spec"]["components"]["image"] = running.into();
        let text = "operator: {version: 1.3.8}\nmilvus: {mode: standalone, version: 2.6.11}";
        kept_of(&settings(text), &live).refusal
    };
    assert_eq!(
        refused("milvusdb/milvus:v2.6.0-rc1").as_deref(),
        Some(
            "Milvus 2.6.0-rc1 cannot be upgraded to 2.6.11: Milvus supports no upgrade from a release candidate"
        )
    );
    assert_eq!(refused("milvusdb/milvus:v2.5.16"), None);
}

#[test]
fn separate_coordinators_become_one_before_2_6() {
    let mut live = live();
    live["spec"]["mode"] = "cluster".into();
    live["spec"]["components"]["rootCoord"] = json!({"replicas": 1});
    let text = "operator: {version: 1.3.8}\nmilvus: {messageStore: kafka, replicas: {streamingNode: 2}}";
    let Kept { stages, resource, .. } = kept_of(&settings(text), &live);
    let components = &stages[0].resource["spec"]["components"];
    assert_eq!(
        (&components["image"], &components["mixCoord"], &components["streamingNode"]),
        (&json!("milvusdb/milvus:v2.5.16"), &json!({"replicas": 1}), &Value::Null)
    );
    assert_eq!(resource["spec"]["components"]["streamingNode"], json!({"replicas": 2}));
    let text = "operator: {version: 1.3.8}\nmilvus: {messageStore: kafka, version: 2.6.11, spec: {components: {rootCoord: {}}}}";
    let refusal = kept_of(&settings(text), &live).refusal.unwrap();
    assert!(refusal.contains("one `mixCoord` in place of rootCoord"), "{refusal}");
}

#[test]
fn a_newer_patch_release_comes_with_the_operator() {
    let settings = settings("operator: {version: 1.3.8}\nmilvus: {mode: standalone}");
    for (running, expected) in [
        ("milvusdb/milvus:v2.6.0", "milvusdb/milvus:v2.6.11"),
        ("milvusdb/milvus:v2.6.11", "milvusdb/milvus:v2.6.11"),
        ("milvusdb/milvus:v2.6.99", "milvusdb/milvus:v2.6.99"),
        ("milvusdb/milvus:v2.5.27", "milvusdb/milvus:v2.6.11"),
        ("mine/milvus:main", "mine/milvus:main"),
    ] {
        let mut live = live();
        live["spec"]["components"]["image"] = running.into();
        let Kept { resource, .. } = kept_of(&settings, &live);
        assert_eq!(resource["spec"]["components"]["image"], expected, "{running}");
        let Kept { resource, .. } =
            keep(&settings, RunningMilvus { live: &live, follows: false, is_settled: true });
        assert_eq!(resource["spec"]["components"]["image"], running, "the operator is somebody else's");
    }
}

#[test]
fn a_hotfix_follows_its_release() {
    let settings = settings("operator: {version: 1.1.1}\nmilvus: {mode: standalone}");
    let mut live = live();
    live["metadata"]["labels"][MADE_BY] = "1.1.0".into();
    live["spec"]["components"]["image"] = "milvusdb/milvus:v2.4.13".into();
    let Kept { resource, .. } = kept_of(&settings, &live);
    assert_eq!(resource["spec"]["components"]["image"], "milvusdb/milvus:v2.4.13-hotfix");
}

#[test]
fn a_milvus_follows_its_operator_until_it_was_applied_for_that_release() {
    let settings = settings("operator: {version: 1.3.8}\nmilvus: {mode: standalone}");
    let mut live = live();
    live["spec"]["components"]["image"] = "milvusdb/milvus:v2.6.0".into();
    let image = |live: &Value| kept_of(&settings, live).resource["spec"]["components"]["image"].clone();
    assert_eq!(image(&live), "milvusdb/milvus:v2.6.11");
    let applied = kept_of(&settings, &live).resource;
    live["metadata"]["annotations"][APPLIED_FOR] = applied["metadata"]["annotations"][APPLIED_FOR].clone();
    assert!(!is_of_another_operator(&settings, &live));
    assert_eq!(image(&live), "milvusdb/milvus:v2.6.0", "one that was named since stays");
    assert!(!is_of_another_operator(&settings, &json!({"metadata": {"name": "m"}})), "none has seen it yet");
}

/// Operators before 1.2.0 write no `chartVersion`.
#[test]
fn pulsar_stays_with_the_chart_that_it_was_installed_from() {
    let settings = settings("operator: {version: 1.3.8}\nattu: {enabled: false}");
    let part = json!({"repository": "apachepulsar/pulsar", "tag": "2.9.5"});
    let parts = ["zookeeper", "bookie", "autorecovery", "broker", "proxy"].map(|name| (name, &part));
    let images: serde_json::Map<String, Value> =
        parts.into_iter().map(|(name, image)| (name.to_owned(), image.clone())).collect();
    let mut live = live();
    live["spec"]["mode"] = "cluster".into();
    live["spec"]["dependencies"]["msgStreamType"] = "pulsar".into();
    live["spec"]["dependencies"]["pulsar"] = json!({"inCluster": {"values": {"images": images}}});
    let pulsar = |live: &Value| {
        let Kept { resource, images, .. } = kept_of(&settings, live);
        let pulsar = &resource["spec"]["dependencies"]["pulsar"]["inCluster"];
        let proxy = pulsar["values"]["proxy"]["configData"]["PULSAR_GC"].is_string();
        let images = images.images.iter().map(|planned| planned.image.familiar());
        (
            pulsar["chartVersion"].clone(),
            proxy,
            images.filter(|name| name.contains("pulsar")).collect::<Vec<_>>(),
        )
    };
    let old = vec!["apachepulsar/pulsar:2.9.5".to_owned()];
    assert_eq!(pulsar(&live), (json!("pulsar-v2"), true, old));
    live["metadata"]["annotations"][MERGED] = Value::Null;
    assert_eq!(pulsar(&live).0, Value::Null, "no operator has seen it yet");
}

#[test]
fn an_own_image_is_applied_at_once_with_a_warning() {
    let leap = |version: &str| {
        let text = format!(
            "operator: {{version: 1.3.8}}\nmilvus: {{mode: standalone, image: 'mine/milvus:1', version: {version}}}"
        );
        let kept = kept_of(&settings(&text), &live());
        assert!(kept.stages.is_empty());
        kept.leap
    };
    assert_eq!(
        leap("2.6.11").as_deref(),
        Some(
            "Milvus 2.6.11 supports upgrades from 2.5.16 or newer: the upgrade from 2.4.17 may fail; an image of 2.5.16 \
             first is the documented way"
        )
    );
    assert_eq!(leap("2.5.16"), None);
}

#[test]
fn an_image_in_the_spec_counts_as_named() {
    let text = "milvus: {mode: standalone, spec: {components: {image: 'mine:1'}}}";
    assert_eq!(kept(text).0, "mine:1");
}

#[test]
fn with_a_push_registry_the_running_images_are_pushed_again() {
    let text = "cluster: {context: c}\nmirror: {push: 'r:5000/x'}\nattu: {enabled: false}\nmilvus: {mode: standalone}";
    let mut live = live();
    live["metadata"]["annotations"][APPLIED_FOR] = "1.3.8".into();
    live["spec"]["components"]["image"] = "r:5000/x/milvusdb/milvus:v2.4.17".into();
    let dependencies = &mut live["spec"]["dependencies"];
    dependencies["etcd"]["inCluster"]["values"]["image"]["registry"] = "r:5000/x".into();
    dependencies["storage"]["inCluster"]["values"]["image"]["repository"] = "r:5000/x/minio/minio".into();
    let Kept { resource, images, .. } = kept_of(&settings(text), &live);
    assert_eq!(resource["spec"]["components"]["image"], "r:5000/x/milvusdb/milvus:v2.4.17");
    let names: Vec<String> = images.images.iter().map(|planned| planned.image.familiar()).collect();
    assert_eq!(
        names,
        [
            "milvusdb/milvus-operator:v1.3.8",
            "milvusdb/etcd:3.5.14-r1",
            "minio/minio:RELEASE.2023-03-20T20-16-18Z",
            "milvusdb/milvus:v2.4.17",
        ]
    );
}

#[test]
fn an_image_of_an_unknown_publisher_is_that_of_the_push_registry() {
    let text = "cluster: {context: c}\nmirror: {push: 'r:5000/x'}\nattu: {enabled: false}\nmilvus: {mode: standalone}";
    let mut live = live();
    let milvus = |live: &Value| {
        let Kept { resource, images, .. } = kept_of(&settings(text), live);
        let of_milvus = images.images.iter().filter(|planned| planned.wanted_by == ["milvus"]);
        let names: Vec<String> = of_milvus.map(|planned| planned.image.to_string()).collect();
        (resource["spec"]["components"]["image"].as_str().unwrap().to_owned(), names)
    };
    for image in ["r:5000/x/me/milvus:v2.4.17", "quay.io/me/milvus:v2.4.17"] {
        live["spec"]["components"]["image"] = image.into();
        assert_eq!(milvus(&live), (image.to_owned(), vec![image.to_owned()]));
    }
    live["spec"]["components"]["image"] = "r:5000/x/milvusdb/milvus:v2.4.17".into();
    assert_eq!(
        milvus(&live),
        (
            "r:5000/x/milvusdb/milvus:v2.6.11".to_owned(),
            vec![
                "docker.io/milvusdb/milvus:v2.5.16".to_owned(),
                "docker.io/milvusdb/milvus:v2.6.11".to_owned()
            ]
        )
    );
}

#[test]
fn an_up_to_date_milvus_reports_nothing() {
    let settings = settings("operator: {version: 1.3.8}\nmilvus: {mode: standalone}");
    let mut live = custom_resource(&settings);
    live["spec"]["components"]["image"] = "milvusdb/milvus:v2.6.11".into();
    assert_eq!(kept_of(&settings, &live).notes, [""; 0]);
}
