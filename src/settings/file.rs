//! Reads the configuration file: its keys and the kinds of their values, with a place for each.
//!
//! What the values mean is checked by [`resolve`](super::resolve()), so that one run reports all problems.

use std::path::{Path, PathBuf};

use serde_json::{Map, Number, Value};

use super::keys::{self, Found, Key, Kind};
use super::layer::{Layer, Raw};
use super::origin::{Given, Origin, Problem};
use crate::images::mirror::Rule;
use crate::yaml::{self, Document, Node, Place, Step};

/// Reads `text`, the configuration file at `path`.
///
/// Problems, unknown and duplicate keys among them, are kept in the layer for
/// [`resolve`](super::resolve()) to report together with all others.
pub fn parse(path: &Path, text: &str) -> Layer {
    let mut layer = Layer::default();
    match Document::parse(text) {
        Ok(document) => {
            let root = document.root().clone();
            Reader { path, document, layer: &mut layer }.section("", &root, &mut Vec::new());
        }
        Err(error) => layer.problems.push(Problem {
            from: Origin::File { path: path.to_owned(), place: error.place },
            key: String::new(),
            message: error.message,
        }),
    }
    layer
}

struct Reader<'a> {
    path: &'a Path,
    document: Document<'a>,
    layer: &'a mut Layer,
}

impl Reader<'_> {
    fn place(&self, at: &[Step]) -> Option<Place> {
        self.document.place(at)
    }

    fn origin(&self, at: &[Step]) -> Origin {
        Origin::File { path: self.path.to_owned(), place: self.place(at) }
    }

    fn problem(&mut self, key: &str, at: &[Step], message: impl Into<String>) {
        let problem = Problem { from: self.origin(at), key: key.to_owned(), message: message.into() };
        self.layer.problems.push(problem);
    }

    fn section(&mut self, section: &str, node: &Node, at: &mut Vec<Step>) {
        let entries = match node {
            Node::Map(entries) => entries,
            // A section whose every line is a comment.
            Node::Null => return,
            other => {
                let names = list(&keys::names_below(section));
                let message = format!("expected a mapping of {names}, found {}", other.describe());
                return self.problem(section, at, message);
            }
        };
        for (index, name) in self.names(section, entries, at) {
            let path = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
            at.push(Step::Value(index));
            match keys::find(&path) {
                Found::Key(key) => {
                    if let Some(raw) = self.value(key, &entries[index].1, at) {
                        let from = self.origin(at);
                        self.layer.set(key, raw, from);
                    }
                }
                Found::Section => self.section(&path, &entries[index].1, at),
                Found::Nothing => {
                    at.pop();
                    at.push(Step::Key(index));
                    self.problem(&path, at, unknown(section, name));
                }
            }
            at.pop();
        }
    }

    /// Returns the entries whose keys are texts that stand there for the first time.
    fn names<'n>(
        &mut self,
        section: &str,
        entries: &'n [(Node, Node)],
        at: &mut Vec<Step>,
    ) -> Vec<(usize, &'n str)> {
        let mut names: Vec<(usize, &str)> = Vec::new();
        for (index, (key, _)) in entries.iter().enumerate() {
            at.push(Step::Key(index));
            match key {
                Node::Text(name) if self.may_change(name, at) => {
                    let quoted = Value::from(name.as_str());
                    self.problem(
                        section,
                        at,
                        format!("the key `{name}` is not text to every YAML parser: write {quoted}"),
                    );
                }
                Node::Text(name) => {
                    if let Some((first, _)) = names.iter().find(|(_, known)| known == name) {
                        let mut before = at[..at.len() - 1].to_vec();
                        before.push(Step::Key(*first));
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

    fn value(&mut self, key: Key, node: &Node, at: &mut Vec<Step>) -> Option<Raw> {
        match (key.kind, node) {
            (Kind::Quantity, Node::Integer(_) | Node::Float(_)) => {
                self.document.source(at).map(|source| Raw::Text(source.to_owned()))
            }
            (Kind::Text | Kind::Words(_) | Kind::Duration | Kind::Quantity, _) => {
                self.text(key.path, node, at).map(Raw::Text)
            }
            (Kind::Path, _) => self.text(key.path, node, at).map(|file| Raw::Text(self.beside(&file))),
            (Kind::Integer(..), Node::Integer(number)) => match i64::try_from(*number) {
                Ok(number) => Some(Raw::Integer(number)),
                Err(_) => self.refuse(key.path, at, format!("the number {number} is too large")),
            },
            (Kind::Integer(min, max), other) => {
                let message =
                    format!("expected a number from {min} to {max}, found {}", self.shown(other, at));
                self.refuse(key.path, at, message)
            }
            (Kind::Truth, Node::Truth(truth)) => Some(Raw::Truth(*truth)),
            (Kind::Truth, other) => {
                let message = format!("expected `true` or `false`, found {}", self.shown(other, at));
                self.refuse(key.path, at, message)
            }
            (Kind::Texts, Node::List(items)) => {
                let texts = self.items(items, at, |reader, item, number, at| {
                    reader.text(&format!("{}[{number}]", key.path), item, at)
                });
                Some(Raw::Texts(texts))
            }
            (Kind::Rules, Node::List(items)) => {
                let rules = self.items(items, at, |reader, item, number, at| {
                    reader.rule(&format!("{}[{number}]", key.path), item, at)
                });
                Some(Raw::Rules(rules))
            }
            (Kind::Texts | Kind::Rules, other) => {
                let message = format!("expected a list, found {}", self.shown(other, at));
                self.refuse(key.path, at, message)
            }
            (Kind::Tree, Node::Map(_)) => self.tree(key.path, node, at).map(Raw::Tree),
            (Kind::Tree, other) => {
                let message = format!("expected a mapping, found {}", self.shown(other, at));
                self.refuse(key.path, at, message)
            }
        }
    }

    fn refuse<T>(&mut self, key: &str, at: &[Step], message: String) -> Option<T> {
        self.problem(key, at, message);
        None
    }

    fn items<T>(
        &mut self,
        items: &[Node],
        at: &mut Vec<Step>,
        mut read: impl FnMut(&mut Self, &Node, usize, &mut Vec<Step>) -> Option<T>,
    ) -> Vec<Given<T>> {
        let mut found = Vec::new();
        for (number, item) in items.iter().enumerate() {
            at.push(Step::Item(number));
            if let Some(value) = read(self, item, number, at) {
                found.push(Given::new(value, self.origin(at)));
            }
            at.pop();
        }
        found
    }

    fn text(&mut self, key: &str, node: &Node, at: &[Step]) -> Option<String> {
        match node {
            Node::Text(text) if !self.may_change(text, at) => Some(text.clone()),
            Node::Text(text) => {
                let quoted = Value::from(text.as_str());
                self.refuse(key, at, format!("`{text}` is not text to every YAML parser: write {quoted}"))
            }
            Node::Null => self.refuse(
                key,
                at,
                "expected text, found nothing: write \"\", or leave the key out".to_owned(),
            ),
            Node::Truth(_) | Node::Integer(_) | Node::Float(_) => {
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

    /// Tells whether `text` is written so that another reader takes it for something else.
    fn may_change(&self, text: &str, at: &[Step]) -> bool {
        yaml::is_ambiguous(text) && self.document.is_plain(at)
    }

    fn rule(&mut self, key: &str, node: &Node, at: &mut Vec<Step>) -> Option<Rule> {
        let Node::Map(entries) = node else {
            let message =
                format!("expected a mapping of `registry` and `prefix`, found {}", self.shown(node, at));
            return self.refuse(key, at, message);
        };
        let (mut registry, mut prefix) = (None, None);
        let mut is_whole = true;
        for (index, name) in self.names(key, entries, at) {
            at.push(Step::Value(index));
            match name {
                "registry" => registry = Some(self.text(&format!("{key}.registry"), &entries[index].1, at)),
                "prefix" => prefix = Some(self.text(&format!("{key}.prefix"), &entries[index].1, at)),
                other => {
                    at.pop();
                    at.push(Step::Key(index));
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

    /// Turns `node` into JSON; `None` when something within cannot be said in it, which is then a problem.
    fn tree(&mut self, key: &str, node: &Node, at: &mut Vec<Step>) -> Option<Value> {
        match node {
            Node::Null => Some(Value::Null),
            Node::Truth(truth) => Some(Value::Bool(*truth)),
            Node::Integer(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => Some(number.into()),
                (_, Ok(number)) => Some(number.into()),
                _ => self.refuse(key, at, format!("the number {number} is too large")),
            },
            Node::Float(number) => match Number::from_f64(*number) {
                Some(number) => Some(Value::Number(number)),
                None => self.refuse(key, at, format!("the number {number} cannot be written as JSON")),
            },
            Node::Text(_) => self.text(key, node, at).map(Value::String),
            Node::List(items) => {
                let read = self.items(items, at, |reader, item, number, at| {
                    reader.tree(&format!("{key}[{number}]"), item, at)
                });
                (read.len() == items.len()).then(|| read.into_iter().map(|given| given.value).collect())
            }
            Node::Map(entries) => {
                let names = self.names(key, entries, at);
                let mut map = Map::new();
                for (index, name) in &names {
                    at.push(Step::Value(*index));
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

    /// Names a value for a message, scalars with what was typed.
    fn shown(&self, node: &Node, at: &[Step]) -> String {
        match node {
            Node::Text(_) | Node::Truth(_) | Node::Integer(_) | Node::Float(_) => self
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

/// Returns `; did you mean …?` with the name nearest to `name`, or nothing when none is near.
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
