//! Gets one image into the engine: by the names of the plan in their order, each tried again while the
//! trouble may pass.

use std::collections::HashMap;
use std::time::Duration;

use crate::context::Context;
use crate::images::ImageRef;
use crate::images::message::MessageKind;
use crate::images::plan::{ImageLoad, Pull};
use crate::process::{Backoff, ExecError, Verdict, retry};

/// How long one name may take; a registry that is merely slow sends bytes all the while.
const LIMIT: Duration = Duration::from_secs(30 * 60);
/// How long a mirror may take before the next candidate is tried.
const MIRROR_LIMIT: Duration = Duration::from_secs(10 * 60);

/// How a passing failure is tried again.
const BACKOFF: Backoff =
    Backoff { tries: 3, first: Duration::from_secs(2), longest: Duration::from_secs(15) };

/// An image that is in the engine.
pub(crate) struct Pulled {
    /// The name by which it was pulled; none when it was there.
    pub(crate) from: Option<String>,
}

/// An image that no candidate could give.
pub(crate) struct PullFailure {
    /// What each candidate answered.
    pub(crate) error: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

/// Pulls the image of `load` unless the engine has it.
///
/// # Errors
/// Fails when no candidate has it; says what each answered.
pub(crate) fn ensure_in_engine(context: &Context, load: &ImageLoad) -> Result<Pulled, PullFailure> {
    match &load.pull {
        None => Ok(Pulled { from: None }),
        Some(pull) => pull_any(context, &load.image, pull),
    }
}

/// Pulls an image by the first candidate that has it, and gives it the name that was asked for.
///
/// # Errors
/// Fails when no candidate has it; says what each answered.
pub(crate) fn pull_any(context: &Context, image: &ImageRef, pull: &Pull) -> Result<Pulled, PullFailure> {
    let mut answers: Vec<(String, MessageKind, String)> = Vec::new();
    for candidate in &pull.candidates {
        let name = candidate.image.familiar();
        let limit = if candidate.is_original { LIMIT } else { MIRROR_LIMIT };
        match pull_one(context, &name, limit) {
            Ok(()) => {
                if !candidate.is_original {
                    rename(context, &name, image)?;
                }
                return Ok(Pulled { from: Some(candidate.image.to_string()) });
            }
            Err(error) if error.is_interrupt() => {
                return Err(PullFailure { error: "interrupted".into(), hint: None });
            }
            Err(error) => {
                let words = docker_words(&error);
                answers.push((name, MessageKind::classify(&words), words));
            }
        }
    }
    let error = match answers.as_slice() {
        [(_, _, words)] => words.clone(),
        many => many.iter().map(|(name, _, words)| format!("{name}: {words}")).collect::<Vec<_>>().join("; "),
    };
    let kind = answers.last().map_or(MessageKind::Unknown, |(_, kind, _)| *kind);
    Err(PullFailure { error, hint: hint(context, image, kind) })
}

fn pull_one(context: &Context, name: &str, limit: Duration) -> Result<(), ExecError> {
    let transfer = context.ui.transfer(&format!("pulling {name}"));
    let result = retry(
        BACKOFF,
        jitter,
        |wait| context.interrupt.sleep(wait),
        |n| {
            let mut layers = Layers::default();
            let pulled = context.tools.docker.pull(name, None, limit, &mut |line| {
                if layers.read(line) {
                    let (done, total) = layers.sum();
                    transfer.at(done, Some(total));
                }
            });
            match pulled {
                Ok(()) => Verdict::Done(layers.sum().1),
                Err(error) if MessageKind::classify(&docker_words(&error)).is_worth_a_retry() => {
                    transfer.says(&format!("(try {} of {})", n + 2, BACKOFF.tries));
                    Verdict::Again(error)
                }
                Err(error) => Verdict::Final(error),
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

/// Gives a mirror's image the name that pods ask for, and takes the mirror's name away.
fn rename(context: &Context, mirror: &str, image: &ImageRef) -> Result<(), PullFailure> {
    let docker = &context.tools.docker;
    let wanted = image.without_digest().familiar();
    docker.tag(mirror, &wanted).map_err(|error| PullFailure {
        error: format!("pulled `{mirror}`, but could not name it `{wanted}`: {}", docker_words(&error)),
        hint: None,
    })?;
    // A mirror's name that stays does no harm.
    _ = docker.remove_name(mirror);
    Ok(())
}

/// What docker says went wrong, without what it says before each of its errors.
pub(crate) fn docker_words(error: &ExecError) -> String {
    let last = error.tail().iter().rev().find(|line| !line.trim().is_empty());
    let words = last.map_or_else(|| error.to_string(), Clone::clone);
    words.trim_start_matches("Error response from daemon: ").trim_start_matches("Error: ").to_owned()
}

fn hint(context: &Context, image: &ImageRef, kind: MessageKind) -> Option<String> {
    let rules = context.mirror_rules().ok()?;
    if let Some(suggestion) = rules.suggestion(image) {
        return Some(format!(
            "its publisher moved it; try `--mirror docker.io/bitnami=docker.io/bitnamilegacy` for `{}`",
            suggestion.image.familiar()
        ));
    }
    let registry = image.registry();
    match kind {
        MessageKind::Network | MessageKind::Unknown => Some(format!(
            "`{registry}` cannot be reached from here; name a mirror: `--mirror {registry}=PREFIX`, such as \
             `--mirror-preset daocloud`"
        )),
        MessageKind::NotFound => {
            Some("check the image's name and tag; no registry that was asked has it".into())
        }
        MessageKind::Denied => Some(format!(
            "log in with `docker login {registry}`, or check the name: some registries say so of images that do not exist"
        )),
        MessageKind::RateLimited => Some(format!(
            "log in with `docker login {registry}` for a higher limit, or name a mirror: `--mirror {registry}=PREFIX`"
        )),
    }
}

/// A number between 0 and 1 that differs from run to run; nothing depends on its quality.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = RandomState::new().hash_one(0_u8);
    f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// What `docker pull` shows of each layer on a terminal.
#[derive(Default)]
struct Layers {
    known: HashMap<String, (u64, u64)>,
}

impl Layers {
    /// Reads a line such as `4f4fb700ef54: Downloading [==>  ] 1.2MB/5.4MB`; says whether it was one.
    fn read(&mut self, line: &str) -> bool {
        let Some((id, rest)) = line.split_once(": ") else { return false };
        if id.len() != 12 || !id.chars().all(|c| c.is_ascii_hexdigit()) {
            return false;
        }
        if rest.starts_with("Download complete") || rest.starts_with("Pull complete") {
            if let Some((done, total)) = self.known.get_mut(id) {
                *done = *total;
            }
            return true;
        }
        if !rest.starts_with("Downloading") {
            return false;
        }
        let Some(sizes) = rest.split_whitespace().last().and_then(|word| word.split_once('/')) else {
            return false;
        };
        let (Some(done), Some(total)) = (parse_size(sizes.0), parse_size(sizes.1)) else { return false };
        self.known.insert(id.to_owned(), (done, total));
        true
    }

    fn sum(&self) -> (u64, u64) {
        self.known.values().fold((0, 0), |sum, (done, total)| (sum.0 + done, sum.1 + total))
    }
}

/// Reads a size as docker writes it, in powers of a thousand: `1.2MB`.
fn parse_size(text: &str) -> Option<u64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * factor;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size below 2^53 and above 0"
    )]
    (0.0..9e15).contains(&bytes).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_summed_over_the_layers() {
        let mut layers = Layers::default();
        assert!(layers.read("4f4fb700ef54: Downloading [=>    ]  1.5MB/6MB"));
        assert!(layers.read("aaaabbbbcccc: Downloading  500kB/1MB"));
        assert!(!layers.read("Digest: sha256:0123"));
        assert!(!layers.read("4f4fb700ef54: Extracting 3MB/6MB"));
        assert_eq!(layers.sum(), (2_000_000, 7_000_000));
        assert!(layers.read("4f4fb700ef54: Download complete"));
        assert_eq!(layers.sum(), (6_500_000, 7_000_000));
    }

    #[test]
    fn sizes_that_are_none_are_refused() {
        for text in ["", "12", "xMB", "1.2XB", "-3MB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
