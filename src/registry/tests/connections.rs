//! One registry: connections that break, are slow or are refused.

use super::*;

#[test]
fn a_registry_that_cuts_every_connection_sends_each_byte_once() {
    let (_folder, store) = store();
    let fake = Fake::start();
    let pushed = fake.push("a", "1", &["amd64"], &[&layer(1, 24 * MIB)]);
    fake.behave(|behavior| behavior.cut_after = Some(5_000_000));
    let fetched = fetch_one(&client(&store, &[]), &format!("{}/a:1", fake.host)).unwrap();
    assert!(fake.sent() < pushed.bytes * 102 / 100, "{} of {}", fake.sent(), pushed.bytes);
    assert!(usize::try_from(fetched.received).unwrap() < pushed.bytes * 102 / 100);
}

#[test]
fn an_interrupted_fetch_resumes_in_the_next_run() {
    let (_folder, store) = store();
    let fake = Fake::start();
    let pushed = fake.push("a", "1", &["amd64"], &[&layer(1, 6 * MIB)]);
    fake.behave(|behavior| behavior.rate = Some(4 * MIB));
    let name = format!("{}/a:1", fake.host);
    let around = config(&[]);
    let interrupt = around.interrupt.clone();
    let interrupted = Mutex::new(None);
    let tell = |news: FetchEvent<'_>| {
        if let FetchEvent::Bytes { done, .. } = news
            && done > 2 * MIB as u64
        {
            interrupt.set();
            interrupted.lock().unwrap().get_or_insert_with(Instant::now);
        }
    };
    let outcome = Client::with(&store, around, quick()).fetch(&[wanted(&name)], &tell).pop().unwrap();
    let took = interrupted.lock().unwrap().unwrap().elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(outcome.unwrap_err().is_interrupt());
    fake.behave(|behavior| behavior.rate = None);
    fake.wait_until_idle();
    let before = fake.sent();
    fetch_one(&client(&store, &[]), &name).unwrap();
    assert!(before > MIB && fake.sent() - before < pushed.bytes - MIB, "{before} {}", fake.sent());
}

#[test]
fn a_download_resumes_even_without_support_for_ranges() {
    for answer in [200, 416] {
        let (_folder, store) = store();
        let fake = Fake::start();
        fake.push("a", "1", &["amd64"], &[&layer(1, 2 * MIB)]);
        fake.behave(|behavior| (behavior.cut_after, behavior.ranges) = (Some(MIB), Some(answer)));
        let name = format!("{}/a:1", fake.host);
        let cut = fetch_one(&client(&store, &[]), &name).unwrap_err();
        assert_eq!(cut.kind(), Trouble::Network, "{cut}");
        fake.behave(|behavior| behavior.cut_after = None);
        fetch_one(&client(&store, &[]), &name).unwrap();
    }
}

#[test]
fn a_refusal_is_obeyed_and_its_rate_remembered() {
    let (_folder, store) = store();
    let fake = Fake::start();
    let second = Duration::from_secs(1);
    fake.behave(|behavior| behavior.limit = Some((12, second)));
    let names: Vec<FetchRequest> = (0..6)
        .map(|at| {
            fake.push(&format!("a{at}"), "1", &["amd64"], &[&layer(at, 1000)]);
            wanted(&format!("{}/a{at}:1", fake.host))
        })
        .collect();
    let refusals = || fake.asked().iter().filter(|asked| asked.status == 429).count();
    let fetched = client(&store, &[]).fetch(&names[..4], &|_| ());
    assert!(fetched.iter().all(Result::is_ok), "{fetched:?}");
    assert!((1..=2).contains(&refusals()), "{}", refusals());
    assert!(fake.asked().len() <= 4 * 4 + 2, "{}", fake.asked().len());
    fake.forget();
    let fetched = client(&store, &[]).fetch(&names[4..], &|_| ());
    assert!(fetched.iter().all(Result::is_ok));
    assert_eq!((refusals(), fake.asked().len()), (0, 8));
}

#[test]
fn a_refusal_that_is_too_long_is_reported() {
    let (_folder, store) = store();
    let fake = Fake::start();
    fake.behave(|behavior| behavior.limit = Some((0, Duration::from_secs(3600))));
    let error = fetch_one(&client(&store, &[]), &format!("{}/a:1", fake.host)).unwrap_err();
    assert_eq!(error.kind(), Trouble::RateLimited);
    assert!(error.to_string().contains("it is rate limiting"), "{error}");
    assert_eq!(fake.asked().len(), 1);
}

#[test]
fn a_host_never_has_more_than_three_connections() {
    let (_folder, store) = store();
    let fake = Fake::start();
    fake.behave(|behavior| behavior.rate = Some(2 * MIB));
    let names: Vec<FetchRequest> = (0..6)
        .map(|at| {
            fake.push(&format!("a{at}"), "1", &["amd64"], &[&layer(at, MIB), &layer(at + 100, MIB / 2)]);
            wanted(&format!("{}/a{at}:1", fake.host))
        })
        .collect();
    let fetched = client(&store, &[]).fetch(&names, &|_| ());
    assert!(fetched.iter().all(Result::is_ok));
    assert_eq!(fake.most_open(), 3);
}

#[test]
fn a_large_blob_from_a_slow_host_takes_several_connections() {
    let (_folder, store) = store();
    let fake = Fake::start();
    let pushed = fake.push("a", "1", &["amd64"], &[&layer(1, 32 * MIB)]);
    fake.behave(|behavior| behavior.rate = Some(6 * MIB));
    fetch_one(&client(&store, &[]), &format!("{}/a:1", fake.host)).unwrap();
    // `tests/bench` measures the time saved; a busy machine is no place to.
    assert_eq!(fake.most_open(), 3);
    assert!(fake.sent() < pushed.bytes * 12 / 10, "{} of {}", fake.sent(), pushed.bytes);
}

#[test]
fn a_registry_on_this_machine_is_spoken_to_in_tls_if_it_speaks_it() {
    let fake = Fake::start();
    let pushed = fake.push("a/b", "1", &["amd64"], &[&layer(1, 100_000)]);
    let tls = fake.with_tls();
    for (host, name) in [(&tls, "c"), (&fake.host, "d")] {
        let (_folder, store) = store();
        let client = client(&store, &[]);
        let fetched = fetch_one(&client, &format!("{host}/a/b:1")).unwrap();
        assert_eq!(fetched.held.descriptor.digest, pushed.index);
        let to: ImageRef = format!("{host}/{name}:1").parse().unwrap();
        assert!(client.push(&fetched.held, &to, &|_| ()).unwrap() > 100_000, "{host}");
    }
    // A registry that is down is not taken for one without TLS.
    let (_folder, store) = store();
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = fetch_one(&client(&store, &[]), &format!("{down}/a/b:1")).unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
}
