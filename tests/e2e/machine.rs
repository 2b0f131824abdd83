//! A cluster for one test, the programs to run on it, and waiting for conditions.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// All tests use the same host ports.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Variables that would point the program under test to another cluster, or change its output.
const FOREIGN: [&str; 6] = [
    "MILVUSCTL_CONFIG",
    "MILVUSCTL_CONTEXT",
    "MILVUSCTL_DRY_RUN",
    "MILVUSCTL_NAME",
    "MILVUSCTL_OUTPUT",
    "MILVUSCTL_WORKERS",
];

/// A cluster name, and a folder with a kubeconfig; dropping it deletes the cluster.
pub(crate) struct Machine {
    name: String,
    folder: TempDir,
    variables: Vec<(String, String)>,
    _turn: MutexGuard<'static, ()>,
}

impl Machine {
    /// A machine without a cluster of that name, which must start like all test clusters.
    pub(crate) fn new(name: &str) -> Self {
        assert!(name.starts_with("milvusctl-test-"), "`{name}` could be somebody's cluster");
        // Leftovers of an earlier, failed test do not matter.
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::Builder::new().prefix("milvusctl-e2e-").tempdir().unwrap();
        let machine = Self { name: name.to_owned(), folder, variables: Vec::new(), _turn: turn };
        machine.delete_cluster();
        machine
    }

    /// Sets an environment variable for the program under test.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// A path in the machine's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Creates a folder in the machine's folder and returns its path.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// The cluster's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Writes a file into the machine's folder and returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn program(&self, program: impl AsRef<Path>) -> Command {
        crate::signals::hear_ignored();
        #[expect(
            clippy::disallowed_methods,
            reason = "the program under test, or a tool that looks after it"
        )]
        let mut command = Command::new(program.as_ref());
        command.env("KUBECONFIG", self.folder.path().join("kubeconfig")).current_dir(self.folder.path());
        command
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_milvusctl"));
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.envs(self.variables()).args(args).args(["--name", &self.name]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Runs one of the project's scripts on the cluster to completion.
    pub(crate) fn script(&self, script: &str, args: &[&str]) -> Run {
        say(&format!("{script} {}", args.join(" ")));
        let mut command = self.program("bash");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script)).args(args);
        command.envs(self.variables()).env("MILVUSCTL_NAME", &self.name);
        let begin = Instant::now();
        let run = Run::of(&command.output().unwrap(), begin.elapsed());
        say(&format!("{}exit {:?} after {:?}", run.err, run.code, run.took));
        run
    }

    /// Runs milvusctl on the cluster to completion.
    pub(crate) fn milvusctl(&self, args: &[&str]) -> Run {
        say(&format!("milvusctl {}", args.join(" ")));
        let begin = Instant::now();
        let run = Run::of(&self.command(args).output().unwrap(), begin.elapsed());
        say(&format!("{}exit {:?} after {:?}", run.err, run.code, run.took));
        run
    }

    /// Starts milvusctl on the cluster.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        say(&format!("milvusctl {} &", args.join(" ")));
        self.command(args).spawn().unwrap()
    }

    /// Runs a tool and returns its standard output or its error.
    pub(crate) fn tool(&self, program: &str, args: &[&str]) -> Result<String, String> {
        self.tool_with_input(program, args, "")
    }

    /// Runs a tool with `input` on its standard input.
    pub(crate) fn tool_with_input(
        &self,
        program: &str,
        args: &[&str],
        input: &str,
    ) -> Result<String, String> {
        let mut command = self.program(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .map_err(|error| format!("{program}: {error}"))?;
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(format!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)))
        }
    }

    /// Runs kubectl on the cluster.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        self.kubectl_with_input(args, "")
    }

    /// Runs kubectl on the cluster with `input` on its standard input.
    pub(crate) fn kubectl_with_input(&self, args: &[&str], input: &str) -> Result<String, String> {
        let context = format!("kind-{}", self.name);
        self.tool_with_input("kubectl", &[&["--context", &context], args].concat(), input)
    }

    /// Runs helm on the cluster.
    pub(crate) fn helm(&self, args: &[&str]) -> Result<String, String> {
        let context = format!("kind-{}", self.name);
        self.tool("helm", &[args, &["--kube-context", &context]].concat())
    }

    /// The containers of the cluster's nodes, running or not, sorted by name.
    pub(crate) fn nodes(&self) -> Vec<String> {
        let filter = format!("label=io.x-k8s.kind.cluster={}", self.name);
        let listed =
            self.tool("docker", &["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]).unwrap();
        let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    fn delete_cluster(&self) {
        if let Err(error) = self.tool("kind", &["delete", "cluster", "--name", &self.name]) {
            say(&error);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for args in [&["get", "milvus,pods,services", "-A"][..], &["get", "events", "-A"]] {
                say(&self.kubectl(args).unwrap_or_else(|error| error));
            }
        }
        self.delete_cluster();
    }
}

/// How a run of milvusctl ended.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Run {
    pub(crate) fn of(output: &Output, took: Duration) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            took,
        }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    /// Asserts that it failed, and that standard error contains each of `texts`.
    #[track_caller]
    pub(crate) fn complains_of(self, texts: &[&str]) -> Self {
        assert!(matches!(self.code, Some(1 | 2)), "exit {:?}\n{}\n{}", self.code, self.out, self.err);
        self.says(texts)
    }

    /// Asserts that standard error contains each of `texts`.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.err.contains(text), "`{text}` is not in:\n{}", self.err);
        }
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in:\n{}", self.out))
    }
}

/// Prints progress for readers of the test's output.
#[expect(clippy::print_stderr, reason = "a test of many minutes must show progress")]
pub(crate) fn say(text: &str) {
    eprintln!("{}", text.trim_end());
}

/// Waits until `found` returns something, and fails the test if it does not `within` that time.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, within: Duration, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come within {within:?}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The page at a port of this host, or why there is none.
pub(crate) fn page(port: u16) -> Result<String, std::io::Error> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The strings at `field` of each object in a list.
pub(crate) fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().into_iter().flatten().filter_map(|entry| entry[field].as_str()).collect()
}

/// The address of a registry that engine and nodes reach without TLS.
pub(crate) fn registry() -> String {
    std::env::var("MILVUSCTL_TEST_REGISTRY").expect(
        "MILVUSCTL_TEST_REGISTRY says which registry engine and nodes can use, such as 172.17.0.1:5000",
    )
}
