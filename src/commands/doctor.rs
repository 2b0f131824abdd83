//! `doctor`: checks the machine and explains how to fix problems.

use anyhow::Context as _;
use serde::Serialize;

use crate::cli::DoctorArgs;
use crate::context::Context;
use crate::error::Exit;
use crate::machine::Finding;
use crate::machine::check::{exit_for, relevant_findings};
use crate::machine::checklist::checklist;
use crate::machine::groups::{grouped, summary};
use crate::machine::observe::{observe_machine, planned_needs};
use crate::toolbox::Installed;
use crate::toolbox::fetch::{choose_tools, fetch_tools, missing_tools};

#[derive(Serialize)]
struct DoctorAnswer<'a> {
    findings: &'a [Finding],
    ok: bool,
    /// The tools that `--fix` installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    fetched: Option<Vec<Installed>>,
}

/// Checks the machine and prints the findings; `--fix` first downloads missing tools.
///
/// # Errors
/// Fails if the settings are unusable, a tool cannot be downloaded, or the user interrupts.
pub(super) fn run(args: &DoctorArgs, context: &Context) -> anyhow::Result<Exit> {
    if args.fix && context.dry_run {
        context.ui.line("Dry run: not downloading anything");
    }
    let is_fetching = args.fix && !context.dry_run;
    let unfit = choose_tools(context);
    let fetched = is_fetching.then(|| fetch_tools(context, &missing_tools(context), &unfit));
    let step = context.ui.step("Checking the machine");
    let facts = observe_machine(context, true);
    let needs = planned_needs(context, &facts).context("could not list the cluster's nodes")?;
    let found = relevant_findings(&context.settings, &facts, &needs);
    step.vanish();
    context.check_interrupt()?;
    let exit = found.iter().filter_map(exit_for).max().unwrap_or(Exit::Done);
    // Show the findings even if a download failed.
    let (fetched, failed) = match fetched.transpose() {
        Ok(fetched) => (fetched, None),
        Err(error) => (Some(Vec::new()), Some(error)),
    };
    if context.wants_json() {
        context.answer_json(&DoctorAnswer { findings: &found, ok: exit == Exit::Done, fetched })?;
    } else {
        context.ui.data(&checklist(&grouped(&found), context.ui.look(), context.ui.width()));
        context.ui.line(&format!("\n{}", summary(&found, args.fix)));
    }
    failed.map_or(Ok(exit), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_stable_fields() {
        let answer =
            |fetched| serde_json::to_value(DoctorAnswer { findings: &[], ok: true, fetched }).unwrap();
        assert_eq!(answer(None), serde_json::json!({"findings": [], "ok": true}));
        assert_eq!(answer(Some(Vec::new())), serde_json::json!({"findings": [], "ok": true, "fetched": []}));
    }
}
