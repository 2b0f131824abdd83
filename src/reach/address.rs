//! From a node port to an address that this machine can use.

/// A port of the host that leads to a port of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The address of the host that listens; empty, `0.0.0.0` or `::` when all of them do.
    pub address: String,
    pub host: u16,
    pub node: u16,
}

/// How node ports are reached from this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Nodes are containers; only what is mapped to the host is reached.
    Mapped(Vec<Mapping>),
    /// Every node port is reached at this address of a node.
    Node(String),
}

impl Reach {
    /// The URL under which `node_port` is reached, if it is.
    pub fn url(&self, node_port: u16) -> Option<String> {
        match self {
            Self::Mapped(mappings) => {
                let mut found: Vec<_> = mappings.iter().filter(|mapping| mapping.node == node_port).collect();
                // Engines list a port that listens everywhere twice; IPv4 works on every machine.
                found.sort_by_key(|mapping| mapping.address.contains(':'));
                let mapping = found.first()?;
                Some(format!("http://{}:{}", host_of(&mapping.address), mapping.host))
            }
            Self::Node(address) => Some(format!("http://{}:{node_port}", host_of(address))),
        }
    }

    /// The node ports that could be had, with their URLs, where that is limited.
    pub(super) fn offers(&self) -> Vec<(u16, String)> {
        let Self::Mapped(mappings) = self else { return Vec::new() };
        let mut ports: Vec<u16> = mappings.iter().map(|mapping| mapping.node).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.into_iter().filter_map(|port| Some((port, self.url(port)?))).collect()
    }
}

/// The host part of a URL for a client of what listens on `address`: loopback when that is all addresses.
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
    fn a_mapped_port_is_reached_where_the_host_listens() {
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
    fn a_port_that_is_not_mapped_is_not_reached() {
        assert_eq!(Reach::Mapped(vec![mapping("127.0.0.1", 31530, 31000)]).url(31530), None);
    }

    #[test]
    fn nodes_with_an_address_of_their_own_need_no_mapping() {
        assert_eq!(Reach::Node("10.0.0.7".into()).url(31530).as_deref(), Some("http://10.0.0.7:31530"));
    }
}
