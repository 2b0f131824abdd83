//! Parses single values. Each error says what was expected and what was found.

use std::net::IpAddr;
use std::time::Duration;

use semver::Version;

use super::image::ImageSetting;
use super::types::PortMapping;

/// The longest name of a Milvus: the operator creates helm releases such as `<name>-pulsar`, and helm refuses
/// names over 53 characters.
const LONGEST_MILVUS_NAME: usize = 46;

type Read<T> = Result<T, String>;

pub(super) fn text(text: &str) -> Read<String> {
    if text.is_empty() { Err("expected text, found nothing".into()) } else { Ok(text.to_owned()) }
}

/// kind's own rule for names (`validNameRE` in its pkg/cluster/internal/create).
pub(super) fn cluster_name(name: &str) -> Read<String> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    if !name.is_empty() && name.chars().all(valid) && !name.starts_with('-') {
        return Ok(name.to_owned());
    }
    Err(format!(
        "expected a name of lower-case letters, digits, `.` and `-` as kind asks for, found `{name}`"
    ))
}

fn is_dns_label(name: &str) -> bool {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len())
        && name.chars().all(valid)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

pub(super) fn namespace(name: &str) -> Read<String> {
    if is_dns_label(name) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "expected at most 63 lower-case letters, digits and inner `-` as Kubernetes asks for, found `{name}`"
    ))
}

/// Service names derive from it, and those must begin with a letter.
pub(super) fn milvus_name(name: &str) -> Read<String> {
    if is_dns_label(name)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= LONGEST_MILVUS_NAME
    {
        return Ok(name.to_owned());
    }
    Err(format!(
        "expected at most {LONGEST_MILVUS_NAME} lower-case letters, digits and inner `-`, a letter first, found `{name}`"
    ))
}

/// The name of a Secret: DNS labels separated by dots.
pub(super) fn secret_name(name: &str) -> Read<String> {
    if name.len() <= 253 && name.split('.').all(is_dns_label) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "expected the name of a Secret: lower-case letters, digits, inner `-` and `.`, found `{name}`"
    ))
}

pub(super) fn version(text: &str) -> Read<Version> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    Version::parse(bare)
        .map_err(|_| format!("expected a version such as `2.6.11` or `v2.6.11`, found `{text}`"))
}

/// An image tag in Docker's grammar.
pub(super) fn tag(text: &str) -> Read<String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if (1..=128).contains(&text.len()) && text.chars().all(valid) && !text.starts_with(['.', '-']) {
        return Ok(text.to_owned());
    }
    Err(format!("expected the tag of an image such as `v2.5.12`, found `{text}`"))
}

pub(super) fn image(text: &str) -> Read<ImageSetting> {
    text.parse()
}

/// A node image, or a Kubernetes version, which kind's own node images are tagged with; either may have a digest.
pub(super) fn node_image(text: &str) -> Read<ImageSetting> {
    let (version, digest) = text.split_at(text.find('@').unwrap_or(text.len()));
    let bare = version.strip_prefix('v').unwrap_or(version);
    match Version::parse(bare) {
        Ok(version) if version.build.is_empty() => image(&format!("kindest/node:v{version}{digest}")),
        _ if bare.starts_with(|c: char| c.is_ascii_digit())
            && bare.chars().all(|c| c.is_ascii_digit() || c == '.') =>
        {
            Err(format!("expected an image, or all of a version such as `v1.33.1`, found `{text}`"))
        }
        _ => image(text),
    }
}

fn port(text: &str) -> Option<u16> {
    // `parse` accepts a sign; ports have none.
    let is_number = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port > 0)
}

pub(super) fn port_mapping(text: &str) -> Read<PortMapping> {
    let Some((host, node)) = text.split_once(':') else {
        return Err(format!("expected `HOST:NODE` such as `31000:31000`, found `{text}`"));
    };
    match (port(host), port(node)) {
        (Some(host), Some(node)) => Ok(PortMapping { host, node }),
        (None, _) => Err(format!("expected a host port from 1 to 65535, found `{host}` in `{text}`")),
        (_, None) => Err(format!("expected a node port from 1 to 65535, found `{node}` in `{text}`")),
    }
}

pub(super) fn address(text: &str) -> Read<IpAddr> {
    text.parse().map_err(|_| format!("expected an IP address such as `127.0.0.1`, found `{text}`"))
}

/// One CIDR block, or an IPv4 and an IPv6 one separated by a comma, as kind accepts.
pub(super) fn subnet(text: &str) -> Read<String> {
    let is_block = |block: &str| {
        let Some((address, bits)) = block.split_once('/') else { return false };
        let bits = bits.parse::<u8>().ok().filter(|_| bits.chars().all(|c| c.is_ascii_digit()));
        match (address.parse(), bits) {
            (Ok(IpAddr::V4(_)), Some(bits)) => bits <= 32,
            (Ok(IpAddr::V6(_)), Some(bits)) => bits <= 128,
            _ => false,
        }
    };
    let blocks: Vec<_> = text.split(',').collect();
    if blocks.len() <= 2 && blocks.iter().all(|block| is_block(block)) {
        return Ok(text.to_owned());
    }
    Err(format!("expected a CIDR block such as `10.0.0.0/16`, found `{text}`"))
}

/// A host name or address with an optional port.
fn is_host(text: &str, needs_port: bool) -> bool {
    let (host, number) = match text.rsplit_once(':') {
        Some((host, number)) => (host, Some(number)),
        None => (text, None),
    };
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_v6 = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .is_some_and(|h| h.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = !host.is_empty() && host.chars().all(valid) && !host.starts_with(['.', '-']);
    (is_v6 || is_name) && number.map_or(!needs_port, |number| port(number).is_some())
}

pub(super) fn endpoint(text: &str) -> Read<String> {
    if is_host(text, true) {
        return Ok(text.to_owned());
    }
    Err(format!("expected `HOST:PORT` such as `192.168.1.1:2379`, without `http://`, found `{text}`"))
}

/// A registry with an optional path, as a prefix for images: `registry.example.com/team`.
pub(super) fn registry_prefix(text: &str) -> Read<String> {
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    let is_path = path.is_empty() || path.split('/').all(|part| !part.is_empty() && part.chars().all(valid));
    if is_host(host, false) && is_path && !text.ends_with('/') {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected a registry and a path such as `m.daocloud.io/docker.io`, without `https://`, found `{text}`"
    ))
}

/// A URL, or `@NAME` for a repository that helm knows by that name, including its login.
pub(super) fn chart_repository(text: &str) -> Read<String> {
    let rest = ["https://", "http://", "oci://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    // URLs show up in arguments, scripts and errors, so they must not hold a login; nor is it repeated here.
    if rest.is_some_and(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default().contains('@')) {
        return Err(
            "a login in a URL can be read by every user of this machine; use `helm repo add NAME URL \
                    --username USER --password-stdin` and `@NAME` here, or `helm registry login` for `oci://`"
                .into(),
        );
    }
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    let is_url = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace));
    if is_url || text.strip_prefix('@').is_some_and(is_name) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected a URL that begins with `https://`, `http://` or `oci://`, or `@NAME` for one of helm's \
         repositories, found `{text}`"
    ))
}

/// The name of an environment variable.
pub(super) fn variable(text: &str) -> Read<String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.chars().all(valid) && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return Ok(text.to_owned());
    }
    // The text may be a secret put here by mistake, so it is not repeated.
    Err("expected the name of an environment variable, not the secret itself".into())
}

/// A Kubernetes quantity: a number with an optional suffix.
pub(super) fn quantity(text: &str) -> Read<String> {
    const SUFFIXES: [&str; 14] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi"];
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = &text[digits.len()..];
    let is_number = digits.parse::<f64>().is_ok() && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_number && SUFFIXES.contains(&suffix) {
        return Ok(text.to_owned());
    }
    Err(format!("expected a quantity such as `500m`, `2` or `4Gi`, found `{text}`"))
}

/// The longest duration accepted, far from overflowing a clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A positive duration of at most a year.
pub(crate) fn duration(text: &str) -> Read<Duration> {
    let expected = || format!("expected a duration such as `20m` or `90s`, found `{text}`");
    let duration = humantime::parse_duration(text).map_err(|_| expected())?;
    match duration {
        Duration::ZERO => Err(expected()),
        duration if duration > LONGEST => Err(format!("expected a duration of up to a year, found `{text}`")),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<T>(read: impl Fn(&str) -> Read<T>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(read(text).is_ok(), "{text:?} is refused");
        }
        for text in bad {
            assert!(read(text).is_err(), "{text:?} is taken");
        }
    }

    #[test]
    fn cluster_names_follow_kinds_rule() {
        all(
            cluster_name,
            &["milvus-cluster", "a.b", "yes", "1e3", "0"],
            &["", "A", "a_b", "a b", "a: b", "é", "-a"],
        );
    }

    #[test]
    fn namespaces_are_dns_labels() {
        all(namespace, &["default", "a", "1a"], &["", "-a", "a-", "a.b", "A", &"a".repeat(64)]);
    }

    #[test]
    fn a_milvus_name_leaves_room_for_suffixes() {
        all(milvus_name, &["my-release", &"a".repeat(46)], &["1a", "a.b", "", "a-", &"a".repeat(47)]);
    }

    #[test]
    fn versions_take_a_leading_v() {
        assert_eq!(version("v2.6.11"), version("2.6.11"));
        all(version, &["1.3.8", "2.6.0-rc1"], &["", "latest", "2.6", "vv1.0.0", "1.3.8 "]);
    }

    #[test]
    fn ports_are_two_numbers_from_1_to_65535() {
        assert_eq!(port_mapping("19530:31530"), Ok(PortMapping { host: 19530, node: 31530 }));
        all(
            port_mapping,
            &["1:1", "65535:65535"],
            &["", "80", "0:80", "80:0", "65536:80", "+80:80", "a:b", "1:2:3", "80: 80"],
        );
    }

    #[test]
    fn addresses_and_subnets_are_checked() {
        all(address, &["127.0.0.1", "0.0.0.0", "::1"], &["", "localhost", "127.0.0.256", "127.1"]);
        all(
            subnet,
            &["10.0.0.0/16", "fd00::/108", "10.0.0.0/16,fd00::/108"],
            &["10.0.0.0", "10.0.0.0/33", "x/8", "/", "10.0.0.0/+8"],
        );
    }

    #[test]
    fn endpoints_are_a_host_and_a_port() {
        all(
            endpoint,
            &["10.0.0.1:2379", "etcd.etcd.svc:2379", "[::1]:2379"],
            &["", "etcd", "http://etcd:2379", "etcd:0", ":2379", "a b:1"],
        );
    }

    #[test]
    fn chart_repositories_are_urls() {
        all(
            chart_repository,
            &["https://a/b/", "http://127.0.0.1:8879", "oci://a/b", "https://a/b@c", "@mine"],
            &[
                "",
                "a/b",
                "https://",
                "https://a b",
                "ftp://a",
                "@",
                "@a/b",
                "https://me:pw@a/b",
                "oci://token@a",
            ],
        );
    }

    #[test]
    fn a_login_in_a_chart_repository_is_refused_and_not_repeated() {
        let error = chart_repository("https://me:s3cr3t@charts.example/x").unwrap_err();
        assert!(error.contains("helm repo add") && !error.contains("s3cr3t"), "{error}");
    }

    #[test]
    fn a_secret_given_as_a_variable_name_is_not_repeated() {
        all(variable, &["AWS_ACCESS_KEY_ID", "_a1"], &["", "1a", "a-b"]);
        assert!(!variable("s3cr3t/value").unwrap_err().contains("s3cr3t"));
    }

    #[test]
    fn quantities_follow_kubernetes() {
        all(
            quantity,
            &["1", "0.5", "500m", "4Gi", "100M"],
            &["", "Gi", "1 Gi", "1gb", "-1", "1.2.3", "inf", "nan"],
        );
    }

    #[test]
    fn durations_have_a_unit_and_are_not_zero() {
        assert_eq!(duration("20m"), Ok(Duration::from_secs(1200)));
        all(duration, &["1h 30m", "90s", "365d"], &["", "20", "0s", "soon", "366d"]);
    }

    #[test]
    fn an_overflowing_duration_is_refused() {
        let text = "18446744073709551615s";
        assert_eq!(duration(text), Err(format!("expected a duration of up to a year, found `{text}`")));
    }

    #[test]
    fn images_and_tags_follow_their_grammar() {
        let digest = format!("a.b:5000/c@sha256:{}", "0".repeat(64));
        all(
            image,
            &["kindest/node:v1.20.2", &digest],
            &["", "https://a", "a b", "-a", "a\n", "Milvus:v1", "a:", "a@sha256:00", "a:v1:v2"],
        );
        all(tag, &["v2.5.12", "latest"], &["", ".a", "a:b", "a/b"]);
    }

    #[test]
    fn a_bare_version_means_kinds_node_image() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (typed, meant) in [
            ("v1.33.1", "kindest/node:v1.33.1"),
            ("1.33.1", "kindest/node:v1.33.1"),
            ("v1.34.0-beta.0", "kindest/node:v1.34.0-beta.0"),
            ("kindest/node:v1.33.1", "kindest/node:v1.33.1"),
            ("127.0.0.1:5000/node:v1.33.1", "127.0.0.1:5000/node:v1.33.1"),
            (&format!("v1.33.1@{digest}"), &format!("kindest/node:v1.33.1@{digest}")),
        ] {
            assert_eq!(node_image(typed).map(|image| image.to_string()).as_deref(), Ok(meant));
        }
        assert!(node_image("v1.33.1 ").is_err());
        // An image of that name is nobody's.
        let part = node_image("v1.33").map(|image| image.to_string());
        assert_eq!(
            part,
            Err("expected an image, or all of a version such as `v1.33.1`, found `v1.33`".to_owned())
        );
    }

    #[test]
    fn names_of_secrets_may_have_dots() {
        all(secret_name, &["my-secret", "a.b"], &["", "A", "a..b", "a/b"]);
    }
}
