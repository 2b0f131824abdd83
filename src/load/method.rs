//! How images are loaded: decided once for a run, with what the nodes said of themselves meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::archive::{Expected, NodeHolds};
use crate::context::Context;
use crate::images::loading::Loader;
use crate::images::plan::ImageLoad;
use crate::load::containerd::{self, NodeFacts, Targets};
use crate::store::Store;
use crate::tools::docker::PLATFORM_SAVE_API;

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
    /// The store, while images of it are loaded.
    pub(crate) store: Option<Arc<Store>>,
    /// What the nodes said of themselves; each is asked once.
    pub(crate) nodes: Arc<Mutex<BTreeMap<String, NodeFacts>>>,
    /// Where the names on each node led before it was written to; none where it could not say.
    pub(crate) before: Arc<Mutex<BTreeMap<String, Option<Targets>>>>,
}

/// Where images are read from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The container engine, image by image.
    Engine,
    /// A file that holds them all.
    Archive { path: PathBuf, images: Vec<Expected> },
}

impl Method {
    /// What is known of a node's containerd; the node is asked when nothing is.
    pub(super) fn facts(&self, context: &Context, node: &str) -> NodeFacts {
        let known = lock(&self.nodes).get(node).cloned();
        known.unwrap_or_else(|| {
            let asked = containerd::facts(context, node);
            lock(&self.nodes).insert(node.to_owned(), asked.clone());
            asked
        })
    }

    /// Where the names on a node led before this run wrote to it. The node is asked the first time, which must be
    /// before it is written to; unlike its facts, this is never asked again.
    pub(super) fn before(&self, context: &Context, node: &str) -> Option<Targets> {
        let known = lock(&self.before).get(node).cloned();
        known.unwrap_or_else(|| {
            let asked = context.tools.node(node).targets().ok();
            lock(&self.before).entry(node.to_owned()).or_insert(asked).clone()
        })
    }

    /// Notes what a node holds after it took an image, so that it need not be asked before the next.
    pub(super) fn now_holds(&self, node: &str, holds: NodeHolds) {
        if let Some(facts) = lock(&self.nodes).get_mut(node) {
            facts.holds = holds;
        }
    }

    /// Forgets what a node said: an import that failed may have left anything.
    pub(super) fn forget(&self, node: &str) {
        lock(&self.nodes).remove(node);
    }

    /// What to say to `docker save` about the platform: an engine with containerd's store otherwise exports
    /// an index of which it may hold only one platform, which no node can import (kind#3795).
    pub(crate) fn platform(&self, load: &ImageLoad) -> Option<String> {
        (self.api >= PLATFORM_SAVE_API).then(|| load.platform.to_string())
    }
}

/// What a thread that panicked has left is whole: nothing here is changed in two steps.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
