//! One step of the story: a spinner on a terminal, plain lines elsewhere.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use console::Style;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Ui, one_line, seconds};

/// How often a long step says again what it waits for, where lines cannot be redrawn.
const REMIND: Duration = Duration::from_secs(30);

/// A step that was begun. Dropped without an end, it shows as failed.
pub struct StepLine {
    ui: Ui,
    title: String,
    started: Instant,
    bar: ProgressBar,
    said: Mutex<(String, Instant)>,
    ended: bool,
}

impl StepLine {
    pub(super) fn start(ui: Ui, title: &str) -> Self {
        let look = ui.look();
        let bar = if look.live {
            let bar = ui.bars().add(ProgressBar::new_spinner());
            let template = if look.colour { "{spinner:.cyan} {wide_msg}" } else { "{spinner} {wide_msg}" };
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_spinner())
                .tick_strings(if look.unicode {
                    &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", "⠿"]
                } else {
                    &["|", "/", "-", "\\", "-"]
                });
            bar.set_style(style);
            bar.set_message(one_line(title));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        } else {
            ProgressBar::hidden()
        };
        let now = Instant::now();
        Self {
            ui,
            title: title.to_owned(),
            started: now,
            bar,
            said: Mutex::new((String::new(), now)),
            ended: false,
        }
    }

    /// Says what the step waits for, or how far it is.
    pub fn waits_for(&self, what: &str) {
        // It may hold words from outside.
        let what = &one_line(what);
        let look = self.ui.look();
        if look.live {
            let passed = self.started.elapsed().as_secs();
            let passed = if passed >= 5 { format!(" ({passed}s)") } else { String::new() };
            let dash = if look.unicode { "—" } else { "-" };
            let message = format!("{} {dash} {what}{passed}", self.title);
            self.bar.set_message(message);
            return;
        }
        let Ok(mut said) = self.said.lock() else { return };
        if said.0 != *what || said.1.elapsed() >= REMIND {
            self.ui.line(&format!("  {} {}: {what}", look.bullet(), self.title));
            *said = (what.clone(), Instant::now());
        }
    }

    /// How long the step has taken so far.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn done(self, title: &str) {
        let took = seconds(self.elapsed());
        self.end(title, true, &format!(" ({took})"));
    }

    /// Ends the step as one that had nothing to do.
    pub fn unchanged(self, title: &str) {
        self.end(title, true, "");
    }

    /// Ends the step as failed.
    pub fn failed(self) {
        let (title, took) = (self.title.clone(), seconds(self.elapsed()));
        self.end(&title, false, &format!(" ({took})"));
    }

    /// Ends the step without a word.
    pub fn vanish(mut self) {
        self.ended = true;
        self.bar.finish_and_clear();
    }

    fn end(mut self, title: &str, well: bool, suffix: &str) {
        self.ended = true;
        self.bar.finish_and_clear();
        if self.ui.is_quiet() {
            return;
        }
        self.ui.line(&mark_line(&self.ui, well, title, suffix));
    }
}

impl Drop for StepLine {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.bar.finish_and_clear();
        let suffix = format!(" ({})", seconds(self.elapsed()));
        self.ui.line(&mark_line(&self.ui, false, &self.title, &suffix));
    }
}

fn mark_line(ui: &Ui, well: bool, title: &str, suffix: &str) -> String {
    let look = ui.look();
    let style = Style::new().for_stderr();
    let (mark, style) = if well { (look.tick(), style.green()) } else { (look.cross(), style.red()) };
    format!("{} {title}{}", style.apply_to(mark), Style::new().for_stderr().dim().apply_to(suffix))
}
