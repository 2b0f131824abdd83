//! Connecting to hosts beyond this machine. Registries, `doctor`'s probes and tool downloads share one set of rules for
//! proxies and certificates, and one error for an unusable setting.

mod address;
mod certificates;
mod proxies;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ureq::config::ConfigBuilder;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

pub(crate) use address::{host_of, in_network, is_this_machine, redirected};
pub use certificates::Roots;
pub use proxies::Proxies;

use certificates::HostCertificates;

/// The fix for an unusable variable.
pub(crate) const VARIABLE_HINT: &str = "correct the variable, or unset it";

/// The protocol for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Https,
    /// HTTPS with any certificate, because the engine lists the registry as insecure.
    Unverified,
    Http,
}

/// The proxies and the trusted certificates.
#[derive(Debug, Clone, Default)]
pub struct Network {
    pub proxies: Proxies,
    pub roots: Roots,
    /// Docker's folders of per-host certificates.
    pub certs_d: Vec<PathBuf>,
}

impl Network {
    /// Reads this process's environment, the system's certificates and Docker's.
    ///
    /// # Errors
    /// Fails if an environment variable has an unusable value.
    pub fn of_this_machine() -> Result<Self, String> {
        let rootless = etcetera::home_dir().ok().map(|home| home.join(".config/docker/certs.d"));
        Ok(Self {
            proxies: Proxies::from(|name| std::env::var(name).ok())?,
            roots: Roots::from(|name| std::env::var_os(name))?,
            certs_d: [PathBuf::from("/etc/docker/certs.d")].into_iter().chain(rootless).collect(),
        })
    }

    /// Returns the proxy for `host`, which may include a port.
    pub(crate) fn proxy(&self, host: &str, scheme: Scheme) -> Option<ureq::Proxy> {
        // `Proxies::from` has validated it.
        self.proxies.of(scheme == Scheme::Http, host).and_then(|url| ureq::Proxy::new(url).ok())
    }

    /// Returns the settings common to all requests to `host`. Callers follow redirects themselves: a redirect must not
    /// carry a login along or change the method, and the next host may need another proxy.
    ///
    /// # Errors
    /// Fails if Docker has certificates for `host` that cannot be read.
    pub(crate) fn config(&self, host: &str, scheme: Scheme) -> Result<ConfigBuilder<AgentScope>, String> {
        let config = ureq::Agent::config_builder()
            .proxy(self.proxy(host, scheme))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("milvusctl/", env!("CARGO_PKG_VERSION")));
        Ok(if scheme == Scheme::Http { config } else { config.tls_config(self.tls(host, scheme)?) })
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

/// Says in plain words why a request failed, without the address, which may be signed.
pub(crate) fn describe(error: &ureq::Error, connect: Duration) -> String {
    match error {
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
            format!("it could not be reached within {} s", connect.as_secs())
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
    fn a_name_that_nobody_knows_is_said_in_plain_words() {
        let say =
            |words: &str| describe(&ureq::Error::Io(std::io::Error::other(words.to_owned())), Duration::ZERO);
        let unknown = "failed to lookup address information: Name or service not known";
        assert_eq!(say(unknown), "its name could not be resolved");
        assert_eq!(say("connection reset"), "the connection failed: connection reset");
    }
}
