//! HTTP agents for registries, one per host.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::place::Place;
use crate::net::{Network, Scheme};

/// How long resolving and reaching a host may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a host may take to show whether it speaks TLS.
const PROBE: Duration = Duration::from_secs(5);
/// How long a connection may be silent between bytes; callers give up sooner.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a response may be delayed: some mirrors take a second per MiB.
const HELD_BACK: Duration = Duration::from_secs(20 * 60);

/// One agent per host, because certificates and proxies depend on the host.
pub(super) struct Agents {
    network: Network,
    made: Mutex<HashMap<(String, Scheme), ureq::Agent>>,
    /// The protocol found for hosts without a valid certificate.
    settled: Mutex<HashMap<String, Scheme>>,
}

impl Agents {
    pub(super) fn new(network: Network) -> Self {
        Self { network, made: Mutex::default(), settled: Mutex::default() }
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

    /// The place with the protocol that its host speaks.
    pub(super) fn settled(&self, place: &Place) -> Place {
        Place { scheme: self.settle(&place.api, place.scheme), ..place.clone() }
    }

    /// Decides the protocol for `host`. Like Docker, tries HTTPS with any certificate on insecure and loopback hosts, and
    /// falls back to plain HTTP: classic Docker if HTTPS fails in any way (`lookupV2Endpoints` of moby's
    /// `registry/service_v2.go`), with containerd's store if the host answers in plain text (`httpFallback` of its
    /// daemon/containerd/resolver.go).
    fn settle(&self, host: &str, scheme: Scheme) -> Scheme {
        if scheme != Scheme::Unverified {
            return scheme;
        }
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = settled.get(host) {
            return *known;
        }
        // The next request reports what is wrong with the certificates.
        let Ok(agent) = self.of(host, Scheme::Unverified) else { return Scheme::Unverified };
        let request = agent.get(format!("https://{host}/v2/"));
        let found = match request.config().timeout_global(Some(PROBE)).build().call() {
            Ok(_) => Scheme::Unverified,
            // Nothing is known of a host that is down: it may be up for the next request.
            Err(error) if is_out_of_reach(&error) => return Scheme::Unverified,
            Err(_) => Scheme::Http,
        };
        settled.insert(host.to_owned(), found);
        found
    }

    fn make(&self, host: &str, scheme: Scheme) -> Result<ureq::Agent, String> {
        let config = self
            .network
            .config(host, scheme)?
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(HELD_BACK))
            .timeout_per_read(Some(SILENCE))
            .max_idle_connections_per_host(super::gate::CONNECTIONS_MAX)
            // Blobs are already compressed, and ranges count bytes on the wire.
            .accept_encoding("identity");
        Ok(config.build().new_agent())
    }
}

/// Whether there was no connection at all.
fn is_out_of_reach(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        ureq::Error::Timeout(at) => matches!(at, ureq::Timeout::Resolve | ureq::Timeout::Connect),
        _ => false,
    }
}

/// Says in plain words why a request failed, without the address, which may be signed.
pub(super) fn describe(error: &ureq::Error) -> String {
    crate::net::describe(error, CONNECT)
}
