//! Pushes.

use super::*;

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
