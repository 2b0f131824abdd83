//! A node of a kind cluster: a container that runs containerd and the kubelet, accessed by `docker exec` and
//! containerd's client `ctr`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::archive::{Digest, NodeImage, parse_images_check, parse_images_list, parse_snapshotter};
use crate::process::{Cmd, ExecError, Output, Runner};

/// The timeout for queries.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// The timeout for listing containerd's contents.
const LIST: Duration = Duration::from_secs(120);
/// The limit for what a node prints, in bytes: a line for each of tens of thousands of images or blobs.
const OUTPUT: usize = 64 << 20;
/// The default snapshotter of `ctr`.
const OVERLAYFS: &str = "overlayfs";
/// The timeout for a connection from inside a node, in seconds.
const CONNECT_SECONDS: &str = "5";

/// Prints containerd's content, each document after a line with its digest. The digests are arguments, not
/// part of the script.
const READ_DOCUMENTS: &str = r#"for digest; do
  printf '\n== %s\n' "$digest"
  ctr --namespace k8s.io content get "$digest" 2>/dev/null || true
done"#;
/// What precedes each digest there.
const DOCUMENT: &[u8] = b"\n== ";

/// Writes the folder's file from its input, whose first line marks it as milvusctl's. Refuses to overwrite a
/// file without the mark, which is somebody else's, perhaps the host's own. The folder is an argument, not
/// part of the script.
const WRITE_HOSTS: &str = r#"file=$1/hosts.toml
mkdir -p "$1" && read -r mark && text=$(cat) || exit 1
if [ -e "$file" ] && [ "$(head -n 1 "$file")" != "$mark" ]; then
  [ "$(cat "$file")" = "$text" ] && exit 0
  echo "$file exists and was not written by milvusctl" >&2
  exit 1
fi
printf "%s\n" "$mark" "$text" > "$file""#;

/// Prints each folder's file, followed by a separator line.
const READ_HOSTS: &str = r#"for folder; do cat "$folder/hosts.toml" 2>/dev/null || true; echo "--"; done"#;

/// Opens and closes a connection. Host and port are arguments, not part of the script.
const CONNECT: &str = r#"exec 3<>"/dev/tcp/$1/$2""#;

/// A node, by its container name.
#[derive(Clone)]
pub struct KindNode {
    pub(super) name: String,
    pub(super) runner: Arc<dyn Runner>,
}

/// Why a node could not connect.
#[derive(Debug)]
pub enum NoConnection {
    /// The connection failed, for this reason.
    Refused(String),
    /// It was not tried: the node lacks a program for it or cannot be entered.
    Untried(ExecError),
}

impl KindNode {
    pub(super) fn new(name: &str, runner: Arc<dyn Runner>) -> Self {
        Self { name: name.to_owned(), runner }
    }

    pub(super) fn ask(&self, args: &[&str], limit: Duration) -> Result<Output, ExecError> {
        self.runner.run(&look(&self.name, args).limit(limit))
    }

    /// Its images by name, with whether each is complete.
    ///
    /// # Errors
    /// Fails when the node cannot be entered or its containerd does not answer.
    pub fn images(&self) -> Result<BTreeMap<String, NodeImage>, ExecError> {
        let cmd = check_images(&self.name).limit(LIST);
        let images = self.images_by(&cmd)?;
        if images.values().all(NodeImage::can_run) {
            return Ok(images);
        }
        // `ctr` checks its default, overlayfs, but an image unpacked elsewhere runs even without its layers.
        match self.snapshotter() {
            Ok(Some(snapshotter)) if snapshotter != OVERLAYFS => {
                self.images_by(&cmd.args(["--snapshotter", &snapshotter]))
            }
            _ => Ok(images),
        }
    }

    fn images_by(&self, cmd: &Cmd) -> Result<BTreeMap<String, NodeImage>, ExecError> {
        let text = match self.runner.run(cmd) {
            Ok(output) => output.text(),
            // It fails if one image is broken, but still prints the table.
            Err(ExecError::Failed { stdout, .. }) if stdout.starts_with(b"REF") => {
                String::from_utf8_lossy(&stdout).into_owned()
            }
            Err(error) => return Err(error),
        };
        parse_images_check(&text).map_err(|error| garbled(cmd, &error))
    }

    /// The manifest or index that each name refers to, complete or not.
    ///
    /// # Errors
    /// As [`KindNode::images`].
    pub fn targets(&self) -> Result<BTreeMap<String, Digest>, ExecError> {
        let cmd = look(&self.name, &["ctr", "--namespace", "k8s.io", "images", "ls"]).limit(LIST);
        let text = self.runner.run(&cmd)?.text();
        parse_images_list(&text).map_err(|error| garbled(&cmd, &error))
    }

    /// The indexes and manifests with these digests, without those it does not hold.
    ///
    /// # Errors
    /// Fails when the node cannot be entered.
    pub fn documents(&self, digests: &BTreeSet<Digest>) -> Result<BTreeMap<Digest, Vec<u8>>, ExecError> {
        Ok(parse_documents(&self.runner.run(&read_documents(&self.name, digests))?.stdout))
    }

    /// The snapshotter that its containerd is configured for, unless the default.
    ///
    /// Like kind, parses `containerd config dump`.
    ///
    /// # Errors
    /// As [`KindNode::images`].
    pub fn snapshotter(&self) -> Result<Option<String>, ExecError> {
        let dump = self.ask(&["containerd", "config", "dump"], ANSWER)?;
        Ok(parse_snapshotter(&dump.text()))
    }

    /// Points a name at another name's image.
    ///
    /// # Errors
    /// Fails with `ctr`'s error.
    pub fn point_at(&self, name: &str, other: &str) -> Result<(), ExecError> {
        let args = ["ctr", "--namespace", "k8s.io", "images", "tag", "--force", other, name];
        self.runner.run(&change(&self.name, &args)).map(drop)
    }

    /// Removes an image's name; a missing one is not an error.
    ///
    /// # Errors
    /// Fails with `ctr`'s error.
    pub fn remove_image(&self, name: &str) -> Result<(), ExecError> {
        let args = ["ctr", "--namespace", "k8s.io", "images", "rm", name];
        self.runner.run(&change(&self.name, &args)).map(drop)
    }

    /// The `hosts.toml` of each folder; empty where there is none.
    ///
    /// # Errors
    /// Fails when the node cannot be entered.
    pub fn read_hosts(&self, folders: &[&str]) -> Result<Vec<String>, ExecError> {
        let text = self.runner.run(&read_hosts(&self.name, folders))?.text();
        let mut parts = text.split_inclusive("--\n");
        let mut next =
            || parts.next().and_then(|part| part.strip_suffix("--\n")).unwrap_or_default().to_owned();
        Ok(folders.iter().map(|_| next()).collect())
    }

    /// Tries a TCP connection from inside the node.
    ///
    /// # Errors
    /// Fails with the reason.
    pub fn connect(&self, host: &str, port: u16) -> Result<(), NoConnection> {
        let answer = self.runner.run(&connect(&self.name, host, port));
        answer.map(drop).map_err(|error| match why_refused(&error) {
            Some(why) => NoConnection::Refused(why),
            None => NoConnection::Untried(error),
        })
    }
}

pub(super) fn look(node: &str, args: &[&str]) -> Cmd {
    Cmd::read("docker", ANSWER).args(["exec", node]).args(args.iter().copied()).output_limit(OUTPUT)
}

pub(super) fn change(node: &str, args: &[&str]) -> Cmd {
    Cmd::write("docker", ANSWER).args(["exec", "-i", node]).args(args.iter().copied())
}

/// The command that lists a node's images and whether each is complete.
pub fn check_images(node: &str) -> Cmd {
    look(node, &["ctr", "--namespace", "k8s.io", "images", "check"])
}

/// The command of [`KindNode::documents`].
pub fn read_documents(node: &str, digests: &BTreeSet<Digest>) -> Cmd {
    let digests = digests.iter().map(ToString::to_string);
    look(node, &["sh", "-c", READ_DOCUMENTS, "sh"]).args(digests).limit(LIST)
}

/// The command of [`KindNode::read_hosts`].
pub fn read_hosts(node: &str, folders: &[&str]) -> Cmd {
    look(node, &["sh", "-c", READ_HOSTS, "sh"]).args(folders.iter().copied())
}

/// The command that writes a folder's `hosts.toml`.
pub fn write_hosts(node: &str, folder: &str, text: &str) -> Cmd {
    change(node, &["sh", "-c", WRITE_HOSTS, "sh", folder]).input(text)
}

/// The command of [`KindNode::connect`].
pub fn connect(node: &str, host: &str, port: u16) -> Cmd {
    let port = port.to_string();
    look(node, &["timeout", CONNECT_SECONDS, "bash", "-c", CONNECT, "bash", host, &port]).limit(ANSWER)
}

/// The command that prints the last `lines` of a unit's journal.
pub fn journal(node: &str, unit: &str, lines: &str) -> Cmd {
    look(node, &["journalctl", "--unit", unit, "--no-pager", "--lines", lines])
}

/// The command that prints a node's disk usage.
pub fn disks(node: &str) -> Cmd {
    look(node, &["df", "-h"])
}

/// Parses the output of [`READ_DOCUMENTS`], dropping documents that are missing or do not match their digest.
fn parse_documents(printed: &[u8]) -> BTreeMap<Digest, Vec<u8>> {
    let mut starts: Vec<usize> =
        (0..printed.len()).filter(|&at| printed[at..].starts_with(DOCUMENT)).collect();
    starts.push(printed.len());
    let document = |range: &[usize]| {
        let text = &printed[range[0] + DOCUMENT.len()..range[1]];
        let end = text.iter().position(|&byte| byte == b'\n')?;
        let digest: Digest = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
        let document = &text[end + 1..];
        (Digest::of(document) == digest).then(|| (digest, document.to_vec()))
    };
    starts.windows(2).filter_map(document).collect()
}

/// Whether the node's container is not running.
pub fn is_stopped(words: &str) -> bool {
    words.contains("is not running")
}

/// Whether the node lacks the program or cannot be entered at all.
pub fn lacks_program(words: &str) -> bool {
    words.contains("executable file not found") || words.contains("no such file or directory: unknown")
}

fn garbled(cmd: &Cmd, problem: &dyn std::error::Error) -> ExecError {
    ExecError::Garbage { cmd: cmd.to_string(), problem: problem.to_string() }
}

/// Why the connection failed; `None` if it was not even tried.
fn why_refused(error: &ExecError) -> Option<String> {
    // The exit code of `timeout`.
    if let ExecError::Failed { code: Some(124), .. } = error {
        return Some(format!("no answer within {CONNECT_SECONDS} seconds"));
    }
    let known =
        ["connection refused", "name or service not known", "no route to host", "network is unreachable"]
            .into_iter()
            .find(|known| error.mentions(known));
    let temporary = error.mentions("temporary failure in name resolution");
    known.map(str::to_owned).or_else(|| temporary.then(|| "the name cannot be resolved".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Deadline, Interrupt, SystemRunner};

    /// Runs the node's script on this machine, and returns its error.
    fn write_here(folder: &str, text: &str) -> Result<(), String> {
        let runner =
            SystemRunner::new(std::env::var_os("PATH"), None, Interrupt::default(), Deadline::default());
        let cmd = Cmd::write("sh", ANSWER).args(["-c", WRITE_HOSTS, "sh", folder]).input(text);
        runner.run(&cmd).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn a_foreign_hosts_file_is_not_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a b");
        let (name, path) = (folder.to_str().unwrap(), folder.join("hosts.toml"));
        let read = || std::fs::read_to_string(&path).unwrap();
        let wanted = "# ours\nserver = \"s\"\n\n[host.\"%s\"]\n";
        assert_eq!(write_here(name, wanted), Ok(()));
        assert_eq!(read(), wanted);
        std::fs::write(&path, "# ours\nold\n").unwrap();
        assert_eq!((write_here(name, wanted), read()), (Ok(()), wanted.to_owned()));
        // The same content without the mark is fine.
        let same = wanted.strip_prefix("# ours\n").unwrap();
        std::fs::write(&path, same).unwrap();
        assert_eq!((write_here(name, wanted), read()), (Ok(()), same.to_owned()));
        std::fs::write(&path, "theirs\n").unwrap();
        let refused = write_here(name, wanted).unwrap_err();
        assert!(refused.contains("hosts.toml exists and was not written by milvusctl"), "{refused}");
        assert_eq!(read(), "theirs\n");
    }

    /// `ctr images check` of an image without its layers, unpacked or not.
    fn without_layers(is_unpacked: bool) -> String {
        let target = Digest::of(b"manifest");
        format!(
            "REF TYPE DIGEST STATUS SIZE UNPACKED\na:1 manifest {target} incomplete (2/3) 1 B/2 B {is_unpacked}\n"
        )
    }

    fn check_of(snapshotter: &str) -> (bool, Vec<String>) {
        let check = "docker exec n ctr --namespace k8s.io images check";
        let config = format!("[plugins.'io.containerd.cri.v1.images']\n  snapshotter = '{snapshotter}'\n");
        let runner = Arc::new(
            crate::process::ScriptedRunner::default()
                .answer(check, &without_layers(false))
                .answer("docker exec n containerd config dump", &config)
                .answer(&format!("{check} --snapshotter native"), &without_layers(true)),
        );
        let images = KindNode::new("n", runner.clone()).images().unwrap();
        (images["a:1"].can_run(), runner.asked())
    }

    #[test]
    fn an_image_unpacked_in_the_nodes_snapshotter_runs_without_its_layers() {
        let (can_run, asked) = check_of("native");
        assert_eq!((can_run, asked.len()), (true, 3));
        let (can_run, asked) = check_of("overlayfs");
        assert_eq!((can_run, asked.len()), (false, 2));
    }

    #[test]
    fn documents_that_do_not_match_their_digest_are_dropped() {
        let (compact, pretty) = (b"{\"a\":2}".to_vec(), b"{\n  \"a\": 2\n}\n".to_vec());
        let (first, second) = (Digest::of(&compact), Digest::of(&pretty));
        let absent = Digest::of(b"absent");
        let mut printed = Vec::new();
        for (digest, document) in [(first, &compact[..]), (absent, b""), (second, &pretty)] {
            printed.extend(format!("\n== {digest}\n").into_bytes());
            printed.extend(document);
        }
        assert_eq!(parse_documents(&printed), [(first, compact), (second, pretty)].into());
        assert_eq!(parse_documents(b"ctr: connection refused\n"), BTreeMap::new());
        assert_eq!(parse_documents(b""), BTreeMap::new());
    }
}
