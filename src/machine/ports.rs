//! Checks whether a host port can be opened, and finds out who has it if not.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use super::facts::{Holder, Port, PortState};

/// Tries to open `port` on `address`, and looks below `root` (`/` except in tests) for who listens there.
///
/// The port is closed again at once. A port that only root may open counts as free if nobody listens, since
/// the engine is what opens it.
pub fn observe_port(root: &Path, address: IpAddr, port: u16) -> Port {
    let state = match TcpListener::bind(SocketAddr::new(address, port)) {
        Ok(_) => PortState::Free,
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => PortState::NoSuchAddress,
        Err(error) => {
            let inodes = listening_inodes(root, address, port);
            if inodes.is_empty() && error.kind() != ErrorKind::AddrInUse {
                PortState::Free
            } else {
                PortState::Taken(holders(root, &inodes))
            }
        }
    };
    Port { address, port, state }
}

/// Returns the inodes of the listening sockets that conflict with `address` and `port`.
fn listening_inodes(root: &Path, address: IpAddr, port: u16) -> BTreeSet<u64> {
    ["proc/net/tcp", "proc/net/tcp6"]
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(root.join(path)).ok())
        .flat_map(|table| table.lines().filter_map(parse_listener).collect::<Vec<_>>())
        .filter(|listener| listener.port == port && conflicts(listener.address, address))
        .map(|listener| listener.inode)
        .collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Listener {
    address: IpAddr,
    port: u16,
    inode: u64,
}

/// Parses a line of `/proc/net/tcp` if its socket is listening (state `0A`).
fn parse_listener(line: &str) -> Option<Listener> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    if *fields.get(3)? != "0A" {
        return None;
    }
    Some(Listener {
        address: parse_address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Parses an address of one or four words, each in the machine's byte order.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let words = hex
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok().map(u32::to_ne_bytes))
        .collect::<Option<Vec<_>>>()?;
    match words.as_slice() {
        [word] if hex.len() == 8 => Some(Ipv4Addr::from(*word).into()),
        [_, _, _, _] if hex.len() == 32 => {
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            let address = Ipv6Addr::from(bytes);
            Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
        }
        _ => None,
    }
}

fn conflicts(listening: IpAddr, wanted: IpAddr) -> bool {
    listening == wanted || listening.is_unspecified() || wanted.is_unspecified()
}

/// Returns the processes that hold one of `inodes`, as far as this user may see them.
fn holders(root: &Path, inodes: &BTreeSet<u64>) -> Vec<Holder> {
    let Ok(processes) = std::fs::read_dir(root.join("proc")) else { return Vec::new() };
    let links: BTreeSet<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let mut holders: Vec<Holder> = processes
        .filter_map(Result::ok)
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let holds = std::fs::read_dir(process.path().join("fd")).ok()?.filter_map(Result::ok).any(|fd| {
                let link = std::fs::read_link(fd.path());
                link.is_ok_and(|link| link.to_str().is_some_and(|link| links.contains(link)))
            });
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            holds.then(|| Holder { pid, name: name.trim().to_owned() })
        })
        .collect();
    holders.sort();
    holders
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

    fn line(address: &str, state: &str, inode: u32) -> String {
        format!(
            "   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1\n"
        )
    }

    /// Returns a `/proc` where process 42, `docker-proxy`, holds socket 777, with `tcp` and `tcp6` as tables.
    fn proc_with(tcp: &str, tcp6: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let proc = dir.path().join("proc");
        std::fs::create_dir_all(proc.join("net")).unwrap();
        std::fs::create_dir_all(proc.join("42/fd")).unwrap();
        std::fs::create_dir_all(proc.join("self/fd")).unwrap();
        std::fs::write(proc.join("net/tcp"), tcp).unwrap();
        std::fs::write(proc.join("net/tcp6"), tcp6).unwrap();
        std::fs::write(proc.join("42/comm"), "docker-proxy\n").unwrap();
        std::os::unix::fs::symlink("socket:[777]", proc.join("42/fd/3")).unwrap();
        dir
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn kernel_tables_are_parsed() {
        let any6 = "0".repeat(32);
        let mapped = format!("{}FFFF00000100007F", "0".repeat(16));
        let rows = [
            (line("0100007F:7918", "0A", 777), Some((LOOPBACK, 31000, 777))),
            (line("00000000:4C4A", "0A", 5), Some((ANY, 19530, 5))),
            (line(&format!("{any6}:4C4A"), "0A", 6), Some((IpAddr::V6(Ipv6Addr::UNSPECIFIED), 19530, 6))),
            (line(&format!("{mapped}:4C4A"), "0A", 7), Some((LOOPBACK, 19530, 7))),
            (line("0100007F:7918", "01", 777), None),
            ("  sl  local_address rem_address   st tx_queue\n".to_owned(), None),
            (String::new(), None),
        ];
        for (text, expected) in rows {
            let expected = expected.map(|(address, port, inode)| Listener { address, port, inode });
            assert_eq!(parse_listener(&text), expected, "{text}");
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn conflicting_listeners_are_named() {
        let taken = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let holder = Holder { pid: 42, name: "docker-proxy".to_owned() };
        let rows = [
            (line(&format!("0100007F:{port:04X}"), "0A", 777), String::new(), vec![holder.clone()]),
            (line(&format!("00000000:{port:04X}"), "0A", 777), String::new(), vec![holder.clone()]),
            (String::new(), line(&format!("{}:{port:04X}", "0".repeat(32)), "0A", 777), vec![holder]),
            (line(&format!("0200007F:{port:04X}"), "0A", 777), String::new(), vec![]),
            (line(&format!("0100007F:{port:04X}"), "0A", 778), String::new(), vec![]),
        ];
        for (tcp, tcp6, holders) in rows {
            let root = proc_with(&tcp, &tcp6);
            let state = observe_port(root.path(), LOOPBACK, port).state;
            assert_eq!(state, PortState::Taken(holders), "{tcp}{tcp6}");
        }
    }

    #[test]
    fn an_unused_port_is_free() {
        let taken = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        drop(taken);
        let observed = observe_port(Path::new("/"), LOOPBACK, port);
        assert_eq!(observed, Port { address: LOOPBACK, port, state: PortState::Free });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_found_by_its_port() {
        let taken = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let PortState::Taken(holders) = observe_port(Path::new("/"), ANY, port).state else { panic!() };
        assert_eq!(holders.iter().map(|holder| holder.pid).collect::<Vec<_>>(), [std::process::id()]);
    }

    #[test]
    fn an_address_of_another_machine_is_reported() {
        // 192.0.2.0/24 is reserved for documentation (RFC 5737).
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(observe_port(Path::new("/"), address, 31000).state, PortState::NoSuchAddress);
    }
}
