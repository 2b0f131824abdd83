//! Finds the images that keep pods from starting, and plans loading them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};

use crate::archive::Platform;
use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::images::ImageRef;
use crate::images::loading::{NodeChoice, PullWith};
use crate::images::missing::{MissingImage, NamespaceFilter, collect, named};
use crate::images::outcome::{ImageOutcome, LoadReport, Outcome};
use crate::images::plan::{
    EngineImages, HeldImage, LoadPlan, NodeScope, PlanInput, Presence, plan, platform_of,
};
use crate::kube::node::{Node, NodeList};
use crate::kube::pod::PodList;
use crate::nearest::nearest;
use crate::process::ExecError;
use crate::tools::docker::{self, PLATFORM_INSPECT_API};
use crate::tools::{DockerInfo, kind, kubectl};

use crate::load::containerd::{NodeAnswers, add_configurations};
use crate::load::dry_run::plan_script;
use crate::load::fetch::existing_store;
use crate::load::run::load_images;
use crate::load::{Method, held_by_nodes};

/// Finds the images that keep pods from starting, with one request to the cluster.
///
/// # Errors
/// Fails if the cluster does not respond.
pub(crate) fn find_missing(
    context: &Context,
    namespaces: &NamespaceFilter,
) -> anyhow::Result<Vec<MissingImage>> {
    let json = pods_json(context)?;
    Ok(collect(&read_pods(&json)?, namespaces))
}

/// Treats images named by the user as missing, for the nodes that need them.
///
/// # Errors
/// Fails if the cluster does not respond.
pub(crate) fn named_images(
    context: &Context,
    images: impl IntoIterator<Item = ImageRef>,
) -> anyhow::Result<Vec<MissingImage>> {
    let json = pods_json(context)?;
    Ok(named(images, &read_pods(&json)?))
}

/// All pods of the cluster, as kubectl's JSON.
///
/// # Errors
/// Fails with a hint if the cluster does not respond.
pub(crate) fn pods_json(context: &Context) -> anyhow::Result<Vec<u8>> {
    explain(context, context.kubectl().get_bytes(&["pods", "--all-namespaces"]))
}

/// Parses the result of [`pods_json`].
///
/// # Errors
/// Fails if it is not a list of pods.
pub(crate) fn read_pods(json: &[u8]) -> anyhow::Result<PodList<'_>> {
    PodList::from_slice(json).context("`kubectl get pods` returned unexpected output")
}

/// The nodes of the cluster.
///
/// # Errors
/// Fails if the cluster does not respond.
pub(crate) fn nodes(context: &Context) -> anyhow::Result<Vec<Node>> {
    let json = explain(context, context.kubectl().get_bytes(&["nodes"]))?;
    let nodes = NodeList::from_slice(&json).context("`kubectl get nodes` returned unexpected output")?;
    Ok(nodes.items)
}

/// Adds a hint to a failed request to the cluster.
pub(crate) fn explain<T>(context: &Context, answer: Result<T, ExecError>) -> anyhow::Result<T> {
    let kube_context = context.kube_context();
    match answer {
        Err(error) if kubectl::is_unreachable(&error) => Err(error)
            .with_context(|| format!("could not reach the cluster of context `{kube_context}`"))
            .hint(cluster_hint(context)),
        other => other.with_context(|| format!("could not ask the cluster of context `{kube_context}`")),
    }
}

/// The hint for an unreachable cluster: the likely name, or how to create it.
pub(crate) fn cluster_hint(context: &Context) -> String {
    let cluster = &context.settings.cluster;
    if let Some(name) = &cluster.context {
        let known = context.kubectl().contexts().unwrap_or_default();
        let near = nearest(name, known.iter().map(String::as_str)).filter(|_| !known.contains(name));
        return match near {
            Some(near) => format!("there is no context `{name}`; did you mean `--context {near}`?"),
            None => "`kubectl config get-contexts` lists the contexts".to_owned(),
        };
    }
    let name = &cluster.name;
    let clusters = context.tools.kind.clusters().unwrap_or_default();
    if clusters.contains(name) {
        return existing_cluster_hint(context, name);
    }
    match kind::probably_meant(name, &clusters) {
        Some(near) => format!("there is no kind cluster `{name}`; did you mean `--name {near}`?"),
        None => format!("`milvusctl up --name {name}` creates it; `kind get clusters` lists what exists"),
    }
}

/// The hint for a kind cluster that exists but cannot be reached.
fn existing_cluster_hint(context: &Context, name: &str) -> String {
    let kube_context = context.kube_context();
    let export = format!("`kind export kubeconfig --name {name}`");
    match context.kubectl().contexts() {
        Ok(known) if !known.contains(&kube_context) => format!(
            "the kind cluster `{name}` exists, but the kubeconfig has no context `{kube_context}`; {export} adds it"
        ),
        _ => format!(
            "the kind cluster `{name}` exists; `docker ps --all --filter label=io.x-k8s.kind.cluster={name}` shows \
             whether its nodes run, and {export} renews its address"
        ),
    }
}

/// Determines how to load images, from the settings.
///
/// # Errors
/// Fails if the engine does not respond, and for clusters other than kind's, whose nodes cannot be entered.
pub(crate) fn method(context: &Context) -> anyhow::Result<Method> {
    if let Some(name) = &context.settings.cluster.context {
        bail!(Failure::new(
            Exit::Usage,
            format!(
                "images cannot be loaded into the nodes of context `{name}`: only kind's nodes can be entered"
            ),
        ).hint("name a kind cluster with `--name`"));
    }
    let api = context.tools.docker.version().context("could not ask the container engine")?.api;
    Ok(Method::new(api))
}

/// Plans loading `missing`: asks each node once for its images, and the engine once for all of them.
/// Unreachable nodes are left out.
///
/// # Errors
/// Fails if nodes or engine do not respond.
pub(crate) fn plan_loads(
    context: &Context,
    method: &Method,
    missing: &[MissingImage],
    presence: Presence,
) -> anyhow::Result<LoadPlan> {
    let wanted: Vec<&ImageRef> = missing.iter().filter_map(|image| image.image.reference()).collect();
    // The engine answers while the nodes do.
    let (on_nodes, engine) = std::thread::scope(|scope| {
        let engine = scope.spawn(|| engine_images(context, &wanted));
        let on_nodes = images_on_nodes(context);
        let lost = |_| Err(Failure::new(Exit::Failed, "the question to the engine was lost").into());
        (on_nodes, engine.join().unwrap_or_else(lost))
    });
    let ((nodes, mut held), mut engine) = (on_nodes?, engine?);
    if presence == Presence::ByContent && method.api >= PLATFORM_INSPECT_API {
        ask_platforms(context, &mut engine, &nodes);
    }
    let has_bundle = context.settings.images.bundle.is_some();
    if has_bundle && let Some(store) = existing_store(context)? {
        // Images in the bundle take precedence over others of the same name.
        for (image, held) in std::mem::take(&mut engine.held) {
            if store.find(&image, std::slice::from_ref(&held.platform))?.is_none() {
                engine.held.insert(image, held);
            }
        }
    }
    if presence == Presence::ByContent {
        add_configurations(context, &mut held.images, &content(&engine.held));
    }
    let rules = context.mirror_rules();
    let fetches = has_bundle || context.settings.images.pull_with != PullWith::Docker;
    let observed = PlanInput {
        engine: &engine,
        stored: &BTreeMap::new(),
        held: &held.images,
        nodes: &nodes,
        rules: &rules,
        fetches,
        presence,
    };
    let scope = match context.settings.images.nodes {
        NodeChoice::Waiting => NodeScope::Waiting,
        NodeChoice::All => NodeScope::All,
    };
    let mut plan = plan(missing, observed, scope);
    plan.leave_out(&held.closed);
    Ok(plan)
}

/// The nodes, and what each holds.
fn images_on_nodes(context: &Context) -> anyhow::Result<(Vec<Node>, NodeAnswers)> {
    let nodes = nodes(context)?;
    let names: Vec<String> = nodes.iter().map(|node| node.name().to_owned()).collect();
    let held = held_by_nodes(context, &names).context("could not list the nodes' images").hint(format!(
        "are these nodes containers of the kind cluster `{}`?",
        context.settings.cluster.name
    ))?;
    Ok((nodes, held))
}

/// The digests that identify the content of each of `images`.
pub(super) fn content(images: &BTreeMap<ImageRef, HeldImage>) -> BTreeMap<&ImageRef, &BTreeSet<String>> {
    images.iter().map(|(image, held)| (image, &held.ids)).collect()
}

/// Returns which of `wanted` the engine has.
///
/// # Errors
/// Fails if the engine does not respond.
pub(crate) fn engine_images(context: &Context, wanted: &[&ImageRef]) -> anyhow::Result<EngineImages> {
    let docker = &context.tools.docker;
    let info = docker.info().context("could not ask the container engine")?;
    let containerd_store =
        DockerInfo::read(&info).context("could not read `docker info`")?.has_containerd_store();
    let by_name: BTreeMap<String, &ImageRef> =
        wanted.iter().map(|image| (image.familiar(), *image)).collect();
    let names: Vec<String> = by_name.keys().cloned().collect();
    let found = docker.images(&names).context("could not list the engine's images")?;
    let held = found
        .into_iter()
        .filter_map(|(name, image)| Some(((*by_name.get(&name)?).clone(), held_image(image))))
        .collect();
    Ok(EngineImages { held, keeps_digests: containerd_store })
}

/// Adds the manifest digests for the nodes' platforms to the engine's indexes, since nodes were given
/// manifests rather than indexes. If the engine does not answer, nodes get the images again.
fn ask_platforms(context: &Context, engine: &mut EngineImages, nodes: &[Node]) {
    let indexes = engine.held.iter_mut().filter(|(_, held)| held.is_index);
    let mut by_name: BTreeMap<String, &mut HeldImage> =
        indexes.map(|(name, held)| (name.familiar(), held)).collect();
    let platforms: BTreeSet<String> = nodes.iter().map(|node| platform_of(node).to_string()).collect();
    for (name, held) in &mut by_name {
        let docker = &context.tools.docker;
        let manifests = platforms.iter().filter_map(|platform| docker.manifest_for(name, platform).ok()?);
        held.ids.extend(manifests);
    }
}

fn held_image(image: docker::EngineImage) -> HeldImage {
    let is_index = image
        .descriptor
        .as_ref()
        .is_some_and(|target| target.media_type.contains("index") || target.media_type.contains("list"));
    // Digests it was pulled or pushed by identify the same content.
    let in_registries = image.repo_digests.iter().flatten().filter_map(|name| name.split_once('@'));
    let in_registries = in_registries.map(|(_, digest)| digest.to_owned());
    HeldImage {
        platform: Platform { os: image.os, architecture: image.architecture, variant: None },
        ids: in_registries.chain([image.id]).collect(),
        layers: image.root_fs.layers,
        size_bytes: image.size,
        is_index,
    }
}

/// Loads the missing images once, and returns each image's outcome.
///
/// # Errors
/// Fails as a whole if cluster, nodes or engine do not respond, or if the user interrupts.
pub(crate) fn load_wave(
    context: &Context,
    missing: &[MissingImage],
    presence: Presence,
) -> anyhow::Result<LoadReport> {
    let cluster = &context.settings.cluster.name;
    if missing.is_empty() {
        return Ok(LoadReport::new(cluster, Vec::new()));
    }
    let method = method(context)?;
    let plan = plan_loads(context, &method, missing, presence)?;
    if context.dry_run {
        context.ui.document(&plan_script(context, &method, &plan)?);
        return Ok(LoadReport::new(cluster, Vec::new()));
    }
    carry_out(context, &method, &plan)
}

/// Carries out the plan, and returns each image's outcome.
///
/// # Errors
/// Fails as a whole only if the user interrupts.
pub(super) fn carry_out(context: &Context, method: &Method, plan: &LoadPlan) -> anyhow::Result<LoadReport> {
    let mut outcomes: Vec<ImageOutcome> = plan.refused.iter().map(ImageOutcome::from).collect();
    outcomes.extend(plan.present.iter().map(present));
    let loaded = load_images(context, method, &plan.loads)?;
    outcomes.extend(loaded.images);
    plan.left_out.iter().for_each(|left_out| left_out.add_to(&mut outcomes));
    Ok(LoadReport::new(&context.settings.cluster.name, outcomes).with_effort(loaded.effort))
}

fn present(image: &MissingImage) -> ImageOutcome {
    ImageOutcome {
        reasons: image.reasons.iter().copied().collect(),
        pods: image.pods.iter().cloned().collect(),
        ..ImageOutcome::new(image.image.to_string(), Outcome::Present)
    }
}
