//! The wanted kind cluster and its config.
//!
//! This module does not know what exists; see whoever asks kind and Docker.

pub(crate) mod create;
mod kubeadm_images;
pub(crate) mod lock;
pub(crate) mod mark;
pub(crate) mod mirrors;
pub mod state;

use serde_json::json;

use crate::images::mirror::Preset;
use crate::settings::{ImageSetting, Settings};
use crate::templates::{self, TemplateError};

/// Aliyun's copies of Kubernetes's own images.
const ALIYUN: &str = "registry.aliyuncs.com/google_containers";

/// Renders the config for `kind create cluster --config -`. The user's own is used as is, except for a name
/// given elsewhere.
///
/// # Errors
/// Fails if the template does not render, which is a bug.
pub fn kind_config(settings: &Settings) -> Result<String, TemplateError> {
    let cluster = &settings.cluster;
    if let Some(own) = &cluster.own {
        let name = own.document["name"].as_str().unwrap_or_default();
        if name.is_empty() || name == cluster.name {
            return Ok(own.text.clone());
        }
        let mut document = own.document.clone();
        document["name"] = cluster.name.as_str().into();
        return templates::document(&document);
    }
    let image_repository = (settings.mirror.preset == Preset::Aliyun).then_some(ALIYUN);
    let has_mirrors = !settings.mirror.rules.is_empty() || settings.mirror.preset == Preset::DaoCloud;
    templates::render(
        "kind-cluster.yaml.j2",
        json!({
            "name": cluster.name,
            "workers": cluster.workers,
            "node_image": cluster.node_image.as_ref().map(ImageSetting::as_str),
            "ports": cluster.ports,
            "service_subnet": cluster.service_subnet,
            "listen_address": cluster.listen_address,
            "image_repository": image_repository,
            "certs_dir": has_mirrors,
        }),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::settings::{Layer, Origin, file, keys, kind_file, resolve};
    use crate::yaml;

    fn rendered(text: &str) -> String {
        let settings = resolve(Layer::default(), Some(file::parse(Path::new("m.yaml"), text))).unwrap();
        kind_config(&settings).unwrap()
    }

    fn read(text: &str) -> Value {
        yaml::from_str(&rendered(text)).unwrap()
    }

    #[test]
    fn the_default_is_the_cluster_of_the_article() {
        assert_eq!(
            rendered(""),
            r#"kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: milvus-cluster
networking:
  serviceSubnet: 10.0.0.0/16
# Without apiVersion: kind drops a patch silently when the node's kubeadm speaks another version.
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    imageRepository: registry.aliyuncs.com/google_containers
nodes:
  - role: control-plane
    extraPortMappings:
      - containerPort: 31000
        hostPort: 31000
        listenAddress: "127.0.0.1"
        protocol: TCP
      - containerPort: 31530
        hostPort: 19530
        listenAddress: "127.0.0.1"
        protocol: TCP
  - role: worker
  - role: worker
  - role: worker
"#
        );
    }

    #[test]
    fn without_a_preset_there_is_no_patch() {
        let config = read("mirror: {preset: none}");
        assert_eq!((config.get("kubeadmConfigPatches"), config.get("containerdConfigPatches")), (None, None));
    }

    #[test]
    fn mirrors_enable_the_certs_directory() {
        let expected = json!([
            "[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/etc/containerd/certs.d\"\n"
        ]);
        for text in [
            "mirror: {rules: [{registry: docker.io, prefix: m.daocloud.io/docker.io}]}",
            "mirror: {preset: daocloud}",
        ] {
            assert_eq!(read(text)["containerdConfigPatches"], expected, "{text}");
        }
    }

    #[test]
    fn every_node_has_the_given_image() {
        let config = read("cluster: {nodeImage: \"kindest/node:v1.20.2\", workers: 1, ports: []}");
        let image = "kindest/node:v1.20.2";
        assert_eq!(
            config["nodes"],
            json!([{"role": "control-plane", "image": image}, {"role": "worker", "image": image}])
        );
    }

    #[test]
    fn ambiguous_names_are_quoted() {
        for name in ["yes", "1e3", "0777", "1.5", "on"] {
            let text = rendered(&format!("cluster: {{name: \"{name}\"}}"));
            assert!(text.contains(&format!("\nname: \"{name}\"\n")), "{text}");
        }
    }

    #[test]
    fn a_small_cluster_is_one_node() {
        assert_eq!(read("small: true")["nodes"].as_array().map(Vec::len), Some(1));
    }

    fn own(text: &str, flags: Layer) -> String {
        let file = kind_file::parse(Path::new("kind.yaml"), text);
        kind_config(&resolve(flags.with_kind_file(file), None).unwrap()).unwrap()
    }

    #[test]
    fn the_users_own_config_is_used_as_is() {
        let text = "# mine\nkind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: mine\n";
        assert_eq!(own(text, Layer::default()), text);
    }

    #[test]
    fn a_name_from_the_command_line_replaces_the_files() {
        let mut flags = Layer::default();
        flags.set(keys::CLUSTER_NAME, "other", Origin::Flag("name"));
        assert_eq!(
            own("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: mine\n", flags),
            "apiVersion: kind.x-k8s.io/v1alpha4\nkind: Cluster\nname: other\n"
        );
    }
}
