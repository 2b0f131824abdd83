//! The kind cluster that is wanted, and its configuration as kind reads it.
//!
//! What is there already is not known here; that is for whoever asks kind and Docker.

pub(crate) mod create;
mod kubeadm_images;
pub(crate) mod lock;
pub(crate) mod mark;
pub(crate) mod mirrors;
mod own;
pub mod state;

use std::net::IpAddr;

use serde_json::json;

use crate::images::mirror::Preset;
use crate::settings::{PortMapping, Settings};
use crate::templates::{self, TemplateError};

pub use own::OwnConfigError;

/// Aliyun's copies of Kubernetes's own images.
const ALIYUN: &str = "registry.aliyuncs.com/google_containers";

/// The kind cluster that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSpec {
    pub name: String,
    /// How many workers stand beside the control planes.
    pub workers: usize,
    /// The node image; `None` is kind's own default, or one per node in a user's own configuration.
    pub node_image: Option<String>,
    /// The host ports that reach ports of a node.
    pub ports: Vec<PortMapping>,
    /// What is probably not meant in a user's own configuration, each with what to do.
    pub warnings: Vec<String>,
    config: Config,
}

#[derive(Clone, Debug, PartialEq)]
enum Config {
    Rendered {
        service_subnet: String,
        listen_address: IpAddr,
        image_repository: Option<&'static str>,
        has_mirrors: bool,
    },
    Own {
        text: String,
    },
}

impl ClusterSpec {
    /// Returns the cluster that `settings` ask for.
    ///
    /// `own` is the text of the file that `cluster.kindConfig` names; it is used as it is, only its name
    /// gives way to one that was given elsewhere.
    ///
    /// # Errors
    /// When `own` is not a configuration of kind.
    pub fn new(settings: &Settings, own: Option<&str>) -> Result<Self, OwnConfigError> {
        if let Some(text) = own {
            return own::read(settings, text);
        }
        let cluster = &settings.cluster;
        let image_repository = (settings.mirror.preset == Preset::Aliyun).then_some(ALIYUN);
        Ok(Self {
            name: cluster.name.clone(),
            workers: cluster.workers.into(),
            node_image: cluster.node_image.clone(),
            ports: cluster.ports.clone(),
            warnings: Vec::new(),
            config: Config::Rendered {
                service_subnet: cluster.service_subnet.clone(),
                listen_address: cluster.listen_address,
                image_repository,
                has_mirrors: !settings.mirror.rules.is_empty() || settings.mirror.preset == Preset::DaoCloud,
            },
        })
    }

    /// Renders the configuration for `kind create cluster --config -`.
    ///
    /// # Errors
    /// When the template does not fit, which is a fault of the program.
    pub fn render(&self) -> Result<String, TemplateError> {
        match &self.config {
            Config::Own { text } => Ok(text.clone()),
            Config::Rendered { service_subnet, listen_address, image_repository, has_mirrors } => {
                templates::render(
                    "kind-cluster.yaml.j2",
                    json!({
                        "name": self.name,
                        "workers": self.workers,
                        "node_image": self.node_image,
                        "ports": self.ports,
                        "service_subnet": service_subnet,
                        "listen_address": listen_address,
                        "image_repository": image_repository,
                        "certs_dir": has_mirrors,
                    }),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::settings::{Layer, file, resolve};
    use crate::yaml;

    fn rendered(text: &str) -> String {
        let settings = resolve(Layer::default(), Some(file::parse(Path::new("m.yaml"), text))).unwrap();
        ClusterSpec::new(&settings, None).unwrap().render().unwrap()
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
    fn mirrors_turn_on_the_folder_of_hosts_files() {
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
    fn names_that_other_readers_would_change_are_quoted() {
        for name in ["yes", "1e3", "0777", "1.5", "on"] {
            let text = rendered(&format!("cluster: {{name: \"{name}\"}}"));
            assert!(text.contains(&format!("\nname: \"{name}\"\n")), "{text}");
        }
    }

    #[test]
    fn a_small_cluster_is_one_node() {
        assert_eq!(read("small: true")["nodes"].as_array().map(Vec::len), Some(1));
    }
}
