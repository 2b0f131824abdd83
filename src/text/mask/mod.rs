//! Masks secrets in texts: known values, in every encoding; values whose name gives them away, in JSON, YAML,
//! `kubectl describe`, command lines and logs; and values with a recognisable shape, such as a JWT.
//!
//! Masking too much costs a reader a word; masking too little costs the owner a password. In doubt, mask. A
//! diagnosis is read for names of images, nodes and objects, digests and messages, so they stay.

mod lines;
mod names;
mod words;

use serde_json::{Map, Value};

use super::forms;
use names::{is_environment, is_harmless_variable, is_secret};
pub use words::without_logins;

const MASK: &str = "***";
/// Shorter known values are ignored: they would match everywhere.
const LEAST_KNOWN: usize = 4;
/// The maximum depth of JSON inside JSON strings; Kubernetes nests two levels, an operator's annotation
/// three.
const NESTED: usize = 8;
/// The maximum number of attempts to parse JSON inside one text; each may read to its end.
const MOST_JSON_STARTS: usize = 20_000;

/// Masks secrets in texts.
#[derive(Clone, Default)]
pub struct Mask {
    /// Known secrets in all their forms, longest first, since one may contain another.
    known: Vec<String>,
}

impl Mask {
    /// Creates a mask for everything that looks like a secret, and for the `known` values.
    pub fn new(known: impl IntoIterator<Item = String>) -> Self {
        let known = known.into_iter().filter(|value| value.chars().count() >= LEAST_KNOWN);
        let mut known: Vec<String> = known.flat_map(|value| forms(&value)).collect();
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        known.dedup();
        Self { known }
    }

    /// Returns the text without secrets. JSON is parsed, so that its keys tell which values are secret.
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

    /// Masks a text that is not JSON as a whole.
    fn plain(&self, text: &str, depth: usize) -> String {
        let text = words::without_private_keys(text);
        let text = self.json_within(&text, depth);
        lines::masked(&text, &|line| words::masked(line, &|quoted| self.string(quoted, depth + 1)))
    }

    /// Masks a string from inside another text, already unescaped.
    fn string(&self, text: &str, depth: usize) -> String {
        if depth > NESTED {
            return MASK.to_owned();
        }
        let text = self.without_known(text);
        match json(&text) {
            Some(mut value) => {
                let before = value.clone();
                self.value(&mut value, depth);
                // Keep the original text if nothing was secret: not every number survives parsing.
                if value == before { text } else { value.to_string() }
            }
            None => self.plain(&text, depth),
        }
    }

    /// Masks every JSON object and list inside a text, such as a log or an annotation in `kubectl describe`.
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

    /// Masks a list; the argument after a secret flag is secret.
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
        // Environment variables, headers and parameters are objects with separate name and value fields.
        let is_named_variable =
            fields.get("name").and_then(Value::as_str).is_some_and(|name| !is_harmless_variable(name));
        let is_secret_object = fields.get("kind").is_some_and(|kind| kind == "Secret");
        for (key, value) in fields {
            let is_data = key == "stringData" || (is_secret_object && key == "data");
            let is_secret = is_secret(key) && !is_secret_volume(key, value);
            if is_data || (is_named_variable && key == "value") || is_secret {
                mask(value);
            } else if is_environment(key) {
                self.environment(value, depth);
            } else {
                self.value(value, depth);
            }
        }
    }

    /// Masks variables given as a mapping or as a list of `NAME=value`. A list of objects is masked object by
    /// object.
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

/// Replaces a value and everything below it with the mask; null, booleans and empty values stay.
fn mask(value: &mut Value) {
    let is_empty = match value {
        Value::Null | Value::Bool(_) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(_) => false,
    };
    if !is_empty {
        *value = Value::String(MASK.to_owned());
    }
}

/// Whether this is a volume that names a Secret: `"secret": {"secretName": "tls"}`.
fn is_secret_volume(key: &str, value: &Value) -> bool {
    key == "secret" && value.get("secretName").is_some()
}

/// Parses a text that is a JSON object or list.
fn json(text: &str) -> Option<Value> {
    let trimmed = text.trim_start();
    if trimmed.starts_with(['{', '[']) { serde_json::from_str(trimmed).ok() } else { None }
}

/// Whether JSON may begin here: `[info]` and `{namespace}` are not worth parsing.
fn may_be_json(text: &str) -> bool {
    let within = text[1..].trim_start();
    match text.as_bytes()[0] {
        b'{' => within.starts_with(['"', '}']),
        _ => within.starts_with(['"', '{', '[']),
    }
}

#[cfg(test)]
mod tests;
