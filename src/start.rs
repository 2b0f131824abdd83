//! Turns arguments and environment into a command, and its result into an exit code.

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::{ArgMatches, FromArgMatches};

use crate::cli::{self, Cli, Command, GlobalArgs, ImagesCommand};
use crate::commands::completions;
use crate::context::Context;
use crate::error::{Exit, Failure, Note, exit_of, render};
use crate::process::{self, Deadline, Interrupt, SystemRunner};
use crate::settings::{self, FILE_NAME, Layer, Settings, Unmapped};
use crate::tools::Tools;
use crate::ui::{Ui, UiOptions, WriteFailure};
use crate::{commands, toolbox};

/// Runs the program with `args`, including its name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(candidates) = completions::answer(std::env::var_os(completions::VARIABLE), &args) {
        let ui = Ui::new(UiOptions::default(), |_| None);
        ui.document(&candidates);
        return if ui.written().is_ok() { Exit::Done } else { Exit::Failed };
    }
    let matches = match cli::command_line().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let ui = Ui::new(options(&cli.global), |name| std::env::var(name).ok());
    let context = context(&cli, &matches, &ui);
    let (result, context) = match context {
        Ok(context) => (perform(&cli.command, &context), Some(context)),
        Err(error) => (Err(error), None),
    };
    // Lost output is a failure, whatever was done.
    let result = match ui.written() {
        Err(unwritten @ WriteFailure::Failed(_)) => result.and(Err(unwritten.into())),
        _ => result,
    };
    match result {
        Ok(exit) => exit,
        Err(error) if matches!(error.downcast_ref(), Some(WriteFailure::Closed)) => Exit::Done,
        Err(error) => report(&ui, &error, context.as_ref()),
    }
}

fn perform(command: &Command, context: &Context) -> anyhow::Result<Exit> {
    let result = commands::run(command, context);
    // An interrupt wins over whatever the interrupted step reported.
    if context.interrupt.is_set() {
        result.and(Ok(Exit::Interrupted)).exit(Exit::Interrupted)
    } else {
        result
    }
}

/// Prints an error; its hints name the cluster of this run.
fn report(ui: &Ui, error: &anyhow::Error, context: Option<&Context>) -> Exit {
    let mut lines = render(error);
    if let Some(context) = context {
        for (_, hint) in lines.iter_mut().filter(|(label, _)| *label == "hint") {
            *hint = context.advice(hint);
        }
    }
    ui.error(&lines);
    exit_of(error)
}

/// Prints a usage error or the requested help to the stream that clap chooses.
fn usage(error: &clap::Error) -> Exit {
    match error.print() {
        Err(unwritten) if unwritten.kind() != ErrorKind::BrokenPipe => {
            report(&Ui::new(UiOptions::default(), |_| None), &WriteFailure::from(&unwritten).into(), None)
        }
        _ if error.use_stderr() => Exit::Usage,
        _ => Exit::Done,
    }
}

fn options(global: &GlobalArgs) -> UiOptions {
    UiOptions {
        quiet: global.quiet,
        verbose: global.verbose,
        no_progress: global.no_progress,
        colour: global.color,
    }
}

fn context(cli: &Cli, matches: &ArgMatches, ui: &Ui) -> anyhow::Result<Context> {
    let interrupt = Interrupt::listen().context("could not set up signal handling")?;
    let settings = settings(cli, matches, ui, &interrupt)?;
    let own_tools = toolbox::bin_dir().ok();
    let deadline = Deadline::default();
    let path = std::env::var_os("PATH");
    let mut runner = SystemRunner::new(path, own_tools.as_deref(), interrupt.clone(), deadline.clone());
    if cli.global.verbose {
        let shown = ui.clone();
        runner = runner.log(move |line| shown.verbose(line));
    }
    if cli.global.dry_run {
        let shown = ui.clone();
        runner = runner.dry_run(move |script| shown.document(script));
    }
    Ok(Context {
        settings,
        tools: Tools::new(Arc::new(runner)),
        ui: ui.clone(),
        interrupt,
        deadline,
        output: cli.global.format(),
        dry_run: cli.global.dry_run,
    })
}

fn settings(cli: &Cli, matches: &ArgMatches, ui: &Ui, interrupt: &Interrupt) -> anyhow::Result<Settings> {
    // Completions must load in a folder with a broken configuration file.
    if matches!(cli.command, Command::Completions { .. } | Command::Man(_)) {
        return Ok(settings::resolve(Layer::default(), None)?);
    }
    let named = cli.global.config.clone();
    let found = || Some(PathBuf::from(FILE_NAME)).filter(|path| path.is_file());
    let file = match named.clone().or_else(found) {
        None => None,
        Some(path) => {
            let text = process::read_text(&path, interrupt)
                .with_context(|| format!("could not read the configuration file `{}`", path.display()))
                .exit(if interrupt.is_set() { Exit::Interrupted } else { Exit::Usage })?;
            if named.is_none() && std::io::stderr().is_terminal() {
                ui.line(&format!("Using ./{}", path.display()));
            }
            Some(settings::file::parse(&path, &text))
        }
    };
    let layer = with_kind_file(cli, cli::layer(matches).over(file.unwrap_or_default()), interrupt)?;
    let settings =
        settings::resolve(layer, None).map_err(|problems| Failure::new(Exit::Usage, problems.to_string()))?;
    // Other commands hardly depend on what is warned about here, and run often.
    let warns = matches!(cli.command, Command::Up(_) | Command::Render(_) | Command::Doctor(_));
    let mut warnings = settings::warnings(&settings);
    // `up` also knows what an existing cluster maps.
    if matches!(cli.command, Command::Render(_) | Command::Doctor(_)) {
        warnings.extend(settings::unmapped(&settings).iter().map(Unmapped::warning));
    }
    for warning in warnings {
        if warns {
            ui.warn(&warning);
        } else {
            ui.verbose(&format!("warning: {warning}"));
        }
    }
    Ok(settings)
}

/// Adds the user's own kind config. Commands that do not create a cluster only read it for the name, so that
/// a named cluster can still be inspected and deleted if the file is gone.
fn with_kind_file(cli: &Cli, layer: Layer, interrupt: &Interrupt) -> anyhow::Result<Layer> {
    let needs_config = matches!(
        cli.command,
        Command::Up(_)
            | Command::Render(_)
            | Command::Doctor(_)
            | Command::Images(ImagesCommand::Plan { .. })
    );
    let Some(path) = layer.kind_config().filter(|_| needs_config || !layer.names_cluster()) else {
        return Ok(layer);
    };
    let (opened, name) = match path {
        "-" => (process::stdin(interrupt), Path::new("standard input")),
        path => (process::open(Path::new(path), interrupt), Path::new(path)),
    };
    let text = opened
        .and_then(process::all_text)
        .with_context(|| format!("could not read the kind configuration `{}`", name.display()))
        .exit(if interrupt.is_set() { Exit::Interrupted } else { Exit::Usage })?;
    let file = settings::kind_file::parse(name, &text);
    Ok(layer.with_kind_file(file))
}
