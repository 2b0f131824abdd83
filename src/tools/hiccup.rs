//! Retries queries to a cluster that briefly does not answer: its API server restarts, etcd elects a leader,
//! or it gets too many requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::process::{Cmd, ExecError, Output, Runner};

/// How long to retry if the cluster has answered before: an API server takes up to a minute to restart, an
/// engine with its nodes longer.
const RETRY_KNOWN: Duration = Duration::from_secs(3 * 60);
/// How long to retry if the cluster has never answered but something listens, and if an API server may not
/// have loaded its roles yet.
const RETRY_UNKNOWN: Duration = Duration::from_secs(20);
/// The first wait between retries, which doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Queries a cluster, retrying during brief outages.
#[derive(Clone, Default)]
pub(super) struct ClusterPatience {
    /// Whether the cluster has answered in this run. If not, it may not exist, which should be reported at
    /// once.
    has_answered: Arc<AtomicBool>,
    /// Whether it has forbidden something for longer than an API server takes to start.
    has_forbidden: Arc<AtomicBool>,
}

impl ClusterPatience {
    /// Repeats a query until it is answered, refused for good, or out of time.
    pub(super) fn ask(&self, runner: &dyn Runner, cmd: &Cmd) -> Result<Output, ExecError> {
        let begun = Instant::now();
        let (mut wait, mut waited) = (FIRST_WAIT, Duration::ZERO);
        loop {
            let error = match runner.run(cmd) {
                Ok(output) => {
                    self.has_answered.store(true, Ordering::Relaxed);
                    return Ok(output);
                }
                Err(error) => error,
            };
            let is_known = self.has_answered.load(Ordering::Relaxed);
            let hiccup = Hiccup::of(&error);
            let patience = match hiccup {
                Some(Hiccup::Starting) if self.has_forbidden.load(Ordering::Relaxed) => return Err(error),
                Some(Hiccup::Starting) => RETRY_UNKNOWN,
                Some(_) if is_known => RETRY_KNOWN,
                Some(Hiccup::Busy) => RETRY_UNKNOWN,
                _ => return Err(error),
            };
            if begun.elapsed().max(waited) >= patience || !runner.pause(wait) {
                self.has_forbidden.fetch_or(hiccup == Some(Hiccup::Starting), Ordering::Relaxed);
                return Err(error);
            }
            waited += wait;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// Why an existing cluster may not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hiccup {
    /// Something listens but cannot answer now.
    Busy,
    /// Nothing listens now.
    Away,
    /// It forbids the query: an API server that has just started forbids everything until it has loaded the
    /// cluster's roles. One that is up forbids for good with the same message.
    Starting,
}

impl Hiccup {
    fn of(error: &ExecError) -> Option<Self> {
        const BUSY: &[&str] = &[
            // etcd's errors, which the API server passes on (etcd, api/v3rpc/rpctypes/error.go).
            "etcdserver: leader changed",
            "etcdserver: request timed out",
            "etcdserver: no leader",
            "etcdserver: too many requests",
            // kubectl's messages for status 429, 503 and 504 (apimachinery, pkg/api/errors).
            "(toomanyrequests)",
            "too many requests",
            "(serviceunavailable)",
            "the server is currently unable to handle the request",
            "(timeout)",
            "tls handshake timeout",
            // The engine's proxy accepts connections to a node's port even while nothing answers behind it.
            "connection reset by peer",
            "http2: client connection lost",
            "client connection force closed",
            "unexpected eof",
            ": eof",
            "apiserver not ready",
        ];
        const AWAY: &[&str] = &[
            "was refused",
            "connection refused",
            "i/o timeout",
            "no route to host",
            "context deadline exceeded",
            "client.timeout exceeded",
        ];
        let says = |texts: &[&str]| texts.iter().any(|text| error.mentions(text));
        match error {
            ExecError::TimedOut { .. } => Some(Self::Away),
            ExecError::Failed { .. } if error.mentions("(forbidden)") => Some(Self::Starting),
            ExecError::Failed { .. } if says(BUSY) => Some(Self::Busy),
            ExecError::Failed { .. } if says(AWAY) => Some(Self::Away),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ScriptedRunner;

    const LEADER: &str = "Error from server: etcdserver: leader changed";
    const REFUSED: &str =
        "The connection to the server 127.0.0.1:41235 was refused - did you specify the right host or port?";

    fn cmd() -> Cmd {
        Cmd::read("kubectl", Duration::from_secs(60)).args(["get", "nodes"])
    }

    fn ask(patience: &ClusterPatience, runner: &ScriptedRunner) -> (Result<String, String>, usize) {
        let answer = patience.ask(runner, &cmd());
        (answer.map(|output| output.text()).map_err(|error| error.tail().join("\n")), runner.asked().len())
    }

    #[test]
    fn a_cluster_that_has_answered_is_retried_on_every_hiccup() {
        let patience = ClusterPatience::default();
        patience.ask(&ScriptedRunner::default().answer("kubectl get nodes", ""), &cmd()).unwrap();
        let runner = ScriptedRunner::default()
            .fail("kubectl get nodes", LEADER)
            .fail("kubectl get nodes", REFUSED)
            .fail("kubectl get nodes", "Unable to connect to the server: net/http: TLS handshake timeout")
            .answer("kubectl get nodes", "n1");
        assert_eq!(ask(&patience, &runner), (Ok("n1".into()), 4));
    }

    #[test]
    fn a_cluster_that_has_never_answered_is_not_retried_when_it_refuses() {
        let runner = ScriptedRunner::default().fail("kubectl get nodes", REFUSED);
        assert_eq!(ask(&ClusterPatience::default(), &runner), (Err(REFUSED.into()), 1));
    }

    #[test]
    fn a_busy_cluster_is_retried() {
        let runner =
            ScriptedRunner::default().fail("kubectl get nodes", LEADER).answer("kubectl get nodes", "n1");
        assert_eq!(ask(&ClusterPatience::default(), &runner), (Ok("n1".into()), 2));
    }

    #[test]
    fn a_cluster_that_never_recovers_times_out() {
        let patience = ClusterPatience::default();
        patience.has_answered.store(true, Ordering::Relaxed);
        let (answer, asked) = ask(&patience, &ScriptedRunner::default().fail("kubectl get nodes", REFUSED));
        assert_eq!(answer, Err(REFUSED.into()));
        assert!((20..60).contains(&asked), "{asked}");
    }

    #[test]
    fn permanent_errors_are_not_retried() {
        let patience = ClusterPatience::default();
        patience.has_answered.store(true, Ordering::Relaxed);
        let words = "Error from server (NotFound): nodes \"n1\" not found";
        let (answer, asked) = ask(&patience, &ScriptedRunner::default().fail("kubectl get nodes", words));
        assert_eq!((answer, asked), (Err(words.into()), 1));
    }

    #[test]
    fn a_starting_api_server_gets_time_to_load_its_roles() {
        // From a kind node with Kubernetes 1.34 after its API server was killed.
        let words =
            "Error from server (Forbidden): nodes is forbidden: User \"kubernetes-admin\" cannot list";
        let runner =
            ScriptedRunner::default().fail("kubectl get nodes", words).answer("kubectl get nodes", "n1");
        assert_eq!(ask(&ClusterPatience::default(), &runner), (Ok("n1".into()), 2));
    }

    #[test]
    fn permanent_denials_are_retried_only_once() {
        let patience = ClusterPatience::default();
        let runner = ScriptedRunner::default().fail("kubectl get nodes", "Error from server (Forbidden): no");
        let (_, first) = ask(&patience, &runner);
        let (_, second) = ask(&patience, &runner);
        assert!(first > 2 && second == first + 1, "{first} {second}");
    }
}
