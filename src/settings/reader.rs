//! Takes values from the layers one by one and validates them, recording effective values and problems.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value;

use super::keys::{Key, ValueKind};
use super::layer::Raw;
use super::origin::{Origin, Problem, WithOrigin};
use crate::images::mirror::Rule;
use crate::string_enum::UnknownVariant;

/// Takes values from the layers and validates them, recording effective values and problems.
pub(super) struct Resolver {
    pub(super) values: BTreeMap<&'static str, WithOrigin<Raw>>,
    pub(super) problems: Vec<Problem>,
    pub(super) shown: BTreeMap<&'static str, WithOrigin<Raw>>,
}

impl Resolver {
    /// Where `key` was set.
    pub(super) fn origin(&self, key: Key) -> Origin {
        self.values.get(key.path).map_or(Origin::Default, |given| given.from.clone())
    }

    /// Records a problem with `key`.
    pub(super) fn problem(&mut self, key: Key, message: String) {
        let from = self.values.get(key.path).map_or(Origin::Default, |given| given.from.clone());
        self.problems.push(Problem { from, key: key.path.to_owned(), message });
    }

    /// Whether any layer gives `key` a value that is not empty.
    pub(super) fn is_set(&self, key: Key) -> bool {
        self.values.get(key.path).is_some_and(|given| match &given.value {
            Raw::Text(text) => !text.is_empty(),
            Raw::Texts(texts) => !texts.is_empty(),
            _ => true,
        })
    }

    pub(super) fn show(&mut self, key: Key, value: Raw, from: Origin) {
        self.shown.insert(key.path, WithOrigin::new(value, from));
    }

    fn given_text(&self, key: Key) -> Option<WithOrigin<String>> {
        match self.values.get(key.path) {
            Some(WithOrigin { value: Raw::Text(text), from }) if !(key.may_be_empty && text.is_empty()) => {
                Some(WithOrigin::new(text.clone(), from.clone()))
            }
            _ => None,
        }
    }

    /// Reads a text; falls back to `default`, which `read` must accept, if it is missing or invalid.
    pub(super) fn read<T>(&mut self, key: Key, default: &str, read: impl Fn(&str) -> Result<T, String>) -> T {
        let given =
            self.given_text(key).unwrap_or_else(|| WithOrigin::new(default.to_owned(), Origin::Default));
        self.show(key, Raw::Text(given.value.clone()), given.from.clone());
        match read(&given.value) {
            Ok(value) => value,
            Err(message) => {
                self.problem(key, message);
                read(default).expect("a test resolves the defaults")
            }
        }
    }

    /// Reads an optional text.
    pub(super) fn read_optional<T>(
        &mut self,
        key: Key,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Some(given) = self.given_text(key) else {
            // Showing all unset keys of deeper sections would bury the set ones.
            if key.path.matches('.').count() == 1 {
                let from = self.values.get(key.path).map_or(Origin::Default, |given| given.from.clone());
                self.show(key, "".into(), from);
            }
            return None;
        };
        self.show(key, Raw::Text(given.value.clone()), given.from.clone());
        read(&given.value).map_err(|message| self.problem(key, message)).ok()
    }

    /// Reads an enum value.
    pub(super) fn word<T>(&mut self, key: Key, default: (T, Origin)) -> T
    where
        T: FromStr<Err = UnknownVariant> + ToString + Copy,
    {
        let Some(given) = self.given_text(key) else {
            self.show(key, Raw::Text(default.0.to_string()), default.1);
            return default.0;
        };
        self.show(key, Raw::Text(given.value.clone()), given.from);
        given.value.parse().unwrap_or_else(|unknown: UnknownVariant| {
            self.problem(key, unknown.to_string());
            default.0
        })
    }

    pub(super) fn boolean(&mut self, key: Key, default: bool) -> bool {
        let given = match self.values.get(key.path) {
            Some(WithOrigin { value: Raw::Bool(value), from }) => WithOrigin::new(*value, from.clone()),
            _ => WithOrigin::new(default, Origin::Default),
        };
        self.show(key, Raw::Bool(given.value), given.from);
        given.value
    }

    pub(super) fn integer<T: TryFrom<i64> + Into<i64> + Copy>(
        &mut self,
        key: Key,
        default: (T, Origin),
    ) -> T {
        let Some(WithOrigin { value: Raw::Integer(number), from }) = self.values.get(key.path).cloned()
        else {
            self.show(key, Raw::Integer(default.0.into()), default.1);
            return default.0;
        };
        self.show(key, Raw::Integer(number), from);
        let (min, max) = match key.kind {
            ValueKind::Integer(min, max) => (min, max),
            _ => (i64::MIN, i64::MAX),
        };
        T::try_from(number).ok().filter(|_| (min..=max).contains(&number)).unwrap_or_else(|| {
            self.problem(key, format!("expected a number from {min} to {max}, found `{number}`"));
            default.0
        })
    }

    pub(super) fn list<T>(
        &mut self,
        key: Key,
        default: &[&str],
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let given = match self.values.get(key.path) {
            Some(WithOrigin { value: Raw::Texts(texts), from }) => Some((texts.clone(), from.clone())),
            _ => None,
        };
        let (texts, from) = given.unwrap_or_else(|| {
            let own = |text: &&str| WithOrigin::new((*text).to_owned(), Origin::Default);
            (default.iter().map(own).collect(), Origin::Default)
        });
        self.show(key, Raw::Texts(texts.clone()), from);
        self.each(key, texts, |text| read(text))
    }

    pub(super) fn rules(&mut self, key: Key) -> Vec<Rule> {
        let (rules, from) = match self.values.get(key.path) {
            Some(WithOrigin { value: Raw::Rules(rules), from }) => (rules.clone(), from.clone()),
            _ => (Vec::new(), Origin::Default),
        };
        self.show(key, Raw::Rules(rules.clone()), from);
        rules.into_iter().map(|given| given.value).collect()
    }

    fn each<S, T>(
        &mut self,
        key: Key,
        items: Vec<WithOrigin<S>>,
        read: impl Fn(&S) -> Result<T, String>,
    ) -> Vec<T> {
        let mut found = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            match read(&item.value) {
                Ok(value) => found.push(value),
                Err(message) => {
                    let key = format!("{}[{index}]", key.path);
                    self.problems.push(Problem { from: item.from, key, message });
                }
            }
        }
        found
    }

    pub(super) fn tree(&mut self, key: Key) -> Value {
        let (tree, from) = match self.values.get(key.path) {
            Some(WithOrigin { value: Raw::Tree(tree), from }) => (tree.clone(), from.clone()),
            _ => (Value::Object(serde_json::Map::new()), Origin::Default),
        };
        self.show(key, Raw::Tree(tree.clone()), from);
        tree
    }
}
