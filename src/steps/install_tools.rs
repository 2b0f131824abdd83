//! Fetches the tools that PATH lacks into milvusctl's own folder, and says so before it does.
//!
//! Docker is never fetched: it needs root rights, and a choice that is the user's.

use std::path::Path;

use anyhow::Context as _;

use crate::context::Context;
use crate::error::{Exit, Note, advised, failure};
use crate::steps::check_machine::check_engine;
use crate::toolbox::{self, Checked, FetchError, Installed, Mirrors, Progress, Request, Source, Tool};
use crate::ui::Transfer;

/// The variable that names a mirror or a folder to fetch tools from.
const MIRROR_VARIABLE: &str = "MILVUSCTL_TOOLS_MIRROR";

/// Fetches those of the tools that `up` drives which are not installed; does nothing when all are.
///
/// A dry run prints how to fetch them instead.
///
/// # Errors
/// Fails with [`Exit::ToolMissing`] when there is no engine or it does not run, before anything is fetched, and
/// when a tool cannot be fetched; with [`Exit::Usage`] when `MILVUSCTL_TOOLS_MIRROR` cannot be read.
pub(crate) fn install_missing_tools(context: &Context) -> anyhow::Result<()> {
    let missing = missing_tools(context);
    if missing.is_empty() {
        return Ok(());
    }
    // What is fetched is of no use without an engine, and the download may be long.
    check_engine(context)?;
    if context.dry_run {
        context.ui.data(&dry_run_script(&toolbox::bin_dir().map_err(|error| fetch_failure(&error))?));
        return Ok(());
    }
    fetch_tools(context, &missing).map(drop)
}

/// Returns the tools that are in neither PATH nor milvusctl's own folder; an existing cluster needs no kind.
pub(crate) fn missing_tools(context: &Context) -> Vec<Tool> {
    let is_needed = |tool: &Tool| *tool != Tool::Kind || context.settings.cluster.context.is_none();
    let runner = context.tools.runner();
    Tool::ALL.into_iter().filter(is_needed).filter(|tool| runner.locate(tool.name()).is_none()).collect()
}

/// Fetches `tools` into milvusctl's own folder, one after the other, with progress.
///
/// # Errors
/// As [`install_missing_tools`], with [`Exit::Interrupted`] when the user interrupts.
pub(crate) fn fetch_tools(context: &Context, tools: &[Tool]) -> anyhow::Result<Vec<Installed>> {
    if tools.is_empty() {
        return Ok(Vec::new());
    }
    let dir = toolbox::bin_dir().map_err(|error| fetch_failure(&error))?;
    let mirrors = mirrors(std::env::var(MIRROR_VARIABLE).ok().as_deref())?;
    context.ui.line(&announcement(tools, &mirrors, &dir));
    tools.iter().map(|tool| fetch(context, *tool, &dir, mirrors.source(*tool))).collect()
}

fn mirrors(value: Option<&str>) -> anyhow::Result<Mirrors> {
    Mirrors::parse(value.unwrap_or_default())
        .with_context(|| format!("could not read {MIRROR_VARIABLE}"))
        .exit(Exit::Usage)
}

/// What is said before anything is fetched: what, why, from where and to where.
fn announcement(tools: &[Tool], mirrors: &Mirrors, dir: &Path) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
    let (last, rest) = names.split_last().unwrap_or((&"", &[]));
    let (names, verb) = match rest {
        [] => ((*last).to_owned(), "is"),
        rest => (format!("{} and {last}", rest.join(", ")), "are"),
    };
    let mut places: Vec<String> = tools.iter().map(|tool| place(&mirrors.source(*tool), *tool)).collect();
    places.dedup();
    format!("{names} {verb} not in PATH: fetching from {} into `{}`", places.join(", "), dir.display())
}

fn place(source: &Source, tool: Tool) -> String {
    match source {
        Source::Official => format!("`{}`", tool.official_base()),
        Source::Mirror(base) => format!("`{base}`"),
        Source::Folder(folder) => format!("`{}`", folder.display()),
    }
}

/// What a pasted script does in place of fetching.
fn dry_run_script(dir: &Path) -> String {
    let dir = crate::process::quote(&dir.display().to_string());
    format!("milvusctl doctor --fix\nexport PATH=\"$PATH:\"{dir}")
}

fn fetch(context: &Context, tool: Tool, dir: &Path, source: Source) -> anyhow::Result<Installed> {
    let request = Request::new(tool, dir, source).map_err(|error| fetch_failure(&error))?;
    let transfer = context.ui.transfer(&format!("Fetching {}", described(&request)));
    let mut moved = None;
    let mut on_progress = |progress: Progress| {
        if let Progress::Fetching { received, .. } = progress {
            moved = Some(received);
        }
        show(context, &transfer, tool, &progress);
    };
    match toolbox::fetch(&request, &mut on_progress, context.interrupt.flag()) {
        Ok(installed) => {
            transfer.done(&outcome(&installed), moved.filter(|_| !installed.unchanged));
            Ok(installed)
        }
        Err(error) => {
            transfer.failed(&format!("Fetching {}", described(&request)));
            Err(fetch_failure(&error))
        }
    }
}

/// Returns the tool with its version, unless it comes from a folder, where any version may be.
fn described(request: &Request) -> String {
    match &request.source {
        Source::Official | Source::Mirror(_) => format!("{} {}", request.tool, request.version),
        Source::Folder(_) => request.tool.to_string(),
    }
}

fn show(context: &Context, transfer: &Transfer, tool: Tool, progress: &Progress) {
    match progress {
        Progress::Waiting => transfer.says("(another run is at it)"),
        Progress::Retrying { why, after } => {
            let after = crate::ui::seconds(*after);
            context.ui.line(&format!("  {tool}: {why}; trying again in {after}"));
        }
        Progress::Checking => transfer.says("(checking)"),
        Progress::Unpacking => transfer.says("(unpacking)"),
        Progress::Fetching { received, total } => {
            transfer.says("");
            transfer.at(*received, *total);
        }
    }
}

fn outcome(installed: &Installed) -> String {
    let tool = installed.tool;
    let version = installed.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    if installed.unchanged {
        return format!("{tool}{version} is in place");
    }
    match &installed.checked {
        Checked::Against(_) => format!("Fetched {tool}{version}, its checksum is right"),
        Checked::Trusted => format!("Fetched {tool}{version}, unchecked: no checksum lies beside it"),
    }
}

/// Gives a failed fetch its exit code and its way out.
fn fetch_failure(error: &FetchError) -> anyhow::Error {
    if matches!(error, FetchError::Interrupted { .. }) {
        return failure(Exit::Interrupted, error.to_string());
    }
    let noted = failure(Exit::ToolMissing, error.to_string());
    match error.hint() {
        Some(hint) => advised(noted, hint),
        None => noted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{exit_of, hints_of};
    use crate::process::ScriptedRunner;
    use crate::steps::observe_machine::tests::context;

    fn mirrors_of(value: &str) -> Mirrors {
        Mirrors::parse(value).unwrap()
    }

    #[test]
    fn nothing_is_fetched_where_nothing_is_missing() {
        install_missing_tools(&context(ScriptedRunner::default())).unwrap();
    }

    #[test]
    fn docker_is_never_fetched() {
        let context = context(ScriptedRunner::default().without("docker").without("kind"));
        let error = install_missing_tools(&context).unwrap_err();
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
    fn what_is_fetched_is_said_with_where_from_and_where_to() {
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
    fn a_dry_run_says_how_to_fetch_and_where_it_lands() {
        assert_eq!(
            dry_run_script(Path::new("/home/a b/bin")),
            "milvusctl doctor --fix\nexport PATH=\"$PATH:\"'/home/a b/bin'"
        );
    }

    #[test]
    fn a_mirror_that_cannot_be_read_is_a_usage_error() {
        let error = mirrors(Some("ftp://x")).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Usage);
        assert_eq!(error.to_string(), "could not read MILVUSCTL_TOOLS_MIRROR");
    }

    #[test]
    fn a_tool_is_fetched_from_a_folder() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::copy(std::env::current_exe().unwrap(), from.path().join("helm")).unwrap();
        let context = context(ScriptedRunner::default());
        let source = Source::Folder(from.path().to_path_buf());
        let installed = fetch(&context, Tool::Helm, to.path(), source).unwrap();
        assert_eq!(installed.path, to.path().join("helm"));
        assert_eq!(outcome(&installed), "Fetched helm, unchecked: no checksum lies beside it");
    }

    #[test]
    fn a_tool_that_cannot_be_had_ends_with_3_and_a_way_out() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let context = context(ScriptedRunner::default());
        let source = Source::Folder(from.path().to_path_buf());
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
        let source = Source::Folder(from.path().to_path_buf());
        let error = fetch(&context, Tool::Kind, to.path(), source).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Interrupted);
    }
}
