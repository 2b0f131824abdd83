//! The whole smoke test against a server that behaves, one that lies, and none at all.

#[path = "../../tests/smoke/fake.rs"]
mod fake;

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::text::Secret;
use fake::{Fake, Lie};

/// Small and quick; seven seconds suffice unless something hangs.
fn options(uri: &str) -> Options {
    Options { rows: 120, dim: 16, timeout: Duration::from_secs(7), ..Options::new(uri) }
}

fn smoke(options: &Options) -> SmokeReport {
    run(options, &mut |_| {}, &AtomicBool::new(false)).unwrap()
}

fn names(report: &SmokeReport) -> Vec<&'static str> {
    report.steps.iter().map(|step| step.name.as_str()).collect()
}

/// The failed step and its error, from a report that must not be ok.
fn failure(report: &SmokeReport) -> (&'static str, &str) {
    assert!(!report.ok, "{report:?}");
    let step = report.failed_step().unwrap();
    (step.name.as_str(), step.error.as_deref().unwrap())
}

const ALL: [&str; 14] = [
    "connect",
    "create_collection",
    "insert",
    "create_index",
    "load",
    "consistency",
    "search",
    "get",
    "filter",
    "list",
    "describe",
    "delete",
    "count",
    "drop",
];

#[test]
fn an_honest_server_passes_every_step() {
    let fake = Fake::start(Lie::None);
    let report = smoke(&options(&fake.uri));
    assert!(report.ok, "{report:?}");
    assert_eq!(names(&report), ALL);
    assert_eq!((fake.collection(), fake.drops()), (None, 1));
}

#[test]
fn an_honest_server_passes_with_every_metric_index_and_level() {
    let fake = Fake::start(Lie::None);
    for metric in [Metric::Cosine, Metric::L2, Metric::Ip] {
        for index in [Index::AutoIndex, Index::Hnsw, Index::IvfFlat, Index::Flat] {
            let options = Options { index, metric, ..options(&fake.uri) };
            assert!(smoke(&options).ok, "{metric:?} {index:?}");
        }
    }
    for consistency in
        [Consistency::Strong, Consistency::Bounded, Consistency::Session, Consistency::Eventually]
    {
        assert!(smoke(&Options { consistency, ..options(&fake.uri) }).ok, "{consistency:?}");
    }
}

#[test]
fn each_lie_fails_its_step_and_the_collection_is_dropped() {
    let table = [
        (Lie::InsertsFewer, "insert", "119 rows were sent to be inserted, the server says it inserted 118"),
        (Lie::IndexFails, "create_index", "could not build the index"),
        (Lie::LoadFails, "load", "not enough memory"),
        (Lie::MissesBest, "consistency", "the nearest neighbour of row 119 is itself"),
        (Lie::MixesRanks, "consistency", "ranked row"),
        (Lie::InventsRows, "consistency", "row 1000000, which was never inserted"),
        (Lie::MixesScores, "consistency", "the score"),
        (Lie::PoorRecall, "search", "of the true nearest neighbours"),
        (Lie::PaintsRows, "consistency", "read with `mauve`"),
        (Lie::BendsVectors, "consistency", "another vector"),
        (Lie::FiltersTooMuch, "filter", "does not match"),
        (Lie::FiltersTooLittle, "filter", "1 that match are missing"),
        (Lie::ListsNothing, "list", "does not contain"),
        (
            Lie::DescribesOtherDim,
            "describe",
            "the field `vector` was created as FloatVector of 16 dimensions",
        ),
        (Lie::DescribesOtherMetric, "describe", "the metric Cosine"),
        (Lie::DeletesNothing, "delete", "was deleted and can still be read"),
        (Lie::CountsOneMore, "count", "120 rows were inserted and 12 deleted, but 109 are counted, not 108"),
        (Lie::IsLateAlways, "consistency", "119"),
    ];
    for (lie, step, words) in table {
        let fake = Fake::start(lie);
        let report = smoke(&Options { index: Index::Flat, ..options(&fake.uri) });
        let (failed, error) = failure(&report);
        assert_eq!(failed, step, "{lie:?}: {error}");
        assert!(error.contains(words), "{lie:?}: {error}");
        assert_eq!(names(&report).last(), Some(&"drop"), "{lie:?}");
        assert_eq!(fake.collection(), None, "{lie:?}");
    }
}

#[test]
fn a_collection_that_stays_after_the_drop_fails_the_test_and_is_named() {
    let fake = Fake::start(Lie::DropsNothing);
    let report = smoke(&options(&fake.uri));
    let (step, error) = failure(&report);
    assert_eq!(step, "drop");
    assert!(error.contains(&fake.collection().unwrap()), "{error}");
}

#[test]
fn late_answers_are_awaited_if_the_level_allows_them() {
    for consistency in [Consistency::Bounded, Consistency::Eventually] {
        let fake = Fake::start(Lie::IsLate);
        let report = smoke(&Options { consistency, ..options(&fake.uri) });
        assert!(report.ok, "{report:?}");
    }
}

#[test]
fn late_answers_fail_if_the_level_forbids_them() {
    for consistency in [Consistency::Strong, Consistency::Session] {
        let fake = Fake::start(Lie::IsLateAlways);
        let begun = Instant::now();
        let report = smoke(&Options { consistency, ..options(&fake.uri) });
        assert_eq!(failure(&report).0, "consistency", "{consistency:?}");
        assert!(begun.elapsed() < Duration::from_secs(4), "it was not polled");
    }
}

#[test]
fn wrong_answers_are_not_awaited() {
    let fake = Fake::start(Lie::PaintsRows);
    let begun = Instant::now();
    let report = smoke(&Options { consistency: Consistency::Eventually, ..options(&fake.uri) });
    assert_eq!(failure(&report).0, "consistency");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn lasting_stale_answers_are_reported_instead_of_a_timeout() {
    let fake = Fake::start(Lie::DeletesNothing);
    let options = Options {
        consistency: Consistency::Eventually,
        timeout: Duration::from_secs(4),
        ..options(&fake.uri)
    };
    let report = smoke(&options);
    let (step, error) = failure(&report);
    assert_eq!(step, "delete");
    assert!(error.contains("can still be read, also after waiting"), "{error}");
}

#[test]
fn a_refused_login_fails_the_connection() {
    for lie in [Lie::RefusesLogin, Lie::RefusesRequests] {
        let fake = Fake::start(lie);
        let report = smoke(&options(&fake.uri));
        let (step, error) = failure(&report);
        assert_eq!(step, "connect");
        assert!(error.contains("refused the login: auth check failure"), "{lie:?}: {error}");
        assert_eq!(names(&report), ["connect"], "there is nothing to drop");
    }
}

#[test]
fn a_login_that_the_server_repeats_is_hidden() {
    let fake = Fake::start(Lie::EchoesLogin);
    for login in [
        Login::Password { user: "root".into(), password: Secret::new("s3cret") },
        Login::Token(Secret::new("root:s3cret")),
    ] {
        let report = smoke(&Options { login: Some(login), ..options(&fake.uri) });
        let (_, error) = failure(&report);
        assert!(error.contains("***"), "{error}");
        assert!(!serde_json::to_string(&report).unwrap().contains("s3cret"));
    }
}

#[test]
fn a_stop_abandons_the_step_and_drops_the_collection() {
    let fake = Fake::start(Lie::LoadHangs);
    let stop = AtomicBool::new(false);
    let options = Options { timeout: Duration::from_secs(60), ..options(&fake.uri) };
    let begun = Instant::now();
    let mut stop_in_load = |event: StepEvent<'_>| {
        if event == StepEvent::Started(SmokeStepName::Load) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let report = run(&options, &mut stop_in_load, &stop).unwrap();
    assert!(report.interrupted && !report.ok);
    assert_eq!(failure(&report), ("load", "interrupted"));
    assert_eq!(names(&report).last(), Some(&"drop"));
    assert_eq!(fake.collection(), None);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_collection_is_dropped_even_if_its_creation_was_stopped() {
    let fake = Fake::start(Lie::CreateHangs);
    let stop = AtomicBool::new(false);
    let options = Options { timeout: Duration::from_secs(60), ..options(&fake.uri) };
    let mut stop_in_create = |event: StepEvent<'_>| {
        if event == StepEvent::Started(SmokeStepName::CreateCollection) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let report = run(&options, &mut stop_in_create, &stop).unwrap();
    assert_eq!(failure(&report), ("create_collection", "interrupted"));
    assert_eq!((fake.collection(), fake.drops()), (None, 1));
}

#[test]
fn a_hanging_server_times_out_and_is_cleaned_up() {
    let fake = Fake::start(Lie::LoadHangs);
    let begun = Instant::now();
    let report = smoke(&Options { timeout: Duration::from_secs(1), ..options(&fake.uri) });
    let (step, error) = failure(&report);
    assert_eq!(step, "load");
    assert!(error.starts_with("timed out"), "{error}");
    assert_eq!(fake.collection(), None);
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[test]
fn no_server_fails_the_connection_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let report = smoke(&options(&uri));
    let (step, error) = failure(&report);
    assert_eq!(step, "connect");
    assert!(error.contains("connection refused; nothing listens there"), "{error}");
    assert_eq!((names(&report), report.interrupted), (vec!["connect"], false));
}

#[test]
fn steps_are_reported_as_they_begin_and_end() {
    let fake = Fake::start(Lie::None);
    let mut told = Vec::new();
    let mut listen = |event: StepEvent<'_>| {
        told.push(match event {
            StepEvent::Started(name) => format!("{} begins", name.as_str()),
            StepEvent::Finished(step) => format!("{} ends", step.name.as_str()),
        });
    };
    run(&options(&fake.uri), &mut listen, &AtomicBool::new(false)).unwrap();
    let expected: Vec<String> =
        ALL.iter().flat_map(|name| [format!("{name} begins"), format!("{name} ends")]).collect();
    assert_eq!(told, expected);
}

#[test]
fn options_out_of_bounds_are_refused_before_connecting() {
    let error =
        run(&Options { rows: 1, ..options("http://127.0.0.1:1") }, &mut |_| {}, &AtomicBool::new(false));
    assert!(matches!(error, Err(SmokeError::Options(OptionsError::Bounds { name: "rows", .. }))));
}

#[test]
fn a_reachable_server_reports_its_version() {
    let fake = Fake::start(Lie::None);
    let version = reachable(&fake.uri, Duration::from_secs(5));
    assert_eq!(version, Ok(super::why::ServerVersion { version: Some("9.9.9-fake".into()) }));
}

#[test]
fn a_server_that_requires_a_login_is_reachable() {
    let fake = Fake::start(Lie::RefusesLogin);
    let why = reachable(&fake.uri, Duration::from_secs(5)).unwrap_err();
    assert!(matches!(why, NotReached::LoginRefused { .. }) && why.is_from_milvus(), "{why:?}");
}

/// Needs a real server: `MILVUSCTL_TEST_MILVUS_URI=http://127.0.0.1:19530 cargo test -- --ignored`.
#[test]
#[ignore = "needs a Milvus at MILVUSCTL_TEST_MILVUS_URI"]
fn a_real_server_passes_with_every_metric_index_and_level() {
    let Ok(uri) = std::env::var("MILVUSCTL_TEST_MILVUS_URI") else {
        panic!("set MILVUSCTL_TEST_MILVUS_URI to the address of a Milvus")
    };
    let mut failures = Vec::new();
    for metric in [Metric::Cosine, Metric::L2, Metric::Ip] {
        for index in [Index::AutoIndex, Index::Hnsw, Index::IvfFlat, Index::Flat] {
            for consistency in
                [Consistency::Strong, Consistency::Bounded, Consistency::Session, Consistency::Eventually]
            {
                let options = Options { rows: 2000, metric, index, consistency, ..Options::new(&uri) };
                let report = smoke(&options);
                if !report.ok {
                    failures
                        .push(format!("{metric:?} {index:?} {consistency:?}: {:?}", report.failed_step()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
