//! Reads the state of a cluster: one question per kind of object.

use serde_json::Value;

use crate::context::Context;
use crate::images::missing::{NamespaceFilter, collect};
use crate::images::pods::PodList;
use crate::status::{self, Status, Urls};

use super::find_images::{explain, pods_json};

/// The state of the cluster and of the Milvus in it.
///
/// # Errors
/// Fails when the cluster cannot be asked.
pub(crate) fn observe_cluster(context: &Context) -> anyhow::Result<Status> {
    let kubectl = context.kubectl();
    let settings = &context.settings;
    let nodes: Value = explain(context, kubectl.get(&["nodes"]))?;
    let workloads: Value = explain(context, kubectl.get(&["deployments,statefulsets", "--all-namespaces"]))?;
    let resource: Option<Value> = explain(
        context,
        kubectl.find("milvuses.milvus.io", &settings.milvus.name, Some(&settings.milvus.namespace)),
    )?;
    let pods = pods_json(context)?;
    let missing = collect(&PodList::from_slice(&pods)?, &NamespaceFilter::All);
    let cluster = &settings.cluster;
    Ok(Status {
        cluster: cluster.context.clone().unwrap_or_else(|| cluster.name.clone()),
        nodes: status::nodes(&nodes),
        milvus: resource.as_ref().map(status::milvus),
        workloads: status::workloads(&workloads),
        pods: status::pod_troubles(&serde_json::from_slice(&pods)?),
        missing_images: missing.iter().map(|image| image.image.to_string()).collect(),
        urls: urls(context),
    })
}

/// The URLs of what this program exposed, as far as the node ports are mapped to the host.
fn urls(context: &Context) -> Urls {
    let Ok(services) = context.kubectl().get::<Value>(&[
        "services",
        "--all-namespaces",
        "--selector",
        "app.kubernetes.io/managed-by=milvusctl",
    ]) else {
        return Urls::default();
    };
    let containers = context.tools.docker.node_containers(&context.settings.cluster.name).unwrap_or_default();
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
    Urls {
        attu: url_of(&format!("{name}-attu-nodeport")),
        milvus: url_of(&format!("{name}-milvus-nodeport")),
    }
}
