//! Flags, variables and files as people write them: blanks, empty variables, `1` for true, standard input.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::json;

use crate::fixture::{Fixture, Outcome};

/// The value of one setting, as `render config` shows it.
#[track_caller]
fn setting(variables: &[(&str, &str)], args: &[&str], pointer: &str) -> serde_json::Value {
    let line: Vec<&str> =
        ["render", "config", "--mirror-preset", "none"].iter().chain(args).copied().collect();
    let text = Fixture::with_tools(&[]).milvusctl_with(variables, &line).ends_with(0).out;
    let config: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    config.pointer(pointer).cloned().unwrap_or_default()
}

fn every_variable(command: &clap::Command, found: &mut Vec<String>) {
    for arg in command.get_arguments() {
        found.extend(arg.get_env().map(|name| name.to_string_lossy().into_owned()));
    }
    for below in command.get_subcommands() {
        every_variable(below, found);
    }
}

#[test]
fn empty_variables_count_as_unset() {
    let mut all = Vec::new();
    every_variable(&milvusctl::command(), &mut all);
    assert!(all.len() > 30, "{all:?}");
    let empty: Vec<(&str, &str)> = all.iter().map(|name| (name.as_str(), "")).collect();
    let machine = Fixture::with_tools(&[]);
    for line in [&["render", "config"][..], &["images", "explain", "busybox"], &["smoke", "--help"]] {
        let expected = machine.milvusctl(line).ends_with(0).out;
        // The fixture sets how to pull, which `render` does not show.
        assert_eq!(machine.milvusctl_with(&empty, line).ends_with(0).out, expected, "{line:?}");
    }
}

#[test]
fn an_empty_variable_does_not_replace_a_required_flag() {
    let outcome = Fixture::with_tools(&[]).milvusctl_with(&[("MILVUSCTL_NODEPORT", "")], &["expose", "attu"]);
    outcome.ends_with(2).complains_of(&["--nodeport"]);
}

#[test]
fn switches_accept_boolean_words() {
    for (word, is_on) in
        [("1", true), ("yes", true), ("true", true), ("0", false), ("no", false), ("off", false)]
    {
        assert_eq!(setting(&[("MILVUSCTL_SMALL", word)], &[], "/small"), json!(is_on), "{word}");
        assert_eq!(setting(&[("MILVUSCTL_NO_ATTU", word)], &[], "/attu/enabled"), json!(!is_on), "{word}");
    }
}

#[test]
fn a_switch_turned_off_by_a_variable_overrides_the_file() {
    let machine = Fixture::with_tools(&[]);
    machine.file("milvusctl.yaml", "small: true\n");
    let small = |variables: &[(&str, &str)]| {
        let text = machine.milvusctl_with(variables, &["render", "config"]).ends_with(0).out;
        serde_yaml::from_str::<serde_json::Value>(&text).unwrap()["small"].clone()
    };
    assert_eq!(small(&[]), json!(true));
    assert_eq!(small(&[("MILVUSCTL_SMALL", "")]), json!(true));
    assert_eq!(small(&[("MILVUSCTL_SMALL", "0")]), json!(false));
}

#[test]
fn a_switch_turned_off_by_a_variable_conflicts_with_nothing() {
    let machine = Fixture::with_tools(&[]);
    machine.milvusctl_with(&[("MILVUSCTL_VERBOSE", "0")], &["render", "--quiet"]).ends_with(0);
    machine.milvusctl_with(&[("MILVUSCTL_VERBOSE", "1")], &["render", "--quiet"]).ends_with(2);
}

#[test]
fn a_word_that_is_not_boolean_is_refused() {
    let machine = Fixture::with_tools(&[]);
    machine
        .milvusctl_with(&[("MILVUSCTL_SMALL", "maybe")], &["render"])
        .ends_with(2)
        .complains_of(&["maybe"]);
}

#[test]
fn blanks_after_commas_are_ignored() {
    let ports = json!(["31000:31000", "19530:31530"]);
    assert_eq!(setting(&[], &["--port", "31000:31000, 19530:31530"], "/cluster/ports"), ports);
    assert_eq!(setting(&[("MILVUSCTL_PORT", "31000:31000 , 19530:31530")], &[], "/cluster/ports"), ports);
    let rules =
        json!([{"registry": "docker.io", "prefix": "a.io"}, {"registry": "quay.io", "prefix": "b.io"}]);
    assert_eq!(setting(&[], &["--mirror", "docker.io=a.io, quay.io=b.io"], "/mirror/rules"), rules);
}

#[test]
fn gaps_in_a_list_are_passed_over() {
    let ports = json!(["31000:31000", "19530:31530"]);
    assert_eq!(setting(&[("MILVUSCTL_PORT", "31000:31000, ,19530:31530,")], &[], "/cluster/ports"), ports);
    assert_eq!(setting(&[("MILVUSCTL_PORT", " , ")], &[], "/cluster/ports"), ports, "as if it were unset");
    let rules =
        json!([{"registry": "docker.io", "prefix": "a.io"}, {"registry": "quay.io", "prefix": "b.io"}]);
    assert_eq!(
        setting(&[("MILVUSCTL_MIRROR", "docker.io=a.io, ,quay.io=b.io")], &[], "/mirror/rules"),
        rules
    );
}

#[test]
fn one_flag_takes_several_namespaces() {
    let machine = Fixture::new();
    let pod = |namespace: &str| {
        json!({
            "metadata": {"name": "p", "namespace": namespace},
            "spec": {"containers": [{"name": "c", "image": format!("{namespace}:1")}]},
            "status": {"phase": "Running"},
        })
    };
    let pods = json!({"items": [pod("a"), pod("b"), pod("other")]});
    machine.on("kubectl --context kind-milvus-cluster get pods").says(&pods.to_string());
    machine.on("kubectl --context kind-milvus-cluster get nodes").says("{\"items\": []}");
    for namespaces in ["a,b", "a, b"] {
        let text = machine.milvusctl(&["images", "list", "-n", namespaces]).ends_with(0).out;
        assert_eq!(
            ["a:1", "b:1", "other:1"].map(|image| text.contains(image)),
            [true, true, false],
            "{text}"
        );
    }
}

/// milvusctl's answer with `text` on its standard input.
fn with_input(text: &str, args: &[&str]) -> Outcome {
    let mut child = Fixture::with_tools(&[]).command(args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Outcome::of_child(child)
}

const OWN: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n";

#[test]
fn the_kind_config_may_come_from_standard_input() {
    assert_eq!(with_input(OWN, &["render", "--kind-config", "-"]).ends_with(0).out, OWN);
    assert_eq!(
        with_input(&format!("---\n---\n{OWN}"), &["render", "--kind-config", "-"]).ends_with(0).out,
        format!("---\n{OWN}")
    );
    with_input("kind: Pod\n", &["render", "--kind-config", "-"]).ends_with(2).complains_of(&["found `Pod`"]);
}

#[test]
fn a_configuration_file_may_have_a_byte_order_mark_merge_keys_and_empty_documents_around_it() {
    let machine = Fixture::with_tools(&[]);
    machine.file(
        "milvusctl.yaml",
        "\u{feff}---\n# nothing\n---\nmilvus:\n  spec:\n    config:\n      a: &a {k: 1}\n      b: {<<: *a, l: 2}\n---\n",
    );
    let text = machine.milvusctl(&["render", "milvus"]).ends_with(0).out;
    let resource: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(resource["spec"]["config"]["b"], json!({"k": 1, "l": 2}));
}

#[test]
fn a_bare_version_names_the_node_image_of_kind() {
    let text = Fixture::with_tools(&[]).milvusctl(&["render", "--node-image", "v1.33.1"]).ends_with(0).out;
    assert!(text.contains("kindest/node:v1.33.1"), "{text}");
}
