//! Which images and which of their parts are fetched, and with whose login.

use super::*;

#[test]
fn an_image_takes_two_requests_and_one_for_each_blob() {
    let (_folder, store) = store();
    let fake = Fake::start();
    let pushed = fake.push("a/b", "1", &["amd64", "arm64"], &[&layer(1, 100_000), &layer(2, 50_000)]);
    let name = format!("{}/a/b:1", fake.host);
    let last = Mutex::new((0, 0));
    let on_event = |news: FetchEvent<'_>| {
        if let FetchEvent::Bytes { done, total } = news {
            *last.lock().unwrap() = (done, total);
        }
    };
    let fetched = client(&store, &[]).fetch(&[wanted(&name)], &on_event).pop().unwrap().unwrap();
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
