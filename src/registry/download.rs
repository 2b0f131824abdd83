//! Downloads one blob from several places: resumes broken connections, leaves a place that stalls, tries the
//! next one if the first byte is late, and opens more connections if one is slow.
//!
//! All this is safe because the digest verifies the blob, wherever its bytes came from. One long file, since each of
//! these decisions reads and changes the same requests.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::error::PlaceError;
use super::exchange::{Ask, Event, Events, Head, Shared, start};
use super::gate::Permit;
use super::place::Place;
use super::range_request::RangeRequest;
use super::resolve::{Fault, absent_since, record_absent};
use super::standing::Standing;
use crate::archive::Digest;
use crate::store::{Partial, Store, StoreError};

/// How long the first byte may take in total, plus an allowance per MiB: some mirrors delay a response by a
/// second for each.
const FIRST_BYTE: Duration = Duration::from_secs(60);
const FIRST_BYTE_PER_MIB: Duration = Duration::from_secs(2);
/// How often to save which parts have arrived out of order.
const SAVE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(25);

/// Open another connection if this much is left, it would take this long, and no connection is faster than
/// this.
const SPLIT_BYTES: u64 = 4 * MIB;
const SPLIT_SECONDS: u64 = 2;
const SPLIT_RATE: u64 = 16 * MIB;
/// How many connections to open before measuring again.
const NEW_AT_ONCE: usize = 2;
/// How long to measure a connection before calling it slow.
const WATCH: Duration = Duration::from_millis(400);
const MIB: u64 = 1024 * 1024;

/// Downloads one blob.
pub(super) struct Download<'a> {
    shared: &'a Arc<Shared>,
    store: &'a Store,
    places: &'a [Place],
    digest: Digest,
    size: u64,
    partial: Box<Partial>,
    standing: Vec<Standing>,
    requests: Vec<RangeRequest>,
    /// Take everything from this place, because parts from several did not fit together.
    only: Option<usize>,
    /// The places that the bytes on disk came from.
    sources: BTreeSet<usize>,
    /// Some bytes are from an earlier run.
    resumed: bool,
    received: u64,
    saved: Instant,
    next: usize,
    events: Events,
    /// Called with the change in bytes on disk, which may be negative.
    on_bytes: &'a dyn Fn(i64),
}

impl<'a> Download<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        store: &'a Store,
        places: &'a [Place],
        partial: Box<Partial>,
        on_bytes: &'a dyn Fn(i64),
    ) -> Self {
        let now = Instant::now();
        let digest = partial.digest();
        let standing = |place: &Place| Standing::new(absent_since(shared, place, &digest.to_string()));
        Self {
            shared,
            store,
            places,
            digest,
            size: partial.size(),
            standing: places.iter().map(standing).collect(),
            requests: Vec::new(),
            only: None,
            sources: BTreeSet::new(),
            resumed: partial.held() > 0,
            received: 0,
            saved: now,
            next: 0,
            events: sync_channel(8),
            partial,
            on_bytes,
        }
    }

    /// Downloads what is missing; returns how many bytes were received.
    pub(super) fn run(mut self) -> Result<u64, Fault> {
        loop {
            if self.shared.interrupt.is_set() {
                return Err(Fault::Interrupted);
            }
            if self.partial.missing().is_empty() {
                self.requests.clear();
                match self.partial.finish() {
                    Ok(()) => return Ok(self.received),
                    Err((Some(partial), StoreError::Mismatch { found, .. })) => {
                        self.partial = partial;
                        self.handle_mismatch(found);
                        continue;
                    }
                    Err((_, error)) => return Err(error.into()),
                }
            }
            self.ask()?;
            if let Ok((id, event)) = self.events.1.recv_timeout(POLL) {
                self.take(id, event)?;
            }
            self.check_requests();
        }
    }

    /// Decides which places remain after the blob's digest turned out wrong.
    fn handle_mismatch(&mut self, found: Digest) {
        (self.on_bytes)(-i64::try_from(self.size).unwrap_or(i64::MAX));
        let mixed = self.sources.len() > 1 || self.resumed;
        if mixed {
            let first = self.sources.iter().copied().find(|place| !self.standing[*place].is_excluded);
            self.only = first.or_else(|| self.best());
        } else if let Some(liar) = self.sources.iter().copied().next() {
            self.standing[liar].is_excluded = true;
            self.standing[liar].why = Some(PlaceError::WrongBytes { expected: self.digest, found });
            self.only = None;
        }
        self.resumed = false;
        self.sources.clear();
    }

    /// Starts a connection for a gap that has none.
    fn ask(&mut self) -> Result<(), Fault> {
        let Some(gap) = self.uncovered() else { return Ok(()) };
        let Some(place) = self.best() else {
            return if self.requests.is_empty() { Err(self.nowhere()) } else { Ok(()) };
        };
        let now = Instant::now();
        let host = &self.places[place].api;
        let pause = self.shared.gates.pause(host);
        if self.requests.is_empty() {
            if pause > self.shared.patience.refusal {
                self.standing[place].is_excluded = true;
                self.standing[place].why = Some(PlaceError::RateLimited { wait: pause });
            } else if self.standing[place].not_before <= now {
                self.start(place, gap, None);
            }
        } else if self.standing[place].not_before <= now
            && let Some(permit) = self.shared.gates.try_enter(host)
        {
            self.start(place, gap, Some(permit));
        }
        Ok(())
    }

    /// The first gap that no connection is filling.
    fn uncovered(&self) -> Option<Range<u64>> {
        let taken = |gap: &Range<u64>, at: u64| {
            self.requests
                .iter()
                .filter(|request| request.at <= at && at < request.range.end)
                .map(|request| request.range.end)
                .max()
                .map(|end| end.min(gap.end))
        };
        self.partial.missing().into_iter().find_map(|gap| {
            let mut at = gap.start;
            while at < gap.end {
                let Some(end) = taken(&gap, at) else {
                    let begun =
                        self.requests.iter().map(|request| request.at).filter(|start| *start > at).min();
                    return Some(at..begun.unwrap_or(gap.end).min(gap.end));
                };
                at = end;
            }
            None
        })
    }

    /// The places that may be asked, best first.
    fn ranked(&self) -> Vec<usize> {
        let now = Instant::now();
        let mut places: Vec<usize> = (0..self.places.len())
            .filter(|place| !self.standing[*place].is_excluded && self.only.is_none_or(|only| only == *place))
            .collect();
        places.sort_by_key(|place| {
            let (standing, host) = (&self.standing[*place], &self.places[*place].api);
            let gates = &self.shared.gates;
            (
                standing.stalled,
                gates.is_unreachable(host),
                gates.pause(host) > self.shared.patience.late,
                standing.not_before > now,
                *place,
            )
        });
        places
    }

    fn best(&self) -> Option<usize> {
        self.ranked().first().copied()
    }

    fn start(&mut self, place: usize, range: Range<u64>, permit: Option<Permit>) {
        let is_whole = range.start == 0 && range.end == self.size;
        let asked = if is_whole || self.standing[place].ignores_ranges {
            None
        } else {
            Some((range.start, (range.end < self.size).then_some(range.end)))
        };
        let what = format!("blobs/{}", self.digest);
        let ask = Ask { place: self.places[place].clone(), what, head_only: false, range: asked };
        let id = self.next;
        self.next += 1;
        let exchange = start(self.shared, ask, permit, id, self.events.0.clone());
        self.requests.push(RangeRequest::new(id, place, range, exchange));
    }

    fn take(&mut self, id: usize, event: Event) -> Result<(), Fault> {
        let Some(at) = self.requests.iter().position(|request| request.id == id) else { return Ok(()) };
        match event {
            Event::Started => self.requests[at].started = Some(Instant::now()),
            Event::Head(head) => self.judge(at, &head),
            Event::Piece(piece) => self.write(at, &piece)?,
            Event::End => self.failed(at, PlaceError::Network("the connection ended early".to_owned())),
            Event::Failed(why) => self.failed(at, why),
        }
        Ok(())
    }

    /// Checks a response's headers: which part it is, and of how much.
    fn judge(&mut self, at: usize, head: &Head) {
        let size = self.size;
        let request = &mut self.requests[at];
        let standing = &mut self.standing[request.place];
        if let Some(total) = head.total.filter(|total| *total != size) {
            let why = PlaceError::NotAnImage(format!("its blob has {total} bytes, not {size}"));
            return self.failed(at, why);
        }
        match head.status {
            206 if head.start <= request.at => request.skip = request.at - head.start,
            206 => {
                self.failed(at, PlaceError::Network("it sent a different range than requested".to_owned()));
            }
            416 => {
                // The missing range is within the blob, so it does not support ranges. Request the whole
                // instead.
                standing.ignores_ranges = true;
                self.failed(at, PlaceError::Network("it refused a range request".to_owned()));
            }
            _ => {
                standing.ignores_ranges |= request.at > 0;
                request.skip = request.at;
            }
        }
    }

    fn write(&mut self, at: usize, piece: &[u8]) -> Result<(), Fault> {
        let request = &mut self.requests[at];
        let now = Instant::now();
        request.first.get_or_insert(now);
        request.last = now;
        let skipped = request.skip.min(piece.len() as u64);
        request.skip -= skipped;
        self.received += piece.len() as u64;
        request.received += piece.len() as u64;
        let left = request.range.end.saturating_sub(request.at);
        let new = &piece[usize::try_from(skipped).unwrap_or(piece.len())..];
        let new = &new[..usize::try_from(left).unwrap_or(new.len()).min(new.len())];
        let (id, place, offset) = (request.id, request.place, request.at);
        request.at += new.len() as u64;
        request.bytes += new.len() as u64;
        let is_done = request.at >= request.range.end;
        if !new.is_empty() {
            let before = self.partial.held();
            let asked = self.size - before;
            let written = self.partial.write_at(offset, new);
            written.map_err(|error| self.store.explain(error, asked))?;
            let more = self.partial.held() - before;
            (self.on_bytes)(i64::try_from(more).unwrap_or(i64::MAX));
            self.sources.insert(place);
            if more > 0 {
                self.standing[place].failures = 0;
            }
            // Drop requests for the same range that have sent nothing yet: they lost the race.
            self.requests.retain(|other| {
                other.id == id
                    || other.first.is_some()
                    || other.range.start > offset
                    || other.range.end <= offset
            });
        }
        if is_done {
            self.requests.retain(|request| request.id != id);
        }
        if self.saved.elapsed() > SAVE && self.requests.len() > 1 {
            self.saved = now;
            self.partial.save()?;
        }
        Ok(())
    }

    fn failed(&mut self, at: usize, why: PlaceError) {
        let request = self.requests.swap_remove(at);
        if matches!(why, PlaceError::NotFound) {
            record_absent(self.shared, &self.places[request.place], &self.digest.to_string());
        }
        self.standing[request.place].failed(why, request.bytes > 0);
    }

    fn nowhere(&mut self) -> Fault {
        let whys = self.places.iter().zip(&mut self.standing);
        Fault::Nowhere(whys.filter_map(|(place, at)| Some((place.host.clone(), at.why.take()?))).collect())
    }

    /// Looks for connections that are late, silent or slow.
    fn check_requests(&mut self) {
        let first_byte = FIRST_BYTE
            + FIRST_BYTE_PER_MIB.saturating_mul(u32::try_from(self.size / MIB).unwrap_or(u32::MAX));
        let mut at = 0;
        while at < self.requests.len() {
            let request = &self.requests[at];
            let waited = request.waited();
            // A place whose connections are all taken, perhaps by late responses, counts as late too.
            let queued = request.queued();
            if waited.is_some_and(|waited| waited > first_byte) {
                let seconds = first_byte.as_secs();
                self.failed(at, PlaceError::Network(format!("it sent nothing within {seconds} s")));
            } else if request.first.is_some() && request.last.elapsed() > self.shared.patience.stall {
                let place = request.place;
                self.standing[place].stalled = true;
                self.failed(
                    at,
                    PlaceError::Network(format!(
                        "it sent nothing for {} s",
                        self.shared.patience.stall.as_secs()
                    )),
                );
            } else if self.has_dripped(at) {
                let seconds = self.shared.patience.drip.as_secs();
                self.failed(at, PlaceError::Network(format!("it sent next to nothing for {seconds} s")));
            } else {
                if waited.or(queued).is_some_and(|waited| waited > self.shared.patience.late)
                    && !self.requests[at].is_raced
                {
                    self.race(at);
                }
                at += 1;
            }
        }
        self.split();
    }

    /// Whether to give up a connection that delivers next to nothing: at once if there is another place, and after a few
    /// minutes otherwise, together with its place.
    fn has_dripped(&mut self, at: usize) -> bool {
        let Some(drips) = self.requests[at].drips(self.shared.patience.drip) else { return false };
        let standing = &mut self.standing[self.requests[at].place];
        let is_over = standing.flowed(drips);
        standing.is_excluded |= is_over;
        let is_better = |other: &usize| {
            !self.standing[*other].stalled && !self.shared.gates.is_unreachable(&self.places[*other].api)
        };
        is_over || drips && self.ranked().iter().any(is_better)
    }

    /// Asks the next place for a range whose first byte is late.
    fn race(&mut self, at: usize) {
        let (late, range) = (self.requests[at].place, self.requests[at].range.clone());
        for place in self.ranked() {
            let host = &self.places[place].api;
            let is_asked =
                self.requests.iter().any(|request| request.place == place && request.range == range);
            if place == late || is_asked || self.shared.gates.is_unreachable(host) {
                continue;
            }
            if let Some(permit) = self.shared.gates.try_enter(host) {
                self.requests[at].is_raced = true;
                self.start(place, range, Some(permit));
                return;
            }
        }
    }

    /// Splits the longest remaining range among further connections, if the present ones are slow.
    fn split(&mut self) {
        let is_watched = |request: &RangeRequest| request.first.is_some_and(|first| first.elapsed() > WATCH);
        if self.only.is_some() || self.requests.is_empty() || !self.requests.iter().all(is_watched) {
            return;
        }
        let rates: Vec<u64> = self.requests.iter().map(RangeRequest::rate).collect();
        let left = self.size - self.partial.held();
        let takes = left / rates.iter().sum::<u64>().max(1);
        if left < SPLIT_BYTES || takes < SPLIT_SECONDS || rates.iter().any(|rate| *rate > SPLIT_RATE) {
            return;
        }
        let Some(longest) = (0..self.requests.len()).max_by_key(|at| self.requests[*at].rest()) else {
            return;
        };
        let (at, end) = (self.requests[longest].at, self.requests[longest].range.end);
        let most =
            usize::try_from(self.requests[longest].rest() / MIB).unwrap_or(usize::MAX).saturating_sub(1);
        let permits = self.spare(most.min(NEW_AT_ONCE));
        let part = (end - at) / (permits.len() as u64 + 1);
        for (number, (place, permit)) in permits.into_iter().enumerate().rev() {
            let from = at + part * (number as u64 + 1);
            let to = std::mem::replace(&mut self.requests[longest].range.end, from);
            self.start(place, from..to, Some(permit));
        }
    }

    /// Up to `most` connections that nobody else is waiting for, best places first.
    fn spare(&self, most: usize) -> Vec<(usize, Permit)> {
        let mut permits = Vec::new();
        for place in self.ranked() {
            let (standing, host) = (&self.standing[place], &self.places[place].api);
            if standing.ignores_ranges || standing.stalled || self.shared.gates.is_unreachable(host) {
                continue;
            }
            while permits.len() < most
                && let Some(permit) = self.shared.gates.try_enter(host)
            {
                permits.push((place, permit));
            }
        }
        permits
    }
}
