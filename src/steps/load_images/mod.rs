//! Loads images into the nodes: pulls a few at a time, hands each to the nodes as soon as it is there,
//! and asks the nodes what they hold afterwards.

mod direct;
mod through_kind;
mod verify;

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::archive::Digest;
use crate::context::Context;
use crate::images::loading::Loader;
use crate::images::outcome::{ImageOutcome, NodeOutcome, Outcome};
use crate::images::plan::ImageLoad;
use crate::tools::docker::PLATFORM_SAVE_API;

pub(crate) use verify::held_by_nodes;

use super::pull_image::{self, Pulled};

/// How images are loaded, decided once for a run.
#[derive(Debug, Clone)]
pub(crate) struct Method {
    /// How many images are pulled at a time.
    pub(crate) jobs: usize,
    /// How they get into nodes.
    pub(crate) loader: Loader,
    /// The API that the engine speaks.
    pub(crate) api: (u32, u32),
    /// The kind cluster.
    pub(crate) cluster: String,
    /// The snapshotters of the nodes that were asked for it.
    pub(crate) snapshotters: Arc<Mutex<BTreeMap<String, Option<String>>>>,
}

impl Method {
    /// The snapshotter that a node's containerd unpacks into; each node is asked once.
    fn snapshotter(&self, context: &Context, node: &str) -> Option<String> {
        let known = self.snapshotters.lock().ok().and_then(|known| known.get(node).cloned());
        known.unwrap_or_else(|| {
            let asked = verify::snapshotter(context, node);
            if let Ok(mut known) = self.snapshotters.lock() {
                known.insert(node.to_owned(), asked.clone());
            }
            asked
        })
    }

    /// What to say to `docker save` about the platform: an engine with containerd's store otherwise exports
    /// an index of which it may hold only one platform, which no node can import (kind#3795).
    pub(crate) fn platform(&self, load: &ImageLoad) -> Option<String> {
        (self.api >= PLATFORM_SAVE_API).then(|| load.platform.to_string())
    }
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
        let outcome =
            NodeOutcome { node: node.to_owned(), outcome: Outcome::Loaded, bytes_sent: 0, error: None };
        Self { outcome, manifest: None, is_refused_delta: false }
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
    manifests: BTreeMap<String, Digest>,
    pulled_from: Option<String>,
    nodes: BTreeMap<String, NodeOutcome>,
    busy: f64,
    failure: Option<(Outcome, String, Option<String>)>,
}

/// Loads `loads` and returns what came of each, in the same order.
///
/// One image that fails does not stop the others. Loads go first to the nodes on which pods wait.
///
/// # Errors
/// Fails as a whole only when the user interrupts.
pub(crate) fn load_images(
    context: &Context,
    method: &Method,
    loads: &[ImageLoad],
) -> anyhow::Result<Vec<ImageOutcome>> {
    let queue: Mutex<VecDeque<ImageLoad>> = Mutex::new(loads.iter().cloned().collect());
    let (sender, ready) = channel();
    let mut items = std::thread::scope(|scope| {
        for _ in 0..method.jobs.min(loads.len()) {
            let sender = sender.clone();
            let queue = &queue;
            scope.spawn(move || pull_from_queue(context, queue, &sender));
        }
        drop(sender);
        hand_to_nodes(context, method, &ready)
    });
    context.check_interrupt()?;
    verify::check_and_mend(context, method, &mut items)?;
    context.check_interrupt()?;
    let mut outcomes: Vec<ImageOutcome> = items.into_iter().map(Item::outcome).collect();
    let place =
        |outcome: &ImageOutcome| loads.iter().position(|load| load.image.to_string() == outcome.image);
    outcomes.sort_by_key(place);
    Ok(outcomes)
}

fn pull_from_queue(context: &Context, queue: &Mutex<VecDeque<ImageLoad>>, ready: &Sender<Item>) {
    loop {
        let next = queue.lock().ok().and_then(|mut queue| queue.pop_front());
        let Some(load) = next else { return };
        if context.interrupt.is_set() {
            return;
        }
        let started = Instant::now();
        let mut item = Item {
            load,
            manifests: BTreeMap::new(),
            pulled_from: None,
            nodes: BTreeMap::new(),
            busy: 0.0,
            failure: None,
        };
        match pull_image::ensure_in_engine(context, &item.load) {
            Ok(Pulled { from }) => item.pulled_from = from,
            Err(failure) => {
                item.failure = Some((Outcome::PullFailed, failure.error, failure.hint));
            }
        }
        item.busy += started.elapsed().as_secs_f64();
        if ready.send(item).is_err() {
            return;
        }
    }
}

/// Loads what arrives, first where pods wait; the other nodes come when nothing else is ready.
fn hand_to_nodes(context: &Context, method: &Method, ready: &Receiver<Item>) -> Vec<Item> {
    let (mut done, mut later): (Vec<Item>, VecDeque<Item>) = (Vec::new(), VecDeque::new());
    loop {
        let next = match ready.try_recv() {
            Ok(item) => Some(item),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) if !later.is_empty() => None,
            Err(TryRecvError::Empty) => ready.recv().ok(),
        };
        if context.interrupt.is_set() {
            done.extend(later);
            return done;
        }
        if let Some(mut item) = next {
            if item.failure.is_none() {
                let nodes = item.load.first.clone();
                give(context, method, &mut item, &nodes);
            }
            later.push_back(item);
        } else if let Some(mut item) = later.pop_front() {
            if item.failure.is_none() {
                let nodes = item.load.then.clone();
                give(context, method, &mut item, &nodes);
            }
            done.push(item);
        } else {
            return done;
        }
    }
}

/// Gives one image to `nodes`, all at once, and notes what came of it on each.
fn give(context: &Context, method: &Method, item: &mut Item, nodes: &[String]) {
    if nodes.is_empty() {
        return;
    }
    let started = Instant::now();
    let given = match method.loader {
        Loader::Kind => through_kind::give(context, method, &item.load, nodes),
        Loader::Direct | Loader::Auto => {
            let given = direct::give(context, method, &item.load, nodes);
            if method.loader == Loader::Auto && given.iter().all(direct::is_without_ctr) {
                context.ui.verbose("the nodes have no `ctr`; loading through kind");
                through_kind::give(context, method, &item.load, nodes)
            } else {
                given
            }
        }
    };
    item.busy += started.elapsed().as_secs_f64();
    for given in given {
        let node = given.outcome.node.clone();
        match given.manifest {
            Some(manifest) => item.manifests.insert(node.clone(), manifest),
            None => item.manifests.remove(&node),
        };
        item.nodes.insert(node, given.outcome);
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
