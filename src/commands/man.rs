//! `man`: manual pages of the program and its commands, with the examples and exit codes from their help.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::{Cli, Help, ManArgs};
use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::nearest::nearest;

/// Prints one page, or writes all of them.
///
/// # Errors
/// Fails with [`Exit::Usage`] if there is no such command, and if a page cannot be written.
pub(super) fn run(args: &ManArgs, context: &Context) -> anyhow::Result<Exit> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    if let Some(folder) = &args.dir {
        fs::create_dir_all(folder)
            .with_context(|| format!("could not create the directory `{}`", folder.display()))?;
        return write_all(&program, &[], folder, context).map(|()| Exit::Done);
    }
    let words: Vec<&str> = args.command.iter().map(String::as_str).collect();
    let page = page(find(&program, &words)?, &words)?;
    context.ui.document(&page);
    if context.ui.width().is_some() {
        let line = ["milvusctl man"].into_iter().chain(words).collect::<Vec<_>>().join(" ");
        context.ui.line(&format!("hint: `{line} | man -l -` shows it as a page"));
    }
    Ok(Exit::Done)
}

fn find<'a>(program: &'a Command, words: &[&str]) -> anyhow::Result<&'a Command> {
    let mut command = program;
    for word in words {
        let known = || command.get_subcommands().map(Command::get_name);
        let Some(inner) = command.find_subcommand(word) else {
            let error = Failure::new(Exit::Usage, format!("`{}` has no command `{word}`", name(command)));
            return Err(error).hint(match nearest(word, known()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known().next().is_none() => "`milvusctl man` lists the commands".to_owned(),
                None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
            });
        };
        command = inner;
    }
    Ok(command)
}

fn name(command: &Command) -> &str {
    command.get_bin_name().unwrap_or_else(|| command.get_name())
}

fn write_all(command: &Command, words: &[&str], folder: &Path, context: &Context) -> anyhow::Result<()> {
    let path = folder.join(Man::new(command.clone()).get_filename());
    fs::write(&path, page(command, words)?)
        .with_context(|| format!("could not write the page `{}`", path.display()))?;
    context.ui.data(&path.display().to_string());
    for inner in command.get_subcommands() {
        let words: Vec<&str> = words.iter().copied().chain([inner.get_name()]).collect();
        write_all(inner, &words, folder, context)?;
    }
    Ok(())
}

/// Renders a command's page. Examples and exit codes are added here, since `clap_mangen` would join their
/// lines.
fn page(command: &Command, words: &[&str]) -> anyhow::Result<String> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(help) = Help::of(words) {
        extra_sections(help).to_writer(&mut page)?;
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn extra_sections(help: &Help) -> Roff {
    let mut roff = Roff::new();
    if let Some(note) = help.note {
        roff.control("SH", ["NOTES"]).text([roman(note)]);
    }
    roff.control("SH", ["EXAMPLES"]);
    for example in help.examples {
        roff.control("PP", []).text([bold(*example)]);
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in help.exits {
        roff.control("TP", []).text([bold(code.to_string())]).text([roman(*meaning)]);
    }
    roff
}
