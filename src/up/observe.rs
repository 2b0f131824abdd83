//! Observes the cluster, operator, Milvus and Attu for `up`.

use anyhow::Context as _;
use serde_json::Value;

use crate::bundle::PlanContents;
use crate::cluster::state::ClusterState;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::images::ImageRef;
use crate::kube::MANAGED_BY;
use crate::kube::covers::covers;
use crate::milvus::kept::{RunningMilvus, is_of_another_operator, keep};
use crate::milvus::look::{has_foreign_storage_secret, look_for_empty_releases};
use crate::milvus::operator::{ForeignOperator, foreign_operator, is_unfinished, ownership};
use crate::milvus::removal::Ownership;
use crate::milvus::{OPERATOR, installs_pulsar_3};
use crate::settings::{self, Origin, PortMapping, Settings, keys};
use crate::tools::NodeContainer;
use crate::tools::helm::Release;
use crate::tools::kubectl::MILVUSES;

use super::observed::{BundleState, Foreign, Observed, OperatorState, ResourceState, Unfinished, downgrade};
use super::wanted::Wanted;
use crate::cluster::mark;
use crate::cluster::mirrors;
use crate::load::bundled::lacking;
use crate::load::fetch::open_store;
use crate::load::find::{engine_images, explain, nodes};
use crate::status::observe;
use crate::ui::count;

/// Observes everything; only asks the cluster if it is running.
///
/// # Errors
/// Fails if engine or cluster do not respond, and with [`Exit::Usage`] if a cluster of that name maps other
/// ports than wanted.
pub(super) fn observe(context: &Context, wanted: &Wanted) -> anyhow::Result<Observed> {
    let (cluster, node_ports, differences) = cluster_state(context)?;
    let contexts = context.kubectl().contexts().context("could not read the kubeconfig")?;
    let has_context = contexts.contains(&context.kube_context());
    let unmapped = settings::unmapped(&context.settings).into_iter();
    let unmapped = unmapped.filter(|port| !node_ports.contains(&port.node_port)).collect();
    let mut observed = Observed {
        cluster,
        has_context,
        unmapped,
        differences,
        bundle: bundle_state(context, wanted)?,
        ..Observed::default()
    };
    let can_ask = has_context && matches!(observed.cluster, ClusterState::Running | ClusterState::Foreign);
    if !can_ask {
        return Ok(observed);
    }
    if observed.cluster == ClusterState::Foreign {
        explain(context, context.kubectl().is_ready())?;
    } else if context.kubectl().is_ready().is_err() {
        // A cluster that just started takes a moment to answer; the step waits for it.
        observed.cluster = ClusterState::Stopped(Vec::new());
        return Ok(observed);
    }
    if observed.cluster == ClusterState::Running {
        let known = mirrors::known(context, &wanted.mirrors)?;
        observed.mirrors_as_wanted = known.is_all;
        observed
            .in_the_way
            .extend(known.others.into_iter().map(|(node, path)| Foreign::Hosts { node, path }));
    }
    if wanted.keys.is_some() && has_foreign_storage_secret(context)? {
        observed.in_the_way.push(Foreign::StorageSecret);
    }
    let releases = explain(
        context,
        context.tools.helm(&context.kube_context()).releases(&context.settings.operator.namespace),
    )?;
    let release = releases.iter().find(|release| release.name == OPERATOR);
    observed.operator = operator_state(context, wanted, release)?;
    let settings = &context.settings;
    let resource: Option<Value> = explain(
        context,
        context.kubectl().find(MILVUSES, &settings.milvus.name, Some(&settings.milvus.namespace)),
    )?;
    let is_being_deleted = |live: &Value| live["metadata"]["deletionTimestamp"].is_string();
    observed.leaving = resource
        .as_ref()
        .filter(|live| is_being_deleted(live))
        .and_then(|live| Some(live["metadata"]["uid"].as_str()?.to_owned()));
    let resource = resource.filter(|live| !is_being_deleted(live));
    observed.milvus =
        resource.as_ref().map_or(ResourceState::Absent, |live| resource_state(live, &wanted.milvus));
    if let Some(live) = resource.as_ref().filter(|_| observed.milvus == ResourceState::AsWanted)
        && is_behind(settings, live, observed.is_our_operator())
    {
        observed.milvus = ResourceState::Differs;
    }
    observed.attu = attu_state(context, settings, &wanted.attu)?;
    let installed = release
        .filter(|_| matches!(observed.operator, OperatorState::Differs(_) | OperatorState::Unfinished(_)));
    observed.downgrades.extend(downgrade(
        "milvus-operator",
        installed.and_then(Release::chart_version),
        Some(&settings.operator.version),
    ));
    if observed.milvus == ResourceState::Differs {
        let live = resource.as_ref().map(crate::status::milvus).and_then(|milvus| milvus.image);
        let running = live.as_deref().and_then(|image| Some(image.rsplit_once(':')?.1.to_owned()));
        // A version that is not set stays as it is.
        let wanted = settings.milvus.version.as_ref();
        observed.downgrades.extend(downgrade("Milvus", running.as_deref(), wanted));
    }
    if let Some(live) = resource.as_ref().filter(|_| observed.milvus == ResourceState::Differs) {
        observed.losses = crate::milvus::change::losses(live, &wanted.milvus, settings.milvus_line());
    }
    observed.old_kubernetes = old_kubernetes(context, &observed, wanted)?;
    if resource.is_some() {
        let status = observe::observe_cluster(context)?;
        observed.is_healthy = status.is_settled();
        observed.others = status.foreign_trouble();
    }
    // Leftovers of a Milvus being deleted go with it, and a healthy Milvus has none.
    if !observed.is_healthy && observed.leaving.is_none() && observed.milvus != ResourceState::NotOurs {
        observed.empty_releases = look_for_empty_releases(context)?;
    }
    observed.live = resource.filter(|_| observed.milvus != ResourceState::NotOurs);
    Ok(observed)
}

/// The version of an existing cluster if it is too old for what will be installed.
fn old_kubernetes(
    context: &Context,
    observed: &Observed,
    wanted: &Wanted,
) -> anyhow::Result<Option<semver::Version>> {
    let is_new = observed.milvus == ResourceState::Absent && observed.cluster == ClusterState::Foreign;
    if !is_new || !installs_pulsar_3(&context.settings, &wanted.milvus) {
        return Ok(None);
    }
    let version = explain(context, context.kubectl().server_version())?;
    Ok(Some(version).filter(settings::is_before_pulsar_3))
}

/// What store and engine still need from the bundle.
fn bundle_state(context: &Context, wanted: &Wanted) -> anyhow::Result<BundleState> {
    let Some(bundle) = &wanted.bundle else { return Ok(BundleState::default()) };
    let images: Vec<ImageRef> = wanted.images.images.iter().map(|planned| planned.image.clone()).collect();
    let store_lacks = match open_store(context)? {
        Some(store) => lacking(&store, bundle, &images)?,
        None => images.clone(),
    };
    let own = bundle.contents.plan.iter().flat_map(PlanContents::own_images);
    let own = own.filter(|_| context.settings.cluster.context.is_none());
    let pushed = images.iter().filter(|_| context.settings.mirror.push.is_some());
    let for_engine: Vec<&ImageRef> = own.chain(pushed).collect();
    let held = engine_images(context, &for_engine)?.held;
    let engine_lacks = for_engine.into_iter().filter(|image| !held.contains_key(*image)).cloned().collect();
    Ok(BundleState { store_lacks, engine_lacks })
}

/// The state of the cluster, the node ports it maps to the host, and how it differs from the settings.
fn cluster_state(context: &Context) -> anyhow::Result<(ClusterState, Vec<u16>, Vec<String>)> {
    let cluster = &context.settings.cluster;
    if cluster.context.is_some() {
        return Ok((ClusterState::Foreign, Vec::new(), Vec::new()));
    }
    let containers = context.tools.docker.node_containers(&cluster.name)?;
    if containers.is_empty() {
        return Ok((ClusterState::Absent, Vec::new(), Vec::new()));
    }
    if let Some(mark) = mark::read(&cluster.name)
        && mark.has_made(&context.tools.docker.node_ids(&cluster.name)?)
        && !is_whole(context, &containers)?
    {
        return Ok((ClusterState::HalfCreated, Vec::new(), Vec::new()));
    }
    let node_ports = check_ports(context, &containers)?;
    let stopped: Vec<String> =
        containers.iter().filter(|node| !node.running).map(|node| node.name.clone()).collect();
    let state = if stopped.is_empty() { ClusterState::Running } else { ClusterState::Stopped(stopped) };
    Ok((state, node_ports, differences(&context.settings, &containers)))
}

/// How an existing cluster differs from what the user asked for and kind cannot change.
fn differences(settings: &Settings, containers: &[NodeContainer]) -> Vec<String> {
    let cluster = &settings.cluster;
    let is_chosen = |key| settings.origin(key) != Origin::Default;
    let mut found = Vec::new();
    let workers = containers.iter().filter(|node| node.role == "worker").count();
    if is_chosen(keys::CLUSTER_WORKERS) && workers != usize::from(cluster.workers) {
        found.push(format!("{} (not {})", count(workers, "worker"), cluster.workers));
    }
    // Docker shows a bare ID once the image has lost its tag.
    let image = |node: &NodeContainer| node.image.parse::<ImageRef>().ok()?.tag().map(str::to_owned);
    let made_from = containers.iter().find(|node| node.role == "control-plane").and_then(image);
    let wanted = cluster.node_image.as_ref().and_then(|image| image.as_str().parse::<ImageRef>().ok());
    if is_chosen(keys::CLUSTER_NODE_IMAGE)
        && let Some((made_from, wanted)) = made_from.zip(wanted.as_ref().and_then(ImageRef::tag))
        && made_from != wanted
    {
        found.push(format!("nodes of `{made_from}` (not `{wanted}`)"));
    }
    let address = containers
        .iter()
        .flat_map(|node| &node.ports)
        .find(|port| cluster.ports.iter().any(|wanted| (wanted.host, wanted.node) == (port.host, port.node)));
    if let Some(port) = address.filter(|_| is_chosen(keys::CLUSTER_LISTEN_ADDRESS))
        && port.address.trim_matches(['[', ']']).parse() != Ok(cluster.listen_address)
    {
        found.push(format!("ports on {} (not {})", port.address, cluster.listen_address));
    }
    found
}

/// Whether a cluster with unfinished creation is complete after all: kind may have finished after its run was
/// killed.
fn is_whole(context: &Context, containers: &[NodeContainer]) -> anyhow::Result<bool> {
    let contexts = context.kubectl().contexts().context("could not read the kubeconfig")?;
    if !contexts.contains(&context.kube_context()) || context.kubectl().is_ready().is_err() {
        return Ok(false);
    }
    let made = containers.iter().filter(|node| node.role != "external-load-balancer").count();
    Ok(nodes(context)?.len() == made)
}

/// Refuses a cluster that lacks a wanted port, since ports cannot be added to a running container. Returns
/// the mapped node ports.
fn check_ports(context: &Context, containers: &[NodeContainer]) -> anyhow::Result<Vec<u16>> {
    let cluster = &context.settings.cluster;
    let mut mapped = Vec::new();
    for node in containers {
        let ports = if node.running {
            node.ports.clone()
        } else {
            context.tools.docker.configured_ports(&node.name)?
        };
        mapped.extend(ports.iter().map(|port| (port.host, port.node)));
    }
    let lacking: Vec<String> = cluster
        .ports
        .iter()
        .filter(|port| !mapped.contains(&(port.host, port.node)))
        .map(ToString::to_string)
        .collect();
    if lacking.is_empty() {
        return Ok(mapped.into_iter().map(|(_, node)| node).collect());
    }
    let has: Vec<String> = mapped
        .iter()
        .filter(|(_, node)| *node >= 30000)
        .map(|(host, node)| format!("{host}:{node}"))
        .collect();
    let has = if has.is_empty() { "no node port".to_owned() } else { has.join(", ") };
    Err(Failure::new(
        Exit::Usage,
        format!(
            "kind cluster `{}` already exists and does not map {} (it maps {has}); nothing was changed",
            cluster.name,
            lacking.join(", "),
        ),
    )
    .hint(format!(
        "choose another cluster with `--name`, {}, or delete it with `milvusctl down --name {}`",
        match &cluster.own {
            Some(_) => "set its ports in your own kind configuration".to_owned(),
            None => port_flags(cluster, &mapped),
        },
        cluster.name
    ))
    .into())
}

/// Says which `--port` flags fit a cluster that maps the node ports to other host ports.
fn port_flags(cluster: &settings::Cluster, mapped: &[(u16, u16)]) -> String {
    let host = |port: &PortMapping| mapped.iter().find(|(_, node)| *node == port.node).map(|(host, _)| *host);
    let flags: Option<Vec<String>> = cluster
        .ports
        .iter()
        .map(|port| host(port).map(|host| format!("--port {host}:{}", port.node)))
        .collect();
    match flags {
        Some(flags) => format!("keep its ports with `{}`", flags.join(" ")),
        None => "set its ports with `--port HOST:NODE`".to_owned(),
    }
}

fn operator_state(
    context: &Context,
    wanted: &Wanted,
    release: Option<&Release>,
) -> anyhow::Result<OperatorState> {
    let operator = &context.settings.operator;
    let helm = context.tools.helm(&context.kube_context());
    let Some(release) = release else {
        return Ok(match foreign_operator(context)? {
            Some(foreign) => OperatorState::NotOurs(foreign),
            None => OperatorState::Absent,
        });
    };
    if is_unfinished(&release.status) {
        let is_ours = ownership(context, release)? == Ownership::Ours;
        return Ok(OperatorState::Unfinished(Unfinished { status: release.status.clone(), is_ours }));
    }
    if ownership(context, release)? != Ownership::Ours {
        return Ok(OperatorState::NotOurs(ForeignOperator::of_release(release)));
    }
    if release.status != "deployed" {
        return Ok(OperatorState::Differs(format!("its release is `{}`", release.status)));
    }
    let version = operator.version.to_string();
    if release.chart_version() != Some(version.as_str()) {
        return Ok(OperatorState::Differs(format!("{} is installed", release.chart)));
    }
    let values = explain(context, helm.values(OPERATOR, &operator.namespace))?;
    let wanted: Value = crate::yaml::from_str(&wanted.values)?;
    let empty = |value: &Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    if values != wanted && !(empty(&values) && empty(&wanted)) {
        return Ok(OperatorState::Differs("its values differ".to_owned()));
    }
    Ok(OperatorState::AsWanted)
}

fn resource_state(live: &Value, wanted: &Value) -> ResourceState {
    if covers(&live["spec"], &wanted["spec"]) {
        return ResourceState::AsWanted;
    }
    if is_ours(live) { ResourceState::Differs } else { ResourceState::NotOurs }
}

/// Whether a Milvus that is as the settings say is not as an operator of theirs would have it.
fn is_behind(settings: &Settings, live: &Value, follows: bool) -> bool {
    let kept = keep(settings, RunningMilvus { live, follows, is_settled: true }).resource;
    follows && is_ours(live) && is_of_another_operator(settings, live)
        || resource_state(live, &kept) == ResourceState::Differs
}

fn is_ours(live: &Value) -> bool {
    let (label, ours) = MANAGED_BY;
    live["metadata"]["labels"][label].as_str() == Some(ours)
}

fn attu_state(context: &Context, settings: &Settings, manifests: &str) -> anyhow::Result<ResourceState> {
    if !settings.attu.enabled {
        return Ok(ResourceState::Absent);
    }
    let documents: Vec<Value> = crate::yaml::documents(manifests)?;
    let mut states = Vec::new();
    for wanted in &documents {
        let kind = wanted["kind"].as_str().unwrap_or_default().to_lowercase();
        let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
        let namespace = wanted["metadata"]["namespace"].as_str();
        let live: Option<Value> = explain(context, context.kubectl().find(&kind, name, namespace))?;
        states.push(live.as_ref().map_or(ResourceState::Absent, |live| resource_state(live, wanted)));
    }
    Ok(together(&states))
}

/// The combined state of resources that are applied together: one owned by somebody else blocks all.
fn together(states: &[ResourceState]) -> ResourceState {
    let order = [ResourceState::NotOurs, ResourceState::Differs, ResourceState::Absent];
    order.into_iter().find(|state| states.contains(state)).unwrap_or(ResourceState::AsWanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_attu_is_left_alone_even_if_incomplete() {
        use ResourceState::{Absent, AsWanted, Differs, NotOurs};
        for (states, expected) in [
            (&[NotOurs, Absent][..], NotOurs),
            (&[Absent, NotOurs], NotOurs),
            (&[Absent, Differs], Differs),
            (&[AsWanted, Absent], Absent),
            (&[AsWanted, AsWanted], AsWanted),
        ] {
            assert_eq!(together(states), expected, "{states:?}");
        }
    }
}
