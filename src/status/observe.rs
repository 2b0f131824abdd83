//! Reads the state of a cluster, with one query per kind of object.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde_json::Value;

use crate::context::Context;
use crate::images::missing::{MissingImage, NamespaceFilter, collect};
use crate::kube::kubelet::{is_unscheduled, may_have_logged_why};
use crate::kube::pod::{Pod, PodList, PodName};
use crate::status::leader::{LEASE, Leader};
use crate::status::scope::Scope;
use crate::status::{self, CrashLoop, Status, Urls};
use crate::text::Mask;
use crate::tools::kubectl::{MILVUSES, is_forbidden};

use crate::load::find::{explain, pods_json, read_pods};

/// How many pods' logs are read.
const CLOSE: usize = 5;
/// How many lines of each log are read.
const LINES: u32 = 5;

/// Reads the state of the cluster and its Milvus.
///
/// # Errors
/// Fails when the cluster cannot be queried.
pub(crate) fn observe_cluster(context: &Context) -> anyhow::Result<Status> {
    let kubectl = context.kubectl();
    let settings = &context.settings;
    let nodes: Value = explain(context, kubectl.get(&["nodes"]))?;
    let workloads: Value = explain(context, kubectl.get(&["deployments,statefulsets", "--all-namespaces"]))?;
    let resource: Option<Value> =
        explain(context, kubectl.find(MILVUSES, &settings.milvus.name, Some(&settings.milvus.namespace)))?;
    let json = pods_json(context)?;
    let pods = read_pods(&json)?;
    let missing = collect(&pods, &NamespaceFilter::All);
    let scope = Scope::new(settings);
    let own = own_pods(&scope, &pods);
    let is_own = |image: &&MissingImage| image.pods.iter().any(|pod| own.contains(pod));
    let operator = &settings.operator.namespace;
    let lease: Option<Value> = match &resource {
        Some(_) => match kubectl.find("leases.coordination.k8s.io", LEASE, Some(operator)) {
            // Do without if the user may not read Leases.
            Err(error) if is_forbidden(&error) => None,
            answer => explain(context, answer)?,
        },
        None => None,
    };
    let cluster = &settings.cluster;
    Ok(Status {
        cluster: cluster.context.clone().unwrap_or_else(|| cluster.name.clone()),
        nodes: status::nodes(&nodes),
        milvus: resource.as_ref().map(status::milvus),
        workloads: status::workloads(&workloads, &scope),
        pods: status::pod_troubles(&pods),
        pending_volumes: Vec::new(),
        own_missing_images: missing.iter().filter(is_own).cloned().collect(),
        crashes: crashes(&scope, &own, &pods),
        leader: lease.and_then(|lease| Leader::read(&lease, operator, &pods)),
        missing_images: missing.iter().map(|image| image.image.to_string()).collect(),
        urls: urls(context)?,
    })
}

/// The pods of the Milvus, its dependencies, its operator and Attu.
fn own_pods(scope: &Scope, pods: &PodList<'_>) -> BTreeSet<PodName> {
    let is_own = |pod: &&Pod<'_>| scope.holds_labels(&pod.metadata.namespace, |name| label(pod, name));
    pods.items.iter().filter(is_own).map(Pod::full_name).collect()
}

/// Returns the crash loops among `own` pods.
fn crashes(scope: &Scope, own: &BTreeSet<PodName>, pods: &PodList<'_>) -> Vec<CrashLoop> {
    let own = pods.items.iter().filter(|pod| own.contains(&pod.full_name()));
    own.filter_map(|pod| {
        CrashLoop::of(pod, scope.is_operator(&pod.metadata.namespace, |name| label(pod, name)))
    })
    .collect()
}

fn label<'p>(pod: &'p Pod<'_>, name: &str) -> Option<&'p str> {
    pod.metadata.labels.iter().find(|(known, _)| &***known == name).map(|(_, value)| &**value)
}

/// Adds details on pods that do not start: their last log lines, and unbound volumes.
///
/// Best effort: what cannot be read is left out.
pub(crate) fn add_details(context: &Context, status: &mut Status) {
    let kubectl = context.kubectl();
    for pod in status.pods.iter_mut().filter(|pod| may_have_logged_why(&pod.reason)).take(CLOSE) {
        let Some(container) = pod.container.as_deref() else { continue };
        pod.log = last_log_lines(context, &pod.name, container);
    }
    if status.pods.iter().any(|pod| is_unscheduled(&pod.reason)) {
        let claims = kubectl.get::<Value>(&["persistentvolumeclaims", "--all-namespaces"]);
        status.pending_volumes = claims.map(|claims| status::pending_volumes(&claims)).unwrap_or_default();
    }
}

/// Returns a container's last log lines, if they can be read.
pub(crate) fn last_log_lines(context: &Context, pod: &str, container: &str) -> Vec<String> {
    let Some((namespace, name)) = pod.split_once('/') else { return Vec::new() };
    // The current container has logged nothing yet; the previous one logged why it ended.
    let log =
        |previous| context.kubectl().logs(namespace, name, container, LINES, previous).unwrap_or_default();
    let words = Some(log(true)).filter(|log| !log.trim().is_empty()).unwrap_or_else(|| log(false));
    // A log may hold anything, even Milvus's credentials.
    let mask = Mask::new([]);
    words.lines().map(|line| mask.text(line)).collect()
}

/// The URLs of what milvusctl exposed, if the node ports are mapped to the host.
fn urls(context: &Context) -> anyhow::Result<Urls> {
    if context.settings.cluster.context.is_some() {
        return Ok(Urls::default());
    }
    let services: Value = explain(
        context,
        context.kubectl().get(&[
            "services",
            "--all-namespaces",
            "--selector",
            "app.kubernetes.io/managed-by=milvusctl",
        ]),
    )?;
    let containers = context
        .tools
        .docker
        .node_containers(&context.settings.cluster.name)
        .context("could not list the cluster's nodes")?;
    let url_of = |service: &str| -> Option<String> {
        let items = services["items"].as_array()?;
        let item = items.iter().find(|item| item["metadata"]["name"].as_str() == Some(service))?;
        let port = item["spec"]["ports"].as_array()?.iter().find_map(|port| port["nodePort"].as_u64())?;
        let mapped = containers
            .iter()
            .flat_map(|container| &container.ports)
            .find(|mapping| u64::from(mapping.node) == port)?;
        let host = match mapped.address.as_str() {
            "0.0.0.0" | "::" | "" => "127.0.0.1",
            other => other,
        };
        Some(format!("http://{host}:{}", mapped.host))
    };
    let name = &context.settings.milvus.name;
    Ok(Urls {
        attu: url_of(&format!("{name}-attu-nodeport")),
        milvus: url_of(&format!("{name}-milvus-nodeport")),
    })
}
