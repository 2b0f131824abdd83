//! What completion asks tools and the settings for, within the time that a user waits for it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::cli;
use crate::process::{Deadline, Interrupt, SystemRunner, read_text};
use crate::settings::{self, FILE_NAME, Settings};
use crate::toolbox;
use crate::tools::{Tools, kind};

/// How long a tool may take to answer while the user waits.
const PATIENCE: Duration = Duration::from_millis(700);
/// The total wait, for a tool that does not stop when told to.
const END: Duration = Duration::from_millis(900);

/// The tools' answers; empty if they fail or take too long.
pub(super) fn answers(question: impl FnOnce(&Tools) -> Vec<String> + Send + 'static) -> Vec<String> {
    let (sender, answers) = channel();
    std::thread::spawn(move || {
        let own_tools = toolbox::bin_dir().ok();
        let deadline = Deadline::default();
        let _patience = deadline.set_for_each(PATIENCE);
        let path = std::env::var_os("PATH");
        let runner = SystemRunner::new(path, own_tools.as_deref(), Interrupt::default(), deadline.clone());
        let tools = Tools::new(Arc::new(runner));
        // The receiver may have given up.
        _ = sender.send(question(&tools));
    });
    answers.recv_timeout(END).unwrap_or_default()
}

pub(super) fn context_of(settings: &Settings) -> String {
    let cluster = &settings.cluster;
    cluster.context.clone().unwrap_or_else(|| kind::context_of(&cluster.name))
}

/// The settings from an unfinished command line, the environment and the file, if valid.
pub(super) fn settings_of(typed: &[OsString]) -> Option<Settings> {
    let matches = cli::command_line().ignore_errors(true).try_get_matches_from(typed).ok()?;
    let mut innermost = &matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    let named = innermost.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    let found = || Some(PathBuf::from(FILE_NAME)).filter(|path| path.is_file());
    let file = named.or_else(found).and_then(|path| {
        // Completion must not wait for the writer of a named pipe.
        let text = path.is_file().then(|| read_text(&path, &Interrupt::default()).ok()).flatten()?;
        Some(settings::file::parse(&path, &text))
    });
    settings::resolve(cli::layer(&matches), file).ok()
}
