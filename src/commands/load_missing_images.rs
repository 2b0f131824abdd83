//! `load-missing-images`: finds the images that keep pods from starting and loads them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::cli::LoadMissingArgs;
use crate::context::{Context, parse_duration};
use crate::error::{Exit, Note, failure};
use crate::images::missing::NamespaceFilter;
use crate::images::outcome::{Effort, LoadReport, Outcome};
use crate::kube::pod::{PodList, PodName};
use crate::load::find::{find_missing, load_wave, pods_json};
use crate::load::restart::restart_pods;
use crate::tools::kubectl::{MILVUSES, is_absent};
use crate::ui::{bytes, count, table};

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_secs(3);
/// How long to wait before an image that failed is tried again.
const RETRY: Duration = Duration::from_secs(20);
/// How often an image is tried.
const TRIES: u32 = 3;

/// Loads what is missing, once or until nothing is.
///
/// # Errors
/// Fails when the cluster, its nodes or the engine cannot be asked.
pub(super) fn run(args: &LoadMissingArgs, context: &Context) -> anyhow::Result<Exit> {
    let namespaces = NamespaceFilter::new(args.namespace.iter().cloned());
    let timeout = parse_duration("--timeout", &args.timeout)?;
    let missing = find_missing(context, &namespaces)?;
    if !missing.is_empty() {
        context.ui.line(&format!("{} missing", count(missing.len(), "image")));
    }
    let mut report = load_wave(context, &missing)?;
    if context.dry_run {
        return Ok(Exit::Done);
    }
    if args.restart_pods {
        restart_pods(context, &report)?;
    }
    let mut timed_out = false;
    if args.watch {
        timed_out = !watch(args, context, &namespaces, timeout, &mut report)?;
    }
    show(context, &report)?;
    if timed_out && report.failed == 0 {
        return Err(failure(
            Exit::TimedOut,
            format!("pods still do not run after {}", humantime::format_duration(timeout)),
        ))
        .hint(format!(
            "`kubectl --context {} get pods -A` shows which; `--timeout` gives them longer",
            context.kube_context()
        ));
    }
    Ok(if report.failed > 0 { Exit::Partial } else { Exit::Done })
}

/// Goes on until no image is missing and no pod waits; says whether it got there in time.
fn watch(
    args: &LoadMissingArgs,
    context: &Context,
    namespaces: &NamespaceFilter,
    timeout: Duration,
    report: &mut LoadReport,
) -> anyhow::Result<bool> {
    let end = Instant::now() + timeout;
    let _lift = context.deadline.set(timeout);
    let step = context.ui.step("Watching for missing images");
    let mut tries: BTreeMap<String, (u32, Instant)> = BTreeMap::new();
    note_failures(report, &mut tries);
    loop {
        let missing = find_missing(context, namespaces)?;
        let due: Vec<_> = missing
            .iter()
            .filter(|image| {
                tries
                    .get(&image.image.to_string())
                    .is_none_or(|(n, last)| *n < TRIES && last.elapsed() > RETRY)
            })
            .cloned()
            .collect();
        let given_up =
            missing.iter().all(|image| tries.get(&image.image.to_string()).is_some_and(|(n, _)| *n >= TRIES));
        if !due.is_empty() {
            step.waits_for(&format!("loading {}", count(due.len(), "image")));
            let wave = load_wave(context, &due)?;
            note_failures(&wave, &mut tries);
            if args.restart_pods {
                restart_pods(context, &wave)?;
            }
            report.merge(wave);
        } else if given_up {
            // What cannot be had keeps its own pods from running; later waves of the others are still loaded.
            let hopeless: BTreeSet<PodName> =
                missing.iter().flat_map(|image| image.pods.iter().cloned()).collect();
            let waiting: Vec<PodName> = waiting_pods(context, namespaces)?
                .into_iter()
                .filter(|pod| !hopeless.contains(pod))
                .collect();
            // Between two waves all pods run, and the operator has not made the next ones yet.
            let unhealthy =
                if waiting.is_empty() { unhealthy_milvus(context, namespaces, &hopeless)? } else { None };
            if let Some(name) = unhealthy {
                step.waits_for(&format!("Milvus {name} to get healthy"));
            } else if let Some(example) = waiting.first() {
                step.waits_for(&format!("{} to run, such as {example}", count(waiting.len(), "pod")));
            } else if missing.is_empty() {
                step.done("All pods have their images and run");
                return Ok(true);
            } else {
                step.failed();
                return Ok(true);
            }
        }
        if Instant::now() > end {
            step.failed();
            return Ok(false);
        }
        context.sleep(PAUSE)?;
    }
}

/// Counts the tries of images that failed; one that cannot be helped is not tried again.
fn note_failures(report: &LoadReport, tries: &mut BTreeMap<String, (u32, Instant)>) {
    for image in &report.images {
        match image.outcome {
            Outcome::Refused => {
                tries.insert(image.image.clone(), (TRIES, Instant::now()));
            }
            Outcome::PullFailed | Outcome::LoadFailed => {
                let known = tries.entry(image.image.clone()).or_insert((0, Instant::now()));
                *known = (known.0 + 1, Instant::now());
            }
            // The kubelet needs up to 20 seconds to look again; until then the image still seems missing.
            Outcome::Loaded | Outcome::Present => {
                tries.insert(image.image.clone(), (0, Instant::now()));
            }
        }
    }
}

/// The pods that have been made but do not run yet.
fn waiting_pods(context: &Context, namespaces: &NamespaceFilter) -> anyhow::Result<Vec<PodName>> {
    let json = pods_json(context)?;
    let pods = PodList::from_slice(&json)?;
    Ok(pods
        .items
        .iter()
        .filter(|pod| !pod.is_over() && pod.status.phase.as_ref() as &str == "Pending")
        .map(crate::kube::pod::Pod::full_name)
        .filter(|pod| match namespaces {
            NamespaceFilter::All => true,
            NamespaceFilter::Only(names) => names.contains(&pod.namespace),
        })
        .collect())
}

/// A Milvus that the operator still works on, if there is one; not one of which a pod is among `hopeless`, since that
/// one does not get healthy.
fn unhealthy_milvus(
    context: &Context,
    namespaces: &NamespaceFilter,
    hopeless: &BTreeSet<PodName>,
) -> anyhow::Result<Option<String>> {
    let answer: serde_json::Value = match context.kubectl().get(&[MILVUSES, "--all-namespaces"]) {
        Ok(answer) => answer,
        // A cluster without the operator has images all the same.
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    Ok(items
        .iter()
        .map(crate::status::milvus)
        .filter(|milvus| match namespaces {
            NamespaceFilter::All => true,
            NamespaceFilter::Only(names) => names.contains(&milvus.namespace),
        })
        .filter(|milvus| {
            // Its pods, and those of its dependencies, carry its name in front.
            let start = format!("{}-", milvus.name);
            !hopeless.iter().any(|pod| pod.namespace == milvus.namespace && pod.name.starts_with(&start))
        })
        .find(|milvus| !milvus.is_settled())
        .map(|milvus| format!("{}/{}", milvus.namespace, milvus.name)))
}

fn show(context: &Context, report: &LoadReport) -> anyhow::Result<()> {
    if context.wants_json() {
        return context.answer_json(report);
    }
    if report.images.is_empty() {
        context.ui.line("No image is missing");
        return Ok(());
    }
    context.ui.data(&report_table(report, context.ui.width()));
    for image in &report.images {
        if let Some(hint) = &image.hint {
            context.ui.line(&format!("hint: {}: {hint}", image.image));
        }
    }
    context.ui.line(&format!(
        "{} missing: {} loaded, {} failed{}",
        count(report.missing, "image"),
        report.loaded,
        report.failed,
        times(&report.effort)
    ));
    Ok(())
}

/// Says when pods could start and when all nodes had theirs, where the two are apart.
fn times(effort: &Effort) -> String {
    let (first, all) = (effort.seconds_until_pods_can_start, effort.seconds);
    if first > 0.0 && all - first >= 1.0 {
        format!("; where pods wait after {first:.1}s, on all nodes after {all:.1}s")
    } else if all > 0.0 {
        format!(" in {all:.1}s")
    } else {
        String::new()
    }
}

/// The table of what came of each image.
pub(super) fn report_table(report: &LoadReport, width: Option<usize>) -> String {
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
                        n => format!(", whole to {} that refused a part", count(n, "node")),
                    };
                    format!("{} to {}{refused}", bytes(sent), count(image.nodes.len(), "node"))
                }
            });
            [image.image.clone(), outcome.to_owned(), count(image.pods.len(), "pod"), detail]
        })
        .collect();
    table(["IMAGE", "OUTCOME", "WANTED BY", "DETAIL"], &rows, width)
}
