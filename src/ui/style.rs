//! The terminal's capabilities, decided once.

use super::UiOptions;

/// When to use colours.
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

/// The terminal's capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether lines may be redrawn.
    pub live: bool,
    pub colour: bool,
    /// Whether characters beyond ASCII can be shown.
    pub unicode: bool,
}

impl Look {
    /// Decides from whether standard error is a terminal, the user's options, and the environment.
    pub fn choose(terminal: bool, options: UiOptions, env: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        let no_colour = set("NO_COLOR").is_some();
        let colour = match options.colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && !dumb && !no_colour,
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let locale = locale.to_lowercase();
        Self {
            live: terminal && !dumb && !options.no_progress && !options.verbose && !options.quiet,
            colour,
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// The mark of a finished step.
    pub fn tick(self) -> &'static str {
        if self.unicode { "✓" } else { "ok" }
    }

    /// The mark of a failed step.
    pub fn cross(self) -> &'static str {
        if self.unicode { "✗" } else { "failed" }
    }

    /// The mark of a starting step.
    pub fn bullet(self) -> &'static str {
        if self.unicode { "•" } else { "-" }
    }
}

/// Replaces marks and punctuation used by tools and this program with ASCII. Letters stay, since an altered
/// name is useless.
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
            // Emoji, joiners and variation selectors.
            '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' | '\u{fe0f}' | '\u{200d}' => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(terminal: bool, options: UiOptions, vars: &[(&str, &str)]) -> Look {
        Look::choose(terminal, options, |name| {
            vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_good_terminal_gets_everything() {
        let look = look(true, UiOptions::default(), &[("TERM", "xterm"), ("LANG", "en_US.UTF-8")]);
        assert_eq!(look, Look { live: true, colour: true, unicode: true });
    }

    #[test]
    fn a_pipe_gets_plain_lines() {
        let look = look(false, UiOptions::default(), &[("TERM", "xterm"), ("LANG", "en_US.UTF-8")]);
        assert_eq!(look, Look { live: false, colour: false, unicode: true });
    }

    #[test]
    fn no_color_disables_colours_but_not_progress() {
        let look = look(true, UiOptions::default(), &[("TERM", "xterm"), ("NO_COLOR", "1")]);
        assert_eq!(look, Look { live: true, colour: false, unicode: false });
    }

    #[test]
    fn colours_can_be_forced_into_a_pipe() {
        let options = UiOptions { colour: Colour::Always, ..UiOptions::default() };
        assert!(look(false, options, &[("NO_COLOR", "1")]).colour);
    }

    #[test]
    fn lc_all_beats_lang() {
        let vars = [("TERM", "xterm"), ("LC_ALL", "C"), ("LANG", "en_US.UTF-8")];
        assert!(!look(true, UiOptions::default(), &vars).unicode);
    }

    #[test]
    fn marks_become_ascii_and_names_stay() {
        assert_eq!(
            without_marks("✗ Preparing nodes 📦 … “a” — 向量"),
            "failed Preparing nodes  ... \"a\" - 向量"
        );
    }

    #[test]
    fn verbose_disables_live_lines() {
        let options = UiOptions { verbose: true, ..UiOptions::default() };
        assert!(!look(true, options, &[("TERM", "xterm")]).live);
    }
}
