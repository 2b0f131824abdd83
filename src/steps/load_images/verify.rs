//! What the nodes hold, by their own word: each is asked once, all at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Item, Method, give};
use crate::cli::Loader;
use crate::context::Context;
use crate::images::outcome::Outcome;
use crate::images::plan::NodeImages;
use crate::process::ExecError;
use crate::tools::Docker;

/// The images that each of `nodes` holds complete and unpacked.
///
/// # Errors
/// Fails when a node cannot be asked.
pub(crate) fn held_by_nodes(context: &Context, nodes: &[String]) -> Result<NodeImages, ExecError> {
    let answers: Vec<Result<BTreeSet<String>, ExecError>> = std::thread::scope(|scope| {
        let asked: Vec<_> = nodes.iter().map(|node| scope.spawn(move || held(context, node))).collect();
        asked
            .into_iter()
            .map(|answer| {
                answer.join().unwrap_or_else(|_| {
                    Err(ExecError::Garbage {
                        cmd: "docker exec".into(),
                        problem: "the question was lost".into(),
                    })
                })
            })
            .collect()
    });
    let mut all = BTreeMap::new();
    for (node, answer) in nodes.iter().zip(answers) {
        all.insert(node.clone(), answer?);
    }
    Ok(NodeImages(all))
}

fn held(context: &Context, node: &str) -> Result<BTreeSet<String>, ExecError> {
    let check = ["ctr", "--namespace", "k8s.io", "images", "check"];
    let cmd = Docker::look_inside(node, &check).limit(Duration::from_secs(120));
    Ok(parse_check(&context.tools.runner().run(&cmd)?.text()))
}

/// Reads `ctr images check`: names whose content is complete and unpacked.
///
/// The columns are REF, TYPE, DIGEST, STATUS (`complete (6/6)`), SIZE (`12.3 MiB/12.3 MiB`), UNPACKED.
fn parse_check(text: &str) -> BTreeSet<String> {
    let is_whole = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(3) == Some(&"complete") && words.last() == Some(&"true")
    };
    text.lines()
        .filter(is_whole)
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// Asks the nodes again, and sends once more what a node does not list whole.
///
/// # Errors
/// Fails when the user interrupts.
pub(super) fn check_and_mend(context: &Context, method: &Method, items: &mut [Item]) -> anyhow::Result<()> {
    for is_last in [false, true] {
        context.check_interrupt()?;
        let mut again = false;
        // An image that was pulled may have found nodes that failed: those are tried once more as well.
        let nodes: BTreeSet<String> = items.iter().flat_map(|item| item.nodes.keys().cloned()).collect();
        let nodes: Vec<String> = nodes.into_iter().collect();
        if nodes.is_empty() {
            return Ok(());
        }
        let held = match held_by_nodes(context, &nodes) {
            Ok(held) => held,
            Err(error) => {
                mark_unproven(items, &error);
                return Ok(());
            }
        };
        for item in items.iter_mut() {
            let mut lacking = Vec::new();
            for (node, outcome) in &mut item.nodes {
                if held.holds(node, &item.load.image) {
                    if outcome.outcome == Outcome::LoadFailed && outcome.error.is_none() {
                        outcome.outcome = Outcome::Loaded;
                    }
                } else {
                    lacking.push(node.clone());
                    outcome.outcome = Outcome::LoadFailed;
                    outcome.error.get_or_insert_with(|| {
                        "the node took the image but does not list it complete and unpacked".to_owned()
                    });
                }
            }
            if lacking.is_empty() || is_last {
                continue;
            }
            again = true;
            for node in &lacking {
                remove(context, node, &item.load.image.to_string());
            }
            give(context, method, item, &lacking);
        }
        if !again {
            return Ok(());
        }
    }
    Ok(())
}

fn mark_unproven(items: &mut [Item], error: &ExecError) {
    for outcome in items.iter_mut().flat_map(|item| item.nodes.values_mut()) {
        outcome.outcome = Outcome::LoadFailed;
        outcome.error.get_or_insert_with(|| format!("the node could not be asked what it holds: {error}"));
    }
}

/// Takes a half-loaded image away, so that the next import does not trust what is there (kind#2402).
fn remove(context: &Context, node: &str, name: &str) {
    let args = ["ctr", "--namespace", "k8s.io", "images", "rm", name];
    // A name that the node does not have is what we want.
    _ = context.tools.runner().run(&Docker::change_inside(node, &args));
}

/// The snapshotter that the node's containerd unpacks into, where it is not the default.
///
/// kind asks `containerd config dump` too; without an answer `ctr` uses its own default.
pub(super) fn snapshotter(context: &Context, method: &Method, node: &str) -> Option<String> {
    if method.loader == Loader::Kind {
        return None;
    }
    let cmd = Docker::look_inside(node, &["containerd", "config", "dump"]).limit(Duration::from_secs(30));
    parse_snapshotter(&context.tools.runner().run(&cmd).ok()?.text())
}

fn parse_snapshotter(dump: &str) -> Option<String> {
    let mut lines = dump.lines().map(str::trim);
    let value = lines.find_map(|line| line.strip_prefix("snapshotter = "))?;
    Some(value.trim_matches(['"', '\'']).to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_that_are_complete_and_unpacked_count() {
        let text = "\
REF                              TYPE                                       DIGEST        STATUS           SIZE                UNPACKED
docker.io/library/busybox:1.36   application/vnd.oci.image.manifest.v1+json sha256:aa    complete (2/2)   1.0 MiB/1.0 MiB     true
docker.io/milvusdb/etcd:3        application/vnd.oci.image.manifest.v1+json sha256:bb    complete (2/2)   1.0 MiB/1.0 MiB     false
docker.io/minio/minio:1          application/vnd.oci.image.manifest.v1+json sha256:cc    incomplete (1/2) 0.5 MiB/1.0 MiB     true
";
        assert_eq!(parse_check(text), BTreeSet::from(["docker.io/library/busybox:1.36".to_owned()]));
    }

    #[test]
    fn the_snapshotter_is_read_from_the_nodes_settings() {
        assert_eq!(
            parse_snapshotter("  [a]\n    snapshotter = \"fuse-overlayfs\"\n"),
            Some("fuse-overlayfs".into())
        );
        assert_eq!(parse_snapshotter("    snapshotter = 'overlayfs'\n"), Some("overlayfs".into()));
        assert_eq!(parse_snapshotter("version = 2\n"), None);
    }
}
