//! Findings about kind, helm and kubectl.

use semver::Version;

use super::super::facts::{MachineFacts, ToolFacts};
use super::super::needs::Needs;
use super::{Finding, version_in};

const HELM_LEAST: Version = Version::new(3, 12, 0);
/// The oldest kind that milvusctl is tested with.
const KIND_TRIED: Version = Version::new(0, 27, 0);

/// The Kubernetes version of kind's default node image by kind's minor version, from its release notes.
const DEFAULT_KUBERNETES: [(u64, Version); 8] = [
    (25, Version::new(1, 31, 2)),
    (26, Version::new(1, 32, 0)),
    (27, Version::new(1, 32, 2)),
    (29, Version::new(1, 33, 1)),
    (30, Version::new(1, 34, 0)),
    (31, Version::new(1, 35, 0)),
    (32, Version::new(1, 36, 1)),
    (33, Version::new(1, 37, 0)),
];

pub(super) fn look(facts: &MachineFacts, needs: &Needs, found: &mut Vec<Finding>) {
    for (name, id) in [("kind", "tool_kind"), ("helm", "tool_helm"), ("kubectl", "tool_kubectl")] {
        let tool = facts.tools.iter().find(|tool| tool.name == name);
        found.push(look_at(id, name, tool, facts, needs));
    }
}

fn look_at(
    id: &'static str,
    name: &str,
    tool: Option<&ToolFacts>,
    facts: &MachineFacts,
    needs: &Needs,
) -> Finding {
    let Some((tool, path)) = tool.and_then(|tool| Some((tool, tool.path.as_ref()?))) else {
        return Finding::fail(id, 3, format!("`{name}` was not found in PATH"))
            .fix("let milvusctl download what is missing into its own directory")
            .command("milvusctl doctor --fix");
    };
    let path = path.display();
    let Some(version) = tool.version.as_deref().and_then(version_in) else {
        return Finding::warn(id, format!("could not determine the version of `{path}`"))
            .fix(format!("run `{name} version` to see what is wrong with it"));
    };
    match name {
        "kind" => kind(&version, needs),
        "helm" if version < HELM_LEAST => {
            Finding::fail(id, 3, format!("helm {version} is too old: {HELM_LEAST} or newer is needed"))
                .fix("install a newer one, or let milvusctl download one to use instead")
                .command("milvusctl doctor --fix")
        }
        "kubectl" => kubectl(&version, cluster_version(facts, needs)),
        _ => Finding::ok(id, format!("{name} {version}")),
    }
    .at(&path.to_string())
}

impl Finding {
    /// Appends the program's path to the message.
    fn at(mut self, path: &str) -> Self {
        use std::fmt::Write as _;
        // Writing into a String cannot fail.
        let _ = write!(self.what, " (`{path}`)");
        self
    }
}

fn kind(version: &Version, needs: &Needs) -> Finding {
    let needed = kind_needed(needs.kubernetes.as_ref());
    if let Some((least, why)) = needed.filter(|(least, _)| version < least) {
        return Finding::fail(
            "tool_kind",
            3,
            format!("kind {version} is too old for the node image: {least} or newer is needed"),
        )
        .because(why)
        .fix(format!("install kind {least} or newer, or let milvusctl download one to use instead"))
        .fix("or choose an older node image with `--node-image`")
        .command("milvusctl doctor --fix");
    }
    if *version < KIND_TRIED {
        return Finding::warn("tool_kind", format!("kind {version} is older than {KIND_TRIED}"))
            .because(format!("milvusctl is tested with kind {KIND_TRIED} and newer"))
            .fix("install a newer one if the cluster cannot be created");
    }
    Finding::ok("tool_kind", format!("kind {version}"))
}

/// The oldest kind that can start node images of a Kubernetes version, and why.
pub fn kind_needed(kubernetes: Option<&Version>) -> Option<(Version, &'static str)> {
    let kubernetes = kubernetes.map(|version| (version.major, version.minor))?;
    if kubernetes >= (1, 36) {
        let why = "node images from Kubernetes 1.36 on need kubeadm's v1beta4 configuration, which older versions of kind do not write";
        return Some((Version::new(0, 32, 0), why));
    }
    if kubernetes >= (1, 33) {
        let why = "older versions of kind cannot read the configuration of containerd 2 in the node image and fail with `failed to detect containerd snapshotter` (kind#3853)";
        return Some((Version::new(0, 27, 0), why));
    }
    None
}

/// Returns the Kubernetes version that the cluster will have: the configured one, or kind's default.
pub(super) fn cluster_version(facts: &MachineFacts, needs: &Needs) -> Option<Version> {
    if needs.kubernetes.is_some() {
        return needs.kubernetes.clone();
    }
    let kind = facts.tools.iter().find(|tool| tool.name == "kind")?;
    let kind = version_in(kind.version.as_deref()?)?;
    DEFAULT_KUBERNETES.into_iter().find(|(minor, _)| *minor == kind.minor).map(|(_, version)| version)
}

fn kubectl(version: &Version, server: Option<Version>) -> Finding {
    match server {
        Some(server) if server.minor.abs_diff(version.minor) > 1 => Finding::warn(
            "tool_kubectl",
            format!("kubectl {version} is more than one minor version away from Kubernetes {server}"),
        )
        .because("Kubernetes supports one minor version of difference; most commands still work")
        .fix(format!("use kubectl 1.{} if commands fail", server.minor)),
        _ => Finding::ok("tool_kubectl", format!("kubectl {version}")),
    }
}
