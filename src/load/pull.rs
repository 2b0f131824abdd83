//! Pulls an image into the engine: tries the plan's names in order, retrying each while the problem may be
//! temporary.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::archive::Platform;
use crate::context::Context;
use crate::images::ImageRef;
use crate::images::plan::Pull;
use crate::images::trouble::Trouble;
use crate::process::{Backoff, ExecError, TryResult, retry};
use crate::tools::{ENGINE_DISK_HINT, PullLimits, Pulling, docker_words, is_disk_full, pull_trouble};

/// The limits of a pull: it may take as long as bytes arrive, however slowly.
pub(super) const LIMIT: PullLimits =
    PullLimits { time: Duration::from_secs(24 * 60 * 60), silence: Duration::from_secs(3 * 60) };
/// The limits while there is another name to try.
const LIMIT_WITH_ANOTHER: PullLimits =
    PullLimits { time: Duration::from_secs(30 * 60), silence: Duration::from_secs(60) };

/// How to retry a temporary failure.
const BACKOFF: Backoff =
    Backoff { tries: 3, first: Duration::from_secs(2), longest: Duration::from_secs(15) };

/// A pulled image.
pub(crate) struct Pulled {
    /// The name it was pulled by.
    pub(crate) from: String,
    /// Whether that is a mirror's name.
    pub(crate) is_mirrored: bool,
}

/// An image that no candidate has.
#[derive(Debug)]
pub(crate) struct PullFailure {
    pub(crate) error: String,
    pub(crate) hint: Option<String>,
}

/// Pulls an image for `platform` from the first candidate that has it, and tags it with the requested name.
///
/// # Errors
/// Fails if no candidate has it, with each answer.
pub(crate) fn pull_any(
    context: &Context,
    image: &ImageRef,
    pull: &Pull,
    platform: &Platform,
) -> Result<Pulled, PullFailure> {
    let platform = platform.is_known().then(|| platform.to_string());
    let mut answers: Vec<(String, Trouble, String)> = Vec::new();
    for (place, candidate) in pull.candidates.iter().enumerate() {
        let name = candidate.image.familiar();
        let is_last = place + 1 == pull.candidates.len();
        // Both the mirror's name and the image's own may already exist in the engine.
        let before = if candidate.is_original { None } else { Some(Names::ask(context, &name, image)?) };
        match pull_one(context, &name, platform.as_deref(), is_last) {
            Ok(()) => {
                if let Some(before) = before {
                    rename(context, &before)?;
                }
                let (from, is_mirrored) = (candidate.image.to_string(), !candidate.is_original);
                return Ok(Pulled { from, is_mirrored });
            }
            Err(error) if error.is_interrupt() => {
                return Err(PullFailure { error: "interrupted".into(), hint: None });
            }
            Err(error) => {
                let words = docker_words(&error);
                answers.push((name, pull_trouble(&words), words));
            }
        }
    }
    let error = match answers.as_slice() {
        [(_, _, words)] => words.clone(),
        many => many.iter().map(|(name, _, words)| format!("{name}: {words}")).collect::<Vec<_>>().join("; "),
    };
    let kind = answers.last().map_or(Trouble::Unknown, |(_, kind, _)| *kind);
    let hint = Some(hint(context, image, &error, kind));
    Err(PullFailure { error, hint })
}

fn pull_one(context: &Context, name: &str, platform: Option<&str>, is_last: bool) -> Result<(), ExecError> {
    let limits = if is_last { LIMIT } else { LIMIT_WITH_ANOTHER };
    let transfer = context.ui.transfer(&format!("pulling {name}"));
    let result = retry(
        BACKOFF,
        jitter,
        |wait| context.interrupt.sleep(wait),
        |n| {
            let mut last = Pulling::default();
            let pulled = context.tools.docker.pull(name, platform, limits, &mut |news| {
                transfer.at(news.done, Some(news.total));
                if news.is_unpacking != last.is_unpacking {
                    transfer.says(if news.is_unpacking { "(unpacking)" } else { "" });
                }
                last = news;
            });
            match pulled {
                Ok(()) => TryResult::Done(last.total),
                // A silent registry costs minutes; the next one may be faster.
                Err(error @ (ExecError::Silent { .. } | ExecError::TimedOut { .. })) if !is_last => {
                    TryResult::Final(error)
                }
                Err(error) if pull_trouble(&docker_words(&error)).is_worth_a_retry() => {
                    transfer.says(&format!("(try {} of {})", n + 2, BACKOFF.tries));
                    TryResult::Again(error)
                }
                Err(error) => TryResult::Final(error),
            }
        },
    );
    match result {
        Ok(bytes) => {
            transfer.done(&format!("pulled {name}"), Some(bytes).filter(|n| *n > 0));
            Ok(())
        }
        Err(error) => {
            if error.is_interrupt() {
                transfer.vanish();
            } else {
                transfer.failed(&format!("could not pull {name}: {}", docker_words(&error)));
            }
            Err(error)
        }
    }
}

/// The IDs of the engine's images under `names`.
pub(super) fn image_ids(context: &Context, names: &[String]) -> Result<BTreeMap<String, String>, ExecError> {
    let images = context.tools.docker.images(names)?;
    Ok(images.into_iter().map(|(name, image)| (name, image.id)).collect())
}

/// A mirror's name for an image and the one used by pods, with the images they pointed to before the pull.
struct Names {
    mirror: String,
    wanted: String,
    led_to: BTreeMap<String, String>,
}

impl Names {
    fn ask(context: &Context, mirror: &str, image: &ImageRef) -> Result<Self, PullFailure> {
        let wanted = image.without_digest().familiar();
        let led_to =
            image_ids(context, &[mirror.to_owned(), wanted.clone()]).map_err(|error| PullFailure {
                error: format!("could not ask the engine for `{mirror}`: {}", docker_words(&error)),
                hint: None,
            })?;
        Ok(Self { mirror: mirror.to_owned(), wanted, led_to })
    }

    /// The names that pointed to an image other than `new`, with that image.
    fn moved(&self, new: &str) -> BTreeMap<&str, &str> {
        let led_to = self.led_to.iter().map(|(name, old)| (name.as_str(), old.as_str()));
        led_to.filter(|(_, old)| *old != new).collect()
    }
}

/// Tags a mirror's image with the name used by pods, and removes the mirror's name unless it existed before.
fn rename(context: &Context, before: &Names) -> Result<(), PullFailure> {
    let Names { mirror, wanted, led_to } = before;
    let docker = &context.tools.docker;
    if !led_to.is_empty() {
        // An image without names stays in the engine under its ID.
        let now = image_ids(context, std::slice::from_ref(mirror)).map_err(|error| PullFailure {
            error: format!("could not ask the engine for `{mirror}`: {}", docker_words(&error)),
            hint: None,
        })?;
        for (name, old) in before.moved(now.get(mirror).map_or("", String::as_str)) {
            context.ui.warn(&format!(
                "`{name}` now points to the image from `{mirror}`; before, it pointed to `{old}`"
            ));
        }
    }
    docker.tag(mirror, wanted).map_err(|error| PullFailure {
        error: format!("pulled `{mirror}`, but could not name it `{wanted}`: {}", docker_words(&error)),
        hint: None,
    })?;
    if !led_to.contains_key(mirror) {
        // A leftover mirror name does no harm.
        _ = docker.remove_name(mirror);
    }
    Ok(())
}

/// The hint after every place failed.
pub(super) fn hint(context: &Context, image: &ImageRef, error: &str, kind: Trouble) -> String {
    let rules = context.mirror_rules();
    // An unreachable registry says nothing about where the image is.
    let is_gone = matches!(kind, Trouble::NotFound | Trouble::Denied);
    if let Some(suggestion) = rules.suggestion(image).filter(|_| is_gone) {
        return format!(
            "its publisher moved it; try `--mirror {}` for `{}`",
            suggestion.rule,
            suggestion.image.familiar()
        );
    }
    if is_disk_full(error) {
        return ENGINE_DISK_HINT.to_owned();
    }
    let registry = image.registry();
    match kind {
        Trouble::Network | Trouble::Unknown => format!(
            "`{registry}` cannot be reached from here; use a mirror: `--mirror {registry}=PREFIX`, or `--mirror-preset daocloud`"
        ),
        Trouble::NotFound => "check the image's name and tag; no registry that was tried has it".into(),
        Trouble::Denied => format!(
            "log in with `docker login {registry}`, or check the name: some registries answer this for images that do not exist"
        ),
        Trouble::RateLimited => format!(
            "log in with `docker login {registry}` for a higher limit, or use a mirror: `--mirror {registry}=PREFIX`"
        ),
    }
}

/// A number between 0 and 1 that differs between runs; its quality does not matter.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = RandomState::new().hash_one(0_u8);
    f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
#[path = "pull_tests.rs"]
mod tests;
