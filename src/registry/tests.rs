use std::time::{Duration, Instant};

use docker_credential::DockerCredential;

use super::fake::{Fake, Pushed};
use super::*;
use crate::archive::{Digest, Platform};
use crate::images::ImageRef;
use crate::images::mirror::Preset;
use crate::images::outcome::OriginAnswer;
use crate::images::trouble::Trouble;

const MIB: usize = 1024 * 1024;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("images"), &Interrupt::default()).unwrap();
    (folder, store)
}

/// Bytes without repetition within any piece.
fn layer(seed: u8, length: usize) -> Vec<u8> {
    let mut at = u64::from(seed) + 1;
    let mut next = || {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        at.to_be_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

fn platform(architecture: &str) -> Platform {
    Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
}

fn wanted(image: &str) -> FetchRequest {
    FetchRequest { image: image.parse().unwrap(), platforms: vec![platform("amd64")] }
}

fn quick() -> Patience {
    Patience {
        late: Duration::from_millis(300),
        stall: Duration::from_millis(600),
        minute: Duration::from_millis(1500),
        refusal: Duration::from_secs(5),
        compare: Duration::from_secs(2),
        remembers_loopback: true,
    }
}

fn config(rules: &[String]) -> ClientConfig {
    ClientConfig {
        rules: Rules::new(rules.iter().map(|rule| rule.parse().unwrap()).collect(), Preset::None),
        engine: EngineRegistries::default(),
        network: Network::default(),
        logins: Arc::new(|_| None),
        interrupt: Interrupt::default(),
    }
}

fn client<'a>(store: &'a Store, rules: &[String]) -> Client<'a> {
    Client::with(store, config(rules), quick())
}

fn fetch_one(client: &Client<'_>, image: &str) -> Result<Fetched, RegistryError> {
    client.fetch(&[wanted(image)], &|_| ()).pop().unwrap()
}

/// A mirror and its origin registry, both with the same image; the mirror rule, and the image's name.
fn mirrored(layers: &[&[u8]]) -> (Fake, Fake, [String; 1], String, Pushed) {
    let (mirror, origin) = (Fake::start(), Fake::start());
    mirror.push("app", "1", &["amd64"], layers);
    let pushed = origin.push("app", "1", &["amd64"], layers);
    let rule = format!("{}={}", origin.host, mirror.host);
    let name = format!("{}/app:1", origin.host);
    (mirror, origin, [rule], name, pushed)
}

#[test]
fn an_image_takes_two_requests_and_one_for_each_blob() {
    let (_folder, store) = store();
    let fake = Fake::start();
    let pushed = fake.push("a/b", "1", &["amd64", "arm64"], &[&layer(1, 100_000), &layer(2, 50_000)]);
    let name = format!("{}/a/b:1", fake.host);
    let last = Mutex::new((0, 0));
    let tell = |news: FetchEvent<'_>| {
        if let FetchEvent::Bytes { done, total } = news {
            *last.lock().unwrap() = (done, total);
        }
    };
    let fetched = client(&store, &[]).fetch(&[wanted(&name)], &tell).pop().unwrap().unwrap();
    let asked: Vec<String> =
        fake.asked().iter().map(|asked| format!("{} {}", asked.method, asked.status)).collect();
    assert_eq!(asked, ["GET 200"; 5]);
    assert_eq!(fetched.held.descriptor.digest, pushed.index);
    assert_eq!((fetched.from, fetched.origin), (Some(fake.host.clone()), None));
    assert_eq!(fetched.held.platforms[0].layers.len(), 2);
    let (done, total) = *last.lock().unwrap();
    assert!(done == total && total > 150_000, "{done} {total}");
    let found = store.find(&name.parse().unwrap(), &[platform("amd64")]).unwrap();
    assert_eq!(found.as_ref(), Some(&fetched.held));
}

#[test]
fn blobs_in_the_store_are_not_requested() {
    let (_folder, store) = store();
    let fake = Fake::start();
    let shared = layer(1, 1000);
    fake.push("a", "1", &["amd64"], &[&shared]);
    fake.push("b", "1", &["amd64"], &[&shared]);
    let names = ["a", "b"].map(|name| wanted(&format!("{}/{name}:1", fake.host)));
    let fetched = client(&store, &[]).fetch(&names, &|_| ());
    assert!(fetched.iter().all(Result::is_ok));
    assert_eq!(fake.asked().len(), 2 * 3 + 1);
    fake.forget();
    let again = client(&store, &[]).fetch(&names, &|_| ());
    assert!(again.iter().all(|again| again.as_ref().unwrap().received == 0));
    assert_eq!(fake.asked().len(), 0);
}

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
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        interrupt.set();
        Instant::now()
    });
    let outcome = fetch_one(&Client::with(&store, around, quick()), &name);
    assert!(stopper.join().unwrap().elapsed() < Duration::from_secs(1));
    assert!(outcome.unwrap_err().is_interrupt());
    fake.behave(|behavior| behavior.rate = None);
    std::thread::sleep(Duration::from_millis(200));
    let before = fake.sent();
    fetch_one(&client(&store, &[]), &name).unwrap();
    assert!(before > MIB && fake.sent() - before < pushed.bytes - MIB, "{before} {}", fake.sent());
}

#[test]
fn the_rest_comes_from_the_next_place_when_a_mirror_stalls() {
    let (_folder, store) = store();
    let (mirror, origin, rules, name, pushed) = mirrored(&[&layer(1, 8 * MIB)]);
    mirror.behave(|behavior| behavior.stall_after = Some(3 * MIB));
    let began = Instant::now();
    fetch_one(&client(&store, &rules), &name).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(origin.sent() < pushed.bytes - 2 * MIB, "{} of {}", origin.sent(), pushed.bytes);
}

#[test]
fn a_late_first_byte_lets_the_next_place_win() {
    let (_folder, store) = store();
    let (mirror, origin, rules, name, _) = mirrored(&[&layer(1, MIB)]);
    mirror.behave(|behavior| behavior.hold_back = Duration::from_secs(6));
    let began = Instant::now();
    let fetched = fetch_one(&client(&store, &rules), &name).unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(origin.sent() > MIB && fetched.from == Some(mirror.host));
}

#[test]
fn a_mirror_that_delays_every_response_blocks_nobody() {
    let (_folder, store) = store();
    let (mirror, origin) = (Fake::start(), Fake::start());
    let names: Vec<FetchRequest> = (0..6)
        .map(|at| {
            for fake in [&mirror, &origin] {
                fake.push(&format!("a{at}"), "1", &["amd64"], &[&layer(at, 1000)]);
            }
            wanted(&format!("{}/a{at}:1", origin.host))
        })
        .collect();
    mirror.behave(|behavior| behavior.hold_back = Duration::from_secs(20));
    let began = Instant::now();
    let rules = [format!("{}={}", origin.host, mirror.host)];
    let fetched = client(&store, &rules).fetch(&names, &|_| ());
    assert!(fetched.iter().all(Result::is_ok));
    assert!(began.elapsed() < Duration::from_secs(18), "{:?}", began.elapsed());
}

#[test]
fn a_late_first_byte_is_awaited_if_there_is_no_other_place() {
    let (_folder, store) = store();
    let fake = Fake::start();
    fake.push("a", "1", &["amd64"], &[&layer(1, 1000)]);
    fake.behave(|behavior| behavior.hold_back = Duration::from_millis(1500));
    fetch_one(&client(&store, &[]), &format!("{}/a:1", fake.host)).unwrap();
    assert_eq!(fake.asked().len(), 4);
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
fn other_places_serve_while_a_mirror_refuses() {
    let (_folder, store) = store();
    let (mirror, origin, rules, name, _) = mirrored(&[&layer(1, 1000)]);
    mirror.behave(|behavior| behavior.limit = Some((2, Duration::from_secs(60))));
    let began = Instant::now();
    fetch_one(&client(&store, &rules), &name).unwrap();
    assert!(began.elapsed() < Duration::from_secs(3));
    let refused = mirror.asked().iter().filter(|asked| asked.status == 429).count();
    assert!(refused <= 2 && origin.sent() > 1000, "{refused}");
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
fn a_missing_image_is_not_requested_again_within_the_hour() {
    let (_folder, store) = store();
    let fake = Fake::start();
    let name = format!("{}/a:1", fake.host);
    let error = fetch_one(&client(&store, &[]), &name).unwrap_err();
    assert_eq!((error.kind(), fake.asked().len()), (Trouble::NotFound, 1));
    let again = fetch_one(&client(&store, &[]), &name).unwrap_err();
    assert_eq!((again.kind(), fake.asked().len()), (Trouble::NotFound, 1));
    assert!(again.to_string().contains("0 minutes ago"), "{again}");
    let trusting = Patience { remembers_loopback: false, ..quick() };
    fake.push("b", "1", &["amd64"], &[]);
    let name = format!("{}/b:2", fake.host);
    for asked in 2..4 {
        let _ = fetch_one(&Client::with(&store, config(&[]), trusting), &name);
        assert_eq!(fake.asked().len(), asked);
    }
}

#[test]
fn a_mirror_that_lies_is_named_and_its_bytes_are_discarded() {
    let (_folder, store) = store();
    let bytes = layer(1, 100_000);
    let (mirror, origin, rules, name, _) = mirrored(&[&bytes]);
    mirror.behave(|behavior| behavior.lies = true);
    fetch_one(&client(&store, &rules), &name).unwrap();
    assert!(origin.sent() > 100_000);
    assert_eq!(std::fs::read(store.blob_path(Digest::of(&bytes))).unwrap(), bytes);
    let alone = Fake::start();
    alone.push("b", "1", &["amd64"], &[&layer(2, 1000)]);
    alone.behave(|behavior| behavior.lies = true);
    let error = fetch_one(&client(&store, &[]), &format!("{}/b:1", alone.host)).unwrap_err();
    assert!(
        error.to_string().contains(&format!("`{}`: it sent data with the digest", alone.host)),
        "{error}"
    );
    assert_eq!(store.size_of(Digest::of(&layer(2, 1000))), None);
}

#[test]
fn mismatched_parts_are_fetched_again_from_one_place() {
    let (_folder, store) = store();
    let (mirror, origin, rules, name, pushed) = mirrored(&[&layer(1, 2 * MIB)]);
    mirror.behave(|behavior| (behavior.lies, behavior.stall_after) = (true, Some(MIB)));
    fetch_one(&client(&store, &rules), &name).unwrap();
    assert!(origin.sent() > pushed.bytes, "{} of {}", origin.sent(), pushed.bytes);
}

#[test]
fn a_token_is_requested_once_and_not_sent_to_redirects() {
    let (_folder, store) = store();
    let (registry, tokens, cdn) = (Fake::start(), Fake::start(), Fake::start());
    let layers: [&[u8]; 2] = [&layer(1, 3 * MIB), &layer(2, 1000)];
    registry.push("private/a", "1", &["amd64"], &layers);
    cdn.push("private/a", "1", &["amd64"], &layers);
    cdn.behave(|behavior| behavior.cut_after = Some(MIB));
    registry.behave(|behavior| {
        behavior.realm = Some(format!("http://{}/token", tokens.host));
        behavior.redirect = Some(format!("http://{}", cdn.host));
    });
    let mut around = config(&[]);
    let host = registry.host.clone();
    around.logins = Arc::new(move |server| {
        let login = || DockerCredential::UsernamePassword("me".to_owned(), "s3cret".to_owned());
        (server == host).then(login)
    });
    let client = Client::with(&store, around, quick());
    fetch_one(&client, &format!("{}/private/a:1", registry.host)).unwrap();
    let bought: Vec<_> =
        tokens.asked().iter().map(|asked| (asked.path.clone(), asked.authorization.clone())).collect();
    let login = Some("Basic bWU6czNjcmV0".to_owned());
    assert_eq!(bought, [("/token?scope=repository%3Aprivate%2Fa%3Apull&service=test".to_owned(), login)]);
    let logins: Vec<_> = registry.asked().iter().map(|asked| asked.authorization.clone()).collect();
    assert_eq!(logins.iter().filter(|login| login.is_none()).count(), 1);
    assert!(logins.iter().flatten().all(|login| login == "Bearer t0ken"), "{logins:?}");
    assert!(cdn.asked().iter().all(|asked| asked.authorization.is_none()));
    // Each resumed request asks the registry for a new link.
    let redirects = registry.asked().iter().filter(|asked| asked.status == 307).count();
    assert_eq!((redirects, cdn.asked().len()), (5, 5));
}

#[test]
fn messages_do_not_contain_logins() {
    let (_folder, store) = store();
    let registry = Fake::start();
    registry.behave(|behavior| behavior.realm = Some("http://me:s3cret@127.0.0.1:1/token".to_owned()));
    let mut around = config(&[]);
    let login = || Some(DockerCredential::UsernamePassword("me".to_owned(), "s3cret".to_owned()));
    around.logins = Arc::new(move |_| login());
    let client = Client::with(&store, around, quick());
    let error = fetch_one(&client, &format!("{}/a:1", registry.host)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
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
fn a_pinned_image_keeps_its_digest() {
    let (_folder, store) = store();
    let fake = Fake::start();
    let pushed = fake.push("a", "1", &["amd64"], &[&layer(1, 1000)]);
    for (name, digest) in [
        (format!("{}/a@{}", fake.host, pushed.index), pushed.index),
        (format!("{}/a:1@{}", fake.host, pushed.manifest), pushed.manifest),
    ] {
        let fetched = fetch_one(&client(&store, &[]), &name).unwrap();
        let image: ImageRef = name.parse().unwrap();
        assert_eq!((fetched.held.image, fetched.held.descriptor.digest), (image.clone(), digest));
        assert!(store.names().unwrap().iter().any(|stored| stored.image == image));
    }
    let other = format!("{}/a@{}", fake.host, Digest::of(b"other"));
    let error = fetch_one(&client(&store, &[]), &other).unwrap_err();
    assert_eq!(error.kind(), Trouble::NotFound);
}

#[test]
fn only_the_platforms_of_the_nodes_are_fetched() {
    let (_folder, store) = store();
    let fake = Fake::start();
    fake.push("a", "1", &["amd64", "arm64", "s390x"], &[&layer(1, 1000)]);
    let image = format!("{}/a:1", fake.host);
    let both = FetchRequest { platforms: vec![platform("arm64"), platform("amd64")], ..wanted(&image) };
    let fetched = client(&store, &[]).fetch(&[both], &|_| ()).pop().unwrap().unwrap();
    let found: Vec<_> =
        fetched.held.platforms.iter().map(|found| found.platform.architecture.clone()).collect();
    assert_eq!((found, fake.asked().len()), (vec!["arm64".to_owned(), "amd64".to_owned()], 6));
    let absent = FetchRequest { platforms: vec![platform("riscv64")], ..wanted(&image) };
    let error = client(&store, &[]).fetch(&[absent], &|_| ()).pop().unwrap().unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("it has the image for linux/amd64, linux/arm64, linux/s390x, not for linux/riscv64"),
        "{error}"
    );
}

#[test]
fn a_manifest_without_an_index_gets_its_platform_from_its_configuration() {
    let (_folder, store) = store();
    let fake = Fake::start();
    let pushed = fake.push("a", "1", &["arm64"], &[&layer(1, 1000)]);
    let error = fetch_one(&client(&store, &[]), &format!("{}/a@{}", fake.host, pushed.manifest)).unwrap_err();
    assert!(error.to_string().ends_with("it has the image for linux/arm64, not for linux/amd64"), "{error}");
    assert_eq!(store.names().unwrap(), []);
}

#[test]
fn a_full_disk_is_reported_with_the_space_needed() {
    let (_folder, mut store) = store();
    let fake = Fake::start();
    fake.push("a", "1", &["amd64"], &[&layer(1, MIB)]);
    store.room = Some(10_000);
    let error = fetch_one(&client(&store, &[]), &format!("{}/a:1", fake.host)).unwrap_err();
    let RegistryError::Store { source, .. } = error else { panic!("{error}") };
    assert!(source.is_full() && source.to_string().contains("1.00 MiB needed"), "{source}");
    assert!(fake.sent() < 10_000);
}

#[test]
fn concurrent_runs_share_their_downloads() {
    let (_folder, store) = store();
    let fake = Fake::start();
    let pushed = fake.push("a", "1", &["amd64"], &[&layer(1, 2 * MIB)]);
    fake.behave(|behavior| behavior.rate = Some(2 * MIB));
    let name = format!("{}/a:1", fake.host);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let other = Store::open(store.root(), &Interrupt::default()).unwrap();
                fetch_one(&client(&other, &[]), &name).unwrap();
            });
        }
    });
    assert!(fake.sent() < pushed.bytes + 10_000, "{}", fake.sent());
}

#[test]
fn a_mirror_with_a_different_image_under_a_tag_is_detected() {
    let (_folder, store) = store();
    let (mirror, origin, rules, name, _) = mirrored(&[&layer(1, 1000)]);
    let same = fetch_one(&client(&store, &rules), &name).unwrap();
    assert_eq!(same.origin, Some(OriginAnswer::Same));
    let head: Vec<_> = origin.asked().iter().map(|asked| asked.method.clone()).collect();
    assert_eq!(head, ["HEAD"]);
    mirror.push("app", "2", &["amd64"], &[&layer(9, 1000)]);
    let moved = origin.push("app", "2", &["amd64"], &[&layer(8, 1000)]);
    let other = fetch_one(&client(&store, &rules), &format!("{}/app:2", origin.host)).unwrap();
    assert_eq!(other.origin, Some(OriginAnswer::Differs { digest: moved.index }));
}

#[test]
fn a_silent_origin_does_not_delay_the_fetch() {
    let (_folder, store) = store();
    let mirror = Fake::start();
    mirror.push("app", "1", &["amd64"], &[&layer(1, 1000)]);
    let rules = [format!("127.0.0.1:1={}", mirror.host)];
    let fetched = fetch_one(&client(&store, &rules), "127.0.0.1:1/app:1").unwrap();
    assert!(matches!(fetched.origin, Some(OriginAnswer::Unknown { .. })), "{:?}", fetched.origin);
}

#[test]
fn a_damaged_blob_is_fetched_again() {
    let (_folder, store) = store();
    let fake = Fake::start();
    let bytes = layer(1, 1000);
    fake.push("a", "1", &["amd64"], &[&bytes]);
    let name = format!("{}/a:1", fake.host);
    fetch_one(&client(&store, &[]), &name).unwrap();
    std::fs::write(store.blob_path(Digest::of(&bytes)), layer(2, 1000)).unwrap();
    let mut reader = store.reader(Digest::of(&bytes)).unwrap().unwrap();
    assert!(std::io::copy(&mut reader, &mut std::io::sink()).is_err());
    fetch_one(&client(&store, &[]), &name).unwrap();
    assert_eq!(std::fs::read(store.blob_path(Digest::of(&bytes))).unwrap(), bytes);
}

#[test]
fn an_image_is_pushed_with_what_the_registry_lacks() {
    let (_folder, store) = store();
    let (from, to, tokens) = (Fake::start(), Fake::start(), Fake::start());
    let (first, second) = (layer(1, MIB), layer(2, 1000));
    let pushed = from.push("a", "1", &["amd64", "arm64"], &[&first, &second]);
    to.serves(&format!("mine/a/blobs/{}", Digest::of(&second)), "", &second);
    to.behave(|behavior| behavior.realm = Some(format!("http://{}/token", tokens.host)));
    let image = FetchRequest {
        image: format!("{}/a:1", from.host).parse().unwrap(),
        platforms: vec![platform("amd64"), platform("arm64")],
    };
    let client = client(&store, &[]);
    let held = client.fetch(&[image], &|_| ()).pop().unwrap().unwrap().held;
    let target: ImageRef = format!("{}/mine/a:2", to.host).parse().unwrap();
    let sent = client.push(&held, &target, &|_| ()).unwrap();
    assert_eq!(to.holds(&format!("mine/a/blobs/{}", Digest::of(&first))), Some(first.clone()));
    assert!(sent >= MIB as u64 && sent < MIB as u64 + 1000, "{sent}");
    let scopes: Vec<_> = tokens.asked().iter().map(|asked| asked.path.clone()).collect();
    assert_eq!(scopes, ["/token?scope=repository%3Amine%2Fa%3Apull%2Cpush&service=test"]);
    to.behave(|behavior| behavior.realm = None);
    let (_folder, other) = self::store();
    let again = fetch_one(&self::client(&other, &[]), &target.to_string()).unwrap();
    assert_eq!(again.held.platforms[0].layers[0].digest, Digest::of(&first));
    assert!(to.holds(&format!("mine/a/manifests/{}", pushed.manifest)).is_some());
    assert_eq!(client.push(&held, &target, &|_| ()).unwrap(), 0);
}

#[test]
fn a_push_of_one_platform_keeps_its_manifest() {
    let (_folder, store) = store();
    let (from, to) = (Fake::start(), Fake::start());
    let pushed = from.push("a", "1", &["amd64"], &[&layer(1, 1000)]);
    let client = client(&store, &[]);
    let held = fetch_one(&client, &format!("{}/a:1", from.host)).unwrap().held;
    let target: ImageRef = format!("{}/a:2", to.host).parse().unwrap();
    client.push(&held, &target, &|_| ()).unwrap();
    let manifest = to.holds("a/manifests/2").unwrap();
    assert_eq!(Digest::of(&manifest), pushed.manifest);
}

#[test]
fn a_registry_that_denies_pushes_is_named() {
    let (_folder, store) = store();
    let (from, to) = (Fake::start(), Fake::start());
    from.push("a", "1", &["amd64"], &[&layer(1, 1000)]);
    to.behave(|behavior| behavior.realm = Some("http://127.0.0.1:1/token".to_owned()));
    let client = client(&store, &[]);
    let held = fetch_one(&client, &format!("{}/a:1", from.host)).unwrap().held;
    let target: ImageRef = format!("{}/a:2", to.host).parse().unwrap();
    let error = client.push(&held, &target, &|_| ()).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("could not push `{target}` to `{}`: its token service", to.host)),
        "{error}"
    );
}
