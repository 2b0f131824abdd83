//! Makes an image available for nodes: an image in the engine already is; others come from the store, from a
//! registry into the store, or through `docker pull`, depending on the settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use etcetera::BaseStrategy as _;

use anyhow::Context as _;

use crate::archive::Platform;
use crate::context::Context;
use crate::error::{Exit, Failure, exit_of, with_causes};
use crate::images::ImageRef;
use crate::images::loading::PullWith;
use crate::images::outcome::{OriginAnswer, Provenance};
use crate::images::plan::Pull;
use crate::images::trouble::Trouble;
use crate::load::pull::{PullFailure, hint, pull_any};
use crate::net::{Network, VARIABLE_HINT};
use crate::process::Interrupt;
use crate::registry::{Client, ClientConfig, FetchEvent, FetchRequest, RegistryError, docker_logins};
use crate::store::{Store, StoreError, StoredImage};
use crate::tools::{DockerInfo, EngineRegistries};

/// An image available for nodes.
#[derive(Default)]
pub(crate) struct ReadyImage {
    pub(crate) provenance: Provenance,
    /// The image in the store; `None` if it is in the engine.
    pub(crate) held: Option<StoredImage>,
}

/// The image store's folder.
///
/// # Errors
/// Fails if the settings name none and the user has no home directory.
pub(crate) fn store_folder(context: &Context) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &context.settings.images.store {
        return Ok(folder.clone());
    }
    let folders = etcetera::choose_base_strategy()?;
    Ok(folders.cache_dir().join("milvusctl/images"))
}

/// Ends a wait for a registry or another run on an interrupt or at the deadline.
fn patience(context: &Context) -> Interrupt {
    let left = context.deadline.left_together();
    left.map_or_else(|| context.interrupt.clone(), |left| context.interrupt.after(left))
}

/// Opens the store if images are downloaded without the engine; `None` if only the engine pulls.
///
/// A bundle always uses the store. With `auto`, a store that cannot be opened is reported and the engine
/// pulls instead.
///
/// # Errors
/// Fails with `registry` if the store cannot be opened, or if waiting for a run that prunes it ends early.
pub(crate) fn open_store(context: &Context) -> anyhow::Result<Option<Arc<Store>>> {
    let pull_with = context.settings.images.pull_with;
    let has_bundle = context.settings.images.bundle.is_some();
    if pull_with == PullWith::Docker && !has_bundle {
        return Ok(None);
    }
    match opened_store(context) {
        Ok(store) => Ok(Some(store)),
        Err(error) if matches!(exit_of(&error), Exit::Interrupted | Exit::TimedOut) => Err(error),
        Err(error) if pull_with == PullWith::Auto && !has_bundle => {
            context.ui.warn(&format!("{error:#}; the engine pulls instead"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Opens an existing store without creating one.
///
/// # Errors
/// See [`opened_store`].
pub(crate) fn existing_store(context: &Context) -> anyhow::Result<Option<Store>> {
    Ok(Store::open_existing(&store_folder(context)?, &patience(context))?)
}

/// Opens the store.
///
/// # Errors
/// Fails if it cannot be opened, or if waiting for a run that prunes it ends early.
pub(crate) fn opened_store(context: &Context) -> anyhow::Result<Arc<Store>> {
    let folder = store_folder(context)?;
    let store = Store::open(&folder, &patience(context)).map_err(|error| match error {
        StoreError::Interrupted if context.interrupt.is_set() => {
            anyhow::Error::from(Failure::new(Exit::Interrupted, "interrupted"))
        }
        StoreError::Interrupted => {
            let what = format!("another milvusctl is still pruning the image store `{}`", folder.display());
            Failure::new(Exit::TimedOut, what).into()
        }
        error => error.into(),
    })?;
    Ok(Arc::new(store))
}

/// A registry client with this machine's environment and the user's rules and logins.
///
/// # Errors
/// Fails if the engine does not list its mirrors, or an environment variable has an unusable value.
pub(super) fn client_of<'a>(context: &Context, store: &'a Arc<Store>) -> anyhow::Result<Client<'a>> {
    let info = context.tools.docker.info().context("could not ask the container engine")?;
    let engine = EngineRegistries::parse(&info);
    let network =
        Network::of_this_machine().map_err(|why| Failure::new(Exit::Failed, why).hint(VARIABLE_HINT))?;
    let ui = context.ui.clone();
    let logins = docker_logins(&context.tools, &context.interrupt, move |why| ui.warn_once(why));
    let (rules, interrupt) = (context.mirror_rules(), patience(context));
    Ok(Client::new(store, ClientConfig { rules, engine, network, logins, interrupt }))
}

/// Downloads images; can be shared between threads.
pub(crate) struct Fetcher<'a> {
    context: &'a Context,
    store: Option<&'a Arc<Store>>,
    client: Option<Client<'a>>,
}

impl<'a> Fetcher<'a> {
    /// # Errors
    /// Fails if the engine does not list its mirrors.
    pub(crate) fn new(context: &'a Context, store: Option<&'a Arc<Store>>) -> anyhow::Result<Self> {
        let asks = context.settings.images.bundle.is_none();
        let client = store.filter(|_| asks).map(|store| client_of(context, store)).transpose()?;
        Ok(Self { context, store, client })
    }

    /// Gets an image that the engine lacks, into the store for all `platforms`; if the engine must pull it,
    /// only for its own.
    ///
    /// # Errors
    /// Fails if no place has it, with each place's answer.
    pub(crate) fn get(
        &self,
        image: &ImageRef,
        platforms: &[Platform],
        pull: &Pull,
    ) -> Result<ReadyImage, PullFailure> {
        if let Some(bundle) = &self.context.settings.images.bundle {
            return self.bundled(image, platforms, bundle);
        }
        let Some(client) = &self.client else { return self.by_docker(image, platforms, pull) };
        let error = match self.fetch(client, image, platforms, pull) {
            Ok(fetched) => return Ok(fetched),
            Err(error) => error,
        };
        if error.is_interrupt() {
            return Err(self.stopped());
        }
        let failure = self.failure(image, &error);
        let is_final =
            error.kind() == Trouble::NotFound || self.context.settings.images.pull_with == PullWith::Registry;
        if is_final {
            return Err(failure);
        }
        self.context.ui.verbose(&format!("{}; trying `docker pull`", failure.error));
        self.by_docker(image, platforms, pull).map_err(|by_docker| PullFailure {
            error: format!("{}; `docker pull`: {}", failure.error, by_docker.error),
            hint: by_docker.hint.or(failure.hint),
        })
    }

    /// Why the download was stopped early.
    fn stopped(&self) -> PullFailure {
        if self.context.interrupt.is_set() {
            return PullFailure { error: "interrupted".into(), hint: None };
        }
        let hint = "run it again with a longer `--timeout`; what was downloaded is kept".to_owned();
        PullFailure { error: "timed out before the download finished".into(), hint: Some(hint) }
    }

    /// Images from the bundle are in the store, and no registry is contacted.
    fn bundled(
        &self,
        image: &ImageRef,
        platforms: &[Platform],
        bundle: &Path,
    ) -> Result<ReadyImage, PullFailure> {
        let failed = |error: String, hint: &str| PullFailure { error, hint: Some(hint.to_owned()) };
        let found = self.store.map_or(Ok(None), |store| store.find(image, platforms));
        match found.map_err(|error| failed(with_causes(&error), "name another folder with `--store`"))? {
            Some(held) => {
                let provenance = Provenance { digest: Some(held.descriptor.digest), ..Provenance::default() };
                Ok(ReadyImage { provenance, held: Some(held) })
            }
            None => Err(failed(
                format!(
                    "it is neither in the bundle `{}` nor in the engine, and no registry is contacted",
                    bundle.display()
                ),
                "save a bundle that contains it, or drop `--bundle` and `images.bundle`",
            )),
        }
    }

    fn by_docker(
        &self,
        image: &ImageRef,
        platforms: &[Platform],
        pull: &Pull,
    ) -> Result<ReadyImage, PullFailure> {
        if image.digest().is_some() && !self.engine_keeps_digests() {
            let error = "the engine does not keep the digest that pins it when it saves an image".into();
            let hint = "use only the image's tag, or let the nodes pull it through a mirror";
            return Err(PullFailure { error, hint: Some(hint.to_owned()) });
        }
        // The engine only pulls for one platform.
        let platform = platforms.first().cloned().unwrap_or_else(Platform::of_this_machine);
        let pulled = pull_any(self.context, image, pull, &platform)?;
        let provenance = Provenance {
            origin: pulled.is_mirrored.then(|| OriginAnswer::Unknown {
                error: "the engine pulled it without asking the original registry".to_owned(),
            }),
            pulled_from: Some(pulled.from),
            digest: None,
        };
        Ok(ReadyImage { provenance, held: None })
    }

    /// Whether images pulled by digest keep that digest in the engine.
    fn engine_keeps_digests(&self) -> bool {
        let info = self.context.tools.docker.info();
        info.is_ok_and(|info| DockerInfo::read(&info).is_ok_and(|info| info.has_containerd_store()))
    }

    fn fetch(
        &self,
        client: &Client<'_>,
        image: &ImageRef,
        platforms: &[Platform],
        pull: &Pull,
    ) -> Result<ReadyImage, RegistryError> {
        let name = image.familiar();
        let transfer = self.context.ui.transfer(&format!("fetching {name}"));
        let wanted = [FetchRequest { image: image.clone(), platforms: platforms.to_vec() }];
        let on_event = |event: FetchEvent<'_>| {
            if let FetchEvent::Bytes { done, total } = event {
                transfer.at(done, Some(total));
            }
        };
        let fetched = client.fetch(&wanted, &on_event).pop().unwrap_or(Err(RegistryError::Interrupted));
        match fetched {
            Ok(fetched) => {
                if let Some(host) = &fetched.from {
                    transfer.done(&format!("fetched {name} from {host}"), Some(fetched.received));
                } else {
                    transfer.vanish();
                    self.context.ui.verbose(&format!("{name} is in the image store"));
                }
                let digest = fetched.held.descriptor.digest;
                if let Some(OriginAnswer::Differs { digest: other }) = fetched.origin {
                    self.context.ui.warn(&format!(
                        "`{name}` is {digest} at {}, and {other} at {} itself",
                        fetched.from.as_deref().unwrap_or("the mirror"),
                        image.registry()
                    ));
                }
                let pulled_from = fetched.from.map(|host| {
                    let of_host = |image: &ImageRef| image.registry() == host;
                    let known = pull.candidates.iter().find(|candidate| of_host(&candidate.image));
                    known.map_or_else(|| format!("{host}/{}", tail(image)), |known| known.image.to_string())
                });
                let provenance = Provenance { pulled_from, digest: Some(digest), origin: fetched.origin };
                Ok(ReadyImage { provenance, held: Some(fetched.held) })
            }
            Err(error) => {
                if error.is_interrupt() {
                    transfer.vanish();
                } else {
                    transfer.failed(&with_causes(&error));
                }
                Err(error)
            }
        }
    }

    fn failure(&self, image: &ImageRef, error: &RegistryError) -> PullFailure {
        let hint = match error {
            RegistryError::Store { source, .. } if source.is_full() => {
                "make room with `milvusctl images prune`, or name a folder on another disk with `--store`"
                    .into()
            }
            RegistryError::Store { source, .. } if matches!(**source, StoreError::NotAStore { .. }) => {
                "name another folder with `--store`".into()
            }
            RegistryError::Nowhere { attempts, .. } if attempts.iter().any(|(_, why)| why.is_ours()) => {
                "make these certificates readable for you, or take them away".into()
            }
            _ => hint(self.context, image, &error.to_string(), error.kind()),
        };
        PullFailure { error: with_causes(error), hint: Some(hint) }
    }
}

/// The path and tag of an image, without its registry.
fn tail(image: &ImageRef) -> String {
    image.to_string().trim_start_matches(image.registry()).trim_start_matches('/').to_owned()
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
