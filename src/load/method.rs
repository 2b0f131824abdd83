//! How images are loaded, decided once per run, with facts cached from the nodes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::archive::{Expected, NodeHolds};
use crate::context::Context;
use crate::images::plan::ImageLoad;
use crate::load::containerd::{self, NodeFacts, Targets};
use crate::store::Store;
use crate::tools::docker::PLATFORM_SAVE_API;

/// How images are loaded, decided once per run.
#[derive(Debug, Clone)]
pub(crate) struct Method {
    /// The engine's API version.
    pub(crate) api: (u32, u32),
    /// Where images are read from.
    pub(crate) source: Source,
    /// The store, while loading from it.
    pub(crate) store: Option<Arc<Store>>,
    /// Facts about the nodes; each is asked once.
    pub(crate) nodes: Arc<Mutex<BTreeMap<String, NodeFacts>>>,
    /// What the names on each node pointed to before it was written to; `None` if it did not answer.
    pub(crate) before: Arc<Mutex<BTreeMap<String, Option<Targets>>>>,
}

/// Where images are read from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The container engine, image by image.
    Engine,
    /// A file with all images.
    Archive { path: PathBuf, images: Vec<Expected> },
}

impl Method {
    /// Reads from an engine with this API version.
    pub(crate) fn new(api: (u32, u32)) -> Self {
        Self { api, source: Source::Engine, store: None, nodes: Arc::default(), before: Arc::default() }
    }

    /// The facts about a node's containerd, asking the node if unknown. The first call must precede any write, as it
    /// also records what the node's names point to.
    pub(super) fn facts(&self, context: &Context, node: &str) -> NodeFacts {
        let known = lock(&self.nodes).get(node).cloned();
        known.unwrap_or_else(|| {
            let (facts, names) = containerd::facts(context, node);
            lock(&self.nodes).insert(node.to_owned(), facts.clone());
            lock(&self.before).entry(node.to_owned()).or_insert(names);
            facts
        })
    }

    /// What the names on a node pointed to before this run wrote to it. If unknown, asks the node, so the first call must
    /// precede any write; unlike facts, this is never refreshed.
    pub(super) fn before(&self, context: &Context, node: &str) -> Option<Targets> {
        let known = lock(&self.before).get(node).cloned();
        known.unwrap_or_else(|| {
            let asked = context.tools.node(node).targets().ok();
            lock(&self.before).entry(node.to_owned()).or_insert(asked).clone()
        })
    }

    /// Records what a node holds after an import, so that it need not be asked again.
    pub(super) fn now_holds(&self, node: &str, holds: NodeHolds) {
        if let Some(facts) = lock(&self.nodes).get_mut(node) {
            facts.holds = holds;
        }
    }

    /// Notes that a node cannot connect to this machine.
    pub(super) fn cannot_connect(&self, node: &str) {
        if let Some(facts) = lock(&self.nodes).get_mut(node) {
            facts.gateway = None;
        }
    }

    /// Forgets the facts about a node, since a failed import may have left anything.
    pub(super) fn forget(&self, node: &str) {
        lock(&self.nodes).remove(node);
    }

    /// The `--platform` for `docker save`: otherwise an engine with containerd's store exports an index of
    /// which it may only have one platform, which no node can import (kind#3795).
    pub(crate) fn platform(&self, load: &ImageLoad) -> Option<String> {
        (self.api >= PLATFORM_SAVE_API).then(|| load.platform.to_string())
    }
}

/// Ignores poisoning: every change here is a single step, so a panic leaves nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
