//! A registry for tests that can cut, stall, delay, refuse, redirect and lie.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::archive::Digest;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The parts of a request that tests check.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub method: String,
    pub path: String,
    /// First and last byte requested.
    pub range: Option<(usize, Option<usize>)>,
    pub authorization: Option<String>,
    /// The body's media type.
    pub kind: String,
    pub status: u16,
}

/// How the registry misbehaves; by default it does not.
#[derive(Default)]
pub(crate) struct Behavior {
    /// Cut the connection after this many bytes of a body.
    pub cut_after: Option<usize>,
    /// Fall silent after this many bytes of a blob, leaving the connection open.
    pub stall_after: Option<usize>,
    /// After this many bytes of a blob, send one every few milliseconds.
    pub drip_after: Option<usize>,
    /// Delay blobs by this time.
    pub hold_back: Duration,
    /// Bytes a second on each connection.
    pub rate: Option<usize>,
    /// Answer range requests with the whole (200), or as unsatisfiable (416).
    pub ranges: Option<u16>,
    /// Corrupt the bytes of blobs.
    pub lies: bool,
    /// Answer this many requests in this time; others get 429 and a time to wait.
    pub limit: Option<(usize, Duration)>,
    /// Deny pushes.
    pub refuses_pushes: bool,
    /// The token service to point to.
    pub realm: Option<String>,
    /// Where to redirect blobs to.
    pub redirect: Option<String>,
}

#[derive(Default)]
struct Inner {
    behavior: Behavior,
    /// By path below `/v2/`: media type and bytes.
    files: HashMap<String, (String, Vec<u8>)>,
    asked: Vec<Asked>,
    served: Vec<Instant>,
    sent: usize,
    open: usize,
    most_open: usize,
}

/// A registry that lives as long as the test.
#[derive(Clone)]
pub(crate) struct Fake {
    pub host: String,
    inner: Arc<Mutex<Inner>>,
}

/// An image that was pushed.
pub(crate) struct Pushed {
    pub index: Digest,
    pub manifest: Digest,
    /// Bytes of configuration and layers.
    pub bytes: usize,
}

/// Answers a TLS handshake in plain text, as servers without TLS do.
fn is_tls(mut stream: &TcpStream) -> bool {
    let mut first = [0];
    let is_tls = stream.peek(&mut first).is_ok() && first == [0x16];
    if is_tls {
        let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
    }
    is_tls
}

impl Fake {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let fake = Self { host, inner: Arc::default() };
        let this = fake.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let this = this.clone();
                std::thread::spawn(move || {
                    // A client may ask first whether we speak TLS.
                    if is_tls(&stream) {
                        return;
                    }
                    this.count(1);
                    if !this.serve(&stream) {
                        this.count(-1);
                    }
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        fake
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn count(&self, more: isize) {
        let mut inner = self.lock();
        inner.open = inner.open.checked_add_signed(more).unwrap();
        inner.most_open = inner.most_open.max(inner.open);
    }

    pub(crate) fn behave(&self, change: impl FnOnce(&mut Behavior)) {
        change(&mut self.lock().behavior);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    /// Discards the recorded requests.
    pub(crate) fn forget(&self) {
        let mut inner = self.lock();
        inner.asked.clear();
        inner.sent = 0;
    }

    /// Waits until every connection is over.
    pub(crate) fn wait_until_idle(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        while self.lock().open > 0 {
            assert!(Instant::now() < end, "a connection stays open");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Bytes of bodies that were written.
    pub(crate) fn sent(&self) -> usize {
        self.lock().sent
    }

    pub(crate) fn most_open(&self) -> usize {
        self.lock().most_open
    }

    /// The content pushed to or served at a path below `/v2/`.
    pub(crate) fn holds(&self, path: &str) -> Option<Vec<u8>> {
        self.lock().files.get(path).map(|(_, bytes)| bytes.clone())
    }

    pub(crate) fn serves(&self, path: &str, kind: &str, bytes: &[u8]) {
        self.lock().files.insert(path.to_owned(), (kind.to_owned(), bytes.to_vec()));
    }

    /// Pushes an image for `architectures` with the same layers for each.
    pub(crate) fn push(&self, name: &str, tag: &str, architectures: &[&str], layers: &[&[u8]]) -> Pushed {
        let blob = |bytes: &[u8], kind: &str| {
            let digest = Digest::of(bytes);
            self.serves(&format!("{name}/blobs/{digest}"), "application/octet-stream", bytes);
            json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
        };
        let mut entries = Vec::new();
        let (mut manifest, mut bytes) = (Digest::of(b""), layers.iter().map(|layer| layer.len()).sum());
        for architecture in architectures {
            let config = json!({"os": "linux", "architecture": architecture, "name": name}).to_string();
            bytes += config.len();
            let layers: Vec<_> = layers
                .iter()
                .map(|layer| blob(layer, "application/vnd.oci.image.layer.v1.tar+gzip"))
                .collect();
            let config = blob(config.as_bytes(), "application/vnd.oci.image.config.v1+json");
            let text = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
            let text = text.to_string();
            manifest = Digest::of(text.as_bytes());
            self.serves(&format!("{name}/manifests/{manifest}"), MANIFEST, text.as_bytes());
            entries.push(json!({"mediaType": MANIFEST, "digest": manifest, "size": text.len(),
                "platform": {"os": "linux", "architecture": architecture}}));
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string();
        let digest = Digest::of(index.as_bytes());
        for reference in [tag.to_owned(), digest.to_string()] {
            self.serves(&format!("{name}/manifests/{reference}"), INDEX, index.as_bytes());
        }
        Pushed { index: digest, manifest, bytes }
    }

    /// Answers one request; returns whether the connection was counted as closed. That happens before the
    /// last bytes go out, because the client may be back before we are.
    fn serve(&self, stream: &TcpStream) -> bool {
        let Some((mut asked, body)) = read_request(stream) else { return false };
        let reply = self.answer(&asked, &body);
        asked.status = reply.status;
        let is_blob = asked.method == "GET" && asked.path.contains("/blobs/");
        let (hold_back, rate, cut, stall, drip) = {
            let mut inner = self.lock();
            inner.asked.push(asked.clone());
            let behavior = &inner.behavior;
            let stall = behavior.stall_after.filter(|_| is_blob);
            let hold_back = if is_blob { behavior.hold_back } else { Duration::ZERO };
            let drip = behavior.drip_after.filter(|_| is_blob);
            (hold_back, behavior.rate, behavior.cut_after.filter(|_| is_blob), stall, drip)
        };
        std::thread::sleep(hold_back);
        let mut stream = stream;
        let mut head = format!("HTTP/1.1 {} Test\r\nConnection: close\r\n", reply.status);
        for (name, value) in &reply.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", reply.body.len());
        if stream.write_all(head.as_bytes()).is_err() || asked.method == "HEAD" {
            return false;
        }
        let ends = [cut, stall, drip].into_iter().flatten().min().unwrap_or(usize::MAX).min(reply.body.len());
        let pieces = reply.body[..ends].chunks(32 * 1024);
        let last = pieces.len();
        let mut is_over = false;
        for (number, piece) in pieces.enumerate() {
            if let Some(rate) = rate {
                std::thread::sleep(Duration::from_micros((piece.len() * 1_000_000 / rate) as u64));
            }
            if number + 1 == last && stall.is_none() && drip.is_none() {
                self.count(-1);
                is_over = true;
            }
            if stream.write_all(piece).is_err() {
                return is_over;
            }
            self.lock().sent += piece.len();
        }
        for byte in reply.body[ends..].chunks(1).take_while(|_| drip.is_some()) {
            std::thread::sleep(Duration::from_millis(20));
            if stream.write_all(byte).is_err() {
                return is_over;
            }
            self.lock().sent += 1;
        }
        if stall.is_some_and(|stall| stall < reply.body.len()) {
            std::thread::sleep(Duration::from_secs(20));
        }
        is_over
    }

    fn answer(&self, asked: &Asked, body: &[u8]) -> Reply {
        let mut inner = self.lock();
        if let Some((most, time)) = inner.behavior.limit {
            inner.served.retain(|served| served.elapsed() < time);
            if inner.served.len() >= most {
                let wait = time.as_secs().max(1).to_string();
                return Reply::status(429).with("Retry-After", &wait);
            }
            inner.served.push(Instant::now());
        }
        if let Some(realm) =
            inner.behavior.realm.as_ref().filter(|_| {
                !asked.authorization.as_ref().is_some_and(|login| login.starts_with("Bearer t0ken"))
            })
        {
            let challenge = format!("Bearer realm=\"{realm}\",service=\"test\"");
            return Reply::status(401).with("WWW-Authenticate", &challenge);
        }
        let Some(path) = asked.path.strip_prefix("/v2/") else {
            let token = json!({"token": "t0ken", "expires_in": 300}).to_string();
            return Reply { body: token.into_bytes(), ..Reply::status(200) };
        };
        if asked.method == "POST" && inner.behavior.refuses_pushes {
            return Reply::status(403);
        }
        if asked.method == "POST" {
            return Reply::status(202).with("Location", &format!("/v2/{path}1?state=x"));
        }
        if asked.method == "PUT" {
            let path = match path.split_once("uploads/1?state=x&digest=") {
                Some((before, digest)) => format!("{before}{digest}"),
                None => path.to_owned(),
            };
            inner.files.insert(path, (asked.kind.clone(), body.to_vec()));
            return Reply::status(201);
        }
        if let Some(target) = inner.behavior.redirect.as_ref().filter(|_| path.contains("/blobs/")) {
            return Reply::status(307).with("Location", &format!("{target}/v2/{path}?signed=1"));
        }
        let path = path.split('?').next().unwrap();
        let Some((kind, bytes)) = inner.files.get(path) else { return Reply::status(404) };
        let mut bytes = bytes.clone();
        if inner.behavior.lies && path.contains("/blobs/") {
            for byte in &mut bytes {
                *byte ^= 0xff;
            }
        }
        let reply = match (asked.range, inner.behavior.ranges) {
            (Some(_), Some(416)) => {
                Reply::status(416).with("Content-Range", &format!("bytes */{}", bytes.len()))
            }
            (Some((from, to)), None) => {
                let end = to.map_or(bytes.len(), |to| (to + 1).min(bytes.len()));
                let range = format!("bytes {from}-{}/{}", end - 1, bytes.len());
                Reply { body: bytes[from..end].to_vec(), ..Reply::status(206) }.with("Content-Range", &range)
            }
            _ => Reply { body: bytes, ..Reply::status(200) },
        };
        let digest = Digest::of(&inner.files[path].1).to_string();
        let reply = reply.with("Content-Type", kind);
        if path.contains("/manifests/") { reply.with("Docker-Content-Digest", &digest) } else { reply }
    }
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

fn read_request(stream: &TcpStream) -> Option<(Asked, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut lines = reader.by_ref().lines();
    let first = lines.next()?.ok()?;
    let mut length = 0;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut asked = Asked { method, path, range: None, authorization: None, kind: String::new(), status: 0 };
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let (from, to) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
                asked.range = Some((from.parse().ok()?, to.parse().ok()));
            }
            "content-length" => length = value.trim().parse().ok()?,
            "content-type" => asked.kind = value.trim().to_owned(),
            "authorization" => asked.authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((asked, body))
}
