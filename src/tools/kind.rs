//! kind: clusters whose nodes are containers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{first_version, garbage};
use crate::nearest::nearest;
use crate::process::{Cmd, ExecError, Runner, Stream};

/// The timeout for queries and for writing a kubeconfig.
const ANSWER: Duration = Duration::from_secs(60);
/// The timeout for creating a cluster; kind pulls the node image without reporting progress.
const CREATE: Duration = Duration::from_secs(60 * 60);
/// The timeout for deleting a cluster.
const DELETE: Duration = Duration::from_secs(5 * 60);
/// The timeout for loading an archive.
const LOAD: Duration = Duration::from_secs(30 * 60);
/// How many of kind's output lines are kept during creation, and how many of them are shown.
const KEPT: usize = 1000;
const SHOWN: usize = 8;

/// The load balancer image that kind uses for several control planes, by its first minor release.
///
/// `Image` in its `pkg/cluster/internal/loadbalancer/const.go`, read at each tag from v0.15.0 to v0.33.0-alpha.
const LOAD_BALANCERS: [(u64, &str); 6] = [
    (32, "docker.io/envoyproxy/envoy:v1.36.2"),
    (31, "docker.io/kindest/haproxy:v20251211-v0.29.0-alpha-100-g82a92c5d"),
    (20, "docker.io/kindest/haproxy:v20230606-42a2262b"),
    (19, "docker.io/kindest/haproxy:v20230510-486859a6"),
    (18, "docker.io/kindest/haproxy:v20230227-d46f45b6"),
    (0, "docker.io/kindest/haproxy:v20220607-9a4d8d2a"),
];

/// The `kind` program.
#[derive(Clone)]
pub struct Kind {
    runner: Arc<dyn Runner>,
}

impl Kind {
    /// kind, run by `runner`.
    pub fn new(runner: Arc<dyn Runner>) -> Self {
        Self { runner }
    }

    /// Its version.
    ///
    /// # Errors
    /// Fails when kind is missing or prints no version.
    pub fn version(&self) -> Result<semver::Version, ExecError> {
        let cmd = Cmd::read("kind", ANSWER).arg("version");
        let output = self.runner.run(&cmd)?;
        first_version(&output.text()).ok_or_else(|| garbage(&cmd, "no version", &output.stdout))
    }

    /// The names of all clusters.
    ///
    /// # Errors
    /// Fails when kind is missing or the engine does not answer.
    pub fn clusters(&self) -> Result<Vec<String>, ExecError> {
        let cmd = Cmd::read("kind", ANSWER).args(["get", "clusters"]);
        Ok(parse_clusters(&self.runner.run(&cmd)?.text()))
    }

    /// Creates a cluster from a kind configuration; `on_line` gets kind's own progress lines.
    ///
    /// # Errors
    /// Fails with kind's and kubeadm's errors. kind removes a half-created cluster itself unless `retain` is
    /// set.
    pub fn create(
        &self,
        name: &str,
        config: &str,
        image: Option<&str>,
        retain: bool,
        on_step: &mut dyn FnMut(&str),
    ) -> Result<(), ExecError> {
        let cmd = create_command(name, config, image, retain);
        let mut lines = VecDeque::new();
        let result = self.runner.run_with(&cmd, &mut |source, line| {
            if source == Stream::Err {
                if let Some(step) = step(line) {
                    on_step(&step);
                }
                if lines.len() == KEPT {
                    lines.pop_front();
                }
                lines.push_back(line.to_owned());
            }
        });
        result.map(drop).map_err(|mut error| {
            if let ExecError::Failed { tail, .. } = &mut error {
                let said = cause(lines.make_contiguous());
                if !said.is_empty() {
                    *tail = said;
                }
            }
            error
        })
    }

    /// Deletes a cluster and its kubeconfig entry.
    ///
    /// # Errors
    /// Fails with kind's last lines.
    pub fn delete(&self, name: &str) -> Result<(), ExecError> {
        self.runner.run(&delete_command(name)).map(drop)
    }

    /// Rewrites the cluster's kubeconfig entry.
    ///
    /// # Errors
    /// Fails with kind's last lines.
    pub fn export_kubeconfig(&self, name: &str) -> Result<(), ExecError> {
        self.runner.run(&export_command(name)).map(drop)
    }

    /// Loads an image archive into nodes. kind only reads files, not standard input.
    ///
    /// # Errors
    /// Fails with kind's last lines.
    pub fn load_archive(&self, name: &str, file: &str, nodes: &[String]) -> Result<(), ExecError> {
        let cmd = Cmd::write("kind", LOAD)
            .args(["load", "image-archive", file, "--name", name])
            .args(["--nodes".to_owned(), nodes.join(",")]);
        self.runner.run(&cmd).map(drop)
    }
}

/// The command that creates a cluster, its configuration on standard input.
pub fn create_command(name: &str, config: &str, image: Option<&str>, retain: bool) -> Cmd {
    let mut cmd = Cmd::write("kind", CREATE).args(["create", "cluster", "--name", name, "--config", "-"]);
    if let Some(image) = image {
        cmd = cmd.args(["--image", image]);
    }
    if retain {
        cmd = cmd.arg("--retain");
    }
    cmd.input(config)
}

/// The command that deletes a cluster.
pub fn delete_command(name: &str) -> Cmd {
    Cmd::write("kind", DELETE).args(["delete", "cluster", "--name", name])
}

/// The command that writes a cluster's kubeconfig entry.
pub fn export_command(name: &str) -> Cmd {
    Cmd::write("kind", ANSWER).args(["export", "kubeconfig", "--name", name])
}

/// The context that kind writes for a cluster.
pub fn context_of(cluster: &str) -> String {
    format!("kind-{cluster}")
}

/// The cluster that a user who typed `typed` probably meant: the one with that context, or the closest name.
pub fn probably_meant<'k>(typed: &str, known: &'k [String]) -> Option<&'k str> {
    known
        .iter()
        .map(String::as_str)
        .find(|cluster| context_of(cluster) == typed)
        .or_else(|| nearest(typed, known.iter().map(String::as_str)))
}

/// Extracts from kind's output why a cluster could not be created.
///
/// kind repeats the whole output of the command that failed in the node (`cmd/kind/app/main.go`, `logError`),
/// and kubeadm, run with `--v=6`, ends with a Go stack trace, so the last lines alone are useless.
fn cause(lines: &[String]) -> Vec<String> {
    let is_place = |line: &String| line.starts_with('\t') && (line.contains(".go:") || line.contains(".s:"));
    let is_log = |line: &str| {
        let mut letters = line.chars();
        matches!(letters.next(), Some('I' | 'W')) && letters.take(4).filter(char::is_ascii_digit).count() == 4
    };
    // The command's output starts on the line that announces it.
    let lines: Vec<String> =
        lines.iter().map(|line| line.strip_prefix("Command Output: ").unwrap_or(line).to_owned()).collect();
    let begin = lines.iter().position(|line| line.starts_with("ERROR:")).unwrap_or(0);
    let said: Vec<&String> = lines[begin..]
        .iter()
        .enumerate()
        .filter(|(at, line)| {
            let is_frame = is_place(line) || lines.get(begin + at + 1).is_some_and(is_place);
            !is_frame && !is_log(line) && *line != "Command Output:" && !line.trim().is_empty()
        })
        .map(|(_, line)| line)
        .collect();
    let rest = said.len().saturating_sub(SHOWN).max(1);
    said.iter().take(1).chain(said.iter().skip(rest)).map(|line| (*line).clone()).collect()
}

/// The step that a line of kind reports, without bullets and emoji; `None` for other lines.
fn step(line: &str) -> Option<String> {
    let line = line.trim();
    // kind prints `•` without a terminal; with one, it redraws its lines.
    let what = line.strip_prefix('•').map(str::trim)?;
    let plain: String = what.chars().filter(|c| c.is_ascii() || c.is_alphanumeric()).collect();
    let plain = plain.trim().trim_end_matches('.').trim();
    let mut letters = plain.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect())
}

fn parse_clusters(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Whether a cluster of that name already exists.
pub fn is_taken(error: &ExecError) -> bool {
    error.mentions("already exist")
}

/// Whether a host port for a node is taken; the last message is Docker Desktop's.
pub fn lacks_port(error: &ExecError) -> bool {
    ["port is already allocated", "address already in use", "ports are not available"]
        .iter()
        .any(|words| error.mentions(words))
}

/// Whether a node's systemd or kubelet hit the inotify limits (kind's known issues).
pub fn lacks_inotify(error: &ExecError) -> bool {
    error.mentions("too many open files")
}

/// The load balancer image of a kind release. Assumes that newer releases than known here keep the newest
/// known image.
pub fn load_balancer_image(kind: &semver::Version) -> &'static str {
    let known = LOAD_BALANCERS.iter().find(|(since, _)| kind.major > 0 || kind.minor >= *since);
    known.map_or(LOAD_BALANCERS[0].1, |(_, image)| image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ScriptedRunner;

    #[test]
    fn no_clusters_is_an_empty_list() {
        assert_eq!(parse_clusters(""), Vec::<String>::new());
        assert_eq!(parse_clusters("a\nb\n"), ["a", "b"]);
    }

    #[test]
    fn a_failed_creation_shows_the_cause_without_the_stack_trace() {
        let recorded = include_str!("../../tests/fixtures/kind-create-failed.kind-0.33-kubeadm-1.34.txt");
        let lines: Vec<String> = recorded.lines().map(str::to_owned).collect();
        let tail = cause(&lines);
        assert!(
            tail[0].starts_with("ERROR: failed to create cluster: failed to init node with kubeadm"),
            "{tail:?}"
        );
        let last = tail.last().unwrap();
        assert!(
            last.starts_with("error: error execution phase wait-control-plane: cannot obtain client"),
            "{last}"
        );
        assert_eq!(
            (tail.len(), tail.iter().any(|line| line.contains(".go:"))),
            (1 + SHOWN, false),
            "{tail:?}"
        );
    }

    #[test]
    fn the_first_line_of_command_output_is_kept() {
        let refused = "docker: Error response from daemon: Conflict. The container name \"/c-control-plane\" is already in use";
        let lines = [
            "ERROR: failed to create cluster: command \"docker run\" failed with error: exit status 125"
                .to_owned(),
            format!("Command Output: {refused}"),
        ];
        assert_eq!(cause(&lines), [lines[0].as_str(), refused]);
    }

    #[test]
    fn output_without_a_stack_trace_is_kept() {
        let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        let said =
            ["ERROR: failed to create cluster: node(s) already exist for a cluster with the name \"c\""];
        assert_eq!(cause(&lines(&["Creating cluster \"c\" ...", said[0]])), said);
        assert_eq!(cause(&lines(&[])), [""; 0]);
    }

    #[test]
    fn the_version_is_parsed() {
        let runner = ScriptedRunner::default().answer("kind version", "kind v0.27.0 go1.24.4 linux/amd64\n");
        assert_eq!(Kind::new(Arc::new(runner)).version().unwrap(), semver::Version::new(0, 27, 0));
    }

    #[test]
    fn a_program_that_is_not_kind_is_detected() {
        let runner = ScriptedRunner::default().answer("kind version", "hello\n");
        let error = Kind::new(Arc::new(runner)).version().unwrap_err();
        assert!(matches!(error, ExecError::Garbage { .. }), "{error}");
    }

    #[test]
    fn every_release_has_its_load_balancer() {
        let rows = [
            ("0.17.0", "docker.io/kindest/haproxy:v20220607-9a4d8d2a"),
            ("0.27.0", "docker.io/kindest/haproxy:v20230606-42a2262b"),
            ("0.30.0", "docker.io/kindest/haproxy:v20230606-42a2262b"),
            ("0.31.0", "docker.io/kindest/haproxy:v20251211-v0.29.0-alpha-100-g82a92c5d"),
            ("0.33.0", "docker.io/envoyproxy/envoy:v1.36.2"),
            ("1.0.0", "docker.io/envoyproxy/envoy:v1.36.2"),
        ];
        for (kind, image) in rows {
            assert_eq!(load_balancer_image(&kind.parse().unwrap()), image, "{kind}");
        }
    }

    #[test]
    fn only_steps_are_shown_from_kinds_output() {
        // As kind 0.27.0 prints them without a terminal.
        let rows = [
            (
                " • Ensuring node image (kindest/node:v1.20.2) 🖼  ...",
                Some("ensuring node image (kindest/node:v1.20.2)"),
            ),
            (" • Starting control-plane 🕹️  ...", Some("starting control-plane")),
            (" ✓ Starting control-plane 🕹️", None),
            ("Creating cluster \"c\" ...", None),
            ("Not sure what to do next? 😅  Check out https://kind.sigs.k8s.io/docs/user/quick-start/", None),
            ("", None),
        ];
        for (line, shown) in rows {
            assert_eq!(step(line).as_deref(), shown, "{line}");
        }
    }
}
