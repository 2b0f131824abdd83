//! Loads images into the nodes: pulls a few at a time, hands each to the nodes as soon as it is there,
//! and asks the nodes what they hold afterwards.

pub(crate) mod archive_file;
mod board;
pub(crate) mod find;
mod kind;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod report;
pub(crate) mod restart;
mod send;
mod verify;
pub(crate) mod waves;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::archive::{Digest, Expected, NodeHolds};
use crate::context::Context;
use crate::images::loading::Loader;
use crate::images::outcome::{Effort, ImageOutcome, NodeOutcome, Outcome};
use crate::images::plan::ImageLoad;
use crate::tools::docker::PLATFORM_SAVE_API;

pub(crate) use verify::held_by_nodes;

use crate::load::pull::Pulled;
use board::{Board, Round, Task, Turn};
use send::Cargo;

/// How many images are on their way into nodes at the same time. Each has a queue in memory.
const STREAMS: usize = 4;
/// How often an interrupt is looked for while there is nothing to do.
const POLL: Duration = Duration::from_millis(100);

/// How images are loaded, decided once for a run.
#[derive(Debug, Clone)]
pub(crate) struct Method {
    /// How many images are pulled at a time.
    pub(crate) jobs: usize,
    /// How they get into nodes.
    pub(crate) loader: Loader,
    /// The API that the engine speaks.
    pub(crate) api: (u32, u32),
    pub(crate) cluster: String,
    /// Where images are read from.
    pub(crate) source: Source,
    /// What the nodes said of themselves; each is asked once.
    pub(crate) nodes: Arc<Mutex<BTreeMap<String, NodeFacts>>>,
}

/// Where images are read from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The container engine, image by image.
    Engine,
    /// A file that holds them all.
    Archive { path: PathBuf, images: Vec<Expected> },
}

/// What a node said of its containerd.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeFacts {
    /// The snapshotter that it unpacks into, where that is not the default.
    snapshotter: Option<String>,
    /// The content that it held, and what it was given since.
    holds: NodeHolds,
}

impl Method {
    /// What is known of a node's containerd; the node is asked when nothing is.
    fn facts(&self, context: &Context, node: &str) -> NodeFacts {
        let known = lock(&self.nodes).get(node).cloned();
        known.unwrap_or_else(|| {
            let asked = verify::facts(context, node);
            lock(&self.nodes).insert(node.to_owned(), asked.clone());
            asked
        })
    }

    /// Notes what a node holds after it took an image, so that it need not be asked before the next.
    fn now_holds(&self, node: &str, holds: NodeHolds) {
        if let Some(facts) = lock(&self.nodes).get_mut(node) {
            facts.holds = holds;
        }
    }

    /// Forgets what a node said: an import that failed may have left anything.
    fn forget(&self, node: &str) {
        lock(&self.nodes).remove(node);
    }

    /// What to say to `docker save` about the platform: an engine with containerd's store otherwise exports
    /// an index of which it may hold only one platform, which no node can import (kind#3795).
    pub(crate) fn platform(&self, load: &ImageLoad) -> Option<String> {
        (self.api >= PLATFORM_SAVE_API).then(|| load.platform.to_string())
    }
}

/// What a thread that panicked has left is whole: nothing here is changed in two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came of one image on one node, before the node was asked again.
struct Given {
    outcome: NodeOutcome,
    /// The manifest that the node was given, where that is known.
    manifest: Option<Digest>,
    /// Whether it failed although only what the node holds was left out.
    is_refused_delta: bool,
}

impl Given {
    fn loaded(node: &str) -> Self {
        let outcome = NodeOutcome {
            node: node.to_owned(),
            outcome: Outcome::Loaded,
            bytes_sent: 0,
            sent_whole: false,
            error: None,
        };
        Self { outcome, manifest: None, is_refused_delta: false }
    }

    fn is_loaded(&self) -> bool {
        self.outcome.outcome == Outcome::Loaded
    }

    fn failed(node: &str, error: String) -> Self {
        let mut given = Self::loaded(node);
        given.outcome.outcome = Outcome::LoadFailed;
        given.outcome.error = Some(error);
        given
    }
}

/// One image on its way.
struct Item {
    load: ImageLoad,
    /// Its layers from the bottom up, once it is in the engine; none where the engine does not say.
    diff_ids: Vec<Digest>,
    manifests: BTreeMap<String, Digest>,
    pulled_from: Option<String>,
    nodes: BTreeMap<String, NodeOutcome>,
    bytes_read: u64,
    busy: f64,
    failure: Option<(Outcome, String, Option<String>)>,
}

/// What came of some images.
pub(crate) struct Loaded {
    /// Each of them, in the order in which they were asked for.
    pub(crate) images: Vec<ImageOutcome>,
    pub(crate) effort: Effort,
}

/// Loads `loads` and says what came of each.
///
/// One image that fails does not stop the others. Loads go first to the nodes on which pods wait.
///
/// # Errors
/// Fails as a whole only when the user interrupts.
pub(crate) fn load_images(context: &Context, method: &Method, loads: &[ImageLoad]) -> anyhow::Result<Loaded> {
    let run = Run::new(context, method, loads);
    std::thread::scope(|scope| {
        for _ in 0..method.jobs.min(loads.len()) {
            scope.spawn(|| run.pull());
        }
        for _ in 0..run.streams() {
            scope.spawn(|| run.hand_to_nodes());
        }
    });
    context.check_interrupt()?;
    let until_first = lock(&run.first_done).map_or(0.0, |at| seconds(at - run.began));
    let began = run.began;
    let mut items: Vec<Item> =
        run.items.into_iter().map(|item| item.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
    verify::check_and_mend(context, method, &mut items)?;
    context.check_interrupt()?;
    let effort = Effort {
        seconds: seconds(began.elapsed()),
        seconds_until_pods_can_start: until_first,
        bytes_read: items.iter().map(|item| item.bytes_read).sum(),
    };
    Ok(Loaded { images: items.into_iter().map(Item::outcome).collect(), effort })
}

/// Seconds with three digits after the point.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Images between the registries and the nodes.
struct Run<'a> {
    context: &'a Context,
    method: &'a Method,
    began: Instant,
    items: Vec<Mutex<Item>>,
    /// The next image to pull.
    next_pull: AtomicUsize,
    board: Mutex<Board>,
    changed: Condvar,
    /// When the last image was where pods wait for it.
    first_done: Mutex<Option<Instant>>,
}

impl<'a> Run<'a> {
    fn new(context: &'a Context, method: &'a Method, loads: &[ImageLoad]) -> Self {
        let item = |load: &ImageLoad| Item {
            load: load.clone(),
            diff_ids: Vec::new(),
            manifests: BTreeMap::new(),
            pulled_from: None,
            nodes: BTreeMap::new(),
            bytes_read: 0,
            busy: 0.0,
            failure: None,
        };
        Self {
            context,
            method,
            began: Instant::now(),
            items: loads.iter().map(item).map(Mutex::new).collect(),
            next_pull: AtomicUsize::new(0),
            board: Mutex::new(match method.source {
                Source::Archive { .. } => Board::together(loads.len()),
                Source::Engine => Board::new(loads.len()),
            }),
            changed: Condvar::new(),
            first_done: Mutex::new(None),
        }
    }

    /// How many archives can be on their way at the same time: no node takes two, and one more is prepared.
    fn streams(&self) -> usize {
        let nodes: BTreeSet<String> = self
            .items
            .iter()
            .flat_map(|item| lock(item).load.nodes().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        nodes.len().min(STREAMS) + 1
    }

    /// Pulls one image after the other.
    fn pull(&self) {
        loop {
            let place = self.next_pull.fetch_add(1, Ordering::Relaxed);
            let Some(item) = self.items.get(place) else { return };
            if self.context.interrupt.is_set() {
                return;
            }
            let started = Instant::now();
            let load = lock(item).load.clone();
            let pulled = pull::ensure_in_engine(self.context, &load);
            let diff_ids = match &self.method.source {
                Source::Archive { images, .. } => known_layers(images, &load),
                Source::Engine if pulled.is_ok() => send::diff_ids(self.context, &load),
                Source::Engine => Vec::new(),
            };
            let mut item = lock(item);
            item.busy += started.elapsed().as_secs_f64();
            let mut board = lock(&self.board);
            match pulled {
                Ok(Pulled { from }) => {
                    item.pulled_from = from;
                    item.diff_ids = diff_ids;
                    board.arrived(place, &load.first, &load.then);
                }
                Err(failure) => {
                    item.failure = Some((Outcome::PullFailed, failure.error, failure.hint));
                    board.will_not_come();
                }
            }
            self.changed.notify_all();
        }
    }

    /// Carries out one task after the other until none is left.
    fn hand_to_nodes(&self) {
        while let Some((task, has_nodes)) = self.next_task() {
            let mut items: Vec<_> = task.parts.iter().map(|part| lock(&self.items[part.image])).collect();
            let shipments = items
                .iter_mut()
                .zip(&task.parts)
                .map(|(item, part)| (&mut **item, &part.nodes[..]))
                .collect();
            let has_nodes = Cell::new(has_nodes);
            give(self.context, self.method, shipments, &|| {
                has_nodes.set(has_nodes.get() || self.wait_for_nodes(&task));
                has_nodes.get()
            });
            drop(items);
            if task.round == Round::First {
                *lock(&self.first_done) = Some(Instant::now());
            }
            lock(&self.board).ended(&task);
            self.changed.notify_all();
        }
    }

    /// Waits until the nodes of a prepared task are free, or returns `false` when the user interrupts.
    fn wait_for_nodes(&self, task: &Task) -> bool {
        let mut board = lock(&self.board);
        while !board.claim(task) {
            if self.context.interrupt.is_set() {
                return false;
            }
            board = self.changed.wait_timeout(board, POLL).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// What to do next, and whether its nodes are free already.
    fn next_task(&self) -> Option<(Task, bool)> {
        let mut board = lock(&self.board);
        loop {
            if self.context.interrupt.is_set() {
                return None;
            }
            match board.next() {
                Turn::Start(task) => return Some((task, true)),
                Turn::Prepare(task) => return Some((task, false)),
                Turn::Over => return None,
                Turn::Wait => {
                    board = self.changed.wait_timeout(board, POLL).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }
}

/// The layers that an archive was found to hold of an image.
fn known_layers(images: &[Expected], load: &ImageLoad) -> Vec<Digest> {
    let name = load.image.to_string();
    images.iter().find(|image| image.name == name).map(|image| image.diff_ids.clone()).unwrap_or_default()
}

/// Gives images to their nodes, all at once, and notes what came of each on each node.
///
/// `ready` waits until the nodes may be written to, and returns `false` when that is not to be.
fn give(
    context: &Context,
    method: &Method,
    shipments: Vec<(&mut Item, &[String])>,
    ready: &dyn Fn() -> bool,
) {
    let began = Cell::new(Instant::now());
    let ready = || {
        let is_ready = ready();
        began.set(Instant::now());
        is_ready
    };
    let read = AtomicU64::new(0);
    let cargo: Vec<Cargo<'_>> = shipments
        .iter()
        .map(|(item, nodes)| Cargo { load: &item.load, diff_ids: &item.diff_ids, nodes })
        .collect();
    let through_kind = || -> Vec<Vec<Given>> {
        if !ready() {
            return cargo.iter().map(|_| Vec::new()).collect();
        }
        cargo.iter().map(|one| kind::give(context, method, one.load, one.nodes, &read)).collect()
    };
    let given = match method.loader {
        Loader::Kind => through_kind(),
        Loader::Direct | Loader::Auto => {
            let given = send::give(context, method, &cargo, &ready, &read);
            if method.loader == Loader::Auto && given.iter().flatten().all(send::is_without_ctr) {
                context.ui.verbose("the nodes have no `ctr`; loading through kind");
                through_kind()
            } else {
                given
            }
        }
    };
    // What one of them took is not known, so each took an equal share.
    let busy = began.get().elapsed().div_f64(shipments.iter().map(|_| 1.0).sum());
    let mut read = read.into_inner();
    for ((item, _), given) in shipments.into_iter().zip(given) {
        item.busy += busy.as_secs_f64();
        item.bytes_read += std::mem::take(&mut read);
        for given in given {
            let node = given.outcome.node.clone();
            match given.manifest {
                Some(manifest) => item.manifests.insert(node.clone(), manifest),
                None => item.manifests.remove(&node),
            };
            item.nodes.insert(node, given.outcome);
        }
    }
}

impl Item {
    fn outcome(self) -> ImageOutcome {
        let nodes: Vec<NodeOutcome> = self.nodes.into_values().collect();
        let failed: Vec<&NodeOutcome> =
            nodes.iter().filter(|node| node.outcome == Outcome::LoadFailed).collect();
        let (outcome, error, hint) = match self.failure {
            Some((outcome, error, hint)) => (outcome, Some(error), hint),
            None if !failed.is_empty() => {
                let why = |node: &&NodeOutcome| {
                    format!("node `{}`: {}", node.node, node.error.as_deref().unwrap_or("not complete"))
                };
                let error = failed.iter().map(why).collect::<Vec<_>>().join("; ");
                (Outcome::LoadFailed, Some(error), Some(load_hint(&failed).to_owned()))
            }
            None => (Outcome::Loaded, None, None),
        };
        ImageOutcome {
            image: self.load.image.to_string(),
            reasons: self.load.reasons.iter().copied().collect(),
            pods: self.load.pods.iter().cloned().collect(),
            outcome,
            pulled_from: self.pulled_from,
            nodes,
            seconds: (self.busy * 1000.0).round() / 1000.0,
            error,
            hint,
        }
    }
}

fn load_hint(failed: &[&NodeOutcome]) -> &'static str {
    let says = |text: &str| {
        failed.iter().any(|node| node.error.as_deref().unwrap_or_default().to_lowercase().contains(text))
    };
    if says("no space left") {
        return "free disk space for the engine (`docker system df`), then run it again";
    }
    if says("is not running") || says("no such container") {
        return "start the node (`docker start NODE`), then run it again";
    }
    "run it again; with `-v` each command is shown, and `--loader kind` takes another way"
}

#[cfg(test)]
mod tests;
