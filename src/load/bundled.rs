//! Imports the images of a bundle into the store, from where they continue like downloaded ones, and some
//! into the engine.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::Context as _;

use crate::bundle::Bundle;
use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::images::ImageRef;
use crate::load::fetch::opened_store;
use crate::process::each_line;
use crate::store::{ExportTarget, ImportError, Store, StoredImage};
use crate::tools::docker::load_command;
use crate::tools::{ENGINE_DISK_HINT, is_disk_full, is_not_unpacked};
use crate::ui::count;

/// How long the output of a finished `docker load` may stay open.
const LINGER: Duration = Duration::from_millis(500);
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
pub(crate) fn take_in(
    context: &Context,
    bundle: &Bundle,
    images: &[ImageRef],
) -> anyhow::Result<Vec<StoredImage>> {
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
pub(crate) fn give_engine(context: &Context, held: &[&StoredImage]) -> anyhow::Result<()> {
    let store = opened_store(context)?;
    let what = match held {
        [one] => one.image.familiar(),
        many => count(many.len(), "image"),
    };
    let transfer = context.ui.transfer(&format!("loading {what} into the engine"));
    let given = (|| {
        let mut archive = store.export(held, ExportTarget::Engine, BTreeSet::new())?;
        let mut load = context.tools.runner().start(&load_command())?;
        let (sender, refusal) = sync_channel(1);
        if let Some(output) = load.take_output() {
            // Drain its output, or it would fail to print what it loaded. Not joined: the thread ends with it.
            std::thread::spawn(move || {
                each_line(output, |line| {
                    if is_not_unpacked(&line) {
                        // The first one is enough.
                        _ = sender.try_send(line);
                    }
                    true
                });
            });
        }
        let mut input = load.take_input().context("`docker load` takes no input")?;
        let mut piece = vec![0; PIECE];
        let mut done = 0;
        let written = loop {
            match archive.read(&mut piece) {
                Ok(0) => break Ok(()),
                Ok(read) => {
                    if let Err(error) = input.write_all(&piece[..read]) {
                        if error.kind() == io::ErrorKind::TimedOut {
                            load.stop();
                            break Err(io::Error::other(format!("`docker load` hangs: {error}")));
                        }
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
        load.wait(&context.interrupt)?;
        // All its output has been read by now, unless a child process keeps the pipe open.
        if let Ok(line) = refusal.recv_timeout(LINGER) {
            let failure = Failure::new(Exit::Failed, line.as_str());
            let hint = is_disk_full(&line).then(|| ENGINE_DISK_HINT.to_owned());
            return Err(failure.hints(hint).into());
        }
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use super::*;
    use crate::archive::Platform;
    use crate::error::{exit_of, hints_of, with_causes};
    use crate::process::{Runner, ScriptedRunner};

    const LOAD: &str = "docker load --quiet";

    /// Loads an image into an engine whose `docker load` prints `answer`.
    fn given(runner: impl Runner + 'static) -> anyhow::Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let mut context = Context::for_test(Arc::new(runner));
        context.settings.images.store = Some(folder.path().join("images"));
        let store = opened_store(&context).unwrap();
        let saved = "tests/fixtures/docker-save-shared-layer.docker-28.5.tar";
        let image: ImageRef = "test/left:1".parse().unwrap();
        let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None };
        let held = store.import(File::open(saved).unwrap(), &[image], &platform, &mut |_| ()).unwrap();
        give_engine(&context, &held.iter().collect::<Vec<_>>())
    }

    #[test]
    fn an_image_that_the_engine_took_in_is_given() {
        given(ScriptedRunner::default().answer(LOAD, "Loaded image: test/left:1\n")).unwrap();
    }

    #[test]
    fn an_engine_whose_disk_is_full_is_named_with_what_helps() {
        // Docker 28.5 on a full disk, with its own store and with containerd's; the last one exits 0.
        let of_load = "write /blobs/sha256/40224d4c: no space left on device";
        let of_ingest = "failed to ingest \"blobs/sha256/c32e6ab3\": failed to copy: failed to send write: write \
                         /var/lib/docker/ingest/6776ec49/data: no space left on device";
        let of_unpacking = "Loaded image: test/left:1\nError unpacking image test/left:1: apply layer error for \
                            \"docker.io/test/left:1\": failed to extract layer sha256:40224d4c: write /tmp/a: no space \
                            left on device\n";
        for runner in [
            ScriptedRunner::default().fail(LOAD, of_load),
            ScriptedRunner::default().fail(LOAD, of_ingest),
            ScriptedRunner::default().answer(LOAD, of_unpacking),
        ] {
            let error = given(runner).unwrap_err();
            let words = with_causes(error.as_ref());
            assert!(
                words.contains("could not load docker.io/test/left:1 into the engine")
                    || words.contains("could not load test/left:1"),
                "{words}"
            );
            assert!(words.contains("no space left on device"), "{words}");
            assert_eq!(hints_of(&error), [ENGINE_DISK_HINT]);
            assert_eq!(exit_of(&error), Exit::Failed);
        }
    }

    #[test]
    fn a_docker_killed_while_it_loads_is_named_with_its_end() {
        use std::os::unix::fs::PermissionsExt as _;

        use crate::process::{Deadline, Interrupt, SystemRunner};

        let folder = tempfile::tempdir().unwrap();
        let docker = folder.path().join("docker");
        std::fs::write(&docker, "#!/bin/sh\nPATH=/usr/bin:/bin\nhead -c 1000 >/dev/null\nkill -KILL $$\n")
            .unwrap();
        std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = Some(folder.path().into());
        let runner = SystemRunner::new(path, None, Interrupt::default(), Deadline::default());
        let words = with_causes(given(runner).unwrap_err().as_ref());
        assert!(words.contains("`docker load --quiet` failed (signal: 9 (SIGKILL))"), "{words}");
    }
}
