use super::*;
use crate::error::{exit_of, hints_of};
use crate::machine::observe::tests::context;
use crate::process::ScriptedRunner;

fn mirrors_of(value: &str) -> Mirrors {
    Mirrors::parse(value).unwrap()
}

const NEW_KIND: &str = "kind v0.33.0 go1.25.1 linux/amd64\n";
const OLD_KIND: &str = "kind v0.17.0 go1.19.2 linux/amd64\n";

/// A machine whose kind answers with `kinds` in turn, and whose other tools are suitable.
fn with_kind(kinds: &[&str]) -> ScriptedRunner {
    let runner = ScriptedRunner::default()
        .answer("helm version --short", "v3.19.0+g3d8990f\n")
        .answer("kubectl version --client --output json", r#"{"clientVersion":{"gitVersion":"v1.32.3"}}"#);
    kinds.iter().fold(runner, |runner, kind| runner.answer("kind version", kind))
}

/// Such a machine, with a node image that an old kind cannot start.
fn with_new_nodes(runner: ScriptedRunner) -> Context {
    let mut context = context(runner);
    context.settings.cluster.node_image = Some("kindest/node:v1.33.1".parse().unwrap());
    context
}

#[test]
fn nothing_is_fetched_if_nothing_is_missing() {
    install_missing_tools(&context(with_kind(&[OLD_KIND])), None).unwrap();
}

#[test]
fn a_tool_in_path_wins_if_its_version_is_suitable() {
    assert_eq!(choose_tools(&with_new_nodes(with_kind(&[NEW_KIND]).with_own("kind"))), []);
}

#[test]
fn a_kind_that_is_too_old_is_replaced_by_our_own() {
    let context = with_new_nodes(with_kind(&[OLD_KIND, NEW_KIND]).with_own("kind"));
    assert_eq!(choose_tools(&context), []);
}

#[test]
fn a_kind_that_is_too_old_is_to_be_fetched_unless_we_have_our_own() {
    let what = "kind 0.17.0 is too old for the node image: 0.27.0 or newer is needed (`/scripted/kind`)";
    let unfit = Unfit { tool: Tool::Kind, what: what.to_owned() };
    assert_eq!(choose_tools(&with_new_nodes(with_kind(&[OLD_KIND]))), std::slice::from_ref(&unfit));
    assert_eq!(
        replacement(&unfit, &mirrors_of("/opt/tools"), Path::new("/home/u/bin")),
        format!("{what}: fetching a replacement from `/opt/tools` into `/home/u/bin`")
    );
}

#[test]
fn docker_is_never_fetched() {
    let context = context(with_kind(&[]).without("docker").without("kind"));
    let error = install_missing_tools(&context, None).unwrap_err();
    assert_eq!(exit_of(&error), Exit::ToolMissing);
    assert!(error.to_string().starts_with("`docker` was not found in PATH"), "{error}");
    assert_eq!(hints_of(&error).len(), 1);
}

#[test]
fn an_existing_cluster_needs_no_engine() {
    let mut context = context(ScriptedRunner::default().without("docker"));
    check_engine(&context).unwrap_err();
    context.settings.cluster.context = Some("minikube".to_owned());
    check_engine(&context).unwrap();
}

#[test]
fn an_existing_cluster_needs_no_kind() {
    let mut context = context(ScriptedRunner::default().without("kind").without("helm"));
    assert_eq!(missing_tools(&context), [Tool::Kind, Tool::Helm]);
    context.settings.cluster.context = Some("minikube".to_owned());
    assert_eq!(missing_tools(&context), [Tool::Helm]);
}

#[test]
fn the_announcement_names_tools_source_and_destination() {
    let dir = Path::new("/home/u/.local/share/milvusctl/bin");
    assert_eq!(
        announcement(&Tool::ALL, &mirrors_of("/opt/tools"), dir),
        "kind, helm and kubectl are not in PATH: fetching from `/opt/tools` into \
         `/home/u/.local/share/milvusctl/bin`"
    );
    assert_eq!(
        announcement(&[Tool::Helm], &mirrors_of(""), dir),
        "helm is not in PATH: fetching from `https://get.helm.sh` into \
         `/home/u/.local/share/milvusctl/bin`"
    );
}

#[test]
fn a_dry_run_prints_how_to_fetch_and_extends_path() {
    assert_eq!(
        dry_run_script(Path::new("/home/a b/bin")),
        "milvusctl doctor --fix\nexport PATH=\"$PATH:\"'/home/a b/bin'"
    );
}

#[test]
fn an_invalid_mirror_is_a_usage_error() {
    let error = mirrors(Some("ftp://x")).unwrap_err();
    assert_eq!(exit_of(&error), Exit::Usage);
    assert_eq!(error.to_string(), "could not read MILVUSCTL_TOOLS_MIRROR");
}

#[test]
fn a_tool_is_fetched_from_a_folder() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::copy(std::env::current_exe().unwrap(), from.path().join("helm")).unwrap();
    let context = context(ScriptedRunner::default());
    let source = ToolSource::Folder(from.path().to_path_buf());
    let installed = fetch(&context, Tool::Helm, to.path(), source).unwrap();
    assert_eq!(installed.path, to.path().join("helm"));
    assert_eq!(outcome(&installed), "Fetched helm (not verified: it has no checksum file)");
}

#[test]
fn a_tool_that_cannot_be_fetched_ends_with_3_and_a_hint() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let context = context(ScriptedRunner::default());
    let source = ToolSource::Folder(from.path().to_path_buf());
    let error = fetch(&context, Tool::Kind, to.path(), source).unwrap_err();
    assert_eq!(exit_of(&error), Exit::ToolMissing);
    let program = from.path().join("kind");
    assert_eq!(hints_of(&error), [format!("copy the program to `{}`", program.display())]);
}

#[test]
fn an_interrupted_fetch_ends_with_130() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::copy(std::env::current_exe().unwrap(), from.path().join("kind")).unwrap();
    let context = context(ScriptedRunner::default());
    context.interrupt.set();
    let source = ToolSource::Folder(from.path().to_path_buf());
    let error = fetch(&context, Tool::Kind, to.path(), source).unwrap_err();
    assert_eq!(exit_of(&error), Exit::Interrupted);
}
