//! Secrets reach the cluster through kubectl's standard input and appear nowhere else.

use crate::fixture::{Fixture, Outcome};

const ACCESS: &str = "AKIAhunter2access";
const SECRET: &str = "hunter2/very+secret";

const CONFIG: &str = "
cluster: {context: theirs}
operator: {version: 1.3.8}
milvus:
  storage: {endpoint: 's3.example.com:443', useSSL: true, bucket: b, rootPath: p, accessKeyEnv: S3_ACCESS, secretKeyEnv: S3_SECRET}
attu: {enabled: false}
";

/// A machine with an existing cluster without Milvus, which accepts everything it is given.
fn machine() -> Fixture {
    let machine = Fixture::new();
    machine.file("milvusctl.yaml", CONFIG);
    machine
        .on("docker version")
        .says(r#"{"Client":{"ApiVersion":"1.41"},"Server":{"ApiVersion":"1.41","Version":"20.10.24"}}"#);
    machine.on("docker info").says("{}");
    machine.on("kind version").says("kind v0.27.0 go1.24.4 linux/amd64\n");
    machine.on("helm version").says("v3.17.2+gcc0bbbd\n");
    machine.on("kubectl version").says(r#"{"clientVersion":{"gitVersion":"v1.32.3"}}"#);
    machine.on("kubectl config get-contexts").says("theirs\n");
    machine.on("kubectl --context theirs get --raw /readyz").says("ok");
    machine.on("kubectl --context theirs get --raw /version").says(r#"{"gitVersion":"v1.30.2"}"#);
    machine.on("helm list").says("[]");
    machine
        .on("kubectl --context theirs get milvuses.v1beta1.milvus.io")
        .fails(1, "Error from server (NotFound): not found\n");
    machine.on("kubectl --context theirs get deployments --all-namespaces").says("");
    machine.on("kubectl --context theirs get secrets").says("");
    machine
        .on("kubectl --context theirs get customresourcedefinitions")
        .fails(1, "Error from server (NotFound): not found\n");
    machine.on("helm upgrade").says("");
    machine
}

fn run(machine: &Fixture, args: &[&str]) -> Outcome {
    machine.milvusctl_with(&[("S3_ACCESS", ACCESS), ("S3_SECRET", SECRET)], args)
}

/// Asserts that nothing printed, called or left behind contains a secret, in plain text or in base64.
#[track_caller]
fn assert_hidden(machine: &Fixture, outcome: &Outcome) {
    let all = format!("{}\n{}\n{}", outcome.out, outcome.err, machine.calls().join("\n"));
    for secret in [ACCESS, SECRET, "QUtJQWh1bnRlcjJhY2Nlc3M", "aHVudGVyMi92ZXJ5K3NlY3JldA"] {
        assert!(!all.contains(secret), "`{secret}` is told in:\n{all}");
    }
}

#[test]
fn the_secret_only_goes_to_the_standard_input_of_kubectl() {
    let machine = machine();
    machine.on("kubectl --context theirs apply").fails(1, "error: the server is too busy\n");
    let outcome = run(&machine, &["up", "--verbose"]).ends_with(1);
    assert!(outcome.err.contains("could not create the storage's Secret"), "{}", outcome.err);
    let applied = machine.calls().into_iter().find(|call| call.starts_with("kubectl --context theirs apply"));
    assert!(applied.as_ref().is_some_and(|call| call.ends_with(" bytes")), "{applied:?}");
    assert_hidden(&machine, &outcome);
}

#[test]
fn a_secret_repeated_in_an_error_is_masked() {
    let machine = machine();
    let echo = format!("error: invalid Secret: data.accesskey: {ACCESS} secretkey: {SECRET}\n");
    machine.on("kubectl --context theirs apply").fails(1, &echo);
    let outcome = run(&machine, &["up", "--verbose"]).ends_with(1);
    assert!(outcome.err.contains("invalid Secret"), "{}", outcome.err);
    assert_hidden(&machine, &outcome);
}

#[test]
fn neither_a_dry_run_nor_render_shows_the_secret() {
    let machine = machine();
    for args in [
        &["up", "--dry-run", "--verbose"][..],
        &["render", "milvus"],
        &["render", "config"],
        &["render", "config", "-o", "json"],
        &["render", "milvus", "-o", "json"],
    ] {
        let outcome = run(&machine, args).ends_with(0);
        assert_hidden(&machine, &outcome);
    }
    let rendered = run(&machine, &["render", "milvus"]).out;
    assert!(rendered.contains("***"), "{rendered}");
}

#[test]
fn a_secret_instead_of_a_variable_name_is_refused_without_repeating_it() {
    let machine = Fixture::new();
    machine.file("milvusctl.yaml", &CONFIG.replace("S3_SECRET", &format!("'{SECRET}'")));
    let outcome = run(&machine, &["render", "milvus"]).ends_with(2);
    assert!(outcome.err.contains("the name of an environment variable"), "{}", outcome.err);
    assert_hidden(&machine, &outcome);
}

#[test]
fn a_missing_secret_is_reported_by_its_variable_up_front() {
    let machine = machine();
    let outcome = machine.milvusctl(&["up"]).ends_with(2);
    assert!(outcome.err.contains("S3_ACCESS"), "{}", outcome.err);
    assert!(!machine.calls().iter().any(|call| call.starts_with("helm upgrade")), "{:?}", machine.calls());
}

#[test]
fn a_login_in_the_chart_repository_is_refused_without_showing_it() {
    let machine = machine();
    for args in [&["up"][..], &["up", "--dry-run"], &["up", "--verbose"], &["render", "config"]] {
        let args = [args, &["--operator-repo", "https://me:hunter2@charts.example"]].concat();
        let outcome =
            machine.milvusctl(&args).ends_with(2).complains_of(&["helm repo add", "--password-stdin"]);
        assert!(
            !format!("{}{}", outcome.out, outcome.err).contains("hunter2"),
            "{}{}",
            outcome.out,
            outcome.err
        );
    }
    assert!(!machine.calls().join("\n").contains("hunter2"));
}
