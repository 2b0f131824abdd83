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
                        format!("the key `{name}` is not text to every reader of YAML: write {quoted}"),
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
                self.refuse(key, at, format!("`{text}` is not text to every reader of YAML: write {quoted}"))
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
                None => self.refuse(key, at, format!("the number {number} cannot be said in JSON")),
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
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        parse(Path::new("m.yaml"), text).problems.iter().map(ToString::to_string).collect()
    }

    fn values(text: &str) -> Vec<(&'static str, Raw)> {
        let layer = parse(Path::new("m.yaml"), text);
        assert_eq!(layer.problems, []);
        layer.values.into_iter().map(|(key, given)| (key, given.value)).collect()
    }

    #[test]
    fn every_value_has_its_place() {
        let layer = parse(Path::new("m.yaml"), "# mine\ncluster: {name: a, workers: 2}\n");
        let from = |line, column| Origin::File { path: "m.yaml".into(), place: Some(Place { line, column }) };
        assert_eq!(layer.values["cluster.name"], Given::new("a".into(), from(2, 17)));
        assert_eq!(layer.values["cluster.workers"], Given::new(2.into(), from(2, 29)));
    }

    #[test]
    fn an_empty_file_and_empty_sections_say_nothing() {
        for text in ["", "# nothing\n", "{}", "cluster:\n  # workers: 1\nmilvus: {}\n"] {
            assert_eq!(values(text), [], "{text:?}");
        }
    }

    #[test]
    fn all_problems_are_found_at_once() {
        let text = "cluster:\n  worker: 1\n  workers: many\n  name: yes\nmilvs: {}\nattu: {enabled: on, nodePort: 1e3}\n";
        assert_eq!(
            problems(text),
            [
                "m.yaml: cluster.worker: unknown key; did you mean `workers`? (line 2, column 3)",
                "m.yaml: cluster.workers: expected a number from 0 to 9, found `many` (line 3, column 12)",
                "m.yaml: cluster.name: `yes` is not text to every reader of YAML: write \"yes\" (line 4, column 9)",
                "m.yaml: milvs: unknown key; did you mean `milvus`? (line 5, column 1)",
                "m.yaml: attu.enabled: expected `true` or `false`, found `on` (line 6, column 17)",
                "m.yaml: attu.nodePort: expected a number from 30000 to 32767, found `1e3` (line 6, column 31)",
            ]
        );
    }

    #[test]
    fn a_key_at_the_wrong_level_is_told_where_it_belongs() {
        assert_eq!(
            problems("workers: 3\n"),
            ["m.yaml: workers: unknown key here; did you mean `cluster.workers`? (line 1, column 1)"]
        );
    }

    #[test]
    fn a_strange_key_is_told_what_is_known() {
        assert_eq!(
            problems("mirror: {xyz: 1}"),
            ["m.yaml: mirror.xyz: unknown key; known here are `preset`, `push`, `rules` (line 1, column 10)"]
        );
    }

    #[test]
    fn what_is_no_text_everywhere_is_refused_unless_quoted() {
        for word in ["yes", "no", "Off", "y", "12:30", "0777", "1_000", "2001-01-01"] {
            let expected = format!(
                "m.yaml: cluster.name: `{word}` is not text to every reader of YAML: write \"{word}\" (line 1, column 17)"
            );
            assert_eq!(problems(&format!("cluster: {{name: {word}}}")), [expected]);
        }
        for number in ["1e3", "0o17", "3", "2.60"] {
            let expected = format!(
                "m.yaml: cluster.name: expected text, found a number `{number}`: write \"{number}\" (line 2, column 9)"
            );
            assert_eq!(problems(&format!("cluster:\n  name: {number} # why\n")), [expected]);
        }
        for word in ["yes", "1e3", "12:30", "0o17", "~"] {
            for quote in ['"', '\''] {
                assert_eq!(
                    values(&format!("cluster: {{name: {quote}{word}{quote}}}")),
                    [("cluster.name", word.into())]
                );
            }
        }
    }

    #[test]
    fn nothing_in_the_place_of_text_is_refused() {
        for nothing in ["", "~", "null"] {
            let expected =
                "m.yaml: cluster.name: expected text, found nothing: write \"\", or leave the key out";
            assert!(problems(&format!("cluster:\n  name: {nothing}\n"))[0].starts_with(expected));
        }
    }

    #[test]
    fn duplicate_keys_are_refused_with_both_places() {
        assert_eq!(
            problems("cluster:\n  name: a\n  workers: 1\n  name: b\n"),
            ["m.yaml: cluster.name: is given twice, first on line 2 (line 4, column 3)"]
        );
    }

    #[test]
    fn broken_yaml_is_one_problem_with_its_place() {
        assert_eq!(
            problems("cluster: {name: a\nmilvus: x\n"),
            [
                "m.yaml: did not find expected ',' or '}', while parsing a flow mapping at line 1 column 10 (line 2, column 7)"
            ]
        );
    }

    #[test]
    fn lists_say_which_item_is_wrong() {
        assert_eq!(
            problems("cluster:\n  ports: [\"80:30080\", 22:22]\n"),
            [
                "m.yaml: cluster.ports[1]: `22:22` is not text to every reader of YAML: write \"22:22\" (line 2, column 23)"
            ]
        );
        assert_eq!(
            problems("mirror:\n  rules:\n    - registry: a\n    - {registry: a, prefx: b}\n    - x\n"),
            [
                "m.yaml: mirror.rules[0]: `prefix` is missing (line 3, column 7)",
                "m.yaml: mirror.rules[1].prefx: unknown key; did you mean `prefix`? (line 4, column 21)",
                "m.yaml: mirror.rules[2]: expected a mapping of `registry` and `prefix`, found `x` (line 5, column 7)",
            ]
        );
    }

    #[test]
    fn quantities_may_be_numbers() {
        let text = "milvus: {resources: {requests: {cpu: 0.5, memory: 2Gi}}}";
        assert_eq!(
            values(text),
            [
                ("milvus.resources.requests.cpu", "0.5".into()),
                ("milvus.resources.requests.memory", "2Gi".into())
            ]
        );
    }

    #[test]
    fn files_are_found_beside_the_configuration_file() {
        let layer = parse(
            Path::new("conf/m.yaml"),
            "cluster: {kindConfig: kind.yaml}\noperator: {valuesFile: /v.yaml}\n",
        );
        assert_eq!(layer.values["cluster.kindConfig"].value, "conf/kind.yaml".into());
        assert_eq!(layer.values["operator.valuesFile"].value, "/v.yaml".into());
    }

    #[test]
    fn standard_input_is_beside_no_file() {
        let layer = parse(Path::new("conf/m.yaml"), "cluster: {kindConfig: \"-\"}\n");
        assert_eq!(layer.values["cluster.kindConfig"].value, "-".into());
    }

    #[test]
    fn merge_keys_set_settings_and_problems_stand_where_they_were_written() {
        let text = "milvus:\n  replicas: &r {proxy: 2}\n  spec: {a: &a {on: 1, b: 2}, c: {<<: *a, b: 3}}\n";
        assert_eq!(
            problems(&text.replace("proxy", "prxy")),
            [
                "m.yaml: milvus.replicas.prxy: unknown key; did you mean `proxy`? (line 2, column 17)",
                "m.yaml: milvus.spec.a: the key `on` is not text to every reader of YAML: write \"on\" (line 3, column 17)",
                "m.yaml: milvus.spec.c: the key `on` is not text to every reader of YAML: write \"on\" (line 3, column 17)",
            ]
        );
        let spec = serde_json::json!({"a": {"o": 1, "b": 2}, "c": {"o": 1, "b": 3}});
        assert_eq!(
            values(&text.replace("on:", "o:")),
            [("milvus.replicas.proxy", 2.into()), ("milvus.spec", Raw::Tree(spec))]
        );
    }

    #[test]
    fn the_spec_is_handed_on_as_it_is() {
        let text = "milvus:\n  spec:\n    config: {a: [1, 2.5, \"yes\", ~, {b: true}]}\n";
        let expected = serde_json::json!({"config": {"a": [1, 2.5, "yes", null, {"b": true}]}});
        assert_eq!(values(text), [("milvus.spec", Raw::Tree(expected))]);
    }

    #[test]
    fn ambiguity_deep_in_the_spec_is_found() {
        assert_eq!(
            problems("milvus:\n  spec:\n    config:\n      a: [x, {on: no}]\n"),
            [
                "m.yaml: milvus.spec.config.a[1]: the key `on` is not text to every reader of YAML: write \"on\" (line 4, column 15)",
            ]
        );
    }

    #[test]
    fn every_known_key_is_taken_with_a_value_of_its_kind() {
        for key in keys::ALL {
            let value = match key.kind {
                Kind::Integer(min, _) => min.to_string(),
                Kind::Truth => "true".into(),
                Kind::Texts => "[\"a\"]".into(),
                Kind::Rules => "[{registry: a.io, prefix: b.io}]".into(),
                Kind::Tree => "{}".into(),
                _ => "\"a\"".into(),
            };
            let text = key.path.rsplit('.').fold(value, |below, name| format!("{{{name}: {below}}}"));
            let layer = parse(Path::new("m.yaml"), &text);
            assert_eq!(layer.problems, [], "{text}");
            assert!(layer.values.contains_key(key.path), "{text}");
        }
    }
}
