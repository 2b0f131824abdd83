//! Turns a node port into an address that this machine can use.

/// A host port that is mapped to a node's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The host address that listens; empty, `0.0.0.0` or `::` for all addresses.
    pub address: String,
    pub host: u16,
    pub node: u16,
}

/// How node ports are reached from this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Nodes are containers: only mapped ports are reachable.
    Mapped(Vec<Mapping>),
    /// Every node port is reachable at this node address.
    Node(String),
}

impl Reach {
    /// The URL that reaches `node_port`, if any.
    pub fn url(&self, node_port: u16) -> Option<String> {
        match self {
            Self::Mapped(mappings) => {
                let mut found: Vec<_> = mappings.iter().filter(|mapping| mapping.node == node_port).collect();
                // Engines list a port on all addresses twice; IPv4 works on every machine.
                found.sort_by_key(|mapping| mapping.address.contains(':'));
                let mapping = found.first()?;
                Some(format!("http://{}:{}", host_of(&mapping.address), mapping.host))
            }
            Self::Node(address) => Some(format!("http://{}:{node_port}", host_of(address))),
        }
    }

    /// The reachable node ports with their URLs, if only some are.
    pub(super) fn offers(&self) -> Vec<(u16, String)> {
        let Self::Mapped(mappings) = self else { return Vec::new() };
        let mut ports: Vec<u16> = mappings.iter().map(|mapping| mapping.node).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.into_iter().filter_map(|port| Some((port, self.url(port)?))).collect()
    }
}

/// The URL host to reach a listener on `address`: loopback if it listens on all addresses.
pub fn host_of(address: &str) -> String {
    match address.trim_matches(['[', ']']) {
        "" | "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" => "[::1]".to_owned(),
        address if address.contains(':') => format!("[{address}]"),
        address => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(address: &str, host: u16, node: u16) -> Mapping {
        Mapping { address: address.to_owned(), host, node }
    }

    #[test]
    fn a_mapped_port_is_reached_at_the_hosts_address() {
        let rows = [
            ("127.0.0.1", "http://127.0.0.1:19530"),
            ("0.0.0.0", "http://127.0.0.1:19530"),
            ("", "http://127.0.0.1:19530"),
            ("::", "http://[::1]:19530"),
            ("[::]", "http://[::1]:19530"),
            ("fd00::2", "http://[fd00::2]:19530"),
            ("192.168.1.5", "http://192.168.1.5:19530"),
        ];
        for (address, url) in rows {
            let reach = Reach::Mapped(vec![mapping(address, 19530, 31530)]);
            assert_eq!(reach.url(31530).as_deref(), Some(url), "{address}");
        }
    }

    #[test]
    fn a_port_that_listens_on_both_families_is_reached_by_ipv4() {
        let reach = Reach::Mapped(vec![mapping("::", 1, 30000), mapping("0.0.0.0", 1, 30000)]);
        assert_eq!(reach.url(30000).as_deref(), Some("http://127.0.0.1:1"));
    }

    #[test]
    fn an_unmapped_port_is_not_reachable() {
        assert_eq!(Reach::Mapped(vec![mapping("127.0.0.1", 31530, 31000)]).url(31530), None);
    }

    #[test]
    fn nodes_with_an_address_of_their_own_need_no_mapping() {
        assert_eq!(Reach::Node("10.0.0.7".into()).url(31530).as_deref(), Some("http://10.0.0.7:31530"));
    }
}
