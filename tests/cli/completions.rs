//! Completion: the printed script in a real bash, and the answers for other shells.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::fixture::Fixture;

/// Sources the script of `completions bash`, completes `line` as bash does on Tab, and prints COMPREPLY.
///
/// bash passes the function the word at the cursor, split at `=` and `:`.
const TAB: &str = r#"
set -u
source "$SCRIPT"
COMP_LINE=$LINE
COMP_POINT=${#COMP_LINE}
word=${COMP_LINE##*[ =:]}
complete -p milvusctl | grep -q -- '-F _milvusctl_complete' || exit 9
_milvusctl_complete milvusctl "$word" previous
printf '%s\n' "${COMPREPLY[@]+"${COMPREPLY[@]}"}"
"#;

struct Completed {
    candidates: Vec<String>,
    errors: String,
    took: Duration,
}

fn bash(machine: &Fixture, line: &str) -> Completed {
    let script = machine.milvusctl(&["completions", "bash"]).ends_with(0).out;
    let script = machine.file("completion.bash", &script);
    // The test's machine, running a shell instead of milvusctl.
    let program = machine.command(&[]);
    #[expect(clippy::disallowed_methods, reason = "the shell under test is what this runs")]
    let mut shell = std::process::Command::new("bash");
    shell.env_clear();
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    let tools = program.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value).unwrap();
    let path = std::env::join_paths([Path::new(tools), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let before = Instant::now();
    let output = shell
        .args(["--norc", "--noprofile", "-c", TAB])
        .env("PATH", path)
        .env("SCRIPT", script)
        .env("LINE", line)
        .current_dir(program.get_current_dir().unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8_lossy(&output.stdout);
    Completed {
        candidates: out.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: before.elapsed(),
    }
}

#[track_caller]
fn completes(machine: &Fixture, line: &str, expected: &[&str]) {
    let completed = bash(machine, line);
    assert_eq!(completed.candidates, expected, "{line}");
    assert_eq!(completed.errors, "", "{line}");
}

#[test]
fn bash_completes_commands_and_flags() {
    let machine = Fixture::new();
    completes(&machine, "milvusctl lo", &["load-missing-images"]);
    completes(&machine, "milvusctl images ex", &["explain"]);
    completes(&machine, "milvusctl man dow", &["down"]);
    completes(&machine, "milvusctl up --work", &["--workers"]);
    completes(&machine, "milvusctl up --mode ", &["standalone", "cluster"]);
    assert_eq!(machine.calls(), [""; 0]);
}

#[test]
fn bash_offers_flags_only_if_nothing_else_fits() {
    let machine = Fixture::new();
    completes(&machine, "milvusctl images ", &["list", "load", "save", "prune", "plan", "explain", "help"]);
    let flags = bash(&machine, "milvusctl status --w").candidates;
    assert_eq!(flags, ["--watch"]);
}

#[test]
fn bash_completes_cluster_names() {
    let machine = Fixture::new();
    machine.on("kind get clusters").says("kind\nmilvus-cluster\nmilvus-ci\n");
    completes(&machine, "milvusctl down --name mil", &["milvus-cluster", "milvus-ci"]);
    completes(&machine, "milvusctl --name k", &["kind"]);
}

#[test]
fn bash_completes_after_an_equals_sign() {
    let machine = Fixture::new();
    machine.on("kind get clusters").says("kind\nmilvus-ci\n");
    completes(&machine, "milvusctl down --name=mil", &["milvus-ci"]);
    completes(&machine, "milvusctl down --name=", &["kind", "milvus-ci"]);
}

#[test]
fn bash_completes_contexts_with_colons() {
    let machine = Fixture::new();
    machine.on("kubectl config get-contexts").says("kind-a\narn:aws:eks:eu:1:cluster/prod\n");
    completes(&machine, "milvusctl status --context ki", &["kind-a"]);
    completes(&machine, "milvusctl status --context arn:aws:e", &["eks:eu:1:cluster/prod"]);
}

#[test]
fn bash_completes_namespaces_of_the_given_cluster() {
    let machine = Fixture::new();
    machine.on("kubectl --context kind-b get namespaces").says("namespace/default\nnamespace/milvus\n");
    machine.on("kubectl --context prod get namespaces").says("namespace/payments\n");
    completes(&machine, "milvusctl load-missing-images --name b -n ", &["default", "milvus"]);
    completes(&machine, "milvusctl images list --context prod --namespace ", &["payments"]);
    machine.file("milvusctl.yaml", "cluster: {name: b}\n");
    completes(&machine, "milvusctl load-missing-images -n default,mi", &["default,milvus"]);
    assert!(
        machine.calls().iter().all(|call| call.starts_with("kubectl --context ")),
        "{:?}",
        machine.calls()
    );
}

#[test]
fn bash_completes_targets_of_expose_and_forward() {
    let machine = Fixture::new();
    machine
        .on("kubectl --context kind-milvus-cluster get services --all-namespaces")
        .says("default   my-service\nkube-system   kube-dns\n");
    completes(&machine, "milvusctl forward ", &["attu", "milvus", "svc/"]);
    assert_eq!(machine.calls(), [""; 0]);
    completes(&machine, "milvusctl expose svc/d", &["svc/default/my-service"]);
}

#[test]
fn bash_completes_the_images_of_the_plan() {
    let machine = Fixture::new();
    let found = bash(&machine, "milvusctl images explain docker.io/zilliz/").candidates;
    assert!(found.iter().any(|image| image.starts_with("docker.io/zilliz/attu")), "{found:?}");
}

#[test]
fn a_failing_or_missing_tool_completes_nothing_silently() {
    let machine = Fixture::new();
    machine.on("kind get clusters").fails(1, "Cannot connect to the Docker daemon\n");
    completes(&machine, "milvusctl down --name ", &[]);
    let bare = Fixture::with_tools(&[]);
    completes(&bare, "milvusctl down --name ", &[]);
    completes(&bare, "milvusctl load-missing-images -n ", &[]);
}

#[test]
fn an_invalid_configuration_completes_nothing_silently() {
    let machine = Fixture::new();
    machine.file("milvusctl.yaml", "cluster: {name: [}\n");
    completes(&machine, "milvusctl load-missing-images -n ", &[]);
    completes(&machine, "milvusctl stat", &["status"]);
}

#[test]
fn a_silent_cluster_does_not_block_completion() {
    let machine = Fixture::new();
    // Longer than any test takes on a busy machine.
    machine.on("kubectl").takes(Duration::from_secs(300));
    let completed = bash(&machine, "milvusctl load-missing-images -n ");
    assert_eq!(completed.candidates, [""; 0]);
    assert_eq!(completed.errors, "");
    assert!(completed.took < Duration::from_secs(60), "{:?}", completed.took);
    machine.assert_all_ended();
}

#[test]
fn completion_only_reads() {
    let machine = Fixture::new();
    machine.on("kind get clusters").says("a\n");
    machine.on("kubectl config get-contexts").says("b\n");
    bash(&machine, "milvusctl down --yes --name ");
    bash(&machine, "milvusctl down --yes --context ");
    assert_eq!(machine.calls(), ["kind get clusters", "kubectl config get-contexts --output name"]);
}

#[test]
fn names_with_special_characters_are_escaped() {
    let machine = Fixture::new();
    machine.on("kubectl config get-contexts").says("my context\n");
    completes(&machine, "milvusctl status --context my", &[r"my\ context"]);
}

#[test]
fn other_shells_get_answers_in_their_format() {
    let machine = Fixture::new();
    machine.on("kind get clusters").says("milvus-ci\n");
    let words = ["--", "milvusctl", "down", "--name", ""];
    let asked = |shell: &str| {
        let variables = [("MILVUSCTL_COMPLETE", shell), ("_CLAP_COMPLETE_INDEX", "3"), ("_CLAP_IFS", "\n")];
        machine.milvusctl_with(&variables, &words).ends_with(0)
    };
    for shell in ["fish", "zsh", "powershell", "elvish"] {
        let outcome = asked(shell);
        assert!(outcome.out.starts_with("milvus-ci"), "{shell}: {outcome:?}");
        assert_eq!(outcome.err, "");
    }
}

#[test]
fn the_script_of_each_shell_calls_this_program() {
    let machine = Fixture::with_tools(&[]);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = machine.milvusctl(&["completions", shell]).ends_with(0).out;
        assert!(
            script.contains("MILVUSCTL_COMPLETE") && script.contains(env!("CARGO_BIN_EXE_milvusctl")),
            "{script}"
        );
    }
    machine.milvusctl(&["completions", "tcsh"]).ends_with(2).complains_of(&["tcsh", "bash"]);
}

#[test]
fn a_script_uses_the_bare_program_name_if_it_is_in_path() {
    let machine = Fixture::with_tools(&["milvusctl"]);
    let script = machine.milvusctl(&["completions", "bash"]).ends_with(0).out;
    assert!(script.contains("MILVUSCTL_COMPLETE=bash milvusctl -- "), "{script}");
    assert!(!script.contains(env!("CARGO_BIN_EXE_milvusctl")), "{script}");
}

#[test]
fn the_variable_alone_does_not_affect_ordinary_runs() {
    let machine = Fixture::with_tools(&[]);
    let variables = [("MILVUSCTL_COMPLETE", "bash")];
    let outcome = machine.milvusctl_with(&variables, &["--version"]).ends_with(0);
    assert_eq!(outcome.out, format!("milvusctl {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_unknown_shell_gets_no_answer() {
    let machine = Fixture::with_tools(&[]);
    let outcome =
        machine.milvusctl_with(&[("MILVUSCTL_COMPLETE", "tcsh")], &["--", "milvusctl", ""]).ends_with(0);
    assert_eq!((outcome.out.trim(), outcome.err.as_str()), ("", ""));
}
