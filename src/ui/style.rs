//! What the terminal can show, decided once from plain facts.

use super::Wishes;

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Colour {
    /// If the terminal supports color and `NO_COLOR` is not set.
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether lines may be redrawn.
    pub live: bool,
    pub colour: bool,
    /// Whether there are characters beyond ASCII.
    pub unicode: bool,
}

impl Look {
    /// Decides from whether standard error is a terminal, what the user asked for, and the environment.
    pub fn choose(terminal: bool, wishes: Wishes, env: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        let no_colour = set("NO_COLOR").is_some();
        let colour = match wishes.colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && !dumb && !no_colour,
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let locale = locale.to_lowercase();
        Self {
            live: terminal && !dumb && !wishes.no_progress && !wishes.verbose && !wishes.quiet,
            colour,
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// The mark before a step that is done.
    pub fn tick(self) -> &'static str {
        if self.unicode { "✓" } else { "ok" }
    }

    /// The mark before a step that failed.
    pub fn cross(self) -> &'static str {
        if self.unicode { "✗" } else { "failed" }
    }

    /// The mark before a step that begins.
    pub fn bullet(self) -> &'static str {
        if self.unicode { "•" } else { "-" }
    }
}

/// Writes in ASCII the marks and the punctuation that tools and this program use; letters stay what they are, as
/// a name that is altered is of no use.
pub(super) fn without_marks(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '✓' | '✔' => plain.push_str("ok"),
            '✗' | '✘' => plain.push_str("failed"),
            '…' => plain.push_str("..."),
            '•' | '·' | '–' | '—' => plain.push('-'),
            '‘' | '’' => plain.push('\''),
            '“' | '”' => plain.push('"'),
            // Pictures, and what joins and varies them.
            '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' | '\u{fe0f}' | '\u{200d}' => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(terminal: bool, wishes: Wishes, vars: &[(&str, &str)]) -> Look {
        Look::choose(terminal, wishes, |name| {
            vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_good_terminal_gets_everything() {
        let look = look(true, Wishes::default(), &[("TERM", "xterm"), ("LANG", "en_US.UTF-8")]);
        assert_eq!(look, Look { live: true, colour: true, unicode: true });
    }

    #[test]
    fn a_pipe_gets_plain_lines() {
        let look = look(false, Wishes::default(), &[("TERM", "xterm"), ("LANG", "en_US.UTF-8")]);
        assert_eq!(look, Look { live: false, colour: false, unicode: true });
    }

    #[test]
    fn no_color_takes_the_colours_but_not_the_progress() {
        let look = look(true, Wishes::default(), &[("TERM", "xterm"), ("NO_COLOR", "1")]);
        assert_eq!(look, Look { live: true, colour: false, unicode: false });
    }

    #[test]
    fn colours_can_be_forced_into_a_pipe() {
        let wishes = Wishes { colour: Colour::Always, ..Wishes::default() };
        assert!(look(false, wishes, &[("NO_COLOR", "1")]).colour);
    }

    #[test]
    fn lc_all_beats_lang() {
        let vars = [("TERM", "xterm"), ("LC_ALL", "C"), ("LANG", "en_US.UTF-8")];
        assert!(!look(true, Wishes::default(), &vars).unicode);
    }

    #[test]
    fn marks_become_ascii_and_names_stay() {
        assert_eq!(
            without_marks("✗ Preparing nodes 📦 … “a” — 向量"),
            "failed Preparing nodes  ... \"a\" - 向量"
        );
    }

    #[test]
    fn verbose_turns_live_lines_off() {
        let wishes = Wishes { verbose: true, ..Wishes::default() };
        assert!(!look(true, wishes, &[("TERM", "xterm")]).live);
    }
}
