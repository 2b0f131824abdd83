//! Runs one request on its own thread, which passes on what arrives.
//!
//! Neither a name server nor a silent connection can block the caller, who looks elsewhere while the thread
//! ends by itself. The thread holds its host's permit as long as its connection is open.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use ureq::Body;
use ureq::http::{Method, Request, Response};

use super::agents::{Agents, describe};
use super::auth::Auth;
use super::error::PlaceError;
use super::gate::{Gates, Permit};
use super::memory::KnownHosts;
use super::patience::Patience;
use super::place::Place;
use crate::net::{Scheme, host_of, redirected};
use crate::process::Interrupt;

/// How many consecutive redirects to follow.
const REDIRECTS_MAX: usize = 5;
/// How many bytes to pass on at a time.
const PIECE: usize = 64 * 1024;
/// The kinds of document an image can be.
const DOCUMENTS: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// What all requests of a run share.
pub(super) struct Shared {
    pub gates: Arc<Gates>,
    pub agents: Agents,
    pub auth: Auth,
    pub memory: Mutex<KnownHosts>,
    pub interrupt: Interrupt,
    pub patience: Patience,
}

/// A request.
#[derive(Clone)]
pub(super) struct Ask {
    pub place: Place,
    /// For example `blobs/sha256:…`.
    pub what: String,
    /// Request only the headers.
    pub head_only: bool,
    /// The requested bytes, as start and exclusive end; `None` requests all.
    pub range: Option<(u64, Option<u64>)>,
}

/// The events of all requests, tagged with their IDs.
pub(super) type Events = (SyncSender<(usize, Event)>, Receiver<(usize, Event)>);

/// The events of one request, in this order.
pub(super) enum Event {
    /// It has its connection, after waiting for others.
    Started,
    /// The response has status 200, 206 or 416.
    Head(Head),
    Piece(Vec<u8>),
    End,
    Failed(PlaceError),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub status: u16,
    /// Offset of the first byte to come.
    pub start: u64,
    /// Size of the whole.
    pub total: Option<u64>,
    pub digest: Option<String>,
    pub media_type: Option<String>,
}

/// A request in progress; dropping it abandons it.
pub(super) struct Exchange {
    abandoned: Arc<AtomicBool>,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

/// Starts a request; its events go to `to` under `id`.
pub(super) fn start(
    shared: &Arc<Shared>,
    ask: Ask,
    permit: Option<Permit>,
    id: usize,
    to: SyncSender<(usize, Event)>,
) -> Exchange {
    let abandoned = Arc::new(AtomicBool::new(false));
    let exchange = Exchange { abandoned: Arc::clone(&abandoned) };
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let unwanted = || abandoned.load(Ordering::Relaxed) || shared.interrupt.is_set();
        let Some(_permit) = permit.or_else(|| shared.gates.enter(&ask.place.api, &unwanted)) else { return };
        // A caller that stopped listening does not want the rest either.
        let send = |event| !unwanted() && to.send((id, event)).is_ok();
        if !send(Event::Started) {
            return;
        }
        match shared.answer(&ask, &unwanted) {
            Ok(Some(response)) => pass_on(response, &ask, &send),
            Ok(None) => {}
            Err(why) => {
                send(Event::Failed(why));
            }
        }
    });
    exchange
}

fn pass_on(mut response: Response<Body>, ask: &Ask, send: &dyn Fn(Event) -> bool) {
    if !send(Event::Head(read_head(&response))) {
        return;
    }
    if ask.head_only || response.status().as_u16() == 416 {
        send(Event::End);
        return;
    }
    let mut reader = response.body_mut().as_reader();
    loop {
        let mut piece = vec![0; PIECE];
        match reader.read(&mut piece) {
            Ok(0) => {
                send(Event::End);
                return;
            }
            Ok(read) => {
                piece.truncate(read);
                if !send(Event::Piece(piece)) {
                    return;
                }
            }
            Err(error) => {
                send(Event::Failed(PlaceError::Network(describe(&ureq::Error::from(error)))));
                return;
            }
        }
    }
}

fn read_head(response: &Response<Body>) -> Head {
    let status = response.status().as_u16();
    let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let length = || text("Content-Length").and_then(|length| length.trim().parse().ok());
    let (start, total) = match text("Content-Range").and_then(parse_content_range) {
        Some(range) if status == 206 || status == 416 => range,
        _ if status == 200 => (0, length()),
        _ => (0, None),
    };
    let digest = text("Docker-Content-Digest").map(str::to_owned);
    let media_type =
        text("Content-Type").map(|kind| kind.split(';').next().unwrap_or(kind).trim().to_owned());
    Head { status, start, total, digest, media_type }
}

/// Parses the start of the range and the total size from `bytes 5-9/10` or `bytes */10`.
pub(crate) fn parse_content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let start = match range.trim() {
        "*" => 0,
        range => range.split_once('-')?.0.trim().parse().ok()?,
    };
    Some((start, total.trim().parse().ok()))
}

impl Shared {
    /// Sends the request until there is a usable response; `None` if it is no longer wanted.
    fn answer(&self, ask: &Ask, unwanted: &dyn Fn() -> bool) -> Result<Option<Response<Body>>, PlaceError> {
        let place = &self.agents.settled(&ask.place);
        let scheme = place.scheme;
        let url = place.url(scheme, &ask.what);
        let mut refused_once = false;
        loop {
            let login = self.auth.header(&self.agents, place, "pull").map_err(PlaceError::Network)?;
            if !self.gates.ask(&place.api, unwanted) {
                return Ok(None);
            }
            let response = match self.send(ask, &url, &place.api, scheme, login.as_deref()) {
                Ok(response) => response,
                Err(why) => {
                    self.gates.answered(&place.api);
                    self.gates.mark_unreachable(&place.api);
                    return Err(why);
                }
            };
            let status = response.status().as_u16();
            if status == 429 {
                return Err(self.refused(&place.api, &response));
            }
            self.gates.answered(&place.api);
            let challenge = response.headers().get("WWW-Authenticate").and_then(|value| value.to_str().ok());
            if status == 401
                && !refused_once
                && let Some(challenge) = challenge
                && self.auth.challenged(place, challenge)
            {
                refused_once = true;
                if login.is_some() {
                    self.auth.expire(place, "pull");
                }
                continue;
            }
            let response = if (300..400).contains(&status) {
                let (origin, scheme) = (url.clone(), scheme);
                match self.follow(ask, &origin, scheme, login.as_deref(), response)? {
                    Some(response) => response,
                    None => return Ok(None),
                }
            } else {
                response
            };
            return match response.status().as_u16() {
                200 | 206 | 416 => Ok(Some(response)),
                404 | 410 => Err(PlaceError::NotFound),
                status @ (401 | 403) => Err(PlaceError::Denied { status }),
                429 => Err(self.refused(&place.api, &response)),
                status => Err(PlaceError::Status(status)),
            };
        }
    }

    /// Follows redirects. The login is only sent to the very same host.
    fn follow(
        &self,
        ask: &Ask,
        from: &str,
        scheme: Scheme,
        login: Option<&str>,
        first: Response<Body>,
    ) -> Result<Option<Response<Body>>, PlaceError> {
        let bad = |what: &str| PlaceError::Network(format!("it redirects {what}"));
        let mut at: ureq::http::Uri = from.parse().map_err(|_| bad("from a bad address"))?;
        let home = host_of(&at);
        let mut response = first;
        for _ in 0..REDIRECTS_MAX {
            let status = response.status().as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return Ok(Some(response));
            }
            let location = response.headers().get("Location").and_then(|value| value.to_str().ok());
            at = location.and_then(|location| redirected(&at, location)).ok_or_else(|| bad("to nowhere"))?;
            let host = host_of(&at);
            let is_home = host == home && (at.scheme_str() == Some("http")) == (scheme == Scheme::Http);
            let scheme = match at.scheme_str() {
                Some("http") if scheme == Scheme::Http || ask.what.starts_with("blobs/") => Scheme::Http,
                Some("https") if is_home => scheme,
                Some("https") => Scheme::Https,
                // A digest verifies a blob wherever it comes from; a tag has no such protection.
                _ => return Err(bad("to an address without encryption")),
            };
            let login = login.filter(|_| is_home);
            let host = host.unwrap_or_default();
            response = self.send(ask, &at.to_string(), &host, scheme, login)?;
        }
        Err(bad("too many times"))
    }

    fn send(
        &self,
        ask: &Ask,
        url: &str,
        host: &str,
        scheme: Scheme,
        login: Option<&str>,
    ) -> Result<Response<Body>, PlaceError> {
        let method = if ask.head_only { Method::HEAD } else { Method::GET };
        let mut request = Request::builder().method(method).uri(url);
        if ask.what.starts_with("manifests/") {
            request = request.header("Accept", DOCUMENTS);
        }
        if let Some((start, end)) = ask.range {
            let end = end.map(|end| (end - 1).to_string()).unwrap_or_default();
            request = request.header("Range", format!("bytes={start}-{end}"));
        }
        if let Some(login) = login {
            request = request.header("Authorization", login);
        }
        let request =
            request.body(()).map_err(|_| PlaceError::Network("its address is invalid".to_owned()))?;
        let sent = self.agents.of(host, scheme).map_err(PlaceError::Certificates)?.run(request);
        sent.map_err(|error| PlaceError::Network(describe(&error)))
    }

    /// Records a rate limit and returns how long it lasts.
    pub(super) fn refused(&self, host: &str, response: &Response<Body>) -> PlaceError {
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let window = text("RateLimit-Limit").and_then(|limit| limit.split("w=").nth(1));
        let over_hours =
            window.and_then(|window| window.trim().parse().ok()).is_some_and(|window: u64| window > 60);
        let wait = text("Retry-After").and_then(parse_retry_after);
        PlaceError::RateLimited { wait: self.gates.refused(host, wait, over_hours) }
    }
}

/// Parses `Retry-After`: seconds or a date.
fn parse_retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        let rows = [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 5-9/*", Some((5, None))),
            ("bytes */10", Some((0, Some(10)))),
            ("items 5-9/10", None),
            ("bytes x-9/10", None),
            ("bytes", None),
        ];
        for (value, expected) in rows {
            assert_eq!(parse_content_range(value), expected, "{value}");
        }
    }

    #[test]
    fn retry_after_is_in_seconds_or_a_date() {
        assert_eq!(parse_retry_after("30"), Some(Duration::from_secs(30)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("soon"), None);
    }
}
