//! HTTP agents for registries, one per host.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

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

/// Says in plain words why a request failed, without the address, which may be signed.
pub(super) fn describe(error: &ureq::Error) -> String {
    crate::net::describe(error, CONNECT)
}
