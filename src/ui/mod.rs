//! Everything the user sees: steps, progress, warnings, tables, and the data on standard output.
//!
//! Standard output only carries data; everything else goes to standard error. Apart from `main`, nothing else
//! prints, so untrusted text is stripped of terminal control sequences here.

mod output;
mod step;
mod style;
mod table;
mod transfer;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use console::{Style, Term};
use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::text::printable;

pub use output::{OutputFormat, WriteFailure};
pub use step::StepLine;
pub use style::{Colour, Look};
pub use table::{one_line, table};
pub use transfer::Transfer;

/// What to show, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct UiOptions {
    /// Only errors and data.
    pub quiet: bool,
    /// Every command as it runs; disables live lines, since both would fight for the screen.
    pub verbose: bool,
    pub no_progress: bool,
    pub colour: Colour,
}

/// How much of an answer to a question is read.
const ANSWER_LIMIT: u64 = 1024;

/// The user's terminal or its substitute. Clones share it.
#[derive(Clone)]
pub struct Ui {
    shared: Arc<UiState>,
}

struct UiState {
    look: Look,
    quiet: bool,
    verbose: bool,
    bars: MultiProgress,
    /// Why data could not be written to standard output.
    unwritten: Mutex<Option<WriteFailure>>,
    /// The warnings that are given once.
    told: Mutex<BTreeSet<String>>,
}

impl Ui {
    /// Creates a user interface on this process's standard streams.
    pub fn new(options: UiOptions, env: impl Fn(&str) -> Option<String>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let look = Look::choose(terminal, options, env);
        console::set_colors_enabled_stderr(look.colour);
        console::set_colors_enabled(look.colour && std::io::stdout().is_terminal());
        let target = if look.live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        Self {
            shared: Arc::new(UiState {
                look,
                quiet: options.quiet,
                verbose: options.verbose,
                bars,
                unwritten: Mutex::default(),
                told: Mutex::default(),
            }),
        }
    }

    /// What the terminal can show.
    pub fn look(&self) -> Look {
        self.shared.look
    }

    /// The width of standard output in columns, if it is a terminal.
    #[expect(clippy::unused_self, reason = "the width belongs to this interface's terminal")]
    pub fn width(&self) -> Option<usize> {
        let size = if std::io::stdout().is_terminal() { Term::stdout().size_checked() } else { None };
        size.map(|(_, columns)| usize::from(columns))
    }

    /// Prints human-readable output; [`Ui::written`] tells whether that worked.
    pub fn data(&self, text: &str) {
        self.write_out(&printable(text));
    }

    /// Prints machine-readable output byte by byte: JSON, YAML, a script. Only a terminal gets it without
    /// control sequences.
    pub fn document(&self, text: &str) {
        if std::io::stdout().is_terminal() {
            self.write_out(&printable(text));
        } else {
            self.write_out(text);
        }
    }

    fn write_out(&self, text: &str) {
        let newline = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        self.shared.bars.suspend(|| {
            let mut unwritten = self.shared.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
            let mut out = std::io::stdout().lock();
            if unwritten.is_none()
                && let Err(error) = write!(out, "{text}{newline}").and_then(|()| out.flush())
            {
                *unwritten = Some(WriteFailure::from(&error));
            }
        });
    }

    /// Fails if any data could not be written.
    ///
    /// # Errors
    /// Returns the first error.
    pub fn written(&self) -> Result<(), WriteFailure> {
        self.shared.unwritten.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    /// Like [`Ui::written`], but also fails if the reader has gone, for commands that write nothing for a
    /// while.
    ///
    /// # Errors
    /// See [`Ui::written`].
    pub fn is_read(&self) -> Result<(), WriteFailure> {
        self.written()?;
        if output::is_closed(std::io::stdout().as_fd()) { Err(WriteFailure::Closed) } else { Ok(()) }
    }

    /// Prints a progress line to standard error, unless quiet.
    pub fn line(&self, text: &str) {
        if !self.shared.quiet {
            self.always(text);
        }
    }

    /// Prints a warning, even if quiet. It should end with what to do.
    pub fn warn(&self, text: &str) {
        let label = Style::new().for_stderr().yellow().bold().apply_to("warning:");
        self.always(&format!("{label} {text}"));
    }

    /// Prints a warning once per run, however often it comes up.
    pub fn warn_once(&self, text: &str) {
        let mut told = self.shared.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(text.to_owned()) {
            self.warn(text);
        }
    }

    /// Prints a line only shown with `-v`.
    pub fn verbose(&self, text: &str) {
        if self.shared.verbose {
            let shown = Style::new().for_stderr().dim().apply_to(text);
            self.always(&format!("{shown}"));
        }
    }

    /// Prints the lines of an error.
    pub fn error(&self, lines: &[(&str, String)]) {
        for (label, text) in lines {
            let style = Style::new().for_stderr().bold();
            let (indent, style) = match *label {
                "error" => ("", style.red()),
                "hint" => ("", style.cyan()),
                _ => ("  ", style.yellow()),
            };
            let text = text.replace('\n', &format!("\n{indent}  "));
            self.always(&format!("{indent}{} {text}", style.apply_to(format!("{label}:"))));
        }
    }

    fn always(&self, text: &str) {
        let text = printable(text);
        let text = if self.shared.look.unicode { text } else { style::without_marks(&text).into() };
        self.shared.bars.suspend(|| {
            let mut err = std::io::stderr().lock();
            _ = writeln!(err, "{text}");
        });
    }

    /// Starts a step, which lasts until one of its ending methods is called.
    pub fn step(&self, title: &str) -> StepLine {
        StepLine::start(self.clone(), title)
    }

    /// Starts a live line for a transfer.
    pub fn transfer(&self, label: &str) -> Transfer {
        Transfer::start(self, label)
    }

    /// Asks a yes-or-no question on the terminal and reads a line from `input`; `None` if nobody can answer.
    pub fn ask(&self, question: &str, input: impl Read) -> Option<bool> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        self.shared.bars.suspend(|| {
            _ = write!(std::io::stderr(), "{} [y/N] ", printable(question));
            let mut answer = String::new();
            BufReader::new(input.take(ANSWER_LIMIT)).read_line(&mut answer).ok()?;
            Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
        })
    }

    fn is_quiet(&self) -> bool {
        self.shared.quiet
    }

    fn bars(&self) -> &MultiProgress {
        &self.shared.bars
    }
}

/// A human-readable duration: `0.4s`, `41s`, `2m 05s`.
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{whole}s"),
        _ => format!("{}m {:02}s", whole / 60, whole % 60),
    }
}

/// A count with the right plural: `1 image`, `3 images`.
pub fn count(n: usize, thing: &str) -> String {
    match (n, thing.strip_suffix('y')) {
        (1, _) => format!("1 {thing}"),
        (_, Some(stem)) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{n} {stem}ies"),
        _ => format!("{n} {thing}s"),
    }
}

/// A human-readable size: `812 B`, `16.0 MiB`.
pub fn bytes(n: u64) -> String {
    indicatif::HumanBytes(n).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_human_readable() {
        let rows = [(400, "0.4s"), (9_940, "9.9s"), (41_000, "41s"), (125_000, "2m 05s")];
        for (millis, text) in rows {
            assert_eq!(seconds(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn counts_have_the_right_plural() {
        assert_eq!(count(1, "image"), "1 image");
        assert_eq!(count(0, "image"), "0 images");
        assert_eq!(count(2, "registry"), "2 registries");
        assert_eq!(count(2, "day"), "2 days");
    }
}
