//! Reads the configuration file and checks its keys and value types, with a position for each.
//!
//! [`resolve`](super::resolve()) checks what the values mean, so that one run reports all problems.

use std::path::{Path, PathBuf};

use serde_json::{Map, Number, Value};

use super::keys::{self, Key, Lookup, ValueKind};
use super::layer::{Layer, Raw};
use super::origin::{Origin, Problem, WithOrigin};
use crate::images::mirror::Rule;
use crate::yaml::{self, Document, PathSegment, Position, YamlNode};

/// Reads `text`, the configuration file at `path`.
///
/// Problems, including unknown and duplicate keys, stay in the layer for [`resolve`](super::resolve()) to
/// report with all the others.
pub fn parse(path: &Path, text: &str) -> Layer {
    let mut layer = Layer::default();
    match Document::parse(text) {
        Ok(document) => {
            let root = document.root().clone();
            ConfigReader { path, document, layer: &mut layer }.section("", &root, &mut Vec::new());
        }
        Err(error) => layer.problems.push(Problem {
            from: Origin::File { path: path.to_owned(), place: error.place },
            key: String::new(),
            message: error.message,
        }),
    }
    layer
}

struct ConfigReader<'a> {
    path: &'a Path,
    document: Document<'a>,
    layer: &'a mut Layer,
}

impl ConfigReader<'_> {
    fn place(&self, at: &[PathSegment]) -> Option<Position> {
        self.document.place(at)
    }

    fn origin(&self, at: &[PathSegment]) -> Origin {
        Origin::File { path: self.path.to_owned(), place: self.place(at) }
    }

    fn problem(&mut self, key: &str, at: &[PathSegment], message: impl Into<String>) {
        let problem = Problem { from: self.origin(at), key: key.to_owned(), message: message.into() };
        self.layer.problems.push(problem);
    }

    fn section(&mut self, section: &str, node: &YamlNode, at: &mut Vec<PathSegment>) {
        let entries = match node {
            YamlNode::Map(entries) => entries,
            // All entries of the section are commented out.
            YamlNode::Null => return,
            other => {
                let names = list(&keys::names_below(section));
                let message = format!("expected a mapping of {names}, found {}", other.describe());
                return self.problem(section, at, message);
            }
        };
        for (index, name) in self.names(section, entries, at) {
            let path = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
            at.push(PathSegment::Value(index));
            match keys::find(&path) {
                Lookup::Key(key) => {
                    if let Some(raw) = self.value(key, &entries[index].1, at) {
                        let from = self.origin(at);
                        self.layer.set(key, raw, from);
                    }
                }
                Lookup::Section => self.section(&path, &entries[index].1, at),
                Lookup::Nothing => {
                    at.pop();
                    at.push(PathSegment::Key(index));
                    self.problem(&path, at, unknown(section, name));
                }
            }
            at.pop();
        }
    }

    /// Returns the entries with text keys, without duplicates, and reports the other keys.
    fn names<'n>(
        &mut self,
        section: &str,
        entries: &'n [(YamlNode, YamlNode)],
        at: &mut Vec<PathSegment>,
    ) -> Vec<(usize, &'n str)> {
        let mut names: Vec<(usize, &str)> = Vec::new();
        for (index, (key, _)) in entries.iter().enumerate() {
            at.push(PathSegment::Key(index));
            match key {
                YamlNode::Text(name) if self.may_change(name, at) => {
                    let quoted = Value::from(name.as_str());
                    self.problem(
                        section,
                        at,
                        format!("the key `{name}` is not text to every YAML parser: write {quoted}"),
                    );
                }
                YamlNode::Text(name) => {
                    if let Some((first, _)) = names.iter().find(|(_, known)| known == name) {
                        let mut before = at[..at.len() - 1].to_vec();
                        before.push(PathSegment::Key(*first));
                        let line = self
                            .place(&before)
                            .map_or_else(String::new, |at| format!(" on line {}", at.line));
                        let path =
                            if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
                        self.problem(&path, at, format!("is given twice, first{line}"));
                    } else {
                        names.push((index, name));
                    }
                }
                other => {
                    let message = format!("expected a name as the key, found {}", self.shown(other, at));
                    self.problem(section, at, message);
                }
            }
            at.pop();
        }
        names
    }

    fn value(&mut self, key: Key, node: &YamlNode, at: &mut Vec<PathSegment>) -> Option<Raw> {
        match (key.kind, node) {
            (ValueKind::Quantity, YamlNode::Integer(_) | YamlNode::Float(_)) => {
                self.document.source(at).map(|source| Raw::Text(source.to_owned()))
            }
            (ValueKind::Text | ValueKind::OneOf(_) | ValueKind::Duration | ValueKind::Quantity, _) => {
                self.text(key.path, node, at).map(Raw::Text)
            }
            (ValueKind::Path, _) => self.text(key.path, node, at).map(|file| Raw::Text(self.beside(&file))),
            (ValueKind::Integer(..), YamlNode::Integer(number)) => match i64::try_from(*number) {
                Ok(number) => Some(Raw::Integer(number)),
                Err(_) => self.refuse(key.path, at, format!("the number {number} is too large")),
            },
            (ValueKind::Integer(min, max), other) => {
                let message =
                    format!("expected a number from {min} to {max}, found {}", self.shown(other, at));
                self.refuse(key.path, at, message)
            }
            (ValueKind::Bool, YamlNode::Bool(value)) => Some(Raw::Bool(*value)),
            (ValueKind::Bool, other) => {
                let message = format!("expected `true` or `false`, found {}", self.shown(other, at));
                self.refuse(key.path, at, message)
            }
            (ValueKind::Texts, YamlNode::List(items)) => {
                let texts = self.items(items, at, |reader, item, number, at| {
                    reader.text(&format!("{}[{number}]", key.path), item, at)
                });
                Some(Raw::Texts(texts))
            }
            (ValueKind::Rules, YamlNode::List(items)) => {
                let rules = self.items(items, at, |reader, item, number, at| {
                    reader.rule(&format!("{}[{number}]", key.path), item, at)
                });
                Some(Raw::Rules(rules))
            }
            (ValueKind::Texts | ValueKind::Rules, other) => {
                let message = format!("expected a list, found {}", self.shown(other, at));
                self.refuse(key.path, at, message)
            }
            (ValueKind::Tree, YamlNode::Map(_)) => self.tree(key.path, node, at).map(Raw::Tree),
            (ValueKind::Tree, other) => {
                let message = format!("expected a mapping, found {}", self.shown(other, at));
                self.refuse(key.path, at, message)
            }
        }
    }

    fn refuse<T>(&mut self, key: &str, at: &[PathSegment], message: String) -> Option<T> {
        self.problem(key, at, message);
        None
    }

    fn items<T>(
        &mut self,
        items: &[YamlNode],
        at: &mut Vec<PathSegment>,
        mut read: impl FnMut(&mut Self, &YamlNode, usize, &mut Vec<PathSegment>) -> Option<T>,
    ) -> Vec<WithOrigin<T>> {
        let mut found = Vec::new();
        for (number, item) in items.iter().enumerate() {
            at.push(PathSegment::Item(number));
            if let Some(value) = read(self, item, number, at) {
                found.push(WithOrigin::new(value, self.origin(at)));
            }
            at.pop();
        }
        found
    }

    fn text(&mut self, key: &str, node: &YamlNode, at: &[PathSegment]) -> Option<String> {
        match node {
            YamlNode::Text(text) if !self.may_change(text, at) => Some(text.clone()),
            YamlNode::Text(text) => {
                let quoted = Value::from(text.as_str());
                self.refuse(key, at, format!("`{text}` is not text to every YAML parser: write {quoted}"))
            }
            YamlNode::Null => self.refuse(
                key,
                at,
                "expected text, found nothing: write \"\", or leave the key out".to_owned(),
            ),
            YamlNode::Bool(_) | YamlNode::Integer(_) | YamlNode::Float(_) => {
                let source = self.document.source(at).unwrap_or_default().to_owned();
                let quoted = Value::from(source.as_str());
                self.refuse(
                    key,
                    at,
                    format!("expected text, found {} `{source}`: write {quoted}", node.describe()),
                )
            }
            other => self.refuse(key, at, format!("expected text, found {}", other.describe())),
        }
    }

    /// Whether other YAML parsers would read `text`, as written, as something other than text.
    fn may_change(&self, text: &str, at: &[PathSegment]) -> bool {
        yaml::is_ambiguous(text) && self.document.is_plain(at)
    }

    fn rule(&mut self, key: &str, node: &YamlNode, at: &mut Vec<PathSegment>) -> Option<Rule> {
        let YamlNode::Map(entries) = node else {
            let message =
                format!("expected a mapping of `registry` and `prefix`, found {}", self.shown(node, at));
            return self.refuse(key, at, message);
        };
        let (mut registry, mut prefix) = (None, None);
        let mut is_whole = true;
        for (index, name) in self.names(key, entries, at) {
            at.push(PathSegment::Value(index));
            match name {
                "registry" => registry = Some(self.text(&format!("{key}.registry"), &entries[index].1, at)),
                "prefix" => prefix = Some(self.text(&format!("{key}.prefix"), &entries[index].1, at)),
                other => {
                    at.pop();
                    at.push(PathSegment::Key(index));
                    let message = format!("unknown key{}", nearest(other, &["registry", "prefix"]));
                    self.problem(&format!("{key}.{other}"), at, message);
                    is_whole = false;
                }
            }
            at.pop();
        }
        match (registry, prefix) {
            (Some(registry), Some(prefix)) if is_whole => match Rule::new(&registry?, &prefix?) {
                Ok(rule) => Some(rule),
                Err(refused) => self.refuse(key, at, refused.to_string()),
            },
            (None, _) if is_whole => self.refuse(key, at, "`registry` is missing".to_owned()),
            (_, None) if is_whole => self.refuse(key, at, "`prefix` is missing".to_owned()),
            _ => None,
        }
    }

    /// Converts `node` to JSON. Returns `None` after reporting any part that JSON cannot hold.
    fn tree(&mut self, key: &str, node: &YamlNode, at: &mut Vec<PathSegment>) -> Option<Value> {
        match node {
            YamlNode::Null => Some(Value::Null),
            YamlNode::Bool(value) => Some(Value::Bool(*value)),
            YamlNode::Integer(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => Some(number.into()),
                (_, Ok(number)) => Some(number.into()),
                _ => self.refuse(key, at, format!("the number {number} is too large")),
            },
            YamlNode::Float(number) => match Number::from_f64(*number) {
                Some(number) => Some(Value::Number(number)),
                None => self.refuse(key, at, format!("the number {number} cannot be written as JSON")),
            },
            YamlNode::Text(_) => self.text(key, node, at).map(Value::String),
            YamlNode::List(items) => {
                let read = self.items(items, at, |reader, item, number, at| {
                    reader.tree(&format!("{key}[{number}]"), item, at)
                });
                (read.len() == items.len()).then(|| read.into_iter().map(|given| given.value).collect())
            }
            YamlNode::Map(entries) => {
                let names = self.names(key, entries, at);
                let mut map = Map::new();
                for (index, name) in &names {
                    at.push(PathSegment::Value(*index));
                    let value = self.tree(&format!("{key}.{name}"), &entries[*index].1, at);
                    at.pop();
                    if let Some(value) = value {
                        map.insert((*name).to_owned(), value);
                    }
                }
                (map.len() == entries.len()).then_some(Value::Object(map))
            }
        }
    }

    fn beside(&self, file: &str) -> String {
        // `-` is standard input.
        if matches!(file, "" | "-") {
            return file.to_owned();
        }
        let folder = self.path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        folder.join(file).to_string_lossy().into_owned()
    }

    /// Describes a value for a message; scalars as they were typed.
    fn shown(&self, node: &YamlNode, at: &[PathSegment]) -> String {
        match node {
            YamlNode::Text(_) | YamlNode::Bool(_) | YamlNode::Integer(_) | YamlNode::Float(_) => self
                .document
                .source(at)
                .map_or_else(|| node.describe().to_owned(), |source| format!("`{source}`")),
            _ => node.describe().to_owned(),
        }
    }
}

fn unknown(section: &str, name: &str) -> String {
    let hint = nearest(name, &keys::names_below(section));
    if !hint.is_empty() {
        return format!("unknown key{hint}");
    }
    let elsewhere = keys::ALL.iter().find(|key| key.path.rsplit('.').next() == Some(name));
    match elsewhere {
        Some(key) => format!("unknown key here; did you mean `{}`?", key.path),
        None => format!("unknown key; known here are {}", list(&keys::names_below(section))),
    }
}

/// Returns `; did you mean …?` with the name closest to `name`, or nothing if none is close.
fn nearest(name: &str, names: &[&str]) -> String {
    crate::nearest::nearest(name, names.iter().copied())
        .map_or_else(String::new, |known| format!("; did you mean `{known}`?"))
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
