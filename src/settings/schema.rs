//! The JSON Schema of the configuration file, generated from the reader's own list of keys.

use serde_json::{Map, Value, json};

use super::keys::{self, Key, Lookup, ValueKind};

/// Returns the JSON Schema of the configuration file, for editors.
pub fn json_schema() -> Value {
    let mut schema = section("");
    schema.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
    schema.insert("title".into(), json!("The configuration file of milvusctl"));
    Value::Object(schema)
}

fn section(path: &str) -> Map<String, Value> {
    let mut properties = Map::new();
    for name in keys::names_below(path) {
        let below = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let value = match keys::find(&below) {
            Lookup::Key(key) => leaf(key),
            // A section with all entries commented out is null.
            Lookup::Section | Lookup::Nothing => {
                let mut schema = section(&below);
                schema.insert("type".into(), json!(["object", "null"]));
                Value::Object(schema)
            }
        };
        properties.insert(name.to_owned(), value);
    }
    let mut schema = Map::new();
    schema.insert("type".into(), json!(["object", "null"]));
    schema.insert("additionalProperties".into(), json!(false));
    schema.insert("properties".into(), Value::Object(properties));
    schema
}

fn leaf(key: Key) -> Value {
    let mut schema = match key.kind {
        ValueKind::Text | ValueKind::Duration | ValueKind::Path => json!({"type": "string"}),
        ValueKind::Quantity => json!({"type": ["string", "number"]}),
        ValueKind::OneOf(variants) => {
            let empty = key.may_be_empty.then_some("");
            json!({"enum": variants.iter().copied().chain(empty).collect::<Vec<_>>()})
        }
        ValueKind::Integer(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        ValueKind::Bool => json!({"type": "boolean"}),
        ValueKind::Texts => json!({"type": "array", "items": {"type": "string"}}),
        ValueKind::Tree => json!({"type": "object"}),
        ValueKind::Rules => json!({"type": "array", "items": {
            "type": "object", "additionalProperties": false, "required": ["registry", "prefix"],
            "properties": {"registry": {"type": "string"}, "prefix": {"type": "string"}},
        }}),
    };
    schema["description"] = json!(key.about);
    schema
}
