//! Makes untrusted text harmless where it is shown.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character controls the terminal or the reading order instead of being shown.
fn is_control(c: char) -> bool {
    // Bidirectional marks, overrides and isolates make a line read as something else (CVE-2021-42574); some
    // readers break lines at the line and paragraph separators.
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns `text` with control characters escaped as `\x1b` or `\u{202e}`, except line ends, tabs and the
/// colours that this program uses itself.
///
/// A colour such as `ESC [ 31 m` can recolour later words but hide none, and every word that this program
/// styles ends with its own reset.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_control(c) && !matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = colour(rest).unwrap_or(c.len_utf8());
        let (part, after) = rest.split_at(length);
        if length > 1 && c == '\x1b' || matches!(c, '\n' | '\t') || !is_control(c) {
            shown.push_str(part);
        } else {
            push_escaped(&mut shown, c);
        }
        rest = after;
    }
    Cow::Owned(shown)
}

/// The length of the colour sequence at the start of `text`.
fn colour(text: &str) -> Option<usize> {
    let (parameter, _) = text.strip_prefix("\x1b[")?.split_once('m')?;
    // Reset, bold, dim and foreground colours.
    let is_colour = matches!(parameter, "0" | "1" | "2" | "31" | "32" | "33" | "34" | "35" | "36");
    is_colour.then_some(3 + parameter.len())
}

fn push_escaped(shown: &mut String, c: char) {
    let code = u32::from(c);
    // Writing to a `String` cannot fail.
    let _ = if code < 0x100 { write!(shown, "\\x{code:02x}") } else { write!(shown, "\\u{{{code:x}}}") };
}

/// Quotes a word with control characters for a shell on a single line, as bash's `$'…'`, in POSIX since 2024.
/// Returns `None` for a word without any.
pub fn quote_on_one_line(word: &str) -> Option<String> {
    if !word.chars().any(is_control) {
        return None;
    }
    let mut quoted = String::from("$'");
    for c in word.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\'' | '\\' => quoted.extend(['\\', c]),
            c if is_control(c) => {
                // With `\x` bash would take the hex digits that follow into a longer number.
                let code = u32::from(c);
                let _ = if code < 0x80 {
                    write!(quoted, "\\x{code:02x}")
                } else {
                    write!(quoted, "\\u{code:04x}")
                };
            }
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    Some(quoted)
}

/// Returns `text` as a one-line shell comment that it cannot break out of: line ends and other control
/// characters are escaped.
pub fn comment(text: &str) -> String {
    let mut line = String::from("# ");
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\t' => line.push(' '),
            c if is_control(c) => push_escaped(&mut line, c),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_unchanged() {
        for text in ["", "plain", "two\nlines\twith a tab", "向量 ✓ …", "\x1b[31m\x1b[1merror:\x1b[0m x"]
        {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn terminal_control_sequences_are_escaped() {
        let rows = [
            ("a\x1b]0;title\x07b", r"a\x1b]0;title\x07b"),
            ("a\x1b[2Jb", r"a\x1b[2Jb"),
            ("over\rwritten", r"over\x0dwritten"),
            ("back\x08space", r"back\x08space"),
            ("c1 \u{9b}31m", r"c1 \x9b31m"),
            ("gpj.\u{202e}exe", r"gpj.\u{202e}exe"),
            ("\x1b[31", r"\x1b[31"),
            ("\x1b[8mhidden\x1b[0m", "\\x1b[8mhidden\x1b[0m"),
            ("\x1b[31mred\x1b[1A", "\x1b[31mred\\x1b[1A"),
            ("nul\0", r"nul\x00"),
        ];
        for (text, shown) in rows {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn a_word_with_control_characters_is_quoted_on_one_line() {
        assert_eq!(quote_on_one_line("it's plain"), None);
        let quoted = quote_on_one_line("it's\n\t\\ \x1b[2J\u{202e}").unwrap();
        assert_eq!(quoted, r"$'it\'s\n\t\\ \x1b[2J\u202e'");
    }

    #[test]
    fn a_comment_is_always_one_line() {
        assert_eq!(comment("milvus:v1 is refused"), "# milvus:v1 is refused");
        assert_eq!(comment("a\nrm -rf x\r\n\u{2028}touch y"), r"# a\nrm -rf x\x0d\n\u{2028}touch y");
        assert_eq!(comment("a\tb\x1b[2J"), r"# a b\x1b[2J");
    }
}
