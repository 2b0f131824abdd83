//! Copies images from the engine into the store: the output of `docker save` is rewritten on the fly to an
//! OCI image layout, as for a node that holds nothing.

use std::io;

use crate::archive::{self, Expected, Limits, NodeHolds, Platform, Sink};
use crate::context::Context;
use crate::images::ImageRef;
use crate::images::plan::HeldImage;
use crate::load::pull::PullFailure;
use crate::process::ExecError;
use crate::store::{Held, ImportError, Store};
use crate::tools::Docker;
use crate::tools::docker::PLATFORM_SAVE_API;

/// Whether engine and store have the same image under a name.
pub(super) fn is_same(in_engine: &HeldImage, in_store: &Held) -> bool {
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
) -> Result<Held, PullFailure> {
    let name = image.familiar();
    let transfer = context.ui.transfer(&format!("reading {name} from the engine"));
    match save(context, store, image, platform, &|bytes| transfer.at(bytes, None)) {
        Ok((held, bytes)) => {
            transfer.done(&format!("read {name} from the engine"), Some(bytes));
            Ok(held)
        }
        Err(error) => {
            if context.interrupt.is_set() {
                transfer.vanish();
            } else {
                transfer.failed(&format!("could not read {name} from the engine: {error}"));
            }
            Err(PullFailure { error: format!("could not be read from the engine: {error}"), hint: None })
        }
    }
}

fn save(
    context: &Context,
    store: &Store,
    image: &ImageRef,
    platform: &Platform,
    progress: &dyn Fn(u64),
) -> Result<(Held, u64), String> {
    let docker = &context.tools.docker;
    let api = docker.version().map_err(last_words)?.api;
    // Otherwise an engine with containerd's store exports an index of which it may only have one platform
    // (kind#3795).
    let chosen = (api >= PLATFORM_SAVE_API).then(|| platform.to_string());
    let command = Docker::save(&[image.familiar()], chosen.as_deref());
    let mut save = context.tools.runner().start(&command).map_err(last_words)?;
    drop(save.take_input());
    let source = save.take_output().ok_or("the engine's archive cannot be read")?;
    let (reader, writer) = io::pipe().map_err(|error| error.to_string())?;
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
            save.wait(&context.interrupt).map_err(last_words)?;
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

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn last_words(error: ExecError) -> String {
    error.tail().last().cloned().unwrap_or_else(|| error.to_string())
}
