//! `forward` reports problems with the address or port at once, and prints nothing but the URL to standard
//! output.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Fixture, Outcome};

#[test]
fn a_port_in_use_ends_with_2_before_the_cluster_is_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let machine = Fixture::new();
    machine
        .milvusctl(&["forward", "milvus", "--port", &port])
        .ends_with(2)
        .complains_of(&[&format!("port {port} of `127.0.0.1` is in use"), "`--port 0`"]);
    assert_eq!(machine.calls(), Vec::<String>::new());
}

#[test]
fn a_foreign_address_ends_with_2() {
    // 192.0.2.0/24 is reserved for documentation (RFC 5737), so no machine has it.
    for port in ["19530", "0"] {
        Fixture::new()
            .milvusctl(&["forward", "milvus", "--address", "192.0.2.1", "--port", port])
            .ends_with(2)
            .complains_of(&["this machine does not have the address `192.0.2.1`"]);
    }
}

#[test]
fn forwarding_on_all_addresses_warns_that_milvus_has_no_password() {
    let warning = "Milvus has no password by default";
    let machine = Fixture::new();
    machine.on("kubectl").fails(1, "Unable to connect to the server\n");
    let open = machine.milvusctl(&["forward", "milvus", "--address", "0.0.0.0", "--port", "0"]);
    open.ends_with(1).complains_of(&["warning: ", warning]);
    let closed = machine.milvusctl(&["forward", "milvus", "--port", "0"]).ends_with(1);
    assert!(!closed.err.contains(warning), "{}", closed.err);
}

#[test]
fn the_chosen_free_port_is_printed_and_an_interrupt_ends_the_forward() {
    let machine = Fixture::new();
    let kubectl = "kubectl --context kind-milvus-cluster";
    machine.on(&format!("{kubectl} get services")).says(
        r#"{"items": [{"metadata": {"namespace": "default", "name": "my-release-milvus"},
            "spec": {"selector": {"a": "b"}, "ports": [{"name": "milvus", "port": 19530, "targetPort": 19530}]}}]}"#,
    );
    machine.on(&format!("{kubectl} get pods")).says(
        r#"{"items": [{"metadata": {"name": "proxy-0", "uid": "1"},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}]}"#,
    );
    machine
        .on(&format!("{kubectl} port-forward"))
        .says("Forwarding from 127.0.0.1:1 -> 19530\n")
        .takes(Duration::from_secs(15));
    let mut child = machine.command(&["forward", "milvus", "--port", "0"]).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    Outcome::of_child(child).ends_with(130).complains_of(&["pod `proxy-0`"]);
    let port = url.trim_end().strip_prefix("http://127.0.0.1:").and_then(|port| port.parse::<u16>().ok());
    let port = port.unwrap_or_else(|| panic!("{url:?}"));
    let calls = machine.calls();
    assert!(calls.iter().any(|call| call.ends_with(&format!("pod/proxy-0 {port}:19530"))), "{calls:?}");
    machine.assert_all_ended();
}
