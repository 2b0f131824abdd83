//! Finds out what answers at an address, before the client connects to it.
//!
//! The client retries a refused connection until its time is up and then only reports a timeout. A plain
//! connection with the first bytes of HTTP/2 (RFC 9113, section 3.4) tells the cases apart.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::options::Address;
use super::why::{NotReached, ServerVersion};

/// The client's side of the connection preface: the magic string and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The length of an HTTP/2 frame header.
const FRAME_HEADER: usize = 9;

/// How long one address of a host may take to accept a connection; the system has tried three times by then.
const CONNECT: Duration = Duration::from_secs(4);

/// How often to check for a stop while waiting.
const TICK: Duration = Duration::from_millis(100);

/// Checks whether Milvus answers at `uri`, without logging in. Blocks for about `timeout` at most.
///
/// # Errors
/// Returns what answers instead, or what is in the way; see [`NotReached::is_from_milvus`].
pub fn reachable(uri: &str, timeout: Duration) -> Result<ServerVersion, NotReached> {
    let begun = Instant::now();
    greet(uri, timeout, &AtomicBool::new(false))?;
    #[cfg(feature = "smoke")]
    return super::connection::ask_version(uri, timeout.saturating_sub(begun.elapsed()));
    #[cfg(not(feature = "smoke"))]
    {
        let _ = begun;
        Ok(ServerVersion { version: None })
    }
}

/// Connects to `uri` and waits for the server's HTTP/2 preface.
///
/// With `https`, only connects; the client finds out what is behind the encryption.
pub(super) fn greet(uri: &str, timeout: Duration, stop: &AtomicBool) -> Result<(), NotReached> {
    let begun = Instant::now();
    let address = Address::parse(uri)?;
    let mut stream = connect(uri, &address, timeout, stop)?;
    if address.tls {
        return Ok(());
    }
    let closed = || NotReached::Closed { uri: uri.to_owned() };
    stream.write_all(PREFACE).map_err(|_| closed())?;
    stream.set_read_timeout(Some(TICK)).map_err(|error| unreachable(uri, &error))?;
    let mut greeting = Vec::new();
    let mut buffer = [0; 64];
    let finished = loop {
        if stop.load(Ordering::Relaxed) {
            return Err(NotReached::Stopped);
        }
        match stream.read(&mut buffer) {
            Ok(0) => break true,
            Ok(read) => greeting.extend_from_slice(&buffer[..read]),
            Err(error) if is_retryable(&error) => {}
            Err(_) => break true,
        }
        if greeting.len() >= FRAME_HEADER {
            break false;
        }
        if begun.elapsed() >= timeout {
            break false;
        }
    };
    match Greeting::of(&greeting) {
        Greeting::Http2 => Ok(()),
        Greeting::Http1 => Err(NotReached::NotMilvus { uri: uri.to_owned(), what: "an HTTP server".into() }),
        Greeting::Tls => Err(NotReached::WantsTls { uri: uri.to_owned() }),
        Greeting::Other => {
            Err(NotReached::NotMilvus { uri: uri.to_owned(), what: "another kind of server".into() })
        }
        Greeting::Nothing if finished => Err(closed()),
        Greeting::Nothing => {
            Err(NotReached::Silent { uri: uri.to_owned(), seconds: begun.elapsed().as_secs_f64() })
        }
    }
}

/// What a server's first bytes reveal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    Nothing,
    Http2,
    Http1,
    Tls,
    Other,
}

impl Greeting {
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [] => Self::Nothing,
            // The server's preface is a SETTINGS frame (type 4) on stream 0.
            [_, _, _, 4, _, 0, 0, 0, 0, ..] => Self::Http2,
            // Some HTTP servers answer an unknown version with a bare page.
            [b'H', b'T', b'T', b'P', b'/', ..] | [b'<', ..] => Self::Http1,
            // A TLS alert record, of any version.
            [0x15, 0x03, ..] => Self::Tls,
            _ => Self::Other,
        }
    }
}

/// Resolves the name on its own thread, since the system's resolver takes as long as it likes.
fn resolve(
    lookup: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    timeout: Duration,
    stop: &AtomicBool,
) -> Result<Vec<SocketAddr>, String> {
    let (sender, receiver) = sync_channel(1);
    // Not joined: nobody listens to a late answer.
    std::thread::spawn(move || sender.send(lookup()));
    let begun = Instant::now();
    loop {
        match receiver.recv_timeout(TICK.min(timeout)) {
            Ok(found) => return found.map_err(|error| error.to_string()),
            Err(RecvTimeoutError::Disconnected) => return Err("the resolver crashed".to_owned()),
            Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => return Ok(Vec::new()),
            Err(RecvTimeoutError::Timeout) if begun.elapsed() < timeout => {}
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("the name servers did not answer within {:.1} s", timeout.as_secs_f64()));
            }
        }
    }
}

fn connect(
    uri: &str,
    address: &Address,
    timeout: Duration,
    stop: &AtomicBool,
) -> Result<TcpStream, NotReached> {
    let unknown = |reason: String| NotReached::UnknownHost { uri: uri.to_owned(), reason };
    let begun = Instant::now();
    let name = (address.host.clone(), address.port);
    let lookup = move || name.to_socket_addrs().map(Iterator::collect);
    let targets = resolve(lookup, timeout, stop).map_err(unknown)?;
    if stop.load(Ordering::Relaxed) {
        return Err(NotReached::Stopped);
    }
    // Zero is no timeout to the system, but an error.
    let timeout = timeout.saturating_sub(begun.elapsed()).max(TICK);
    let mut last = unknown("the name has no address".into());
    // `localhost` often has two addresses, only one of which answers.
    for target in targets {
        match TcpStream::connect_timeout(&target, timeout.min(CONNECT)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = unreachable(uri, &error),
        }
    }
    Err(last)
}

fn unreachable(uri: &str, error: &io::Error) -> NotReached {
    let uri = uri.to_owned();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => NotReached::Refused { uri },
        io::ErrorKind::TimedOut => NotReached::Unreachable { uri, reason: "timed out".into() },
        _ => NotReached::Unreachable { uri, reason: error.to_string() },
    }
}

fn is_retryable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke::OptionsError;
    use std::net::TcpListener;

    #[test]
    fn a_resolver_that_does_not_answer_is_not_awaited_for_ever() {
        let silent = || {
            std::thread::sleep(Duration::from_secs(300));
            Ok(Vec::new())
        };
        let (begun, stop) = (Instant::now(), AtomicBool::new(false));
        let why = resolve(silent, Duration::from_millis(300), &stop).unwrap_err();
        assert_eq!(why, "the name servers did not answer within 0.3 s");
        stop.store(true, Ordering::Relaxed);
        assert_eq!(resolve(silent, Duration::from_secs(200), &stop), Ok(Vec::new()));
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
        let known = || ("localhost", 1).to_socket_addrs().map(Iterator::collect);
        stop.store(false, Ordering::Relaxed);
        assert!(!resolve(known, Duration::from_secs(60), &stop).unwrap().is_empty());
    }

    /// Listens, answers each connection with `answer`, and keeps it open for `hold`.
    fn server(answer: &'static [u8], hold: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut preface = [0; PREFACE.len()];
                stream.read_exact(&mut preface).unwrap();
                stream.write_all(answer).unwrap();
                std::thread::sleep(hold);
            }
        });
        uri
    }

    #[test]
    fn addresses_are_parsed() {
        let address = |tls, host: &str, port| Ok(Address { tls, host: host.into(), port });
        let refused = |uri: &str| Err(OptionsError::Uri(uri.into()));
        let table = [
            ("http://localhost:19530", address(false, "localhost", 19530)),
            ("https://milvus.example:443/", address(true, "milvus.example", 443)),
            ("http://[::1]:19530", address(false, "::1", 19530)),
            ("http://127.0.0.1:0", refused("http://127.0.0.1:0")),
            ("http://127.0.0.1:65536", refused("http://127.0.0.1:65536")),
            ("http://127.0.0.1", refused("http://127.0.0.1")),
            ("http://:19530", refused("http://:19530")),
            ("http://::1:19530", refused("http://::1:19530")),
            ("tcp://127.0.0.1:19530", refused("tcp://127.0.0.1:19530")),
            ("127.0.0.1:19530", refused("127.0.0.1:19530")),
            ("http://host:1/path", refused("http://host:1/path")),
            ("http://a host:1", refused("http://a host:1")),
            ("http://root:secret@host:1", Err(OptionsError::LoginInUri)),
            ("", refused("")),
        ];
        for (uri, expected) in table {
            assert_eq!(Address::parse(uri), expected, "{uri}");
        }
    }

    #[test]
    fn first_bytes_reveal_the_protocol() {
        let table: [(&[u8], Greeting); 7] = [
            (b"", Greeting::Nothing),
            (b"\0\0\x06\x04\0\0\0\0\0\0\x04", Greeting::Http2),
            (b"HTTP/1.1 400 Bad Request", Greeting::Http1),
            (b"<!DOCTYPE HTML>", Greeting::Http1),
            (b"\x15\x03\x01\0\x02\x02\x46", Greeting::Tls),
            (b"SSH-2.0-OpenSSH_9.2", Greeting::Other),
            (b"\0\0", Greeting::Other),
        ];
        for (bytes, expected) in table {
            assert_eq!(Greeting::of(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_closed_port_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        assert_eq!(reachable(&uri, Duration::from_secs(5)), Err(NotReached::Refused { uri }));
    }

    #[test]
    fn an_http_server_is_not_a_milvus() {
        let uri = server(b"HTTP/1.1 400 Bad Request\r\n\r\n", Duration::ZERO);
        let why = reachable(&uri, Duration::from_secs(5)).unwrap_err();
        assert_eq!(why, NotReached::NotMilvus { uri, what: "an HTTP server".into() });
    }

    #[test]
    fn a_server_of_another_protocol_is_not_a_milvus() {
        let uri = server(b"SSH-2.0-OpenSSH_9.2\r\n", Duration::ZERO);
        let why = reachable(&uri, Duration::from_secs(5)).unwrap_err();
        assert_eq!(why, NotReached::NotMilvus { uri, what: "another kind of server".into() });
    }

    #[test]
    fn a_port_mapping_with_nothing_behind_it_is_closed() {
        let uri = server(b"", Duration::ZERO);
        assert_eq!(reachable(&uri, Duration::from_secs(5)), Err(NotReached::Closed { uri }));
    }

    #[test]
    fn a_silent_server_times_out() {
        let uri = server(b"", Duration::from_secs(60));
        let begun = Instant::now();
        let why = reachable(&uri, Duration::from_millis(300)).unwrap_err();
        assert!(matches!(why, NotReached::Silent { .. }), "{why:?}");
        assert!(begun.elapsed() < Duration::from_secs(3));
    }

    #[test]
    fn waiting_for_a_greeting_can_be_stopped() {
        let uri = server(b"", Duration::from_secs(60));
        assert_eq!(greet(&uri, Duration::from_secs(60), &AtomicBool::new(true)), Err(NotReached::Stopped));
    }

    #[test]
    fn an_invalid_address_is_reported_before_connecting() {
        let why = reachable("localhost", Duration::from_secs(1)).unwrap_err();
        assert_eq!(why, NotReached::Address(OptionsError::Uri("localhost".into())));
    }
}
