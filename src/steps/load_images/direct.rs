//! From the engine straight into the nodes' containerd: one `docker save`, read once, rewritten for each node
//! without the layers that it holds, and written to all nodes at the same time. Nothing is kept in a file,
//! and memory is bounded by the queues.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Given, Method, verify};
use crate::archive::{self, Digest, Expected, Limits, NodeError, NodeHolds, Sink};
use crate::context::Context;
use crate::images::outcome::Outcome;
use crate::images::plan::ImageLoad;
use crate::process::{ExecError, Interrupt, Running};
use crate::tools::Docker;
use crate::ui::{Transfer, bytes, count};

/// How long a node may take nothing before the others go on without it.
const STALL: Duration = Duration::from_secs(120);

/// Bytes of one image that may wait for its slowest node.
const QUEUE: usize = 4 * 1024 * 1024;

/// What a node's `ctr` is told. Without `--all-platforms`, as the archive holds one.
const IMPORT: &[&str] = &["ctr", "--namespace", "k8s.io", "images", "import"];

/// A node whose import has been started.
struct Import {
    node: String,
    process: Box<dyn Running>,
}

/// Gives an image to `nodes` and returns what came of it on each.
///
/// A node that refuses an archive from which layers were left out gets the image whole, once.
/// Adds to `read` what the engine gave.
pub(super) fn give(
    context: &Context,
    method: &Method,
    load: &ImageLoad,
    diff_ids: &[Digest],
    nodes: &[String],
    read: &AtomicU64,
) -> Vec<Given> {
    let name = load.image.familiar();
    let transfer = context.ui.transfer(&format!("loading {name} into {}", nodes_in_words(nodes)));
    let sending = Sending { context, method, load, diff_ids, transfer: &transfer, read };
    let mut given = sending.attempt(nodes, true);
    let refused: Vec<String> = given
        .iter()
        .filter(|given| given.is_refused_delta && !context.interrupt.is_set())
        .map(|given| given.outcome.node.clone())
        .collect();
    if !refused.is_empty() {
        context
            .ui
            .verbose(&format!("{} refused a part of {name}; sending it whole", count(refused.len(), "node")));
        for node in &refused {
            // A name that a failed import left would pass for the image.
            verify::remove(context, node, &load.image.to_string());
        }
        let mut again = sending.attempt(&refused, false);
        for given in &mut again {
            given.outcome.sent_whole = true;
        }
        given.retain(|given| !refused.contains(&given.outcome.node));
        given.extend(again);
    }
    given.sort_by(|a, b| a.outcome.node.cmp(&b.outcome.node));
    let failed = given.iter().filter(|given| given.outcome.outcome != Outcome::Loaded).count();
    if failed == 0 {
        let sent = given.iter().map(|given| given.outcome.bytes_sent).sum();
        transfer.done(&format!("loaded {name} into {}", nodes_in_words(nodes)), Some(sent));
    } else {
        transfer.failed(&format!("{name} did not get into {}", count(failed, "node")));
    }
    given
}

/// Whether a node refused because it has no `ctr`, or cannot be entered by `docker exec` at all.
pub(super) fn is_without_ctr(given: &Given) -> bool {
    let error = given.outcome.error.as_deref().unwrap_or_default();
    given.outcome.outcome == Outcome::LoadFailed
        && (error.contains("executable file not found")
            || error.contains("no such file or directory: unknown"))
}

/// The layers of an image in the engine; none where the engine does not say, and then all are sent.
pub(super) fn diff_ids(context: &Context, load: &ImageLoad) -> Vec<Digest> {
    let found = context.tools.docker.images(&[load.image.familiar()]).unwrap_or_default();
    let layers = found.into_iter().next().map(|(_, image)| image.root_fs.layers).unwrap_or_default();
    layers.iter().map(|layer| layer.parse()).collect::<Result<_, _>>().unwrap_or_default()
}

/// One image on its way from the engine to some nodes.
struct Sending<'a> {
    context: &'a Context,
    method: &'a Method,
    load: &'a ImageLoad,
    diff_ids: &'a [Digest],
    transfer: &'a Transfer,
    read: &'a AtomicU64,
}

impl Sending<'_> {
    fn attempt(&self, nodes: &[String], leave_out: bool) -> Vec<Given> {
        // The classic store gathers an archive before the first byte comes; meanwhile the imports are started.
        let save = Docker::save(&[self.load.image.familiar()], self.method.platform(self.load).as_deref());
        let mut save = match self.context.tools.runner().start(&save) {
            Ok(save) => save,
            Err(error) => return nodes.iter().map(|node| Given::failed(node, error.to_string())).collect(),
        };
        let (mut imports, mut sinks, mut given) = (Vec::new(), Vec::new(), Vec::new());
        let opened: Vec<_> = std::thread::scope(|scope| {
            let open = |node: &String| {
                let node = node.clone();
                scope.spawn(move || self.open(&node, leave_out))
            };
            let opening: Vec<_> = nodes.iter().map(open).collect();
            opening.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        for (node, opened) in nodes.iter().zip(opened) {
            match opened {
                Ok(Ok((import, sink))) => {
                    imports.push(import);
                    sinks.push(sink);
                }
                Ok(Err(error)) => given.push(Given::failed(node, last_words(&error))),
                Err(_) => given.push(Given::failed(node, "the import could not be started".to_owned())),
            }
        }
        if sinks.is_empty() {
            return given;
        }
        let sent = self.read_and_send(save.as_mut(), sinks);
        let whole_failure = sent.as_ref().err().cloned();
        let mut by_node: Vec<archive::NodeOutcome> = sent.unwrap_or_default();
        for import in imports {
            let place = by_node.iter().position(|outcome| outcome.node == import.node);
            let outcome = place.map(|place| by_node.swap_remove(place));
            given.push(self.close(import, outcome, whole_failure.as_deref()));
        }
        given
    }

    /// Starts a node's import, and says what the node holds.
    fn open(&self, node: &str, leave_out: bool) -> Result<(Import, Sink), ExecError> {
        let facts = self.method.facts(self.context, node);
        let mut args = IMPORT.to_vec();
        if let Some(snapshotter) = &facts.snapshotter {
            args.extend(["--snapshotter", snapshotter]);
        }
        args.push("-");
        let mut process = self.context.tools.runner().start(&Docker::change_inside(node, &args))?;
        let writer = process.take_input().unwrap_or_else(|| Box::new(io::sink()));
        let holds = if leave_out { facts.holds } else { NodeHolds::nothing() };
        Ok((Import { node: node.to_owned(), process }, Sink { node: node.to_owned(), writer, holds }))
    }

    /// Reads the image from the engine once, and sends it to all sinks.
    fn read_and_send(
        &self,
        save: &mut dyn Running,
        sinks: Vec<Sink>,
    ) -> Result<Vec<archive::NodeOutcome>, String> {
        let interrupt = &self.context.interrupt;
        let output = save.take_output().ok_or("the engine's archive cannot be read")?;
        let source = UntilInterrupt { inner: output, interrupt: interrupt.clone() };
        let expected =
            Expected { diff_ids: self.diff_ids.to_vec(), ..Expected::named(self.load.image.to_string()) };
        let limits = Limits { stall: STALL, queue_bytes: QUEUE };
        let sent = archive::transfer(source, &[expected], sinks, limits, &|progress| {
            self.transfer.at(progress.bytes_read, None);
        });
        match sent {
            // `docker save` may end with success all the same, and the archive be whole although it does not.
            Ok(sent) => {
                self.read.fetch_add(sent.bytes_read, Ordering::Relaxed);
                match save.wait(interrupt) {
                    Ok(()) => Ok(sent.nodes),
                    Err(error) => Err(last_words(&error)),
                }
            }
            Err(error) => {
                let words = save.has_ended().then(|| save.wait(interrupt).err()).flatten();
                save.stop();
                Err(match words {
                    Some(words) => format!("{error}: {}", last_words(&words)),
                    None => chain(&error),
                })
            }
        }
    }

    /// Ends one node's import and says what came of it.
    fn close(
        &self,
        mut import: Import,
        sent: Option<archive::NodeOutcome>,
        whole_failure: Option<&str>,
    ) -> Given {
        let Some(sent) = sent else {
            // The archive broke off before its index, so the import fails by itself; a stuck one is ended.
            import.process.stop();
            self.method.forget(&import.node);
            return Given::failed(&import.node, whole_failure.unwrap_or("nothing was sent").to_owned());
        };
        if matches!(sent.error, Some(NodeError::Stalled(_))) {
            import.process.stop();
        }
        let ended = import.process.wait(&self.context.interrupt);
        let error = match (&ended, &sent.error) {
            // What the node says explains why it stopped reading.
            (Err(error), Some(NodeError::Write(_)) | None) => Some(last_words(error)),
            (_, Some(error)) => Some(chain(error)),
            (Ok(()), None) => None,
        };
        self.context.ui.verbose(&format!(
            "{}: {} sent, {} layers sent, {} left out",
            import.node,
            bytes(sent.bytes_sent),
            sent.layers_sent,
            sent.layers_left_out
        ));
        let mut given = if let Some(error) = error {
            self.method.forget(&import.node);
            Given::failed(&import.node, error)
        } else {
            self.method.now_holds(&import.node, sent.holds);
            Given::loaded(&import.node)
        };
        given.outcome.bytes_sent = sent.bytes_sent;
        given.is_refused_delta = given.outcome.error.is_some()
            && (sent.layers_left_out > 0 || matches!(sent.error, Some(NodeError::LayerNotHeld { .. })));
        given.manifest = sent.manifests.first().map(|(_, digest)| *digest);
        given
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn last_words(error: &ExecError) -> String {
    error.tail().last().cloned().unwrap_or_else(|| error.to_string())
}

fn nodes_in_words(nodes: &[String]) -> String {
    match nodes {
        [one] => one.clone(),
        many => count(many.len(), "node"),
    }
}

/// A source that breaks off when the user interrupts.
struct UntilInterrupt {
    inner: Box<dyn Read + Send>,
    interrupt: Interrupt,
}

impl Read for UntilInterrupt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupt.is_set() {
            return Err(io::Error::other("interrupted"));
        }
        self.inner.read(buffer)
    }
}
