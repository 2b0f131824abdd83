//! `completions`: prints a script through which a shell asks this program for completions, and answers it.
//!
//! The scripts contain no commands or flags: they run the program with [`VARIABLE`] set, so names of
//! clusters, contexts and namespaces are current. Answering prints no errors, takes about a second at most,
//! and changes nothing.

mod bash;
mod live;
mod names;

use std::ffi::OsString;
use std::io;

use clap_complete::Shell;
use clap_complete::env::{EnvCompleter, Shells};

use crate::context::Context;
use crate::error::Exit;

/// The variable through which a shell's script asks for completions; it holds the shell's name.
pub(crate) const VARIABLE: &str = "MILVUSCTL_COMPLETE";

const PROGRAM: &str = "milvusctl";

/// The shells. bash has its own script, as `clap_complete`'s handles neither `--flag=value` nor colons.
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
/// Fails if the shell is not supported.
pub(super) fn run(shell: Shell, context: &Context) -> anyhow::Result<Exit> {
    let name = shell.to_string();
    let completer = completer(&name)?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, PROGRAM, PROGRAM, &program(context), &mut script)?;
    context.ui.document(String::from_utf8_lossy(&script).trim_start());
    Ok(Exit::Done)
}

/// What the script runs: the program's name, or its path if it is not in PATH.
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

/// Answers a shell's script with candidates for the last word.
///
/// `args` are the process arguments including its name. Returns `None` unless a completion script called.
pub(crate) fn answer(shell: Option<OsString>, args: &[OsString]) -> Option<String> {
    let (_, asked) = args.split_first()?;
    let (mark, asked) = asked.split_first()?;
    let shell = shell.filter(|shell| !shell.is_empty() && mark == "--")?;
    Some(candidates(&shell.to_string_lossy(), asked).unwrap_or_default())
}

fn candidates(shell: &str, asked: &[OsString]) -> io::Result<String> {
    let completer = completer(shell)?;
    let words = if completer.name() == bash::Bash.name() { bash::words(asked) } else { asked.to_vec() };
    // The word being typed is incomplete.
    let said = words.split_last().map_or(&[][..], |(_, said)| said);
    let mut command = names::with_names(said);
    let mut answer = Vec::new();
    let folder = std::env::current_dir().ok();
    completer.write_complete(&mut command, asked.to_vec(), folder.as_deref(), &mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
