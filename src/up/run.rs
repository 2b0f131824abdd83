//! Carries the steps out one after the other, or prints them as a script that works when it is pasted.

use std::time::Instant;

use super::plan::{Action, Remark, Step};
use super::work::{Progress, StepName, StepOutcome, StepReport};
use crate::context::Context;

/// Carries out `steps`, and notes in `progress` what came of each.
///
/// # Errors
/// Fails with the first step that does, and when the user interrupts.
pub(super) fn run(context: &Context, steps: &[Step], progress: &mut Progress) -> anyhow::Result<()> {
    for Step { name, action } in steps {
        context.check_interrupt()?;
        let started = Instant::now();
        let outcome = match action {
            Action::Run(work) => {
                // Images may take as long as they get further, which depends on the line.
                let has_deadline = *name != StepName::Images;
                let _lift = has_deadline.then(|| context.deadline.set(context.settings.up.timeout));
                work.run(context, progress)?
            }
            Action::Unchanged(said) => {
                if let Some(line) = said {
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
        progress.steps.push(StepReport { name: *name, outcome, seconds });
    }
    Ok(())
}

/// The commands of `steps` as a shell script.
///
/// # Errors
/// Fails when a document cannot be rendered.
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
