use super::*;

fn object(kind: &str, name: &str) -> Object {
    Object {
        api_version: "v1".into(),
        kind: kind.into(),
        namespace: "n".into(),
        name: name.into(),
        uid: format!("u-{name}"),
    }
}

fn live(is_ours: bool) -> LiveMilvus {
    LiveMilvus {
        object: object("Milvus", "m"),
        created: "2026-01-01T00:00:00Z".into(),
        is_ours,
        has_finalizer: true,
    }
}

fn found() -> InCluster {
    InCluster {
        milvus: Some(live(true)),
        other_milvus: Vec::new(),
        operator: Ownership::Ours,
        operators: Operators::Running,
        belongings: Belongings {
            releases: vec!["m-etcd".into()],
            objects: vec![object("Deployment", "m-attu")],
            volumes: vec![object("PersistentVolumeClaim", "data-m-etcd-0")],
            unproven: vec!["volume n/m-theirs: not known to be milvusctl's".into()],
            ..Belongings::default()
        },
    }
}

#[test]
fn everything_of_ours_goes_except_volumes() {
    let removal = Removal::plan(&found(), "m", false);
    assert_eq!(
        removal.names(),
        ["milvus n/m", "helm release m-etcd", "deployment n/m-attu", "helm release milvus-operator"]
    );
    assert_eq!(removal.kept, ["volume n/data-m-etcd-0", "volume n/m-theirs: not known to be milvusctl's"]);
    assert_eq!(removal.staying, [object("PersistentVolumeClaim", "data-m-etcd-0")]);
}

#[test]
fn data_is_deleted_only_on_request_and_is_listed() {
    let removal = Removal::plan(&found(), "m", true);
    assert_eq!(removal.kept, ["volume n/m-theirs: not known to be milvusctl's"]);
    assert!(removal.names().contains(&"volume n/data-m-etcd-0 AND ITS DATA".to_owned()));
}

#[test]
fn a_foreign_milvus_keeps_its_operator_and_data() {
    let removal = Removal::plan(&InCluster { milvus: Some(live(false)), ..found() }, "m", true);
    assert!(removal.is_nothing(), "{removal:?}");
    assert_eq!(
        removal.kept,
        [
            "Milvus `m`: not created by milvusctl",
            "milvus-operator: Milvus `m` needs it",
            "volume n/m-theirs: not known to be milvusctl's"
        ]
    );
}

#[test]
fn a_shared_or_foreign_operator_stays() {
    let shared = Removal::plan(&InCluster { other_milvus: vec!["prod/main".into()], ..found() }, "m", false);
    assert!(shared.milvus.is_some() && !shared.operator);
    assert_eq!(shared.kept[0], "milvus-operator: Milvus `prod/main` needs it");
    let theirs = Removal::plan(&InCluster { operator: Ownership::Foreign, ..found() }, "m", false);
    assert!(theirs.milvus.is_some() && !theirs.operator);
    assert_eq!(theirs.kept[0], "milvus-operator: not installed by milvusctl");
}

#[test]
fn leftovers_of_an_earlier_run_go_too() {
    let half = Removal::plan(&InCluster { milvus: None, ..found() }, "m", false);
    assert_eq!(half.releases, ["m-etcd"]);
    let gone =
        InCluster { milvus: None, operator: Ownership::Absent, belongings: Belongings::default(), ..found() };
    assert!(Removal::plan(&gone, "m", true).is_nothing());
}

#[test]
fn removal_needs_a_running_operator() {
    let with = |operators| InCluster { operators, ..found() };
    assert_eq!(obstacle(&found(), "c"), None);
    let (why, hint) = obstacle(&with(Operators::Absent), "c").unwrap();
    assert_eq!(
        why,
        "cannot remove Milvus `n/m`: the cluster has no milvus-operator, and only the operator clears the finalizer"
    );
    assert!(hint.starts_with("`milvusctl up --context c` reinstalls it; or abandon the Milvus"), "{hint}");
    let (why, hint) = obstacle(&with(Operators::Stopped(vec!["o/milvus-operator".into()])), "c").unwrap();
    assert!(why.contains("(deployment o/milvus-operator) has no ready pod"), "{why}");
    assert!(hint.contains("--namespace o scale deployment milvus-operator --replicas 1"), "{hint}");
    let without = LiveMilvus { has_finalizer: false, ..live(true) };
    for milvus in [None, Some(without), Some(live(false))] {
        assert_eq!(obstacle(&InCluster { milvus, ..with(Operators::Absent) }, "c"), None);
    }
}

#[test]
fn the_deletion_patch_covers_dependencies_but_never_claims() {
    let spec = json!({"dependencies": {
        "msgStreamType": "kafka",
        "etcd": {"external": true, "endpoints": ["e:2379"]},
        "storage": {"inCluster": {"values": {}}},
    }});
    let policy = json!({"inCluster": {"deletionPolicy": "Delete", "pvcDeletion": false}});
    assert_eq!(
        deletion_patch(&spec),
        Some(json!({"spec": {"dependencies": {"storage": policy, "kafka": policy}}}))
    );
    let external = json!({"dependencies": {
        "msgStreamType": "woodpecker", "etcd": {"external": true}, "storage": {"external": true}}});
    assert_eq!(deletion_patch(&external), None);
    // Only milvusctl deletes its volume, by UID and only on request.
    let rocksmq = json!({"dependencies": {"msgStreamType": "rocksmq", "etcd": {"external": true},
        "storage": {"external": true}, "tei": {"enabled": true},
        "rocksmq": {"persistence": {"enabled": true, "pvcDeletion": true}}}});
    assert_eq!(
        deletion_patch(&rocksmq),
        Some(
            json!({"spec": {"dependencies": {"tei": policy, "rocksmq": {"persistence": {"pvcDeletion": false}}}}})
        )
    );
}

#[test]
fn an_operator_is_recognised_by_deployment_or_image() {
    let stopped = |name: &str| Operators::Stopped(vec![name.to_owned()]);
    for (text, expected) in [
        ("", Operators::Absent),
        ("default web 1 nginx:1\n", Operators::Absent),
        ("o milvus-operator 1 milvusdb/milvus-operator:v1.3.8\n", Operators::Running),
        ("o milvus-operator <none> milvusdb/milvus-operator:v1.3.8\n", stopped("o/milvus-operator")),
        ("o mine 1 r.example.com/m/milvus-operator:v1\n", Operators::Running),
        ("a milvus-operator <none> x:1\nb milvus-operator 2 x:1\n", Operators::Running),
    ] {
        assert_eq!(Operators::read(text), expected, "{text}");
    }
}
