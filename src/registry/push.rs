//! Pushes images from the store to a registry: whatever it lacks, for all platforms in the store.
//!
//! The upload runs on its own thread, so a slow registry cannot delay an interrupt.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use ureq::http::{Method, Request, Response};
use ureq::{Body, SendBody};

use super::Client;
use super::agents::describe;
use super::error::{PlaceError, RegistryError};
use super::exchange::Shared;
use super::place::{Place, places};
use crate::archive::{Descriptor, Digest};
use crate::images::ImageRef;
use crate::net::{host_of, redirected};
use crate::store::{BlobReader, StoreError, StoredImage};

/// How often to try each blob or document.
const ATTEMPTS: u32 = 3;
const POLL: Duration = Duration::from_millis(25);
const ACTIONS: &str = "pull,push";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A document to push, with its tag or digest.
struct PushDocument {
    reference: String,
    media_type: String,
    bytes: Vec<u8>,
}

/// Reopens a blob in the store for each attempt.
type Open = Box<dyn Fn(Digest) -> Option<BlobReader> + Send>;

struct Upload {
    shared: Arc<Shared>,
    place: Place,
    blobs: Vec<Descriptor>,
    documents: Vec<PushDocument>,
    open: Open,
    moved: Sender<u64>,
}

impl Client<'_> {
    /// Pushes an image under the tag of `target`, calling `tell` with the bytes sent so far; returns their
    /// total.
    ///
    /// An image for one platform is pushed as its manifest, one for several as an index of those in the
    /// store.
    ///
    /// # Errors
    /// Fails if the registry refuses it, the store lacks a part of it, or the user interrupts.
    pub fn push(
        &self,
        held: &StoredImage,
        target: &ImageRef,
        on_progress: &dyn Fn(u64),
    ) -> Result<u64, RegistryError> {
        let lost = |source: StoreError| RegistryError::Store {
            image: Box::new(target.clone()),
            source: Box::new(source),
        };
        let documents = self.documents(held, target).map_err(lost)?;
        let place = places(target, &self.rules, &self.engine).into_iter().find(|place| place.is_origin);
        let refused = |why| RegistryError::Push { image: Box::new(target.clone()), why };
        let place = place.ok_or_else(|| refused(PlaceError::NotFound))?;
        let mut blobs: Vec<Descriptor> = Vec::new();
        for blob in held.platforms.iter().flat_map(crate::store::PlatformImage::blobs) {
            if blobs.iter().all(|known| known.digest != blob.digest) {
                blobs.push(blob.clone());
            }
        }
        let (moved, steps) = channel();
        let (sender, outcome) = channel();
        let root = self.store.root().to_owned();
        let open: Open = Box::new(move |digest| BlobReader::open(&root, digest).ok());
        let upload = Upload { shared: Arc::clone(&self.shared), place, blobs, documents, open, moved };
        // Not joined: after an interrupt it ends with its next byte or response.
        std::thread::spawn(move || sender.send(upload.run()));
        let mut sent = 0;
        loop {
            if self.shared.interrupt.is_set() {
                return Err(RegistryError::Interrupted);
            }
            let more: u64 = steps.try_iter().sum();
            if more > 0 {
                sent += more;
                on_progress(sent);
            }
            match outcome.recv_timeout(POLL) {
                Ok(Ok(())) => return Ok(sent + steps.try_iter().sum::<u64>()),
                Ok(Err(why)) => return Err(refused(why)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(RegistryError::Interrupted),
            }
        }
    }

    /// The documents to push, outermost last.
    fn documents(&self, held: &StoredImage, target: &ImageRef) -> Result<Vec<PushDocument>, StoreError> {
        let tag = target.tag().unwrap_or("latest").to_owned();
        let mut documents = Vec::new();
        for image in &held.platforms {
            let digest = image.manifest.digest;
            let bytes = self.store.bytes(digest)?.ok_or(StoreError::Absent { digest })?;
            let media_type = image.manifest.media_type.clone();
            documents.push(PushDocument { reference: digest.to_string(), media_type, bytes });
        }
        if let [only] = documents.as_mut_slice() {
            only.reference = tag;
            return Ok(documents);
        }
        let manifests: Vec<Descriptor> = held
            .platforms
            .iter()
            .map(|image| {
                let platform = Some(crate::archive::PlatformJson {
                    architecture: image.platform.architecture.clone(),
                    os: image.platform.os.clone(),
                    variant: image.platform.variant.clone(),
                });
                Descriptor { platform, ..image.manifest.clone() }
            })
            .collect();
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        let bytes = index.to_string().into_bytes();
        documents.push(PushDocument { reference: tag, media_type: INDEX.to_owned(), bytes });
        Ok(documents)
    }
}

impl Upload {
    fn run(&self) -> Result<(), PlaceError> {
        let unwanted = || self.shared.interrupt.is_set();
        let gone = || PlaceError::Network("interrupted".to_owned());
        let _permit = self.shared.gates.enter(&self.place.api, &unwanted).ok_or_else(gone)?;
        for blob in &self.blobs {
            self.with_retries(|| self.blob(blob))?;
        }
        for document in &self.documents {
            self.with_retries(|| self.document(document))?;
        }
        Ok(())
    }

    /// Retries transient failures.
    fn with_retries(&self, once: impl Fn() -> Result<(), PlaceError>) -> Result<(), PlaceError> {
        let mut attempts = 0;
        loop {
            let why = match once() {
                Ok(()) => return Ok(()),
                Err(why) => why,
            };
            attempts += 1;
            let is_transient = match &why {
                PlaceError::Network(_) => true,
                PlaceError::Status(status) => *status >= 500,
                PlaceError::RateLimited { wait } => *wait < self.shared.patience.refusal,
                _ => false,
            };
            let delay = Duration::from_millis(250 << attempts.min(5));
            if !is_transient || attempts >= ATTEMPTS || !self.shared.interrupt.sleep(delay) {
                return Err(why);
            }
        }
    }

    fn blob(&self, blob: &Descriptor) -> Result<(), PlaceError> {
        let digest = blob.digest;
        let there = self.ask(&Method::HEAD, &self.url(&format!("blobs/{digest}")), &[], None)?;
        if there.status().is_success() {
            return Ok(());
        }
        let begun = self.ask(&Method::POST, &self.url("blobs/uploads/"), &[], None)?;
        let location = begun.headers().get("Location").and_then(|value| value.to_str().ok());
        let here = self.url("blobs/uploads/").parse().map_err(|_| invalid_address())?;
        let target = location.filter(|_| begun.status().is_success()).and_then(|to| redirected(&here, to));
        let target = target.ok_or_else(|| PlaceError::Status(begun.status().as_u16()))?;
        let joint = if target.query().is_some() { '&' } else { '?' };
        let url = format!("{target}{joint}digest={digest}");
        let kind = ("Content-Type", "application/octet-stream");
        check_success(&self.ask(&Method::PUT, &url, &[kind], Some(blob))?)
    }

    fn document(&self, document: &PushDocument) -> Result<(), PlaceError> {
        let url = self.url(&format!("manifests/{}", document.reference));
        let kind = [("Content-Type", document.media_type.as_str())];
        check_success(&self.send(&Method::PUT, &url, &kind, &mut || {
            Ok((
                SendBody::from_owned_reader(io::Cursor::new(document.bytes.clone())),
                document.bytes.len() as u64,
            ))
        })?)
    }

    fn url(&self, what: &str) -> String {
        let place = self.shared.agents.settled(&self.place);
        place.url(place.scheme, what)
    }

    fn ask(
        &self,
        method: &Method,
        url: &str,
        headers: &[(&str, &str)],
        blob: Option<&Descriptor>,
    ) -> Result<Response<Body>, PlaceError> {
        self.send(method, url, headers, &mut || {
            let Some(blob) = blob else { return Ok((SendBody::from_owned_reader(io::empty()), 0)) };
            let absent = || PlaceError::NotAnImage(format!("`{}` is no longer in the store", blob.digest));
            let reader = (self.open)(blob.digest).ok_or_else(absent)?;
            let counted = Counted { reader, moved: self.moved.clone(), shared: Arc::clone(&self.shared) };
            Ok((SendBody::from_owned_reader(counted), blob.size))
        })
    }

    /// Sends a request, and repeats it once with credentials if the registry demands them.
    fn send(
        &self,
        method: &Method,
        url: &str,
        headers: &[(&str, &str)],
        body: &mut dyn FnMut() -> Result<(SendBody<'static>, u64), PlaceError>,
    ) -> Result<Response<Body>, PlaceError> {
        let shared = &self.shared;
        let place = &shared.agents.settled(&self.place);
        let unwanted = || shared.interrupt.is_set();
        let uri: ureq::http::Uri = url.parse().map_err(|_| invalid_address())?;
        let host = host_of(&uri).ok_or_else(invalid_address)?;
        let is_home = host == place.api;
        for attempt in 0..2 {
            let login = if is_home { shared.auth.header(&shared.agents, place, ACTIONS) } else { Ok(None) };
            let login = login.map_err(PlaceError::Network)?;
            if !shared.gates.ask(&place.api, &unwanted) {
                return Err(PlaceError::Network("interrupted".to_owned()));
            }
            let mut request = Request::builder().method(method.clone()).uri(url);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(login) = &login {
                request = request.header("Authorization", login);
            }
            let agent = shared.agents.of(&host, place.scheme).map_err(PlaceError::Certificates)?;
            let sent = if *method == Method::HEAD {
                agent.run(request.body(()).map_err(|_| invalid_address())?)
            } else {
                let (body, size) = body()?;
                let request = request.header("Content-Length", size);
                agent.run(request.body(body).map_err(|_| invalid_address())?)
            };
            let response = match sent {
                Ok(response) if response.status().as_u16() == 429 => {
                    return Err(shared.refused(&place.api, &response));
                }
                sent => {
                    shared.gates.answered(&place.api);
                    sent.map_err(|error| PlaceError::Network(describe(&error)))?
                }
            };
            let challenge = response.headers().get("WWW-Authenticate").and_then(|value| value.to_str().ok());
            match (response.status().as_u16(), challenge) {
                (401, Some(challenge)) if attempt == 0 && shared.auth.challenged(place, challenge) => {
                    if login.is_some() {
                        shared.auth.expire(place, ACTIONS);
                    }
                }
                (status @ (401 | 403), _) => return Err(PlaceError::Denied { status }),
                _ => return Ok(response),
            }
        }
        Err(PlaceError::Denied { status: 401 })
    }
}

fn invalid_address() -> PlaceError {
    PlaceError::Network("its address is invalid".to_owned())
}

fn check_success(response: &Response<Body>) -> Result<(), PlaceError> {
    if response.status().is_success() { Ok(()) } else { Err(PlaceError::Status(response.status().as_u16())) }
}

/// Counts the bytes read, and fails once interrupted.
struct Counted {
    reader: BlobReader,
    moved: Sender<u64>,
    shared: Arc<Shared>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.shared.interrupt.is_set() {
            return Err(io::Error::other("interrupted"));
        }
        let read = self.reader.read(buffer)?;
        // After an interrupt nobody counts.
        let _ = self.moved.send(read as u64);
        Ok(read)
    }
}
