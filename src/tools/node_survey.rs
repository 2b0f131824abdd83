//! What must be known of a node before it is written to, all from one `docker exec`: each takes client, engine and
//! runtime a tenth of a second of CPU time, more than the answers themselves.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::node::{KindNode, look};
use super::node_import::ImportFlags;
use crate::archive::{Digest, NodeHolds, parse_images_list, parse_snapshotter};
use crate::process::{Cmd, ExecError};

/// The timeout for all answers.
const LIMIT: Duration = Duration::from_secs(120);

/// Asks everything, one after the other. Each line of an answer begins with its key and `=`, or `!` if it is of standard
/// error, so no content passes for another answer. The last `=` line is the exit status.
const SURVEY: &str = r#"exec 3>&1
ask() {
  key=$1; shift
  said=$({ { "$@"; printf '\n%s\n' "$?"; } | sed "s/^/$key=/" >&3; } 2>&1)
  [ -z "$said" ] || printf '%s\n' "$said" | sed "s/^/$key!/"
}
ask content ctr --namespace k8s.io content ls
ask names ctr --namespace k8s.io images ls
ask import ctr images import --help
ask config containerd config dump
ask route cat /proc/net/route"#;

/// The flag of a route over a gateway, `RTF_GATEWAY` of linux/route.h.
const OVER_GATEWAY: u32 = 2;

/// What a node says of itself. An unanswered question has the reason in words.
pub struct NodeSurvey {
    /// The content that its containerd holds.
    pub content: Result<NodeHolds, String>,
    /// The manifest or index that each name refers to, complete or not.
    pub names: Result<BTreeMap<String, Digest>, String>,
    /// The flags that its `ctr images import` supports.
    pub import_flags: Result<ImportFlags, String>,
    /// The snapshotter that its containerd is configured for, unless the default. Like kind, parses `containerd config
    /// dump`.
    pub snapshotter: Result<Option<String>, String>,
    /// The gateway of its default route: in a network of Docker's, the engine's machine. `None` if the network is
    /// isolated.
    pub gateway: Result<Option<IpAddr>, String>,
}

impl KindNode {
    /// Asks for all that must be known before it is written to.
    ///
    /// # Errors
    /// Fails when the node cannot be entered or does not answer in time.
    pub fn survey(&self) -> Result<NodeSurvey, ExecError> {
        Ok(NodeSurvey::parse(&self.runner.run(&survey(&self.name))?.text()))
    }
}

/// The command of [`KindNode::survey`].
fn survey(node: &str) -> Cmd {
    look(node, &["sh", "-c", SURVEY, "sh"]).limit(LIMIT)
}

impl NodeSurvey {
    fn parse(printed: &str) -> Self {
        let words = |error: &dyn std::error::Error| error.to_string();
        Self {
            content: answer(printed, "content")
                .and_then(|text| NodeHolds::parse(&text).map_err(|error| words(&error))),
            names: answer(printed, "names")
                .and_then(|text| parse_images_list(&text).map_err(|error| words(&error))),
            import_flags: answer(printed, "import").map(|help| ImportFlags::of(&help)),
            snapshotter: answer(printed, "config").map(|config| parse_snapshotter(&config)),
            gateway: answer(printed, "route").map(|table| default_gateway(&table)),
        }
    }
}

/// The output of a question, or why there is none.
fn answer(printed: &str, key: &str) -> Result<String, String> {
    let of = |mark: char| printed.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix(mark));
    let mut lines: Vec<&str> = of('=').collect();
    match lines.pop() {
        Some("0") => {
            let mut text = lines.join("\n");
            // The status is printed after a line break, which ends the last line if it was not ended.
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            Ok(text)
        }
        Some(status) => {
            let words = of('!').rfind(|line| !line.trim().is_empty());
            Err(words.map_or_else(|| format!("exit status: {status}"), str::to_owned))
        }
        None => Err("no answer".to_owned()),
    }
}

/// Reads the gateway of the default route from `/proc/net/route`, whose addresses are numbers in the machine's byte order
/// (`proc_net_route(5)`). On a machine with another one, the address is wrong, and cannot be listened on here.
fn default_gateway(table: &str) -> Option<IpAddr> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |place: usize| u32::from_str_radix(fields.get(place)?, 16).ok();
        let (destination, gateway, flags, mask) = (number(1)?, number(2)?, number(3)?, number(7)?);
        let is_default = destination == 0 && mask == 0 && flags & OVER_GATEWAY != 0;
        is_default.then(|| Ipv4Addr::from(gateway.to_ne_bytes()).into())
    })
}

/// Answers the survey of a node by asking the runner within each question alone.
#[cfg(test)]
pub struct OneByOne(pub std::sync::Arc<dyn crate::process::Runner>);

#[cfg(test)]
impl crate::process::Runner for OneByOne {
    fn run_with(
        &self,
        cmd: &Cmd,
        line: &mut dyn FnMut(crate::process::Stream, &str),
    ) -> Result<crate::process::Output, ExecError> {
        let text = cmd.to_string();
        let node = text.strip_prefix("docker exec ").and_then(|rest| rest.split(' ').next());
        let Some(node) = node.filter(|node| survey(node).to_string() == text) else {
            return self.0.run_with(cmd, line);
        };
        let mut printed = Vec::new();
        for question in SURVEY.lines().filter_map(|line| line.strip_prefix("ask ")) {
            let mut words = question.split(' ');
            let key = words.next().unwrap_or_default();
            match self.0.run(&look(node, &words.collect::<Vec<_>>())) {
                Ok(output) => {
                    printed.extend(output.text().lines().map(|line| format!("{key}={line}")));
                    printed.extend([format!("{key}="), format!("{key}=0")]);
                }
                Err(error) => printed.extend([format!("{key}=1"), format!("{key}!{}", error.last_words())]),
            }
        }
        Ok(crate::process::Output { stdout: printed.join("\n").into_bytes() })
    }

    fn start(&self, cmd: &Cmd) -> Result<Box<dyn crate::process::Running>, ExecError> {
        self.0.start(cmd)
    }

    fn locate(&self, program: &str) -> Option<std::path::PathBuf> {
        self.0.locate(program)
    }

    fn prefer_own(&self, program: &str) -> bool {
        self.0.prefer_own(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Deadline, Interrupt, Runner, SystemRunner};

    /// Runs the script on this machine, with `ctr` and `containerd` as these scripts.
    fn surveyed(ctr: &str, containerd: &str) -> NodeSurvey {
        let folder = tempfile::tempdir().unwrap();
        for (name, script) in [("ctr", ctr), ("containerd", containerd)] {
            use std::os::unix::fs::PermissionsExt;
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = std::env::join_paths([folder.path(), "/usr/bin".as_ref(), "/bin".as_ref()]).unwrap();
        let runner = SystemRunner::new(Some(path.clone()), None, Interrupt::default(), Deadline::default());
        let path = format!("PATH={}", path.to_str().unwrap());
        let cmd = Cmd::read("env", LIMIT).args([path.as_str(), "sh", "-c", SURVEY, "sh"]);
        NodeSurvey::parse(&runner.run(&cmd).unwrap().text())
    }

    #[test]
    fn the_answers_of_one_script_are_told_apart() {
        let digest = Digest::of(b"layer");
        // An image's label may contain line breaks, even ones that look like an answer.
        let ctr = format!(
            "case $* in *content*) printf 'DIGEST\\tSIZE\\tAGE\\tLABELS\\n{digest}\\t1 B\\t1 day\\tx=\\n';;\n\
             *'images ls'*) printf 'REF TYPE DIGEST SIZE PLATFORMS LABELS\\na:1 manifest {digest} 1 B - -\\n';;\n\
             *) echo careful >&2; printf '   --local  locally\\nconfig=1\\ncontent=1';; esac"
        );
        let survey = surveyed(
            &ctr,
            "echo \"[plugins.'io.containerd.cri.v1.images']\"; echo \"snapshotter = 'native'\"",
        );
        assert!(survey.content.unwrap().has_blob(&digest));
        assert_eq!(survey.names.unwrap(), BTreeMap::from([("a:1".to_owned(), digest)]));
        assert_eq!(survey.import_flags.unwrap(), ImportFlags { local: true, no_unpack: false });
        assert_eq!(survey.snapshotter.unwrap().as_deref(), Some("native"));
        assert!(survey.gateway.is_ok());
    }

    #[test]
    fn a_question_that_fails_keeps_its_reason_and_the_others_their_answers() {
        let survey =
            surveyed("case $* in *--help) ;; *) echo 'ctr: connection refused' >&2; exit 3;; esac", "exit 2");
        assert_eq!(survey.content.err().as_deref(), Some("ctr: connection refused"));
        assert_eq!(survey.names.err().as_deref(), Some("ctr: connection refused"));
        assert_eq!(survey.import_flags, Ok(ImportFlags::default()));
        assert_eq!(survey.snapshotter.err().as_deref(), Some("exit status: 2"));
        let nothing = NodeSurvey::parse("");
        assert_eq!(nothing.content.err().as_deref(), Some("no answer"));
        assert_eq!(nothing.gateway.err().as_deref(), Some("no answer"));
    }

    #[test]
    fn the_gateway_is_that_of_the_default_route() {
        let heading = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
        let address = |last: u8| format!("{:08X}", u32::from_ne_bytes([172, 18, 0, last]));
        let pods = format!("eth0\t{}\t{}\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", address(0), address(3));
        let default = format!("eth0\t00000000\t{}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", address(1));
        let link = "eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n";
        let gateway = |rows: &str| default_gateway(&format!("{heading}{rows}")).map(|ip| ip.to_string());
        assert_eq!(gateway(&format!("{pods}{default}")).as_deref(), Some("172.18.0.1"));
        assert_eq!(gateway(&pods), None);
        assert_eq!(gateway(link), None);
        assert_eq!(default_gateway(""), None);
    }
}
