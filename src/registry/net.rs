//! How a host is reached: networks, proxies, certificates.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ureq::tls::{Certificate, ClientCert, PemItem, RootCerts, TlsConfig, parse_pem};

use super::scheme::Scheme;

/// How long finding and reaching a host may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a host may take to show whether it speaks TLS.
const PROBE: Duration = Duration::from_secs(5);
/// How long a connection may be silent once bytes come; whoever waits for them leaves sooner.
const SILENCE: Duration = Duration::from_secs(60);
/// How long an answer may be held back: some mirrors do so by a second for each MiB.
const HELD_BACK: Duration = Duration::from_secs(20 * 60);

/// The proxies of the environment, as curl and Go read them.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    except: Vec<String>,
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case, from `var`.
    pub fn from(var: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let found = var(name).or_else(|| var(&name.to_lowercase()));
            found.filter(|value| !value.trim().is_empty())
        };
        let all = either("ALL_PROXY");
        let except = either("NO_PROXY").unwrap_or_default();
        Self {
            http: either("HTTP_PROXY").or_else(|| all.clone()),
            https: either("HTTPS_PROXY").or(all),
            except: except.split(',').map(|entry| entry.trim().to_lowercase()).collect(),
        }
    }

    fn of(&self, plain: bool, host: &str) -> Option<&str> {
        let proxy = if plain { &self.http } else { &self.https };
        proxy.as_deref().filter(|_| !self.bypasses(host))
    }

    /// Whether `host` is reached without a proxy: this machine, and what `NO_PROXY` names by Go's rules.
    fn bypasses(&self, host: &str) -> bool {
        let (bare, port) = split_port(host);
        let bare = bare.to_lowercase();
        let is_this_machine =
            bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        is_this_machine
            || self.except.iter().any(|entry| {
                let (entry, wanted) =
                    if entry.contains('/') { (entry.as_str(), None) } else { split_port(entry) };
                if wanted.is_some() && wanted != port || entry.is_empty() {
                    return false;
                }
                let domain = entry.trim_start_matches('*').trim_start_matches('.');
                entry == "*"
                    || in_network(&bare, entry)
                    || bare == domain && !entry.starts_with('.')
                    || bare.strip_suffix(domain).is_some_and(|before| before.ends_with('.'))
            })
    }
}

/// Splits `host:port` and `[::1]:port`; the brackets go.
fn split_port(host: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (host, None),
    }
}

/// Whether the address `host` lies in `network`, such as `10.0.0.0/8`.
pub(super) fn in_network(host: &str, network: &str) -> bool {
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

/// One agent for each host, as certificates and proxies are a host's own.
pub(super) struct Agents {
    proxies: Proxies,
    /// Docker's folders of certificates for single hosts.
    certs_d: Vec<PathBuf>,
    system: OnceLock<Vec<Certificate<'static>>>,
    made: Mutex<HashMap<(String, Scheme), ureq::Agent>>,
    /// How hosts without a good certificate turned out to speak.
    settled: Mutex<HashMap<String, Scheme>>,
}

impl Agents {
    pub(super) fn new(proxies: Proxies, certs_d: Vec<PathBuf>) -> Self {
        Self { proxies, certs_d, system: OnceLock::new(), made: Mutex::default(), settled: Mutex::default() }
    }

    pub(super) fn of(&self, host: &str, scheme: Scheme) -> ureq::Agent {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry((host.to_owned(), scheme)).or_insert_with(|| self.make(host, scheme)).clone()
    }

    /// How `host` is spoken with: one that has no good certificate may have none at all, as with Docker.
    pub(super) fn settle(&self, host: &str, scheme: Scheme) -> Scheme {
        if scheme != Scheme::Unverified {
            return scheme;
        }
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        *settled.entry(host.to_owned()).or_insert_with(|| {
            let request = self.of(host, Scheme::Unverified).get(format!("https://{host}/v2/"));
            let limited = request.config().timeout_global(Some(PROBE)).build();
            if limited.call().is_ok() { Scheme::Unverified } else { Scheme::Http }
        })
    }

    fn make(&self, host: &str, scheme: Scheme) -> ureq::Agent {
        let proxy = self.proxies.of(scheme == Scheme::Http, host).and_then(|url| ureq::Proxy::new(url).ok());
        let mut config = ureq::Agent::config_builder()
            .proxy(proxy)
            .http_status_as_error(false)
            // Redirects are followed by us: a login must not go along, and a method must not change.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(HELD_BACK))
            .timeout_per_read(Some(SILENCE))
            .max_idle_connections_per_host(super::gate::CONNECTIONS_MAX)
            .user_agent(concat!("milvusctl/", env!("CARGO_PKG_VERSION")))
            // Blobs are compressed already, and ranges count the bytes that travel.
            .accept_encoding("identity");
        if scheme != Scheme::Http {
            config = config.tls_config(self.tls(host, scheme));
        }
        config.build().new_agent()
    }

    /// The system's certificates with those that Docker has for this host; those that come with the program where
    /// the system has none.
    fn tls(&self, host: &str, scheme: Scheme) -> TlsConfig {
        let system = self.system.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs().certs;
            found.iter().map(|cert| Certificate::from_der(cert.as_ref()).to_owned()).collect()
        });
        let own = self.certs_d.iter().map(|folder| HostCertificates::read(&folder.join(host)));
        let own = own.fold(HostCertificates::default(), HostCertificates::and);
        let mut tls = TlsConfig::builder().disable_verification(scheme == Scheme::Unverified);
        if !system.is_empty() || !own.roots.is_empty() {
            let roots: Vec<_> = system.iter().chain(&own.roots).cloned().collect();
            tls = tls.root_certs(RootCerts::Specific(Arc::new(roots)));
        }
        tls.client_cert(own.client).build()
    }
}

/// What stands in `certs.d/<host>/`: `*.crt` are roots, `x.cert` with `x.key` is who we are.
#[derive(Default)]
struct HostCertificates {
    roots: Vec<Certificate<'static>>,
    client: Option<ClientCert>,
}

impl HostCertificates {
    fn read(folder: &Path) -> Self {
        let mut found = Self::default();
        let Ok(entries) = std::fs::read_dir(folder) else { return found };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => found.roots.extend(certificates(&path)),
                Some("cert") => {
                    let key = std::fs::read(path.with_extension("key")).ok();
                    let key = key.and_then(|pem| ureq::tls::PrivateKey::from_pem(&pem).ok());
                    found.client = key.map(|key| ClientCert::new_with_certs(&certificates(&path), key));
                }
                _ => {}
            }
        }
        found
    }

    fn and(mut self, other: Self) -> Self {
        self.roots.extend(other.roots);
        Self { roots: self.roots, client: self.client.or(other.client) }
    }
}

fn certificates(path: &Path) -> Vec<Certificate<'static>> {
    let pem = std::fs::read(path).unwrap_or_default();
    parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect()
}

/// The host of an address with its port, without a login that may stand before it.
pub(super) fn host_of(uri: &ureq::http::Uri) -> Option<String> {
    let authority = uri.authority()?.as_str();
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_owned())
}

/// Says in plain words why a request failed; never with an address, which may be signed.
pub(super) fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
            format!("it could not be reached within {} s", CONNECT.as_secs())
        }
        ureq::Error::Timeout(_) => "it was silent for too long".to_owned(),
        ureq::Error::HostNotFound => "its name could not be resolved".to_owned(),
        // The resolver's own words, which differ from system to system, say no more.
        ureq::Error::Io(error) if error.to_string().starts_with("failed to lookup address") => {
            "its name could not be resolved".to_owned()
        }
        ureq::Error::Io(error) => format!("the connection failed: {error}"),
        ureq::Error::Tls(why) => format!("the TLS handshake failed: {why}"),
        ureq::Error::BadUri(_) => "its address is not valid".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        let proxies = |except: &str| {
            let vars = [("https_proxy", "http://p:1"), ("NO_PROXY", except)];
            let var = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            Proxies::from(var)
        };
        let rows = [
            ("", "r.example.com", false),
            ("example.com", "r.example.com", true),
            ("example.com", "example.com:5000", true),
            (".example.com", "example.com", false),
            (".example.com", "r.example.com", true),
            ("*.example.com", "r.example.com", true),
            ("example.com:443", "r.example.com:5000", false),
            ("10.0.0.0/8", "10.1.2.3:5000", true),
            ("10.0.0.0/8", "11.1.2.3:5000", false),
            ("fd00::/8", "[fd00::1]:5000", true),
            ("*", "r.example.com", true),
            ("", "localhost:5000", true),
            ("", "127.8.0.1:5000", true),
            ("", "[::1]:5000", true),
            ("ample.com", "example.com", false),
        ];
        for (except, host, expected) in rows {
            assert_eq!(proxies(except).bypasses(host), expected, "{except} {host}");
        }
        assert_eq!(proxies("").of(false, "a.b"), Some("http://p:1"));
        assert_eq!(proxies("").of(true, "a.b"), None);
    }
}
