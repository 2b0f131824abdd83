use super::*;

const HEAD: &str = "2026-01-02T00:00:00Z";
const BEFORE: &str = "2026-01-01T00:00:00Z";
const AFTER: &str = "2026-01-03T00:00:00Z";

/// A line as kubectl prints it: kind, API version, name (its UID is `u-NAME`), creation time, other columns.
fn line(kind: &str, api: &str, name: &str, created: &str, rest: [&str; 7]) -> String {
    format!("{kind} {api} {name} u-{name} {created} {}\n", rest.join("   "))
}

const NONE: [&str; 7] = ["<none>"; 7];
/// The labels of a helm release Secret.
const STATE: [&str; 7] = ["<none>", "deployed", "<none>", "<none>", "<none>", "<none>", "<none>"];

/// milvusctl's label.
const OURS: [&str; 7] = ["milvusctl", "<none>", "<none>", "<none>", "<none>", "<none>", "<none>"];

fn of_release(release: &'static str, space: &'static str) -> [&'static str; 7] {
    ["Helm", "<none>", release, space, "<none>", "<none>", "<none>"]
}

fn found(lines: &[String], has_milvus: bool, record: &Record) -> Belongings {
    let milvus = Owner { uid: "u-m".into(), created: HEAD.into() };
    belongings(&ObjectRow::read(&lines.concat(), "n"), "m", has_milvus.then_some(&milvus), record)
}

fn names(objects: &[Object]) -> Vec<&str> {
    objects.iter().map(|object| object.name.as_str()).collect()
}

/// What the operator creates for a Milvus.
fn ours() -> Vec<String> {
    let mut of_etcd = of_release("m-etcd", "n");
    of_etcd[5] = "data";
    vec![
        line(
            "Deployment",
            "apps/v1",
            "m-milvus-standalone",
            AFTER,
            ["milvus-operator", "<none>", "<none>", "<none>", "u-m", "<none>", "m-data"],
        ),
        line("StatefulSet", "apps/v1", "m-etcd", AFTER, of_etcd),
        line("Secret", "v1", "sh.helm.release.v1.m-etcd.v1", AFTER, STATE),
        line("PersistentVolumeClaim", "v1", "data-m-etcd-0", AFTER, NONE),
        line("PersistentVolumeClaim", "v1", "m-data", AFTER, NONE),
        line("Deployment", "apps/v1", "m-attu", AFTER, OURS),
        line("Pod", "v1", "m-etcd-0", AFTER, NONE),
    ]
}

#[test]
fn belongings_are_proven_by_owner_release_mount_and_label() {
    let found = found(&ours(), true, &Record::default());
    assert_eq!(names(&found.objects), ["m-attu", "m-milvus-standalone", "m-etcd"]);
    assert_eq!(names(&found.loose), ["m-attu"]);
    assert_eq!(names(&found.volumes), ["data-m-etcd-0", "m-data"]);
    assert_eq!((found.releases, found.unproven), (vec!["m-etcd".to_owned()], Vec::new()));
}

/// `helm upgrade --install m zilliztech/milvus`, and dependencies' charts installed by hand.
#[test]
fn same_names_prove_nothing() {
    let mut templates = of_release("m", "n");
    templates[5] = "data";
    let chart = |created: &str| {
        vec![
            line("Deployment", "apps/v1", "m-milvus-standalone", created, of_release("m", "n")),
            line("StatefulSet", "apps/v1", "m-etcd", created, templates),
            line("PersistentVolumeClaim", "v1", "data-m-etcd-0", created, NONE),
            line("Secret", "v1", "sh.helm.release.v1.m.v1", created, NONE),
        ]
    };
    // From other releases or namespaces, or older than the Milvus.
    let mut lines = chart(AFTER);
    lines.push(line("Service", "v1", "m-minio", AFTER, of_release("m-minio", "elsewhere")));
    lines.push(line("StatefulSet", "apps/v1", "m-kafka", BEFORE, of_release("m-kafka", "n")));
    lines.push(line("Secret", "v1", "sh.helm.release.v1.m-kafka.v3", BEFORE, NONE));
    lines.push(line(
        "ConfigMap",
        "v1",
        "x",
        AFTER,
        ["<none>", "<none>", "<none>", "<none>", "u-other", "<none>", "<none>"],
    ));
    let ours = found(&lines, true, &Record::default());
    assert_eq!((ours.objects, ours.volumes, ours.states), (Vec::new(), Vec::new(), Vec::new()));
    assert_eq!(
        ours.unproven,
        [
            "helm release n/m-kafka: not known to be milvusctl's; `helm uninstall` removes it",
            "volume n/data-m-etcd-0: not known to be milvusctl's",
        ]
    );
    assert_eq!(found(&chart(AFTER), false, &Record::default()).objects, []);
}

#[test]
fn a_volume_older_than_the_milvus_is_foreign_unless_recorded() {
    let mut lines = ours();
    lines[3] = line("PersistentVolumeClaim", "v1", "data-m-etcd-0", BEFORE, NONE);
    let first = found(&lines, true, &Record::default());
    assert_eq!(names(&first.volumes), ["m-data"]);
    assert_eq!(first.unproven, ["volume n/data-m-etcd-0: not known to be milvusctl's"]);
    let noted = found(&ours(), true, &Record::default()).record();
    assert_eq!(names(&found(&lines, true, &noted).volumes), ["data-m-etcd-0", "m-data"]);
}

#[test]
fn the_record_outlives_the_milvus_but_does_not_match_recreated_objects() {
    let noted = found(&ours(), true, &Record::default()).record();
    let text = serde_json::to_string(&noted).unwrap();
    let noted: Record = serde_json::from_str(&text).unwrap();
    let left = found(&ours(), false, &noted);
    assert_eq!(left.releases, ["m-etcd"]);
    assert_eq!(names(&left.volumes), ["data-m-etcd-0", "m-data"]);
    let anew = ours().concat().replace("u-data-m-etcd-0", "u-anew").replace("u-sh.helm", "u-anew.helm");
    let left = found(&[anew], false, &noted);
    assert_eq!(left.releases, [""; 0]);
    assert_eq!(names(&left.volumes), ["m-data"]);
}

/// What is left when the operator was uninstalled and the Milvus's finalizer removed by hand.
fn without_workloads() -> Vec<String> {
    ours()
        .into_iter()
        .filter(|line| !line.starts_with("StatefulSet") && !line.starts_with("Deployment"))
        .collect()
}

#[test]
fn a_release_without_a_workload_is_empty_and_ours_if_recorded() {
    let noted = found(&ours(), true, &Record::default()).record();
    let empty_since = |lines: &[String], record: &Record, long_ago: &str| {
        empty_releases(&ObjectRow::read(&lines.concat(), "n"), "m", None, record, long_ago)
    };
    let empty = |lines: &[String], record: &Record| empty_since(lines, record, HEAD);
    let etcd = |is_ours| [EmptyRelease { name: "m-etcd".into(), is_ours }];
    assert_eq!(empty(&ours(), &noted), []);
    assert_eq!(empty(&without_workloads(), &noted), etcd(true));
    assert_eq!(empty(&without_workloads(), &Record::default()), etcd(false));
    // An operator in the middle of an installation has created no workload yet.
    let pending: Vec<String> =
        without_workloads().iter().map(|line| line.replace("deployed", "pending-install")).collect();
    assert_eq!(empty(&pending, &noted), []);
    // One that was stopped there never will.
    assert_eq!(empty_since(&pending, &noted, "2026-01-04T00:00:00Z"), etcd(true));
}

#[test]
fn a_release_older_than_the_milvus_is_foreign_even_if_the_operator_took_it_over() {
    let mut lines = vec![
        line("StatefulSet", "apps/v1", "m-etcd", BEFORE, of_release("m-etcd", "n")),
        line("Secret", "v1", "sh.helm.release.v1.m-etcd.v1", BEFORE, STATE),
    ];
    // What the operator's takeover adds: a second revision, and sometimes a new part.
    lines.push(line("Secret", "v1", "sh.helm.release.v1.m-etcd.v2", AFTER, STATE));
    lines.push(line("Service", "v1", "m-etcd-headless", AFTER, of_release("m-etcd", "n")));
    let ours = found(&lines, true, &Record::default());
    assert_eq!((ours.objects, ours.states, ours.releases), (Vec::new(), Vec::new(), Vec::new()));
    let unproven = "helm release n/m-etcd: not known to be milvusctl's; `helm uninstall` removes it";
    assert_eq!(ours.unproven, [unproven]);
    // Helm keeps ten revisions; the parts keep their age.
    lines.remove(1);
    assert_eq!(found(&lines, true, &Record::default()).objects, []);
}

#[test]
fn a_milvus_with_a_longer_name_keeps_its_objects() {
    let label = |kind: &str, name: &str| line(kind, "v1", name, AFTER, OURS);
    let lines = [
        label("Deployment", "m-attu"),
        label("Service", "m-attu"),
        label("Service", "m-milvus-nodeport"),
        label("Service", "m-minio-nodeport"),
        label("Secret", "m-storage"),
        label("Deployment", "m-2-attu"),
        label("Service", "m-2-milvus-nodeport"),
        label("Secret", "m-2-storage"),
        label("ConfigMap", "m-milvusctl"),
        label("ConfigMap", "m-attu"),
    ];
    let ours = found(&lines, false, &Record::default());
    assert_eq!(
        names(&ours.objects),
        ["m-attu", "m-storage", "m-attu", "m-milvus-nodeport", "m-minio-nodeport"]
    );
}

#[test]
fn a_foreign_volume_stays_foreign_when_the_operator_adopts_it() {
    let mut lines = ours();
    lines.push(line("PersistentVolumeClaim", "v1", "m-minio", BEFORE, of_release("m-minio", "n")));
    lines.push(line("Deployment", "apps/v1", "m-minio", AFTER, of_release("m-minio", "n")));
    lines.push(line("Secret", "v1", "sh.helm.release.v1.m-minio.v1", AFTER, STATE));
    let ours = found(&lines, true, &Record::default());
    assert_eq!(ours.releases, ["m-etcd", "m-minio"]);
    assert_eq!(names(&ours.volumes), ["data-m-etcd-0", "m-data"]);
    assert_eq!(ours.unproven, ["volume n/m-minio: not known to be milvusctl's"]);
}

#[test]
fn lines_of_another_shape_are_skipped() {
    assert_eq!(ObjectRow::read("No resources found\n\nDeployment apps/v1 m\n", "n"), []);
}
