//! Classifies failed pulls by Docker's or containerd's messages.

use crate::images::trouble::Trouble;

/// A local daemon that does not answer tells nothing about the registry.
const LOCAL: [&str; 3] = ["dial unix", "cannot connect to the docker daemon", "error while dialing"];
const RATE_LIMITED: [&str; 4] = ["toomanyrequests", "too many requests", "rate limit", "ratelimit"];
const NETWORK: [&str; 30] = [
    "i/o timeout",
    "timeout exceeded",
    "tls handshake timeout",
    "timeout awaiting response headers",
    "deadline exceeded",
    "request canceled while waiting for connection",
    "connection refused",
    "connection reset",
    "connection timed out",
    "broken pipe",
    "no such host",
    "server misbehaving",
    "temporary failure in name resolution",
    "network is unreachable",
    "no route to host",
    "host is down",
    "dial tcp",
    "proxyconnect",
    "unexpected eof",
    ": eof",
    "x509:",
    "tls: ",
    "server gave http response to https client",
    "http2: ",
    "use of closed network connection",
    "500 internal server error",
    "502 bad gateway",
    "503 service unavailable",
    "504 gateway time",
    "registryunavailable",
];
const DENIED: [&str; 10] = [
    "pull access denied",
    "access to the resource is denied",
    "insufficient_scope",
    "authorization failed",
    "unauthorized",
    "authentication required",
    "no basic auth credentials",
    "403 forbidden",
    "requested access",
    ": denied",
];
const NOT_FOUND: [&str; 9] = [
    "manifest unknown",
    "name unknown",
    "name_unknown",
    "repository name not known",
    "no matching manifest",
    "no match for platform",
    ": not found",
    "404 not found",
    "does not exist",
];

/// Classifies the output of a failed `docker pull`.
pub fn pull_trouble(words: &str) -> Trouble {
    let words = words.to_lowercase();
    let says = |patterns: &[&str]| patterns.iter().any(|pattern| words.contains(pattern));
    // Network errors first: a registry's answer never contains their words, but theirs may contain `not
    // found`.
    if says(&LOCAL) {
        Trouble::Unknown
    } else if says(&RATE_LIMITED) {
        Trouble::RateLimited
    } else if says(&NETWORK) || words.trim_end().ends_with(" eof") {
        Trouble::Network
    } else if says(&DENIED) {
        Trouble::Denied
    } else if says(&NOT_FOUND) || words.contains("not found") && words.contains("manifest for") {
        Trouble::NotFound
    } else {
        Trouble::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_docker_and_containerd_are_classified() {
        use Trouble::{Denied, Network, NotFound, RateLimited, Unknown};
        let rows = [
            (
                r#"Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io on 127.0.0.11:53: no such host"#,
                Network,
            ),
            (
                r#"Get "https://registry-1.docker.io/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)"#,
                Network,
            ),
            (r#"Get "https://registry-1.docker.io/v2/": net/http: TLS handshake timeout"#, Network),
            (
                r#"Error response from daemon: Get "http://127.0.0.1:5000/v2/": dial tcp 127.0.0.1:5000: connect: connection refused"#,
                Network,
            ),
            (
                r#"Error response from daemon: Get "https://172.17.0.1:5000/v2/": http: server gave HTTP response to HTTPS client"#,
                Network,
            ),
            ("Error response from daemon: Get \"https://quay.io/v2/\": EOF", Network),
            ("error pulling image configuration: download failed after attempts=6: unexpected EOF", Network),
            ("received unexpected HTTP status: 503 Service Unavailable", Network),
            (
                r#"rpc error: code = Unknown desc = failed to pull and unpack image "docker.io/library/busybox:1": failed to resolve reference "docker.io/library/busybox:1": failed to do request: Head "https://registry-1.docker.io/v2/library/busybox/manifests/1": dial tcp 34.226.69.105:443: i/o timeout"#,
                Network,
            ),
            (
                r#"failed to do request: Head "https://registry-1.docker.io/v2/x/manifests/1": x509: certificate signed by unknown authority"#,
                Network,
            ),
            ("rpc error: code = DeadlineExceeded desc = context deadline exceeded", Network),
            (
                "Error response from daemon: manifest for busybox:nope not found: manifest unknown: manifest unknown",
                NotFound,
            ),
            (
                r#"rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/library/busybox:nope": failed to resolve reference "docker.io/library/busybox:nope": docker.io/library/busybox:nope: not found"#,
                NotFound,
            ),
            ("no matching manifest for linux/arm64/v8 in the manifest list entries", NotFound),
            (
                r#"failed to pull and unpack image "x": no match for platform in manifest: not found"#,
                NotFound,
            ),
            ("name unknown: repository name not known to registry", NotFound),
            (
                "Error response from daemon: pull access denied for nope/nope, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                Denied,
            ),
            (
                r#"failed to resolve reference "docker.io/nope/nope:1": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"#,
                Denied,
            ),
            (
                "unexpected status from HEAD request to https://m.example.com/v2/a/manifests/1: 403 Forbidden",
                Denied,
            ),
            ("Error response from daemon: unauthorized: authentication required", Denied),
            (
                "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit",
                RateLimited,
            ),
            (
                "unexpected status from HEAD request to https://registry-1.docker.io/v2/x: 429 Too Many Requests",
                RateLimited,
            ),
            (
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
                Unknown,
            ),
            (
                r#"rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing dial unix /run/containerd/containerd.sock: connect: connection refused""#,
                Unknown,
            ),
            (r#"Back-off pulling image "milvusdb/milvus:v2.4.17""#, Unknown),
            (
                r#"Back-off pulling image "x": ErrImagePull: failed to pull and unpack image "docker.io/library/x:latest": failed to resolve reference: docker.io/library/x:latest: not found"#,
                NotFound,
            ),
            (r#"Container image "busybox:1" is not present with pull policy of Never"#, Unknown),
            (
                r#"Error response from daemon: Get "https://quay.io/v2/": dial tcp: lookup quay.io on 10.255.255.53:53: no such host"#,
                Network,
            ),
            (
                r#"Failed to apply default image tag "a/B:1": couldn't parse image reference "a/B:1": invalid reference format: repository name must be lowercase"#,
                Unknown,
            ),
            ("", Unknown),
        ];
        for (message, kind) in rows {
            assert_eq!(pull_trouble(message), kind, "{message}");
        }
    }
}
