//! Runs the steps in order, or prints them as a script that can be pasted.

use std::time::Instant;

use super::plan::{Action, Remark, Step};
use super::work::{Progress, StepName, StepOutcome, StepReport};
use crate::context::Context;

/// Runs `steps` and records each outcome in `progress`.
///
/// # Errors
/// Returns the first failed step's error; also fails if the user interrupts.
pub(super) fn run(context: &Context, steps: &[Step], progress: &mut Progress) -> anyhow::Result<()> {
    for Step { name, version, action } in steps {
        context.check_interrupt()?;
        let started = Instant::now();
        let outcome = match action {
            Action::Run(work) => {
                // Image downloads depend on the connection, so they may take as long as they make progress.
                let has_deadline = *name != StepName::Images;
                let _lift = has_deadline.then(|| context.deadline.set(context.settings.up.timeout));
                work.run(context, progress)?
            }
            Action::Unchanged(line) => {
                if let Some(line) = line {
                    context.ui.step("").unchanged(line);
                }
                StepOutcome::Unchanged
            }
            Action::Skip(remark) => {
                match remark {
                    Some(Remark::Line(line)) => context.ui.line(line),
                    Some(Remark::Warning(warning)) => context.ui.warn(warning),
                    Some(Remark::LeftOut(line)) => {
                        context.ui.line(line);
                        progress.is_partial = true;
                    }
                    None => {}
                }
                StepOutcome::Skipped
            }
        };
        let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        progress.steps.push(StepReport { name: *name, version: version.clone(), outcome, seconds });
    }
    Ok(())
}

/// Renders the commands of `steps` as a shell script.
///
/// # Errors
/// Fails if a document cannot be rendered.
pub(super) fn script(context: &Context, steps: &[Step]) -> anyhow::Result<String> {
    let mut parts = vec!["#!/bin/sh\nset -eu".to_owned()];
    for step in steps {
        if let Action::Run(work) = &step.action {
            let script = work.script(context)?;
            parts.extend(Some(script).filter(|script| !script.is_empty()));
        }
    }
    Ok(parts.join("\n\n"))
}
