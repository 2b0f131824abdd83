//! Configures the user's mirrors in the nodes' containerd through `certs.d`: the old `registry.mirrors` keeps
//! containerd 2.2 from starting (containerd#12612). No restart is needed.

use anyhow::Context as _;

use crate::context::Context;
use crate::images::mirror::{MARK, Rules, hosts_toml, mirrored_registries};
use crate::process::Cmd;
use crate::tools::node;

/// A `hosts.toml` for a folder in `certs.d`.
pub(crate) struct Hosts {
    registry: String,
    folder: String,
    text: String,
}

/// The mirror configuration for `rules`.
pub(crate) fn wanted(rules: &Rules) -> Vec<Hosts> {
    let hosts = mirrored_registries(rules).into_iter().filter_map(|registry| {
        let text = hosts_toml(&registry, rules)?;
        let folder = format!("/etc/containerd/certs.d/{registry}");
        Some(Hosts { registry, folder, text })
    });
    hosts.collect()
}

/// The node containers that run pods.
fn nodes(context: &Context) -> anyhow::Result<Vec<String>> {
    let nodes = context.tools.docker.node_containers(&context.settings.cluster.name)?;
    let nodes = nodes.into_iter().filter(|node| node.role != "external-load-balancer");
    Ok(nodes.map(|node| node.name).collect())
}

/// The mirror configuration found on the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// Whether every node has every `hosts.toml` as wanted; a node that does not respond has none.
    pub(crate) is_all: bool,
    /// Different files written by somebody else, as node and path.
    pub(crate) others: Vec<(String, String)>,
}

/// Compares the nodes' mirror configuration with `wanted`.
///
/// # Errors
/// Fails if the engine does not respond.
pub(crate) fn known(context: &Context, wanted: &[Hosts]) -> anyhow::Result<Known> {
    let mut known = Known { is_all: true, others: Vec::new() };
    if wanted.is_empty() {
        return Ok(known);
    }
    let folders: Vec<&str> = wanted.iter().map(|hosts| hosts.folder.as_str()).collect();
    for node in nodes(context)? {
        let Ok(found) = context.tools.node(&node).read_hosts(&folders) else {
            known.is_all = false;
            continue;
        };
        for (hosts, there) in wanted.iter().zip(&found) {
            if unmarked(there) == unmarked(&hosts.text) {
                continue;
            }
            known.is_all = false;
            if !there.is_empty() && unmarked(there) == there {
                known.others.push((node.clone(), format!("{}/hosts.toml", hosts.folder)));
            }
        }
    }
    Ok(known)
}

/// The text without milvusctl's mark.
fn unmarked(text: &str) -> &str {
    text.strip_prefix(MARK).map_or(text, |rest| rest.trim_start_matches('\n'))
}

/// The commands that write a `hosts.toml` for each mirrored registry to `nodes`, each with a description.
pub(crate) fn commands(wanted: &[Hosts], nodes: &[String]) -> Vec<(String, Cmd)> {
    let each = nodes.iter().flat_map(|node| wanted.iter().map(move |hosts| (node, hosts)));
    let commands = each.map(|(node, hosts)| {
        let cmd = node::write_hosts(node, &hosts.folder, &hosts.text);
        (format!("the mirrors of `{}` in node `{node}`", hosts.registry), cmd)
    });
    commands.collect()
}

/// Configures each mirror on each node.
///
/// # Errors
/// Fails if writing to a node fails.
pub(crate) fn write_hosts(context: &Context, wanted: &[Hosts]) -> anyhow::Result<()> {
    for (what, cmd) in commands(wanted, &nodes(context)?) {
        context.tools.runner().run(&cmd).with_context(|| format!("could not configure {what}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::process::ScriptedRunner;
    use crate::settings::{file, resolve};

    const PS: &str = "docker ps --all --no-trunc --filter label=io.x-k8s.kind.cluster=milvus-cluster --format \
                      '{{.Names}}|{{.Label \"io.x-k8s.kind.role\"}}|{{.State}}|{{.Image}}|{{.Ports}}'";
    const REST: &str = "server = \"https://registry-1.docker.io\"\n\n[host.\"http://172.17.0.1:5000\"]\n  \
                        capabilities = [\"pull\", \"resolve\"]\n";

    fn file() -> String {
        format!("{MARK}\n{REST}")
    }

    fn with_a_mirror(runner: ScriptedRunner) -> (Context, Arc<ScriptedRunner>) {
        let runner = Arc::new(runner);
        let text = "mirror: {preset: none, rules: [{registry: docker.io, prefix: 'http://172.17.0.1:5000'}]}";
        let file = file::parse(std::path::Path::new("m.yaml"), text);
        let settings = resolve(crate::settings::Layer::default(), Some(file)).unwrap();
        (Context { settings, ..Context::for_test(runner.clone()) }, runner)
    }

    fn hosts() -> Vec<Hosts> {
        wanted(&with_a_mirror(ScriptedRunner::default()).0.mirror_rules())
    }

    fn read(node: &str) -> String {
        node::read_hosts(node, &["/etc/containerd/certs.d/docker.io"]).to_string()
    }

    #[test]
    fn a_foreign_file_is_distinguished_from_an_old_one_of_ours() {
        let listed = "n1|control-plane|running|i|\nlb|external-load-balancer|running|i|\n";
        let others = vec![("n1".to_owned(), "/etc/containerd/certs.d/docker.io/hosts.toml".to_owned())];
        for (answer, is_all, others) in [
            (file(), true, vec![]),
            // The same configuration without our mark needs no rewrite.
            (REST.to_owned(), true, vec![]),
            (String::new(), false, vec![]),
            (format!("{MARK}\nserver = \"https://old\"\n"), false, vec![]),
            ("server = \"https://theirs\"\n".to_owned(), false, others),
        ] {
            let runner =
                ScriptedRunner::default().answer(PS, listed).answer(&read("n1"), &format!("{answer}--\n"));
            assert_eq!(
                known(&with_a_mirror(runner).0, &hosts()).unwrap(),
                Known { is_all, others },
                "{answer}"
            );
        }
    }

    #[test]
    fn every_node_is_configured_and_the_text_is_passed_on_standard_input() {
        let write = |node: &str| node::write_hosts(node, "/etc/containerd/certs.d/docker.io", "").to_string();
        let runner = ScriptedRunner::default()
            .answer(PS, "n1|control-plane|running|i|\nn2|worker|running|i|\n")
            .answer(&write("n1"), "")
            .answer(&write("n2"), "");
        let (context, runner) = with_a_mirror(runner);
        write_hosts(&context, &hosts()).unwrap();
        assert_eq!(runner.asked(), [PS.to_owned(), write("n1"), write("n2")]);
        let commands = commands(&hosts(), &["n1".to_owned()]);
        assert!(
            commands[0].1.to_script().ends_with(&format!("<<'EOF'\n{}EOF", file())),
            "{}",
            commands[0].1.to_script()
        );
    }

    #[test]
    fn without_mirrors_nothing_is_asked() {
        let runner = Arc::new(ScriptedRunner::default());
        let context = Context::for_test(runner.clone());
        let wanted = wanted(&context.mirror_rules());
        assert!(wanted.is_empty());
        assert_eq!(known(&context, &wanted).unwrap(), Known { is_all: true, others: Vec::new() });
        assert_eq!(runner.asked(), [""; 0]);
    }
}
