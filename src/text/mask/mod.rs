//! Takes secrets out of texts: those that are known, in every encoding; those that a name gives away, within JSON, YAML,
//! `kubectl describe`, command lines and logs; and those that have a shape of their own, such as a JWT.
//!
//! What is masked needlessly costs a reader a word, what is not masked costs its owner a password: in doubt, it is
//! masked. Names of images, nodes and objects, digests and messages are what a diagnosis is read for, and stay.

mod lines;
mod names;
mod words;

use serde_json::{Map, Value};

use super::forms;
use names::{is_environment, is_harmless_variable, is_secret};
pub use words::without_logins;

const MASK: &str = "***";
/// Values shorter than this are not looked for: they would be found everywhere.
const LEAST_KNOWN: usize = 4;
/// How deep JSON within strings of JSON is followed; Kubernetes nests two, an operator's annotation three.
const NESTED: usize = 8;
/// How often JSON is looked for within one text: each try may read to its end.
const MOST_JSON_STARTS: usize = 20_000;

/// What must not be shown.
#[derive(Clone, Default)]
pub struct Mask {
    /// Known secrets in all their forms, the longest first, as one may hold another.
    known: Vec<String>,
}

impl Mask {
    /// A mask for everything that looks like a secret, and for these values wherever they stand.
    pub fn new(known: impl IntoIterator<Item = String>) -> Self {
        let known = known.into_iter().filter(|value| value.chars().count() >= LEAST_KNOWN);
        let mut known: Vec<String> = known.flat_map(|value| forms(&value)).collect();
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        known.dedup();
        Self { known }
    }

    /// The text without secrets. JSON is read as such, so that its values are found by their keys.
    pub fn text(&self, text: &str) -> String {
        let text = self.without_known(text);
        match json(&text) {
            Some(mut value) => {
                self.value(&mut value, 0);
                serde_json::to_string_pretty(&value).unwrap_or_else(|_| MASK.to_owned())
            }
            None => self.plain(&text, 0),
        }
    }

    fn without_known(&self, text: &str) -> String {
        self.known.iter().fold(text.to_owned(), |text, known| {
            if text.contains(known.as_str()) { text.replace(known.as_str(), MASK) } else { text }
        })
    }

    /// A text that is not JSON as a whole.
    fn plain(&self, text: &str, depth: usize) -> String {
        let text = words::without_private_keys(text);
        let text = self.json_within(&text, depth);
        lines::masked(&text, &|line| words::masked(line, &|quoted| self.string(quoted, depth + 1)))
    }

    /// A string that was within another text, with its escapes resolved.
    fn string(&self, text: &str, depth: usize) -> String {
        if depth > NESTED {
            return MASK.to_owned();
        }
        let text = self.without_known(text);
        match json(&text) {
            Some(mut value) => {
                let before = value.clone();
                self.value(&mut value, depth);
                // Written as it was where nothing is secret: not every number survives being read.
                if value == before { text } else { value.to_string() }
            }
            None => self.plain(&text, depth),
        }
    }

    /// Masks every JSON object and list that stands in a text, as in a log or an annotation that is described.
    fn json_within(&self, text: &str, depth: usize) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut from = 0;
        let mut tried = 0;
        while let Some(at) = text[from..].find(['{', '[']).map(|at| from + at) {
            masked.push_str(&text[from..at]);
            let mut read = None;
            if may_be_json(&text[at..]) && tried < MOST_JSON_STARTS {
                tried += 1;
                let mut stream = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
                read = stream.next().and_then(Result::ok).map(|value| (value, stream.byte_offset()));
            }
            if let Some((mut value, length)) = read {
                let before = value.clone();
                self.value(&mut value, depth + 1);
                if value == before {
                    masked.push_str(&text[at..at + length]);
                } else {
                    masked.push_str(&value.to_string());
                }
                from = at + length;
            } else {
                masked.push_str(&text[at..=at]);
                from = at + 1;
            }
        }
        masked.push_str(&text[from..]);
        masked
    }

    fn value(&self, value: &mut Value, depth: usize) {
        match value {
            Value::String(text) => *text = self.string(text, depth + 1),
            Value::Array(values) => self.list(values, depth),
            Value::Object(fields) => self.object(fields, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A list, in which the argument after a secret's flag is the secret.
    fn list(&self, values: &mut [Value], depth: usize) {
        let mut after_flag = false;
        for value in values {
            let text = value.as_str();
            let is_flag = text.is_some_and(|text| text.starts_with('-'));
            if after_flag && !is_flag {
                mask(value);
            } else {
                after_flag = text.is_some_and(|text| is_flag && words::is_bare_secret_flag(text));
                self.value(value, depth);
                continue;
            }
            after_flag = false;
        }
    }

    fn object(&self, fields: &mut Map<String, Value>, depth: usize) {
        // An environment variable, a header or a parameter is an object with its name in one field and its value in
        // another.
        let names_a_variable =
            fields.get("name").and_then(Value::as_str).is_some_and(|name| !is_harmless_variable(name));
        let is_secret_object = fields.get("kind").is_some_and(|kind| kind == "Secret");
        for (key, value) in fields {
            let is_data = key == "stringData" || (is_secret_object && key == "data");
            let is_secret = is_secret(key) && !is_secret_volume(key, value);
            if is_data || (names_a_variable && key == "value") || is_secret {
                mask(value);
            } else if is_environment(key) {
                self.environment(value, depth);
            } else {
                self.value(value, depth);
            }
        }
    }

    /// Variables as a mapping, or as a list of `NAME=value`; a list of objects is masked by its objects.
    fn environment(&self, value: &mut Value, depth: usize) {
        match value {
            Value::Object(variables) => {
                for (name, value) in variables {
                    if value.is_object() || value.is_array() || is_harmless_variable(name) {
                        self.value(value, depth);
                    } else {
                        mask(value);
                    }
                }
            }
            Value::Array(variables) => {
                for variable in variables {
                    if let Some((name, _)) = variable.as_str().and_then(|text| text.split_once('='))
                        && !is_harmless_variable(name)
                    {
                        *variable = Value::String(format!("{name}={MASK}"));
                    } else {
                        self.value(variable, depth);
                    }
                }
            }
            other => self.value(other, depth),
        }
    }
}

/// Puts the mask in the place of a value and of all that is below it; nothing, truth and emptiness stay.
fn mask(value: &mut Value) {
    let says_nothing = match value {
        Value::Null | Value::Bool(_) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(_) => false,
    };
    if !says_nothing {
        *value = Value::String(MASK.to_owned());
    }
}

/// A volume that names a Secret: `"secret": {"secretName": "tls"}`.
fn is_secret_volume(key: &str, value: &Value) -> bool {
    key == "secret" && value.get("secretName").is_some()
}

/// The JSON object or list that a text is.
fn json(text: &str) -> Option<Value> {
    let trimmed = text.trim_start();
    if trimmed.starts_with(['{', '[']) { serde_json::from_str(trimmed).ok() } else { None }
}

/// Tells whether JSON may begin here: `[info]` and `{namespace}` are not worth a try.
fn may_be_json(text: &str) -> bool {
    let within = text[1..].trim_start();
    match text.as_bytes()[0] {
        b'{' => within.starts_with(['"', '}']),
        _ => within.starts_with(['"', '{', '[']),
    }
}

#[cfg(test)]
mod tests;
