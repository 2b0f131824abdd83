//! Reads a kind configuration of the user's own and says what in it will not do what it seems to.

use serde_json::Value;

use super::{ClusterSpec, Config};
use crate::settings::{Origin, PortMapping, Settings, keys};
use crate::templates::{self, TemplateError};
use crate::yaml::{self, YamlError};

/// A file that `kind create cluster --config` would refuse.
#[derive(Debug, thiserror::Error)]
pub enum OwnConfigError {
    #[error("not YAML: {0}")]
    Yaml(#[from] YamlError),
    /// It is something else than a cluster of kind.
    #[error(
        "expected `kind: Cluster` and `apiVersion: kind.x-k8s.io/v1alpha4`, found `{kind}` and `{api_version}`"
    )]
    NotACluster { kind: String, api_version: String },
    /// Its name could not be replaced.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

pub(super) fn read(settings: &Settings, text: &str) -> Result<ClusterSpec, OwnConfigError> {
    let mut config: Value = yaml::from_str(text)?;
    let word = |field: &str| config.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, api_version) = (word("kind"), word("apiVersion"));
    if (kind.as_str(), api_version.as_str()) != ("Cluster", "kind.x-k8s.io/v1alpha4") {
        return Err(OwnConfigError::NotACluster { kind, api_version });
    }
    let own_name = word("name");
    let is_named_elsewhere = settings.origin(keys::CLUSTER_NAME) != Origin::Default;
    let name = if own_name.is_empty() || is_named_elsewhere {
        settings.cluster.name.clone()
    } else {
        own_name.clone()
    };
    let nodes: Vec<&Value> = list(&config, "nodes").collect();
    let workers = nodes.iter().filter(|node| node["role"] == "worker").count();
    let ports = nodes.iter().flat_map(|node| list(node, "extraPortMappings")).filter_map(port).collect();
    let node_image = nodes.iter().find_map(|node| node["image"].as_str()).map(str::to_owned);
    let warnings = lint(&config, node_image.as_deref());
    let text = if own_name.is_empty() || own_name == name {
        text.to_owned()
    } else {
        config["name"] = name.as_str().into();
        templates::document(&config)?
    };
    Ok(ClusterSpec { name, workers, node_image, ports, warnings, config: Config::Own { text } })
}

fn list<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn port(mapping: &Value) -> Option<PortMapping> {
    let number = |field| mapping[field].as_u64().and_then(|port| u16::try_from(port).ok());
    // Without a host port, or with 0, kind takes a random one.
    Some(PortMapping { host: number("hostPort").filter(|port| *port > 0)?, node: number("containerPort")? })
}

fn lint(config: &Value, node_image: Option<&str>) -> Vec<String> {
    let mut found = Vec::new();
    let all = std::iter::once(config).chain(list(config, "nodes"));
    for patch in all.flat_map(|value| list(value, "kubeadmConfigPatches")).filter_map(Value::as_str) {
        for document in yaml::documents::<Value>(patch).unwrap_or_default() {
            lint_kubeadm(&document, node_image, &mut found);
        }
    }
    for patch in list(config, "containerdConfigPatches").filter_map(Value::as_str) {
        if patch.contains("registry.mirrors") {
            // containerd#12612: `mirrors` cannot be set where `config_path` is, as in newer node images.
            found.push(
                "the patch of `registry.mirrors` keeps containerd 2.2 from starting; set `config_path = \
                 \"/etc/containerd/certs.d\"` and use `mirror.rules`"
                    .to_owned(),
            );
        }
    }
    found
}

fn lint_kubeadm(patch: &Value, node_image: Option<&str>, found: &mut Vec<String>) {
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

/// Returns the versions of kubeadm's configuration that kind may use for a node image, by its tag; the
/// boundaries are those of kind's kubeadm templates (0.27 to 0.33).
fn kubeadm_versions(image: &str) -> Option<&'static [&'static str]> {
    let tag = image.split('@').next()?.rsplit('/').next()?.split_once(':')?.1;
    let version = semver::Version::parse(tag.strip_prefix('v')?).ok()?;
    Some(match (version.major, version.minor) {
        (1, ..=22) => &["v1beta2"],
        (1, 23..=35) => &["v1beta3"],
        _ => &["v1beta3", "v1beta4"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Layer, resolve};

    const HEAD: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

    fn spec(rest: &str) -> ClusterSpec {
        read(&Settings::default(), &format!("{HEAD}{rest}")).unwrap()
    }

    #[test]
    fn the_file_is_used_as_it_is() {
        let text = format!(
            "# mine\n{HEAD}name: mine\nnodes:\n- role: control-plane\n  image: kindest/node:v1.33.1\n  extraPortMappings:\n  - {{hostPort: 80, containerPort: 30080}}\n  - containerPort: 30081\n- role: worker\n"
        );
        let spec = read(&Settings::default(), &text).unwrap();
        assert_eq!((spec.name.as_str(), spec.workers), ("mine", 1));
        assert_eq!(spec.ports, [PortMapping { host: 80, node: 30080 }]);
        assert_eq!(spec.node_image.as_deref(), Some("kindest/node:v1.33.1"));
        assert_eq!(spec.render().unwrap(), text);
    }

    #[test]
    fn a_name_from_the_command_line_replaces_the_files() {
        let mut flags = Layer::default();
        flags.set(keys::CLUSTER_NAME, "other", Origin::Flag("name"));
        let settings = resolve(flags, None).unwrap();
        let spec = read(&settings, &format!("{HEAD}name: mine\n")).unwrap();
        assert_eq!(spec.name, "other");
        assert_eq!(
            spec.render().unwrap(),
            "apiVersion: kind.x-k8s.io/v1alpha4\nkind: Cluster\nname: other\n"
        );
    }

    #[test]
    fn a_file_without_a_name_takes_the_settings_name() {
        assert_eq!(spec("").name, "milvus-cluster");
    }

    #[test]
    fn something_else_than_a_cluster_is_refused() {
        let error = read(&Settings::default(), "kind: Pod\napiVersion: v1\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected `kind: Cluster` and `apiVersion: kind.x-k8s.io/v1alpha4`, found `Pod` and `v1`"
        );
        assert!(read(&Settings::default(), "{").unwrap_err().to_string().starts_with("not YAML: "));
    }

    #[test]
    fn patches_that_kind_will_drop_are_told() {
        let warnings = |image: &str, version: &str| {
            spec(&format!(
                "nodes: [{{role: control-plane, image: \"{image}\"}}]\nkubeadmConfigPatches:\n- |\n  apiVersion: kubeadm.k8s.io/{version}\n  kind: ClusterConfiguration\n"
            ))
            .warnings
            .len()
        };
        assert_eq!(warnings("kindest/node:v1.20.2", "v1beta3"), 1);
        assert_eq!(warnings("kindest/node:v1.20.2", "v1beta2"), 0);
        assert_eq!(warnings("kindest/node:v1.33.1@sha256:00", "v1beta3"), 0);
        assert_eq!(warnings("kindest/node:v1.36.1", "v1beta4"), 0);
        assert_eq!(warnings("kindest/node", "v1beta3"), 1);
    }

    #[test]
    fn the_articles_misplaced_fields_are_told() {
        let found = spec(
            "kubeadmConfigPatches:\n- |\n  kind: ClusterConfiguration\n  nodeRegistration: {}\n  ---\n  kind: InitConfiguration\n  networking: {}\n  imageRepository: x\n",
        );
        assert_eq!(
            found.warnings,
            [
                "kubeadm ignores `nodeRegistration` in `ClusterConfiguration`; put it into `InitConfiguration` and `JoinConfiguration`",
                "kubeadm ignores `networking` in `InitConfiguration`; put it into kind's own `networking`",
                "kubeadm ignores `imageRepository` in `InitConfiguration`; put it into `ClusterConfiguration`",
            ]
        );
    }

    #[test]
    fn old_mirrors_of_containerd_are_told() {
        let found = spec(
            "containerdConfigPatches:\n- |\n  [plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\n    endpoint = [\"http://a\"]\n",
        );
        assert!(
            found.warnings[0]
                .starts_with("the patch of `registry.mirrors` keeps containerd 2.2 from starting")
        );
    }
}
