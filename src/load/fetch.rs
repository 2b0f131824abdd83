//! Gets one image to where nodes can be given it: what the engine holds is there already; all else comes from the
//! store or straight from a registry into it, or by `docker pull`, as the settings say.

use std::path::PathBuf;
use std::sync::Arc;

use etcetera::BaseStrategy as _;

use crate::archive;
use crate::context::Context;
use crate::images::ImageRef;
use crate::images::loading::PullWith;
use crate::images::message::MessageKind;
use crate::images::plan::{Platform, Pull};
use crate::load::pull::{PullFailure, hint, pull_any};
use crate::registry::{Client, News, Origin, RegistryError, Surroundings, Wanted};
use crate::store::{Held, Store, StoreError};
use crate::tools::EngineRegistries;

/// An image that can be given to nodes.
pub(crate) struct Fetched {
    /// Where it came from; none when it was there.
    pub(crate) from: Option<String>,
    /// How it stands in the store; none when it is in the engine.
    pub(crate) held: Option<Held>,
}

/// The folder of the store.
///
/// # Errors
/// Fails when the settings name none and the user has no home.
pub(crate) fn store_folder(context: &Context) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &context.settings.images.store {
        return Ok(folder.clone());
    }
    let folders = etcetera::choose_base_strategy()?;
    Ok(folders.cache_dir().join("milvusctl/images"))
}

/// The store where images are fetched past the engine; `None` where only the engine pulls.
///
/// Under `auto` a store that cannot be opened is said, and the engine pulls.
///
/// # Errors
/// Fails under `registry` when the store cannot be opened.
pub(crate) fn open_store(context: &Context) -> anyhow::Result<Option<Arc<Store>>> {
    let pull_with = context.settings.images.pull_with;
    if pull_with == PullWith::Docker {
        return Ok(None);
    }
    let opened = store_folder(context).and_then(|folder| Ok(Store::open(&folder)?));
    match opened {
        Ok(store) => Ok(Some(Arc::new(store))),
        Err(error) if pull_with == PullWith::Auto => {
            context.ui.warn(&format!("{error:#}; the engine pulls instead"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Gets images, several at a time where it is shared between threads.
pub(crate) struct Fetcher<'a> {
    context: &'a Context,
    client: Option<Client<'a>>,
}

impl<'a> Fetcher<'a> {
    pub(crate) fn new(context: &'a Context, store: Option<&'a Arc<Store>>) -> Self {
        let client = store.map(|store| {
            // An engine that does not answer has no mirrors of its own to tell of.
            let info = context.tools.docker.info().unwrap_or_default();
            let engine = EngineRegistries::parse(&info);
            let surroundings =
                Surroundings::of_this_machine(context.mirror_rules(), engine, context.interrupt.clone());
            Client::new(store, surroundings)
        });
        Self { context, client }
    }

    /// Gets an image that the engine does not hold.
    ///
    /// # Errors
    /// Fails when it is nowhere to be had; says what each place answered.
    pub(crate) fn get(
        &self,
        image: &ImageRef,
        platform: &Platform,
        pull: &Pull,
    ) -> Result<Fetched, PullFailure> {
        let Some(client) = &self.client else { return self.by_docker(image, pull) };
        let error = match self.fetch(client, image, platform, pull) {
            Ok(fetched) => return Ok(fetched),
            Err(error) => error,
        };
        if error.is_interrupt() {
            return Err(PullFailure { error: "interrupted".into(), hint: None });
        }
        let failure = self.failure(image, &error);
        let is_final = error.kind() == MessageKind::NotFound
            || self.context.settings.images.pull_with == PullWith::Registry
            || image.digest().is_some();
        if is_final {
            return Err(failure);
        }
        self.context.ui.verbose(&format!("{}; trying `docker pull`", failure.error));
        self.by_docker(image, pull).map_err(|by_docker| PullFailure {
            error: format!("{}; `docker pull`: {}", failure.error, by_docker.error),
            hint: by_docker.hint.or(failure.hint),
        })
    }

    fn by_docker(&self, image: &ImageRef, pull: &Pull) -> Result<Fetched, PullFailure> {
        pull_any(self.context, image, pull).map(|pulled| Fetched { from: pulled.from, held: None })
    }

    fn fetch(
        &self,
        client: &Client<'_>,
        image: &ImageRef,
        platform: &Platform,
        pull: &Pull,
    ) -> Result<Fetched, RegistryError> {
        let name = image.familiar();
        let transfer = self.context.ui.transfer(&format!("fetching {name}"));
        let platform = archive::Platform {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            variant: None,
        };
        let wanted = [Wanted { image: image.clone(), platforms: vec![platform] }];
        let tell = |news: News<'_>| {
            if let News::Bytes { done, total } = news {
                transfer.at(done, Some(total));
            }
        };
        let fetched = client.fetch(&wanted, &tell).pop().unwrap_or(Err(RegistryError::Interrupted));
        match fetched {
            Ok(fetched) => {
                match &fetched.from {
                    Some(host) => {
                        transfer.done(&format!("fetched {name} from {host}"), Some(fetched.received));
                    }
                    None => transfer.done(&format!("{name} is in the image store"), None),
                }
                if let Origin::Differs { .. } = fetched.origin {
                    self.context.ui.warn(&format!(
                        "`{name}` at {} is not what its own registry has now",
                        fetched.from.as_deref().unwrap_or("the mirror")
                    ));
                }
                let from = fetched.from.map(|host| {
                    let of_host = |image: &ImageRef| image.registry() == host;
                    let known = pull.candidates.iter().find(|candidate| of_host(&candidate.image));
                    known.map_or_else(|| format!("{host}/{}", tail(image)), |known| known.image.to_string())
                });
                Ok(Fetched { from, held: Some(fetched.held) })
            }
            Err(error) => {
                if error.is_interrupt() {
                    transfer.vanish();
                } else {
                    transfer.failed(&chain(&error));
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
            _ => hint(self.context, image, &error.to_string(), error.kind()),
        };
        PullFailure { error: chain(error), hint: Some(hint) }
    }
}

/// Path and tag of an image, without its registry.
fn tail(image: &ImageRef) -> String {
    image.to_string().trim_start_matches(image.registry()).trim_start_matches('/').to_owned()
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
