//! An archive being read: from `docker save`, the store or a file.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use crate::archive::Digest;
use crate::context::Context;
use crate::error::with_causes;
use crate::process::{Interrupt, Running};
use crate::store::{ExportTarget, Store, StoredImage, open_archive};
use crate::tools::Docker;

/// An archive being read, and the process writing it, if any.
pub(super) struct Feed {
    pub(super) reader: Box<dyn Read + Send>,
    pub(super) save: Option<Box<dyn Running>>,
}

impl Feed {
    pub(super) fn from_file(path: &Path, interrupt: &Interrupt) -> Result<Self, String> {
        let reader =
            open_archive(path, interrupt).map_err(|error| format!("`{}`: {error}", path.display()))?;
        Ok(Self { reader, save: None })
    }

    pub(super) fn from_engine(
        context: &Context,
        names: &[String],
        platform: Option<&str>,
    ) -> Result<Self, String> {
        let save = Docker::save(names, platform);
        let mut save = context.tools.runner().start(&save).map_err(|error| error.to_string())?;
        drop(save.take_input());
        let reader = save.take_output().ok_or("the engine's archive cannot be read")?;
        Ok(Self { reader, save: Some(save) })
    }

    /// The archive of `held`, without the layers `leave_out`.
    pub(super) fn from_store(
        store: &Arc<Store>,
        held: &[&StoredImage],
        leave_out: BTreeSet<Digest>,
        interrupt: &Interrupt,
    ) -> Result<Self, String> {
        let archive =
            store.export(held, ExportTarget::Node, leave_out).map_err(|error| with_causes(&error))?;
        let reader = UntilInterrupted { reader: archive, interrupt: interrupt.clone() };
        Ok(Self { reader: Box::new(reader), save: None })
    }

    pub(super) fn stop(&mut self) {
        if let Some(save) = &mut self.save {
            save.stop();
        }
    }
}

/// A reader that fails once the user interrupts.
struct UntilInterrupted<R> {
    reader: R,
    interrupt: Interrupt,
}

impl<R: Read> Read for UntilInterrupted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupt.is_set() {
            return Err(io::Error::other("interrupted"));
        }
        self.reader.read(buffer)
    }
}
