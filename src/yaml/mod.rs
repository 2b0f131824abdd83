//! Reads YAML and reports the position of each value.
//!
//! The only module that uses `serde_yaml`, and only for reading: it writes `yes` and `12:30` unquoted, which
//! older parsers read as something else. Templates do the writing.

mod document;
mod stop_at;

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed as _, IgnoredAny};

pub use document::{Document, YamlNode};
pub use stop_at::PathSegment;

use stop_at::StopAt;

/// A position in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1 in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// An error in YAML text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", place.map_or_else(String::new, |at| format!(" ({at})")))]
pub struct YamlError {
    /// The message without the position.
    pub message: String,
    /// The position, if known.
    pub place: Option<Position>,
}

impl From<serde_yaml::Error> for YamlError {
    fn from(error: serde_yaml::Error) -> Self {
        let place = error.location().map(|at| Position { line: at.line(), column: at.column() });
        let mut message = error.to_string();
        // serde_yaml appends the position to its messages.
        if let Some(at) = place {
            message = message.replace(&format!(" at {}", At(at)), "");
        }
        Self { message, place }
    }
}

/// Formats a position like `serde_yaml`.
struct At(Position);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.0.line, self.0.column)
    }
}

/// Parses the single YAML document `text` into `T`, applying merge keys and ignoring a byte order mark and
/// empty documents before and after it.
///
/// # Errors
/// Fails if `text` is not YAML, has several documents, or does not match `T`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    let text = without_mark(text);
    if text.contains(MERGE) { Ok(serde_yaml::from_value(plain(only(text)?)?)?) } else { only(text) }
}

/// The YAML 1.1 merge key.
const MERGE: &str = "<<";

/// Strips the byte order mark that Windows editors write.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Reads the first document that is not empty, and rejects any further one that is not.
fn only<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    if !has_marker(text) {
        return Ok(serde_yaml::from_str(text)?);
    }
    let index = first_with_content(text);
    let mut all = serde_yaml::Deserializer::from_str(text).skip(index);
    let Some(first) = all.next() else { return Ok(serde_yaml::from_str(text)?) };
    let first = T::deserialize(first)?;
    for (further_index, further) in all.enumerate() {
        if Option::<IgnoredAny>::deserialize(further)?.is_some() {
            let again = serde_yaml::Deserializer::from_str(text).nth(index + further_index + 1);
            let at = again.and_then(|document| StopAt { path: &[] }.deserialize(document).err()?.location());
            return Err(YamlError {
                message: "expected one document, found another".to_owned(),
                place: at.map(|at| Position { line: at.line(), column: at.column() }),
            });
        }
    }
    Ok(first)
}

fn has_marker(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("---") || line.starts_with("..."))
}

/// The index of the first document that is not empty, or else 0.
fn first_with_content(text: &str) -> usize {
    let is_empty = |document| matches!(Option::<IgnoredAny>::deserialize(document), Ok(None));
    // An empty stream is one empty document.
    let index = serde_yaml::Deserializer::from_str(text).position(|document| !is_empty(document));
    index.unwrap_or(0)
}

/// `text` without empty documents at its start, which tools that only read the first document would take for all.
pub fn without_empty_start(text: &str) -> &str {
    let mut start = 0;
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end().trim_start_matches('\u{feff}');
        if content == "---" {
            start = end;
        } else if !content.is_empty() && content != "..." && !content.trim_start().starts_with('#') {
            return &text[start..];
        }
        end += line.len();
    }
    text
}

/// Applies merge keys and converts keys to text, as JSON requires.
fn plain(mut value: serde_yaml::Value) -> Result<serde_yaml::Value, YamlError> {
    value.apply_merge()?;
    Ok(with_text_keys(value))
}

fn with_text_keys(value: serde_yaml::Value) -> serde_yaml::Value {
    use serde_yaml::Value::{Bool, Mapping, Number, Sequence, String};
    let text = |key| match key {
        Number(number) => String(number.to_string()),
        Bool(value) => String(value.to_string()),
        other => other,
    };
    match value {
        Mapping(entries) => {
            Mapping(entries.into_iter().map(|(key, value)| (text(key), with_text_keys(value))).collect())
        }
        Sequence(items) => Sequence(items.into_iter().map(with_text_keys).collect()),
        other => other,
    }
}

/// Parses every document in `text` into a `T`, skipping empty ones.
///
/// # Errors
/// Fails if a document is not YAML or does not match `T`.
pub fn documents<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, YamlError> {
    let mut found = Vec::new();
    for document in serde_yaml::Deserializer::from_str(without_mark(text)) {
        let value = serde_yaml::Value::deserialize(document)?;
        if !value.is_null() {
            found.push(serde_yaml::from_value(plain(value)?)?);
        }
    }
    Ok(found)
}

/// Whether YAML 1.1 parsers (`PyYAML`, Go's yaml.v2) read the unquoted `text` as something else although it
/// is a string in YAML 1.2: `yes`, `off`, `12:30`, `0777`, `1_000`, dates.
pub fn is_ambiguous(text: &str) -> bool {
    const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    let lower = text.to_ascii_lowercase();
    if WORDS.contains(&lower.as_str()) || matches!(lower.as_str(), "null" | "~" | ".inf" | ".nan" | "") {
        return true;
    }
    let digits = text.trim_start_matches(['-', '+']);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return false;
    }
    let sexagesimal = digits.contains(':')
        && digits.split(':').skip(1).all(|part| {
            let whole = part.split('.').next().unwrap_or(part);
            matches!(whole.len(), 1 | 2) && whole.parse::<u8>().is_ok_and(|n| n < 60)
        });
    let plain_number = digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '_' | '.'))
        && digits.chars().any(|c| c.is_ascii_digit())
        // No parser in use reads `1.3.8` or `10.0.0.1` as a number.
        && digits.matches('.').count() < 2;
    let exponent = digits.split_once(['e', 'E']).is_some_and(|(mantissa, exponent)| {
        let power = exponent.trim_start_matches(['-', '+']);
        mantissa.chars().all(|c| c.is_ascii_digit() || c == '.') && power.chars().all(|c| c.is_ascii_digit())
    });
    let radix = digits.len() > 2
        && ["0x", "0o", "0b"].iter().any(|prefix| lower.trim_start_matches(['-', '+']).starts_with(prefix))
        && digits[2..].chars().all(|c| c.is_ascii_hexdigit() || c == '_');
    let date = {
        let mut parts = text.get(..10).unwrap_or(text).split('-');
        let lengths = [4, 2, 2].map(|expected| {
            parts.next().is_some_and(|p| p.len() == expected && p.chars().all(|c| c.is_ascii_digit()))
        });
        lengths == [true; 3] && parts.next().is_none()
    };
    sexagesimal || plain_number || exponent || radix || date
}

#[cfg(test)]
mod tests;
