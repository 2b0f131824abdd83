//! The container engine and its images, through the `docker` client.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Deserialize;

use super::{garbage, json};
use crate::process::{Cmd, ExecError, Runner};

/// The timeout for queries.
pub(super) const ANSWER: Duration = Duration::from_secs(30);

/// The timeout for moving an image into a registry or an archive.
const MOVE: Duration = Duration::from_secs(60 * 60);
/// How long `docker save` may be silent: the classic store prepares the archive before its first byte.
const SAVE_SILENCE: Duration = Duration::from_secs(10 * 60);
/// How long `docker load` may take after its last input byte: the classic store only unpacks then.
const LOAD_END: Duration = Duration::from_secs(15 * 60);
/// How long `docker save` may take after its last output byte.
const SAVE_END: Duration = Duration::from_secs(60);

/// The API version that introduced `docker save --platform`.
pub const PLATFORM_SAVE_API: (u32, u32) = (1, 48);

/// The API version that introduced `docker image inspect --platform`.
pub const PLATFORM_INSPECT_API: (u32, u32) = (1, 49);

#[derive(Clone)]
pub struct Docker {
    pub(super) runner: Arc<dyn Runner>,
    /// What `docker info` printed.
    known_info: Arc<OnceLock<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineVersion {
    /// The engine's version, as it prints it.
    pub server: String,
    /// The API version that client and engine use.
    pub api: (u32, u32),
}

/// An image in the engine's store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EngineImage {
    /// The config digest; with the containerd store, the manifest's or index's digest.
    pub id: String,
    /// The names with tags; null if there is none.
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    #[serde(default)]
    pub repo_digests: Option<Vec<String>>,
    /// Such as `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// Such as `linux`.
    #[serde(default)]
    pub os: String,
    /// In bytes; compressed with the containerd store.
    #[serde(default)]
    pub size: u64,
    #[serde(rename = "RootFS", default)]
    pub root_fs: InspectedRootFs,
    /// What the name refers to; only with the containerd store.
    #[serde(default)]
    pub descriptor: Option<NameTarget>,
}

/// The layers of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedRootFs {
    /// The digests of the uncompressed layers, bottom first.
    #[serde(default)]
    pub layers: Vec<String>,
}

/// What an image name refers to in the containerd store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NameTarget {
    /// The media type of a manifest or index.
    #[serde(default)]
    pub media_type: String,
    pub digest: String,
}

impl Docker {
    /// The engine that the `docker` client is configured for.
    pub fn new(runner: Arc<dyn Runner>) -> Self {
        Self { runner, known_info: Arc::default() }
    }

    /// The versions of client and engine.
    ///
    /// # Errors
    /// Fails when `docker` is missing or the engine does not answer.
    pub fn version(&self) -> Result<EngineVersion, ExecError> {
        let format = "{{.Server.Version}} {{.Client.APIVersion}} {{.Server.APIVersion}}";
        let cmd = Cmd::read("docker", ANSWER).args(["version", "--format", format]);
        let output = self.runner.run(&cmd)?;
        parse_version(&output.text()).ok_or_else(|| garbage(&cmd, "no versions", &output.stdout))
    }

    /// The output of `docker info`, as JSON, asked once: several parts of a load need it.
    ///
    /// # Errors
    /// Fails when `docker` is missing or the engine does not answer.
    pub fn info(&self) -> Result<String, ExecError> {
        if let Some(known) = self.known_info.get() {
            return Ok(known.clone());
        }
        let cmd = Cmd::read("docker", ANSWER).args(["info", "--format", "{{json .}}"]);
        let info = self.runner.run(&cmd)?.text();
        Ok(self.known_info.get_or_init(|| info).clone())
    }

    /// The newest API version that the engine supports, if reported.
    ///
    /// # Errors
    /// Fails when `docker` is missing or the engine does not answer.
    pub fn api_version(&self) -> Result<Option<String>, ExecError> {
        let cmd = Cmd::read("docker", ANSWER).args(["version", "--format", "{{json .}}"]);
        Ok(parse_api_version(&self.runner.run(&cmd)?.text()))
    }

    /// Looks up `names` in the store in a single query, and returns the images found with their names.
    ///
    /// # Errors
    /// Fails when the engine does not answer; a missing image is not an error.
    pub fn images(&self, names: &[String]) -> Result<Vec<(String, EngineImage)>, ExecError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let inspect = || Cmd::read("docker", ANSWER).args(["image", "inspect"]);
        let cmd = inspect().args(names);
        let (stdout, tail) = match self.runner.run(&cmd) {
            Ok(output) => (output.stdout, Vec::new()),
            Err(ExecError::Failed { stdout, tail, .. }) if tail.iter().any(|line| is_no_such_image(line)) => {
                (stdout, tail)
            }
            Err(error) => return Err(error),
        };
        let images: Vec<EngineImage> =
            serde_json::from_slice(&stdout).map_err(|error| garbage(&cmd, &error.to_string(), &stdout))?;
        // The answers are in the order of the names, without those not found.
        let missing: Vec<&str> = tail.iter().filter_map(|line| missing_name(line)).collect();
        let found: Vec<_> = names.iter().filter(|name| !missing.contains(&name.as_str())).collect();
        if found.len() != images.len() {
            let one = |name: &String| self.image(&inspect().arg(name), name);
            return names.iter().map(one).filter_map(Result::transpose).collect();
        }
        Ok(found.into_iter().cloned().zip(images).collect())
    }

    /// The digest of an image's manifest for one platform, even if its name refers to an index; `None` if the
    /// engine lacks the image. Needs containerd's store and [`PLATFORM_INSPECT_API`].
    ///
    /// # Errors
    /// Fails when the engine does not answer or only has the image for other platforms.
    pub fn manifest_for(&self, name: &str, platform: &str) -> Result<Option<String>, ExecError> {
        let cmd = Cmd::read("docker", ANSWER).args(["image", "inspect", "--platform", platform, name]);
        Ok(self.image(&cmd, name)?.map(|(_, image)| image.id))
    }

    fn image(&self, cmd: &Cmd, name: &str) -> Result<Option<(String, EngineImage)>, ExecError> {
        match self.runner.run(cmd) {
            Ok(output) => {
                let mut images: Vec<EngineImage> = json(cmd, &output)?;
                Ok(images.pop().map(|image| (name.to_owned(), image)))
            }
            Err(error) if error.tail().iter().any(|line| is_no_such_image(line)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives an image another name.
    ///
    /// # Errors
    /// Fails with docker's last lines.
    pub fn tag(&self, image: &str, name: &str) -> Result<(), ExecError> {
        self.runner.run(&Cmd::write("docker", ANSWER).args(["tag", image, name])).map(drop)
    }

    /// Pushes an image to the registry in its name.
    ///
    /// # Errors
    /// Fails with docker's last lines.
    pub fn push(&self, name: &str) -> Result<(), ExecError> {
        self.runner.run(&Cmd::write("docker", MOVE).args(["push", "-q", name])).map(drop)
    }

    /// Removes a name, and the image too if it was the last one.
    ///
    /// # Errors
    /// Fails with docker's last lines.
    pub fn remove_name(&self, name: &str) -> Result<(), ExecError> {
        self.runner.run(&remove_command(name)).map(drop)
    }

    /// The command that saves one image to an archive file.
    pub fn save_to(file: &str, name: &str, platform: Option<&str>) -> Cmd {
        let mut cmd = Cmd::read("docker", MOVE).args(["save", "--output", file]);
        if let Some(platform) = platform {
            cmd = cmd.args(["--platform", platform]);
        }
        cmd.arg(name)
    }

    /// The command that writes the archive of `names` to its output, for one platform if the engine can
    /// choose.
    pub fn save(names: &[String], platform: Option<&str>) -> Cmd {
        let mut cmd = Cmd::read("docker", SAVE_END).silence(SAVE_SILENCE).arg("save");
        if let Some(platform) = platform {
            cmd = cmd.args(["--platform", platform]);
        }
        cmd.args(names)
    }
}

/// The command that loads the archive on its input. It may pause for as long as it may take to finish.
pub fn load_command() -> Cmd {
    Cmd::write("docker", LOAD_END).silence(LOAD_END).args(["load", "--quiet"])
}

/// The command that loads an archive file.
pub fn load_file_command(file: &str) -> Cmd {
    Cmd::write("docker", MOVE).args(["load", "--input", file])
}

/// The command that copies an image for all its platforms between registries, bypassing the engine.
pub fn copy_command(from: &str, to: &str) -> Cmd {
    Cmd::write("docker", MOVE).args(["buildx", "imagetools", "create", "--tag", to, from])
}

/// The command that gives an image another name.
pub fn tag_command(image: &str, name: &str) -> Cmd {
    Cmd::write("docker", ANSWER).args(["tag", image, name])
}

/// The command that pushes an image to the registry in its name.
pub fn push_command(name: &str) -> Cmd {
    Cmd::write("docker", MOVE).args(["push", "-q", name])
}

/// The command that removes an image's name.
pub fn remove_command(name: &str) -> Cmd {
    Cmd::write("docker", ANSWER).args(["rmi", name])
}

/// Parses `20.10.24 1.41 1.41`.
fn parse_version(text: &str) -> Option<EngineVersion> {
    let mut words = text.split_whitespace();
    let (server, client_api, server_api) = (words.next()?, words.next()?, words.next()?);
    let api = parse_api(client_api)?.min(parse_api(server_api)?);
    Some(EngineVersion { server: server.to_owned(), api })
}

fn parse_api(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Parses the engine's API version from `docker version --format '{{json .}}'`.
fn parse_api_version(text: &str) -> Option<String> {
    let version: serde_json::Value = serde_json::from_str(text).ok()?;
    version["Server"]["ApiVersion"].as_str().map(str::to_owned)
}

fn is_no_such_image(line: &str) -> bool {
    let line = line.to_lowercase();
    line.contains("no such image") || line.contains("no such object")
}

fn missing_name(line: &str) -> Option<&str> {
    is_no_such_image(line).then(|| line.rsplit_once(": ").map(|(_, name)| name.trim())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{ScriptedRunner, Stream};

    #[test]
    fn the_older_api_version_counts() {
        let version = parse_version("20.10.24+dfsg1 1.48 1.41\n").unwrap();
        assert_eq!(version, EngineVersion { server: "20.10.24+dfsg1".into(), api: (1, 41) });
        assert_eq!(parse_version("garbage"), None);
    }

    #[test]
    fn the_api_version_is_the_engines_not_the_clients() {
        let text = include_str!("../../tests/fixtures/docker-version-20.10.24.json");
        assert_eq!(parse_api_version(text).as_deref(), Some("1.41"));
        let newer = text.replacen(r#""ApiVersion":"1.41""#, r#""ApiVersion":"1.50""#, 1);
        assert_eq!(parse_api_version(&newer).as_deref(), Some("1.41"));
        assert_eq!(parse_api_version(r#"{"Client":{"ApiVersion":"1.50"},"Server":null}"#), None);
        assert_eq!(parse_api_version("Client: 28"), None);
    }

    /// Fails with a partial answer, like `docker image inspect`.
    struct PartialInspect;
    impl Runner for PartialInspect {
        fn run_with(
            &self,
            cmd: &Cmd,
            _: &mut dyn FnMut(Stream, &str),
        ) -> Result<crate::process::Output, ExecError> {
            Err(ExecError::Failed {
                cmd: cmd.to_string(),
                status: "exit status: 1".into(),
                code: Some(1),
                tail: vec!["Error: No such image: a:1".into()],
                stdout: br#"[{"Id":"sha256:1","RepoTags":["b:1"],"Size":3}]"#.to_vec(),
            })
        }
        fn start(&self, _: &Cmd) -> Result<Box<dyn crate::process::Running>, ExecError> {
            unreachable!("nothing is started")
        }
        fn locate(&self, _: &str) -> Option<std::path::PathBuf> {
            None
        }
    }

    #[test]
    fn missing_images_are_left_out() {
        let names = ["a:1".to_owned(), "b:1".to_owned()];
        let images = Docker::new(Arc::new(PartialInspect)).images(&names).unwrap();
        assert_eq!(images.len(), 1);
        assert_eq!((images[0].0.as_str(), images[0].1.id.as_str()), ("b:1", "sha256:1"));
    }

    #[test]
    fn an_engine_that_does_not_answer_is_an_error_not_an_absent_image() {
        let runner = ScriptedRunner::default().fail(
            "docker image inspect a:1",
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        );
        let error = Docker::new(Arc::new(runner)).images(&["a:1".to_owned()]).unwrap_err();
        assert!(error.mentions("cannot connect"), "{error}");
    }
}
