//! Loads images in waves, since pods are created one after another and so images turn out to be missing in
//! waves. This is the loop; a watcher decides what to look at and when to stop.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::images::missing::MissingImage;
use crate::images::outcome::{LoadReport, Outcome};
use crate::images::plan::Presence;
use crate::load::find::load_wave;
use crate::ui::{StepLine, count};

/// How long to wait between checks.
const PAUSE: Duration = Duration::from_secs(2);
/// How long to wait before retrying a failed image; also how long the kubelet may take to notice a loaded
/// one.
const RETRY: Duration = Duration::from_secs(20);
/// The number of attempts per image.
const TRIES: u32 = 3;

/// Decides what the waves load and when they end.
pub(crate) trait Watch {
    /// Returns the images to load that are missing now.
    ///
    /// # Errors
    /// Fails if the cluster does not respond, which ends the waves.
    fn look(&mut self) -> anyhow::Result<Vec<MissingImage>>;

    /// Decides whether to stop, called when no image is due; `hopeless` are the missing images that were
    /// given up.
    ///
    /// # Errors
    /// Fails if success is no longer possible, which ends the waves.
    fn judge(&mut self, hopeless: Hopeless<'_>) -> anyhow::Result<WatchState>;

    /// Called after a wave was loaded.
    ///
    /// # Errors
    /// Returning an error ends the waves.
    fn loaded(&mut self, _wave: &LoadReport) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The missing images while none is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hopeless<'a> {
    /// Images that were tried often enough.
    pub(crate) images: &'a [MissingImage],
    /// Whether others will be retried, or were loaded but not yet noticed by the kubelet.
    pub(crate) others_wait: bool,
    /// The outcomes of all waves so far.
    pub(crate) report: &'a LoadReport,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WatchState {
    Over,
    /// Continue; says what to wait for.
    Wait(String),
}

/// Loads what `watch` finds missing, wave by wave, until it says to stop or `end` is reached; returns whether
/// it finished in time. Time spent loading does not count, since loads may take as long as they make
/// progress. Adds outcomes to `report`; those already in it count as attempts.
///
/// # Errors
/// Fails if `watch` fails, if a wave cannot be loaded at all, or if the user interrupts.
pub(crate) fn load_in_waves(
    context: &Context,
    step: &StepLine,
    mut end: Instant,
    watch: &mut dyn Watch,
    report: &mut LoadReport,
) -> anyhow::Result<bool> {
    let mut tries = Tries::default();
    tries.note(report, Instant::now());
    loop {
        let missing = watch.look()?;
        let due = tries.due(&missing, Instant::now());
        if due.is_empty() {
            let hopeless: Vec<MissingImage> =
                missing.iter().filter(|image| tries.is_over(image)).cloned().collect();
            let others_wait = hopeless.len() < missing.len();
            match watch.judge(Hopeless { images: &hopeless, others_wait, report })? {
                WatchState::Over => return Ok(true),
                WatchState::Wait(what) => step.waits_for(&what),
            }
        } else {
            step.waits_for(&format!("loading {} that pods wait for", count(due.len(), "image")));
            let began = Instant::now();
            let pause = context.deadline.pause();
            let wave = load_wave(context, &due, Presence::ByName)?;
            drop(pause);
            end += began.elapsed();
            tries.note(&wave, Instant::now());
            watch.loaded(&wave)?;
            report.merge(wave);
        }
        if Instant::now() > end {
            return Ok(false);
        }
        context.sleep(PAUSE)?;
    }
}

/// The failures of each image since it was last loaded, and its last attempt.
#[derive(Debug, Default)]
struct Tries(BTreeMap<String, (u32, Instant)>);

impl Tries {
    fn note(&mut self, wave: &LoadReport, now: Instant) {
        for image in &wave.images {
            let known = self.0.entry(image.image.clone()).or_insert((0, now));
            let failed = match image.outcome {
                // Refused images are never retried.
                Outcome::Refused => TRIES,
                Outcome::PullFailed | Outcome::LoadFailed => known.0 + 1,
                Outcome::Loaded | Outcome::Present => 0,
            };
            *known = (failed, now);
        }
    }

    /// The images due for an attempt.
    fn due(&self, missing: &[MissingImage], now: Instant) -> Vec<MissingImage> {
        let is_due = |image: &&MissingImage| {
            let known = self.0.get(&image.image.to_string());
            known.is_none_or(|(failed, last)| *failed < TRIES && now.duration_since(*last) > RETRY)
        };
        missing.iter().filter(is_due).cloned().collect()
    }

    fn is_over(&self, image: &MissingImage) -> bool {
        self.0.get(&image.image.to_string()).is_some_and(|(failed, _)| *failed >= TRIES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::missing::ImageName;
    use crate::images::outcome::ImageOutcome;

    fn missing(name: &str) -> MissingImage {
        MissingImage::new(ImageName::Valid(name.parse().unwrap()))
    }

    fn wave(outcome: Outcome) -> LoadReport {
        LoadReport::new("c", vec![ImageOutcome::new(missing("a:1").image.to_string(), outcome)])
    }

    #[test]
    fn an_image_is_tried_three_times_with_pauses() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let image = missing("a:1");
        let mut tries = Tries::default();
        let is_due =
            |tries: &Tries, seconds| !tries.due(std::slice::from_ref(&image), at(seconds)).is_empty();
        assert!(is_due(&tries, 0));
        for n in 0..3 {
            tries.note(&wave(Outcome::PullFailed), at(30 * n));
            assert_eq!(
                (is_due(&tries, 30 * n + 10), is_due(&tries, 30 * n + 25), tries.is_over(&image)),
                (false, n < 2, n == 2),
                "{n}"
            );
        }
        tries.note(&wave(Outcome::Loaded), at(100));
        assert_eq!((is_due(&tries, 110), is_due(&tries, 125), tries.is_over(&image)), (false, true, false));
    }

    #[test]
    fn a_refused_image_is_given_up_at_once() {
        let mut tries = Tries::default();
        tries.note(&wave(Outcome::Refused), Instant::now());
        assert!(tries.is_over(&missing("a:1")));
    }
}
