//! Tells the nodes' containerd about the user's mirrors, by `certs.d`: the old `registry.mirrors` keeps
//! containerd 2.2 from starting (containerd#12612). No restart is needed.

use anyhow::Context as _;

use crate::context::Context;
use crate::mirror::{hosts_toml, mirrored_registries};
use crate::tools::Docker;

/// Writes a `hosts.toml` for each mirrored registry into each node.
///
/// # Errors
/// Fails when a node cannot be written to.
pub(crate) fn write_hosts(context: &Context) -> anyhow::Result<()> {
    let rules = context.mirror_rules()?;
    let registries = mirrored_registries(&rules);
    if registries.is_empty() {
        return Ok(());
    }
    let nodes = context.tools.docker.node_containers(&context.settings.cluster.name)?;
    for node in nodes.iter().filter(|node| node.role != "external-load-balancer") {
        for registry in &registries {
            let Some(text) = hosts_toml(registry, &rules) else { continue };
            let folder = format!("/etc/containerd/certs.d/{registry}");
            // The folder is an argument of the script and not a part of it.
            let script = r#"mkdir -p "$1" && cat > "$1/hosts.toml""#;
            let cmd = Docker::change_inside(&node.name, &["sh", "-c", script, "sh", &folder]).input(text);
            context.tools.runner().run(&cmd).with_context(|| {
                format!("could not tell node `{}` about the mirrors of `{registry}`", node.name)
            })?;
        }
    }
    Ok(())
}
