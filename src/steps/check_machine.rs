//! Decides from what was found whether `up` may begin, and says what stands in its way.

use crate::context::Context;
use crate::error::{Exit, advised, failure};
use crate::machine::{Finding, Level, MachineFacts, Needs, findings};
use crate::settings::Settings;
use crate::ui::count;

/// Stops before anything is created when a tool, the engine or a port is not as a cluster needs it.
///
/// What only may go wrong is said in a warning, and the rest is left to `doctor`.
///
/// # Errors
/// Fails with [`Exit::ToolMissing`] or [`Exit::Usage`], listing everything that is in the way.
pub(crate) fn check_machine(context: &Context, facts: &MachineFacts, needs: &Needs) -> anyhow::Result<()> {
    context.check_interrupt()?;
    let found = relevant_findings(&context.settings, facts, needs);
    if let Some(error) = obstacles(&found) {
        return Err(error);
    }
    for finding in found.iter().filter(|finding| finding.level == Level::Fail) {
        context.ui.warn(&warning(finding));
    }
    let doubts: Vec<&Finding> = found.iter().filter(|finding| finding.level == Level::Warn).collect();
    for finding in &doubts {
        context.ui.verbose(&format!("{}: {}", finding.id, warning(finding)));
    }
    if !doubts.is_empty() {
        let bullet = context.ui.look().bullet();
        let warnings = count(doubts.len(), "warning");
        context.ui.line(&format!("{bullet} The machine will do, with {warnings}: see `milvusctl doctor`"));
    }
    Ok(())
}

/// Returns the findings that concern the cluster of `settings`: an existing one needs neither kind nor ports.
pub(crate) fn relevant_findings(settings: &Settings, facts: &MachineFacts, needs: &Needs) -> Vec<Finding> {
    let is_existing = settings.cluster.context.is_some();
    let pushes = settings.mirror.push.is_some();
    let concerns = |finding: &Finding| match finding.id {
        "tool_kubectl" | "tool_helm" | "kubeconfig" | "proxy" | "registry" => true,
        id if is_existing => pushes && id.starts_with("engine"),
        _ => true,
    };
    findings(facts, needs).into_iter().filter(concerns).collect()
}

/// Returns the code with which a run ends because of a finding; `None` when it is no failure.
pub(crate) fn exit_for(finding: &Finding) -> Option<Exit> {
    match (finding.level, finding.exit) {
        (Level::Fail, Some(3)) => Some(Exit::ToolMissing),
        (Level::Fail, Some(2)) => Some(Exit::Usage),
        (Level::Fail, _) => Some(Exit::Failed),
        _ => None,
    }
}

/// Returns one error for everything that keeps a cluster from being created.
fn obstacles(found: &[Finding]) -> Option<anyhow::Error> {
    let stopping: Vec<(Exit, &Finding)> = found
        .iter()
        .filter_map(|finding| Some((exit_for(finding)?, finding)))
        .filter(|(exit, _)| *exit > Exit::Failed)
        .collect();
    let exit = stopping.iter().map(|(exit, _)| *exit).max()?;
    let message = match stopping.as_slice() {
        [(_, finding)] => explained(finding),
        many => {
            let lines: String = many.iter().map(|(_, finding)| format!("\n{}", explained(finding))).collect();
            format!("{} stand in the way of a cluster{lines}", count(many.len(), "thing"))
        }
    };
    let hints: Vec<String> = stopping.iter().flat_map(|(_, finding)| hints(finding)).collect();
    // The note that is put on last is shown first.
    Some(hints.into_iter().rev().fold(failure(exit, message), advised))
}

fn explained(finding: &Finding) -> String {
    match &finding.why {
        Some(why) => format!("{} ({why})", finding.what),
        None => finding.what.clone(),
    }
}

/// Returns what to do about a finding, a line for each thing, its commands last.
fn hints(finding: &Finding) -> Vec<String> {
    let mut hints = finding.fix.clone();
    if !finding.commands.is_empty() {
        let commands: Vec<String> = finding.commands.iter().map(|command| format!("`{command}`")).collect();
        hints.push(format!("run {}", commands.join(", then ")));
    }
    hints
}

fn warning(finding: &Finding) -> String {
    match finding.fix.first() {
        Some(fix) => format!("{}; {fix}", finding.what),
        None => finding.what.clone(),
    }
}
