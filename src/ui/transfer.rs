//! One live line for one pull or load.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Ui, bytes, seconds};

/// Bytes on their way.
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
            bar.set_message(label.to_owned());
            bar.enable_steady_tick(std::time::Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        Self { ui: ui.clone(), label: label.to_owned(), started: Instant::now(), bar }
    }

    /// Says how far it is: bytes so far, and of how many if that is known.
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

    /// Says in words what happens now.
    pub fn says(&self, what: &str) {
        self.bar.set_message(format!("{} {what}", self.label));
    }

    /// Ends the line with what was done and how many bytes that were.
    pub fn done(self, what: &str, moved: Option<u64>) {
        self.bar.finish_and_clear();
        let size = moved.map(|n| format!("{}, ", bytes(n))).unwrap_or_default();
        let mark = console::Style::new().for_stderr().green().apply_to(self.ui.look().tick());
        self.ui.line(&format!("  {mark} {what} ({size}{})", seconds(self.started.elapsed())));
    }

    /// Ends the line with what went wrong.
    pub fn failed(self, what: &str) {
        self.bar.finish_and_clear();
        let mark = console::Style::new().for_stderr().red().apply_to(self.ui.look().cross());
        self.ui.line(&format!("  {mark} {what}"));
    }

    /// Ends the line without a word.
    pub fn vanish(self) {
        self.bar.finish_and_clear();
    }
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
