//! Pushes the planned images to the registry that an existing cluster pulls from: from the store, for all
//! node platforms. Images in the engine are first copied to the store, and missing ones downloaded. Images
//! are only tagged in the engine if it must pull and push by itself.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;

use crate::archive::Platform;
use crate::context::Context;
use crate::error::{Exit, Failure, with_causes};
use crate::images::ImageRef;
use crate::images::catalog::PlannedImage;
use crate::images::loading::PullWith;
use crate::images::plan::{EngineImages, HeldImage, Pull, platform_of};
use crate::images::reference::below;
use crate::images::trouble::Trouble;
use crate::load::dry_run::pull_script;
use crate::load::fetch::{Fetcher, ReadyImage, client_of, open_store};
use crate::load::find::{engine_images, nodes};
use crate::load::from_engine::{is_same, read_from_engine};
use crate::load::not_pushed::NotPushed;
use crate::load::pull::{PullFailure, pull_any};
use crate::load::push_engine::push_from_engine;
use crate::registry::{Client, RegistryError};
use crate::store::{Store, StoredImage};
use crate::text::comment;
use crate::tools::docker::{copy_command, push_command, remove_command, tag_command};
use crate::ui::count;

/// Where to push an image from.
enum PushFrom {
    Store(Box<StoredImage>),
    Engine,
}

/// Fetches and pushes `images`, `jobs` at a time.
///
/// # Errors
/// Fails with [`Exit::Partial`] if some images could not be pushed, with [`Exit::Failed`] if none could, if
/// the cluster does not list its nodes, or if the user interrupts.
pub(crate) fn push_images(context: &Context, images: &[PlannedImage], jobs: usize) -> anyhow::Result<()> {
    let store = open_store(context)?;
    let platforms = platforms_of_nodes(context)?;
    let fetcher = Fetcher::new(context, store.as_ref())?;
    let client = store.as_ref().map(|store| client_of(context, store)).transpose()?;
    let pushing = Pushing { context, store: store.as_ref(), fetcher, client, platforms };
    let next = AtomicUsize::new(0);
    let failures: Mutex<Vec<(String, NotPushed)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(images.len()) {
            scope.spawn(|| {
                while let Some(planned) = images.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if context.interrupt.is_set() {
                        return;
                    }
                    if let Err(failure) = pushing.push(&planned.image)
                        && let Ok(mut failures) = failures.lock()
                    {
                        failures.push((planned.image.familiar(), failure));
                    }
                }
            });
        }
    });
    context.check_interrupt()?;
    let mut failures = failures.into_inner().unwrap_or_default();
    if failures.is_empty() {
        return Ok(());
    }
    failures.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut lines = vec![format!(
        "{} could not be pushed to `{}`",
        count(failures.len(), "image"),
        context.settings.mirror.push.as_deref().unwrap_or_default()
    )];
    lines.extend(failures.iter().map(|(image, failure)| format!("{image}: {}", failure.error)));
    let exit = if failures.len() < images.len() { Exit::Partial } else { Exit::Failed };
    let mut hints: Vec<String> = failures.into_iter().filter_map(|(_, failure)| failure.hint).collect();
    hints.dedup();
    hints.push("nothing was installed; run the same command again to resume".to_owned());
    Err(Failure::new(exit, lines.join("\n")).hints(hints).into())
}

/// The platforms of the cluster's nodes.
fn platforms_of_nodes(context: &Context) -> anyhow::Result<Vec<Platform>> {
    let nodes = nodes(context).context("could not determine the platforms to push")?;
    let platforms: BTreeSet<Platform> =
        nodes.iter().map(platform_of).filter(|platform| !platform.os.is_empty()).collect();
    if platforms.is_empty() {
        return Ok(vec![Platform::of_this_machine()]);
    }
    Ok(platforms.into_iter().collect())
}

/// An image's name in the target registry.
fn target_of(context: &Context, image: &ImageRef) -> String {
    let name = image.without_digest().to_string();
    context.settings.mirror.push.as_ref().map_or_else(|| name.clone(), |prefix| below(prefix, &name))
}

/// The commands to push images manually.
///
/// # Errors
/// Fails if the engine is to pull and the cluster does not report its nodes' platforms.
pub(crate) fn push_script(context: &Context, images: &[PlannedImage]) -> anyhow::Result<String> {
    let is_by_docker = context.settings.images.pull_with == PullWith::Docker;
    let platforms = if is_by_docker { platforms_of_nodes(context)? } else { Vec::new() };
    let platform = pulled_platform(&platforms);
    let by_hand = |planned: &PlannedImage| {
        let image = &planned.image;
        let name = image.familiar();
        let candidates = context.mirror_rules().candidates(image);
        let target = target_of(context, image);
        if is_by_docker {
            let pull = pull_script(&name, &Pull { candidates }, &platform);
            let tag = tag_command(&image.without_digest().familiar(), &target);
            return [
                pull,
                tag.to_string(),
                push_command(&target).to_string(),
                remove_command(&target).to_string(),
            ]
            .join("\n");
        }
        let copies =
            candidates.iter().map(|place| copy_command(&place.image.familiar(), &target).to_string());
        copies.collect::<Vec<_>>().join(" || ")
    };
    let scripts: Vec<String> = images.iter().map(by_hand).collect();
    if is_by_docker {
        return Ok(scripts.join("\n"));
    }
    let what = "milvusctl pushes images for the nodes' platforms from the image store, after copying missing ones from \
                the engine or downloading them from a registry; by hand, from registry to registry:";
    Ok(format!("{}\n{}", comment(what), scripts.join("\n")))
}

/// The node platform that the engine pulls for.
fn pulled_platform(platforms: &[Platform]) -> Platform {
    platforms.first().cloned().unwrap_or_else(Platform::of_this_machine)
}

/// State shared by all pushes.
struct Pushing<'a> {
    context: &'a Context,
    /// `None` if only the engine pulls and pushes.
    store: Option<&'a Arc<Store>>,
    fetcher: Fetcher<'a>,
    /// The client that pushes from the store; with a bundle, it downloads nothing.
    client: Option<Client<'a>>,
    /// The platforms of the cluster's nodes.
    platforms: Vec<Platform>,
}

impl Pushing<'_> {
    fn push(&self, image: &ImageRef) -> Result<(), NotPushed> {
        let target = target_of(self.context, image);
        match (self.source(image)?, &self.client) {
            (PushFrom::Store(held), Some(client)) => self.send_from_store(client, &held, &target),
            _ => push_from_engine(self.context, image, &target),
        }
    }

    /// Finds an image and gets it into the store, if there is one.
    fn source(&self, image: &ImageRef) -> Result<PushFrom, NotPushed> {
        let engine = self.ask_engine(image)?;
        let pull = Pull { candidates: self.context.mirror_rules().candidates(image) };
        let not_had = |failure: PullFailure| NotPushed { error: failure.error, hint: failure.hint };
        let Some(store) = self.store else {
            if !engine.held.contains_key(image) {
                pull_any(self.context, image, &pull, &pulled_platform(&self.platforms)).map_err(not_had)?;
            }
            return Ok(PushFrom::Engine);
        };
        let in_engine = engine.savable(image);
        let in_store = store
            .find(image, &self.platforms)
            .map_err(|error| NotPushed { error: with_causes(&error), hint: None })?
            .filter(|held| in_engine.is_none_or(|image| is_same(image, held)));
        if let Some(held) = in_store {
            return Ok(PushFrom::Store(Box::new(held)));
        }
        let taken_over = |held: &HeldImage| {
            let taken = read_from_engine(self.context, store, image, &held.platform);
            taken.map(|held| PushFrom::Store(Box::new(held))).map_err(not_had)
        };
        if let Some(held) = in_engine.filter(|held| self.is_enough(&held.platform)) {
            return taken_over(held);
        }
        match (self.fetcher.get(image, &self.platforms, &pull), in_engine) {
            (Ok(ReadyImage { held: Some(held), .. }), _) => Ok(PushFrom::Store(Box::new(held))),
            (Ok(ReadyImage { held: None, .. }), _) => match self.ask_engine(image)?.savable(image) {
                Some(held) => taken_over(held),
                None => Ok(PushFrom::Engine),
            },
            (Err(failure), Some(in_engine)) => {
                self.context.ui.warn(&format!(
                    "`{}` is pushed only for {}, the engine's platform: {}",
                    image.familiar(),
                    in_engine.platform,
                    failure.error
                ));
                taken_over(in_engine)
            }
            (Err(failure), None) => Err(not_had(failure)),
        }
    }

    fn ask_engine(&self, image: &ImageRef) -> Result<EngineImages, NotPushed> {
        engine_images(self.context, &[image])
            .map_err(|error| NotPushed { error: format!("{error:#}"), hint: None })
    }

    /// Whether an image for `platform` can run on every node.
    fn is_enough(&self, platform: &Platform) -> bool {
        self.platforms.iter().all(|node| node == platform)
    }

    fn send_from_store(
        &self,
        client: &Client<'_>,
        held: &StoredImage,
        target: &str,
    ) -> Result<(), NotPushed> {
        let name: ImageRef = target.parse().map_err(|error| NotPushed {
            error: format!("`{target}` is not a valid image name: {error}"),
            hint: None,
        })?;
        let transfer = self.context.ui.transfer(&format!("pushing {target}"));
        match client.push(held, &name, &|sent| transfer.at(sent, None)) {
            Ok(sent) => {
                transfer.done(&format!("pushed {target}"), Some(sent));
                Ok(())
            }
            Err(error) if error.is_interrupt() => {
                transfer.vanish();
                Err(NotPushed { error: "interrupted".to_owned(), hint: None })
            }
            Err(error) => {
                let words = with_causes(&error);
                transfer.failed(&words);
                Err(NotPushed { error: words, hint: Some(push_hint(name.registry(), &error)) })
            }
        }
    }
}

/// The hint for a rejected push.
fn push_hint(registry: &str, error: &RegistryError) -> String {
    if error.kind() == Trouble::Denied {
        return format!("log in with `docker login {registry}`, and check that you may push there");
    }
    if error.is_about_tls() {
        return format!(
            "put the certificate of `{registry}` into /etc/docker/certs.d/{registry}/ca.crt; without TLS, list \
             it under `insecure-registries` in the engine's daemon.json"
        );
    }
    if error.is_too_large() {
        return format!("a proxy in front of `{registry}` limits the size of requests: raise its limit");
    }
    format!(
        "check name and port of `{registry}`; with `--pull-with docker` the engine pulls and pushes, through its own proxies"
    )
}

/// Refuses to push for a release with unknown images.
///
/// # Errors
/// Fails with [`Exit::Usage`].
pub(crate) fn check_known(context: &Context, is_known: bool) -> anyhow::Result<()> {
    if is_known || context.settings.mirror.push.is_none() {
        return Ok(());
    }
    let version = &context.settings.operator.version;
    Err(Failure::new(
        Exit::Usage,
        format!("the images of milvus-operator {version} are unknown, so they cannot be pushed"),
    )
    .hint(
        "choose a release that `milvusctl images plan` knows, or push its images yourself and drop `--push`",
    )
    .into())
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
