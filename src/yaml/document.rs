//! A YAML document whose values can be traced back to the source text.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed as _, MapAccess, SeqAccess, Visitor};

use super::stop_at::{PathSegment, StopAt};
use super::{MERGE, Position, YamlError, first_with_content, has_marker, only, without_mark};

/// A YAML value as written: mappings keep order and duplicate keys. In a [`Document`], merge keys are
/// applied.
#[derive(Clone, Debug, PartialEq)]
pub enum YamlNode {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    Integer(i128),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// A string, quoted or not.
    Text(String),
    List(Vec<YamlNode>),
    /// A mapping in source order.
    Map(Vec<(YamlNode, YamlNode)>),
}

impl YamlNode {
    /// Names the type of the value for a message, such as `a list`.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl<'de> Deserialize<'de> for YamlNode {
    fn deserialize<D: de::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Build;
        impl<'de> Visitor<'de> for Build {
            type Value = YamlNode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value without a custom tag")
            }
            fn visit_unit<E>(self) -> Result<YamlNode, E> {
                Ok(YamlNode::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<YamlNode, E> {
                Ok(YamlNode::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<YamlNode, E> {
                Ok(YamlNode::Integer(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<YamlNode, E> {
                Ok(YamlNode::Integer(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<YamlNode, E> {
                Ok(YamlNode::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<YamlNode, E> {
                Ok(YamlNode::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<YamlNode, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(YamlNode::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<YamlNode, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(YamlNode::Map(map))
            }
        }
        reader.deserialize_any(Build)
    }
}

/// A document whose values can be traced back to the source text.
#[derive(Clone, Debug)]
pub struct Document<'t> {
    text: &'t str,
    pub(super) root: YamlNode,
    trace: Trace,
}

/// Maps a value with merge keys applied back to its source.
#[derive(Clone, Debug)]
enum Trace {
    /// The value is as written.
    Same,
    List(Vec<Trace>),
    /// For each entry, the relative path to the mapping it was written in, its index there, and its trace.
    Map(Vec<(Vec<PathSegment>, usize, Trace)>),
}

impl Trace {
    /// Translates `path` in the merged value to a path in the source.
    fn follow(&self, path: &[PathSegment]) -> Vec<PathSegment> {
        let Some((step, rest)) = path.split_first() else { return Vec::new() };
        let (mut found, below) = match (self, step) {
            (Self::List(items), PathSegment::Item(n)) => (vec![*step], items.get(*n)),
            (Self::Map(entries), PathSegment::Key(n) | PathSegment::Value(n)) => match entries.get(*n) {
                Some((via, index, below)) => {
                    let is_key = matches!(step, PathSegment::Key(_));
                    let last = if is_key { PathSegment::Key(*index) } else { PathSegment::Value(*index) };
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

/// Applies the merge keys within `node`, at path `at`: a mapping's own entries win over merged ones, and
/// earlier mappings over later ones (yaml.org/type/merge.html).
///
/// Returns the path of a merge key's value that is neither a mapping nor a list of mappings as the error.
fn merged(node: YamlNode, at: &mut Vec<PathSegment>) -> Result<(YamlNode, Trace), Vec<PathSegment>> {
    match node {
        YamlNode::List(items) => {
            let (mut list, mut traces) = (Vec::new(), Vec::new());
            for (n, item) in items.into_iter().enumerate() {
                let (item, trace) = merged_at(PathSegment::Item(n), item, at)?;
                list.push(item);
                traces.push(trace);
            }
            Ok((YamlNode::List(list), Trace::List(traces)))
        }
        YamlNode::Map(entries) => {
            let (mut map, mut traces, mut others) = (Vec::new(), Vec::new(), Vec::new());
            for (n, (key, value)) in entries.into_iter().enumerate() {
                let (value, trace) = merged_at(PathSegment::Value(n), value, at)?;
                if !matches!(&key, YamlNode::Text(text) if text == MERGE) {
                    map.push((key, value));
                    traces.push((Vec::new(), n, trace));
                    continue;
                }
                match (value, trace) {
                    (YamlNode::List(items), Trace::List(of_items)) => {
                        for (item, (node, trace)) in items.into_iter().zip(of_items).enumerate() {
                            others.push((vec![PathSegment::Value(n), PathSegment::Item(item)], node, trace));
                        }
                    }
                    (node, trace) => others.push((vec![PathSegment::Value(n)], node, trace)),
                }
            }
            for (via, node, trace) in others {
                let (YamlNode::Map(entries), Trace::Map(of_entries)) = (node, trace) else {
                    return Err(at.iter().copied().chain(via).collect());
                };
                for ((key, value), (inner, index, trace)) in entries.into_iter().zip(of_entries) {
                    if !map.iter().any(|(known, _)| *known == key) {
                        map.push((key, value));
                        traces.push((via.iter().copied().chain(inner).collect(), index, trace));
                    }
                }
            }
            Ok((YamlNode::Map(map), Trace::Map(traces)))
        }
        scalar => Ok((scalar, Trace::Same)),
    }
}

fn merged_at(
    step: PathSegment,
    node: YamlNode,
    at: &mut Vec<PathSegment>,
) -> Result<(YamlNode, Trace), Vec<PathSegment>> {
    at.push(step);
    let found = merged(node, at)?;
    at.pop();
    Ok(found)
}

impl<'t> Document<'t> {
    /// Parses `text`; text that is empty or only has comments is [`YamlNode::Null`].
    ///
    /// # Errors
    /// Fails if `text` is not YAML, has several documents or a custom tag, or merges a value that is not a
    /// mapping.
    pub fn parse(text: &'t str) -> Result<Self, YamlError> {
        let text = without_mark(text);
        let is_blank = text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        });
        let root = if is_blank { YamlNode::Null } else { only(text)? };
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

    pub fn root(&self) -> &YamlNode {
        &self.root
    }

    /// Returns where the value at `path` begins, or `None` if it does not exist.
    ///
    /// Parses the text again up to that value, so use it only for values in messages.
    pub fn place(&self, path: &[PathSegment]) -> Option<Position> {
        self.locate(path).map(|at| Position { line: at.line(), column: at.column() })
    }

    /// Returns the source of the value at `path`, up to a comma or the end of its line.
    ///
    /// Meant for numbers and words such as `yes`; other scalars may be cut off.
    pub fn source(&self, path: &[PathSegment]) -> Option<&'t str> {
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

    /// Whether the scalar at `path` is unquoted.
    pub fn is_plain(&self, path: &[PathSegment]) -> bool {
        self.source(path).is_some_and(|source| !source.starts_with(['"', '\'', '|', '>']))
    }

    fn locate(&self, path: &[PathSegment]) -> Option<serde_yaml::Location> {
        // serde_yaml does not keep positions, but puts that of a value into the error raised while reading
        // it.
        let path = self.trace.follow(path);
        let stop = StopAt { path: &path };
        let index = if has_marker(self.text) { first_with_content(self.text) } else { 0 };
        stop.deserialize(serde_yaml::Deserializer::from_str(self.text).nth(index)?).err()?.location()
    }
}

/// Strips the tag and anchor from a scalar.
fn without_properties(mut scalar: &str) -> &str {
    while scalar.starts_with(['!', '&']) {
        let end = scalar.find(char::is_whitespace).unwrap_or(scalar.len());
        scalar = scalar[end..].trim_start();
    }
    scalar
}
