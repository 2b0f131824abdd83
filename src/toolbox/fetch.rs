//! Fetches tools that are missing from PATH or too old there into milvusctl's own folder, and says so first.
//!
//! A suitable tool in PATH wins; otherwise milvusctl's own is used, and PATH stays unchanged. Docker is never
//! fetched: it needs root, and the choice is the user's.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use etcetera::BaseStrategy as _;

use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::machine::check::{check_engine, relevant_findings};
use crate::machine::observe::{needs_beside, observe_tools};
use crate::machine::{Level, MachineFacts};
use crate::net::{Network, VARIABLE_HINT};
use crate::text::without_logins;
use crate::toolbox::{
    self, Checked, FetchError, FetchProgress, HostPlatform, Installed, Mirrors, ReleaseFile, Tool,
    ToolRequest, ToolSource,
};
use crate::ui::Transfer;

/// The variable that names a mirror or a folder to fetch tools from.
const MIRROR_VARIABLE: &str = "MILVUSCTL_TOOLS_MIRROR";

/// An installed tool that is not suitable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) tool: Tool,
    /// What is wrong with it, and where it is.
    what: String,
}

/// Fetches the tools `up` needs that are missing or unsuitable, if any.
///
/// A dry run prints how to fetch them instead. With a bundle they come from there.
///
/// # Errors
/// Fails with [`Exit::ToolMissing`] if there is no running engine, before fetching anything, or if a tool
/// cannot be fetched; with [`Exit::Usage`] if `MILVUSCTL_TOOLS_MIRROR` is invalid.
pub(crate) fn install_missing_tools(context: &Context, bundled: Option<&Bundled<'_>>) -> anyhow::Result<()> {
    let missing = missing_tools(context);
    let unfit = choose_tools(context);
    if missing.is_empty() && (unfit.is_empty() || context.dry_run) {
        return Ok(());
    }
    // The tools are useless without an engine, and the download may be long.
    check_engine(context)?;
    if context.dry_run {
        context.ui.document(&dry_run_script(&toolbox::bin_dir().map_err(|error| fetch_failure(&error))?));
        return Ok(());
    }
    let Some(bundled) = bundled else { return fetch_tools(context, &missing, &unfit).map(drop) };
    let dir = toolbox::bin_dir().map_err(|error| fetch_failure(&error))?;
    let tools: Vec<Tool> = missing.iter().copied().chain(unfit.iter().map(|unfit| unfit.tool)).collect();
    let names: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
    context.ui.line(&format!("Taking {} from the bundle into `{}`", names.join(", "), dir.display()));
    let mirrors = Mirrors::folder(&(bundled.extract)(&tools)?);
    fetch_from(context, &tools, &unfit, &mirrors, &dir).map(drop)
}

/// The tools in a bundle.
pub(crate) struct Bundled<'a> {
    /// Writes the requested tools into a folder, and returns its path.
    pub(crate) extract: &'a dyn Fn(&[Tool]) -> anyhow::Result<PathBuf>,
}

/// Prefers milvusctl's own tools over unsuitable ones in PATH; returns the tools that remain unsuitable.
pub(crate) fn choose_tools(context: &Context) -> Vec<Unfit> {
    let unfit = unfit_tools(context);
    let runner = context.tools.runner();
    let replaced: Vec<Unfit> =
        unfit.iter().filter(|unfit| runner.prefer_own(unfit.tool.name())).cloned().collect();
    if replaced.is_empty() {
        return unfit;
    }
    // Our own may be too old as well.
    let still = unfit_tools(context);
    for unfit in replaced.iter().filter(|one| still.iter().all(|other| other.tool != one.tool)) {
        context.ui.line(&format!("{}: using milvusctl's own {} instead", unfit.what, unfit.tool));
    }
    still
}

/// Returns the installed tools that cannot create a cluster with these settings.
fn unfit_tools(context: &Context) -> Vec<Unfit> {
    let facts = MachineFacts { tools: observe_tools(context), ..MachineFacts::default() };
    let found = relevant_findings(&context.settings, &facts, &needs_beside(context, &[]));
    let fault = |tool: Tool| {
        let is_there = facts.tools.iter().any(|known| known.name == tool.name() && known.path.is_some());
        let id = format!("tool_{tool}");
        let finding = found.iter().find(|finding| finding.id == id && finding.level == Level::Fail)?;
        is_there.then(|| Unfit { tool, what: finding.what.clone() })
    };
    Tool::ALL.into_iter().filter_map(fault).collect()
}

/// Returns the tools found in neither PATH nor milvusctl's own folder. An existing cluster does not need
/// kind.
pub(crate) fn missing_tools(context: &Context) -> Vec<Tool> {
    let is_needed = |tool: &Tool| *tool != Tool::Kind || context.settings.cluster.context.is_none();
    let runner = context.tools.runner();
    Tool::ALL.into_iter().filter(is_needed).filter(|tool| runner.locate(tool.name()).is_none()).collect()
}

/// Fetches tools into milvusctl's own folder, one after the other, with progress. From then on they replace
/// those in `unfit`.
///
/// # Errors
/// Fails as [`install_missing_tools`] does, and with [`Exit::Interrupted`] if the user interrupts.
pub(crate) fn fetch_tools(
    context: &Context,
    missing: &[Tool],
    unfit: &[Unfit],
) -> anyhow::Result<Vec<Installed>> {
    if missing.is_empty() && unfit.is_empty() {
        return Ok(Vec::new());
    }
    let dir = toolbox::bin_dir().map_err(|error| fetch_failure(&error))?;
    let mirrors = mirrors(std::env::var(MIRROR_VARIABLE).ok().as_deref())?;
    if !missing.is_empty() {
        context.ui.line(&announcement(missing, &mirrors, &dir));
    }
    for unfit in unfit {
        context.ui.line(&replacement(unfit, &mirrors, &dir));
    }
    let tools: Vec<Tool> = missing.iter().copied().chain(unfit.iter().map(|unfit| unfit.tool)).collect();
    fetch_from(context, &tools, unfit, &mirrors, &dir)
}

fn fetch_from(
    context: &Context,
    tools: &[Tool],
    unfit: &[Unfit],
    mirrors: &Mirrors,
    dir: &Path,
) -> anyhow::Result<Vec<Installed>> {
    let fetched = tools.iter().map(|tool| fetch(context, *tool, dir, mirrors.source(*tool))).collect();
    for unfit in unfit {
        context.tools.runner().prefer_own(unfit.tool.name());
    }
    fetched
}

/// Gets the release files of all tools for `platform` from the configured source, and keeps downloads in the
/// user's cache.
///
/// # Errors
/// Fails as [`install_missing_tools`] does.
pub(crate) fn release_files(
    context: &Context,
    platform: HostPlatform,
) -> anyhow::Result<Vec<(Tool, ReleaseFile)>> {
    let mirrors = mirrors(std::env::var(MIRROR_VARIABLE).ok().as_deref())?;
    let folders = etcetera::choose_base_strategy()?;
    let dir = folders.cache_dir().join("milvusctl/tools");
    let get = |tool: Tool| {
        let request = ToolRequest::for_platform(tool, platform, &dir, mirrors.source(tool));
        let network = network_for(&request.source)?;
        let transfer = context.ui.transfer(&format!("Getting {} for {platform}", described(&request)));
        let mut on_progress = |progress: FetchProgress| show(context, &transfer, tool, &progress);
        match toolbox::release_file(&request, &network, &mut on_progress, context.interrupt.flag()) {
            Ok(release) => {
                transfer.done(&format!("Got {} for {platform}", described(&request)), None);
                Ok((tool, release))
            }
            Err(error) => {
                transfer.failed(&format!("Getting {} for {platform}", described(&request)));
                Err(fetch_failure(&error).into())
            }
        }
    };
    Tool::ALL.into_iter().map(get).collect()
}

/// Network settings, if `source` needs any.
fn network_for(source: &ToolSource) -> anyhow::Result<Network> {
    match source {
        ToolSource::Folder(_) => Ok(Network::default()),
        ToolSource::Official | ToolSource::Mirror(_) => Network::of_this_machine()
            .map_err(|why| Failure::new(Exit::Failed, why).hint(VARIABLE_HINT).into()),
    }
}

fn mirrors(value: Option<&str>) -> anyhow::Result<Mirrors> {
    Mirrors::parse(value.unwrap_or_default())
        .with_context(|| format!("could not read {MIRROR_VARIABLE}"))
        .exit(Exit::Usage)
}

/// The announcement before fetching: what, why, from where and to where.
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

/// The announcement before replacing an unsuitable tool.
fn replacement(unfit: &Unfit, mirrors: &Mirrors, dir: &Path) -> String {
    let Unfit { tool, what } = unfit;
    let place = place(&mirrors.source(*tool), *tool);
    format!("{what}: fetching a replacement from {place} into `{}`", dir.display())
}

fn place(source: &ToolSource, tool: Tool) -> String {
    match source {
        ToolSource::Official => format!("`{}`", tool.official_base()),
        ToolSource::Mirror(base) => format!("`{}`", without_logins(base)),
        ToolSource::Folder(folder) => format!("`{}`", folder.display()),
    }
}

/// The commands for a dry run, instead of fetching.
fn dry_run_script(dir: &Path) -> String {
    let dir = crate::process::quote(&dir.display().to_string());
    format!("milvusctl doctor --fix\nexport PATH=\"$PATH:\"{dir}")
}

fn fetch(context: &Context, tool: Tool, dir: &Path, source: ToolSource) -> anyhow::Result<Installed> {
    let request = ToolRequest::new(tool, dir, source).map_err(|error| fetch_failure(&error))?;
    let network = network_for(&request.source)?;
    let transfer = context.ui.transfer(&format!("Fetching {}", described(&request)));
    let mut moved = None;
    let mut on_progress = |progress: FetchProgress| {
        if let FetchProgress::Fetching { received, .. } = progress {
            moved = Some(received);
        }
        show(context, &transfer, tool, &progress);
    };
    match toolbox::fetch(&request, &network, &mut on_progress, context.interrupt.flag()) {
        Ok(installed) => {
            transfer.done(&outcome(&installed), moved.filter(|_| !installed.unchanged));
            Ok(installed)
        }
        Err(error) => {
            transfer.failed(&format!("Fetching {}", described(&request)));
            Err(fetch_failure(&error).into())
        }
    }
}

/// Returns the tool with its version, unless it comes from a folder, which may have any version.
fn described(request: &ToolRequest) -> String {
    match &request.source {
        ToolSource::Official | ToolSource::Mirror(_) => format!("{} {}", request.tool, request.version),
        ToolSource::Folder(_) => request.tool.to_string(),
    }
}

fn show(context: &Context, transfer: &Transfer, tool: Tool, progress: &FetchProgress) {
    match progress {
        FetchProgress::Waiting => transfer.says("(waiting for another run)"),
        FetchProgress::Retrying { why, after } => {
            let after = crate::ui::seconds(*after);
            context.ui.line(&format!("  {tool}: {why}; trying again in {after}"));
        }
        FetchProgress::Checking => transfer.says("(checking)"),
        FetchProgress::Unpacking => transfer.says("(unpacking)"),
        FetchProgress::Fetching { received, total } => {
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
        Checked::Pinned => format!("Fetched {tool}{version} (checksum verified)"),
        Checked::Against(file) => format!("Fetched {tool}{version} (matches `{file}`)"),
        Checked::Trusted => {
            format!("Fetched {tool}{version} (not verified: it has no checksum file)")
        }
    }
}

/// Adds the exit code and a hint to a failed fetch.
fn fetch_failure(error: &FetchError) -> Failure {
    if matches!(error, FetchError::Interrupted { .. }) {
        return Failure::new(Exit::Interrupted, error.to_string());
    }
    Failure::new(Exit::ToolMissing, error.to_string()).hints(error.hint())
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
