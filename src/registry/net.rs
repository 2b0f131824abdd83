//! Connecting to hosts: networks, proxies, certificates.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ureq::tls::{Certificate, ClientCert, PemItem, RootCerts, TlsConfig, parse_pem};

use super::scheme::Scheme;

/// How long resolving and reaching a host may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a host may take to show whether it speaks TLS.
const PROBE: Duration = Duration::from_secs(5);
/// How long a connection may be silent between bytes; callers give up sooner.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a response may be delayed: some mirrors take a second per MiB.
const HELD_BACK: Duration = Duration::from_secs(20 * 60);

/// The environment's proxies, as curl and Go read them.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    except: Vec<String>,
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case, from `var`.
    ///
    /// # Errors
    /// Fails if one of them is not a valid proxy address.
    pub fn from(var: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let either = |name: &str| {
            let lower = name.to_lowercase();
            let found =
                [name, lower.as_str()].into_iter().find_map(|name| Some((name.to_owned(), var(name)?)));
            found.filter(|(_, value)| !value.trim().is_empty())
        };
        let proxy = |name: &str| match either(name) {
            // Do not repeat the address; it may contain a login.
            Some((name, url)) if ureq::Proxy::new(&url).is_err() => {
                Err(format!("`{name}` is not a valid proxy address"))
            }
            found => Ok(found.map(|(_, url)| url)),
        };
        let all = proxy("ALL_PROXY")?;
        let except = either("NO_PROXY").map(|(_, hosts)| hosts).unwrap_or_default();
        Ok(Self {
            http: proxy("HTTP_PROXY")?.or_else(|| all.clone()),
            https: proxy("HTTPS_PROXY")?.or(all),
            except: except.split(',').map(|entry| entry.trim().to_lowercase()).collect(),
        })
    }

    fn of(&self, plain: bool, host: &str) -> Option<&str> {
        let proxy = if plain { &self.http } else { &self.https };
        proxy.as_deref().filter(|_| !self.bypasses(host))
    }

    /// Tells whether to reach `host` without a proxy: this machine, and what `NO_PROXY` names by Go's rules.
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

/// Splits `host:port` and `[::1]:port`, removing the brackets.
fn split_port(host: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (host, None),
    }
}

/// Tells whether the address `host` is in `network`, such as `10.0.0.0/8`.
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

/// One agent per host, because certificates and proxies depend on the host.
pub(super) struct Agents {
    proxies: Proxies,
    /// Docker's folders of per-host certificates.
    certs_d: Vec<PathBuf>,
    roots: Roots,
    made: Mutex<HashMap<(String, Scheme), ureq::Agent>>,
    /// The protocol found for hosts without a valid certificate.
    settled: Mutex<HashMap<String, Scheme>>,
}

impl Agents {
    pub(super) fn new(proxies: Proxies, certs_d: Vec<PathBuf>, roots: Roots) -> Self {
        Self { proxies, certs_d, roots, made: Mutex::default(), settled: Mutex::default() }
    }

    /// Returns the agent for `host`.
    ///
    /// # Errors
    /// Fails if Docker has certificates for `host` that cannot be read.
    pub(super) fn of(&self, host: &str, scheme: Scheme) -> Result<ureq::Agent, String> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host.to_owned(), scheme);
        if let Some(agent) = made.get(&key) {
            return Ok(agent.clone());
        }
        let agent = self.make(host, scheme)?;
        made.insert(key, agent.clone());
        Ok(agent)
    }

    /// Decides the protocol for `host`. Like Docker, falls back to plain HTTP for a host without a valid
    /// certificate.
    pub(super) fn settle(&self, host: &str, scheme: Scheme) -> Scheme {
        if scheme != Scheme::Unverified {
            return scheme;
        }
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        *settled.entry(host.to_owned()).or_insert_with(|| {
            // The next request reports what is wrong with the certificates.
            let Ok(agent) = self.of(host, Scheme::Unverified) else { return Scheme::Unverified };
            let request = agent.get(format!("https://{host}/v2/"));
            let limited = request.config().timeout_global(Some(PROBE)).build();
            if limited.call().is_ok() { Scheme::Unverified } else { Scheme::Http }
        })
    }

    fn make(&self, host: &str, scheme: Scheme) -> Result<ureq::Agent, String> {
        let proxy = self.proxies.of(scheme == Scheme::Http, host).and_then(|url| ureq::Proxy::new(url).ok());
        let mut config = ureq::Agent::config_builder()
            .proxy(proxy)
            .http_status_as_error(false)
            // `exchange` follows redirects itself: logins must not follow, and methods not change.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(HELD_BACK))
            .timeout_per_read(Some(SILENCE))
            .max_idle_connections_per_host(super::gate::CONNECTIONS_MAX)
            .user_agent(concat!("milvusctl/", env!("CARGO_PKG_VERSION")))
            // Blobs are compressed already, and ranges count bytes on the wire.
            .accept_encoding("identity");
        if scheme != Scheme::Http {
            config = config.tls_config(self.tls(host, scheme)?);
        }
        Ok(config.build().new_agent())
    }

    /// The system's root certificates plus Docker's for this host; the bundled ones if there are none.
    fn tls(&self, host: &str, scheme: Scheme) -> Result<TlsConfig, String> {
        let system = self.roots.read();
        let mut own = HostCertificates::default();
        for folder in &self.certs_d {
            own = own.and(HostCertificates::read(&folder.join(host))?);
        }
        let mut tls = TlsConfig::builder().disable_verification(scheme == Scheme::Unverified);
        if !system.is_empty() || !own.roots.is_empty() {
            let roots: Vec<_> = system.iter().chain(&own.roots).cloned().collect();
            tls = tls.root_certs(RootCerts::Specific(Arc::new(roots)));
        }
        Ok(tls.client_cert(own.client).build())
    }
}

/// The contents of `certs.d/<host>/`: `*.crt` are roots, `x.cert` with `x.key` is a client certificate.
#[derive(Default)]
struct HostCertificates {
    roots: Vec<Certificate<'static>>,
    client: Option<ClientCert>,
}

impl HostCertificates {
    /// Reads them like Docker, which also fails on an unreadable file and on a certificate without its key.
    fn read(folder: &Path) -> Result<Self, String> {
        let mut found = Self::default();
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(unreadable(folder, &error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| unreadable(folder, &error))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => found.roots.extend(certificates(&path)?),
                Some("cert") => {
                    let file = path.with_extension("key");
                    let pem = std::fs::read(&file).map_err(|error| unreadable(&file, &error))?;
                    let key = ureq::tls::PrivateKey::from_pem(&pem)
                        .map_err(|_| format!("`{}` contains no private key", file.display()))?;
                    found.client = Some(ClientCert::new_with_certs(&certificates(&path)?, key));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn and(mut self, other: Self) -> Self {
        self.roots.extend(other.roots);
        Self { roots: self.roots, client: self.client.or(other.client) }
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let found: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() { Err(format!("`{}` contains no certificate", path.display())) } else { Ok(found) }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("could not read `{}`: {error}", path.display())
}

/// The root certificates this machine trusts.
#[derive(Debug, Default)]
pub struct Roots {
    /// From the variables, or else from the system, read on first use.
    found: OnceLock<Vec<Certificate<'static>>>,
}

impl Roots {
    /// Reads the file and folders in `SSL_CERT_FILE` and `SSL_CERT_DIR`, like OpenSSL, Go and curl. If
    /// neither is set, uses the system's roots, once needed.
    ///
    /// # Errors
    /// Fails if the file is unreadable or has no certificate, and if no folder has any and one is unreadable.
    pub fn from(var: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let set = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let (file, folders) = (set("SSL_CERT_FILE"), set("SSL_CERT_DIR"));
        if file.is_none() && folders.is_none() {
            return Ok(Self::default());
        }
        let why = |name: &str, path: &Path, error: &rustls_native_certs::Error| {
            format!("could not read `{}`, set by `{name}`: {error}", path.display())
        };
        let mut found = Vec::new();
        if let Some(path) = &file {
            let loaded = rustls_native_certs::load_certs_from_paths(Some(path), None);
            if let Some(error) = loaded.errors.first() {
                return Err(why("SSL_CERT_FILE", path, error));
            }
            if loaded.certs.is_empty() {
                return Err(format!("`{}`, set by `SSL_CERT_FILE`, contains no certificate", path.display()));
            }
            found.extend(loaded.certs);
        }
        // Lists often name folders that some systems lack, and folders may contain dangling links.
        let mut unread = None;
        let folders = folders.iter().flat_map(|list| std::env::split_paths(list).collect::<Vec<_>>());
        let held = found.len();
        for path in folders.filter(|path| !path.as_os_str().is_empty()) {
            let loaded = rustls_native_certs::load_certs_from_paths(None, Some(&path));
            unread = unread.or_else(|| Some(why("SSL_CERT_DIR", &path, loaded.errors.first()?)));
            found.extend(loaded.certs);
        }
        if let Some(why) = unread.filter(|_| found.len() == held) {
            return Err(why);
        }
        let found =
            found.iter().map(|cert| Certificate::from_der(cert.as_ref()).to_owned()).collect::<Vec<_>>();
        Ok(Self { found: found.into() })
    }

    fn read(&self) -> &[Certificate<'static>] {
        self.found.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs().certs;
            found.iter().map(|cert| Certificate::from_der(cert.as_ref()).to_owned()).collect()
        })
    }
}

/// The host and port of an address, without any login before it.
pub(super) fn host_of(uri: &ureq::http::Uri) -> Option<String> {
    let authority = uri.authority()?.as_str();
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_owned())
}

/// Says in plain words why a request failed, without the address, which may be signed.
pub(super) fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
            format!("it could not be reached within {} s", CONNECT.as_secs())
        }
        ureq::Error::Timeout(_) => "it was silent for too long".to_owned(),
        ureq::Error::HostNotFound => "its name could not be resolved".to_owned(),
        // The resolver's own message differs between systems and says no more.
        ureq::Error::Io(error) if error.to_string().starts_with("failed to lookup address") => {
            "its name could not be resolved".to_owned()
        }
        ureq::Error::Io(error) => format!("the connection failed: {error}"),
        ureq::Error::Tls(why) => format!("the TLS handshake failed: {why}"),
        ureq::Error::BadUri(_) => "its address is invalid".to_owned(),
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
            Proxies::from(var).unwrap()
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

    #[test]
    fn an_invalid_proxy_is_an_error_that_hides_its_login() {
        let var = |name: &str| (name == "https_proxy").then(|| "ftp://user:secret@p:1".to_owned());
        assert_eq!(Proxies::from(var).unwrap_err(), "`https_proxy` is not a valid proxy address");
    }

    #[test]
    fn an_unreadable_certificate_file_is_named_with_its_variable() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent.pem").display().to_string();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let empty = empty.display().to_string();
        let why = |name: &'static str, path: &str| {
            Roots::from(|asked| (asked == name).then(|| OsString::from(path))).map(drop).unwrap_err()
        };
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            let why = why(name, &absent);
            let begins = format!("could not read `{absent}`, set by `{name}`: ");
            assert!(why.starts_with(&begins) && why.contains("No such file or directory"), "{why}");
        }
        let holds_none = format!("`{empty}`, set by `SSL_CERT_FILE`, contains no certificate");
        assert_eq!(why("SSL_CERT_FILE", &empty), holds_none);
        assert!(Roots::from(|_| None).is_ok());
    }

    #[test]
    fn certificates_of_docker_are_read_or_reported_as_unreadable() {
        let folder = tempfile::tempdir().unwrap();
        let host = folder.path().join("r.example.com");
        let read = || HostCertificates::read(&host).map(drop);
        assert_eq!(read(), Ok(()));
        std::fs::create_dir(&host).unwrap();
        std::fs::write(host.join("ca.crt"), "none").unwrap();
        assert_eq!(read(), Err(format!("`{}` contains no certificate", host.join("ca.crt").display())));
        std::fs::remove_file(host.join("ca.crt")).unwrap();
        std::fs::write(host.join("us.cert"), "none").unwrap();
        let why = read().unwrap_err();
        assert!(why.starts_with(&format!("could not read `{}`: ", host.join("us.key").display())), "{why}");
    }
}
