//! Copies images from the engine into the store: the output of `docker save` is rewritten on the fly to an
//! OCI image layout, as for a node that holds nothing.

use std::fmt::Display;
use std::io;
use std::time::{Duration, Instant};

use crate::archive::{self, ArchiveError, Expected, Limits, NodeHolds, Platform, Sink};
use crate::context::Context;
use crate::images::ImageRef;
use crate::images::plan::HeldImage;
use crate::load::pull::PullFailure;
use crate::process::{ExecError, Running};
use crate::store::{ImportError, Store, StoredImage};
use crate::tools::docker::PLATFORM_SAVE_API;
use crate::tools::{Docker, ENGINE_DISK_HINT, is_engine_disk_full};

/// How long a `docker save` may run after closing its output.
const ABOUT_TO_END: Duration = Duration::from_secs(1);

/// Whether engine and store have the same image under a name.
pub(super) fn is_same(in_engine: &HeldImage, in_store: &StoredImage) -> bool {
    in_store.digests().iter().any(|digest| in_engine.ids.contains(&digest.to_string()))
}

/// Copies an image from the engine, for one platform.
///
/// # Errors
/// Fails if the engine cannot export it or the store cannot import it.
pub(super) fn read_from_engine(
    context: &Context,
    store: &Store,
    image: &ImageRef,
    platform: &Platform,
) -> Result<StoredImage, PullFailure> {
    let name = image.familiar();
    let transfer = context.ui.transfer(&format!("reading {name} from the engine"));
    match save(context, store, image, platform, &|bytes| transfer.at(bytes, None)) {
        Ok((held, bytes)) => {
            transfer.done(&format!("read {name} from the engine"), Some(bytes));
            Ok(held)
        }
        Err(failure) => {
            if context.interrupt.is_set() {
                transfer.vanish();
            } else {
                transfer.failed(&format!("could not read {name} from the engine: {}", failure.error));
            }
            let error = format!("could not be read from the engine: {}", failure.error);
            Err(PullFailure { error, ..failure })
        }
    }
}

fn save(
    context: &Context,
    store: &Store,
    image: &ImageRef,
    platform: &Platform,
    progress: &dyn Fn(u64),
) -> Result<(StoredImage, u64), PullFailure> {
    let docker = &context.tools.docker;
    let api = docker.version().map_err(pull_failure)?.api;
    // Otherwise an engine with containerd's store exports an index of which it may only have one platform
    // (kind#3795).
    let chosen = (api >= PLATFORM_SAVE_API).then(|| platform.to_string());
    let command = Docker::save(&[image.familiar()], chosen.as_deref());
    let mut save = context.tools.runner().start(&command).map_err(pull_failure)?;
    drop(save.take_input());
    let source = save.take_output().ok_or_else(|| failed(&"the engine's archive cannot be read"))?;
    let (reader, writer) = io::pipe().map_err(|error| failed(&error))?;
    let name = image.node_name().to_string();
    let expected = Expected { platform: Some(platform.clone()), ..Expected::named(image.to_string()) };
    let sink =
        Sink { node: name.clone(), writer: Box::new(writer), holds: NodeHolds::nothing(), wants: Vec::new() };
    let wanted = [image.clone()];
    let (sent, imported) = std::thread::scope(|scope| {
        let import = scope.spawn(|| store.import(reader, &wanted, platform, &mut |_| ()));
        let sent = archive::transfer(source, &[expected], vec![sink], Limits::default(), &|at| {
            progress(at.bytes_read);
        });
        (sent, import.join())
    });
    match sent {
        Ok(sent) => {
            save.wait(&context.interrupt).map_err(pull_failure)?;
            let imported = imported.map_err(|_| failed(&"the store could not take it"))?;
            let mut held = imported.map_err(|error: ImportError| failed(&error))?;
            Ok((held.pop().ok_or_else(|| failed(&"the archive does not hold it"))?, sent.bytes_read))
        }
        Err(error) => Err(match why_it_ended(&mut *save, &error, context) {
            Some(why) => {
                let failure = pull_failure(why);
                PullFailure { error: format!("{error}: {}", failure.error), ..failure }
            }
            None => failed(&error),
        }),
    }
}

/// Stops a `docker save` whose archive could not be read, and returns its own error if it had one.
pub(super) fn why_it_ended(
    save: &mut dyn Running,
    error: &ArchiveError,
    context: &Context,
) -> Option<ExecError> {
    // One that closed its output is about to exit; one whose output was not read fails for that reason alone.
    let is_cut = matches!(error, ArchiveError::Truncated { .. });
    let end = Instant::now() + if is_cut { ABOUT_TO_END } else { Duration::ZERO };
    while !save.has_ended() && Instant::now() < end && !context.interrupt.is_set() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let why = if save.has_ended() { save.wait(&context.interrupt).err() } else { None };
    save.stop();
    why
}

fn failed(why: &dyn Display) -> PullFailure {
    PullFailure { error: why.to_string(), hint: None }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn pull_failure(error: ExecError) -> PullFailure {
    let hint = is_engine_disk_full(&error).then(|| ENGINE_DISK_HINT.to_owned());
    PullFailure { error: error.tail().last().cloned().unwrap_or_else(|| error.to_string()), hint }
}
