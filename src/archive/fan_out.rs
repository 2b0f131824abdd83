//! Copies one stream of pieces to many nodes, each at its own pace within bounds.
//!
//! Every node has a writer thread and a queue. A full queue blocks the sender, so the slowest node sets the
//! pace; a node that fails, or takes no data for longer than the limit, is left behind and the others go on.
//! Queues share the pieces, so one queue bounds memory however many nodes there are. Knows nothing of
//! archives.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::error::NodeError;

/// How much a transfer may buffer and how long it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that may wait for the slowest node.
    pub queue_bytes: usize,
    /// How long a node may take no data before it is left behind.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue_bytes: 8 * 1024 * 1024, stall: Duration::from_secs(60) }
    }
}

/// The queue and writer of one node.
pub(super) struct Lane {
    shared: Arc<LaneShared>,
    limits: Limits,
    failure: Option<NodeError>,
}

#[derive(Default)]
struct LaneShared {
    state: Mutex<LaneState>,
    changed: Condvar,
}

#[derive(Default)]
struct LaneState {
    queue: VecDeque<Arc<[u8]>>,
    queued_bytes: usize,
    written: u64,
    /// When the writer last wrote something, or last had nothing to write.
    last_progress: Option<Instant>,
    /// Nothing more will be queued; write what is left.
    closed: bool,
    /// Write nothing more.
    abandoned: bool,
    /// The writer is done and has dropped the node's end.
    finished: bool,
    error: Option<io::Error>,
}

impl LaneShared {
    /// Counters stay readable even if a writer panicked.
    fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, LaneState>, limit: Duration) -> MutexGuard<'a, LaneState> {
        self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Lane {
    /// Starts the thread that writes to a node.
    pub(super) fn start(writer: Box<dyn Write + Send>, limits: Limits) -> Self {
        let shared = Arc::new(LaneShared::default());
        let of_thread = Arc::clone(&shared);
        // Never joined: a hanging write only ends when the caller ends the process behind it, and must not be
        // waited for here.
        let started = thread::Builder::new().name("node-writer".to_owned()).spawn(move || {
            let error = write_all(&of_thread, writer).err();
            let mut state = of_thread.lock();
            state.error = error;
            state.finished = true;
            of_thread.changed.notify_all();
        });
        Self { shared, limits, failure: started.err().map(NodeError::Write) }
    }

    /// Queues a piece for the node, waiting for room.
    ///
    /// Does nothing once the node has failed or was left behind.
    pub(super) fn send(&mut self, piece: &Arc<[u8]>) {
        if self.failure.is_some() || piece.is_empty() {
            return;
        }
        let limit = self.limits.queue_bytes;
        let mut state = self.wait_until(|state| {
            state.finished || state.queue.is_empty() || state.queued_bytes + piece.len() <= limit
        });
        if state.finished || state.abandoned {
            let error = state.error.take().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into());
            let stalled = state.abandoned;
            drop(state);
            self.failure = Some(self.reason(stalled, error));
            return;
        }
        if state.queue.is_empty() {
            state.last_progress = Some(Instant::now());
        }
        state.queued_bytes += piece.len();
        state.queue.push_back(Arc::clone(piece));
        self.shared.changed.notify_all();
    }

    fn reason(&self, stalled: bool, error: io::Error) -> NodeError {
        if stalled { NodeError::Stalled(self.limits.stall) } else { NodeError::Write(error) }
    }

    /// Waits for `ready`, or marks the node abandoned if it makes no progress for too long.
    fn wait_until(&self, ready: impl Fn(&LaneState) -> bool) -> MutexGuard<'_, LaneState> {
        let began = Instant::now();
        let mut state = self.shared.lock();
        while !ready(&state) {
            // Measure each node's own idle time: while the sender waited for another node, this one could
            // write.
            let idle_since = state.last_progress.unwrap_or(began);
            let Some(left) =
                self.limits.stall.checked_sub(idle_since.elapsed()).filter(|left| !left.is_zero())
            else {
                state.abandon();
                self.shared.changed.notify_all();
                break;
            };
            state = self.shared.wait(state, left);
        }
        state
    }

    /// Tells whether the node still takes part.
    pub(super) fn is_alive(&self) -> bool {
        self.failure.is_none()
    }

    /// Bytes the node has taken.
    pub(super) fn written(&self) -> u64 {
        self.shared.lock().written
    }

    /// Leaves the node behind for the sender's own reason.
    pub(super) fn fail(&mut self, error: NodeError) {
        self.abandon();
        self.failure.get_or_insert(error);
    }

    /// Stops writing at once, so the node sees a truncated archive.
    pub(super) fn abandon(&self) {
        self.shared.lock().abandon();
        self.shared.changed.notify_all();
    }

    /// Announces the end of the stream without waiting for the node to take the rest.
    pub(super) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }

    /// Waits until the node has taken everything; returns the bytes taken and what went wrong.
    pub(super) fn finish(mut self) -> (u64, Option<NodeError>) {
        self.close();
        if self.failure.is_none() {
            let mut state = self.wait_until(|state| state.finished);
            let stalled = state.abandoned;
            let error = state.error.take();
            drop(state);
            self.failure = match error {
                _ if stalled => Some(NodeError::Stalled(self.limits.stall)),
                error => error.map(NodeError::Write),
            };
        }
        (self.written(), self.failure)
    }
}

impl LaneState {
    fn abandon(&mut self) {
        self.abandoned = true;
        self.queue.clear();
        self.queued_bytes = 0;
    }
}

/// Writes pieces until the lane is closed or abandoned, then drops the writer.
fn write_all(shared: &LaneShared, mut writer: Box<dyn Write + Send>) -> io::Result<()> {
    while let Some(piece) = next_piece(shared) {
        let mut rest = &piece[..];
        while !rest.is_empty() {
            match writer.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = &rest[written..];
                    let mut state = shared.lock();
                    state.written += written as u64;
                    state.last_progress = Some(Instant::now());
                    if state.abandoned {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    writer.flush()
}

fn next_piece(shared: &LaneShared) -> Option<Arc<[u8]>> {
    let mut state = shared.lock();
    loop {
        if state.abandoned {
            return None;
        }
        if let Some(piece) = state.queue.pop_front() {
            state.queued_bytes -= piece.len();
            shared.changed.notify_all();
            return Some(piece);
        }
        if state.closed {
            return None;
        }
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::Digest;
    use super::super::tests::support::{Broken, Hanging};
    use super::*;

    const BRIEF: Duration = Duration::from_millis(300);

    fn limits(stall: Duration) -> Limits {
        Limits { queue_bytes: 16, stall }
    }

    fn piece(byte: u8) -> Arc<[u8]> {
        Arc::from([byte; 8])
    }

    /// Keeps what is written, taking at most three bytes at a time.
    #[derive(Clone, Default)]
    struct SlowlyKept(Arc<Mutex<Vec<u8>>>);

    impl Write for SlowlyKept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(3);
            self.0.lock().unwrap().extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn pieces_arrive_whole_and_in_order() {
        let kept = SlowlyKept::default();
        let mut lane = Lane::start(Box::new(kept.clone()), limits(Duration::from_secs(5)));
        for byte in 0..100 {
            lane.send(&piece(byte));
        }
        let (written, failure) = lane.finish();
        assert!(failure.is_none(), "{failure:?}");
        assert_eq!(written, 800);
        assert_eq!(*kept.0.lock().unwrap(), (0..100).flat_map(|byte| [byte; 8]).collect::<Vec<u8>>());
    }

    #[test]
    fn a_node_that_hangs_is_left_behind() {
        let (_held, end) = mpsc::channel();
        let mut lane = Lane::start(Box::new(Hanging(end)), limits(BRIEF));
        for byte in 0..10 {
            lane.send(&piece(byte));
        }
        assert!(!lane.is_alive());
        let (written, failure) = lane.finish();
        assert_eq!(written, 0);
        assert!(matches!(failure, Some(NodeError::Stalled(BRIEF))), "{failure:?}");
    }

    #[test]
    fn a_node_that_hangs_at_the_very_end_is_left_behind_too() {
        let (_held, end) = mpsc::channel();
        let mut lane = Lane::start(Box::new(Hanging(end)), limits(BRIEF));
        lane.send(&piece(0));
        assert!(matches!(lane.finish().1, Some(NodeError::Stalled(BRIEF))));
    }

    #[test]
    fn nodes_that_hang_hold_the_others_up_together_not_one_after_the_other() {
        let ends: Vec<_> = (0..3).map(|_| mpsc::channel()).collect();
        let (_held, ends): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        let stall = Duration::from_secs(1);
        let start = |end| Lane::start(Box::new(Hanging(end)), limits(stall));
        let mut lanes: Vec<Lane> = ends.into_iter().map(start).collect();
        let began = Instant::now();
        for byte in 0..10 {
            for lane in &mut lanes {
                lane.send(&piece(byte));
            }
        }
        assert!(lanes.iter().all(|lane| !lane.is_alive()));
        assert!(began.elapsed() < stall * 2, "{:?}", began.elapsed());
    }

    #[test]
    fn a_pause_of_the_sender_is_no_stall() {
        let kept = SlowlyKept::default();
        let mut lane = Lane::start(Box::new(kept.clone()), limits(BRIEF));
        lane.send(&piece(0));
        thread::sleep(BRIEF * 2);
        for byte in 1..5 {
            lane.send(&piece(byte));
        }
        assert_eq!(lane.finish().0, 40);
    }

    #[test]
    fn a_broken_pipe_is_the_nodes_failure() {
        let mut lane = Lane::start(Box::new(Broken), limits(Duration::from_secs(5)));
        for byte in 0..100 {
            lane.send(&piece(byte));
        }
        let (_, failure) = lane.finish();
        assert!(
            matches!(&failure, Some(NodeError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe),
            "{failure:?}"
        );
    }

    #[test]
    fn an_abandoned_node_gets_no_end() {
        let kept = SlowlyKept::default();
        let mut lane = Lane::start(Box::new(kept.clone()), limits(Duration::from_secs(5)));
        let layer = Digest::of(b"x");
        lane.fail(NodeError::LayerNotHeld { image: "i".to_owned(), layer });
        lane.send(&piece(0));
        assert!(matches!(lane.finish(), (0, Some(NodeError::LayerNotHeld { .. }))));
    }
}
