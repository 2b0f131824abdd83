//! Fetches the tools that PATH lacks into milvusctl's own folder, and says so before it does.
//!
//! Docker is never fetched: it needs root rights, and a choice that is the user's.

use std::path::Path;

use anyhow::Context as _;

use crate::context::Context;
use crate::error::{Exit, Note, advised, failure};
use crate::process::ExecError;
use crate::toolbox::{self, Checked, FetchError, Installed, Mirrors, Progress, Request, Source, Tool};
use crate::ui::Transfer;

/// The variable that names a mirror or a folder to fetch tools from.
const MIRROR_VARIABLE: &str = "MILVUSCTL_TOOLS_MIRROR";

/// Fetches those of the tools that `up` drives which are not installed; does nothing when all are.
///
/// A dry run prints how to fetch them instead.
///
/// # Errors
/// Fails with [`Exit::ToolMissing`] when `docker` is missing, before anything is fetched, and when a tool cannot
/// be fetched; with [`Exit::Usage`] when `MILVUSCTL_TOOLS_MIRROR` cannot be read.
pub(crate) fn install_missing_tools(context: &Context) -> anyhow::Result<()> {
    let missing = missing_tools(context);
    if missing.is_empty() {
        return Ok(());
    }
    // What is fetched is of no use without an engine.
    if !context.tools.absent(&["docker"]).is_empty() {
        return Err(ExecError::NotFound { program: "docker".to_owned() }.into());
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
    let dir = toolbox::bin_dir().map_err(fetch_failure)?;
    if context.dry_run {
        context.ui.data(&dry_run_script(&dir));
        return Ok(Vec::new());
    }
    let mirrors = mirrors(std::env::var(MIRROR_VARIABLE).ok().as_deref())?;
    context.ui.line(&announcement(tools, &dir));
    tools.iter().map(|tool| fetch(context, *tool, &dir, mirrors.source(*tool))).collect()
}

fn mirrors(value: Option<&str>) -> anyhow::Result<Mirrors> {
    Mirrors::parse(value.unwrap_or_default())
        .with_context(|| format!("could not read {MIRROR_VARIABLE}"))
        .exit(Exit::Usage)
}

/// What is said before anything is fetched.
fn announcement(tools: &[Tool], dir: &Path) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
    let (last, rest) = names.split_last().unwrap_or((&"", &[]));
    let names = if rest.is_empty() { (*last).to_owned() } else { format!("{} and {last}", rest.join(", ")) };
    let verb = if rest.is_empty() { "is" } else { "are" };
    format!("{names} {verb} not in PATH: fetching into `{}`", dir.display())
}

/// What a pasted script does in place of fetching.
fn dry_run_script(dir: &Path) -> String {
    let dir = crate::process::quote(&dir.display().to_string());
    format!("milvusctl doctor --fix\nexport PATH=\"$PATH:\"{dir}")
}

fn fetch(context: &Context, tool: Tool, dir: &Path, source: Source) -> anyhow::Result<Installed> {
    let request = Request::new(tool, dir, source).map_err(fetch_failure)?;
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
            Err(fetch_failure(error))
        }
    }
}

/// Returns the tool with its version, unless it comes from a folder, where any version may be.
fn described(request: &Request) -> String {
    match &request.source {
        Source::Official => format!("{} {}", request.tool, request.version),
        Source::Mirror(base) => format!("{} {} from `{base}`", request.tool, request.version),
        Source::Folder(folder) => format!("{} from `{}`", request.tool, folder.display()),
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
        Progress::Fetching { received, total } => transfer.at(*received, *total),
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
fn fetch_failure(error: FetchError) -> anyhow::Error {
    if matches!(error, FetchError::Interrupted { .. }) {
        return failure(Exit::Interrupted, error.to_string());
    }
    let noted = failure(Exit::ToolMissing, error.to_string());
    match error.hint() {
        Some(hint) => advised(noted, hint),
        None => noted,
    }
}
