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
fn every_value_has_a_position() {
    let layer = parse(Path::new("m.yaml"), "# mine\ncluster: {name: a, workers: 2}\n");
    let from = |line, column| Origin::File { path: "m.yaml".into(), place: Some(Position { line, column }) };
    assert_eq!(layer.values["cluster.name"], WithOrigin::new("a".into(), from(2, 17)));
    assert_eq!(layer.values["cluster.workers"], WithOrigin::new(2.into(), from(2, 29)));
}

#[test]
fn an_empty_file_and_empty_sections_set_nothing() {
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
            "m.yaml: cluster.name: `yes` is not text to every YAML parser: write \"yes\" (line 4, column 9)",
            "m.yaml: milvs: unknown key; did you mean `milvus`? (line 5, column 1)",
            "m.yaml: attu.enabled: expected `true` or `false`, found `on` (line 6, column 17)",
            "m.yaml: attu.nodePort: expected a number from 30000 to 32767, found `1e3` (line 6, column 31)",
        ]
    );
}

#[test]
fn a_misplaced_key_names_its_section() {
    assert_eq!(
        problems("workers: 3\n"),
        ["m.yaml: workers: unknown key here; did you mean `cluster.workers`? (line 1, column 1)"]
    );
}

#[test]
fn an_unknown_key_lists_the_known_ones() {
    assert_eq!(
        problems("mirror: {xyz: 1}"),
        ["m.yaml: mirror.xyz: unknown key; known here are `preset`, `push`, `rules` (line 1, column 10)"]
    );
}

#[test]
fn ambiguous_text_is_refused_unless_quoted() {
    for word in ["yes", "no", "Off", "y", "12:30", "0777", "1_000", "2001-01-01"] {
        let expected = format!(
            "m.yaml: cluster.name: `{word}` is not text to every YAML parser: write \"{word}\" (line 1, column 17)"
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
fn a_null_text_is_refused() {
    for nothing in ["", "~", "null"] {
        let expected = "m.yaml: cluster.name: expected text, found nothing: write \"\", or leave the key out";
        assert!(problems(&format!("cluster:\n  name: {nothing}\n"))[0].starts_with(expected));
    }
}

#[test]
fn duplicate_keys_are_refused_with_both_positions() {
    assert_eq!(
        problems("cluster:\n  name: a\n  workers: 1\n  name: b\n"),
        ["m.yaml: cluster.name: is given twice, first on line 2 (line 4, column 3)"]
    );
}

#[test]
fn broken_yaml_is_one_problem_with_a_position() {
    assert_eq!(
        problems("cluster: {name: a\nmilvus: x\n"),
        [
            "m.yaml: did not find expected ',' or '}', while parsing a flow mapping at line 1 column 10 (line 2, column 7)"
        ]
    );
}

#[test]
fn a_wrong_list_item_is_named() {
    assert_eq!(
        problems("cluster:\n  ports: [\"80:30080\", 22:22]\n"),
        [
            "m.yaml: cluster.ports[1]: `22:22` is not text to every YAML parser: write \"22:22\" (line 2, column 23)"
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
        [("milvus.resources.requests.cpu", "0.5".into()), ("milvus.resources.requests.memory", "2Gi".into())]
    );
}

#[test]
fn relative_paths_start_at_the_configuration_file() {
    let layer = parse(
        Path::new("conf/m.yaml"),
        "cluster: {kindConfig: kind.yaml}\noperator: {valuesFile: /v.yaml}\n",
    );
    assert_eq!(layer.values["cluster.kindConfig"].value, "conf/kind.yaml".into());
    assert_eq!(layer.values["operator.valuesFile"].value, "/v.yaml".into());
}

#[test]
fn standard_input_is_not_a_relative_path() {
    let layer = parse(Path::new("conf/m.yaml"), "cluster: {kindConfig: \"-\"}\n");
    assert_eq!(layer.values["cluster.kindConfig"].value, "-".into());
}

#[test]
fn merged_settings_keep_their_original_positions() {
    let text = "milvus:\n  replicas: &r {proxy: 2}\n  spec: {a: &a {on: 1, b: 2}, c: {<<: *a, b: 3}}\n";
    assert_eq!(
        problems(&text.replace("proxy", "prxy")),
        [
            "m.yaml: milvus.replicas.prxy: unknown key; did you mean `proxy`? (line 2, column 17)",
            "m.yaml: milvus.spec.a: the key `on` is not text to every YAML parser: write \"on\" (line 3, column 17)",
            "m.yaml: milvus.spec.c: the key `on` is not text to every YAML parser: write \"on\" (line 3, column 17)",
        ]
    );
    let spec = serde_json::json!({"a": {"o": 1, "b": 2}, "c": {"o": 1, "b": 3}});
    assert_eq!(
        values(&text.replace("on:", "o:")),
        [("milvus.replicas.proxy", 2.into()), ("milvus.spec", Raw::Tree(spec))]
    );
}

#[test]
fn the_spec_passes_through_unchanged() {
    let text = "milvus:\n  spec:\n    config: {a: [1, 2.5, \"yes\", ~, {b: true}]}\n";
    let expected = serde_json::json!({"config": {"a": [1, 2.5, "yes", null, {"b": true}]}});
    assert_eq!(values(text), [("milvus.spec", Raw::Tree(expected))]);
}

#[test]
fn ambiguity_deep_in_the_spec_is_found() {
    assert_eq!(
        problems("milvus:\n  spec:\n    config:\n      a: [x, {on: no}]\n"),
        [
            "m.yaml: milvus.spec.config.a[1]: the key `on` is not text to every YAML parser: write \"on\" (line 4, column 15)",
        ]
    );
}

#[test]
fn every_known_key_accepts_a_value_of_its_kind() {
    for key in keys::ALL {
        let value = match key.kind {
            ValueKind::Integer(min, _) => min.to_string(),
            ValueKind::Bool => "true".into(),
            ValueKind::Texts => "[\"a\"]".into(),
            ValueKind::Rules => "[{registry: a.io, prefix: b.io}]".into(),
            ValueKind::Tree => "{}".into(),
            _ => "\"a\"".into(),
        };
        let text = key.path.rsplit('.').fold(value, |below, name| format!("{{{name}: {below}}}"));
        let layer = parse(Path::new("m.yaml"), &text);
        assert_eq!(layer.problems, [], "{text}");
        assert!(layer.values.contains_key(key.path), "{text}");
    }
}
