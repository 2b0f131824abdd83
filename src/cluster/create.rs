//! Makes the kind cluster, or gets one that was stopped to run again, and pulls images meanwhile.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::cluster::state::ClusterState;
use crate::context::Context;
use crate::error::{Exit, Note, failure};
use crate::images::catalog::PlannedImage;
use crate::images::plan::Pull;
use crate::ui::Step;

use crate::cluster::{kubeadm_images, mark};
use crate::load::find::{engine_images, nodes};
use crate::load::pull::pull_any;

/// How long nodes may take to get ready.
const NODES: Duration = Duration::from_secs(300);

/// Brings the cluster to run and pulls `planned` while kind is at work.
///
/// # Errors
/// Fails when kind does, and says what is left of the cluster; or when the nodes do not get ready.
pub(crate) fn bring_to_run(
    context: &Context,
    state: &ClusterState,
    config: &str,
    planned: &[PlannedImage],
    jobs: usize,
) -> anyhow::Result<()> {
    let name = &context.settings.cluster.name;
    match state {
        ClusterState::Absent => create(context, config, planned, jobs)?,
        ClusterState::HalfMade => {
            context
                .ui
                .line(&format!("Cluster `{name}` was left half made by an earlier run; making it anew"));
            context.tools.kind.delete(name).context("could not delete the half-made cluster")?;
            create(context, config, planned, jobs)?;
        }
        ClusterState::Stopped(stopped) => start(context, stopped)?,
        ClusterState::Running => {
            context.tools.kind.export_kubeconfig(name).context("could not write the kubeconfig")?;
        }
        ClusterState::Foreign => return Ok(()),
    }
    Ok(())
}

fn create(context: &Context, config: &str, planned: &[PlannedImage], jobs: usize) -> anyhow::Result<()> {
    let name = &context.settings.cluster.name;
    let step = context.ui.step(&format!("Creating cluster `{name}`"));
    mark::set(name).context("could not note that the cluster is being created")?;
    let kind_is_done = AtomicBool::new(false);
    let queue = Mutex::new(planned.iter().collect::<VecDeque<_>>());
    let repositories = kubeadm_images::repositories(config);
    let (created, lacking) = std::thread::scope(|scope| {
        let tagging = scope.spawn(|| kubeadm_images::tag_while(context, &repositories, &kind_is_done));
        for _ in 0..jobs.min(planned.len()) {
            scope.spawn(|| pull_ahead(context, &queue, &kind_is_done));
        }
        let created = context.tools.kind.create(name, config, None, false, &mut |line| {
            if let Some(what) = kind_step(line) {
                step.waits_for(&what);
            }
        });
        kind_is_done.store(true, Ordering::Relaxed);
        (created, tagging.join().unwrap_or_default())
    });
    if let Err(error) = created {
        step.failed();
        let left = context.tools.docker.node_containers(name).unwrap_or_default();
        let left = if context.interrupt.is_set() {
            format!(
                "cluster `{name}` may be half made; `milvusctl up` makes it anew, `milvusctl down` deletes it"
            )
        } else if left.is_empty() {
            mark::clear(name);
            "kind removed what it had made of the cluster; mend the cause and run it again".to_owned()
        } else {
            format!("cluster `{name}` is half made; `milvusctl up` makes it anew")
        };
        let too_many_files = error.says("too many open files");
        let result = Err(error).with_context(|| could_not_create(name, &lacking)).hint(left);
        return if too_many_files {
            result.hint("raise the inotify limits: `milvusctl doctor` prints the commands")
        } else if !lacking.is_empty() {
            result.hint(
                "run it again with `--mirror-preset none`: Kubernetes's images then keep the names under which the \
                 node image holds them; with a kind configuration of your own, take out its `imageRepository`",
            )
        } else {
            result
        };
    }
    wait_for_nodes(context, &step)?;
    mark::clear(name);
    let nodes = context.tools.docker.node_containers(name)?.len();
    step.done(&format!("Created cluster `{name}` ({})", crate::ui::count(nodes, "node")));
    Ok(())
}

/// The images that nodes waited for explain more than kubeadm's last lines do.
fn could_not_create(name: &str, lacking: &BTreeSet<String>) -> String {
    if lacking.is_empty() {
        return format!("could not create cluster `{name}`");
    }
    let images: Vec<&str> = lacking.iter().map(String::as_str).collect();
    format!("could not create cluster `{name}`: its nodes could not get {}", images.join(", "))
}

/// What kind says it is doing, without its marks and pictures; none for its greetings.
fn kind_step(line: &str) -> Option<String> {
    let line = line.trim();
    // `•` without a terminal; with one, kind would redraw its lines.
    let what = line.strip_prefix('•').map(str::trim)?;
    let plain: String = what.chars().filter(|c| c.is_ascii() || c.is_alphanumeric()).collect();
    let plain = plain.trim().trim_end_matches('.').trim();
    let mut letters = plain.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect())
}

/// Pulls images until kind is done; the rest is pulled when it is loaded.
fn pull_ahead(context: &Context, queue: &Mutex<VecDeque<&PlannedImage>>, kind_is_done: &AtomicBool) {
    while !kind_is_done.load(Ordering::Relaxed) && !context.interrupt.is_set() {
        let Some(next) = queue.lock().ok().and_then(|mut queue| queue.pop_front()) else { return };
        let rules = context.mirror_rules();
        let is_held =
            engine_images(context, &[&next.image]).is_ok_and(|images| images.held.contains_key(&next.image));
        if !is_held {
            let pull = Pull { candidates: rules.candidates(&next.image) };
            // A failure is shown, and tried again when the image is loaded.
            _ = pull_any(context, &next.image, &pull);
        }
    }
}

fn start(context: &Context, stopped: &[String]) -> anyhow::Result<()> {
    let name = &context.settings.cluster.name;
    let step = context.ui.step(&format!("Starting cluster `{name}`"));
    if !stopped.is_empty() {
        context.tools.docker.start_containers(stopped).context("could not start the stopped nodes")?;
    }
    context.tools.kind.export_kubeconfig(name).context("could not write the kubeconfig")?;
    wait_for_nodes(context, &step).hint(format!(
        "nodes whose addresses changed do not find each other again (kind#2045); if so, \
         `milvusctl down --name {name}` and `milvusctl up` make the cluster anew"
    ))?;
    step.done(&format!("Started cluster `{name}`"));
    Ok(())
}

/// Waits until the API server answers and all nodes are ready.
fn wait_for_nodes(context: &Context, step: &Step) -> anyhow::Result<()> {
    let end = Instant::now() + NODES;
    loop {
        context.check_interrupt()?;
        if context.kubectl().is_ready().is_ok()
            && let Ok(nodes) = nodes(context)
        {
            let ready = nodes.iter().filter(|node| node.is_ready()).count();
            if ready == nodes.len() && ready > 0 {
                return Ok(());
            }
            step.waits_for(&format!("{ready} of {} nodes ready", nodes.len()));
        }
        if Instant::now() > end {
            return Err(failure(
                Exit::TimedOut,
                format!("the nodes are not ready after {}", humantime::format_duration(NODES)),
            ));
        }
        context.sleep(Duration::from_secs(1))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_kind_prints_only_its_steps_are_shown() {
        // As kind 0.27.0 prints them without a terminal.
        let rows = [
            (
                " • Ensuring node image (kindest/node:v1.20.2) 🖼  ...",
                Some("ensuring node image (kindest/node:v1.20.2)"),
            ),
            (" • Starting control-plane 🕹️  ...", Some("starting control-plane")),
            (" ✓ Starting control-plane 🕹️", None),
            ("Creating cluster \"c\" ...", None),
            ("Not sure what to do next? 😅  Check out https://kind.sigs.k8s.io/docs/user/quick-start/", None),
            ("", None),
        ];
        for (line, shown) in rows {
            assert_eq!(kind_step(line).as_deref(), shown, "{line}");
        }
    }
}
