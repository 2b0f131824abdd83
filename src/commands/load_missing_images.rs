//! `load-missing-images`: finds the images that keep pods from starting and loads them.

use std::time::Instant;

use anyhow::bail;

use crate::cli::LoadMissingArgs;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::images::missing::NamespaceFilter;
use crate::images::outcome::LoadReport;
use crate::images::plan::Presence;
use crate::load::find::{find_missing, load_wave};
use crate::load::report;
use crate::load::restart::restart_pods;
use crate::load::waves::load_in_waves;
use crate::status::pods_run::PodsRun;
use crate::ui::count;

/// Loads the missing images, once or until none is missing.
///
/// # Errors
/// Fails if the cluster, its nodes or the engine do not respond, and with [`Exit::TimedOut`] if pods are
/// still not running at the end.
pub(super) fn run(args: &LoadMissingArgs, context: &Context) -> anyhow::Result<Exit> {
    let namespaces = NamespaceFilter::new(args.namespace.iter().cloned());
    let timeout = args.timeout;
    let missing = find_missing(context, &namespaces)?;
    if !missing.is_empty() {
        context.ui.line(&format!("{} missing", count(missing.len(), "image")));
    }
    let mut report = load_wave(context, &missing, Presence::ByName)?;
    if context.dry_run {
        return Ok(Exit::Done);
    }
    if args.restart_pods {
        restart_pods(context, &report)?;
    }
    let mut timed_out = false;
    if args.watch {
        let _lift = context.deadline.set(timeout);
        let watch = PodsRun::new(context, namespaces, args.restart_pods);
        timed_out = !watch_pods(context, watch, Instant::now() + timeout, &mut report)?;
    }
    if context.wants_json() {
        context.answer_json(&report)?;
    } else {
        report::show(context, &report);
    }
    if timed_out && report.failed == 0 {
        bail!(
            Failure::new(
                Exit::TimedOut,
                format!("pods are still not running after {}", humantime::format_duration(timeout)),
            )
            .hint(format!(
                "`kubectl --context {} get pods -A` shows which; `--timeout` gives them longer",
                context.kube_context()
            ))
        );
    }
    Ok(if report.failed > 0 { Exit::Partial } else { Exit::Done })
}

/// Loads images until none is missing and no pod waits; returns whether that happened in time.
fn watch_pods(
    context: &Context,
    mut watch: PodsRun<'_>,
    end: Instant,
    report: &mut LoadReport,
) -> anyhow::Result<bool> {
    let step = context.ui.step("Watching for missing images");
    let is_over = load_in_waves(context, &step, end, &mut watch, report)?;
    if is_over && report.failed == 0 {
        step.done("All pods have their images and are running");
    } else {
        step.failed();
    }
    Ok(is_over)
}
