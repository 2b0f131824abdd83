//! Warns about parts of a user's kind config that kind accepts and then silently drops.

use serde_json::Value;

use super::image::ImageSetting;
use crate::yaml;

/// Returns a warning for each part of `config` without its apparent effect; `node_image` is the control
/// plane's.
pub(super) fn warnings(config: &Value, node_image: Option<&ImageSetting>) -> Vec<String> {
    let mut found = Vec::new();
    let all = std::iter::once(config).chain(list(config, "nodes"));
    for patch in all.flat_map(|value| list(value, "kubeadmConfigPatches")).filter_map(Value::as_str) {
        for document in yaml::documents::<Value>(patch).unwrap_or_default() {
            lint_kubeadm(&document, node_image, &mut found);
        }
    }
    for patch in list(config, "containerdConfigPatches").filter_map(Value::as_str) {
        if patch.contains("registry.mirrors") {
            // containerd#12612: `mirrors` cannot be combined with `config_path`, which newer node images set.
            found.push(
                "the patch of `registry.mirrors` keeps containerd 2.2 from starting; set `config_path = \
                 \"/etc/containerd/certs.d\"` and use `mirror.rules`"
                    .to_owned(),
            );
        }
    }
    found
}

fn list<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn lint_kubeadm(patch: &Value, node_image: Option<&ImageSetting>, found: &mut Vec<String>) {
    let kind = patch["kind"].as_str().unwrap_or_default();
    if let Some(version) =
        patch["apiVersion"].as_str().and_then(|version| version.strip_prefix("kubeadm.k8s.io/"))
    {
        let expected = node_image.and_then(kubeadm_versions);
        if expected.is_some_and(|versions| !versions.contains(&version)) {
            found.push(format!(
                "the patch of `{kind}` will be dropped silently, since the node's kubeadm does not speak `{version}`; \
                 leave out its `apiVersion`"
            ));
        } else if expected.is_none() {
            found.push(format!(
                "the patch of `{kind}` will be dropped silently if the node's kubeadm does not speak `{version}`; \
                 leave out its `apiVersion`"
            ));
        }
    }
    let misplaced: &[(&str, &str)] = match kind {
        "ClusterConfiguration" => &[("nodeRegistration", "`InitConfiguration` and `JoinConfiguration`")],
        "InitConfiguration" | "JoinConfiguration" => {
            &[("networking", "kind's own `networking`"), ("imageRepository", "`ClusterConfiguration`")]
        }
        _ => &[],
    };
    for (field, place) in misplaced.iter().filter(|(field, _)| patch.get(field).is_some()) {
        found.push(format!("kubeadm ignores `{field}` in `{kind}`; put it into {place}"));
    }
}

/// Returns the kubeadm config versions that kind may use for a node image, judged by its tag. The boundaries
/// are those of kind's kubeadm templates (0.27 to 0.33).
fn kubeadm_versions(image: &ImageSetting) -> Option<&'static [&'static str]> {
    let version =
        image.version().filter(|_| image.reference().tag().is_some_and(|tag| tag.starts_with('v')))?;
    Some(match (version.major, version.minor) {
        (1, ..=22) => &["v1beta2"],
        (1, 23..=35) => &["v1beta3"],
        _ => &["v1beta3", "v1beta4"],
    })
}
