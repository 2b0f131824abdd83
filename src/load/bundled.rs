//! Imports the images of a bundle into the store, from where they continue like downloaded ones, and some
//! into the engine.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};

use anyhow::Context as _;

use crate::bundle::Bundle;
use crate::context::Context;
use crate::error::Note;
use crate::images::ImageRef;
use crate::load::fetch::opened_store;
use crate::store::{ExportTarget, Held, ImportError, Store};
use crate::tools::docker::load_command;
use crate::ui::count;

/// The copy buffer size in bytes.
const PIECE: usize = 128 * 1024;

/// Returns the `images` that the store lacks for the bundle's platform.
///
/// # Errors
/// Fails if the store cannot be read.
pub(crate) fn lacking(store: &Store, bundle: &Bundle, images: &[ImageRef]) -> anyhow::Result<Vec<ImageRef>> {
    let platforms = [bundle.image_platform()];
    let mut lacking = Vec::new();
    for image in images {
        if store.find(image, &platforms)?.is_none() {
            lacking.push(image.clone());
        }
    }
    Ok(lacking)
}

/// Imports images from the bundle into the store, verifying each blob.
///
/// # Errors
/// Fails if the bundle is truncated, damaged or lacks an image, on a disk error, or if the user interrupts.
pub(crate) fn take_in(context: &Context, bundle: &Bundle, images: &[ImageRef]) -> anyhow::Result<Vec<Held>> {
    let store = opened_store(context)?;
    let what = count(images.len(), "image");
    let transfer = context.ui.transfer(&format!("reading {what} from the bundle"));
    let mut done = 0;
    let taken = bundle.import(&store, images, &context.interrupt, &mut |bytes| {
        done += bytes;
        transfer.at(done, None);
    });
    match taken {
        Ok(held) => {
            transfer.done(&format!("read {what} from the bundle"), Some(done));
            Ok(held)
        }
        Err(error) => {
            if context.interrupt.is_set() {
                transfer.vanish();
            } else {
                transfer.failed(&format!("could not read {what} from the bundle"));
            }
            context.check_interrupt()?;
            let is_ours = matches!(error, ImportError::Store(_));
            let failed = Err(error).with_context(|| {
                format!("could not take the images of the bundle `{}`", bundle.path().display())
            });
            if is_ours {
                return failed.hint(
                    "make room with `milvusctl images prune`, or name a folder on another disk with `--store`",
                );
            }
            failed.hint("copy the bundle again, or save a new one with `milvusctl images save`")
        }
    }
}

/// Loads images from the store into the engine, as one archive.
///
/// # Errors
/// Fails with docker's last lines, or if the user interrupts.
pub(crate) fn give_engine(context: &Context, held: &[&Held]) -> anyhow::Result<()> {
    let store = opened_store(context)?;
    let what = match held {
        [one] => one.image.familiar(),
        many => count(many.len(), "image"),
    };
    let transfer = context.ui.transfer(&format!("loading {what} into the engine"));
    let given = (|| {
        let mut archive = store.export(held, ExportTarget::Engine, BTreeSet::new())?;
        let mut load = context.tools.runner().start(&load_command())?;
        let output = load.take_output();
        let mut input = load.take_input().context("`docker load` takes no input")?;
        let mut piece = vec![0; PIECE];
        let mut done = 0;
        let written = loop {
            match archive.read(&mut piece) {
                Ok(0) => break Ok(()),
                Ok(read) => {
                    if let Err(error) = input.write_all(&piece[..read]) {
                        // Docker knows better why it stopped reading.
                        load.wait(&context.interrupt)?;
                        break Err(error);
                    }
                    done += read as u64;
                    transfer.at(done, None);
                }
                Err(error) => {
                    load.stop();
                    break Err(error);
                }
            }
        };
        written?;
        drop(input);
        transfer.says("(unpacking)");
        if let Some(mut output) = output {
            // Drain its output, or it would fail to print what it loaded.
            io::copy(&mut output, &mut io::sink())?;
        }
        load.wait(&context.interrupt)?;
        Ok::<u64, anyhow::Error>(done)
    })();
    match given {
        Ok(done) => {
            transfer.done(&format!("loaded {what} into the engine"), Some(done));
            Ok(())
        }
        Err(error) => {
            if context.interrupt.is_set() {
                transfer.vanish();
            } else {
                transfer.failed(&format!("could not load {what} into the engine"));
            }
            context.check_interrupt()?;
            Err(error.context(format!("could not load {what} into the engine")))
        }
    }
}
