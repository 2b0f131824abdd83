//! Checks whether a live object has everything that is wanted. Ignores what the API server or an operator
//! adds, and other spellings of the same value.

use serde_json::Value;

use super::quantity::Quantity;

/// The fields whose content has no schema and is stored verbatim, so that an explicit `false` or `0` may
/// differ from an absent value.
const FREE: [&str; 8] =
    ["values", "config", "hookConfig", "data", "stringData", "annotations", "labels", "nodeSelector"];

/// The fields that map names to quantities.
const QUANTITIES: [&str; 4] = ["requests", "limits", "capacity", "hard"];

/// The fields that are quantities themselves.
const QUANTITY: [&str; 3] = ["sizeLimit", "divisor", "storage"];

/// Whether `live` has everything in `wanted`.
///
/// Within a schema, an absent field equals one that is empty, `false`, 0 or null: Go's `omitempty` drops
/// those when milvus-operator writes the whole resource back (`pvcDeletion: false` vanishes).
pub fn covers(live: &Value, wanted: &Value) -> bool {
    same(live, wanted, Schema::Typed)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Schema {
    /// Content with a schema.
    Typed,
    /// Content that is stored verbatim.
    Free,
    /// A quantity or a mapping of quantities.
    Quantity,
}

impl Schema {
    fn below(self, key: &str) -> Self {
        if QUANTITIES.contains(&key) || QUANTITY.contains(&key) || self == Self::Quantity {
            Self::Quantity
        } else if FREE.contains(&key) {
            Self::Free
        } else {
            self
        }
    }
}

fn same(live: &Value, wanted: &Value, place: Schema) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| match live.get(key) {
                Some(found) => same(found, value, place.below(key)),
                None => is_equivalent_to_absent(value, place.below(key)),
            })
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len()
                && live.iter().zip(wanted).all(|(live, wanted)| same(live, wanted, place))
        }
        (Value::Number(live), Value::Number(wanted)) if live.as_f64() == wanted.as_f64() => true,
        (live, wanted) if place == Schema::Quantity => {
            live == wanted || Quantity::of(live).is_some_and(|live| Some(live) == Quantity::of(wanted))
        }
        (Value::Null, wanted) => is_equivalent_to_absent(wanted, place),
        _ => live == wanted,
    }
}

/// Whether `value` is equivalent to an absent field.
fn is_equivalent_to_absent(value: &Value, place: Schema) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.iter().all(|(key, value)| is_equivalent_to_absent(value, place.below(key))),
        _ if place == Schema::Free => false,
        Value::Array(items) => items.is_empty(),
        Value::Bool(truth) => !truth,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn additions_by_the_server_are_ignored() {
        let live = json!({"spec": {"mode": "cluster", "extra": 1, "list": [{"a": 1, "b": 2}]}});
        assert!(covers(&live, &json!({"spec": {"mode": "cluster", "list": [{"a": 1}], "config": {}}})));
        assert!(!covers(&live, &json!({"spec": {"mode": "standalone"}})));
        assert!(!covers(&live, &json!({"spec": {"list": []}})));
        assert!(!covers(&live, &json!({"spec": {"missing": 1}})));
    }

    #[test]
    fn fields_that_go_omits_are_ignored() {
        let live = json!({"inCluster": {"deletionPolicy": "Delete"}, "none": null});
        for wanted in [
            json!({"inCluster": {"deletionPolicy": "Delete", "pvcDeletion": false}}),
            json!({"replicas": 0, "name": "", "list": [], "map": {"deep": {"off": false}}, "null": null}),
            json!({"none": ""}),
        ] {
            assert!(covers(&live, &wanted), "{wanted}");
        }
        for wanted in [
            json!({"inCluster": {"pvcDeletion": true}}),
            json!({"replicas": 1}),
            json!({"map": {"deep": {"off": true}}}),
            json!({"none": "a"}),
        ] {
            assert!(!covers(&live, &wanted), "{wanted}");
        }
    }

    #[test]
    fn chart_values_are_verbatim_so_absent_is_not_false() {
        let live = json!({"inCluster": {"values": {"replicaCount": 1, "image": {"tag": "1"}}}});
        let with = |values: Value| json!({"inCluster": {"values": values}});
        assert!(covers(&live, &with(json!({"replicaCount": 1, "nodeSelector": {}}))));
        assert!(!covers(&live, &with(json!({"persistence": {"enabled": false}}))));
        assert!(!covers(&live, &with(json!({"replicaCount": 0}))));
    }

    #[test]
    fn quantities_are_compared_by_value() {
        let live =
            json!({"resources": {"requests": {"memory": "1Gi", "cpu": "50m"}, "limits": {"cpu": "2"}}});
        assert!(covers(
            &live,
            &json!({"resources": {"requests": {"memory": "1024Mi", "cpu": "0.05"}, "limits": {"cpu": 2}}})
        ));
        assert!(!covers(&live, &json!({"resources": {"requests": {"memory": "1G"}}})));
        assert!(!covers(&json!({"tag": "1Gi"}), &json!({"tag": "1024Mi"})));
        let claim = |size: Value| json!({"resources": {"requests": {"storage": size}}});
        assert!(covers(&claim(json!("5Gi")), &claim(json!(5_368_709_120_u64))));
    }

    #[test]
    fn numbers_equal_with_or_without_a_fraction_but_not_as_text() {
        assert!(covers(&json!({"n": 1}), &json!({"n": 1.0})));
        assert!(!covers(&json!({"n": 1}), &json!({"n": "1"})));
    }
}
