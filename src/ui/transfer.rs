//! A live line for one pull or load.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Ui, bytes, seconds};
use crate::text::printable;

/// A running transfer.
pub struct Transfer {
    ui: Ui,
    label: String,
    started: Instant,
    bar: ProgressBar,
}

impl Transfer {
    pub(super) fn start(ui: &Ui, label: &str) -> Self {
        let bar = if ui.look().live {
            let bar = ui.bars().add(ProgressBar::no_length());
            bar.set_style(unknown_length());
            bar.set_message(printable(label).into_owned());
            bar.enable_steady_tick(std::time::Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        Self { ui: ui.clone(), label: label.to_owned(), started: Instant::now(), bar }
    }

    /// Shows the progress: bytes so far, and the total if known.
    pub fn at(&self, done: u64, total: Option<u64>) {
        if let Some(total) = total.filter(|total| *total > 0) {
            if self.bar.length() != Some(total) {
                self.bar.set_length(total);
                self.bar.set_style(known_length(self.ui.look().unicode));
            }
            self.bar.set_position(done.min(total));
        } else {
            self.bar.set_position(done);
        }
    }

    /// Shows what happens now.
    pub fn says(&self, what: &str) {
        self.bar.set_message(printable(&format!("{} {what}", self.label)).into_owned());
    }

    /// Ends the line with what was done and the bytes moved.
    pub fn done(self, what: &str, moved: Option<u64>) {
        self.bar.finish_and_clear();
        let size = moved.map(|n| format!("{}, ", bytes(n))).unwrap_or_default();
        let mark = console::Style::new().for_stderr().green().apply_to(self.ui.look().tick());
        let took = format!(" ({size}{})", seconds(self.started.elapsed()));
        let what = if self.ui.look().live {
            fitted(what, columns().saturating_sub(4 + took.len()))
        } else {
            what.to_owned()
        };
        self.ui.line(&format!("  {mark} {what}{took}"));
    }

    /// Ends the line with what went wrong.
    pub fn failed(self, what: &str) {
        self.bar.finish_and_clear();
        let mark = console::Style::new().for_stderr().red().apply_to(self.ui.look().cross());
        self.ui.line(&format!("  {mark} {what}"));
    }

    /// Ends the line silently.
    pub fn vanish(self) {
        self.bar.finish_and_clear();
    }
}

/// The width of standard error's terminal in columns.
fn columns() -> usize {
    usize::from(console::Term::stderr().size().1)
}

/// Shortens `what` to `width` columns by replacing the middle of its longest words with dots.
///
/// The longest words are names of images and nodes, whose ends matter more than their middles. They are cut to
/// the same length, so that neither disappears for the other's sake. A word keeps at least eight characters.
fn fitted(what: &str, width: usize) -> String {
    const DOTS: &str = "...";
    const LEAST: usize = 8 + DOTS.len();
    let words: Vec<Vec<char>> = what.split(' ').map(|word| word.chars().collect()).collect();
    let longest = words.iter().map(Vec::len).max().unwrap_or(0);
    let width_at = |cap: usize| words.iter().map(|word| word.len().min(cap) + 1).sum::<usize>() - 1;
    let cap = (LEAST..longest).rev().find(|cap| width_at(*cap) <= width).unwrap_or(LEAST);
    if width_at(longest) <= width {
        return what.to_owned();
    }
    let shortened: Vec<String> = words
        .iter()
        .map(|word| {
            if word.len() <= cap {
                return word.iter().collect();
            }
            let kept = cap - DOTS.len();
            let (head, tail) = (&word[..kept / 2], &word[word.len() - (kept - kept / 2)..]);
            head.iter().chain(&DOTS.chars().collect::<Vec<_>>()).chain(tail).collect()
        })
        .collect();
    shortened.join(" ")
}

fn unknown_length() -> ProgressStyle {
    ProgressStyle::with_template("  {spinner} {wide_msg} {bytes:>10} {elapsed:>4}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn known_length(unicode: bool) -> ProgressStyle {
    ProgressStyle::with_template("  {spinner} {wide_msg} {bar:16} {bytes:>10}/{total_bytes:<10}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars(if unicode { "━╸ " } else { "=> " })
}

#[cfg(test)]
mod tests {
    use super::fitted;

    const LINE: &str = "loaded minio/minio:RELEASE.2024-12-18T13-15-44Z into 3 nodes";

    #[test]
    fn a_line_that_fits_stays() {
        assert_eq!(fitted(LINE, LINE.len()), LINE);
    }

    #[test]
    fn a_long_name_loses_its_middle_until_the_line_fits() {
        let short = fitted(LINE, 54);
        assert_eq!(short, "loaded minio/minio:REL...-12-18T13-15-44Z into 3 nodes");
        assert_eq!(short.len(), 54);
    }

    #[test]
    fn two_long_names_are_cut_to_the_same_length() {
        let line = "loaded minio/minio:RELEASE.2024-12-18T13-15-44Z into my-quite-long-cluster-control-plane";
        let short = fitted(line, 70);
        assert_eq!(short, "loaded minio/minio:...-18T13-15-44Z into my-quite-lon...control-plane");
        assert_eq!(short.len(), 69);
    }

    #[test]
    fn a_name_is_not_shortened_beyond_recognition() {
        assert_eq!(fitted(LINE, 10), "loaded mini...-44Z into 3 nodes");
        assert_eq!(fitted("loaded a into b", 5), "loaded a into b");
    }
}
