//! bash: a script that hands over the line as typed, and answers cut to what bash is going to replace.
//!
//! bash takes words apart at `=` and `:` and replaces only the part behind the last of them. So that
//! `--name=mil` and contexts such as `arn:aws:eks:…` complete, the line is split here, and what bash keeps is
//! taken off the answers again.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap_complete::engine::complete;
use clap_complete::env::EnvCompleter;

use crate::process::quote;

/// Works in bash 3.2 as well, which macOS has: without `mapfile`, and where there is no `compopt`.
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
        // Where nothing is typed, flags are many and seldom meant.
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

/// The words of the line that the script handed over, the one that is being typed last.
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

/// Puts a backslash before what a shell would not take as it is.
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

/// A line up to the cursor.
#[derive(Debug, PartialEq, Eq, Default)]
struct TypedLine {
    /// The words that are complete.
    words: Vec<String>,
    /// The word at the cursor, empty behind a space.
    last: String,
    /// Whether the word at the cursor stands in quotes that are still open.
    in_quotes: bool,
}

/// Splits a line into words as a shell does, without expanding anything.
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
    fn a_line_is_split_as_a_shell_does() {
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
    fn what_a_shell_would_not_take_is_escaped() {
        assert_eq!(escaped("kind-a"), "kind-a");
        assert_eq!(escaped("a b$(c)"), r"a\ b\$\(c\)");
        assert_eq!(escaped("向量"), "向量");
    }
}
