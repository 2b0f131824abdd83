//! Why the wait for Milvus failed, with what the pods report and what to do.

use std::time::Duration;

use serde_json::Value;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::images::outcome::{LoadReport, Outcome};
use crate::process::quote;
use crate::status::observe::{add_details, last_log_lines};
use crate::status::{CrashCause, CrashLoop, PROCESSOR, PodTrouble, Status};
use crate::ui::{count, one_line};

pub(super) fn cluster_cannot_pull(context: &Context, images: &[String]) -> anyhow::Error {
    let name = context.settings.cluster.context.as_deref().unwrap_or_default();
    let mut lines =
        vec![format!("the nodes of context `{name}` cannot pull {}", count(images.len(), "image"))];
    lines.extend(images.iter().cloned());
    let way_out = if context.settings.mirror.push.is_some() {
        "check that the nodes can reach the registry that images are pushed to; `milvusctl status` shows the pods"
    } else {
        "`--push REGISTRY/PREFIX` puts the images into a registry that the nodes reach"
    };
    let again = "nothing was rolled back; run `milvusctl up` again to resume";
    Failure::new(Exit::Partial, lines.join("\n")).hint(way_out).hint(again).into()
}

pub(super) fn images_failed(report: &LoadReport) -> anyhow::Error {
    let failed =
        report.images.iter().filter(|image| !matches!(image.outcome, Outcome::Loaded | Outcome::Present));
    let mut lines = vec!["pods still lack images that could not be loaded".to_owned()];
    let mut hints = Vec::new();
    for image in failed {
        lines.push(format!("{}: {}", image.image, image.error.as_deref().unwrap_or("failed")));
        hints.extend(image.hint.clone());
    }
    hints.dedup();
    hints.push("nothing was rolled back; run `milvusctl up` again to resume".to_owned());
    Failure::new(Exit::Partial, lines.join("\n")).hints(hints).into()
}

/// The error for a pod that will not recover, with its last log lines.
pub(super) fn crashes_for_good(context: &Context, crash: &CrashLoop) -> anyhow::Error {
    let CrashLoop { pod, container, restarts, cause } = crash;
    let what = match cause {
        CrashCause::Operator => "the operator keeps crashing",
        CrashCause::Instruction => "this processor lacks instructions that Milvus needs",
    };
    let mut lines = vec![one_line(&format!("{what}: pod {pod} was restarted {restarts} times"))];
    lines.extend(last_log_lines(context, pod, container).iter().map(|line| format!("  {}", one_line(line))));
    let (namespace, name) = pod.split_once('/').unwrap_or_default();
    let mut hints = vec![match cause {
        CrashCause::Operator => format!(
            "`kubectl --context {} --namespace {} logs {} --previous` shows its full log; `--operator-version` \
             chooses another version",
            quote(&context.kube_context()),
            quote(namespace),
            quote(name)
        ),
        CrashCause::Instruction => PROCESSOR.to_owned(),
    }];
    hints.push("nothing was rolled back; run `milvusctl up` again to resume".to_owned());
    Failure::new(Exit::Failed, lines.join("\n")).hints(hints).into()
}

pub(super) fn timed_out(context: &Context, mut status: Status, timeout: Duration) -> anyhow::Error {
    add_details(context, &mut status);
    let mut lines = vec![format!("Milvus is not healthy after {}", humantime::format_duration(timeout))];
    if let Some(milvus) = &status.milvus {
        if let (Some(observed), generation) = milvus.generations
            && observed < generation
        {
            lines.push(format!(
                "the operator is still at generation {observed} of {generation}: its status is about the previous resource"
            ));
        }
        for condition in milvus.conditions.iter().filter(|condition| condition.status != "True") {
            lines.push(format!("{}: {} {}", condition.kind, condition.reason, condition.message));
        }
    }
    for pod in status.pods.iter().take(5) {
        lines.push(one_line(format!("pod {}: {} {}", pod.name, pod.reason, pod.message).trim_end()));
        lines.extend(pod.log.iter().map(|line| format!("  {}", one_line(line))));
    }
    if !status.pending_volumes.is_empty() {
        lines.push(format!("unbound volume claims: {}", status.pending_volumes.join(", ")));
    }
    lines.extend(last_warnings(context));
    let mut hints: Vec<String> =
        status.pods.iter().filter_map(PodTrouble::advice).map(str::to_owned).collect();
    hints.sort_unstable();
    hints.dedup();
    hints.extend([
        format!(
            "`milvusctl status {}` shows the full state; `--timeout` waits longer",
            context.same_cluster()
        ),
        "nothing was rolled back; run `milvusctl up` again to resume".to_owned(),
    ]);
    Failure::new(Exit::TimedOut, lines.join("\n")).hints(hints).into()
}

/// The cluster's latest warning events.
fn last_warnings(context: &Context) -> Vec<String> {
    let events: Value = context
        .kubectl()
        .get(&[
            "events",
            "--all-namespaces",
            "--field-selector",
            "type=Warning",
            "--sort-by",
            ".lastTimestamp",
        ])
        .unwrap_or_default();
    let items = events["items"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines: Vec<String> = items
        .iter()
        .rev()
        .map(|event| {
            let object = &event["involvedObject"];
            one_line(&format!(
                "event {}/{}: {} {}",
                text(&object["namespace"]),
                text(&object["name"]),
                text(&event["reason"]),
                text(&event["message"])
            ))
        })
        .collect();
    lines.dedup();
    lines.truncate(3);
    lines
}
