//! `doctor`: checks the machine, and says what to do about what is wrong.

use anyhow::Context as _;
use serde::Serialize;

use crate::cli::DoctorArgs;
use crate::context::Context;
use crate::error::Exit;
use crate::machine::check::{exit_for, relevant_findings};
use crate::machine::checklist::checklist;
use crate::machine::observe::{observe_machine, planned_needs};
use crate::machine::{Finding, Level};
use crate::toolbox::Installed;
use crate::toolbox::fetch::{choose_tools, fetch_tools, missing_tools};
use crate::ui::count;

#[derive(Serialize)]
struct Answer<'a> {
    findings: &'a [Finding],
    ok: bool,
    /// With `--fix`, the tools that are in place now and were not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    fetched: Option<Vec<Installed>>,
}

/// Checks the machine and prints what was found; with `--fix` fetches what is missing first.
///
/// # Errors
/// Fails when the settings cannot be used, when a tool cannot be fetched, and when the user interrupts.
pub(super) fn run(args: &DoctorArgs, context: &Context) -> anyhow::Result<Exit> {
    if args.fix && context.dry_run {
        context.ui.line("Dry run: not downloading anything");
    }
    let is_fetching = args.fix && !context.dry_run;
    let unfit = choose_tools(context);
    let fetched = is_fetching.then(|| fetch_tools(context, &missing_tools(context), &unfit));
    let step = context.ui.step("Checking the machine");
    let facts = observe_machine(context, true);
    let needs = planned_needs(context, &facts).context("could not ask the engine for the cluster's nodes")?;
    let found = relevant_findings(&context.settings, &facts, &needs);
    step.vanish();
    context.check_interrupt()?;
    let exit = found.iter().filter_map(exit_for).max().unwrap_or(Exit::Done);
    // What could not be fetched is no reason to keep the rest back.
    let (fetched, failed) = match fetched.transpose() {
        Ok(fetched) => (fetched, None),
        Err(error) => (Some(Vec::new()), Some(error)),
    };
    if context.wants_json() {
        context.answer_json(&Answer { findings: &found, ok: exit == Exit::Done, fetched })?;
    } else {
        context.ui.data(&checklist(&grouped(&found), context.ui.look(), context.ui.width()));
        context.ui.line(&format!("\n{}", summary(&found, args.fix)));
    }
    failed.map_or(Ok(exit), Err)
}

/// Puts findings under titles, in the order in which they came.
fn grouped(found: &[Finding]) -> Vec<(&'static str, Vec<&Finding>)> {
    let titles = ["Tools", "Engine", "Machine", "Ports", "Network", "Kubeconfig"];
    let of = |title: &str| found.iter().filter(|finding| title_of(finding.id) == title).collect();
    titles.into_iter().map(|title| (title, of(title))).collect()
}

fn title_of(id: &str) -> &'static str {
    match id {
        "port" => "Ports",
        "proxy" | "registry" => "Network",
        "kubeconfig" => "Kubeconfig",
        id if id.starts_with("tool_") => "Tools",
        id if id.starts_with("engine") => "Engine",
        _ => "Machine",
    }
}

fn summary(found: &[Finding], fixed: bool) -> String {
    let number = |level: Level| found.iter().filter(|finding| finding.level == level).count();
    let (problems, warnings) = (number(Level::Fail), number(Level::Warn));
    let said = match (problems, warnings) {
        (0, 0) => return "Ready; run `milvusctl up`".to_owned(),
        (0, _) => format!("{}; you can run `milvusctl up`", count(warnings, "warning")),
        (_, 0) => count(problems, "problem"),
        (_, _) => format!("{} and {}", count(problems, "problem"), count(warnings, "warning")),
    };
    let has_commands = found.iter().any(|finding| finding.level > Level::Ok && !finding.commands.is_empty());
    if fixed && has_commands {
        return format!("{said}; run the commands after `$` yourself");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: &'static str, level: Level, commands: &[&str]) -> Finding {
        let commands = commands.iter().map(|command| (*command).to_owned()).collect();
        let exit = (level == Level::Fail).then_some(1);
        let (subject, why, fix) = (None, None, Vec::new());
        Finding { id, subject, level, what: id.to_owned(), why, fix, commands, exit }
    }

    #[test]
    fn every_finding_has_a_place_in_order() {
        let ids = ["tool_kind", "engine_snap", "memory", "cgroup", "port", "registry", "proxy", "kubeconfig"];
        let found: Vec<Finding> = ids.into_iter().map(|id| finding(id, Level::Ok, &[])).collect();
        let groups = grouped(&found);
        let shown: Vec<(&str, Vec<&str>)> = groups
            .iter()
            .map(|(title, found)| (*title, found.iter().map(|finding| finding.id).collect()))
            .collect();
        assert_eq!(
            shown,
            [
                ("Tools", vec!["tool_kind"]),
                ("Engine", vec!["engine_snap"]),
                ("Machine", vec!["memory", "cgroup"]),
                ("Ports", vec!["port"]),
                ("Network", vec!["registry", "proxy"]),
                ("Kubeconfig", vec!["kubeconfig"]),
            ]
        );
    }

    #[test]
    fn the_summary_counts_and_leads_on() {
        let well = finding("memory", Level::Ok, &["x"]);
        let doubt = finding("cpus", Level::Warn, &[]);
        let bad = finding("inotify", Level::Fail, &["sudo sysctl"]);
        let rows = [
            (vec![well.clone()], "Ready; run `milvusctl up`"),
            (vec![well, doubt.clone()], "1 warning; you can run `milvusctl up`"),
            (vec![bad.clone()], "1 problem"),
            (vec![doubt, bad.clone()], "1 problem and 1 warning"),
        ];
        for (found, text) in rows {
            assert_eq!(summary(&found, false), text);
        }
        assert_eq!(summary(&[bad], true), "1 problem; run the commands after `$` yourself");
    }

    #[test]
    fn the_answer_has_stable_fields() {
        let answer = |fetched| serde_json::to_value(Answer { findings: &[], ok: true, fetched }).unwrap();
        assert_eq!(answer(None), serde_json::json!({"findings": [], "ok": true}));
        assert_eq!(answer(Some(Vec::new())), serde_json::json!({"findings": [], "ok": true, "fetched": []}));
    }
}
