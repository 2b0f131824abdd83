//! Creates the kind cluster or starts a stopped one, and pulls images in the meantime.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};

use crate::archive::Platform;
use crate::cluster::state::ClusterState;
use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::images::catalog::PlannedImage;
use crate::images::plan::Pull;
use crate::process::ExecError;
use crate::tools::kind::{create_command, delete_command, export_command};
use crate::tools::{create_script, start_command};
use crate::ui::StepLine;

use crate::cluster::kubeadm_images;
use crate::cluster::mark::{self, Mark};
use crate::load::fetch::{Fetcher, open_store};
use crate::load::find::{engine_images, nodes};
use crate::tools::kind;

/// How often to record the containers that kind creates.
const NOTE_PAUSE: Duration = Duration::from_millis(300);
/// How long nodes may take to become ready.
const NODES: Duration = Duration::from_secs(300);

/// The containers created by this run; set once kind has exited.
pub(crate) type Made = OnceLock<Mark>;

/// Ensures that the cluster is running, and pulls `planned` while kind works.
///
/// # Errors
/// Fails if kind fails, saying what is left of the cluster, or if the nodes do not become ready.
pub(crate) fn ensure_running(
    context: &Context,
    state: &ClusterState,
    config: &str,
    planned: &[PlannedImage],
    made: &Made,
) -> anyhow::Result<()> {
    let name = &context.settings.cluster.name;
    match state {
        ClusterState::Absent => {
            if !context.tools.docker.node_ids(name)?.is_empty() {
                let cause = anyhow!("it did not exist a moment ago");
                return Err(created_meanwhile(name, cause).into());
            }
            create(context, config, planned, made)?;
        }
        ClusterState::HalfCreated => {
            context.ui.line(&format!("An earlier run left cluster `{name}` half created; recreating it"));
            delete_created(context, mark::read(name).as_ref())
                .context("could not delete the half-created cluster")?;
            create(context, config, planned, made)?;
        }
        ClusterState::Stopped(stopped) => start(context, stopped)?,
        ClusterState::Running => {
            context.tools.kind.export_kubeconfig(name).context("could not write the kubeconfig")?;
        }
        ClusterState::Foreign => return Ok(()),
    }
    Ok(())
}

/// The commands of [`ensure_running`], as part of a shell script.
pub(crate) fn ensure_running_script(name: &str, state: &ClusterState, config: &str) -> String {
    let create = || {
        let create = create_command(name, config, None, false);
        let repositories = kubeadm_images::repositories(config);
        if repositories.is_empty() { create.to_script() } else { create_script(name, &repositories, &create) }
    };
    let lines = match state {
        ClusterState::Absent => vec![create()],
        ClusterState::HalfCreated => vec![delete_command(name).to_script(), create()],
        ClusterState::Stopped(nodes) => {
            vec![start_command(nodes).to_script(), export_command(name).to_script()]
        }
        ClusterState::Running => vec![export_command(name).to_script()],
        ClusterState::Foreign => Vec::new(),
    };
    lines.join("\n")
}

/// Deletes the cluster if all its containers were created by the run of `mark`.
///
/// # Errors
/// Fails if there are other containers of that name, or if kind fails.
fn delete_created(context: &Context, mark: Option<&Mark>) -> anyhow::Result<()> {
    let name = &context.settings.cluster.name;
    let containers = context.tools.docker.node_ids(name)?;
    if !containers.is_empty() && !mark.is_some_and(|mark| mark.has_made(&containers)) {
        bail!(
            Failure::new(Exit::Failed, format!("someone else created a cluster `{name}` in the meantime"))
                .hint("choose another name with `--name`")
        );
    }
    context.tools.kind.delete(name)?;
    mark::clear(name);
    Ok(())
}

/// Deletes the cluster after a failure, if this run created it.
///
/// # Errors
/// Fails if kind fails.
pub(crate) fn discard(context: &Context, made: &Made) -> anyhow::Result<()> {
    let name = &context.settings.cluster.name;
    let Some(mark) = made.get() else { return Ok(()) };
    if mark.has_made(&context.tools.docker.node_ids(name)?) {
        context.ui.line(&format!("Deleting cluster `{name}` because of `--no-keep-on-failure`"));
        delete_created(context, Some(mark)).context("could not delete the cluster")?;
    }
    Ok(())
}

fn create(context: &Context, config: &str, planned: &[PlannedImage], made: &Made) -> anyhow::Result<()> {
    let name = &context.settings.cluster.name;
    let step = context.ui.step(&format!("Creating cluster `{name}`"));
    let mut mark = Mark::of_this_run();
    mark.write(name).context("could not record that the cluster is being created")?;
    let kind_is_done = AtomicBool::new(false);
    let queue = Mutex::new(planned.iter().collect::<VecDeque<_>>());
    let repositories = kubeadm_images::repositories(config);
    let store = if planned.is_empty() { None } else { open_store(context)? };
    let fetcher = Fetcher::new(context, store.as_ref())?;
    let (created, lacking) = std::thread::scope(|scope| {
        let tagging = scope.spawn(|| kubeadm_images::tag_while(context, &repositories, &kind_is_done));
        for _ in 0..usize::from(context.settings.images.jobs).min(planned.len()) {
            scope.spawn(|| pull_ahead(context, &fetcher, &queue, &kind_is_done));
        }
        scope.spawn(|| {
            while !kind_is_done.load(Ordering::Relaxed) {
                note_containers(context, &mut mark);
                std::thread::sleep(NOTE_PAUSE);
            }
        });
        let created = context.tools.kind.create(name, config, None, false, &mut |what| step.waits_for(what));
        kind_is_done.store(true, Ordering::Relaxed);
        (created, tagging.join().unwrap_or_default())
    });
    let Err(error) = created else {
        // The cluster exists from here on, whether its nodes are ready or not.
        note_containers(context, &mut mark);
        _ = made.set(mark);
        mark::clear(name);
        wait_for_nodes(context, &step)?;
        let nodes = context.tools.docker.node_containers(name)?.len();
        step.done(&format!("Created cluster `{name}` ({})", crate::ui::count(nodes, "node")));
        return Ok(());
    };
    step.failed();
    if kind::is_taken(&error) {
        // kind checks before creating anything, so what exists is somebody else's.
        mark::clear(name);
        return Err(created_meanwhile(name, error.into()).into());
    }
    let left = match context.tools.docker.node_ids(name) {
        // If the engine does not answer, the outcome is unknown and the mark stays.
        _ if context.interrupt.is_set() => may_be_half_created(name),
        Err(_) => may_be_half_created(name),
        Ok(left) if left.is_empty() => {
            mark::clear(name);
            "kind removed what it had created; fix the cause and rerun".to_owned()
        }
        Ok(_) => format!("cluster `{name}` is half created; `milvusctl up` recreates it"),
    };
    _ = made.set(mark);
    // An interrupted kind may not have waited long enough for its images.
    let lacking = if matches!(error, ExecError::Failed { .. }) { lacking } else { BTreeSet::new() };
    let too_many_files = kind::lacks_inotify(&error);
    let lacks_port = kind::lacks_port(&error);
    let result = Err(error).with_context(|| could_not_create(name, &lacking)).hint(left);
    if lacks_port {
        result.hint(
            "another container or program took the port after it was checked: free it, or map another host port with \
             `--port HOST:NODE`",
        )
    } else if too_many_files {
        result.hint("raise the inotify limits: `milvusctl doctor` prints the commands")
    } else if !lacking.is_empty() {
        result.hint(match &context.settings.cluster.kind_config {
            Some(file) => format!(
                "remove `imageRepository` from `{}`, so that Kubernetes's images keep their names from the node image",
                file.display()
            ),
            None => "rerun with `--mirror-preset none`, so that Kubernetes's images keep their names from the node image"
                .to_owned(),
        })
    } else {
        result
    }
}

fn may_be_half_created(name: &str) -> String {
    format!("cluster `{name}` may be half created; `milvusctl up` recreates it, `milvusctl down` deletes it")
}

fn created_meanwhile(name: &str, error: anyhow::Error) -> Failure {
    Failure::of(error.context(format!("could not create cluster `{name}`"))).hint(format!(
        "someone else created a cluster of that name in the meantime; it was left unchanged; choose another name with \
         `--name`, or use it with `milvusctl up --name {name}`"
    ))
}

/// Records the cluster's containers while kind creates it. kind refuses a name that already has containers,
/// so those that appear now are its own.
fn note_containers(context: &Context, mark: &mut Mark) {
    let name = &context.settings.cluster.name;
    if context.tools.docker.node_ids(name).is_ok_and(|ids| mark.add(&ids)) {
        // Without a mark, a half-created cluster counts as somebody else's, which is safe.
        _ = mark.write(name);
    }
}

/// The images that nodes waited for explain more than kubeadm's last lines.
fn could_not_create(name: &str, lacking: &BTreeSet<String>) -> String {
    if lacking.is_empty() {
        return format!("could not create cluster `{name}`");
    }
    let images: Vec<&str> = lacking.iter().map(String::as_str).collect();
    format!("could not create cluster `{name}`: its nodes could not get {}", images.join(", "))
}

/// Pulls images until kind is done; the rest is pulled when loading.
fn pull_ahead(
    context: &Context,
    fetcher: &Fetcher<'_>,
    queue: &Mutex<VecDeque<&PlannedImage>>,
    kind_is_done: &AtomicBool,
) {
    while !kind_is_done.load(Ordering::Relaxed) && !context.interrupt.is_set() {
        let Some(next) = queue.lock().ok().and_then(|mut queue| queue.pop_front()) else { return };
        let rules = context.mirror_rules();
        let is_held =
            engine_images(context, &[&next.image]).is_ok_and(|images| images.held.contains_key(&next.image));
        if !is_held {
            let pull = Pull { candidates: rules.candidates(&next.image) };
            // A failure is shown, and retried when the image is loaded.
            _ = fetcher.get(&next.image, &[Platform::of_this_machine()], &pull);
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
        "nodes whose addresses changed cannot find each other (kind#2045); if so, recreate the cluster: `milvusctl down --name {name}`, then `milvusctl up`"
    ))?;
    step.done(&format!("Started cluster `{name}`"));
    Ok(())
}

/// Waits until the API server answers and all nodes are ready.
fn wait_for_nodes(context: &Context, step: &StepLine) -> anyhow::Result<()> {
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
            bail!(Failure::new(
                Exit::TimedOut,
                format!("the nodes are not ready after {}", humantime::format_duration(NODES)),
            ));
        }
        context.sleep(Duration::from_secs(1))?;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::process::ScriptedRunner;

    const IDS: &str =
        "docker ps --all --no-trunc --quiet --filter label=io.x-k8s.kind.cluster=milvus-cluster";
    const DELETE: &str = "kind delete cluster --name milvus-cluster";

    fn made(id: &str) -> Mark {
        let mut mark = Mark::of_this_run();
        mark.add(&std::iter::once(id.to_owned()).collect());
        mark
    }

    #[test]
    fn a_failure_only_deletes_what_this_run_created() {
        for (there, is_deleted) in [("ours\n", true), ("ours\ntheirs\n", false), ("theirs\n", false)] {
            let runner = Arc::new(ScriptedRunner::default().answer(IDS, there).answer(DELETE, ""));
            discard(&Context::for_test(runner.clone()), &Made::from(made("ours"))).unwrap();
            assert_eq!(runner.asked().contains(&DELETE.to_owned()), is_deleted, "{there}");
        }
        let runner = Arc::new(ScriptedRunner::default());
        discard(&Context::for_test(runner.clone()), &Made::new()).unwrap();
        assert_eq!(runner.asked(), [""; 0]);
    }

    #[test]
    fn a_half_created_cluster_is_checked_again_before_it_is_deleted() {
        let runner = Arc::new(ScriptedRunner::default().answer(IDS, "theirs\n"));
        let result = delete_created(&Context::for_test(runner.clone()), Some(&made("ours")));
        assert_eq!(
            result.unwrap_err().to_string(),
            "someone else created a cluster `milvus-cluster` in the meantime"
        );
        assert_eq!(runner.asked(), [IDS]);
    }
}
