//! The addresses outside the cluster that a Milvus depends on. Connects to none of them.

use crate::settings::Settings;

/// An address outside the cluster that Milvus connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// `etcd`, `the object storage`, `Pulsar` or `Kafka`.
    pub what: &'static str,
    /// The host name or IP address.
    pub host: String,
    pub port: u16,
}

impl Dependency {
    /// Whether the host looks like a Service name, which only pods can resolve.
    pub fn resolves_only_in_pods(&self) -> bool {
        let is_address = self.host.parse::<std::net::IpAddr>().is_ok();
        let is_service = [".svc", ".svc.cluster.local"].iter().any(|end| self.host.ends_with(end));
        // Pods resolve `etcd` and `etcd.data` by their DNS search list.
        !is_address
            && !self.is_loopback()
            && (is_service || self.host.split('.').count() <= 2 && !has_tld(&self.host))
    }

    /// Whether the host is the caller itself.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// Whether a name ends in a common top-level domain. A heuristic.
fn has_tld(host: &str) -> bool {
    const COMMON: [&str; 10] = ["com", "org", "net", "io", "dev", "cn", "local", "lan", "internal", "cloud"];
    host.rsplit_once('.').is_some_and(|(_, last)| COMMON.contains(&last))
}

/// The addresses outside the cluster that the settings name.
pub fn external_dependencies(settings: &Settings) -> Vec<Dependency> {
    let milvus = &settings.milvus;
    let mut found = Vec::new();
    let mut add = |what, address: &str, usual_port: u16| {
        let bare = address.split_once("://").map_or(address, |(_, rest)| rest);
        let (host, port) = match bare.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().unwrap_or(usual_port)),
            _ => (bare, usual_port),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        found.push(Dependency { what, host, port });
    };
    for endpoint in &milvus.etcd.external {
        add("etcd", endpoint, 2379);
    }
    if let Some(storage) = &milvus.storage.external {
        add("the object storage", &storage.endpoint, if storage.use_ssl { 443 } else { 80 });
    }
    if let Some(pulsar) = &milvus.pulsar {
        add("Pulsar", pulsar, 6650);
    }
    for broker in &milvus.kafka {
        add("Kafka", broker, 9092);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Layer, file, resolve};

    #[test]
    fn addresses_default_to_the_usual_ports() {
        let text = "milvus: {etcd: {external: ['10.0.0.1:2379', '[fd00::1]:2380']}, kafka: {external: ['k:9092']}, \
                    storage: {endpoint: 's3.example.com:443', useSSL: true, secretRef: s, bucket: b}}";
        let settings = resolve(Layer::default(), Some(file::parse(std::path::Path::new("m"), text))).unwrap();
        let found: Vec<_> = external_dependencies(&settings)
            .into_iter()
            .map(|found| format!("{} {} {}", found.what, found.host, found.port))
            .collect();
        assert_eq!(
            found,
            [
                "etcd 10.0.0.1 2379",
                "etcd fd00::1 2380",
                "the object storage s3.example.com 443",
                "Kafka k 9092"
            ]
        );
    }

    #[test]
    fn names_that_only_pods_resolve_are_recognised() {
        let of = |host: &str| Dependency { what: "etcd", host: host.into(), port: 1 };
        for host in ["etcd", "etcd.data", "etcd.data.svc", "e.d.svc.cluster.local"] {
            assert!(of(host).resolves_only_in_pods(), "{host}");
        }
        for host in ["10.0.0.1", "fd00::1", "etcd.example.com", "example.com", "localhost", "nas.lan"] {
            assert!(!of(host).resolves_only_in_pods(), "{host}");
        }
    }
}
