//! One source of settings: flags and environment, or the configuration file.

use std::collections::BTreeMap;

use serde_json::Value;

use super::keys::{self, Key};
use super::kind_file::KindFile;
use super::origin::{Origin, Problem, WithOrigin};
use crate::images::mirror::{InvalidRule, Rule};

/// A value as given, before validation.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// Text, an enum word, a quantity, a duration or a path.
    Text(String),
    Integer(i64),
    /// `true` or `false`.
    Bool(bool),
    /// A list of texts, each with its own origin.
    Texts(Vec<WithOrigin<String>>),
    /// A list of mirror rules, each with its own origin.
    Rules(Vec<WithOrigin<Rule>>),
    /// A mapping passed through unchanged.
    Tree(Value),
}

impl From<&str> for Raw {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Raw {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Raw {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Raw {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// The keys that one source sets, and the problems found while reading it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layer {
    pub(super) values: BTreeMap<&'static str, WithOrigin<Raw>>,
    pub(super) problems: Vec<Problem>,
    pub(super) kind_file: Option<KindFile>,
}

impl Layer {
    /// Sets `key` to `value` from `from`.
    pub fn set(&mut self, key: Key, value: impl Into<Raw>, from: Origin) {
        self.values.insert(key.path, WithOrigin::new(value.into(), from));
    }

    /// Sets the text list `key` to `texts`, all from `from`.
    pub fn set_texts(&mut self, key: Key, texts: impl IntoIterator<Item = String>, from: &Origin) {
        let texts = texts.into_iter().map(|text| WithOrigin::new(text, from.clone())).collect();
        self.set(key, Raw::Texts(texts), from.clone());
    }

    /// Sets the rule list `key` to `rules` of the form `REGISTRY=PREFIX`, all from `from`.
    pub fn set_rules(&mut self, key: Key, rules: impl IntoIterator<Item = String>, from: &Origin) {
        let mut read = Vec::new();
        for rule in rules {
            match rule.parse() {
                Ok(rule) => read.push(WithOrigin::new(rule, from.clone())),
                Err(refused) => {
                    let message = InvalidRule::to_string(&refused);
                    self.problems.push(Problem { from: from.clone(), key: key.path.to_owned(), message });
                }
            }
        }
        self.set(key, Raw::Rules(read), from.clone());
    }

    /// The file that `cluster.kindConfig` names.
    pub fn kind_config(&self) -> Option<&str> {
        match &self.values.get(keys::CLUSTER_KIND_CONFIG.path)?.value {
            Raw::Text(path) => Some(path.as_str()).filter(|path| !path.is_empty()),
            _ => None,
        }
    }

    /// Whether the layer itself names the cluster, so that no kind config is needed for that.
    pub fn names_cluster(&self) -> bool {
        let is_text = |given: &WithOrigin<Raw>| !matches!(&given.value, Raw::Text(text) if text.is_empty());
        [keys::CLUSTER_NAME, keys::CLUSTER_CONTEXT]
            .iter()
            .any(|key| self.values.get(key.path).is_some_and(is_text))
    }

    /// Adds the user's own kind config.
    pub fn with_kind_file(mut self, file: KindFile) -> Self {
        self.kind_file = Some(file);
        self
    }

    /// Merges the layers; values of this one win over those of `below`.
    pub fn over(mut self, below: Self) -> Self {
        for (key, value) in below.values {
            self.values.entry(key).or_insert(value);
        }
        self.problems.extend(below.problems);
        self.kind_file = self.kind_file.or(below.kind_file);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    #[test]
    fn the_upper_layer_wins_and_the_lower_fills_in() {
        let mut upper = Layer::default();
        upper.set(keys::CLUSTER_NAME, "flag", Origin::Flag("name"));
        let mut lower = Layer::default();
        lower.set(keys::CLUSTER_NAME, "env", Origin::Environment("name"));
        lower.set(keys::CLUSTER_WORKERS, 2, Origin::Environment("workers"));
        let mut expected = Layer::default();
        expected.set(keys::CLUSTER_NAME, "flag", Origin::Flag("name"));
        expected.set(keys::CLUSTER_WORKERS, 2, Origin::Environment("workers"));
        assert_eq!(upper.over(lower), expected);
    }

    #[test]
    fn a_rule_without_an_equals_sign_is_a_problem() {
        let mut layer = Layer::default();
        layer.set_rules(keys::MIRROR_RULES, ["docker.io".to_owned()], &Origin::Flag("mirror"));
        assert_eq!(
            layer.problems[0].to_string(),
            "--mirror: `docker.io` is not a mirror rule: it has no `=`; write `REGISTRY=PREFIX`, such as \
             `docker.io=mirror.example.com/hub`"
        );
    }
}
