//! bash: a script that passes the line as typed, and answers reduced to the part that bash replaces.
//!
//! bash splits words at `=` and `:` and only replaces the part after the last one. To complete `--name=mil`
//! and contexts such as `arn:aws:eks:…`, the line is split here, and the prefix that bash keeps is stripped
//! from the answers.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap_complete::engine::complete;
use clap_complete::env::EnvCompleter;

use crate::process::quote;

/// Also works in bash 3.2, as on macOS, which has neither `mapfile` nor `compopt`.
const SCRIPT: &str = r#"_NAME_complete() {
    local candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        [[ -n $candidate ]] && COMPREPLY+=("$candidate")
    done < <(VARIABLE=bash COMPLETER -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}
complete -F _NAME_complete BIN
"#;

pub(super) struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == "bash"
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let script = SCRIPT
            .replace("VARIABLE", var)
            .replace("NAME", name)
            .replace("BIN", &quote(bin))
            .replace("COMPLETER", &quote(completer));
        buf.write_all(script.as_bytes())
    }

    fn write_complete(
        &self,
        cmd: &mut clap::Command,
        args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let line = split(&text(args.first()));
        let replaced = text(args.get(1));
        let kept = line.last.strip_suffix(unquoted(&replaced)).unwrap_or_default().to_owned();
        let index = line.words.len();
        let is_empty = line.last.is_empty();
        let words = line.words.into_iter().chain([line.last]).map(OsString::from).collect();
        let found: Vec<String> = complete(cmd, words, index, current_dir)?
            .iter()
            .map(|candidate| candidate.get_value().to_string_lossy().into_owned())
            .collect();
        // With nothing typed, flags are many and rarely wanted.
        let only_flags = found.iter().all(|candidate| candidate.starts_with('-'));
        for candidate in
            found.iter().filter(|candidate| !is_empty || only_flags || !candidate.starts_with('-'))
        {
            let rest = candidate.strip_prefix(&kept).unwrap_or(candidate);
            let rest = if line.in_quotes { rest.to_owned() } else { escaped(rest) };
            writeln!(buf, "{rest}")?;
        }
        Ok(())
    }
}

/// The words of the line passed by the script; the last one is being typed.
pub(super) fn words(asked: &[OsString]) -> Vec<OsString> {
    let line = split(&text(asked.first()));
    line.words.into_iter().chain([line.last]).map(OsString::from).collect()
}

fn text(arg: Option<&OsString>) -> String {
    arg.map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default()
}

fn unquoted(word: &str) -> &str {
    word.trim_start_matches(['"', '\''])
}

/// Escapes characters that are special to a shell.
fn escaped(word: &str) -> String {
    let mut text = String::new();
    for c in word.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./:=@,+%^~".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// The line up to the cursor.
#[derive(Debug, PartialEq, Eq, Default)]
struct TypedLine {
    /// The completed words.
    words: Vec<String>,
    /// The word at the cursor; empty after a space.
    last: String,
    /// Whether the word at the cursor is inside open quotes.
    in_quotes: bool,
}

/// Splits a line into words like a shell, without expansion.
fn split(line: &str) -> TypedLine {
    let mut result = TypedLine::default();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => result.words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    result.last = word.unwrap_or_default();
    result.in_quotes = quote.is_some();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str], last: &str, in_quotes: bool) -> TypedLine {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        TypedLine { words, last: last.to_owned(), in_quotes }
    }

    #[test]
    fn a_line_is_split_like_in_a_shell() {
        let rows = [
            ("milvusctl ", line(&["milvusctl"], "", false)),
            ("milvusctl  down --name=mil", line(&["milvusctl", "down"], "--name=mil", false)),
            (r"m -c my\ file", line(&["m", "-c"], "my file", false)),
            ("m '' \"a b", line(&["m", ""], "a b", true)),
            (r#"m 'it'"'s' "#, line(&["m"], "it's' ", true)),
        ];
        for (text, expected) in rows {
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[test]
    fn special_characters_are_escaped() {
        assert_eq!(escaped("kind-a"), "kind-a");
        assert_eq!(escaped("a b$(c)"), r"a\ b\$\(c\)");
        assert_eq!(escaped("向量"), "向量");
    }
}
