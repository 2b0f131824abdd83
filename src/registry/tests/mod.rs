//! The client against registries on this machine that misbehave on request.

use std::time::{Duration, Instant};

use docker_credential::DockerCredential;

use super::fake::{Fake, Pushed};
use super::*;
use crate::archive::{Digest, Platform};
use crate::images::ImageRef;
use crate::images::mirror::Preset;
use crate::images::outcome::OriginAnswer;
use crate::images::trouble::Trouble;

mod connections;
mod images;
mod mirrors;
mod push;

const MIB: usize = 1024 * 1024;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("images"), &Interrupt::default()).unwrap();
    (folder, store)
}

/// Bytes without repetition within any piece.
fn layer(seed: u8, length: usize) -> Vec<u8> {
    let mut at = u64::from(seed) + 1;
    let mut next = || {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        at.to_be_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

fn platform(architecture: &str) -> Platform {
    Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
}

fn wanted(image: &str) -> FetchRequest {
    FetchRequest { image: image.parse().unwrap(), platforms: vec![platform("amd64")] }
}

fn quick() -> Patience {
    Patience {
        late: Duration::from_millis(300),
        stall: Duration::from_millis(600),
        drip: Duration::from_millis(1500),
        minute: Duration::from_millis(1500),
        refusal: Duration::from_secs(5),
        compare: Duration::from_secs(2),
        remembers_loopback: true,
    }
}

fn config(rules: &[String]) -> ClientConfig {
    ClientConfig {
        rules: Rules::new(rules.iter().map(|rule| rule.parse().unwrap()).collect(), Preset::None),
        engine: EngineRegistries::default(),
        network: Network::default(),
        logins: Arc::new(|_| None),
        interrupt: Interrupt::default(),
    }
}

fn client<'a>(store: &'a Store, rules: &[String]) -> Client<'a> {
    Client::with(store, config(rules), quick())
}

fn fetch_one(client: &Client<'_>, image: &str) -> Result<Fetched, RegistryError> {
    client.fetch(&[wanted(image)], &|_| ()).pop().unwrap()
}

/// A mirror and its origin registry, both with the same image; the mirror rule, and the image's name.
fn mirrored(layers: &[&[u8]]) -> (Fake, Fake, [String; 1], String, Pushed) {
    let (mirror, origin) = (Fake::start(), Fake::start());
    mirror.push("app", "1", &["amd64"], layers);
    let pushed = origin.push("app", "1", &["amd64"], layers);
    let rule = format!("{}={}", origin.host, mirror.host);
    let name = format!("{}/app:1", origin.host);
    (mirror, origin, [rule], name, pushed)
}
