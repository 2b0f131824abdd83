//! A run of loads: pulls a few images at a time and sends each to the nodes as soon as it has arrived.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::archive::{Digest, Expected};
use crate::context::Context;
use crate::error::with_causes;
use crate::images::outcome::{Effort, ImageOutcome, Outcome, Provenance};
use crate::images::plan::ImageLoad;
use crate::load::board::{Board, Round, Task, Turn};
use crate::load::fetch::{Fetcher, ReadyImage, open_store};
use crate::load::give::{Item, give};
use crate::load::method::lock;
use crate::load::{Method, Source, send, verify};
use crate::store::StoredImage;

/// The maximum number of concurrent streams into nodes. Each has a queue in memory.
const STREAMS: usize = 4;
/// How often to check for an interrupt while idle.
const POLL: Duration = Duration::from_millis(100);

/// The outcomes of a run.
pub(crate) struct Loaded {
    /// One outcome per image, in request order.
    pub(crate) images: Vec<ImageOutcome>,
    pub(crate) effort: Effort,
}

/// Runs `loads` and returns each outcome.
///
/// A failed image does not stop the others. Nodes with waiting pods are served first.
///
/// # Errors
/// Fails as a whole only if the user interrupts.
pub(crate) fn load_images(context: &Context, method: &Method, loads: &[ImageLoad]) -> anyhow::Result<Loaded> {
    let must_fetch = loads.iter().any(|load| load.pull.is_some());
    let store = if must_fetch { open_store(context)? } else { None };
    let fetcher = Fetcher::new(context, store.as_ref())?;
    let method = &Method { store: store.clone(), ..method.clone() };
    let run = Run::new(context, method, loads, &fetcher);
    std::thread::scope(|scope| {
        for _ in 0..usize::from(context.settings.images.jobs).min(loads.len()) {
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

/// Seconds, rounded to milliseconds.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// The state of a run.
struct Run<'a> {
    context: &'a Context,
    method: &'a Method,
    fetcher: &'a Fetcher<'a>,
    began: Instant,
    items: Vec<Mutex<Item>>,
    /// The next image to pull.
    next_pull: AtomicUsize,
    board: Mutex<Board>,
    changed: Condvar,
    /// When the last image reached the nodes with pods waiting for it.
    first_done: Mutex<Option<Instant>>,
}

impl<'a> Run<'a> {
    fn new(context: &'a Context, method: &'a Method, loads: &[ImageLoad], fetcher: &'a Fetcher<'a>) -> Self {
        let item = |load: &ImageLoad| Item {
            load: load.clone(),
            diff_ids: Vec::new(),
            held: None,
            manifests: BTreeMap::new(),
            provenance: Provenance::default(),
            nodes: BTreeMap::new(),
            bytes_read: 0,
            busy: 0.0,
            failure: None,
        };
        Self {
            context,
            method,
            fetcher,
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

    /// The number of concurrent archives: one per node, plus one being prepared.
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
            let fetched = match &load.pull {
                None => Ok(ReadyImage::default()),
                Some(pull) => self.fetcher.get(&load.image, std::slice::from_ref(&load.platform), pull),
            };
            let diff_ids = match &self.method.source {
                Source::Archive { images, .. } => known_layers(images, &load),
                Source::Engine => match &fetched {
                    Ok(ReadyImage { held: Some(held), .. }) => self.diff_ids_in_store(held),
                    Ok(_) => send::diff_ids(self.context, &load),
                    Err(_) => Vec::new(),
                },
            };
            let mut item = lock(item);
            item.busy += started.elapsed().as_secs_f64();
            let mut board = lock(&self.board);
            match fetched {
                Ok(ReadyImage { provenance, held }) => {
                    item.held = held;
                    item.provenance = provenance;
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

    /// The layers of an image in the store; empty if unreadable, and then all are sent.
    fn diff_ids_in_store(&self, held: &StoredImage) -> Vec<Digest> {
        let Some((store, image)) = self.method.store.as_ref().zip(held.platforms.first()) else {
            return Vec::new();
        };
        store.diff_ids(image).unwrap_or_else(|error| {
            let name = held.image.familiar();
            let why = with_causes(&error);
            self.context.ui.verbose(&format!("could not read the layers of {name}, so all are sent: {why}"));
            Vec::new()
        })
    }

    /// Runs tasks until none is left.
    fn hand_to_nodes(&self) {
        while let Some((task, has_nodes)) = self.next_task() {
            let mut items: Vec<_> = task.parts.iter().map(|part| lock(&self.items[part.image])).collect();
            let shipments = items
                .iter_mut()
                .zip(&task.parts)
                .map(|(item, part)| (&mut **item, &part.nodes[..]))
                .collect();
            let has_nodes = Cell::new(has_nodes);
            give(self.context, self.method, shipments, task.round, &|| {
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

    /// Waits until the nodes of a prepared task are free; returns `false` if the user interrupts.
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

    /// The next task, and whether its nodes are already free.
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

/// The layers of an image according to an archive.
fn known_layers(images: &[Expected], load: &ImageLoad) -> Vec<Digest> {
    let name = load.image.to_string();
    images.iter().find(|image| image.name == name).map(|image| image.diff_ids.clone()).unwrap_or_default()
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
