//! The embedded templates and their environment.
//!
//! Every string printed by a template becomes a YAML scalar that both YAML 1.1 and 1.2 parsers read as that
//! string, so a template cannot forget to escape. What is rendered does not matter here.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, Output, State, UndefinedBehavior};
use serde::Serialize;

/// The templates by file name.
const TEMPLATES: &[(&str, &str)] = &[
    ("kind-cluster.yaml.j2", include_str!("../templates/kind-cluster.yaml.j2")),
    ("document.yaml.j2", include_str!("../templates/document.yaml.j2")),
    ("attu.yaml.j2", include_str!("../templates/attu.yaml.j2")),
    ("config.yaml.j2", include_str!("../templates/config.yaml.j2")),
    ("values.yaml.j2", include_str!("../templates/values.yaml.j2")),
    ("nodeport-service.yaml.j2", include_str!("../templates/nodeport-service.yaml.j2")),
];

/// A template failed to render, which is a bug rather than a user error.
#[derive(Debug, thiserror::Error)]
#[error("could not render the template `{name}`")]
pub struct TemplateError {
    name: &'static str,
    #[source]
    cause: minijinja::Error,
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    environment.set_syntax(syntax.build().expect("the delimiters are minijinja's own"));
    environment.set_formatter(write_scalar);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source).expect("a test renders every template");
    }
    environment
});

/// Renders the template `name` with `context`.
///
/// # Errors
/// Fails if the template uses a name missing in `context`.
pub fn render(name: &'static str, context: impl Serialize) -> Result<String, TemplateError> {
    ENVIRONMENT
        .get_template(name)
        .and_then(|template| template.render(Serde(context)))
        .map_err(|cause| TemplateError { name, cause })
}

/// Renders `value` as a readable block-style YAML document.
///
/// # Errors
/// Fails if `value` is nested deeper than a template may recurse.
pub fn document(value: &serde_json::Value) -> Result<String, TemplateError> {
    render("document.yaml.j2", serde_json::json!({ "document": value }))
}

/// Formats `text` as a one-line YAML scalar: bare if every parser agrees that it is this string, else as a
/// JSON string, which is also YAML.
pub fn scalar(text: &str) -> String {
    if is_safely_bare(text) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

fn is_safely_bare(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let has_safe_start = text.starts_with(|c: char| c.is_ascii_alphabetic())
        // No number or date contains a slash: every parser reads `10.0.0.0/16` as text.
        || (text.starts_with(|c: char| c.is_ascii_digit()) && text.contains('/'));
    has_safe_start && text.chars().all(word) && !crate::yaml::is_ambiguous(text)
}

fn write_scalar(out: &mut Output, _: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    let text = match value.kind() {
        // Strings marked safe come from macros, whose parts are already escaped.
        ValueKind::String if value.is_safe() => value.to_string(),
        ValueKind::String => scalar(value.as_str().unwrap_or_default()),
        _ => serde_json::to_string(value).map_err(|cause| {
            minijinja::Error::new(minijinja::ErrorKind::BadSerialization, "not a JSON value")
                .with_source(cause)
        })?,
    };
    out.write_str(&text).map_err(minijinja::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ambiguous_strings_are_quoted() {
        for text in [
            "yes",
            "no",
            "1e3",
            "12:30",
            "0o17",
            "~",
            "",
            "a: b",
            "- x",
            "# x",
            "0777",
            "1.5",
            "null",
            "x ",
            "2001-01-01",
        ] {
            assert_eq!(scalar(text), json!(text).to_string());
        }
        assert_eq!(scalar("a\n\"b\"\u{7f}"), json!("a\n\"b\"\u{7f}").to_string());
    }

    #[test]
    fn ordinary_words_stay_bare() {
        for text in
            ["milvus-cluster", "registry.aliyuncs.com/google_containers", "10.0.0.0/16", "v2.6.11", "MinIO"]
        {
            assert_eq!(scalar(text), text);
        }
    }

    #[test]
    fn a_document_survives_a_round_trip() {
        let value = json!({
            "yes": "no", "empty": {}, "none": [], "null": null, "number": 1.5, "1e3": true,
            "list": ["a", {"b": [1, [2, "~"]], "c": {"d": "12:30"}}, [], {}],
            "text": "first line\nsecond: line\n", "a: b": " # x",
        });
        let text = document(&value).unwrap();
        assert_eq!(crate::yaml::from_str::<serde_json::Value>(&text).unwrap(), value, "{text}");
        assert!(text.contains("\"yes\": \"no\"\n"), "{text}");
        assert!(text.contains("\"1e3\": true\n"), "{text}");
        assert!(text.contains("d: \"12:30\"\n"), "{text}");
    }

    #[test]
    fn a_document_is_in_block_style() {
        let value = json!({"a": {"b": ["x", {"c": 1, "d": 2}]}, "e": 3});
        assert_eq!(document(&value).unwrap(), "a:\n  b:\n    - x\n    - c: 1\n      d: 2\ne: 3\n");
    }

    #[test]
    fn a_missing_value_is_an_error_that_names_the_template() {
        let error = render("attu.yaml.j2", json!({})).unwrap_err();
        assert_eq!(error.to_string(), "could not render the template `attu.yaml.j2`");
    }
}
