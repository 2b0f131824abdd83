//! Resolves a name to its manifests: asks one place after another, or the next one early if a place is late.

use std::collections::VecDeque;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::error::PlaceError;
use super::exchange::{Ask, Event, Events, Exchange, Head, Shared, start};
use super::place::Place;
use crate::archive::{Descriptor, Digest, Platform};
use crate::images::mirror::is_loopback;
use crate::images::outcome::OriginAnswer;
use crate::store::{DOCUMENT_BYTES_MAX, ImageDocument, PlatformImage, Store, StoreError, choose, platforms};

/// How long a response may take in total.
const HOPELESS: Duration = Duration::from_secs(60);
/// How often to ask a place for the same document.
const ATTEMPTS: u32 = 3;
const POLL: Duration = Duration::from_millis(25);
/// Nesting of indexes; Docker writes two levels.
const DEPTH: usize = 4;

/// Why something could not be fetched.
#[derive(Debug)]
pub(super) enum Fault {
    /// Each place with its reason.
    Nowhere(Vec<(String, PlaceError)>),
    Store(StoreError),
    Interrupted,
}

impl Fault {
    /// Copies the error for another image that waited for the same blob.
    pub(super) fn duplicate(&self) -> Self {
        match self {
            Self::Nowhere(attempts) => Self::Nowhere(attempts.clone()),
            Self::Store(error) => Self::Store(error.duplicate()),
            Self::Interrupted => Self::Interrupted,
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Interrupted) { Self::Interrupted } else { Self::Store(error) }
    }
}

/// An image as its registry describes it. Its documents are in the store, its blobs not yet.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    /// The index or manifest that the name points to.
    pub top: Descriptor,
    pub platforms: Vec<PlatformImage>,
    /// The place that resolved the name.
    pub place: usize,
    /// Bytes of documents received.
    pub received: u64,
    /// The manifest has no index, so its platform is not known yet.
    pub has_no_index: bool,
}

/// Resolves the image at `places` for each of `wanted`, and stores its documents.
pub(super) fn resolve(
    shared: &Arc<Shared>,
    store: &Store,
    places: &[Place],
    wanted: &[Platform],
) -> Result<Resolved, Fault> {
    let order: Vec<usize> = (0..places.len()).collect();
    let pinned: Option<Digest> = places.first().and_then(|place| place.reference.parse().ok());
    let (place, bytes, media_type) = match pinned.map(|digest| store.bytes(digest)).transpose()?.flatten() {
        Some(bytes) => (0, bytes, String::new()),
        None => document(shared, places, &order, None, pinned)?,
    };
    let mut received = bytes.len() as u64;
    let digest = store.put(&bytes).map_err(|error| store.explain(error, received))?;
    let top = describe(&bytes, digest, &media_type);
    // Whoever has the index usually has the manifests.
    let mut order = order;
    order.retain(|other| *other != place);
    order.insert(0, place);
    let mut images: Vec<PlatformImage> = Vec::new();
    let mut has_no_index = false;
    for platform in wanted {
        let mut at = top.clone();
        let mut bytes = bytes.clone();
        for level in 0.. {
            let bad = |why| Fault::Nowhere(vec![(places[place].host.clone(), why)]);
            match ImageDocument::parse(&bytes).map_err(|why| bad(PlaceError::NotAnImage(why)))? {
                ImageDocument::Manifest { config, layers } => {
                    has_no_index |= level == 0;
                    if images.iter().all(|known| known.manifest.digest != at.digest) {
                        let platform = platform.clone();
                        images.push(PlatformImage { platform, manifest: at, config, layers });
                    }
                    break;
                }
                ImageDocument::Index(entries) => {
                    let found = || platforms(&entries);
                    let absent =
                        || bad(PlaceError::PlatformAbsent { wanted: platform.clone(), found: found() });
                    let next = choose(&entries, platform).filter(|_| level < DEPTH).ok_or_else(absent)?;
                    bytes = if let Some(bytes) = store.bytes(next.digest)? {
                        bytes
                    } else {
                        let (_, bytes, _) = document(shared, places, &order, Some(next.digest), None)?;
                        received += bytes.len() as u64;
                        store.put(&bytes).map_err(|error| store.explain(error, received))?;
                        bytes
                    };
                    at = next.clone();
                }
            }
        }
    }
    Ok(Resolved { top, platforms: images, place, received, has_no_index })
}

fn describe(bytes: &[u8], digest: Digest, header: &str) -> Descriptor {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct MediaType {
        media_type: Option<String>,
    }
    let said = serde_json::from_slice::<MediaType>(bytes).ok().and_then(|kind| kind.media_type);
    let by_content = || match ImageDocument::parse(bytes) {
        Ok(ImageDocument::Index(_)) => "application/vnd.oci.image.index.v1+json".to_owned(),
        _ => "application/vnd.oci.image.manifest.v1+json".to_owned(),
    };
    let header = Some(header).filter(|kind| kind.starts_with("application/vnd.")).map(str::to_owned);
    Descriptor {
        media_type: said.or(header).unwrap_or_else(by_content),
        digest,
        size: bytes.len() as u64,
        annotations: std::collections::BTreeMap::new(),
        platform: None,
    }
}

/// A place that is being asked for a document.
struct ManifestRequest {
    id: usize,
    place: usize,
    _exchange: Exchange,
    started: Option<Instant>,
    head: Head,
    bytes: Vec<u8>,
}

/// Asks several places for one document.
struct Race<'a> {
    shared: &'a Arc<Shared>,
    places: &'a [Place],
    /// The document's digest, unless it is the one that the name points to.
    digest: Option<Digest>,
    /// The digest the document must have.
    expected: Option<Digest>,
    requests: Vec<ManifestRequest>,
    /// Places left to ask, and the earliest time for each.
    waiting: VecDeque<(usize, Instant)>,
    attempts: Vec<u32>,
    whys: Vec<Option<PlaceError>>,
    events: Events,
    next: usize,
}

/// Fetches the document of the name, or the one with `digest`, from the first of `places` that has it.
fn document(
    shared: &Arc<Shared>,
    places: &[Place],
    order: &[usize],
    digest: Option<Digest>,
    pinned: Option<Digest>,
) -> Result<(usize, Vec<u8>, String), Fault> {
    let now = Instant::now();
    let mut race = Race {
        shared,
        places,
        digest,
        expected: digest.or(pinned),
        requests: Vec::new(),
        waiting: VecDeque::new(),
        attempts: vec![0; places.len()],
        whys: vec![None; places.len()],
        events: sync_channel(16),
        next: 0,
    };
    for place in order {
        match absent_since(shared, &places[*place], &race.reference(*place)) {
            Some(ago) => race.whys[*place] = Some(PlaceError::Remembered { ago }),
            None => race.waiting.push_back((*place, now)),
        }
    }
    race.run()
}

/// How long ago a place reported that it lacks `reference`.
pub(super) fn absent_since(shared: &Shared, place: &Place, reference: &str) -> Option<Duration> {
    let memory = shared.memory.lock().unwrap_or_else(PoisonError::into_inner);
    memory.absent_since(&format!("{}/{}@{reference}", place.api, place.repository))
}

/// Remembers that a place lacks `reference`. A registry on this machine is asked again at once.
pub(super) fn record_absent(shared: &Shared, place: &Place, reference: &str) {
    if shared.patience.remembers_loopback || !is_loopback(&place.api) {
        let mut memory = shared.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.record_absent(&format!("{}/{}@{reference}", place.api, place.repository));
    }
}

impl Race<'_> {
    fn reference(&self, place: usize) -> String {
        self.digest.map_or_else(|| self.places[place].reference.clone(), |digest| digest.to_string())
    }

    fn run(mut self) -> Result<(usize, Vec<u8>, String), Fault> {
        loop {
            if self.shared.interrupt.is_set() {
                return Err(Fault::Interrupted);
            }
            self.ask_next()?;
            match self.events.1.recv_timeout(POLL) {
                Ok((id, event)) => {
                    if let Some(found) = self.take(id, event) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.give_up_on_silent();
        }
    }

    /// Asks the best waiting place, if nobody is being asked or all are late.
    fn ask_next(&mut self) -> Result<(), Fault> {
        let patience = self.shared.patience;
        let late = |request: &ManifestRequest| {
            request.started.is_some_and(|started| started.elapsed() > patience.late)
        };
        if !self.requests.iter().all(late) {
            return Ok(());
        }
        let now = Instant::now();
        let gates = &self.shared.gates;
        let rank = |place: usize| {
            let host = &self.places[place].api;
            (gates.is_unreachable(host), gates.pause(host) > patience.late)
        };
        let ready = self.waiting.iter().enumerate().filter(|(_, (_, from))| *from <= now);
        let best = ready.min_by_key(|(_, (place, _))| rank(*place)).map(|(at, (place, _))| (at, *place));
        let Some((at, place)) = best else {
            let nobody = self.requests.is_empty() && self.waiting.is_empty();
            return if nobody { Err(self.nowhere()) } else { Ok(()) };
        };
        let pause = gates.pause(&self.places[place].api);
        if !self.requests.is_empty() && pause > patience.late {
            return Ok(());
        }
        self.waiting.remove(at);
        if pause > patience.refusal {
            self.whys[place] = Some(PlaceError::RateLimited { wait: pause });
            return Ok(());
        }
        let ask = Ask {
            place: self.places[place].clone(),
            what: format!("manifests/{}", self.reference(place)),
            head_only: false,
            range: None,
        };
        let id = self.next;
        self.next += 1;
        let exchange = start(self.shared, ask, None, id, self.events.0.clone());
        let (head, bytes) = (Head::default(), Vec::new());
        self.requests.push(ManifestRequest { id, place, _exchange: exchange, started: None, head, bytes });
        Ok(())
    }

    fn take(&mut self, id: usize, event: Event) -> Option<(usize, Vec<u8>, String)> {
        let at = self.requests.iter().position(|request| request.id == id)?;
        let request = &mut self.requests[at];
        match event {
            Event::Started => request.started = Some(Instant::now()),
            Event::Head(head) => request.head = head,
            Event::Piece(piece) => {
                request.bytes.extend(piece);
                if request.bytes.len() as u64 > DOCUMENT_BYTES_MAX {
                    let why = format!("it has more than {DOCUMENT_BYTES_MAX} bytes");
                    self.failed(at, PlaceError::NotAnImage(why));
                }
            }
            Event::Failed(why) => self.failed(at, why),
            Event::End => {
                let cut = request.head.total.is_some_and(|total| (request.bytes.len() as u64) < total);
                let judged = if cut {
                    Err(PlaceError::Network("the connection ended early".to_owned()))
                } else {
                    judge(&request.bytes, &request.head, self.expected)
                };
                match judged {
                    Ok(()) => {
                        let request = self.requests.swap_remove(at);
                        return Some((
                            request.place,
                            request.bytes,
                            request.head.media_type.unwrap_or_default(),
                        ));
                    }
                    Err(why) => self.failed(at, why),
                }
            }
        }
        None
    }

    fn failed(&mut self, at: usize, why: PlaceError) {
        let place = self.requests.swap_remove(at).place;
        let is_transient = match &why {
            PlaceError::Network(_) => true,
            PlaceError::Status(status) => *status >= 500 || *status == 408,
            _ => false,
        };
        self.attempts[place] += u32::from(is_transient);
        if matches!(why, PlaceError::NotFound) {
            record_absent(self.shared, &self.places[place], &self.reference(place));
        }
        let again =
            is_transient && self.attempts[place] < ATTEMPTS || matches!(why, PlaceError::RateLimited { .. });
        if again {
            let delay = Duration::from_millis(250 << self.attempts[place].min(4));
            self.waiting.push_back((place, Instant::now() + delay));
        }
        self.whys[place] = Some(why);
    }

    fn give_up_on_silent(&mut self) {
        let silent =
            |request: &ManifestRequest| request.started.is_some_and(|started| started.elapsed() > HOPELESS);
        while let Some(at) = self.requests.iter().position(silent) {
            self.failed(
                at,
                PlaceError::Network(format!("it did not answer within {} s", HOPELESS.as_secs())),
            );
        }
    }

    fn nowhere(&mut self) -> Fault {
        let whys = self.places.iter().zip(&mut self.whys);
        Fault::Nowhere(whys.filter_map(|(place, why)| Some((place.host.clone(), why.take()?))).collect())
    }
}

/// Verifies a document against its digest, or against the one the registry reports.
fn judge(bytes: &[u8], head: &Head, expected: Option<Digest>) -> Result<(), PlaceError> {
    let found = Digest::of(bytes);
    let said = head.digest.as_deref().and_then(|digest| digest.parse().ok());
    if let Some(expected) = expected.or(said).filter(|expected| *expected != found) {
        return Err(PlaceError::WrongBytes { expected, found });
    }
    ImageDocument::parse(bytes).map(drop).map_err(PlaceError::NotAnImage)
}

/// Asks the origin registry for its tag's digest, with a HEAD request, which no registry rate-limits.
pub(super) fn compare(shared: &Arc<Shared>, origin: &Place, digest: Digest) -> OriginAnswer {
    let silent = |error: String| OriginAnswer::Unknown { error };
    if shared.gates.is_unreachable(&origin.api) {
        return silent("it could not be reached".to_owned());
    }
    let what = format!("manifests/{}", origin.reference);
    let ask = Ask { place: origin.clone(), what, head_only: true, range: None };
    let (sender, receiver) = sync_channel(4);
    let _exchange = start(shared, ask, None, 0, sender);
    let began = Instant::now();
    while began.elapsed() < shared.patience.compare && !shared.interrupt.is_set() {
        match receiver.recv_timeout(POLL) {
            Ok((_, Event::Head(head))) => {
                let found = head.digest.as_deref().and_then(|digest| digest.parse().ok());
                return match found {
                    Some(found) if found == digest => OriginAnswer::Same,
                    Some(digest) => OriginAnswer::Differs { digest },
                    None => silent("it did not report the digest".to_owned()),
                };
            }
            Ok((_, Event::Failed(why))) => return silent(why.to_string()),
            Err(RecvTimeoutError::Disconnected) => break,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
        }
    }
    shared.gates.mark_unreachable(&origin.api);
    silent(format!("it did not answer within {} s", shared.patience.compare.as_secs()))
}
