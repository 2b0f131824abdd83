//! Reads YAML and says where in the text each value stands.
//!
//! The only module that names `serde_yaml`. It reads and never writes: `serde_yaml` writes `yes` and
//! `12:30` unquoted, which older readers take for something else. Writing is the templates' business.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A place in a text: line and column, both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1 in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A text that is not the YAML that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", place.map_or_else(String::new, |at| format!(" ({at})")))]
pub struct YamlError {
    /// What is wrong, without the place.
    pub message: String,
    /// Where, if the reader knows.
    pub place: Option<Place>,
}

impl From<serde_yaml::Error> for YamlError {
    fn from(error: serde_yaml::Error) -> Self {
        let place = error.location().map(|at| Place { line: at.line(), column: at.column() });
        let mut message = error.to_string();
        // serde_yaml ends its messages with the place that we hand over as numbers.
        if let Some(at) = place {
            message = message.replace(&format!(" at {}", At(at)), "");
        }
        Self { message, place }
    }
}

/// A place as `serde_yaml` words it.
struct At(Place);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.0.line, self.0.column)
    }
}

/// Reads `text`, one YAML document, into `T`; merge keys are applied, and a byte order mark and empty documents at the
/// end are passed over.
///
/// # Errors
/// When `text` is not YAML, holds several documents, or does not have the shape of `T`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    let text = without_mark(text);
    if text.contains(MERGE) { Ok(serde_yaml::from_value(plain(only(text)?)?)?) } else { only(text) }
}

/// The key of YAML 1.1 that stands for the entries of other mappings.
const MERGE: &str = "<<";

/// Cuts off the byte order mark that editors on Windows write.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Reads the first document, as kind and others do, and refuses further ones that hold something.
fn only<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    if !text.lines().any(|line| line.starts_with("---") || line.starts_with("...")) {
        return Ok(serde_yaml::from_str(text)?);
    }
    let mut all = serde_yaml::Deserializer::from_str(text);
    let Some(first) = all.next() else { return Ok(serde_yaml::from_str(text)?) };
    let first = T::deserialize(first)?;
    for (index, further) in all.enumerate() {
        if Option::<IgnoredAny>::deserialize(further)?.is_some() {
            let again = serde_yaml::Deserializer::from_str(text).nth(index + 1);
            let at = again.and_then(|document| StopAt { path: &[] }.deserialize(document).err()?.location());
            return Err(YamlError {
                message: "expected one document, found another".to_owned(),
                place: at.map(|at| Place { line: at.line(), column: at.column() }),
            });
        }
    }
    Ok(first)
}

/// The value with its merge keys applied, and with the keys as texts that JSON asks for.
fn plain(mut value: serde_yaml::Value) -> Result<serde_yaml::Value, YamlError> {
    value.apply_merge()?;
    Ok(with_text_keys(value))
}

fn with_text_keys(value: serde_yaml::Value) -> serde_yaml::Value {
    use serde_yaml::Value::{Bool, Mapping, Number, Sequence, String};
    let text = |key| match key {
        Number(number) => String(number.to_string()),
        Bool(truth) => String(truth.to_string()),
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

/// Reads every document of `text` into a `T`; documents that hold nothing are left out.
///
/// # Errors
/// When a document is not YAML or does not have the shape of `T`.
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

/// A YAML value as it is written: mappings keep their order and their duplicate keys. Of a [`Document`], merge keys
/// are applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Truth(bool),
    Integer(i128),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// A string, quoted or not.
    Text(String),
    List(Vec<Node>),
    /// A mapping, in the order of the text.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Names the kind of value for a message: `a list`, `the number 3`.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Truth(_) => "a truth value",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// One step from a value to a value within it; entries and items are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The key of the mapping's entry.
    Key(usize),
    /// The value of the mapping's entry.
    Value(usize),
    /// The item of the sequence.
    Item(usize),
}

/// A document whose values can be traced back to the text.
#[derive(Clone, Debug)]
pub struct Document<'t> {
    text: &'t str,
    root: Node,
    trace: Trace,
}

/// Where the parts of a value stand that merge keys have put together.
#[derive(Clone, Debug)]
enum Trace {
    /// All of it is as it was written.
    Same,
    List(Vec<Trace>),
    /// Each entry with the mapping that it was written in, seen from this one, and its place there.
    Map(Vec<(Vec<Step>, usize, Trace)>),
}

impl Trace {
    /// Returns the path in the text to what has `path` in the value.
    fn follow(&self, path: &[Step]) -> Vec<Step> {
        let Some((step, rest)) = path.split_first() else { return Vec::new() };
        let (mut found, below) = match (self, step) {
            (Self::List(items), Step::Item(n)) => (vec![*step], items.get(*n)),
            (Self::Map(entries), Step::Key(n) | Step::Value(n)) => match entries.get(*n) {
                Some((via, index, below)) => {
                    let is_key = matches!(step, Step::Key(_));
                    let last = if is_key { Step::Key(*index) } else { Step::Value(*index) };
                    (via.iter().copied().chain([last]).collect(), Some(below))
                }
                None => (vec![*step], None),
            },
            _ => return path.to_vec(),
        };
        found.extend(below.unwrap_or(&Self::Same).follow(rest));
        found
    }
}

/// Applies the merge keys within `node`, which stands at `at`: an entry of the mapping itself wins over a merged one,
/// and an earlier mapping over a later one (yaml.org/type/merge.html).
///
/// Fails with the path of a merge key's value that is neither a mapping nor a list of them.
fn merged(node: Node, at: &mut Vec<Step>) -> Result<(Node, Trace), Vec<Step>> {
    match node {
        Node::List(items) => {
            let (mut list, mut traces) = (Vec::new(), Vec::new());
            for (n, item) in items.into_iter().enumerate() {
                let (item, trace) = merged_at(Step::Item(n), item, at)?;
                list.push(item);
                traces.push(trace);
            }
            Ok((Node::List(list), Trace::List(traces)))
        }
        Node::Map(entries) => {
            let (mut map, mut traces, mut others) = (Vec::new(), Vec::new(), Vec::new());
            for (n, (key, value)) in entries.into_iter().enumerate() {
                let (value, trace) = merged_at(Step::Value(n), value, at)?;
                if !matches!(&key, Node::Text(text) if text == MERGE) {
                    map.push((key, value));
                    traces.push((Vec::new(), n, trace));
                    continue;
                }
                match (value, trace) {
                    (Node::List(items), Trace::List(of_items)) => {
                        for (item, (node, trace)) in items.into_iter().zip(of_items).enumerate() {
                            others.push((vec![Step::Value(n), Step::Item(item)], node, trace));
                        }
                    }
                    (node, trace) => others.push((vec![Step::Value(n)], node, trace)),
                }
            }
            for (via, node, trace) in others {
                let (Node::Map(entries), Trace::Map(of_entries)) = (node, trace) else {
                    return Err(at.iter().copied().chain(via).collect());
                };
                for ((key, value), (inner, index, trace)) in entries.into_iter().zip(of_entries) {
                    if !map.iter().any(|(known, _)| *known == key) {
                        map.push((key, value));
                        traces.push((via.iter().copied().chain(inner).collect(), index, trace));
                    }
                }
            }
            Ok((Node::Map(map), Trace::Map(traces)))
        }
        scalar => Ok((scalar, Trace::Same)),
    }
}

fn merged_at(step: Step, node: Node, at: &mut Vec<Step>) -> Result<(Node, Trace), Vec<Step>> {
    at.push(step);
    let found = merged(node, at)?;
    at.pop();
    Ok(found)
}

impl<'t> Document<'t> {
    /// Reads `text`; an empty one, or one of comments only, is [`Node::Null`].
    ///
    /// # Errors
    /// When `text` is not YAML, holds several documents or a custom tag, or merges what is no mapping.
    pub fn parse(text: &'t str) -> Result<Self, YamlError> {
        let text = without_mark(text);
        let is_blank = text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        });
        let root = if is_blank { Node::Null } else { only(text)? };
        let mut document = Self { text, root, trace: Trace::Same };
        if text.contains(MERGE) {
            (document.root, document.trace) =
                merged(document.root.clone(), &mut Vec::new()).map_err(|at| YamlError {
                    message: "expected a mapping, or a list of mappings, to merge".to_owned(),
                    place: document.place(&at),
                })?;
        }
        Ok(document)
    }

    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Returns where the value at `path` begins, or `None` when there is no such value.
    ///
    /// Reads the text once more up to that value, so it is meant for the few values a message is about.
    pub fn place(&self, path: &[Step]) -> Option<Place> {
        self.locate(path).map(|at| Place { line: at.line(), column: at.column() })
    }

    /// Returns the value at `path` as it is written, up to a comma or the end of its line.
    ///
    /// Meant for numbers and words such as `yes`; of other scalars it is the beginning.
    pub fn source(&self, path: &[Step]) -> Option<&'t str> {
        let start = self.locate(path)?;
        let line = self.text.lines().nth(start.line() - 1)?;
        let (offset, _) = line.char_indices().nth(start.column() - 1)?;
        let scalar = &line[offset..];
        let scalar = without_properties(scalar);
        let end = match scalar.chars().next()? {
            quote @ ('"' | '\'') => scalar[1..].find(quote).map_or(scalar.len(), |at| at + 2),
            _ => [scalar.find(" #"), scalar.find([',', ']', '}'])]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(scalar.len()),
        };
        Some(scalar[..end].trim_end())
    }

    /// Says whether the scalar at `path` is written without quotes on its first line.
    pub fn is_plain(&self, path: &[Step]) -> bool {
        self.source(path).is_some_and(|source| !source.starts_with(['"', '\'', '|', '>']))
    }

    fn locate(&self, path: &[Step]) -> Option<serde_yaml::Location> {
        // serde_yaml keeps no marks, but puts the mark of a value into the error raised while reading it.
        let path = self.trace.follow(path);
        let stop = StopAt { path: &path };
        stop.deserialize(serde_yaml::Deserializer::from_str(self.text).next()?).err()?.location()
    }
}

/// Cuts the tag and the anchor off a scalar.
fn without_properties(mut scalar: &str) -> &str {
    while scalar.starts_with(['!', '&']) {
        let end = scalar.find(char::is_whitespace).unwrap_or(scalar.len());
        scalar = scalar[end..].trim_start();
    }
    scalar
}

/// Tells whether readers of YAML 1.1 (`PyYAML`, Go's yaml.v2) take the unquoted `text` for something
/// else than a string although YAML 1.2 says string: `yes`, `off`, `12:30`, `0777`, `1_000`, dates.
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
        // `1.3.8` and `10.0.0.1` are no number to any reader in use.
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

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: de::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Build;
        impl<'de> Visitor<'de> for Build {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value without a custom tag")
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Truth(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Integer(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Integer(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Node::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Node::Map(map))
            }
        }
        reader.deserialize_any(Build)
    }
}

/// Reads up to the value at `path` and fails there, so that the error carries the value's place.
struct StopAt<'p> {
    path: &'p [Step],
}

impl<'de> DeserializeSeed<'de> for StopAt<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl StopAt<'_> {
    fn here<E: de::Error, T>(&self) -> Result<T, E> {
        Err(E::custom(if self.path.is_empty() { "here" } else { "nothing here" }))
    }
}

impl<'de> Visitor<'de> for StopAt<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value to locate")
    }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.here()
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.here()
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.here()
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.here()
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.here()
    }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.here()
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((Step::Item(wanted), rest)) = self.path.split_first() else { return self.here() };
        for _ in 0..*wanted {
            items.next_element::<IgnoredAny>()?;
        }
        items.next_element_seed(StopAt { path: rest })?;
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.path.split_first() else { return self.here() };
        let (wanted, is_key) = match step {
            Step::Key(entry) => (*entry, true),
            Step::Value(entry) => (*entry, false),
            Step::Item(_) => return self.here(),
        };
        for _ in 0..wanted {
            if entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        // serde_yaml panics when a value is asked for after the last key.
        if is_key {
            entries.next_key_seed(StopAt { path: rest })?;
        } else if entries.next_key::<IgnoredAny>()?.is_some() {
            entries.next_value_seed(StopAt { path: rest })?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
