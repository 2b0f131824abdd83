//! What is remembered about registries between runs, in a small file in the store: their rates, and what they
//! lack.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

const FILE: &str = "registries.json";
/// How long to remember that an image was missing.
const ABSENT: Duration = Duration::from_secs(60 * 60);
/// How long to remember a rate.
const PACE: Duration = Duration::from_secs(24 * 60 * 60);
/// Mirrors with published limits, in requests a minute (DaoCloud/public-image-mirror#6196).
const PUBLISHED: [(&str, usize); 1] = [("m.daocloud.io", 20)];

/// Everything remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct KnownHosts {
    hosts: BTreeMap<String, KnownHost>,
    /// Names a place did not have, and when it said so, in seconds since 1970.
    absent: BTreeMap<String, u64>,
}

/// What is remembered about a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct KnownHost {
    requests_a_minute: usize,
    /// When that was learned, in seconds since 1970.
    learned: u64,
    /// When the last requests were sent, in seconds since 1970.
    sent: Vec<u64>,
}

impl KnownHosts {
    /// Reads the file of the store at `root`; ignores it if it cannot be read.
    pub(super) fn read(root: &Path) -> Self {
        let text = std::fs::read(root.join(FILE)).ok();
        let mut memory: Self = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        memory.drop_expired();
        for (host, pace) in PUBLISHED {
            memory.hosts.entry(host.to_owned()).or_insert_with(|| KnownHost {
                requests_a_minute: pace,
                learned: seconds(SystemTime::now()),
                sent: Vec::new(),
            });
        }
        memory
    }

    /// Merges what this run learned with what others wrote meanwhile.
    pub(super) fn write(&self, root: &Path) {
        let mut all = Self::read(root);
        all.hosts.extend(self.hosts.clone());
        all.absent.extend(self.absent.clone());
        all.drop_expired();
        // If it cannot be written, the next run may be refused once more.
        let _ = serde_json::to_vec(&all).map_err(std::io::Error::from).and_then(|text| {
            let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(root)?;
            std::io::Write::write_all(&mut file, &text)?;
            file.persist(root.join(FILE)).map(drop).map_err(|error| error.error)
        });
    }

    pub(super) fn hosts(&self) -> impl Iterator<Item = (&String, &KnownHost)> {
        self.hosts.iter()
    }

    pub(super) fn keep_pace(&mut self, host: &str, pace: usize, sent: impl Iterator<Item = SystemTime>) {
        let known = self.hosts.entry(host.to_owned()).or_default();
        if known.requests_a_minute != pace {
            *known =
                KnownHost { requests_a_minute: pace, learned: seconds(SystemTime::now()), sent: Vec::new() };
        }
        // Rounded up: a request taken for older than it is would be answered by a refusal.
        known.sent = sent.map(|time| seconds(time) + 1).collect();
    }

    pub(super) fn record_absent(&mut self, name: &str) {
        self.absent.insert(name.to_owned(), seconds(SystemTime::now()));
    }

    /// How long ago `name` was found missing, if that still counts.
    pub(super) fn absent_since(&self, name: &str) -> Option<Duration> {
        let ago = since(*self.absent.get(name)?);
        (ago < ABSENT).then_some(ago)
    }

    fn drop_expired(&mut self) {
        self.absent.retain(|_, when| since(*when) < ABSENT);
        self.hosts.retain(|_, known| since(known.learned) < PACE);
    }
}

impl KnownHost {
    pub(super) fn pace(&self) -> Option<usize> {
        (self.requests_a_minute > 0).then_some(self.requests_a_minute)
    }

    pub(super) fn sent(&self) -> impl Iterator<Item = SystemTime> {
        self.sent.iter().map(|seconds| UNIX_EPOCH + Duration::from_secs(*seconds))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn since(when: u64) -> Duration {
    Duration::from_secs(seconds(SystemTime::now()).saturating_sub(when))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_image_is_remembered_for_an_hour() {
        let folder = tempfile::tempdir().unwrap();
        let mut memory = KnownHosts::read(folder.path());
        memory.record_absent("m.example.com/a:1");
        memory.absent.insert("m.example.com/b:1".to_owned(), seconds(SystemTime::now()) - 3601);
        memory.write(folder.path());
        let memory = KnownHosts::read(folder.path());
        assert!(memory.absent_since("m.example.com/a:1").is_some());
        assert_eq!(memory.absent_since("m.example.com/b:1"), None);
        assert_eq!(memory.absent.len(), 1);
    }

    #[test]
    fn a_remembered_request_is_never_older_than_it_was() {
        let sent = UNIX_EPOCH + Duration::from_millis(1_700_000_000_900);
        let mut memory = KnownHosts::default();
        memory.keep_pace("m.example.com", 10, std::iter::once(sent));
        let remembered: Vec<_> = memory.hosts["m.example.com"].sent().collect();
        assert_eq!(remembered, [UNIX_EPOCH + Duration::from_secs(1_700_000_001)]);
    }

    #[test]
    fn a_damaged_file_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        let paces: Vec<_> =
            KnownHosts::read(folder.path()).hosts.into_iter().map(|(h, k)| (h, k.pace())).collect();
        assert_eq!(paces, [("m.daocloud.io".to_owned(), Some(20))]);
    }
}
