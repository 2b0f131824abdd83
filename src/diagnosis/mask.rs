//! Takes secrets out of texts: those that are known, and whatever looks like one by its name.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

const MASK: &str = "***";

/// Names whose values are secret: in JSON keys, environment variables, and `name: value` in logs.
const NAMES: &str = r"(?i)[\w.-]*(passw(or)?d|passphrase|token|secret[_-]?(access[_-]?)?key|access[_-]?key([_-]?id)?|api[_-]?key|private[_-]?key|client[_-]?secret|credentials?)[\w.-]*";

static NAME: LazyLock<Regex> = LazyLock::new(|| regex(&format!("^{NAMES}$")));
/// `name: value` and `name=value`; a quoted value goes on to its quote, another is one word.
static ASSIGNED: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?P<name>{NAMES}\\?["']?[ \t]*[:=][ \t]*)(?:(?P<quote>\\?["'])[^"'\\\n]+|[^\s"',;&}}\\]+)"#
    ))
});
/// The user's part of a URL.
static LOGIN: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s@:]*:[^/\s@]+@"));
static BEARER: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)(?P<kind>\b(bearer|basic)\s+)[a-z0-9+/_.=-]{8,}"));
static PEM: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern that is written down here is one")
}

/// What must not be shown.
#[derive(Clone, Default)]
pub struct Mask {
    known: Vec<String>,
}

impl Mask {
    /// A mask for everything that looks like a secret, and for these values wherever they stand.
    ///
    /// Values shorter than four characters are not looked for: they would be found everywhere.
    pub fn new(known: impl IntoIterator<Item = String>) -> Self {
        let mut known: Vec<String> = known.into_iter().filter(|value| value.chars().count() >= 4).collect();
        // A value may hold another.
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { known }
    }

    /// The text without secrets. JSON is read as such, so that its values are found by their keys.
    pub fn text(&self, text: &str) -> String {
        if text.trim_start().starts_with(['{', '['])
            && let Ok(mut value) = serde_json::from_str::<Value>(text)
        {
            self.value(&mut value);
            return serde_json::to_string_pretty(&value).unwrap_or_else(|_| MASK.to_owned());
        }
        self.words(text)
    }

    fn words(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for known in &self.known {
            text = text.replace(known.as_str(), MASK);
        }
        let text = PEM.replace_all(&text, MASK);
        let text = LOGIN.replace_all(&text, "$scheme***@");
        let text = BEARER.replace_all(&text, "$kind***");
        ASSIGNED.replace_all(&text, "${name}${quote}***").into_owned()
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.words(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(fields) => {
                // An environment variable is an object with its name in one field and its value in another.
                let is_secret_variable = fields.get("name").and_then(Value::as_str).is_some_and(is_secret);
                for (key, value) in fields {
                    let by_name = is_secret(key) || (is_secret_variable && key == "value");
                    if by_name && (value.is_string() || value.is_number()) {
                        *value = Value::String(MASK.to_owned());
                    } else {
                        self.value(value);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn is_secret(name: &str) -> bool {
    NAME.is_match(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_masked_in_words() {
        let rows = [
            ("MINIO_ROOT_PASSWORD: minioadmin", "MINIO_ROOT_PASSWORD: ***"),
            ("      MINIO_SECRET_KEY:  s3cr3t/+x", "      MINIO_SECRET_KEY:  ***"),
            ("accessKeyID=AKIA123 region=x", "accessKeyID=*** region=x"),
            (r#"level=info msg="login" token="abc.def""#, r#"level=info msg="login" token="***""#),
            (r#"{\"password\":\"x y\"}"#, r#"{\"password\":\"***\"}"#),
            ("token=a1b2 level=info password=c3", "token=*** level=info password=***"),
            ("pulsar://me:pw@host:6650/x", "pulsar://***@host:6650/x"),
            ("Authorization: Bearer eyJhbGciOi.x.y", "Authorization: Bearer ***"),
            (
                "--- \n-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nend",
                "--- \n***\nend",
            ),
        ];
        for (text, masked) in rows {
            assert_eq!(Mask::default().text(text), masked);
        }
    }

    #[test]
    fn what_only_names_a_secret_stays() {
        for text in [
            "secretRef: my-release-storage",
            "/var/run/secrets/kubernetes.io/serviceaccount from default-token-abcde (ro)",
            "Image: docker.io/milvusdb/milvus:v2.4.17",
            "http://127.0.0.1:31000/path@x",
            "a basic check",
        ] {
            assert_eq!(Mask::default().text(text), text);
        }
    }

    #[test]
    fn values_are_masked_by_their_keys_in_json() {
        let text = json!({
            "spec": {
                "env": [{"name": "MINIO_SECRET_KEY", "value": "x"}, {"name": "HOME", "value": "/root"}],
                "storage": {"secretRef": "s", "accessKeyID": 12},
                "config": {"common": {"security": {"superUsers": "root", "defaultRootPassword": "Milvus"}}},
                "args": ["--url=http://me:pw@host"],
            }
        });
        let masked: Value = serde_json::from_str(&Mask::default().text(&text.to_string())).unwrap();
        assert_eq!(
            masked,
            json!({
                "spec": {
                    "env": [{"name": "MINIO_SECRET_KEY", "value": "***"}, {"name": "HOME", "value": "/root"}],
                    "storage": {"secretRef": "s", "accessKeyID": "***"},
                    "config": {"common": {"security": {"superUsers": "root", "defaultRootPassword": "***"}}},
                    "args": ["--url=http://***@host"],
                }
            })
        );
    }

    #[test]
    fn a_known_value_is_masked_wherever_it_stands() {
        let mask = Mask::new(["hunter22".into(), "hunter22-long".into(), "abc".into()]);
        assert_eq!(mask.text("a hunter22-long and hunter22, abc"), "a *** and ***, abc");
        assert_eq!(mask.text(r#"["hunter22"]"#), "[\n  \"***\"\n]");
    }
}
