//! Downloads over HTTP that resume after a cut, retry with growing delays, and can be interrupted.
//!
//! The request runs on its own thread, which passes on what arrives, so that neither a name server nor a
//! silent connection can delay an interrupt. Callers verify the content.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use ureq::Body;
use ureq::http::{Response, Uri};

use super::error::FetchError;
use super::progress::FetchProgress;
use super::release::Tool;
use crate::net::{Network, Scheme, describe, host_of, redirected};
use crate::registry::exchange::parse_content_range;
use crate::text::without_logins;

/// The size limit for a download in bytes; kubectl, the largest tool, has about 60 MB.
const LIMIT_BYTES: u64 = 256 * 1024 * 1024;
/// How many consecutive redirects to follow.
const REDIRECTS_MAX: usize = 5;
/// How many bytes within [`DownloadLimits::drip`] are more than next to nothing.
const DRIP_BYTES: u64 = 8 * 1024;
/// How often a wait checks for an interrupt.
const GLANCE: Duration = Duration::from_millis(50);

/// How long and how often to try a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownloadLimits {
    /// How long resolving and reaching the server may take.
    pub connect: Duration,
    /// How long the server may be silent.
    pub idle: Duration,
    /// How long the server may send next to nothing. curl has no such limit unless asked (`--speed-limit`, over 30 s).
    pub drip: Duration,
    /// How many attempts in a row may bring nothing new; at least one is made.
    pub attempts: u32,
    /// The delay before the second attempt; it doubles each time.
    pub first_delay: Duration,
}

impl Default for DownloadLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            idle: Duration::from_secs(30),
            drip: Duration::from_secs(30),
            attempts: 4,
            first_delay: Duration::from_millis(500),
        }
    }
}

/// Downloads the files of one tool.
pub(super) struct Downloader<'a> {
    pub tool: Tool,
    pub patience: DownloadLimits,
    pub stop: &'a AtomicBool,
    /// The size limit for a file; a malicious server may send forever.
    pub limit_bytes: u64,
    /// How the server is reached.
    pub network: &'a Network,
}

/// How an attempt ended, other than with a final error.
enum DownloadEnd {
    Done,
    Cut(String),
    /// The server sent next to nothing.
    Dripped(String),
}

enum Message {
    Head { status: u16, start: u64, total: Option<u64> },
    Chunk(Vec<u8>),
    End,
    Failed(String),
}

impl<'a> Downloader<'a> {
    pub(super) fn new(
        tool: Tool,
        patience: DownloadLimits,
        network: &'a Network,
        stop: &'a AtomicBool,
    ) -> Self {
        Self { tool, patience, stop, limit_bytes: LIMIT_BYTES, network }
    }

    /// Completes the file `part` from `url`, keeping what it already contains.
    ///
    /// On an error the file stays, so another run can resume; one that is too large is removed.
    pub(super) fn file(
        &self,
        url: &str,
        part: &Path,
        progress: &mut dyn FnMut(FetchProgress),
    ) -> Result<(), FetchError> {
        let mut most = len(part);
        let mut failures = 0;
        loop {
            let (why, has_dripped) = match self.file_once(url, part, progress)? {
                DownloadEnd::Done => return Ok(()),
                DownloadEnd::Cut(why) => (why, false),
                DownloadEnd::Dripped(why) => (why, true),
            };
            // Only count bytes beyond the most ever held: a server that ignores ranges and always cuts at the
            // same place must not be retried forever.
            if len(part) > most && !has_dripped {
                most = len(part);
                failures = 0;
            }
            failures += 1;
            if failures >= self.patience.attempts {
                let (tool, url) = (self.tool, without_logins(url));
                return Err(FetchError::Network { tool, url, attempts: failures, why });
            }
            let after = self.patience.first_delay.saturating_mul(1 << (failures - 1).min(6));
            progress(FetchProgress::Retrying { why, after });
            self.pause(after)?;
        }
    }

    fn file_once(
        &self,
        url: &str,
        part: &Path,
        progress: &mut dyn FnMut(FetchProgress),
    ) -> Result<DownloadEnd, FetchError> {
        let held = len(part);
        let stream = self.request(url, held);
        let (mut received, total, append) = match self.next(&stream)? {
            Message::Head { status: 200, total, .. } => (0, total, false),
            Message::Head { status: 206, start, total } if start == held => (held, total, true),
            // Nothing follows what is held: either it is complete, or it is another file.
            Message::Head { status: 416, total, .. } if total == Some(held) => return Ok(DownloadEnd::Done),
            Message::Head { status: 206 | 416, .. } => {
                std::fs::remove_file(part).map_err(|error| FetchError::file("remove", part, error))?;
                return Ok(DownloadEnd::Cut("the server sent the wrong part".to_owned()));
            }
            Message::Head { status, .. } => return self.judge_status(url, status),
            Message::Failed(why) => return Ok(DownloadEnd::Cut(why)),
            Message::Chunk(_) | Message::End => return Ok(DownloadEnd::Cut(no_head())),
        };
        if total.is_some_and(|total| total > self.limit_bytes) {
            return Err(self.too_large(url, part));
        }
        let mut file = open(part, append).map_err(|error| FetchError::file("write", part, error))?;
        progress(FetchProgress::Fetching { received, total });
        let (mut since, mut before) = (Instant::now(), received);
        loop {
            if since.elapsed() >= self.patience.drip {
                if received - before < DRIP_BYTES {
                    let why = format!("it sent next to nothing for {} s", self.patience.drip.as_secs());
                    return Ok(DownloadEnd::Dripped(why));
                }
                (since, before) = (Instant::now(), received);
            }
            match self.next(&stream)? {
                Message::Chunk(bytes) => {
                    if received + bytes.len() as u64 > self.limit_bytes {
                        return Err(self.too_large(url, part));
                    }
                    file.write_all(&bytes).map_err(|error| FetchError::file("write", part, error))?;
                    received += bytes.len() as u64;
                    progress(FetchProgress::Fetching { received, total });
                }
                Message::Failed(why) => return Ok(DownloadEnd::Cut(why)),
                Message::End | Message::Head { .. } => break,
            }
        }
        match total {
            Some(total) if received < total => {
                Ok(DownloadEnd::Cut(format!("the connection ended after {received} of {total} bytes")))
            }
            _ => Ok(DownloadEnd::Done),
        }
    }

    fn too_large(&self, url: &str, part: &Path) -> FetchError {
        // If it cannot be removed, it is at most `limit_bytes` large and the next run overwrites it.
        let _ = std::fs::remove_file(part);
        FetchError::TooLarge { tool: self.tool, url: without_logins(url), limit_bytes: self.limit_bytes }
    }

    /// Separates statuses worth another attempt from final ones.
    fn judge_status(&self, url: &str, status: u16) -> Result<DownloadEnd, FetchError> {
        let (tool, url) = (self.tool, without_logins(url));
        match status {
            408 | 429 | 500..=599 => {
                Ok(DownloadEnd::Cut(format!("the server answered with HTTP status {status}")))
            }
            404 | 410 => Err(FetchError::NotFound { tool, url, status }),
            _ => Err(FetchError::Status { tool, url, status }),
        }
    }

    /// Starts fetching `url` from byte `start` and returns what arrives.
    fn request(&self, url: &str, start: u64) -> Receiver<Message> {
        let (sender, receiver) = sync_channel(8);
        let (network, patience, url) = (self.network.clone(), self.patience, url.to_owned());
        // Not joined: without a receiver the thread ends at its next message or timeout.
        std::thread::spawn(move || {
            if let Err(why) = stream(&network, patience, &url, start, &sender) {
                // Without a receiver nobody cares.
                let _ = sender.send(Message::Failed(why));
            }
        });
        receiver
    }

    fn next(&self, stream: &Receiver<Message>) -> Result<Message, FetchError> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(FetchError::Interrupted { tool: self.tool });
            }
            match stream.recv_timeout(GLANCE) {
                Ok(message) => return Ok(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(Message::End),
            }
        }
    }

    fn pause(&self, duration: Duration) -> Result<(), FetchError> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            if self.stop.load(Ordering::Relaxed) {
                return Err(FetchError::Interrupted { tool: self.tool });
            }
            std::thread::sleep(GLANCE.min(end.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}

fn no_head() -> String {
    "the connection ended before the server answered".to_owned()
}

fn len(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn open(part: &Path, append: bool) -> std::io::Result<File> {
    if append { OpenOptions::new().append(true).open(part) } else { File::create(part) }
}

/// Requests `url`, following redirects. Returns the response with a note on the proxy, for error messages.
fn ask(
    network: &Network,
    patience: DownloadLimits,
    url: &str,
    start: u64,
) -> Result<(Response<Body>, String), String> {
    let mut at: Uri = url.parse().map_err(|_| "its address is not valid".to_owned())?;
    for _ in 0..=REDIRECTS_MAX {
        let host = host_of(&at).unwrap_or_default();
        let scheme = if at.scheme_str() == Some("http") { Scheme::Http } else { Scheme::Https };
        let through = network.proxy(&host, scheme).map_or_else(String::new, |proxy| {
            format!(" (through the proxy `{}:{}`)", proxy.host(), proxy.port())
        });
        let agent = network
            .config(&host, scheme)?
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_recv_response(Some(patience.idle))
            .timeout_per_read(Some(patience.idle))
            // Ranges count bytes on the wire, so nothing may be compressed.
            .accept_encoding("identity")
            .build()
            .new_agent();
        let mut request = agent.get(&at);
        if start > 0 {
            request = request.header("Range", format!("bytes={start}-"));
        }
        let response =
            request.call().map_err(|error| format!("{}{through}", describe(&error, patience.connect)))?;
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok((response, through));
        }
        let location = response.headers().get("Location").and_then(|value| value.to_str().ok());
        let next = location.and_then(|location| redirected(&at, location));
        at = next.ok_or_else(|| "it redirects to nowhere".to_owned())?;
        match at.scheme_str() {
            Some("https") => {}
            Some("http") if scheme == Scheme::Http => {}
            _ => return Err("it redirects to an address without encryption".to_owned()),
        }
    }
    Err("it redirects in a circle".to_owned())
}

fn stream(
    network: &Network,
    patience: DownloadLimits,
    url: &str,
    start: u64,
    sender: &SyncSender<Message>,
) -> Result<(), String> {
    let (mut response, through) = ask(network, patience, url, start)?;
    let status = response.status().as_u16();
    let range = response.headers().get("Content-Range").and_then(|value| value.to_str().ok());
    let (start, total) = match (status, range.and_then(parse_content_range)) {
        (206 | 416, Some((start, total))) => (start, total),
        _ => (0, response.body().content_length()),
    };
    if sender.send(Message::Head { status, start, total }).is_err() {
        return Ok(());
    }
    let mut reader = response.body_mut().as_reader();
    loop {
        let mut buffer = vec![0; 64 * 1024];
        let read = reader
            .read(&mut buffer)
            .map_err(|error| format!("{}{through}", describe(&ureq::Error::from(error), patience.connect)))?;
        buffer.truncate(read);
        let message = if read == 0 { Message::End } else { Message::Chunk(buffer) };
        if sender.send(message).is_err() || read == 0 {
            return Ok(());
        }
    }
}
