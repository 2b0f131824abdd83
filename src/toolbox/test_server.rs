//! A small HTTP server for tests that can cut, delay and redirect.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The parts of a request that tests check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeenRequest {
    pub path: String,
    /// The first byte requested, in a range request.
    pub from: Option<usize>,
}

/// A response, honest by default.
pub(super) struct ServerReply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Cut the connection after this many bytes of the body.
    pub cut_after: Option<usize>,
    /// How long to be silent before the body.
    pub silence: Duration,
    /// How many pieces to send the body in, a tenth of a second apart.
    pub pieces: usize,
    /// Repeat the body forever, without a length.
    pub endless: bool,
}

impl ServerReply {
    pub(super) fn status(status: u16) -> Self {
        Self {
            status,
            headers: vec![],
            body: vec![],
            cut_after: None,
            silence: Duration::ZERO,
            pieces: 1,
            endless: false,
        }
    }

    pub(super) fn body(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }

    /// The response of a server that supports ranges.
    pub(super) fn ranged(whole: &[u8], asked: &SeenRequest) -> Self {
        match asked.from {
            None => Self::body(whole),
            Some(from) if from >= whole.len() => {
                let range = format!("bytes */{}", whole.len());
                Self { headers: vec![("Content-Range", range)], ..Self::status(416) }
            }
            Some(from) => {
                let range = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
                let headers = vec![("Content-Range", range)];
                Self { headers, body: whole[from..].to_vec(), ..Self::status(206) }
            }
        }
    }

    pub(super) fn cut_after(self, bytes: usize) -> Self {
        Self { cut_after: Some(bytes), ..self }
    }
}

/// A server that lives as long as the test.
pub(super) struct Server {
    pub url: String,
    asked: Arc<Mutex<Vec<SeenRequest>>>,
}

impl Server {
    /// Starts a server whose responses depend on the request and on how many came before it.
    pub(super) fn start(answer: impl Fn(&SeenRequest, usize) -> ServerReply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let Some(asked) = read_request(&stream) else { return };
                    let before = {
                        let mut log = log.lock().unwrap();
                        log.push(asked.clone());
                        log.len() - 1
                    };
                    send(&stream, &answer(&asked, before));
                });
            }
        });
        Self { url, asked }
    }

    /// Returns the requests so far.
    pub(super) fn asked(&self) -> Vec<SeenRequest> {
        self.asked.lock().unwrap().clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<SeenRequest> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let mut from = None;
    for line in lines {
        let line = line.ok()?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().ok();
        }
    }
    Some(SeenRequest { path, from })
}

fn send(mut stream: &TcpStream, reply: &ServerReply) {
    let mut head = vec![format!("HTTP/1.1 {} Test", reply.status), "Connection: close".to_owned()];
    head.extend(reply.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    if reply.endless {
        head.push("\r\n".to_owned());
    } else {
        head.push(format!("Content-Length: {}\r\n\r\n", reply.body.len()));
    }
    let body = &reply.body[..reply.cut_after.unwrap_or(reply.body.len())];
    // The client may be gone already; some tests are about that.
    let _ = stream.write_all(head.join("\r\n").as_bytes());
    std::thread::sleep(reply.silence);
    for (number, piece) in body.chunks(body.len().div_ceil(reply.pieces).max(1)).enumerate() {
        if number > 0 {
            std::thread::sleep(Duration::from_millis(100));
        }
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    while reply.endless && stream.write_all(body).is_ok() {}
    let _ = stream.shutdown(Shutdown::Both);
}
