//! From the engine straight into the nodes' containerd: one `docker save`, read once, written to all nodes
//! at the same time. Nothing is kept in a file, and memory is bounded by the queues.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use super::Method;
use crate::context::Context;
use crate::images::outcome::{NodeOutcome, Outcome};
use crate::images::plan::ImageLoad;
use crate::process::{ExecError, Running};
use crate::tools::Docker;
use crate::ui::Transfer;

/// The bytes of one read.
const CHUNK: usize = 256 * 1024;
/// How many chunks may wait for a node: 8 MiB.
const QUEUE: usize = 32;
/// How long a node may take nothing before the others go on without it.
const STALL: Duration = Duration::from_secs(120);

/// What a node's `ctr` is told. Without `--all-platforms`, as the archive holds one.
const IMPORT: &[&str] = &["ctr", "--namespace", "k8s.io", "images", "import"];

/// A node that is being written to.
struct Sink {
    node: String,
    queue: Option<SyncSender<Arc<[u8]>>>,
    writer: std::thread::JoinHandle<u64>,
    import: Box<dyn Running>,
    error: Option<String>,
}

/// Gives an image to `nodes` and returns what came of it on each.
pub(super) fn give(
    context: &Context,
    method: &Method,
    load: &ImageLoad,
    nodes: &[String],
) -> Vec<NodeOutcome> {
    let name = load.image.familiar();
    let transfer = context.ui.transfer(&format!("{} {name} to {}", "loading", nodes_in_words(nodes)));
    let all_failed = |error: &str| -> Vec<NodeOutcome> {
        nodes.iter().map(|node| outcome(node, 0, Some(error.to_owned()))).collect()
    };
    let save = Docker::save(std::slice::from_ref(&name), method.platform(load).as_deref());
    let runner = context.tools.runner();
    let mut save_process = match runner.start(&save) {
        Ok(process) => process,
        Err(error) => {
            transfer.failed(&format!("could not read {name} from the engine"));
            return all_failed(&error.to_string());
        }
    };
    let (mut sinks, mut outcomes) = (Vec::new(), Vec::new());
    for node in nodes {
        match open(context, method, node) {
            Ok(sink) => sinks.push(sink),
            Err(error) => outcomes.push(outcome(node, 0, Some(error.to_string()))),
        }
    }
    let read = match save_process.take_output() {
        Some(mut archive) => copy(context, &mut *archive, &mut sinks, &transfer),
        None => Ok(0),
    };
    let saved = match read {
        Ok(_) => save_process.wait(&context.interrupt).map_err(|error| error.to_string()),
        Err(error) => {
            save_process.stop();
            Err(error)
        }
    };
    for sink in sinks {
        outcomes.push(close(context, sink, saved.as_ref().err()));
    }
    outcomes.sort_by(|a, b| a.node.cmp(&b.node));
    let sent = outcomes.iter().map(|node| node.bytes_sent).max();
    let failed = outcomes.iter().filter(|node| node.outcome != Outcome::Loaded).count();
    if failed == 0 {
        transfer.done(&format!("loaded {name} into {}", nodes_in_words(nodes)), sent);
    } else {
        transfer.failed(&format!("{name} did not get into {}", crate::ui::count(failed, "node")));
    }
    outcomes
}

/// Whether a node refused because it has no `ctr`, or cannot be entered by `docker exec` at all.
pub(super) fn is_without_ctr(outcome: &NodeOutcome) -> bool {
    let error = outcome.error.as_deref().unwrap_or_default();
    outcome.outcome == Outcome::LoadFailed
        && (error.contains("executable file not found")
            || error.contains("no such file or directory: unknown"))
}

fn open(context: &Context, method: &Method, node: &str) -> Result<Sink, ExecError> {
    let mut args = IMPORT.to_vec();
    let snapshotter = super::verify::snapshotter(context, method, node);
    if let Some(snapshotter) = &snapshotter {
        args.extend(["--snapshotter", snapshotter]);
    }
    args.push("-");
    let mut import = context.tools.runner().start(&Docker::change_inside(node, &args))?;
    let input = import.take_input();
    let (queue, chunks) = sync_channel(QUEUE);
    let writer = std::thread::spawn(move || input.map_or(0, |input| write_all(input, &chunks)));
    Ok(Sink { node: node.to_owned(), queue: Some(queue), writer, import, error: None })
}

/// Writes chunks until there are no more or the node takes none; returns how many bytes it took.
fn write_all(mut input: Box<dyn Write + Send>, chunks: &Receiver<Arc<[u8]>>) -> u64 {
    let mut sent = 0;
    while let Ok(chunk) = chunks.recv() {
        if input.write_all(&chunk).is_err() {
            // The import has ended; its own words say why.
            break;
        }
        sent += chunk.len() as u64;
    }
    sent
}

/// Reads the archive once and queues it for every node; returns how many bytes it had.
fn copy(
    context: &Context,
    archive: &mut dyn Read,
    sinks: &mut [Sink],
    transfer: &Transfer,
) -> Result<u64, String> {
    let mut total = 0;
    let mut buffer = vec![0; CHUNK];
    loop {
        if context.interrupt.is_set() {
            return Err("interrupted".to_owned());
        }
        let n = archive.read(&mut buffer).map_err(|error| format!("could not read the archive: {error}"))?;
        if n == 0 {
            return Ok(total);
        }
        total += n as u64;
        transfer.at(total, None);
        let chunk: Arc<[u8]> = Arc::from(&buffer[..n]);
        for sink in sinks.iter_mut() {
            offer(context, sink, &chunk);
        }
        if sinks.iter().all(|sink| sink.queue.is_none()) {
            return Err("no node took the archive".to_owned());
        }
    }
}

/// Queues a chunk for one node, waiting for room; a node that ended or stalls is given up.
fn offer(context: &Context, sink: &mut Sink, chunk: &Arc<[u8]>) {
    let started = Instant::now();
    while let Some(queue) = &sink.queue {
        match queue.try_send(Arc::clone(chunk)) {
            Ok(()) => return,
            Err(TrySendError::Disconnected(_)) => sink.queue = None,
            Err(TrySendError::Full(_)) => {
                if started.elapsed() > STALL {
                    sink.error = Some(format!("took nothing for {} seconds", STALL.as_secs()));
                    sink.queue = None;
                    sink.import.stop();
                } else if context.interrupt.is_set() {
                    return;
                } else {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
    }
}

/// Ends one node's import. An archive that ended early must not look complete to it.
fn close(context: &Context, mut sink: Sink, cut_short: Option<&String>) -> NodeOutcome {
    if cut_short.is_some() {
        sink.import.stop();
    }
    sink.queue = None;
    let sent = sink.writer.join().unwrap_or(0);
    let ended = sink.import.wait(&context.interrupt);
    let error = match (sink.error, cut_short, ended) {
        (Some(error), _, _) => Some(error),
        // What the node says explains why nobody took the archive; otherwise the engine's words count.
        (None, Some(why), Err(error)) if why == "no node took the archive" => Some(last_words(&error)),
        (None, Some(why), _) => Some(why.clone()),
        (None, None, Err(error)) => Some(last_words(&error)),
        (None, None, Ok(())) => None,
    };
    outcome(&sink.node, sent, error)
}

fn last_words(error: &ExecError) -> String {
    error.tail().last().cloned().unwrap_or_else(|| error.to_string())
}

fn outcome(node: &str, bytes_sent: u64, error: Option<String>) -> NodeOutcome {
    let outcome = if error.is_some() { Outcome::LoadFailed } else { Outcome::Loaded };
    NodeOutcome { node: node.to_owned(), outcome, bytes_sent, error }
}

fn nodes_in_words(nodes: &[String]) -> String {
    match nodes {
        [one] => one.clone(),
        many => crate::ui::count(many.len(), "node"),
    }
}
