//! `completions`: a script that lets a shell ask this program what may come next, and the answers to it.
//!
//! The scripts hold no command and no flag: they run the program with [`VARIABLE`] set, so names of clusters,
//! contexts and namespaces are those of the moment. An answer never writes an error, takes about a second at
//! most, and only looks.

mod bash;
mod names;

use std::ffi::OsString;
use std::io;

use clap_complete::Shell;
use clap_complete::env::{EnvCompleter, Shells};

use crate::context::Context;
use crate::error::Exit;

/// The variable by which a shell's script asks for what may come next; it holds the shell's name.
pub(crate) const VARIABLE: &str = "MILVUSCTL_COMPLETE";

const PROGRAM: &str = "milvusctl";

/// The shells: bash by a script of its own, as the library's knows neither `--flag=value` nor colons.
const SHELLS: Shells<'static> = Shells(&[
    &bash::Bash,
    &clap_complete::env::Elvish,
    &clap_complete::env::Fish,
    &clap_complete::env::Powershell,
    &clap_complete::env::Zsh,
]);

/// Prints the script for a shell.
///
/// # Errors
/// Fails when there is none for the shell.
pub(super) fn run(shell: Shell, context: &Context) -> anyhow::Result<Exit> {
    let name = shell.to_string();
    let completer = completer(&name)?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, PROGRAM, PROGRAM, &program(context), &mut script)?;
    context.ui.document(String::from_utf8_lossy(&script).trim_start());
    Ok(Exit::Done)
}

/// What a script runs: the program's name, or where it lies when PATH does not lead to it.
fn program(context: &Context) -> String {
    let here = || std::env::current_exe().ok().map(|path| path.to_string_lossy().into_owned());
    match context.tools.runner().locate(PROGRAM) {
        Some(_) => PROGRAM.to_owned(),
        None => here().unwrap_or_else(|| PROGRAM.to_owned()),
    }
}

fn completer(shell: &str) -> io::Result<&'static dyn EnvCompleter> {
    SHELLS.completer(shell).ok_or_else(|| io::Error::other(format!("no completions for `{shell}`")))
}

/// Answers a shell's script: what may stand in the place of the last word.
///
/// `args` are those of the process, its own name first. `None` where they are no script's.
pub(crate) fn answer(shell: Option<OsString>, args: &[OsString]) -> Option<String> {
    let (_, asked) = args.split_first()?;
    let (mark, asked) = asked.split_first()?;
    let shell = shell.filter(|shell| !shell.is_empty() && mark == "--")?;
    Some(candidates(&shell.to_string_lossy(), asked).unwrap_or_default())
}

fn candidates(shell: &str, asked: &[OsString]) -> io::Result<String> {
    let completer = completer(shell)?;
    let words = if completer.name() == bash::Bash.name() { bash::words(asked) } else { asked.to_vec() };
    // The word that is being typed says nothing yet.
    let said = words.split_last().map_or(&[][..], |(_, said)| said);
    let mut command = names::with_names(said);
    let mut answer = Vec::new();
    let folder = std::env::current_dir().ok();
    completer.write_complete(&mut command, asked.to_vec(), folder.as_deref(), &mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
