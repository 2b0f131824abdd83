//! Restarts pods whose image was just loaded, so that they need not wait for the kubelet's next attempt.

use std::collections::BTreeSet;

use anyhow::Context as _;

use crate::context::Context;
use crate::images::missing::{ImageName, NamespaceFilter, collect};
use crate::images::outcome::{LoadReport, Outcome};
use crate::kube::object::Object;
use crate::kube::pod::{Pod, PodList};
use crate::load::find::{pods_json, read_pods};

/// The pods affected by a load.
#[derive(Debug, Default, PartialEq, Eq)]
struct Choice {
    /// Waiting pods that their controller recreates.
    restart: Vec<Object>,
    /// Waiting pods that nothing recreates, as `NAMESPACE/NAME`.
    alone: Vec<String>,
}

/// Lists the pods again and deletes those still waiting for a loaded image, if a controller recreates them;
/// names the others.
///
/// # Errors
/// Fails if the cluster does not respond or refuses.
pub(crate) fn restart_pods(context: &Context, report: &LoadReport) -> anyhow::Result<()> {
    let loaded: BTreeSet<&str> = report
        .images
        .iter()
        .filter(|image| image.outcome == Outcome::Loaded && !image.pods.is_empty())
        .map(|image| image.image.as_str())
        .collect();
    if loaded.is_empty() {
        return Ok(());
    }
    let json = pods_json(context)?;
    let pods = read_pods(&json)?;
    let choice = choose(&pods, &loaded);
    for pod in &choice.restart {
        // A pod replaced in the meantime already started with the image.
        context.kubectl().delete_exactly(pod).with_context(|| format!("could not restart {pod}"))?;
    }
    for pod in choice.alone {
        context.ui.line(&format!("Left pod {pod} unchanged: nothing would recreate it"));
    }
    Ok(())
}

fn choose(pods: &PodList<'_>, loaded: &BTreeSet<&str>) -> Choice {
    let waiting: BTreeSet<_> = collect(pods, &NamespaceFilter::All)
        .into_iter()
        .filter(
            |missing| matches!(&missing.image, ImageName::Valid(image) if loaded.contains(image.to_string().as_str())),
        )
        .flat_map(|missing| missing.pods)
        .collect();
    let mut choice = Choice::default();
    for pod in &pods.items {
        let (namespace, name) = (pod.metadata.namespace.to_string(), pod.metadata.name.to_string());
        if !waiting.iter().any(|pod| pod.namespace == namespace && pod.name == name) {
            continue;
        }
        if is_recreated(pod) {
            choice.restart.push(Object {
                api_version: "v1".to_owned(),
                kind: "Pod".to_owned(),
                namespace,
                name,
                uid: pod.metadata.uid.to_string(),
            });
        } else {
            choice.alone.push(format!("{namespace}/{name}"));
        }
    }
    choice
}

/// Whether a controller recreates the pod. Pods controlled by a `Node` mirror a file; deleting them ends
/// nothing.
fn is_recreated(pod: &Pod<'_>) -> bool {
    pod.metadata.owner_references.iter().any(|owner| owner.controller && *owner.kind != *"Node")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, owner: &Value, state: &Value) -> Value {
        json!({
            "metadata": {"name": name, "namespace": "n", "uid": format!("uid-{name}"), "ownerReferences": owner},
            "spec": {"containers": [{"name": "c", "image": "busybox:1.36"}], "nodeName": "node"},
            "status": {"phase": "Pending", "containerStatuses": [{"name": "c", "state": state}]},
        })
    }

    fn chosen(pods: &[Value]) -> (Vec<String>, Vec<String>) {
        let json = json!({"items": pods}).to_string();
        let pods = PodList::from_slice(json.as_bytes()).unwrap();
        let choice = choose(&pods, &BTreeSet::from(["docker.io/library/busybox:1.36"]));
        (choice.restart.into_iter().map(|pod| pod.uid).collect(), choice.alone)
    }

    #[test]
    fn only_waiting_pods_with_a_controller_are_restarted() {
        let waits = json!({"waiting": {"reason": "ImagePullBackOff"}});
        let runs = json!({"running": {}});
        let by = |kind: &str| json!([{"kind": kind, "name": "o", "controller": true}]);
        let owned = json!([{"kind": "ReplicaSet", "name": "o"}]);
        let pods = [
            pod("made-anew", &by("ReplicaSet"), &waits),
            pod("runs-by-now", &by("ReplicaSet"), &runs),
            pod("by-hand", &json!([]), &waits),
            pod("static", &by("Node"), &waits),
            pod("owned-without-controller", &owned, &waits),
        ];
        let alone = ["n/by-hand", "n/static", "n/owned-without-controller"];
        assert_eq!(chosen(&pods), (vec!["uid-made-anew".into()], alone.map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_pod_that_waits_for_another_image_is_left_alone() {
        let mut other = pod(
            "other",
            &json!([{"kind": "Job", "name": "o", "controller": true}]),
            &json!({"waiting": {"reason": "ErrImagePull"}}),
        );
        other["spec"]["containers"][0]["image"] = json!("busybox:2");
        assert_eq!(chosen(&[other]), (Vec::new(), Vec::new()));
    }
}
