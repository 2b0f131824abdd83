//! A machine for one test: its own folders, a PATH with only fake tools, and the log of their calls.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

/// The tools that milvusctl runs.
pub(crate) const TOOLS: [&str; 4] = ["docker", "kind", "kubectl", "helm"];

/// The folders and fake tools of one test. Dropping it deletes them and kills fake tools that still run.
pub(crate) struct Fixture {
    root: TempDir,
    answers: AtomicU32,
}

impl Fixture {
    /// A machine with all tools installed.
    pub(crate) fn new() -> Self {
        Self::with_tools(&TOOLS)
    }

    /// A machine with only some tools installed.
    pub(crate) fn with_tools(tools: &[&str]) -> Self {
        crate::signals::hear_ignored();
        let root = tempfile::Builder::new().prefix("milvusctl-cli-").tempdir().unwrap();
        for folder in ["bin", "home", "work", "tmp", "fake/answers"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake-tool.sh");
        for tool in tools {
            symlink(&fake, root.path().join("bin").join(tool)).unwrap();
        }
        Self { root, answers: AtomicU32::new(0) }
    }

    /// Sets a tool's answer to command lines that start with `prefix`; the first match wins.
    pub(crate) fn on(&self, prefix: &str) -> Answer {
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        let answer = Answer { stem: self.root.path().join(format!("fake/answers/{number:03}")) };
        for (kind, text) in [("out", ""), ("err", ""), ("prefix", prefix)] {
            answer.put(kind, text);
        }
        answer
    }

    /// An engine with enough memory, and kind, helm and kubectl.
    pub(crate) fn has_engine_and_tools(&self) {
        self.on("docker version").says("28.3.3 1.51 1.51\n");
        self.on("docker info")
            .says(r#"{"ServerVersion":"28.3.3","OSType":"linux","NCPU":8,"MemTotal":34359738368}"#);
        self.on("kind version").says("kind v0.27.0 go1.24.4 linux/amd64\n");
        self.on("helm version").says("v3.17.2+gcc0bbbd\n");
        self.on("kubectl version").says(r#"{"clientVersion":{"gitVersion":"v1.32.3"}}"#);
    }

    /// Gives kind the clusters `names`, and the engine no node containers of others.
    pub(crate) fn has_clusters(&self, names: &[&str]) {
        self.on("kind get clusters").says(&names.join("\n"));
        self.on("docker ps").says("");
    }

    /// Lets a node answer what it is asked in one script as it answers each question alone.
    pub(crate) fn answers_at_once(&self, node: &str) {
        self.on(&format!("docker exec {node} sh -c exec 3>&1")).runs(&format!(
            r#"shift 2
mkdir -p "$FAKE_TOOL_DIR/of-{node}"
for program in ctr containerd cat; do
  cat >"$FAKE_TOOL_DIR/of-{node}/$program" <<PROGRAM
#!/bin/sh
case "$program \$1" in
  'cat /proc/net/route' | 'ctr '* | 'containerd '*) exec "$FAKE_TOOL_DIR/../bin/docker" exec {node} $program "\$@" </dev/null ;;
esac
exec /bin/cat "\$@"
PROGRAM
  chmod +x "$FAKE_TOOL_DIR/of-{node}/$program"
done
PATH=$FAKE_TOOL_DIR/of-{node}:$PATH exec "$@""#
        ));
    }

    /// Writes a file into milvusctl's working directory.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root.path().join("work").join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A path in milvusctl's working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("work").join(name)
    }

    /// The user's home.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// The command that runs milvusctl on this machine, without a terminal and with empty input.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let root = self.root.path();
        #[expect(clippy::disallowed_methods, reason = "the program under test is what this runs")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_milvusctl"));
        // Inherit nothing, so that no MILVUSCTL_* of the developer's leaks in.
        command
            .env_clear()
            .env("PATH", root.join("bin"))
            .env("HOME", root.join("home"))
            .env("XDG_CACHE_HOME", root.join("home/.cache"))
            .env("XDG_CONFIG_HOME", root.join("home/.config"))
            .env("XDG_DATA_HOME", root.join("home/.local/share"))
            .env("KUBECONFIG", root.join("home/kubeconfig"))
            .env("TMPDIR", root.join("tmp"))
            .env("FAKE_TOOL_DIR", root.join("fake"))
            .env("MILVUSCTL_PULL_WITH", "docker")
            .env("COLUMNS", "100")
            .env("LANG", "C.UTF-8")
            .current_dir(root.join("work"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .args(args);
        command
    }

    /// A shell that finds the fake tools first, to run what a dry run prints.
    pub(crate) fn shell(&self) -> Command {
        let root = self.root.path();
        #[expect(clippy::disallowed_methods, reason = "what is printed for a shell is run by one")]
        let mut command = Command::new("sh");
        command
            .arg("-eu")
            .env("PATH", format!("{}:/usr/bin:/bin", root.join("bin").display()))
            .env("FAKE_TOOL_DIR", root.join("fake"));
        command
    }

    /// Runs milvusctl to completion.
    pub(crate) fn milvusctl(&self, args: &[&str]) -> Outcome {
        Outcome::of(&self.command(args).output().unwrap())
    }

    /// Runs milvusctl to completion with environment variables.
    pub(crate) fn milvusctl_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Outcome {
        Outcome::of(&self.command(args).envs(variables.iter().copied()).output().unwrap())
    }

    /// The command lines of the fake tools so far, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.root.path().join("fake/calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What the fake tools have read from standard input so far.
    pub(crate) fn inputs(&self) -> Vec<String> {
        let files = fs::read_dir(self.root.path().join("fake")).unwrap().map(|entry| entry.unwrap().path());
        let inputs = files.filter(|path| path.file_stem().is_some_and(|stem| stem == "input"));
        inputs.map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    /// Waits until a tool is called with a command line that starts with `prefix`.
    pub(crate) fn wait_for_call(&self, prefix: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.calls().iter().any(|call| call.starts_with(prefix)) {
            assert!(Instant::now() < end, "`{prefix}` was never called: {:?}", self.calls());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The files in the folder for temporary files.
    pub(crate) fn temporary_files(&self) -> Vec<PathBuf> {
        fs::read_dir(self.root.path().join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// Asserts that no fake tool is running; one just killed gets a moment to disappear.
    #[track_caller]
    pub(crate) fn assert_all_ended(&self) {
        let end = Instant::now() + Duration::from_secs(2);
        while !self.running().is_empty() {
            assert!(Instant::now() < end, "still running: {:?}", self.running());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The fake tools still running.
    fn running(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.root.path().join("fake/pids")).unwrap_or_default();
        text.lines()
            .filter_map(|line| Pid::from_raw(line.parse().ok()?))
            .filter(|pid| test_kill_process(*pid).is_ok() && is_fake_tool(*pid))
            .collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        for pid in self.running() {
            // It may exit at this moment.
            _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Process IDs are reused, so check the name too.
fn is_fake_tool(pid: Pid) -> bool {
    fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()))
        .is_ok_and(|line| String::from_utf8_lossy(&line).contains("milvusctl-cli-"))
}

/// An answer of a fake tool.
pub(crate) struct Answer {
    stem: PathBuf,
}

impl Answer {
    fn put(&self, kind: &str, text: &str) {
        fs::write(self.stem.with_extension(kind), text).unwrap();
    }

    /// Writes `text` to standard output.
    pub(crate) fn says(self, text: &str) -> Self {
        self.put("out", text);
        self
    }

    /// Writes `text` to standard error and exits with `code`.
    pub(crate) fn fails(self, code: u8, text: &str) -> Self {
        self.put("err", text);
        self.put("code", &code.to_string());
        self
    }

    /// Takes this long, unless asked to exit.
    pub(crate) fn takes(self, time: Duration) -> Self {
        self.put("seconds", &time.as_secs_f64().to_string());
        self
    }

    /// Answers only once; from then on the next match counts.
    pub(crate) fn once(self) -> Self {
        self.put("once", "");
        self
    }

    /// Runs a shell script, which appends the processes it starts to `$FAKE_TOOL_DIR/pids`.
    pub(crate) fn runs(self, script: &str) -> Self {
        self.put("sh", script);
        self
    }

    /// Ignores requests to exit.
    pub(crate) fn ignores_requests(self) -> Self {
        self.put("stubborn", "");
        self
    }
}

/// How a run of milvusctl ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Waits for a started child.
    pub(crate) fn of_child(child: Child) -> Self {
        Self::of(&child.wait_with_output().unwrap())
    }

    /// Asserts the exit code, showing the output if it differs.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    /// Asserts that standard error contains each of `texts`.
    #[track_caller]
    pub(crate) fn complains_of(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.err.contains(text), "`{text}` is not in:\n{}", self.err);
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in:\n{}", self.out))
    }
}
