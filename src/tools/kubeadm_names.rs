//! Tags the Kubernetes images of a node with the names that kubeadm asks for.

use std::collections::BTreeSet;

use super::KindNode;
use super::node::ANSWER;
use crate::process::{Cmd, quote};

/// Tags each upstream image for every repository in the script's arguments. Prints the node's image names and, after
/// `--`, those in its static pods. Fails until containerd answers.
///
/// Keeps the last path component: kubeadm asks for `<repository>/coredns` where upstream has `coredns/coredns`.
const SCRIPT: &str = r#"held=$(ctr --namespace k8s.io images list --quiet) || exit
for image in $held; do
  case $image in *@*) continue ;; registry.k8s.io/* | k8s.gcr.io/*) ;; *) continue ;; esac
  for repository; do
    name=$repository/${image##*/}
    printf "%s\n" "$held" | grep -qxF "$name" || ctr --namespace k8s.io images tag "$image" "$name" >/dev/null
  done
done
ctr --namespace k8s.io images list --quiet && echo -- || exit
sed -n "s/^ *image: *//p" /etc/kubernetes/manifests/*.yaml 2>/dev/null || true"#;

/// The images on a node, and those that kubeadm wants for the control plane.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ImageNames {
    pub held: BTreeSet<String>,
    /// Empty before kubeadm has written its manifests, and on workers.
    pub wanted: BTreeSet<String>,
}

impl KindNode {
    /// Tags the node's images for kubeadm and returns their names; `None` until containerd answers.
    pub fn name_for_kubeadm(&self, repositories: &BTreeSet<String>) -> Option<ImageNames> {
        let answer = self.runner.run(&name_for_kubeadm(&self.name, repositories)).ok()?;
        ImageNames::parse(&answer.text())
    }
}

/// The command of [`KindNode::name_for_kubeadm`].
pub fn name_for_kubeadm(node: &str, repositories: &BTreeSet<String>) -> Cmd {
    Cmd::write("docker", ANSWER).args(["exec", node, "sh", "-c", SCRIPT, "sh"]).args(repositories)
}

/// Shell code that runs `create`, the command that creates the cluster, and tags the nodes' images in the background.
///
/// The loop exits with the script, however that exits.
pub fn create_script(cluster: &str, repositories: &BTreeSet<String>, create: &Cmd) -> String {
    let of_cluster = quote(&format!("label=io.x-k8s.kind.cluster={cluster}"));
    let repositories: Vec<String> = repositories.iter().map(|repository| quote(repository)).collect();
    [
        "# Meanwhile, Kubernetes's images in each node get the names by which kubeadm asks for them.",
        "while kill -0 $$; do",
        &format!("  for node in $(docker ps --filter {of_cluster} --format '{{{{.Names}}}}'); do"),
        &format!("    docker exec \"$node\" sh -c {} sh {} || true", quote(SCRIPT), repositories.join(" ")),
        "  done",
        "  sleep 1",
        "done >/dev/null 2>&1 &",
        &create.to_script(),
        "kill $!",
    ]
    .join("\n")
}

impl ImageNames {
    /// Parses the output of [`SCRIPT`]; `None` if containerd did not answer.
    fn parse(text: &str) -> Option<Self> {
        let (held, wanted) = text.split_once("--\n")?;
        let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect();
        Some(Self { held: lines(held), wanted: lines(wanted) })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use crate::process::{Deadline, Interrupt, Runner as _, SystemRunner};

    const ALIYUN: &str = "registry.aliyuncs.com/google_containers";

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn held_and_wanted_images_are_told_apart() {
        assert_eq!(
            ImageNames::parse("k8s.gcr.io/pause:3.4.1\n--\nr/etcd:3.4.13-0\nr/kube-apiserver:v1.20.2\n"),
            Some(ImageNames {
                held: set(&["k8s.gcr.io/pause:3.4.1"]),
                wanted: set(&["r/etcd:3.4.13-0", "r/kube-apiserver:v1.20.2"])
            })
        );
        assert_eq!(ImageNames::parse("--\n"), Some(ImageNames::default()));
        assert_eq!(ImageNames::parse(""), None);
    }

    /// Runs the script on this machine with a fake `ctr` that keeps its names in a file.
    fn names_here(held: &[&str], repositories: &[&str]) -> (Option<ImageNames>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let (list, calls) = (folder.path().join("list"), folder.path().join("calls"));
        std::fs::write(&list, held.join("\n") + "\n").unwrap();
        std::fs::write(&calls, "").unwrap();
        let ctr = format!(
            "#!/bin/sh\ncase $4 in list) cat {0} ;; tag) echo \"$5 $6\" >>{1}; echo \"$6\" | tee -a {0} ;; esac\n",
            list.display(),
            calls.display()
        );
        std::fs::write(folder.path().join("ctr"), ctr).unwrap();
        std::fs::set_permissions(folder.path().join("ctr"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::join_paths(
            std::iter::once(folder.path().to_owned())
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let runner = SystemRunner::new(path.ok(), None, Interrupt::default(), Deadline::default());
        let cmd = Cmd::write("sh", Duration::from_secs(30))
            .args(["-c", SCRIPT, "sh"])
            .args(repositories.iter().copied());
        let printed = runner.run(&cmd).unwrap().text();
        let calls = std::fs::read_to_string(&calls).unwrap();
        (ImageNames::parse(&printed), calls.lines().map(str::to_owned).collect())
    }

    #[test]
    fn upstream_images_keep_the_last_part_of_their_name() {
        let held = [
            "docker.io/kindest/kindnetd:v20250512",
            "registry.k8s.io/coredns/coredns:v1.12.1",
            "registry.k8s.io/kube-proxy:v1.34.12",
            "registry.k8s.io/pause@sha256:1",
            "k8s.gcr.io/pause:3.10.1",
            "registry.aliyuncs.com/google_containers/pause:3.10.1",
            "sha256:2",
        ];
        let (names, calls) = names_here(&held, &[ALIYUN, "b.io"]);
        assert_eq!(
            calls,
            [
                format!("registry.k8s.io/coredns/coredns:v1.12.1 {ALIYUN}/coredns:v1.12.1"),
                "registry.k8s.io/coredns/coredns:v1.12.1 b.io/coredns:v1.12.1".to_owned(),
                format!("registry.k8s.io/kube-proxy:v1.34.12 {ALIYUN}/kube-proxy:v1.34.12"),
                "registry.k8s.io/kube-proxy:v1.34.12 b.io/kube-proxy:v1.34.12".to_owned(),
                "k8s.gcr.io/pause:3.10.1 b.io/pause:3.10.1".to_owned(),
            ]
        );
        let names = names.unwrap();
        assert!(names.held.contains("b.io/coredns:v1.12.1"), "{names:?}");
        assert_eq!(names.held.len(), held.len() + 5);
    }
}
