//! Docker's own test cases, and those that milvusctl adds.

use super::*;

const SHA256: &str = "sha256:86e0e091d0da6bde2456dbb48306f3956bbeb2eae1b5b9a43045843f69fe4aaa";
const HEX: &str = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a";

fn image(text: &str) -> ImageRef {
    text.parse().unwrap()
}

fn reason(text: &str) -> InvalidReason {
    text.parse::<ImageRef>().unwrap_err().reason
}

#[test]
fn names_are_completed_as_docker_does() {
    let rows = [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest"),
        ("library/busybox", "docker.io/library/busybox:latest"),
        ("milvusdb/milvus:v2.4.17", "docker.io/milvusdb/milvus:v2.4.17"),
        ("docker.io/library/foo/bar", "docker.io/library/foo/bar:latest"),
        ("store/foo/bar", "docker.io/store/foo/bar:latest"),
        ("test_com/foo", "docker.io/test_com/foo:latest"),
        ("test.com/foo", "test.com/foo:latest"),
        ("test.com:8080/foo", "test.com:8080/foo:latest"),
        ("test-com:8080/foo", "test-com:8080/foo:latest"),
        ("test:5000/repo:tag", "test:5000/repo:tag"),
        ("localhost/foo", "localhost/foo:latest"),
        ("localhost:5000/foo", "localhost:5000/foo:latest"),
        ("local/foo", "docker.io/local/foo:latest"),
        ("xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com/myimage:xn--n3h.com"),
        (
            "b.gcr.io/test.example.com/my-app:test.example.com",
            "b.gcr.io/test.example.com/my-app:test.example.com",
        ),
        ("lowercase:Uppercase", "docker.io/library/lowercase:Uppercase"),
        ("test.com:5000", "docker.io/library/test.com:5000"),
        ("192.168.0.1", "docker.io/library/192.168.0.1:latest"),
        ("192.168.0.1:80", "docker.io/library/192.168.0.1:80"),
        ("192.168.0.1:8/debian", "192.168.0.1:8/debian:latest"),
        ("127.0.0.1:5000/docker/docker", "127.0.0.1:5000/docker/docker:latest"),
        ("[fc00::1]:5000/docker/docker", "[fc00::1]:5000/docker/docker:latest"),
        ("[2001:db8::1]/repo", "[2001:db8::1]/repo:latest"),
        ("Docker/docker", "Docker/docker:latest"),
        ("FOO/bar", "FOO/bar:latest"),
        ("docker-rules/docker", "docker.io/docker-rules/docker:latest"),
        ("docker---rules/docker", "docker.io/docker---rules/docker:latest"),
        ("dock__er/docker", "docker.io/dock__er/docker:latest"),
        ("d/docker", "docker.io/d/docker:latest"),
        ("foo_bar.com:8080", "docker.io/library/foo_bar.com:8080"),
        ("foo/foo_bar.com:8080", "docker.io/foo/foo_bar.com:8080"),
        (
            "thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev",
            "docker.io/library/thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev:latest",
        ),
    ];
    for (given, canonical) in rows {
        assert_eq!(
            given.parse::<ImageRef>().map(|image| image.to_string()),
            Ok(canonical.to_owned()),
            "{given}"
        );
    }
}

#[test]
fn a_digest_alone_gets_no_latest() {
    let pinned = image(&format!("busybox@{SHA256}"));
    assert_eq!(pinned.to_string(), format!("docker.io/library/busybox@{SHA256}"));
    assert_eq!((pinned.tag(), pinned.digest()), (None, Some(SHA256)));
}

#[test]
fn a_tag_beside_a_digest_is_kept() {
    let both = image(&format!("busybox:latest@{SHA256}"));
    assert_eq!(both.to_string(), format!("docker.io/library/busybox:latest@{SHA256}"));
    assert_eq!(both.familiar(), format!("busybox:latest@{SHA256}"));
}

#[test]
fn longer_digests_are_accepted() {
    for (algorithm, length) in [("sha384", 96), ("sha512", 128)] {
        let digest = format!("{algorithm}:{}", "f".repeat(length));
        assert_eq!(image(&format!("test:5000/repo:tag@{digest}")).digest(), Some(digest.as_str()));
    }
}

#[test]
fn a_hexadecimal_name_is_allowed_after_a_registry() {
    assert_eq!(image(&format!("docker.io/{HEX}")).to_string(), format!("docker.io/library/{HEX}:latest"));
    assert_eq!(image(&HEX[1..]).repository(), format!("library/{}", &HEX[1..]));
}

#[test]
fn errors_name_the_reason() {
    let uppercase = |text: &str| InvalidReason::Uppercase(text.to_owned());
    let registry = |text: &str| InvalidReason::Registry(text.to_owned());
    let component = |text: &str| InvalidReason::PathComponent(text.to_owned());
    let tag = |text: &str| InvalidReason::Tag(text.to_owned());
    let rows = [
        ("", InvalidReason::Empty),
        (HEX, InvalidReason::ImageId),
        ("Uppercase:tag", uppercase("Uppercase")),
        ("docker/Docker", uppercase("docker/Docker")),
        ("docker.io/docker/Docker", uppercase("docker/Docker")),
        ("test:5000/Uppercase/lowercase:tag", uppercase("Uppercase/lowercase")),
        ("https://github.com/docker/docker", registry("https:")),
        ("-docker.io/docker/docker", registry("-docker.io")),
        ("foo_bar.com:8080/x", registry("foo_bar.com:8080")),
        ("[fe80::1%eth0]:5000/debian", registry("[fe80::1%eth0]:5000")),
        ("[2001:db8:3:4::192.0.2.33]:5000/debian", registry("[2001:db8:3:4::192.0.2.33]:5000")),
        ("fc00::1:5000/debian", registry("fc00::1:5000")),
        ("127.0.0.1:/x", registry("127.0.0.1:")),
        ("[:5000/x", registry("[:5000")),
        ("-docker", component("-docker")),
        ("-docker/docker", component("-docker")),
        ("docker-/docker", component("docker-")),
        ("____/____", component("____")),
        ("_docker/_docker", component("_docker")),
        ("dock..er/docker", registry("dock..er")),
        ("docker/dock..er", component("dock..er")),
        ("dock_.er/docker", registry("dock_.er")),
        ("docker/dock_.er", component("dock_.er")),
        ("dock-.er/docker", registry("dock-.er")),
        ("docker/dock-.er", component("dock-.er")),
        ("dock___er/docker", component("dock___er")),
        ("docker///docker", component("")),
        ("docker/", component("")),
        (":justtag", component("")),
        ("aa/asdf$$^/aa", component("asdf$$^")),
        ("bus ybox", component("bus ybox")),
        ("[fc00::1]", component("[fc00")),
        ("busybox:", tag("")),
        ("busybox:-foo", tag("-foo")),
        ("busybox:.foo", tag(".foo")),
        ("busybox:a:b", tag("a:b")),
        ("busybox:ta/g", registry("busybox:ta")),
        ("a/busybox:ta/g", tag("ta/g")),
    ];
    for (given, why) in rows {
        assert_eq!(reason(given), why, "{given}");
    }
}

#[test]
fn unknown_digests_are_rejected() {
    let digests = [
        "",
        "sha256",
        "sha256:",
        "sha256:ffffffffffffffffffffffffffffffffff",
        "invaliddigest:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "sha256:FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
    ];
    for digest in digests {
        assert_eq!(reason(&format!("repo@{digest}")), InvalidReason::Digest(digest.to_owned()));
    }
    let twice = format!("{SHA256}@{SHA256}");
    assert_eq!(reason(&format!("repo@{twice}")), InvalidReason::Digest(twice));
}

#[test]
fn a_tag_has_128_characters_at_most() {
    let longest = "t".repeat(128);
    assert_eq!(image(&format!("busybox:{longest}")).tag(), Some(longest.as_str()));
    let longer = "t".repeat(129);
    assert_eq!(reason(&format!("busybox:{longer}")), InvalidReason::Tag(longer));
}

#[test]
fn a_repository_has_255_characters_at_most() {
    let longest = format!("{}a", "a/".repeat(127));
    assert_eq!(image(&format!("{longest}:tag-puts-this-over-max")).repository(), longest);
    assert_eq!(reason(&format!("example.com/{longest}/b")), InvalidReason::TooLong(257));
    // `library/` counts, as it does for Docker.
    assert_eq!(reason(&"a".repeat(250)), InvalidReason::TooLong(258));
}

#[test]
fn the_error_names_the_text_and_the_reason() {
    assert_eq!(
        "docker/Docker".parse::<ImageRef>().unwrap_err().to_string(),
        "`docker/Docker` is not an image reference: the repository `docker/Docker` must be lower case"
    );
}

#[test]
fn the_familiar_form_is_what_people_write() {
    let rows = [
        ("docker.io/library/ubuntu:24.04", "ubuntu:24.04"),
        ("ubuntu", "ubuntu:latest"),
        ("docker.io/library/foo/bar:1", "library/foo/bar:1"),
        ("docker.io/milvusdb/milvus:v2.4.17", "milvusdb/milvus:v2.4.17"),
        ("127.0.0.1:8000/private/moonbase:1", "127.0.0.1:8000/private/moonbase:1"),
        ("example.com/library/busybox:1", "example.com/library/busybox:1"),
    ];
    for (given, familiar) in rows {
        assert_eq!(image(given).familiar(), familiar);
        assert_eq!(image(familiar), image(given));
    }
}

#[test]
fn the_familiar_form_never_names_another_image() {
    for ambiguous in ["docker.io/example.com/x:1", "docker.io/localhost/x:1"] {
        assert_eq!(image(ambiguous).familiar(), ambiguous);
    }
}

#[test]
fn a_node_looks_up_a_pinned_image_without_its_tag() {
    let rows = [
        (format!("busybox:1@{SHA256}"), format!("docker.io/library/busybox@{SHA256}")),
        ("busybox:1".to_owned(), "docker.io/library/busybox:1".to_owned()),
    ];
    for (given, name) in rows {
        assert_eq!(image(&given).node_name().to_string(), name);
    }
}

#[test]
fn tag_and_digest_survive_a_move() {
    let moved = image(&format!("busybox:1@{SHA256}")).with_name("127.0.0.1:5000", "hub/busybox");
    assert_eq!(moved.map(|image| image.to_string()), Ok(format!("127.0.0.1:5000/hub/busybox:1@{SHA256}")));
}

#[test]
fn a_move_to_an_invalid_name_is_rejected() {
    let busybox = image("busybox:1");
    assert_eq!(
        busybox.with_name("host_1", "x").map_err(|error| error.reason),
        Err(InvalidReason::Registry("host_1".to_owned()))
    );
    assert_eq!(
        busybox.with_name("host", "Y").map_err(|error| error.reason),
        Err(InvalidReason::PathComponent("Y".to_owned()))
    );
}

#[test]
fn dropping_the_digest_leaves_a_tag() {
    assert_eq!(image(&format!("busybox@{SHA256}")).without_digest(), image("busybox"));
    assert_eq!(image(&format!("busybox:1@{SHA256}")).without_digest(), image("busybox:1"));
}

#[test]
fn json_carries_the_canonical_text() {
    assert_eq!(serde_json::to_string(&image("busybox")).unwrap(), r#""docker.io/library/busybox:latest""#);
    assert_eq!(serde_json::from_str::<ImageRef>(r#""busybox""#).unwrap(), image("busybox"));
    assert!(serde_json::from_str::<ImageRef>(r#""Busybox""#).is_err());
}
