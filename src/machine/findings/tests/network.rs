//! Findings about ports, proxies and registries.

use super::*;

#[test]
fn a_port_is_free_taken_or_ours() {
    let proxy = Holder { pid: 42, name: "docker-proxy".to_owned() };
    let rows = [
        (PortState::Free, vec![], Level::Ok, None, "port 127.0.0.1:31000 is free"),
        (
            PortState::Taken(vec![proxy.clone()]),
            vec![],
            Level::Fail,
            Some(2),
            "port 127.0.0.1:31000 is taken by `docker-proxy` (process 42)",
        ),
        (
            PortState::Taken(vec![]),
            vec![19530],
            Level::Fail,
            Some(2),
            "port 127.0.0.1:31000 is taken by a process of another user",
        ),
        (
            PortState::Published("web".to_owned()),
            vec![],
            Level::Fail,
            Some(2),
            "port 127.0.0.1:31000 is taken by the container `web`",
        ),
        (
            PortState::Published("milvus-cluster-control-plane".to_owned()),
            vec![31000],
            Level::Ok,
            None,
            "port 127.0.0.1:31000 is used by this cluster",
        ),
        (
            PortState::Taken(vec![proxy]),
            vec![31000],
            Level::Ok,
            None,
            "port 127.0.0.1:31000 is used by this cluster",
        ),
        (
            PortState::NoSuchAddress,
            vec![],
            Level::Fail,
            Some(2),
            "this machine does not have the address `127.0.0.1`",
        ),
    ];
    for (state, ours, level, exit, what) in rows {
        let port = Port { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 31000, state };
        let facts = MachineFacts { ports: vec![port], ..machine() };
        let finding = find(&facts, &Needs { ours, ..needs() }, "port");
        assert_eq!((finding.level, finding.exit, finding.what.as_str()), (level, exit, what));
        assert_eq!(finding.subject.as_deref(), Some("31000"));
    }
}

#[test]
fn a_loopback_proxy_is_out_of_reach_of_the_nodes() {
    let rows = [
        ("HTTPS_PROXY", "http://127.0.0.1:7890", Level::Warn),
        ("https_proxy", "http://***@localhost:7890", Level::Warn),
        ("HTTPS_PROXY", "http://proxy.example:3128", Level::Ok),
        ("NO_PROXY", "localhost,127.0.0.1", Level::Ok),
    ];
    for (name, value, expected) in rows {
        let mut facts = machine();
        facts.environment.proxies = vec![Proxy { name: name.to_owned(), value: value.to_owned() }];
        assert_eq!(find(&facts, &needs(), "proxy").level, expected, "{name} {value}");
    }
}

#[test]
fn a_variable_that_cannot_be_used_is_a_failure_with_a_way_out() {
    let mut facts = machine();
    assert!(!findings(&facts, &needs()).iter().any(|finding| finding.id == "network"));
    let why = "`HTTPS_PROXY` is not a valid proxy address";
    facts.environment.network_fault = Some(why.to_owned());
    let finding = find(&facts, &needs(), "network");
    assert_eq!((finding.level, finding.exit, finding.what.as_str()), (Level::Fail, Some(1), why));
    assert_eq!(finding.fix, ["correct the variable, or unset it"]);
}

#[test]
fn a_slow_or_unreachable_registry_is_a_warning() {
    let rows = [
        (RegistryState::Answered(401), 120, Level::Ok),
        (RegistryState::Answered(401), 3000, Level::Warn),
        (RegistryState::Answered(503), 120, Level::Warn),
        (RegistryState::Failed("its name could not be resolved".to_owned()), 5, Level::Warn),
    ];
    for (state, millis, expected) in rows {
        let registry = Registry { host: "registry.example".to_owned(), millis, state };
        let facts = MachineFacts { registries: vec![registry], ..machine() };
        assert_eq!(level(&facts, &needs(), "registry"), (expected, None));
    }
}
