use super::*;

fn place(text: &str, path: &[PathSegment]) -> Option<(usize, usize)> {
    Document::parse(text).unwrap().place(path).map(|at| (at.line, at.column))
}

#[test]
fn positions_are_exact_in_block_and_flow_style() {
    use PathSegment::{Item, Key, Value};
    let text = "# a comment\na: {b: 1, c: [x, \"y\"]}\n\nd:\n  - e: é\n    f: &anchor !!str yes # why\n";
    let table: [(&[PathSegment], (usize, usize)); 9] = [
        (&[], (2, 1)),
        (&[Key(0)], (2, 1)),
        (&[Value(0)], (2, 4)),
        (&[Value(0), Value(0)], (2, 8)),
        (&[Value(0), Value(1), Item(1)], (2, 18)),
        (&[Key(1)], (4, 1)),
        (&[Value(1), Item(0), Key(0)], (5, 5)),
        (&[Value(1), Item(0), Key(1)], (6, 5)),
        (&[Value(1), Item(0), Value(1)], (6, 8)),
    ];
    for (path, expected) in table {
        assert_eq!(place(text, path), Some(expected), "{path:?}");
    }
}

#[test]
fn duplicate_keys_are_kept_with_their_positions() {
    let text = "a: 1\nb: 2\na: 3\n";
    let document = Document::parse(text).unwrap();
    let YamlNode::Map(entries) = document.root() else { panic!("a mapping") };
    assert_eq!(entries.len(), 3);
    assert_eq!(place(text, &[PathSegment::Key(2)]), Some((3, 1)));
    assert_eq!(place(text, &[PathSegment::Value(2)]), Some((3, 4)));
}

#[test]
fn a_path_to_no_value_has_no_position() {
    assert_eq!(Document::parse("a: 1\n").unwrap().place(&[PathSegment::Value(3)]), None);
}

#[test]
fn the_source_of_a_scalar_is_the_text_as_typed() {
    let value = |text| {
        let text: &'static str = text;
        Document::parse(text).unwrap().source(&[PathSegment::Value(0)]).map(str::to_owned)
    };
    assert_eq!(value("a: 1e3 # thousand"), Some("1e3".to_owned()));
    assert_eq!(value("{a: 0o17, b: 1}"), Some("0o17".to_owned()));
    assert_eq!(value("a: 'yes'"), Some("'yes'".to_owned()));
    assert_eq!(value("a: !!str yes"), Some("yes".to_owned()));
}

#[test]
fn quoted_and_block_scalars_are_not_plain() {
    for text in ["a: \"x\"", "a: 'x'", "a: |\n  x\n", "a: >-\n  x\n"] {
        assert!(!Document::parse(text).unwrap().is_plain(&[PathSegment::Value(0)]), "{text}");
    }
    assert!(Document::parse("a: x").unwrap().is_plain(&[PathSegment::Value(0)]));
}

#[test]
fn an_empty_document_is_null() {
    for text in ["", "\n", "# nothing\n", "---\n# nothing\n"] {
        assert_eq!(*Document::parse(text).unwrap().root(), YamlNode::Null, "{text:?}");
    }
}

#[test]
fn broken_yaml_has_a_message_and_a_position() {
    let error = Document::parse("a: [1, 2\nb: 3\n").unwrap_err();
    assert_eq!(error.place, Some(Position { line: 2, column: 2 }));
    assert_eq!(
        error.message,
        "did not find expected ',' or ']', while parsing a flow sequence at line 1 column 4"
    );
}

#[test]
fn several_documents_are_refused_with_the_position_of_the_second() {
    for text in ["a: 1\n---\nb: 2\n", "--- {a: 1}\n---\nb: 2\n"] {
        let error = Document::parse(text).unwrap_err();
        assert_eq!(error.to_string(), "expected one document, found another (line 3, column 1)", "{text:?}");
    }
    let error = Document::parse("---\n---\na: 1\n---\nb: 2\n").unwrap_err();
    assert_eq!(error.to_string(), "expected one document, found another (line 5, column 1)");
}

#[test]
fn empty_documents_before_the_content_are_ignored() {
    let expected = serde_json::json!({"a": 1});
    for text in
        ["---\n---\na: 1\n", "---\n# nothing\n---\na: 1\n", "# nothing\n---\na: 1\n", "--- ~\n---\na: 1\n"]
    {
        assert_eq!(from_str::<serde_json::Value>(text), Ok(expected.clone()), "{text:?}");
        let root = Document::parse(text).unwrap().root;
        assert_eq!(root, YamlNode::Map(vec![(YamlNode::Text("a".into()), YamlNode::Integer(1))]), "{text:?}");
    }
    assert_eq!(place("---\n---\na: 1\n", &[PathSegment::Value(0)]), Some((3, 4)));
    assert_eq!(*Document::parse("---\n---\n").unwrap().root(), YamlNode::Null);
}

#[test]
fn a_tool_that_reads_one_document_gets_the_one_with_content() {
    for (text, expected) in [
        ("---\n---\na: 1\n", "---\na: 1\n"),
        ("---\n# nothing\n---\na: 1\n", "---\na: 1\n"),
        ("# about\na: 1\n---\n", "# about\na: 1\n---\n"),
        ("# about\n---\na: 1\n", "---\na: 1\n"),
        ("a: 1\n---\n", "a: 1\n---\n"),
        ("---\n", "---\n"),
    ] {
        assert_eq!(without_empty_start(text), expected, "{text:?}");
    }
}

#[test]
fn a_byte_order_mark_and_empty_trailing_documents_are_ignored() {
    let expected = serde_json::json!({"a": 1});
    for text in [
        "\u{feff}a: 1\n",
        "a: 1\n---\n",
        "---\na: 1\n---\n# nothing\n---\n",
        "a: 1\n...\n",
        "\u{feff}---\na: 1\n",
    ] {
        assert_eq!(from_str::<serde_json::Value>(text), Ok(expected.clone()), "{text:?}");
        let root = Document::parse(text).unwrap().root;
        assert_eq!(root, YamlNode::Map(vec![(YamlNode::Text("a".into()), YamlNode::Integer(1))]), "{text:?}");
    }
    assert_eq!(place("\u{feff}a: 1\n---\n", &[PathSegment::Value(0)]), Some((1, 4)));
}

const MERGING: &str = "x: &x {a: 1, b: 2}\ny: &y\n  b: 3\n  c: 4\nz:\n  <<: [*x, *y]\n  a: 0\n";

#[test]
fn merge_keys_are_applied_below_own_entries() {
    let expected = serde_json::json!({
        "x": {"a": 1, "b": 2}, "y": {"b": 3, "c": 4}, "z": {"a": 0, "b": 2, "c": 4},
    });
    assert_eq!(from_str::<serde_json::Value>(MERGING), Ok(expected.clone()));
    assert_eq!(documents::<serde_json::Value>(MERGING), Ok(vec![expected]));
    let YamlNode::Map(entries) = Document::parse(MERGING).unwrap().root else { panic!("a mapping") };
    let entry = |key: &str, value| (YamlNode::Text(key.into()), YamlNode::Integer(value));
    assert_eq!(entries[2].1, YamlNode::Map(vec![entry("a", 0), entry("b", 2), entry("c", 4)]));
}

#[test]
fn a_merged_entry_keeps_its_original_position() {
    let places = [0, 1, 2].map(|n| place(MERGING, &[PathSegment::Value(2), PathSegment::Value(n)]));
    assert_eq!(places, [Some((7, 6)), Some((1, 17)), Some((4, 6))]);
    let nested = "a: &a {k: 1}\nb: &b {<<: *a, l: [2]}\nc: {<<: *b}\n";
    let merged = |path: &[PathSegment]| place(nested, &[&[PathSegment::Value(2)], path].concat());
    assert_eq!(merged(&[PathSegment::Key(1)]), Some((1, 8)));
    assert_eq!(merged(&[PathSegment::Value(0), PathSegment::Item(0)]), Some((2, 20)));
}

#[test]
fn only_mappings_can_be_merged() {
    for (text, at) in [("a:\n  <<: 1\n", "line 2, column 7"), ("a: {<<: [{b: 1}, 2]}\n", "line 1, column 18")]
    {
        let error = Document::parse(text).unwrap_err();
        assert_eq!(error.to_string(), format!("expected a mapping, or a list of mappings, to merge ({at})"));
        assert!(from_str::<serde_json::Value>(text).is_err());
    }
}

#[test]
fn numeric_keys_survive_merge_keys() {
    let text = "a: &a {80: x}\nb: {<<: *a, true: y}\n";
    let expected = serde_json::json!({"a": {"80": "x"}, "b": {"80": "x", "true": "y"}});
    assert_eq!(from_str::<serde_json::Value>(text), Ok(expected));
}

#[test]
fn several_documents_can_be_read() {
    let found: Vec<serde_json::Value> = documents("a: 1\n---\n---\nb: 2\n").unwrap();
    assert_eq!(found, [serde_json::json!({"a": 1}), serde_json::json!({"b": 2})]);
}

#[test]
fn strings_that_yaml_1_1_reads_differently_are_ambiguous() {
    for text in [
        "yes",
        "No",
        "ON",
        "off",
        "y",
        "N",
        "True",
        "null",
        "~",
        "",
        "1e3",
        "1E+3",
        "12:30",
        "190:20:30.15",
        "0o17",
        "0777",
        "0x1F",
        "0b1",
        "1_000",
        "1.5",
        ".5",
        "-3",
        "2001-01-01",
        "2001-01-01 10:00",
        ".inf",
        ".NaN",
    ] {
        assert!(is_ambiguous(text), "{text:?}");
    }
}

#[test]
fn ordinary_strings_are_not_ambiguous() {
    for text in [
        "milvus-cluster",
        "31000:31000",
        "10.0.0.0/16",
        "127.0.0.1",
        "1.3.8",
        "v2.6.11",
        "docker.io",
        "yess",
        "e3",
        "1a",
        "2379", // a number, and so not taken for a string by anybody
    ]
    .iter()
    .filter(|text| **text != "2379")
    {
        assert!(!is_ambiguous(text), "{text:?}");
    }
}
