//! Per-host limits: connections at once, requests a minute, and pauses after a refusal.
//!
//! Public mirrors ban clients that hammer them. A refusal (429) blocks the whole host until it expires, and
//! the rate that led to it is respected from then on, in later runs too.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::memory::KnownHosts;

/// The maximum number of connections to one host.
pub(super) const CONNECTIONS_MAX: usize = 3;
/// The fewest requests a minute to accept as a learned rate.
const PACE_MIN: usize = 4;
/// While a host's rate is unknown, allow no more than [`UNANSWERED_MAX`] unanswered requests once this many
/// were sent in a minute: any of them may be one too many.
const CAREFUL_FROM: usize = 8;
const UNANSWERED_MAX: usize = 2;
/// How often a wait checks whether it is still wanted.
const POLL: Duration = Duration::from_millis(25);

/// All hosts of a run.
pub(super) struct Gates {
    hosts: Mutex<HashMap<String, Host>>,
    changed: Condvar,
    minute: Duration,
}

struct Host {
    minute: Duration,
    in_use: usize,
    waiting: usize,
    unanswered: usize,
    /// When each request of the last minute was sent.
    sent: VecDeque<SystemTime>,
    /// When each request of the last minute was answered, other than by a refusal.
    served: VecDeque<SystemTime>,
    /// The maximum number of requests a minute.
    pace: Option<usize>,
    refused_until: Option<Instant>,
    /// It could not be reached; prefer others until then.
    unreachable_until: Option<Instant>,
}

/// Permission for one connection to a host.
pub(super) struct Permit {
    gates: Arc<Gates>,
    host: String,
}

impl Gates {
    pub(super) fn new(memory: &KnownHosts, minute: Duration) -> Self {
        let known = |(host, known): (&String, &super::memory::KnownHost)| {
            let sent: VecDeque<SystemTime> = known.sent().collect();
            (host.clone(), Host { pace: known.pace(), served: sent.clone(), sent, ..Host::new(minute) })
        };
        Self { hosts: Mutex::new(memory.hosts().map(known).collect()), changed: Condvar::new(), minute }
    }

    fn host<'a>(&self, hosts: &'a mut HashMap<String, Host>, name: &str) -> &'a mut Host {
        hosts.entry(name.to_owned()).or_insert_with(|| Host::new(self.minute))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a connection to `host`; `None` if it is no longer wanted.
    pub(super) fn enter(self: &Arc<Self>, host: &str, unwanted: &dyn Fn() -> bool) -> Option<Permit> {
        let mut hosts = self.lock();
        self.host(&mut hosts, host).waiting += 1;
        loop {
            let this = self.host(&mut hosts, host);
            let left = unwanted();
            if left || this.in_use < CONNECTIONS_MAX {
                this.waiting -= 1;
                this.in_use += usize::from(!left);
                return (!left).then(|| self.permit(host));
            }
            hosts = self.wait(hosts);
        }
    }

    /// Takes a connection to `host` if one is free.
    pub(super) fn try_enter(self: &Arc<Self>, host: &str) -> Option<Permit> {
        let mut hosts = self.lock();
        let this = self.host(&mut hosts, host);
        if this.in_use >= CONNECTIONS_MAX || this.waiting > 0 || !this.pause().is_zero() {
            return None;
        }
        this.in_use += 1;
        drop(hosts);
        Some(self.permit(host))
    }

    fn permit(self: &Arc<Self>, host: &str) -> Permit {
        Permit { gates: Arc::clone(self), host: host.to_owned() }
    }

    fn wait<'a>(
        &self,
        hosts: MutexGuard<'a, HashMap<String, Host>>,
    ) -> MutexGuard<'a, HashMap<String, Host>> {
        self.changed.wait_timeout(hosts, POLL).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits until `host` may be asked, and counts the request; false if it is no longer wanted.
    pub(super) fn ask(&self, host: &str, unwanted: &dyn Fn() -> bool) -> bool {
        let mut hosts = self.lock();
        loop {
            if unwanted() {
                return false;
            }
            let this = self.host(&mut hosts, host);
            let is_careful = this.pace.is_none() && this.sent.len() >= CAREFUL_FROM;
            if this.pause().is_zero() && !(is_careful && this.unanswered >= UNANSWERED_MAX) {
                this.unanswered += 1;
                this.sent.push_back(SystemTime::now());
                return true;
            }
            hosts = self.wait(hosts);
        }
    }

    /// Records that a counted request was answered other than by a refusal, or failed.
    pub(super) fn answered(&self, host: &str) {
        let mut hosts = self.lock();
        let this = self.host(&mut hosts, host);
        this.unanswered = this.unanswered.saturating_sub(1);
        this.served.push_back(SystemTime::now());
        drop(hosts);
        self.changed.notify_all();
    }

    /// Records a refusal. The host is left alone for `wait`, or until the last minute is over, and its rate
    /// is learned unless the limit spans hours.
    pub(super) fn refused(&self, host: &str, wait: Option<Duration>, over_hours: bool) -> Duration {
        let mut hosts = self.lock();
        let this = self.host(&mut hosts, host);
        this.unanswered = this.unanswered.saturating_sub(1);
        this.drop_expired();
        let served = this.served.len();
        if !over_hours && served >= PACE_MIN {
            this.pace = Some(this.pace.map_or(served, |pace| pace.min(served)));
        }
        let oldest = this.sent.front().and_then(|sent| sent.elapsed().ok()).unwrap_or_default();
        let wait = wait.unwrap_or_else(|| self.minute.saturating_sub(oldest).max(self.minute / 12));
        let until = Instant::now() + wait;
        this.refused_until = Some(this.refused_until.map_or(until, |known| known.max(until)));
        wait
    }

    /// How long `host` must not be asked from now on.
    pub(super) fn pause(&self, host: &str) -> Duration {
        self.lock().get_mut(host).map(Host::pause).unwrap_or_default()
    }

    /// Records that `host` could not be reached.
    pub(super) fn mark_unreachable(&self, host: &str) {
        let until = Instant::now() + Duration::from_secs(60);
        self.host(&mut self.lock(), host).unreachable_until = Some(until);
    }

    pub(super) fn is_unreachable(&self, host: &str) -> bool {
        let hosts = self.lock();
        hosts.get(host).and_then(|this| this.unreachable_until).is_some_and(|until| until > Instant::now())
    }

    /// Saves what was learned.
    pub(super) fn remember(&self, memory: &mut KnownHosts) {
        for (host, this) in self.lock().iter_mut() {
            this.drop_expired();
            if let Some(pace) = this.pace {
                memory.keep_pace(host, pace, this.sent.iter().copied());
            }
        }
    }
}

impl Host {
    fn new(minute: Duration) -> Self {
        Self {
            minute,
            in_use: 0,
            waiting: 0,
            unanswered: 0,
            sent: VecDeque::new(),
            served: VecDeque::new(),
            pace: None,
            refused_until: None,
            unreachable_until: None,
        }
    }

    fn drop_expired(&mut self) {
        let minute = self.minute;
        for times in [&mut self.sent, &mut self.served] {
            while times.front().is_some_and(|time| time.elapsed().unwrap_or_default() > minute) {
                times.pop_front();
            }
        }
    }

    /// How long it must not be asked: until a refusal expires or the minute has room.
    fn pause(&mut self) -> Duration {
        self.drop_expired();
        let refused = self.refused_until.map(|until| until.saturating_duration_since(Instant::now()));
        let full = self.pace.filter(|pace| self.sent.len() >= *pace).and_then(|pace| {
            let leaves = self.sent.get(self.sent.len() - pace)?;
            Some(self.minute.saturating_sub(leaves.elapsed().unwrap_or_default()))
        });
        refused.unwrap_or_default().max(full.unwrap_or_default())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(this) = self.gates.lock().get_mut(&self.host) {
            this.in_use = this.in_use.saturating_sub(1);
        }
        self.gates.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gates() -> Arc<Gates> {
        Arc::new(Gates::new(&KnownHosts::default(), Duration::from_secs(61)))
    }

    #[test]
    fn a_host_has_three_connections_and_no_more() {
        let gates = gates();
        let held: Vec<_> = (0..3).map(|_| gates.enter("a", &|| false).unwrap()).collect();
        assert!(gates.try_enter("a").is_none() && gates.enter("a", &|| true).is_none());
        assert!(gates.try_enter("b").is_some());
        drop(held);
        assert!(gates.try_enter("a").is_some());
    }

    #[test]
    fn a_refusal_pauses_the_whole_host_and_teaches_its_rate() {
        let gates = gates();
        for _ in 0..6 {
            assert!(gates.ask("a", &|| false));
            gates.answered("a");
        }
        assert!(gates.ask("a", &|| false));
        assert_eq!(gates.refused("a", Some(Duration::from_secs(90)), false), Duration::from_secs(90));
        assert!(gates.pause("a") > Duration::from_secs(80) && gates.pause("b").is_zero());
        let mut memory = KnownHosts::default();
        gates.remember(&mut memory);
        assert_eq!(Gates::new(&memory, Duration::from_secs(61)).lock()["a"].pace, Some(6));
        assert!(Gates::new(&memory, Duration::from_secs(61)).pause("a") > Duration::from_secs(50));
    }

    #[test]
    fn a_limit_over_hours_teaches_no_rate() {
        let gates = gates();
        for _ in 0..6 {
            assert!(gates.ask("a", &|| false));
            gates.answered("a");
        }
        gates.refused("a", None, true);
        assert_eq!(gates.lock()["a"].pace, None);
    }

    #[test]
    fn many_requests_go_out_two_at_a_time() {
        let gates = gates();
        for _ in 0..CAREFUL_FROM {
            assert!(gates.ask("a", &|| false));
            gates.answered("a");
        }
        assert!(gates.ask("a", &|| false) && gates.ask("a", &|| false));
        let asked = std::cell::Cell::new(0);
        let unwanted = || asked.replace(asked.get() + 1) > 1;
        assert!(!gates.ask("a", &unwanted));
    }
}
