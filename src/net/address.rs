//! Hosts and addresses.

use std::net::IpAddr;

/// Splits `host:port` and `[::1]:port`, removing the brackets.
pub(super) fn split_port(host: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (host, None),
    }
}

/// Tells whether the address `host` is in `network`, such as `10.0.0.0/8`.
pub(crate) fn in_network(host: &str, network: &str) -> bool {
    let Some((base, bits)) = network.split_once('/') else { return false };
    let (Ok(host), Ok(base), Ok(bits)) = (host.parse(), base.parse(), bits.parse::<u32>()) else {
        return false;
    };
    match (host, base) {
        (IpAddr::V4(host), IpAddr::V4(base)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            host.to_bits() & mask == base.to_bits() & mask
        }
        (IpAddr::V6(host), IpAddr::V6(base)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            host.to_bits() & mask == base.to_bits() & mask
        }
        _ => false,
    }
}

/// Tells whether `host`, with or without a port, is this machine, which never needs a proxy.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let bare = split_port(host).0;
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The host and port of an address, without any login before it.
pub(crate) fn host_of(uri: &ureq::http::Uri) -> Option<String> {
    let authority = uri.authority()?.as_str();
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_owned())
}

/// Resolves `location` as seen from `at`.
pub(crate) fn redirected(at: &ureq::http::Uri, location: &str) -> Option<ureq::http::Uri> {
    if location.contains("://") {
        return location.parse().ok();
    }
    let scheme = at.scheme_str()?;
    if let Some(rest) = location.strip_prefix("//") {
        return format!("{scheme}://{rest}").parse().ok();
    }
    let authority = at.authority()?;
    if location.starts_with('/') {
        return format!("{scheme}://{authority}{location}").parse().ok();
    }
    let folder = at.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{scheme}://{authority}{folder}/{location}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_may_be_relative() {
        let at = "https://r.example.com/v2/a/blobs/x".parse().unwrap();
        let rows = [
            ("https://cdn.example.com/y?sig=1", "https://cdn.example.com/y?sig=1"),
            ("//cdn.example.com/y", "https://cdn.example.com/y"),
            ("/y", "https://r.example.com/y"),
            ("y", "https://r.example.com/v2/a/blobs/y"),
        ];
        for (location, expected) in rows {
            assert_eq!(redirected(&at, location).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn only_loopback_is_this_machine() {
        let rows = [
            ("127.0.0.1:80", true),
            ("127.8.0.1", true),
            ("localhost", true),
            ("LOCALHOST:5000", true),
            ("[::1]:8080", true),
            ("127.0.0.1.example.com", false),
            ("get.helm.sh", false),
        ];
        for (host, expected) in rows {
            assert_eq!(is_this_machine(host), expected, "{host}");
        }
    }
}
