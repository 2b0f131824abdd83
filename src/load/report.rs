//! A human-readable load report.

use crate::context::Context;
use crate::images::outcome::{Effort, LoadReport, Outcome};
use crate::ui::{bytes, count, one_line, table};

/// Shows a table of the images, hints for failed ones, and a summary.
pub(crate) fn show(context: &Context, report: &LoadReport) {
    if report.images.is_empty() {
        context.ui.line("No image is missing");
        return;
    }
    show_table(context, report);
    context.ui.line(&format!(
        "{} missing: {} loaded, {} failed{}",
        count(report.missing, "image"),
        report.loaded,
        report.failed,
        times(&report.effort)
    ));
}

/// Shows a table of the images and hints for failed ones.
pub(crate) fn show_table(context: &Context, report: &LoadReport) {
    context.ui.data(&report_table(report, context.ui.width()));
    for image in &report.images {
        if let Some(hint) = &image.hint {
            context.ui.line(&one_line(&format!("hint: {}: {hint}", image.image)));
        }
    }
}

/// Formats when pods could start and when all nodes were done, if these differ.
fn times(effort: &Effort) -> String {
    let (first, all) = (effort.seconds_until_pods_can_start, effort.seconds);
    if first > 0.0 && all - first >= 1.0 {
        format!("; {first:.1}s until pods could start, {all:.1}s for all nodes")
    } else if all > 0.0 {
        format!(" in {all:.1}s")
    } else {
        String::new()
    }
}

/// The table of outcomes.
fn report_table(report: &LoadReport, width: Option<usize>) -> String {
    let rows: Vec<[String; 4]> = report
        .images
        .iter()
        .map(|image| {
            let sent: u64 = image.nodes.iter().map(|node| node.bytes_sent).sum();
            let outcome = match image.outcome {
                Outcome::Loaded => "loaded",
                Outcome::Present => "present",
                Outcome::Refused => "refused",
                Outcome::PullFailed => "pull failed",
                Outcome::LoadFailed => "load failed",
            };
            let detail = image.error.clone().unwrap_or_else(|| {
                if image.nodes.is_empty() {
                    "on every node that needs it".to_owned()
                } else {
                    let whole = image.nodes.iter().filter(|node| node.sent_whole).count();
                    let refused = match whole {
                        0 => String::new(),
                        n => format!(", sent whole to {} that refused a part", count(n, "node")),
                    };
                    format!("{} to {}{refused}", bytes(sent), count(image.nodes.len(), "node"))
                }
            });
            [image.image.clone(), outcome.to_owned(), count(image.pods.len(), "pod"), detail]
        })
        .collect();
    table(["IMAGE", "OUTCOME", "WANTED BY", "DETAIL"], &rows, width)
}
