//! Fetches images from registries into the store through the distribution API, and respects the limits of
//! mirrors.
//!
//! A small blocking client on `ureq`, which the program uses anyway, with `docker_credential` for logins.
//! `oci-client` would add 140 crates and an asynchronous runtime, and still not solve what matters here: its
//! streams of part of a blob leave the digest to the caller (rust-oci-client#171), and it has no support for
//! several places per blob, for rate limits per host, or for controlling redirects.
//!
//! Every request runs on its own thread (`exchange`) behind its host's `gate`. `resolve` finds manifests,
//! `download` gets one blob, and `fetch` all blobs of all images, several at a time. Bytes go to disk as they
//! arrive: memory holds a few pieces per connection, whatever the size of an image.

mod agents;
mod auth;
mod download;
mod error;
pub(crate) mod exchange;
mod fetch;
mod gate;
mod logins;
mod memory;
mod patience;
mod place;
mod push;
mod range_request;
mod resolve;
mod standing;

use std::sync::{Arc, Mutex, PoisonError};

pub use auth::Logins;
pub use error::RegistryError;
pub use fetch::{FetchEvent, FetchRequest, Fetched};
pub use logins::docker_logins;
pub use place::places;

use patience::Patience;

use crate::images::mirror::Rules;
use crate::net::Network;
use crate::process::Interrupt;
use crate::store::Store;
use crate::tools::EngineRegistries;

/// Where the client looks and how it authenticates.
pub struct ClientConfig {
    pub rules: Rules,
    pub engine: EngineRegistries,
    pub network: Network,
    pub logins: Logins,
    pub interrupt: Interrupt,
}

/// Fetches images into a store.
pub struct Client<'a> {
    store: &'a Store,
    rules: Rules,
    engine: EngineRegistries,
    shared: Arc<exchange::Shared>,
}

impl<'a> Client<'a> {
    pub fn new(store: &'a Store, config: ClientConfig) -> Self {
        Self::with(store, config, Patience::default())
    }

    fn with(store: &'a Store, config: ClientConfig, patience: Patience) -> Self {
        let memory = memory::KnownHosts::read(store.root());
        let shared = Arc::new(exchange::Shared {
            gates: Arc::new(gate::Gates::new(&memory, patience.minute)),
            agents: agents::Agents::new(config.network),
            auth: auth::Auth::new(config.logins),
            memory: Mutex::new(memory),
            interrupt: config.interrupt,
            patience,
        });
        Self { store, rules: config.rules, engine: config.engine, shared }
    }

    /// Fetches `wanted` into the store, and names each image once it is complete.
    ///
    /// Does not request what the store already holds. `tell` is called from several threads. The results are
    /// in the order of `wanted`.
    pub fn fetch(
        &self,
        wanted: &[FetchRequest],
        on_event: &(dyn Fn(FetchEvent<'_>) + Sync),
    ) -> Vec<Result<Fetched, RegistryError>> {
        let outcomes = fetch::FetchRun::new(self, wanted, on_event).run();
        let mut memory = self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.gates.remember(&mut memory);
        memory.write(self.store.root());
        outcomes
    }
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod fake_tls;
#[cfg(test)]
mod tests;
