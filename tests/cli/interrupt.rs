//! Ctrl-C: the first one stops the child and exits with 130, the second exits at once.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Fixture, Outcome};

/// Far longer than anything the tests wait for.
const LONG: Duration = Duration::from_secs(15);

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn an_interrupt_stops_the_child_and_ends_with_130() {
    for sent in [Signal::INT, Signal::TERM] {
        let machine = Fixture::new();
        machine.has_clusters(&["milvus-cluster"]);
        machine.on("kind delete cluster").takes(LONG);
        let child = machine.command(&["down", "--yes"]).spawn().unwrap();
        machine.wait_for_call("kind delete cluster");
        let before = Instant::now();
        signal(&child, sent);
        Outcome::of_child(child).ends_with(130).complains_of(&["interrupted"]);
        assert!(before.elapsed() < Duration::from_secs(3), "it took {:?}", before.elapsed());
        machine.assert_all_ended();
    }
}

#[test]
fn a_child_that_ignores_sigterm_is_killed() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-cluster"]);
    machine.on("kind delete cluster").takes(LONG).ignores_requests();
    let child = machine.command(&["down", "--yes"]).spawn().unwrap();
    machine.wait_for_call("kind delete cluster");
    signal(&child, Signal::INT);
    Outcome::of_child(child).ends_with(130);
    machine.assert_all_ended();
}

#[test]
fn a_second_interrupt_ends_at_once() {
    let machine = Fixture::new();
    machine.has_clusters(&["milvus-cluster"]);
    machine.on("kind delete cluster").takes(LONG).ignores_requests();
    let child = machine.command(&["down", "--yes"]).spawn().unwrap();
    machine.wait_for_call("kind delete cluster");
    signal(&child, Signal::INT);
    // Long enough for the first to be seen, and short compared to the time the child is given.
    std::thread::sleep(Duration::from_millis(300));
    let before = Instant::now();
    signal(&child, Signal::INT);
    Outcome::of_child(child).ends_with(130);
    assert!(before.elapsed() < Duration::from_secs(2), "it took {:?}", before.elapsed());
}
