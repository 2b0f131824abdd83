//! containerd inside a node, asked and changed by its own client `ctr`.

use super::Docker;
use crate::process::Cmd;

/// Prints the names of the images that the node holds, and behind `--` those that its static pods ask for.
const NAMES: &str = "ctr --namespace k8s.io images list --quiet && echo -- && \
                     sed -n 's/^ *image: *//p' /etc/kubernetes/manifests/*.yaml 2>/dev/null; true";

/// Tags by pairs; the names are arguments of the script and not a part of it.
const TAG: &str = r#"while [ $# -gt 1 ]; do
  ctr --namespace k8s.io images tag "$1" "$2" || failed=1
  shift 2
done
exit ${failed:-0}"#;

/// The images that a node holds and those that kubeadm wants for the control plane.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ImageNames {
    pub held: Vec<String>,
    /// Empty before kubeadm has written its manifests, and on workers.
    pub wanted: Vec<String>,
}

/// The command whose answer [`ImageNames::parse`] reads.
pub fn image_names(node: &str) -> Cmd {
    Docker::look_inside(node, &["sh", "-c", NAMES])
}

impl ImageNames {
    /// Reads what [`image_names`] printed; nothing when containerd did not answer yet.
    pub fn parse(text: &str) -> Option<Self> {
        let lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        let end = lines.iter().position(|line| line == "--")?;
        Some(Self { held: lines[..end].to_vec(), wanted: lines[end + 1..].to_vec() })
    }
}

/// The command that gives images of a node further names, each pair the old and the new one.
pub fn tag(node: &str, names: &[(String, String)]) -> Cmd {
    let names = names.iter().flat_map(|(old, new)| [old.as_str(), new.as_str()]);
    Docker::change_inside(node, &["sh", "-c", TAG, "sh"]).args(names)
}

/// The command whose answer [`knows_local`] reads.
pub fn import_help(node: &str) -> Cmd {
    Docker::look_inside(node, &["ctr", "images", "import", "--help"])
}

/// Whether `ctr images import` knows `--local`: not in containerd 1.6; the default in 1.7, and no longer in 2
/// (cmd/ctr/commands/images/import.go).
pub fn knows_local(help: &str) -> bool {
    help.split_whitespace().any(|word| word == "--local")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_and_wanted_images_are_told_apart() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            ImageNames::parse("k8s.gcr.io/pause:3.4.1\n--\nr/etcd:3.4.13-0\nr/kube-apiserver:v1.20.2\n"),
            Some(ImageNames {
                held: names(&["k8s.gcr.io/pause:3.4.1"]),
                wanted: names(&["r/etcd:3.4.13-0", "r/kube-apiserver:v1.20.2"])
            })
        );
        assert_eq!(ImageNames::parse("--\n"), Some(ImageNames::default()));
    }

    #[test]
    fn a_flag_counts_and_not_a_word_in_another_ones_text() {
        assert!(knows_local("OPTIONS:\n   --no-unpack  skip\n   --local      run import locally\n"));
        assert!(!knows_local("OPTIONS:\n   --no-unpack  skip unpacking the local images\n"));
        assert!(!knows_local(""));
    }

    #[test]
    fn a_containerd_that_does_not_answer_yet_holds_nothing_known() {
        assert_eq!(ImageNames::parse(""), None);
    }
}
