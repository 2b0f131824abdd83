//! An archive on its way to nodes: read once, from `docker save`, the store or a file, rewritten for each
//! node without the layers it holds, and written to all nodes in parallel. Nothing is buffered in a file, and
//! the queues bound memory.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::archive::{self, Digest, Expected, Limits, NodeError, NodeHolds, Sink};
use crate::context::Context;
use crate::error::with_causes;
use crate::images::plan::ImageLoad;
use crate::load::feed::Feed;
use crate::load::from_engine::why_it_ended;
use crate::load::node_import::NodeImport;
use crate::load::{Method, Source};
use crate::process::ExecError;
use crate::store::StoredImage;
use crate::tools::node::is_stopped;
use crate::tools::node_import::{StartedImport, Unpacking};
use crate::ui::{Transfer, bytes, count};

/// How long a node may accept nothing before the others continue without it.
const STALL: Duration = Duration::from_secs(120);

/// How long a node may take to unpack after the last byte.
const UNPACK: Duration = Duration::from_secs(10 * 60);

/// The bytes that may be queued for the slowest node.
const QUEUE: usize = 4 * 1024 * 1024;

/// A running import on a node.
struct RunningImport {
    node: String,
    import: StartedImport,
}

/// How a node's import ended.
struct Ended {
    node: String,
    /// What was sent; `None` if the archive ended early.
    sent: Option<archive::SinkOutcome>,
    result: Result<(), ExecError>,
}

/// An image for some nodes, as part of an archive.
#[derive(Clone, Copy)]
pub(super) struct ImageForNodes<'a> {
    pub(super) load: &'a ImageLoad,
    /// The layers from the bottom up; empty if the engine does not list them.
    pub(super) diff_ids: &'a [Digest],
    /// The image in the store; `None` if it comes from the engine or a file.
    pub(super) held: Option<&'a StoredImage>,
    pub(super) nodes: &'a [String],
    /// Whether a container will start from it soon. Otherwise it is not unpacked, which would take CPU and
    /// disk from images that pods wait for.
    pub(super) is_awaited: bool,
}

impl ImageForNodes<'_> {
    /// The image's name in the archive. The store's archives are made for nodes, which drop the tag of a
    /// pinned image.
    fn name(&self) -> String {
        let image = &self.load.image;
        if self.held.is_some() { image.node_name().to_string() } else { image.to_string() }
    }

    /// The layer blobs, if known before reading the archive.
    fn blobs(&self) -> Vec<Digest> {
        let image = self.held.and_then(|held| held.platforms.first());
        image.map(|image| image.layers.iter().map(|layer| layer.digest).collect()).unwrap_or_default()
    }
}

/// The progress line for these images.
pub(super) fn line(context: &Context, images: &[ImageForNodes<'_>]) -> Transfer {
    context.ui.transfer(&format!("loading {}", in_words(images)))
}

/// Such as `busybox:1.36 into 2 nodes`.
pub(super) fn in_words(images: &[ImageForNodes<'_>]) -> String {
    let nodes: Vec<&String> = nodes_of(images);
    let where_to = match &nodes[..] {
        [one] => (*one).clone(),
        many => count(many.len(), "node"),
    };
    match images {
        [one] => format!("{} into {where_to}", one.load.image.familiar()),
        many => format!("{} into {where_to}", count(many.len(), "image")),
    }
}

fn nodes_of<'a>(images: &[ImageForNodes<'a>]) -> Vec<&'a String> {
    let nodes: BTreeSet<&String> = images.iter().flat_map(|one| one.nodes).collect();
    nodes.into_iter().collect()
}

/// An archive on its way from the engine to some nodes.
pub(super) struct Sending<'a> {
    pub(super) context: &'a Context,
    pub(super) method: &'a Method,
    pub(super) images: &'a [ImageForNodes<'a>],
    /// The progress line, once the nodes are free.
    pub(super) transfer: &'a OnceLock<Transfer>,
    pub(super) read: &'a AtomicU64,
}

impl Sending<'_> {
    fn is_awaited(&self) -> bool {
        self.images.iter().any(|one| one.is_awaited)
    }

    fn transfer(&self) -> &Transfer {
        self.transfer.get_or_init(|| line(self.context, self.images))
    }

    /// Sends the archive, and returns each image's outcome on each node.
    ///
    /// `ready` is called once the engine has been asked for the archive, and returns whether the nodes may be
    /// written to.
    pub(super) fn run(&self, leave_out: bool, ready: &dyn Fn() -> bool) -> Vec<Vec<NodeImport>> {
        // The classic store gathers an archive before the first byte comes; meanwhile the nodes become free
        // and the imports are started. The store gives its own at once, by what the nodes hold.
        let mut early = match self.early_feed().transpose() {
            Ok(feed) => feed,
            Err(error) => return self.all_failed(&error),
        };
        if !ready() {
            early.iter_mut().for_each(Feed::stop);
            return self.all_failed("interrupted");
        }
        self.transfer();
        let nodes = nodes_of(self.images);
        let (mut imports, mut sinks, mut imported) = (Vec::new(), Vec::new(), self.nothing_imported());
        let opened: Vec<_> = std::thread::scope(|scope| {
            let open = |node: &&String| {
                let node = (*node).clone();
                scope.spawn(move || self.open(&node, leave_out))
            };
            let opening: Vec<_> = nodes.iter().map(open).collect();
            opening.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        for (node, opened) in nodes.into_iter().zip(opened) {
            match opened {
                Ok(Ok((import, sink))) => {
                    imports.push(import);
                    sinks.push(sink);
                }
                Ok(Err(error)) => self.failed_on(node, &error.last_words(), &mut imported),
                Err(_) => self.failed_on(node, "the import could not be started", &mut imported),
            }
        }
        if sinks.is_empty() {
            early.iter_mut().for_each(Feed::stop);
            return imported;
        }
        let sent = match early {
            Some(feed) => self.read_and_send(feed, sinks),
            None => self.store_feed(&sinks).and_then(|feed| self.read_and_send(feed, sinks)),
        };
        let whole_failure = sent.as_ref().err().cloned();
        let mut by_node: Vec<archive::SinkOutcome> = sent.unwrap_or_default();
        let mut of_node = |import: RunningImport| {
            let place = by_node.iter().position(|outcome| outcome.node == import.node);
            let sent = place.map(|place| by_node.swap_remove(place));
            (import, sent)
        };
        if self.is_awaited() {
            self.transfer().says("(unpacking)");
        }
        // In parallel, so that a hanging node does not block others.
        let ended: Vec<_> = std::thread::scope(|scope| {
            let end = |(import, sent)| scope.spawn(move || self.end(import, sent));
            let ending: Vec<_> = imports.into_iter().map(&mut of_node).map(end).collect();
            ending.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        for ended in ended.into_iter().flatten() {
            self.note(ended, whole_failure.as_deref(), &mut imported);
        }
        imported
    }

    /// Starts reading the archive from the engine or a file; `None` if it comes from the store.
    fn early_feed(&self) -> Option<Result<Feed, String>> {
        let is_in_store = self.method.store.is_some() && self.images.iter().any(|one| one.held.is_some());
        (!is_in_store).then(|| {
            let interrupt = &self.context.interrupt;
            match &self.method.source {
                Source::Archive { path, .. } => Feed::from_file(path, interrupt),
                Source::Engine => {
                    let names: Vec<String> =
                        self.images.iter().map(|one| one.load.image.familiar()).collect();
                    let platform = self.method.platform(self.images[0].load);
                    Feed::from_engine(self.context, &names, platform.as_deref())
                }
            }
        })
    }

    /// Starts reading the images from the store, without layers that no node needs.
    fn store_feed(&self, sinks: &[Sink]) -> Result<Feed, String> {
        let held: Vec<&StoredImage> = self.images.iter().filter_map(|one| one.held).collect();
        let store = self.method.store.as_ref().ok_or("the image store is not open")?;
        let is_pinned = held.iter().any(|held| held.image.digest().is_some());
        let layers = self.images.iter().flat_map(|one| {
            let blobs = one.blobs();
            let diff_ids: Vec<Option<Digest>> = if is_pinned || one.diff_ids.len() != blobs.len() {
                vec![None; blobs.len()]
            } else {
                one.diff_ids.iter().copied().map(Some).collect()
            };
            blobs.into_iter().zip(diff_ids)
        });
        let is_needless = |(blob, diff_id): &(Digest, Option<Digest>)| {
            sinks.iter().all(|sink| sink.holds.can_do_without(blob, diff_id.as_ref()))
        };
        let leave_out = layers.filter(is_needless).map(|(blob, _)| blob).collect();
        Feed::from_store(store, &held, leave_out, &self.context.interrupt)
    }

    fn nothing_imported(&self) -> Vec<Vec<NodeImport>> {
        self.images.iter().map(|_| Vec::new()).collect()
    }

    /// Marks all images meant for a node as failed there.
    fn failed_on(&self, node: &String, error: &str, imported: &mut [Vec<NodeImport>]) {
        for (one, imported) in self.images.iter().zip(imported) {
            if one.nodes.contains(node) {
                imported.push(NodeImport::failed(node, error.to_owned()));
            }
        }
    }

    fn all_failed(&self, error: &str) -> Vec<Vec<NodeImport>> {
        let mut imported = self.nothing_imported();
        for node in nodes_of(self.images) {
            self.failed_on(node, error, &mut imported);
        }
        imported
    }

    /// Starts an import on a node, and returns a sink with what the node holds.
    fn open(&self, node: &str, leave_out: bool) -> Result<(RunningImport, Sink), ExecError> {
        // This also records the names before writing, to undo a failed import.
        let facts = self.method.facts(self.context, node);
        let importer = self.context.tools.node(node);
        let unpacking =
            if self.is_awaited() { Unpacking::Into(facts.snapshotter.as_deref()) } else { Unpacking::Later };
        let over_network = facts.gateway.and_then(|gateway| {
            let interrupt = &self.context.interrupt;
            let import = importer.import_from(gateway, facts.import_flags, unpacking, UNPACK, interrupt);
            import
                .inspect_err(|why| {
                    self.method.cannot_connect(node);
                    self.context.ui.verbose(&format!(
                        "{node}: falls back to `docker exec`, as it could not connect: {why}"
                    ));
                })
                .ok()
        });
        let mut import = match over_network {
            Some(import) => import,
            None => importer.import(facts.import_flags, unpacking, UNPACK)?,
        };
        let writer = import.take_writer();
        let holds = if leave_out { facts.holds } else { NodeHolds::nothing() };
        let wanted = self.images.iter().filter(|one| one.nodes.iter().any(|name| name == node));
        let wants = wanted.map(ImageForNodes::name).collect();
        let sink = Sink { node: node.to_owned(), writer, holds, wants };
        Ok((RunningImport { node: node.to_owned(), import }, sink))
    }

    /// Reads the archive once and sends it to all sinks.
    fn read_and_send(&self, feed: Feed, sinks: Vec<Sink>) -> Result<Vec<archive::SinkOutcome>, String> {
        let interrupt = &self.context.interrupt;
        let Feed { reader, mut save } = feed;
        let expected: Vec<Expected> = self.images.iter().map(|one| self.expected(one)).collect();
        let limits = Limits { stall: STALL, queue_bytes: QUEUE };
        let sent = archive::transfer(reader, &expected, sinks, limits, &|progress| {
            self.transfer().at(progress.bytes_read, None);
        });
        match sent {
            // The archive and `docker save` can each fail while the other succeeds.
            Ok(sent) => {
                self.read.fetch_add(sent.bytes_read, Ordering::Relaxed);
                match save.as_mut().map_or(Ok(()), |save| save.wait(interrupt)) {
                    Ok(()) => Ok(sent.nodes),
                    Err(error) => Err(error.last_words()),
                }
            }
            Err(error) => {
                let words = save.as_mut().and_then(|save| why_it_ended(&mut **save, &error, self.context));
                Err(match words {
                    Some(words) => format!("{error}: {}", words.last_words()),
                    None => with_causes(&error),
                })
            }
        }
    }

    /// What is known about an image before reading it; for a file everything, including the platform.
    fn expected(&self, one: &ImageForNodes<'_>) -> Expected {
        let name = one.name();
        let seen = match &self.method.source {
            Source::Archive { images, .. } => images.iter().find(|image| image.name == name).cloned(),
            Source::Engine => None,
        };
        seen.unwrap_or_else(|| {
            let (diff_ids, blobs) = (one.diff_ids.to_vec(), one.blobs());
            Expected { diff_ids, blobs, ..Expected::named(name) }
        })
    }

    /// Ends one node's import.
    fn end(&self, mut import: RunningImport, sent: Option<archive::SinkOutcome>) -> Ended {
        let is_stalled = |sent: &archive::SinkOutcome| matches!(sent.error, Some(NodeError::Stalled(_)));
        // If the archive ended before its index, the import would fail by itself; a stuck one is stopped.
        if sent.as_ref().is_none_or(is_stalled) {
            import.import.stop();
        }
        let result = import.import.wait(&self.context.interrupt);
        Ended { node: import.node, sent, result }
    }

    /// Records the outcome of a node's import.
    fn note(&self, ended: Ended, whole_failure: Option<&str>, imported: &mut [Vec<NodeImport>]) {
        let Ended { node, sent, result } = ended;
        let Some(sent) = sent else {
            self.method.forget(&node);
            self.failed_on(&node, whole_failure.unwrap_or("nothing was sent"), imported);
            return;
        };
        let error = match (&result, &sent.error) {
            // The node's own error explains why it stopped reading.
            (Err(error), Some(NodeError::Write(_)) | None) => Some(error.last_words()),
            (_, Some(error)) => Some(with_causes(error)),
            (Ok(()), None) => None,
        };
        self.context.ui.verbose(&format!(
            "{}: {} sent, {} layers sent, {} left out",
            node,
            bytes(sent.bytes_sent),
            sent.layers_sent,
            sent.layers_left_out
        ));
        // A stopped node refuses everything, so do not retry.
        let is_gone = error.as_deref().is_some_and(is_stopped);
        let is_refused_delta = error.is_some()
            && !is_gone
            && (sent.layers_left_out > 0 || matches!(sent.error, Some(NodeError::LayerNotHeld { .. })));
        // Bytes not belonging to a single image count towards the first.
        let mut rest = sent.bytes_sent - sent.images.iter().map(|image| image.bytes).sum::<u64>();
        for (one, imported) in self.images.iter().zip(imported) {
            if !one.nodes.contains(&node) {
                continue;
            }
            let mut here = match &error {
                Some(error) => NodeImport::failed(&node, error.clone()),
                None => NodeImport::loaded(&node),
            };
            let name = one.name();
            let image = sent.images.iter().find(|image| image.name == name);
            here.manifest = image.map(|image| image.manifest);
            here.outcome.bytes_sent = std::mem::take(&mut rest) + image.map_or(0, |image| image.bytes);
            here.is_refused_delta = is_refused_delta;
            imported.push(here);
        }
        if error.is_some() {
            self.method.forget(&node);
        } else {
            self.method.now_holds(&node, sent.holds);
        }
    }
}
