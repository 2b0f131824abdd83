//! Answers to wrong usage, and answers in the format requested.

use crate::fixture::Fixture;

#[test]
fn a_missing_command_is_a_usage_error_and_shows_the_help() {
    let outcome = Fixture::new().milvusctl(&[]).ends_with(2);
    assert!(outcome.err.contains("Usage: milvusctl"), "{}", outcome.err);
    assert_eq!(outcome.out, "");
}

#[test]
fn a_misspelt_command_gets_a_suggestion() {
    let machine = Fixture::new();
    for (typed, meant) in
        [("rendr", "render"), ("load-missing-image", "load-missing-images"), ("dwon", "down")]
    {
        machine.milvusctl(&[typed]).ends_with(2).complains_of(&[typed, meant]);
    }
}

#[test]
fn a_misspelt_flag_gets_a_suggestion() {
    let machine = Fixture::new();
    machine.milvusctl(&["up", "--worker", "1"]).ends_with(2).complains_of(&["--worker", "--workers"]);
    assert_eq!(machine.calls(), [""; 0]);
}

#[test]
fn a_misspelt_subcommand_gets_a_suggestion() {
    Fixture::new().milvusctl(&["images", "explian", "a"]).ends_with(2).complains_of(&["explian", "explain"]);
}

/// In the words of kubectl 1.32 for a context missing from the kubeconfig.
fn lacks_context(machine: &Fixture, context: &str) {
    machine
        .on(&format!("kubectl --context {context}"))
        .fails(1, &format!("error: context \"{context}\" does not exist\n"));
}

#[test]
fn a_misspelt_cluster_name_gets_a_suggestion() {
    let commands: [&[&str]; 5] = [
        &["status"],
        &["load-missing-images"],
        &["images", "list"],
        &["expose", "--nodeport", "31000"],
        // Its own port may be in use on this machine.
        &["forward", "--port", "0"],
    ];
    for command in commands {
        let machine = Fixture::new();
        machine.has_clusters(&["kind", "milvus-cluster"]);
        lacks_context(&machine, "kind-milvus-clster");
        let line: Vec<&str> = command.iter().chain(&["--name", "milvus-clster"]).copied().collect();
        machine.milvusctl(&line).ends_with(1).complains_of(&[
            "hint: there is no kind cluster `milvus-clster`; did you mean `--name milvus-cluster`?",
        ]);
    }
}

#[test]
fn hints_name_the_cluster_that_a_flag_chose() {
    let machine = Fixture::new();
    machine
        .on("docker ps")
        .says("mine-control-plane|control-plane|running|kindest/node:v1.33.1|127.0.0.1:31000->31000/tcp\n");
    machine.on("kubectl --context kind-mine get services").says(
        r#"{"items": [{
            "metadata": {"name": "my-release-attu", "namespace": "default"},
            "spec": {"type": "ClusterIP", "selector": {"app": "attu"}, "ports": [{"name": "attu", "port": 3000}]}
        }]}"#,
    );
    let expose = ["expose", "attu", "--nodeport", "32000"];
    let hint = "hint: use a mapped port: `milvusctl expose attu --nodeport 31000 --name mine`\n";
    machine.milvusctl(&[&expose[..], &["--name", "mine"]].concat()).ends_with(2).complains_of(&[hint]);
    let hint = "hint: use a mapped port: `milvusctl expose attu --nodeport 31000`\n";
    machine.milvusctl_with(&[("MILVUSCTL_NAME", "mine")], &expose).ends_with(2).complains_of(&[hint]);
}

#[test]
fn an_existing_cluster_is_not_taken_for_a_typo() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-ci", "milvus-ca"]);
    machine.on("kubectl").fails(1, "The connection to the server 127.0.0.1:1 was refused\n");
    let outcome = machine.milvusctl(&["status", "--name", "milvus-ci"]).ends_with(1);
    assert!(!outcome.err.contains("did you mean"), "{}", outcome.err);
    assert!(!outcome.err.contains("creates it"), "{}", outcome.err);
}

#[test]
fn a_cluster_named_by_its_context_gets_its_name_suggested() {
    let machine = Fixture::new();
    machine.has_clusters(&["dev", "milvus"]);
    lacks_context(&machine, "kind-kind-dev");
    machine
        .milvusctl(&["status", "--name", "kind-dev"])
        .ends_with(1)
        .complains_of(&["hint: there is no kind cluster `kind-dev`; did you mean `--name dev`?"]);
}

#[test]
fn a_cluster_with_a_renamed_context_is_not_reported_missing() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-ci"]);
    lacks_context(&machine, "kind-milvus-ci");
    machine.on("kubectl config get-contexts").says("work\n");
    machine.milvusctl(&["status", "--name", "milvus-ci"]).ends_with(1).complains_of(&[
        "hint: the kind cluster `milvus-ci` exists, but the kubeconfig has no context `kind-milvus-ci`; \
         `kind export kubeconfig --name milvus-ci` adds it\n",
    ]);
}

#[test]
fn the_hint_about_moved_images_can_be_typed() {
    let rule = "docker.io/bitnami=docker.io/bitnamilegacy";
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&format!("try `--mirror {rule}`")));
    let outcome = Fixture::with_tools(&[])
        .milvusctl(&["images", "explain", "bitnami/kafka:3.1.0", "--mirror", rule, "-o", "json"])
        .ends_with(0);
    assert!(outcome.out.contains("docker.io/bitnamilegacy/kafka:3.1.0"), "{}", outcome.out);
}

#[test]
fn a_misspelt_context_gets_a_suggestion() {
    let machine = Fixture::new();
    lacks_context(&machine, "minkube");
    machine.on("kubectl config get-contexts").says("kind-a\nminikube\n");
    machine
        .milvusctl(&["status", "--context", "minkube"])
        .ends_with(1)
        .complains_of(&["hint: there is no context `minkube`; did you mean `--context minikube`?"]);
}

#[test]
fn an_invalid_value_is_refused_before_any_tool_is_called() {
    let machine = Fixture::new();
    let rows: [(&[&str], &str); 12] = [
        (&["--name", "Milvus_1"], "Milvus_1"),
        (&["--name", ""], "--name"),
        (&["--workers", "many"], "many"),
        (&["--workers", "10"], "from 0 to 9"),
        (&["--port", "0:31000"], "from 1 to 65535"),
        (&["--port", "65536:31000"], "from 1 to 65535"),
        (&["--port", "80"], "HOST:NODE"),
        (&["--port", "31000:31000,31000:31001"], "31000"),
        (&["--listen", "localhost"], "localhost"),
        (&["--mode", "distributed"], "distributed"),
        (&["--mirror-preset", "aliyn"], "aliyn"),
        (&["--mirror", "docker.io"], "REGISTRY=PREFIX"),
    ];
    for command in ["render", "up"] {
        for (args, complaint) in rows {
            let line: Vec<&str> = [command].iter().chain(args).copied().collect();
            machine.milvusctl(&line).ends_with(2).complains_of(&[complaint]);
        }
    }
    assert_eq!(machine.calls(), [""; 0]);
}

#[test]
fn all_problems_are_reported_at_once() {
    let outcome = Fixture::new()
        .milvusctl(&["render", "--port", "0:1", "--listen", "x", "--name", "A_b", "--mode", "y"])
        .ends_with(2);
    let told = ["--port", "--listen", "--name", "--mode"].map(|flag| outcome.err.matches(flag).count());
    assert_eq!(told, [1; 4], "{}", outcome.err);
}

#[test]
fn an_unknown_key_is_reported_with_its_position_and_a_suggestion() {
    let machine = Fixture::new();
    machine.file("mine.yaml", "cluster:\n  name: a\n  worker: 2\n");
    let outcome = machine.milvusctl(&["render", "-c", "mine.yaml"]).ends_with(2);
    assert_eq!(
        outcome.err,
        "error: mine.yaml: cluster.worker: unknown key; did you mean `workers`? (line 3, column 3)\n"
    );
}

#[test]
fn problems_in_the_file_and_in_flags_are_reported_together() {
    let machine = Fixture::new();
    machine.file("milvusctl.yaml", "milvs: {}\nattu: {nodePort: 80}\n");
    machine.milvusctl(&["render", "--name", "A"]).ends_with(2).complains_of(&[
        "milvs",
        "line 1",
        "attu.nodePort",
        "line 2",
        "--name",
    ]);
}

#[test]
fn a_missing_configuration_file_is_named() {
    Fixture::new()
        .milvusctl(&["render", "-c", "nowhere.yaml"])
        .ends_with(2)
        .complains_of(&["`nowhere.yaml`", "No such file"]);
}

#[test]
fn a_missing_kind_configuration_is_named() {
    Fixture::new()
        .milvusctl(&["render", "cluster", "--kind-config", "nowhere.yaml"])
        .ends_with(2)
        .complains_of(&["`nowhere.yaml`"]);
}

#[test]
fn choosing_a_newer_attu_warns_of_its_licence() {
    let machine = Fixture::new();
    let config = machine.file("attu.yaml", "attu: {version: v2.6.1}\n").display().to_string();
    machine
        .milvusctl(&["render", "attu", "--config", &config])
        .ends_with(0)
        .complains_of(&["warning: Attu v2.6.1 is proprietary software"]);
    let usual = machine.milvusctl(&["render", "attu"]).ends_with(0);
    assert_eq!(usual.err, "");
}

#[test]
fn flags_override_the_environment_and_that_the_file() {
    let machine = Fixture::new();
    machine.file("milvusctl.yaml", "cluster: {name: file, workers: 1}\nattu: {nodePort: 30001}\n");
    let variables = [("MILVUSCTL_NAME", "environment"), ("MILVUSCTL_WORKERS", "2")];
    let outcome = machine.milvusctl_with(&variables, &["render", "config", "--name", "flag"]).ends_with(0);
    for line in [
        "  name: flag  # from: --name\n",
        "  workers: 2  # from: environment MILVUSCTL_WORKERS\n",
        "  nodePort: 30001  # from: milvusctl.yaml:2\n",
    ] {
        assert!(outcome.out.contains(line), "{line} is not in:\n{}", outcome.out);
    }
}

#[test]
fn every_document_can_be_json() {
    let machine = Fixture::new();
    for document in ["cluster", "milvus", "attu", "values", "config"] {
        let outcome = machine.milvusctl(&["render", document, "-o", "json"]).ends_with(0);
        assert!(!outcome.json().is_null(), "{document}");
        assert_eq!(outcome.err, "");
    }
}

#[test]
fn an_unknown_output_format_is_refused() {
    Fixture::new().milvusctl(&["render", "-o", "xml"]).ends_with(2).complains_of(&["xml", "text", "json"]);
}

#[test]
fn the_version_matches_the_package() {
    let outcome = Fixture::with_tools(&[]).milvusctl(&["--version"]).ends_with(0);
    assert_eq!(outcome.out, format!("milvusctl {}\n", env!("CARGO_PKG_VERSION")));
}
