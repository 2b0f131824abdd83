//! Collects images in the store, from wherever they are, to write a bundle.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::archive::Platform;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::images::ImageRef;
use crate::images::loading::PullWith;
use crate::images::plan::{EngineImages, Pull};
use crate::load::fetch::{Fetcher, ReadyImage};
use crate::load::find::engine_images;
use crate::load::from_engine::{is_same, read_from_engine};
use crate::load::pull::PullFailure;
use crate::store::{Store, StoredImage};

/// Gets `images` for `platform` into the store, a few at a time: existing ones stay, those in the engine are
/// copied, all others are downloaded.
///
/// # Errors
/// Fails if an image cannot be found anywhere, listing each, or if the user interrupts.
pub(crate) fn keep(
    context: &Context,
    store: &Arc<Store>,
    images: &[ImageRef],
    platform: &Platform,
) -> anyhow::Result<Vec<StoredImage>> {
    let fetches = context.settings.images.pull_with != PullWith::Docker;
    let keeping =
        Keeping { context, store, fetcher: Fetcher::new(context, fetches.then_some(store))?, platform };
    let next = AtomicUsize::new(0);
    let kept: Vec<Mutex<Option<Result<StoredImage, PullFailure>>>> =
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
            None => lines.push(format!("{}: not attempted", image.familiar())),
        }
    }
    if lines.is_empty() {
        return Ok(held);
    }
    let what = format!("could not get {}\n  {}", crate::ui::count(lines.len(), "image"), lines.join("\n  "));
    hints.push("images downloaded so far are in the store; rerun to resume".to_owned());
    Err(Failure::new(Exit::Failed, what).hints(hints).into())
}

struct Keeping<'a> {
    context: &'a Context,
    store: &'a Arc<Store>,
    fetcher: Fetcher<'a>,
    platform: &'a Platform,
}

impl Keeping<'_> {
    fn one(&self, image: &ImageRef) -> Result<StoredImage, PullFailure> {
        let failed = |error: String| PullFailure { error, hint: None };
        // An engine that does not answer has nothing to offer.
        let engine = engine_images(self.context, &[image]).unwrap_or_else(|error| {
            let name = image.familiar();
            self.context.ui.verbose(&format!("could not ask the engine for {name}: {error:#}"));
            EngineImages::default()
        });
        let in_engine = engine.savable(image).filter(|held| held.platform == *self.platform);
        let known = self.store.find(image, std::slice::from_ref(self.platform));
        let known = known.map_err(|error| failed(error.to_string()))?;
        // An image rebuilt since it was stored is a different one.
        if let Some(held) = known.filter(|held| in_engine.is_none_or(|image| is_same(image, held))) {
            self.context.ui.verbose(&format!("{} is in the image store", image.familiar()));
            self.store.used(held.descriptor.digest);
            return Ok(held);
        }
        let from_engine = || read_from_engine(self.context, self.store, image, self.platform);
        if in_engine.is_some() {
            return from_engine();
        }
        let pull = Pull { candidates: self.context.mirror_rules().candidates(image) };
        match self.fetcher.get(image, std::slice::from_ref(self.platform), &pull)? {
            ReadyImage { held: Some(held), .. } => Ok(held),
            ReadyImage { held: None, .. } => from_engine(),
        }
    }
}
