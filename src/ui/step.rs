//! A step: a spinner on a terminal, plain lines elsewhere.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use console::Style;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Ui, one_line, seconds};

/// How often a long step repeats what it waits for if lines cannot be redrawn.
const REMIND: Duration = Duration::from_secs(30);

/// A running step. Shown as failed if dropped before it ends.
pub struct StepLine {
    ui: Ui,
    title: String,
    started: Instant,
    bar: ProgressBar,
    shown: Mutex<(String, Instant)>,
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
            shown: Mutex::new((String::new(), now)),
            ended: false,
        }
    }

    /// Shows what the step is waiting for, or its progress.
    pub fn waits_for(&self, what: &str) {
        // It may contain untrusted text.
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
        let Ok(mut shown) = self.shown.lock() else { return };
        if shown.0 != *what || shown.1.elapsed() >= REMIND {
            self.ui.line(&format!("  {} {}: {what}", look.bullet(), self.title));
            *shown = (what.clone(), Instant::now());
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

    /// Ends the step as having nothing to do.
    pub fn unchanged(self, title: &str) {
        self.end(title, true, "");
    }

    /// Ends the step as failed.
    pub fn failed(self) {
        let (title, took) = (self.title.clone(), seconds(self.elapsed()));
        self.end(&title, false, &format!(" ({took})"));
    }

    /// Ends the step silently.
    pub fn vanish(mut self) {
        self.ended = true;
        self.bar.finish_and_clear();
    }

    fn end(mut self, title: &str, ok: bool, suffix: &str) {
        self.ended = true;
        self.bar.finish_and_clear();
        if self.ui.is_quiet() {
            return;
        }
        self.ui.line(&mark_line(&self.ui, ok, title, suffix));
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

fn mark_line(ui: &Ui, ok: bool, title: &str, suffix: &str) -> String {
    let look = ui.look();
    let style = Style::new().for_stderr();
    let (mark, style) = if ok { (look.tick(), style.green()) } else { (look.cross(), style.red()) };
    format!("{} {title}{}", style.apply_to(mark), Style::new().for_stderr().dim().apply_to(suffix))
}
