//! Feeds randomly damaged kubectl and docker output to the parsers: nothing may panic, and the result must be
//! printable.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use crate::images::missing::{NamespaceFilter, collect};
use crate::kube::node::NodeList;
use crate::kube::pod::PodList;
use crate::machine::engine::parse_docker_info;
use crate::settings::Settings;
use crate::status;
use crate::status::scope::Scope;
use crate::text::Mask;

const PODS: &str = include_str!("../tests/fixtures/pods-waiting.kubectl-1.32-k8s-1.20.json");
const NODES: &str = include_str!("../tests/fixtures/nodes.kubectl-1.32-k8s-1.20.json");
const INFO: &str = include_str!("../tests/fixtures/docker-info-20.10.24.json");

/// A value of an unexpected type.
fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(serde_json::json!([])),
        Just(serde_json::json!({"name": null})),
        Just(serde_json::json!([[1], {"a": "b"}])),
    ]
}

/// Replaces one of the values in `value`, selected by `choice`, with `odd`.
fn replace(value: &mut Value, choice: &mut usize, odd: &Value) {
    if *choice == 0 {
        *value = odd.clone();
        *choice = usize::MAX;
        return;
    }
    *choice -= 1;
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| step(value, choice, odd)),
        Value::Object(fields) => fields.values_mut().for_each(|value| step(value, choice, odd)),
        _ => {}
    }
}

fn step(value: &mut Value, choice: &mut usize, odd: &Value) {
    if *choice != usize::MAX {
        replace(value, choice, odd);
    }
}

/// Output reduced to a few items, with some values replaced.
fn damaged(text: &str, damages: &[(usize, Value)]) -> Value {
    let mut value: Value = serde_json::from_str(text).unwrap();
    if let Some(items) = value["items"].as_array_mut() {
        items.truncate(2);
    }
    for (choice, odd) in damages {
        replace(&mut value, &mut choice.clone(), odd);
    }
    value
}

fn damages() -> impl Strategy<Value = Vec<(usize, Value)>> {
    vec((0..400_usize, odd_value()), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_pods_do_not_panic(damages in damages()) {
        let pods = damaged(PODS, &damages);
        let text = pods.to_string();
        if let Ok(list) = PodList::from_slice(text.as_bytes()) {
            collect(&list, &NamespaceFilter::All);
            let _ = status::pod_troubles(&list);
        }
        let masked = Mask::default().text(&text);
        prop_assert!(serde_json::from_str::<Value>(&masked).is_ok());
    }

    #[test]
    fn damaged_nodes_and_engine_info_do_not_panic(damages in damages()) {
        let nodes = damaged(NODES, &damages);
        let _ = NodeList::from_slice(nodes.to_string().as_bytes());
        let _ = status::nodes(&nodes);
        let _ = status::workloads(&nodes, &Scope::new(&Settings::default()));
        let _ = parse_docker_info(&damaged(INFO, &damages).to_string(), None);
    }

    #[test]
    fn broken_json_does_not_panic(at in 0.0..1.0_f64, odd in ".{0,5}") {
        for text in [PODS, NODES, INFO] {
            let places: Vec<usize> = text.char_indices().map(|(place, _)| place).step_by(97).collect();
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a place in a list")]
            let place = places[(at * places.len() as f64) as usize];
            let broken = format!("{}{odd}{}", &text[..place], &text[place..(place + 4000).min(text.len())]);
            let _ = PodList::from_slice(broken.as_bytes());
            let _ = NodeList::from_slice(broken.as_bytes());
            let _ = parse_docker_info(&broken, None);
        }
    }
}
