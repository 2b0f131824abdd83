//! Asks the nodes' containerd what it holds: each node once, all in parallel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::archive::{Digest, NodeHolds, NodeImage};
use crate::context::Context;
use crate::images::ImageRef;
use crate::images::plan::NodeImages;
use crate::process::ExecError;
use crate::store::ImageDocument;
use crate::tools::node_import::ImportFlags;
use crate::tools::{KindNode, docker_words};

/// The maximum nesting of indexes and manifests; Docker writes two levels.
const DEPTH: usize = 4;

/// What a node reports about its containerd.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeFacts {
    /// The snapshotter to unpack into, if not the default.
    pub(super) snapshotter: Option<String>,
    /// The flags supported by its `ctr images import`.
    pub(super) import_flags: ImportFlags,
    /// The address by which it reaches this machine, unless it turned out not to.
    pub(super) gateway: Option<IpAddr>,
    /// The content it held, and what it received since.
    pub(super) holds: NodeHolds,
}

/// The images on one node.
pub(super) type OnNode = BTreeMap<String, NodeImage>;

/// The manifest or index that each name on a node points to.
pub(super) type Targets = BTreeMap<String, Digest>;

/// What the nodes report about their images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeAnswers {
    /// The images that each node can run.
    pub(crate) images: NodeImages,
    /// The unreachable nodes, with reasons.
    pub(crate) closed: BTreeMap<String, String>,
}

/// Returns the images that each of `nodes` can run, and the unreachable nodes.
///
/// Stopped and paused nodes are not asked.
///
/// # Errors
/// Fails if no node answers.
pub(crate) fn held_by_nodes(context: &Context, nodes: &[String]) -> Result<NodeAnswers, ExecError> {
    let containers = context.tools.docker.node_containers(&context.settings.cluster.name);
    // If the engine does not answer, ask the nodes anyway.
    let containers = containers.unwrap_or_else(|error| {
        context
            .ui
            .verbose(&format!("could not ask which nodes run, so all are entered: {}", docker_words(&error)));
        Vec::new()
    });
    let is_halted = |node: &String| containers.iter().any(|seen| seen.name == *node && !seen.running);
    let (halted, open): (Vec<String>, Vec<String>) = nodes.iter().cloned().partition(is_halted);
    // With every node halted, report what docker says about them.
    let asked = if open.is_empty() { &halted } else { &open };
    let mut held = NodeAnswers::default();
    let mut first_error = None;
    for (node, answer) in ask_nodes(context, asked) {
        match answer {
            Ok(images) => {
                held.images.0.insert(node, runnable(&images));
            }
            Err(error) => {
                held.closed.insert(node, error.to_string());
                first_error.get_or_insert(error);
            }
        }
    }
    if let Some(error) = first_error.filter(|_| held.images.0.is_empty()) {
        return Err(error);
    }
    held.closed
        .extend(halted.into_iter().map(|node| (node, "its container is stopped or paused".to_owned())));
    Ok(held)
}

/// The images that a node can run, with the digests that identify their content.
fn runnable(images: &OnNode) -> BTreeMap<String, BTreeSet<String>> {
    // containerd's CRI plugin gives every image a second name, its config digest.
    let mut ids: BTreeMap<Digest, BTreeSet<String>> = BTreeMap::new();
    for (name, image) in images {
        let of_target = ids.entry(image.target).or_insert_with(|| [image.target.to_string()].into());
        if name.starts_with("sha256:") {
            of_target.insert(name.clone());
        }
    }
    let can_run = images.iter().filter(|(_, image)| image.can_run());
    can_run.map(|(name, image)| (name.clone(), ids[&image.target].clone())).collect()
}

/// Adds config digests to the nodes' images that are not known to match `given`.
///
/// containerd's CRI plugin names an image by its config digest, but not if it comes under a known name, which
/// is already labelled (`UpdateImage` in its image service, 1.6 to 2.3). If a node does not answer, it gets
/// the image again.
pub(super) fn add_configurations(
    context: &Context,
    held: &mut NodeImages,
    given: &BTreeMap<&ImageRef, &BTreeSet<String>>,
) {
    std::thread::scope(|scope| {
        for (node, images) in &mut held.0 {
            let unknown: BTreeSet<String> = given
                .iter()
                .map(|(image, ids)| (image.node_name().to_string(), ids))
                .filter(|(name, ids)| images.get(name).is_some_and(|known| known.is_disjoint(ids)))
                .map(|(name, _)| name)
                .collect();
            if unknown.is_empty() {
                continue;
            }
            scope.spawn(move || {
                for (_, ids) in images.iter_mut().filter(|(name, _)| unknown.contains(*name)) {
                    let targets = ids.iter().filter_map(|id| id.parse().ok()).collect();
                    let found = below(&context.tools.node(node), targets);
                    ids.extend(found.iter().map(ToString::to_string));
                }
            });
        }
    });
}

/// The config digests below some manifests, including manifests below indexes, as far as the node has them.
fn below(node: &KindNode, mut documents: BTreeSet<Digest>) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    for _ in 0..DEPTH {
        if documents.is_empty() {
            break;
        }
        let read = node.documents(&documents).unwrap_or_default();
        documents.clear();
        for document in read.values().filter_map(|bytes| ImageDocument::parse(bytes).ok()) {
            match document {
                ImageDocument::Manifest { config, .. } => {
                    found.insert(config.digest);
                }
                ImageDocument::Index(entries) => documents.extend(entries.iter().map(|entry| entry.digest)),
            }
        }
        found.extend(&documents);
    }
    found
}

/// Asks all `nodes` in parallel for their images.
pub(super) fn ask_nodes(context: &Context, nodes: &[String]) -> BTreeMap<String, Result<OnNode, ExecError>> {
    let answers: Vec<Result<OnNode, ExecError>> = std::thread::scope(|scope| {
        let asked: Vec<_> =
            nodes.iter().map(|node| scope.spawn(move || context.tools.node(node).images())).collect();
        let lost = |_| {
            Err(ExecError::Garbage { cmd: "docker exec".into(), problem: "the question was lost".into() })
        };
        asked.into_iter().map(|answer| answer.join().unwrap_or_else(lost)).collect()
    });
    nodes.iter().cloned().zip(answers).collect()
}

/// Asks a node for what must be known to write to it, and what its names point to; `None` if it does not list them.
pub(super) fn facts(context: &Context, node: &str) -> (NodeFacts, Option<Targets>) {
    let unknown = |what: &str, why: &str| context.ui.verbose(&format!("{node}: {what}: {why}"));
    let survey = match context.tools.node(node).survey() {
        Ok(survey) => survey,
        Err(error) => {
            unknown(
                "could not be asked anything, so it gets everything in its default way",
                &docker_words(&error),
            );
            return (NodeFacts::default(), None);
        }
    };
    let facts = NodeFacts {
        snapshotter: survey.snapshotter.unwrap_or_else(|why| {
            unknown("could not ask for its snapshotter, so `ctr` uses its own default", &why);
            None
        }),
        import_flags: survey.import_flags.unwrap_or_else(|why| {
            unknown("could not ask how it imports, so it uses its defaults", &why);
            ImportFlags::default()
        }),
        gateway: survey.gateway.unwrap_or_else(|why| {
            unknown("could not ask for its network, so it falls back to `docker exec`", &why);
            None
        }),
        holds: survey.content.unwrap_or_else(|why| {
            unknown("could not ask what it holds, so everything is sent", &why);
            NodeHolds::nothing()
        }),
    };
    (facts, survey.names.ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::process::ScriptedRunner;
    use crate::tools::node::read_documents;

    fn set<T: Ord + Clone>(items: &[T]) -> BTreeSet<T> {
        items.iter().cloned().collect()
    }

    /// A node's output for some documents.
    fn printed(documents: &[&str]) -> String {
        let shown = |text: &&str| format!("\n== {}\n{text}", Digest::of(text.as_bytes()));
        documents.iter().map(shown).collect::<Vec<_>>().concat()
    }

    #[test]
    fn an_image_without_a_config_name_is_recognised_by_its_manifest() {
        let config = Digest::of(b"config");
        let manifest = format!(r#"{{"config":{{"digest":"{config}","size":6}},"layers":[]}}"#);
        let of_manifest = Digest::of(manifest.as_bytes());
        let index = format!(r#"{{"manifests":[{{"digest":"{of_manifest}","size":9}}]}}"#);
        let of_index = Digest::of(index.as_bytes());
        let app: ImageRef = "app:dev".parse().unwrap();
        let built = set(&[config.to_string()]);
        let given = BTreeMap::from([(&app, &built)]);
        for (top, answers) in [(of_manifest, vec![&manifest]), (of_index, vec![&index, &manifest])] {
            let mut runner = ScriptedRunner::default();
            for text in answers {
                let asked = read_documents("n1", &set(&[Digest::of(text.as_bytes())]));
                runner = runner.answer(&asked.to_string(), &printed(&[text]));
            }
            let ids = BTreeMap::from([(app.node_name().to_string(), set(&[top.to_string()]))]);
            let mut held = NodeImages(BTreeMap::from([("n1".to_owned(), ids)]));
            assert!(!held.holds_content("n1", &app, &built));
            add_configurations(&Context::for_test(Arc::new(runner)), &mut held, &given);
            assert!(held.holds_content("n1", &app, &built), "{held:?}");
        }
    }

    #[test]
    fn a_node_is_not_asked_about_images_it_certainly_has_or_lacks() {
        let app: ImageRef = "app:dev".parse().unwrap();
        let built = set(&["sha256:new".to_owned()]);
        let names = BTreeMap::from([(app.node_name().to_string(), built.clone())]);
        let mut held =
            NodeImages(BTreeMap::from([("n1".to_owned(), names), ("n2".to_owned(), BTreeMap::new())]));
        let known = held.clone();
        let runner = Arc::new(ScriptedRunner::default());
        add_configurations(&Context::for_test(runner.clone()), &mut held, &BTreeMap::from([(&app, &built)]));
        assert_eq!((held, runner.asked()), (known, Vec::new()));
    }
}
