//! `smoke` against servers that are absent, are not Milvus, refuse a login or lie: the failed step and the
//! exit code.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::fixture::{Fixture, Outcome};

#[expect(dead_code, reason = "the library's tests use what these do not")]
#[path = "../smoke/fake.rs"]
mod fake;

use fake::{Fake, Lie};

fn smoke(uri: &str, variables: &[(&str, &str)]) -> Outcome {
    let args = ["smoke", "--uri", uri, "--rows", "120", "--dim", "16", "--timeout", "20s", "-o", "json"];
    Fixture::with_tools(&[]).milvusctl_with(variables, &args)
}

/// The failed step; asserts that only the cleanup follows it.
#[track_caller]
fn failed_step(outcome: &Outcome) -> (String, String) {
    let report = outcome.json();
    assert_eq!(report["ok"], json!(false), "{report}");
    let steps = report["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["ok"] == json!(false)).unwrap();
    (step["name"].as_str().unwrap().to_owned(), step["error"].as_str().unwrap().to_owned())
}

/// A server that answers every request with a web page.
fn page_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            // Neither the request nor whether the client reads the answer matters.
            _ = client.read(&mut [0; 1024]);
            _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
        }
    });
    uri
}

#[test]
fn a_correct_milvus_passes_without_any_tool() {
    let fake = Fake::start(Lie::None);
    let report = smoke(&fake.uri, &[]).ends_with(0).json();
    assert_eq!((&report["ok"], &report["uri"]), (&json!(true), &json!(fake.uri)));
    assert_eq!(fake.collection(), None);
    let steps = report["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["seconds"].is_f64() && step["error"] == Value::Null), "{report}");
}

#[test]
fn the_address_may_name_a_database() {
    let fake = Fake::start(Lie::None);
    let report = smoke(&format!("{}/test", fake.uri), &[]).ends_with(0).json();
    assert_eq!((&report["ok"], &report["uri"]), (&json!(true), &json!(fake.uri)));
}

#[test]
fn conflicting_databases_in_address_and_option_are_refused() {
    let line = ["smoke", "--uri", "http://127.0.0.1:19530/test", "--database", "other", "--dry-run"];
    Fixture::with_tools(&[])
        .milvusctl(&line)
        .ends_with(2)
        .complains_of(&["`--uri` names the database `test`, and `--database` names `other`"]);
}

#[test]
fn a_stopped_server_fails_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let outcome = smoke(&uri, &[]).ends_with(1);
    let (step, error) = failed_step(&outcome);
    assert_eq!(step, "connect");
    assert!(error.contains("connection refused"), "{error}");
    outcome.complains_of(&[&format!("the smoke test of `{uri}` failed at `connect`")]);
}

#[test]
fn a_server_that_is_not_milvus_is_reported_as_such() {
    let outcome = smoke(&page_server(), &[]).ends_with(1);
    let (step, error) = failed_step(&outcome);
    assert_eq!(step, "connect");
    assert!(error.contains("is not a Milvus: an HTTP server answers"), "{error}");
}

#[test]
fn a_refused_login_is_reported_without_repeating_it() {
    let fake = Fake::start(Lie::RefusesLogin);
    let login = [("MILVUSCTL_USER", "root"), ("MILVUSCTL_PASSWORD", "hunter2hunter2")];
    let outcome = smoke(&fake.uri, &login).ends_with(1);
    let (step, error) = failed_step(&outcome);
    assert_eq!(step, "connect");
    assert!(error.contains("refused the login"), "{error}");
    assert!(!format!("{}{}", outcome.out, outcome.err).contains("hunter2"), "{}", outcome.err);
}

#[test]
fn a_wrong_answer_fails_its_step_and_the_collection_is_dropped() {
    for (lie, step) in [
        (Lie::InsertsFewer, "insert"),
        (Lie::MissesBest, "consistency"),
        (Lie::PoorRecall, "search"),
        (Lie::FiltersTooMuch, "filter"),
        (Lie::CountsOneMore, "count"),
    ] {
        let fake = Fake::start(lie);
        let outcome = smoke(&fake.uri, &[]).ends_with(1);
        assert_eq!(failed_step(&outcome).0, step, "{lie:?}: {}", outcome.out);
        assert_eq!(fake.collection(), None, "{lie:?}");
    }
}
