//! One connection of a download, and how it performs.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::exchange::Exchange;

/// How many bytes within [`super::patience::Patience::drip`] are more than a drip: 270 a second. Neither Docker nor
/// containerd leaves a connection for being slow, and curl only with `--speed-limit`, over 30 s by default.
const DRIP: u64 = 8 * 1024;

/// A connection fetching a range of the blob.
pub(super) struct RangeRequest {
    pub id: usize,
    pub place: usize,
    pub range: Range<u64>,
    /// The next byte to write.
    pub at: u64,
    /// How many leading bytes of the response to skip, as they are on disk already.
    pub skip: u64,
    _exchange: Exchange,
    made: Instant,
    /// When it got its connection.
    pub started: Option<Instant>,
    /// When its first byte arrived, and its last.
    pub first: Option<Instant>,
    pub last: Instant,
    /// How many new bytes it has delivered.
    pub bytes: u64,
    /// How many bytes it has delivered, and how many by which moment before.
    pub received: u64,
    checked: (Option<Instant>, u64),
    /// Another place was asked for the same range, because this one is late.
    pub is_raced: bool,
}

impl RangeRequest {
    pub(super) fn new(id: usize, place: usize, range: Range<u64>, exchange: Exchange) -> Self {
        let now = Instant::now();
        let at = range.start;
        Self {
            id,
            place,
            range,
            at,
            skip: 0,
            _exchange: exchange,
            made: now,
            started: None,
            first: None,
            last: now,
            bytes: 0,
            received: 0,
            checked: (None, 0),
            is_raced: false,
        }
    }

    /// How many bytes are still to come.
    pub(super) fn rest(&self) -> u64 {
        self.range.end.saturating_sub(self.at)
    }

    /// How long it has been waiting for its first byte.
    pub(super) fn waited(&self) -> Option<Duration> {
        self.started.filter(|_| self.first.is_none()).map(|started| started.elapsed())
    }

    /// How long it has been waiting for its connection.
    pub(super) fn queued(&self) -> Option<Duration> {
        self.started.is_none().then(|| self.made.elapsed())
    }

    /// Whether it only drips, each time that `time` has passed since the first byte.
    pub(super) fn drips(&mut self, time: Duration) -> Option<bool> {
        let (since, before) = (self.checked.0.or(self.first)?, self.checked.1);
        if since.elapsed() < time {
            return None;
        }
        self.checked = (Some(Instant::now()), self.received);
        Some(self.received - before < DRIP)
    }

    /// Bytes a second since the first arrived.
    pub(super) fn rate(&self) -> u64 {
        let millis = self.first.map_or(0, |first| first.elapsed().as_millis()).max(1);
        u64::try_from(u128::from(self.bytes) * 1000 / millis).unwrap_or(u64::MAX)
    }
}
