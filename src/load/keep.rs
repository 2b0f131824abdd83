//! Gets images into the store, wherever they are: what a bundle is written from.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::archive::{self, Expected, Limits, NodeHolds, Sink};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::images::ImageRef;
use crate::images::loading::PullWith;
use crate::images::plan::{EngineImages, Platform, Pull};
use crate::load::fetch::{Fetched, Fetcher, archive_platform};
use crate::load::find::engine_images;
use crate::load::pull::PullFailure;
use crate::process::ExecError;
use crate::store::{Held, ImportError, Store};
use crate::tools::Docker;
use crate::tools::docker::PLATFORM_SAVE_API;

/// Gets `images` for `platform` into the store, a few at a time: what is there stays, what the engine holds comes from
/// the engine, all else from its registry.
///
/// # Errors
/// Fails when one of them is nowhere to be had, and says so of each; and when the user interrupts.
pub(crate) fn keep(
    context: &Context,
    store: &Arc<Store>,
    images: &[ImageRef],
    platform: &Platform,
) -> anyhow::Result<Vec<Held>> {
    let fetches = context.settings.images.pull_with != PullWith::Docker;
    let keeping =
        Keeping { context, store, fetcher: Fetcher::new(context, fetches.then_some(store))?, platform };
    let next = AtomicUsize::new(0);
    let kept: Vec<Mutex<Option<Result<Held, PullFailure>>>> =
        images.iter().map(|_| Mutex::default()).collect();
    std::thread::scope(|scope| {
        for _ in 0..usize::from(context.settings.images.jobs).min(images.len()) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(image) = images.get(place).filter(|_| !context.interrupt.is_set()) else {
                        return;
                    };
                    let outcome = keeping.one(image);
                    *kept[place].lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                }
            });
        }
    });
    context.check_interrupt()?;
    let mut held = Vec::new();
    let (mut lines, mut hints) = (Vec::new(), Vec::new());
    for (image, outcome) in images.iter().zip(kept) {
        match outcome.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(Ok(one)) => held.push(one),
            Some(Err(PullFailure { error, hint })) => {
                lines.push(format!("{}: {error}", image.familiar()));
                hints.extend(hint.filter(|hint| !hints.contains(hint)));
            }
            None => lines.push(format!("{}: it was not looked for", image.familiar())),
        }
    }
    if lines.is_empty() {
        return Ok(held);
    }
    let what = format!("could not get {}\n  {}", crate::ui::count(lines.len(), "image"), lines.join("\n  "));
    hints.push("what has come is in the store; run the same command again to go on".to_owned());
    Err(Failure::new(Exit::Failed, what).hints(hints).into())
}

struct Keeping<'a> {
    context: &'a Context,
    store: &'a Arc<Store>,
    fetcher: Fetcher<'a>,
    platform: &'a Platform,
}

impl Keeping<'_> {
    fn one(&self, image: &ImageRef) -> Result<Held, PullFailure> {
        let failed = |error: String| PullFailure { error, hint: None };
        let known = self.store.find(image, &[archive_platform(self.platform)]);
        if let Some(held) = known.map_err(|error| failed(error.to_string()))? {
            self.context.ui.verbose(&format!("{} is in the image store", image.familiar()));
            self.store.used(held.descriptor.digest);
            return Ok(held);
        }
        // An engine that does not answer holds nothing that could be had.
        let engine = engine_images(self.context, &[image]).unwrap_or_else(|error| {
            let name = image.familiar();
            self.context.ui.verbose(&format!("could not ask the engine for {name}: {error:#}"));
            EngineImages::default()
        });
        let fits = |held: &crate::images::plan::HeldImage| {
            held.platform == *self.platform && (image.digest().is_none() || engine.keeps_digests)
        };
        if engine.held.get(image).is_some_and(fits) {
            return self.read_from_engine(image);
        }
        let pull = Pull { candidates: self.context.mirror_rules().candidates(image) };
        match self.fetcher.get(image, std::slice::from_ref(self.platform), &pull)? {
            Fetched { held: Some(held), .. } => Ok(held),
            Fetched { held: None, .. } => self.read_from_engine(image),
        }
    }

    /// Takes an image over from the engine: what `docker save` gives becomes an OCI image layout on its way, as for a
    /// node that holds nothing.
    fn read_from_engine(&self, image: &ImageRef) -> Result<Held, PullFailure> {
        let name = image.familiar();
        let transfer = self.context.ui.transfer(&format!("reading {name} from the engine"));
        match self.save(image, &|bytes| transfer.at(bytes, None)) {
            Ok((held, bytes)) => {
                transfer.done(&format!("read {name} from the engine"), Some(bytes));
                Ok(held)
            }
            Err(error) => {
                if self.context.interrupt.is_set() {
                    transfer.vanish();
                } else {
                    transfer.failed(&format!("could not read {name} from the engine: {error}"));
                }
                Err(PullFailure { error: format!("could not be read from the engine: {error}"), hint: None })
            }
        }
    }

    fn save(&self, image: &ImageRef, progress: &dyn Fn(u64)) -> Result<(Held, u64), String> {
        let docker = &self.context.tools.docker;
        let api = docker.version().map_err(last_words)?.api;
        // An engine with containerd's store otherwise gives an index of which it may hold one platform (kind#3795).
        let platform = (api >= PLATFORM_SAVE_API).then(|| self.platform.to_string());
        let command = Docker::save(&[image.familiar()], platform.as_deref());
        let mut save = self.context.tools.runner().start(&command).map_err(last_words)?;
        drop(save.take_input());
        let source = save.take_output().ok_or("the engine's archive cannot be read")?;
        let (reader, writer) = io::pipe().map_err(|error| error.to_string())?;
        let name = image.node_name().to_string();
        let expected = Expected {
            platform: Some(archive_platform(self.platform)),
            ..Expected::named(image.to_string())
        };
        let sink = Sink {
            node: name.clone(),
            writer: Box::new(writer),
            holds: NodeHolds::nothing(),
            wants: Vec::new(),
        };
        let wanted = [image.clone()];
        let (sent, imported) = std::thread::scope(|scope| {
            let import = scope.spawn(|| {
                let platform = archive_platform(self.platform);
                self.store.import(reader, &wanted, &platform, &mut |_| ())
            });
            let sent = archive::transfer(source, &[expected], vec![sink], Limits::default(), &|at| {
                progress(at.bytes_read);
            });
            (sent, import.join())
        });
        match sent {
            Ok(sent) => {
                save.wait(&self.context.interrupt).map_err(last_words)?;
                let imported = imported.map_err(|_| "the store could not take it")?;
                let mut held = imported.map_err(|error: ImportError| error.to_string())?;
                Ok((held.pop().ok_or("the archive does not hold it")?, sent.bytes_read))
            }
            Err(error) => {
                save.stop();
                Err(error.to_string())
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn last_words(error: ExecError) -> String {
    error.tail().last().cloned().unwrap_or_else(|| error.to_string())
}
