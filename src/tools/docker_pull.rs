//! `docker pull` with progress: it only prints byte counts, layer by layer, on a terminal.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Docker;
use crate::process::{Cmd, ExecError, Stream};

/// How long the output may pause while the engine unpacks: before release 28, engines with containerd's store
/// do not report unpacking, and the classic store is silent while it verifies a large layer.
const UNPACK: Duration = Duration::from_secs(15 * 60);

/// The progress of a pull.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulling {
    /// Bytes downloaded, of layers whose size is known so far.
    pub done: u64,
    pub total: u64,
    /// Whether all layers are downloaded and being unpacked.
    pub is_unpacking: bool,
}

/// How long a pull may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullLimits {
    pub time: Duration,
    /// How long the output may pause during the download.
    pub silence: Duration,
}

impl Docker {
    /// Pulls an image for `platform`, by default the engine's own; reports progress to `on_news`.
    ///
    /// # Errors
    /// Fails with docker's last lines.
    pub fn pull(
        &self,
        name: &str,
        platform: Option<&str>,
        limits: PullLimits,
        on_news: &mut dyn FnMut(Pulling),
    ) -> Result<(), ExecError> {
        let is_unpacking = Arc::new(AtomicBool::new(false));
        let cmd = pull_command(name, platform, limits.time);
        let cmd = cmd.silence(limits.silence).silence_while(&is_unpacking, UNPACK).terminal();
        let mut layers = Layers::default();
        self.runner.run_with(&cmd, &mut |source, line| {
            if source == Stream::Out && layers.read(line) {
                let news = layers.news();
                is_unpacking.store(news.is_unpacking, Ordering::Relaxed);
                on_news(news);
            }
        })?;
        Ok(())
    }
}

/// The command of [`Docker::pull`].
pub fn pull_command(name: &str, platform: Option<&str>, limit: Duration) -> Cmd {
    let mut cmd = Cmd::write("docker", limit).arg("pull");
    if let Some(platform) = platform {
        // Takes precedence over DOCKER_DEFAULT_PLATFORM.
        cmd = cmd.args(["--platform", platform]);
    }
    cmd.arg(name)
}

/// The state of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PulledLayer {
    /// It is queued, or its size is not known yet.
    Waiting,
    Downloading {
        done: u64,
        total: u64,
    },
    /// Downloaded but not unpacked; its size, if reported.
    Downloaded(u64),
    Ready(u64),
}

/// The layers of a pull, parsed from its terminal output.
#[derive(Default)]
struct Layers(HashMap<String, PulledLayer>);

impl Layers {
    /// Parses a line like `4f4fb700ef54: Downloading [==> ] 1.2MB/5.4MB`; returns whether it was one.
    fn read(&mut self, line: &str) -> bool {
        let Some((id, rest)) = line.split_once(": ") else { return false };
        if id.len() != 12 || !id.chars().all(|c| c.is_ascii_hexdigit()) {
            return false;
        }
        let known = self.0.get(id).copied().unwrap_or(PulledLayer::Waiting);
        let says = |words: &[&str]| words.iter().any(|word| rest.starts_with(word));
        let layer = if says(&["Pulling fs layer", "Waiting", "Retrying"]) {
            PulledLayer::Waiting
        } else if says(&["Downloading"]) {
            let sizes = rest.split_whitespace().last().and_then(|word| word.split_once('/'));
            let Some((done, total)) = sizes.and_then(|(done, total)| parse_size(done).zip(parse_size(total)))
            else {
                return false;
            };
            PulledLayer::Downloading { done, total }
        } else if says(&["Verifying Checksum", "Download complete", "Extracting"]) {
            PulledLayer::Downloaded(known.total())
        } else if says(&["Pull complete", "Already exists"]) {
            PulledLayer::Ready(known.total())
        } else {
            return false;
        };
        self.0.insert(id.to_owned(), layer);
        true
    }

    fn news(&self) -> Pulling {
        let there = |layer: &PulledLayer| matches!(layer, PulledLayer::Downloaded(_) | PulledLayer::Ready(_));
        let packed = |layer: &PulledLayer| matches!(layer, PulledLayer::Downloaded(_));
        Pulling {
            done: self.0.values().map(|layer| layer.done()).sum(),
            total: self.0.values().map(|layer| layer.total()).sum(),
            is_unpacking: self.0.values().all(there) && self.0.values().any(packed),
        }
    }
}

impl PulledLayer {
    fn done(self) -> u64 {
        match self {
            Self::Waiting => 0,
            Self::Downloading { done, .. } => done,
            Self::Downloaded(size) | Self::Ready(size) => size,
        }
    }

    fn total(self) -> u64 {
        match self {
            Self::Waiting => 0,
            Self::Downloading { total, .. } => total,
            Self::Downloaded(size) | Self::Ready(size) => size,
        }
    }
}

/// Parses docker's decimal sizes, such as `1.2MB`.
fn parse_size(text: &str) -> Option<u64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * factor;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size below 2^53 and above 0"
    )]
    (0.0..9e15).contains(&bytes).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ScriptedRunner;

    fn read(lines: &[&str]) -> Pulling {
        let mut layers = Layers::default();
        for line in lines {
            assert!(layers.read(line), "{line}");
        }
        layers.news()
    }

    #[test]
    fn bytes_are_summed_over_the_layers() {
        let (left, right) =
            ("4f4fb700ef54: Downloading [=>    ]  1.5MB/6MB", "aaaabbbbcccc: Downloading  500kB/1MB");
        let news = |done| Pulling { done, total: 7_000_000, is_unpacking: false };
        assert_eq!(read(&[left, right]), news(2_000_000));
        assert_eq!(read(&[left, right, "4f4fb700ef54: Download complete"]), news(6_500_000));
        assert!(!Layers::default().read("Digest: sha256:0123"));
        assert!(!Layers::default().read("1.36: Pulling from library/busybox"));
    }

    /// From Docker 20.10 and 28.5.
    #[test]
    fn unpacking_lasts_from_the_last_download_to_the_last_layer() {
        let waiting = ["aaaabbbbcccc: Already exists ", "4f4fb700ef54: Pulling fs layer "];
        let rows = [
            ("4f4fb700ef54: Downloading  1.5MB/6MB", false),
            ("4f4fb700ef54: Verifying Checksum ", true),
            ("4f4fb700ef54: Download complete ", true),
            ("4f4fb700ef54: Extracting  557.1kB/63.28MB", true),
            ("4f4fb700ef54: Extracting 1 s", true),
            ("4f4fb700ef54: Pull complete ", false),
        ];
        assert!(!read(&waiting).is_unpacking);
        for (line, expected) in rows {
            assert_eq!(read(&[&waiting[..], &[line]].concat()).is_unpacking, expected, "{line}");
        }
        assert!(!read(&["4f4fb700ef54: Download complete", "aaaabbbbcccc: Pulling fs layer"]).is_unpacking);
    }

    #[test]
    fn the_platform_is_passed_if_known() {
        let limits = PullLimits { time: UNPACK, silence: UNPACK };
        for (platform, line) in
            [(Some("linux/arm64"), "docker pull --platform linux/arm64 a:1"), (None, "docker pull a:1")]
        {
            let runner = Arc::new(ScriptedRunner::default().answer(line, ""));
            Docker::new(runner.clone()).pull("a:1", platform, limits, &mut |_| ()).unwrap();
            assert_eq!(runner.asked(), [line]);
        }
    }

    #[test]
    fn invalid_sizes_are_rejected() {
        for text in ["", "12", "xMB", "1.2XB", "-3MB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
