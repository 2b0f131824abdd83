//! Fetches all images at once: resolves names first, then downloads several blobs in parallel, each one only
//! once.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use super::Client;
use super::download::Download;
use super::error::{PlaceError, RegistryError};
use super::place::{Place, places};
use super::resolve::{Fault, Resolved, compare, resolve};
use crate::archive::{Descriptor, Digest, Platform};
use crate::images::ImageRef;
use crate::images::outcome::OriginAnswer;
use crate::store::{BlobState, PlatformImage, StoredImage};

/// How many blobs to fetch at once; hosts have their own limits.
const WORKERS: usize = 8;
/// How many bytes between reports of progress.
const STEP: i64 = 256 * 1024;

/// An image to fetch, for the nodes' platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    pub image: ImageRef,
    pub platforms: Vec<Platform>,
}

/// Progress while fetching images.
#[derive(Debug)]
pub enum FetchEvent<'a> {
    /// Bytes on disk, and the total for the images resolved so far; both may grow.
    Bytes { done: u64, total: u64 },
    /// One of the requested images, by position, is complete in the store or has failed.
    #[expect(dead_code, reason = "images are fetched one by one so far, and each result is returned")]
    Image(usize, Result<&'a StoredImage, &'a RegistryError>),
}

/// An image in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub held: StoredImage,
    /// The registry or mirror that resolved the name; `None` if the store held everything.
    pub from: Option<String>,
    /// Bytes received for it; blobs shared by several images count for the first.
    pub received: u64,
    /// How the origin registry's answer compares to the mirror's. `None` if the origin served the image
    /// itself, or the name pins a digest.
    pub origin: Option<OriginAnswer>,
}

/// A run that fetches several images.
pub(super) struct FetchRun<'a> {
    client: &'a Client<'a>,
    wanted: &'a [FetchRequest],
    on_event: &'a (dyn Fn(FetchEvent<'_>) + Sync),
    state: Mutex<FetchQueue>,
    changed: Condvar,
    done: AtomicI64,
    total: AtomicI64,
    told: AtomicI64,
}

struct FetchQueue {
    queue: Queue,
    images: Vec<FetchState>,
    /// Blobs that are queued or in progress, with the images waiting for each.
    blobs: HashMap<Digest, Vec<usize>>,
}

#[derive(Default)]
struct Queue {
    names: VecDeque<usize>,
    blobs: VecDeque<Descriptor>,
    origins: VecDeque<usize>,
    /// Jobs in progress.
    busy: usize,
}

struct FetchState {
    places: Arc<Vec<Place>>,
    resolved: Option<Resolved>,
    /// Blobs still to come.
    pending: usize,
    received: u64,
    origin: Option<OriginAnswer>,
    outcome: Option<Result<StoredImage, RegistryError>>,
}

enum Job {
    Name(usize),
    Blob(Descriptor),
    Origin(usize),
}

impl<'a> FetchRun<'a> {
    pub(super) fn new(
        client: &'a Client<'a>,
        wanted: &'a [FetchRequest],
        on_event: &'a (dyn Fn(FetchEvent<'_>) + Sync),
    ) -> Self {
        let image = |wanted: &FetchRequest| FetchState {
            places: Arc::new(places(&wanted.image, &client.rules, &client.engine)),
            resolved: None,
            pending: 0,
            received: 0,
            origin: None,
            outcome: None,
        };
        let queue = Queue { names: (0..wanted.len()).collect(), ..Queue::default() };
        let state = FetchQueue { queue, images: wanted.iter().map(image).collect(), blobs: HashMap::new() };
        Self {
            client,
            wanted,
            on_event,
            state: Mutex::new(state),
            changed: Condvar::new(),
            done: AtomicI64::new(0),
            total: AtomicI64::new(0),
            told: AtomicI64::new(0),
        }
    }

    pub(super) fn run(self) -> Vec<Result<Fetched, RegistryError>> {
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Some(job) = self.next() {
                        self.work(job);
                        self.lock().queue.busy -= 1;
                        self.changed.notify_all();
                    }
                });
            }
        });
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.images.into_iter().map(FetchState::end).collect()
    }

    fn lock(&self) -> MutexGuard<'_, FetchQueue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next job: names first, so the total is known soon.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if self.client.shared.interrupt.is_set() {
                return None;
            }
            let queue = &mut state.queue;
            let job = queue.names.pop_front().map(Job::Name);
            let job = job.or_else(|| queue.blobs.pop_front().map(Job::Blob));
            if let Some(job) = job.or_else(|| queue.origins.pop_front().map(Job::Origin)) {
                queue.busy += 1;
                return Some(job);
            }
            if queue.busy == 0 {
                return None;
            }
            let waited = self.changed.wait_timeout(state, Duration::from_millis(50));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn work(&self, job: Job) {
        match job {
            Job::Name(at) => self.name(at),
            Job::Blob(blob) => self.blob(&blob),
            Job::Origin(at) => self.origin(at),
        }
    }

    fn name(&self, at: usize) {
        let (client, wanted) = (self.client, &self.wanted[at]);
        let known = client.store.find(&wanted.image, &wanted.platforms);
        match known {
            Ok(Some(held)) => {
                client.store.used(held.descriptor.digest);
                return self.end(at, Ok(held));
            }
            Ok(None) => {}
            Err(error) => return self.end(at, Err(self.failed(at, Fault::Store(error)))),
        }
        let places = Arc::clone(&self.lock().images[at].places);
        let resolved = match resolve(&client.shared, client.store, &places, &wanted.platforms) {
            Ok(resolved) => resolved,
            Err(fault) => return self.end(at, Err(self.failed(at, fault))),
        };
        let mut missing: Vec<Descriptor> = Vec::new();
        for blob in resolved.platforms.iter().flat_map(PlatformImage::blobs) {
            let is_new = missing.iter().all(|known| known.digest != blob.digest);
            if is_new && !client.store.has(blob.digest, blob.size) {
                missing.push(blob.clone());
            }
        }
        let given_by = &places[resolved.place];
        let is_mirrored = wanted.image.digest().is_none() && given_by.mirrors(&wanted.image);
        let mut state = self.lock();
        let image = &mut state.images[at];
        image.pending = missing.len();
        image.received = resolved.received;
        image.resolved = Some(resolved);
        if is_mirrored && places.iter().any(|place| place.is_origin) {
            state.queue.origins.push_back(at);
        }
        let mut more = 0;
        for blob in &missing {
            let waiting = state.blobs.entry(blob.digest).or_default();
            waiting.push(at);
            if waiting.len() == 1 {
                state.queue.blobs.push_back(blob.clone());
                more += i64::try_from(blob.size).unwrap_or(i64::MAX);
            }
        }
        drop(state);
        self.total.fetch_add(more, Ordering::Relaxed);
        self.changed.notify_all();
        if missing.is_empty() {
            self.complete(at);
        }
    }

    fn blob(&self, blob: &Descriptor) {
        let waiting: Vec<(usize, Arc<Vec<Place>>)> = {
            let state = self.lock();
            let waiting = state.blobs.get(&blob.digest).cloned().unwrap_or_default();
            let open = waiting.into_iter().filter(|at| state.images[*at].outcome.is_none());
            open.map(|at| (at, Arc::clone(&state.images[at].places))).collect()
        };
        if waiting.is_empty() {
            self.lock().blobs.remove(&blob.digest);
            return;
        }
        let mut places: Vec<Place> = Vec::new();
        for place in waiting.iter().flat_map(|(_, places)| places.iter()) {
            let is_known = |known: &Place| known.api == place.api && known.repository == place.repository;
            if !places.iter().any(is_known) {
                places.push(place.clone());
            }
        }
        let fetched = self.download(blob, &places);
        let waiting = {
            let mut state = self.lock();
            let waiting = state.blobs.remove(&blob.digest).unwrap_or_default();
            if let (Ok(received), Some(first)) = (&fetched, waiting.first()) {
                state.images[*first].received += received;
            }
            waiting
        };
        for at in waiting {
            match &fetched {
                Ok(_) => {
                    let is_complete = {
                        let mut state = self.lock();
                        state.images[at].pending -= 1;
                        state.images[at].pending == 0
                    };
                    if is_complete {
                        self.complete(at);
                    }
                }
                Err(fault) => self.end(at, Err(self.failed(at, fault.duplicate()))),
            }
        }
    }

    fn download(&self, blob: &Descriptor, places: &[Place]) -> Result<u64, Fault> {
        let client = self.client;
        let begun = client.store.begin(blob.digest, blob.size)?;
        match begun {
            BlobState::Whole => {
                self.progress(i64::try_from(blob.size).unwrap_or(i64::MAX));
                Ok(0)
            }
            BlobState::Part(partial) => {
                self.progress(i64::try_from(partial.held()).unwrap_or(i64::MAX));
                let on_bytes = |more| self.progress(more);
                Download::new(&client.shared, client.store, places, partial, &on_bytes).run()
            }
        }
    }

    fn progress(&self, more: i64) {
        let done = self.done.fetch_add(more, Ordering::Relaxed) + more;
        let total = self.total.load(Ordering::Relaxed);
        let told = self.told.load(Ordering::Relaxed);
        if (done - told).abs() >= STEP || done == total {
            self.told.store(done, Ordering::Relaxed);
            let [done, total] = [done, total].map(|bytes| u64::try_from(bytes).unwrap_or_default());
            (self.on_event)(FetchEvent::Bytes { done, total });
        }
    }

    /// Names an image whose blobs are all in the store.
    fn complete(&self, at: usize) {
        let (client, wanted) = (self.client, &self.wanted[at]);
        let (resolved, places) = {
            let state = self.lock();
            if state.images[at].outcome.is_some() {
                return;
            }
            (state.images[at].resolved.clone(), Arc::clone(&state.images[at].places))
        };
        let Some(resolved) = resolved else { return };
        let host = places[resolved.place].host.clone();
        let finished = (|| {
            if resolved.has_no_index {
                self.check_platform(&resolved, &wanted.platforms)
                    .map_err(|why| Fault::Nowhere(vec![(host.clone(), why)]))?;
            }
            let named = client.store.name(&wanted.image, &resolved.top);
            named.map_err(|error| client.store.explain(error, 0))?;
            let gone = || {
                Fault::Nowhere(vec![(
                    host.clone(),
                    PlaceError::NotAnImage("a part of it was removed from the store".to_owned()),
                )])
            };
            client.store.find(&wanted.image, &wanted.platforms)?.ok_or_else(gone)
        })();
        self.end(at, finished.map_err(|fault| self.failed(at, fault)));
    }

    /// Without an index, only the manifest's configuration names the platform.
    fn check_platform(&self, resolved: &Resolved, wanted: &[Platform]) -> Result<(), PlaceError> {
        #[derive(Deserialize)]
        struct PlatformConfig {
            os: String,
            architecture: String,
            variant: Option<String>,
        }
        let Some(image) = resolved.platforms.first() else { return Ok(()) };
        let config = self.client.store.bytes(image.config.digest).ok().flatten();
        let config = config.and_then(|bytes| serde_json::from_slice::<PlatformConfig>(&bytes).ok());
        // Accept a configuration that does not say, as nodes do.
        let Some(PlatformConfig { os, architecture, variant }) = config else { return Ok(()) };
        let found = Platform { os, architecture, variant };
        match wanted.iter().find(|wanted| !found.fits(wanted)) {
            None => Ok(()),
            Some(wanted) => {
                Err(PlaceError::PlatformAbsent { wanted: wanted.clone(), found: vec![found.to_string()] })
            }
        }
    }

    fn origin(&self, at: usize) {
        let (places, digest) = {
            let state = self.lock();
            let image = &state.images[at];
            (Arc::clone(&image.places), image.resolved.as_ref().map(|resolved| resolved.top.digest))
        };
        let origin = places.iter().find(|place| place.is_origin);
        if let (Some(origin), Some(digest)) = (origin, digest) {
            let said = compare(&self.client.shared, origin, digest);
            self.lock().images[at].origin = Some(said);
        }
    }

    fn failed(&self, at: usize, fault: Fault) -> RegistryError {
        let image = Box::new(self.wanted[at].image.clone());
        match fault {
            Fault::Nowhere(attempts) => RegistryError::Nowhere { image, attempts },
            Fault::Store(source) => RegistryError::Store { image, source: Box::new(source) },
            Fault::Interrupted => RegistryError::Interrupted,
        }
    }

    fn end(&self, at: usize, outcome: Result<StoredImage, RegistryError>) {
        (self.on_event)(FetchEvent::Image(at, outcome.as_ref()));
        let image = &mut self.lock().images[at];
        image.outcome.get_or_insert(outcome);
    }
}

impl FetchState {
    fn end(self) -> Result<Fetched, RegistryError> {
        let held = self.outcome.unwrap_or(Err(RegistryError::Interrupted))?;
        let from = self.resolved.map(|resolved| self.places[resolved.place].host.clone());
        Ok(Fetched { held, from, received: self.received, origin: self.origin })
    }
}
