//! Images straight from registries into the store, by the distribution API, with the manners that mirrors ask for.
//!
//! A small blocking client on `ureq`, which the program has anyway, and `docker_credential` for logins. `oci-client`
//! would bring 140 crates and an asynchronous runtime, and leave to us what this is about: its streams of a part of a
//! blob leave the digest to the caller (rust-oci-client#171), and it has neither several places for one blob, nor
//! limits and refusals per host, nor redirects under our control.
//!
//! Every request runs on a thread of its own (`exchange`) behind its host's `gate`; `resolve` finds manifests,
//! `download` one blob, and this file all blobs of all images, several at a time. Bytes go to disk as they come:
//! memory holds a few pieces for each connection, whatever the size of an image.

mod auth;
mod download;
mod error;
pub(crate) mod exchange;
mod fetch;
mod gate;
mod line;
mod memory;
mod net;
mod patience;
mod place;
mod push;
mod resolve;
mod scheme;
mod standing;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub use auth::{Logins, docker_logins};
pub use error::RegistryError;
pub use fetch::{FetchRequest, Fetched, News};
pub use net::{Proxies, Roots};
pub use place::places;

use patience::Patience;

use crate::images::mirror::Rules;
use crate::process::Interrupt;
use crate::store::Store;
use crate::tools::EngineRegistries;

/// Where the client looks and who it is.
pub struct Surroundings {
    pub rules: Rules,
    pub engine: EngineRegistries,
    pub proxies: Proxies,
    pub logins: Logins,
    /// Docker's folders of certificates for single hosts.
    pub certs_d: Vec<PathBuf>,
    pub roots: Roots,
    pub interrupt: Interrupt,
}

impl Surroundings {
    /// Those of this process: the environment's proxies and certificates, the logins of `docker login`, Docker's
    /// certificates.
    ///
    /// # Errors
    /// Fails when a variable of the environment names what cannot be used.
    pub fn of_this_machine(
        rules: Rules,
        engine: EngineRegistries,
        interrupt: Interrupt,
    ) -> Result<Self, String> {
        let rootless = etcetera::home_dir().ok().map(|home| home.join(".config/docker/certs.d"));
        Ok(Self {
            rules,
            engine,
            proxies: Proxies::from(|name| std::env::var(name).ok())?,
            roots: Roots::from(|name| std::env::var_os(name))?,
            logins: docker_logins(),
            certs_d: [PathBuf::from("/etc/docker/certs.d")].into_iter().chain(rootless).collect(),
            interrupt,
        })
    }
}

/// Fetches images into a store.
pub struct Client<'a> {
    store: &'a Store,
    rules: Rules,
    engine: EngineRegistries,
    shared: Arc<exchange::Shared>,
}

impl<'a> Client<'a> {
    pub fn new(store: &'a Store, surroundings: Surroundings) -> Self {
        Self::with(store, surroundings, Patience::default())
    }

    fn with(store: &'a Store, surroundings: Surroundings, patience: Patience) -> Self {
        let memory = memory::KnownHosts::read(store.root());
        let shared = Arc::new(exchange::Shared {
            gates: Arc::new(gate::Gates::new(&memory, patience.minute)),
            agents: net::Agents::new(surroundings.proxies, surroundings.certs_d, surroundings.roots),
            auth: auth::Auth::new(surroundings.logins),
            memory: Mutex::new(memory),
            interrupt: surroundings.interrupt,
            patience,
        });
        Self { store, rules: surroundings.rules, engine: surroundings.engine, shared }
    }

    /// Fetches `wanted` into the store, and names each image once all of it is there.
    ///
    /// What the store holds is not asked for again. `tell` is called from several threads. The outcomes come in the
    /// order of `wanted`.
    pub fn fetch(
        &self,
        wanted: &[FetchRequest],
        tell: &(dyn Fn(News<'_>) + Sync),
    ) -> Vec<Result<Fetched, RegistryError>> {
        let outcomes = fetch::FetchRun::new(self, wanted, tell).run();
        let mut memory = self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.gates.remember(&mut memory);
        memory.write(self.store.root());
        outcomes
    }
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
