//! A mirror and the registry behind it.

use super::*;

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
    // Longer than any test takes on a busy machine.
    mirror.behave(|behavior| behavior.hold_back = Duration::from_secs(300));
    let began = Instant::now();
    let rules = [format!("{}={}", origin.host, mirror.host)];
    let fetched = client(&store, &rules).fetch(&names, &|_| ());
    assert!(fetched.iter().all(Result::is_ok));
    assert!(began.elapsed() < Duration::from_secs(150), "{:?}", began.elapsed());
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
fn the_rest_comes_from_the_next_place_when_a_mirror_drips() {
    let (_folder, store) = store();
    let (mirror, origin, rules, name, pushed) = mirrored(&[&layer(1, 3 * MIB)]);
    mirror.behave(|behavior| behavior.drip_after = Some(2 * MIB));
    fetch_one(&client(&store, &rules), &name).unwrap();
    assert!(origin.sent() < pushed.bytes - MIB, "{} of {}", origin.sent(), pushed.bytes);
}

#[test]
fn the_only_place_may_drip_for_a_while_but_not_for_ever() {
    let (_folder, store) = store();
    let fake = Fake::start();
    fake.push("a", "1", &["amd64"], &[&layer(1, MIB)]);
    fake.behave(|behavior| behavior.drip_after = Some(MIB / 2));
    let impatient = Patience { drip: Duration::from_millis(200), ..quick() };
    let name = format!("{}/a:1", fake.host);
    let began = Instant::now();
    let error = fetch_one(&Client::with(&store, config(&[]), impatient), &name).unwrap_err().to_string();
    assert!(error.contains("next to nothing"), "{error}");
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
    // What has arrived is kept.
    fake.behave(|behavior| behavior.drip_after = None);
    fake.wait_until_idle();
    fake.forget();
    fetch_one(&client(&store, &[]), &name).unwrap();
    assert!(fake.sent() < MIB, "{}", fake.sent());
}
