//! Resolves layers into [`Settings`]: flags over environment over file over defaults, all validated.

use std::collections::BTreeMap;
use std::str::FromStr;

use semver::Version;

use super::image::ImageSetting;
use super::keys;
use super::kind_file::KindFile;
use super::layer::Layer;
use super::origin::{Origin, Problems};
use super::reader::Resolver;
use super::types::{
    Attu, Cluster, DeletionPolicy, Etcd, Images, MessageStore, Milvus, Mirror, Mode, Operator, Sizing, Up,
    Volume,
};
use super::{Settings, compatible, own_cluster, own_spec, storage, validate};
use crate::images::catalog::Catalog;
use crate::images::loading::{Loader, NodeChoice, PullWith};
use crate::images::mirror::Preset;

/// The newest operator release known to milvusctl.
const OPERATOR_VERSION: &str = "1.3.8";
/// The last Attu tags under the Apache licence; 2.6 is proprietary.
const ATTU_FOR_MILVUS_2_4: &str = "v2.4.12";
const ATTU_FOR_MILVUS_2_5: &str = "v2.5.12";

/// Resolves `overrides`, from flags and environment, over `file`, from the configuration file.
///
/// The caller has already merged flags over environment with [`Layer::over`].
///
/// # Errors
/// Returns all problems of both layers at once: those found while reading the file, rejected values, and
/// values that do not go together.
pub fn resolve(overrides: Layer, file: Option<Layer>) -> Result<Settings, Problems> {
    let layer = overrides.over(file.unwrap_or_default());
    let mut resolver = Resolver { problems: layer.problems, values: layer.values, shown: BTreeMap::new() };
    let settings = resolver.settings(layer.kind_file);
    resolver.check_together(&settings);
    if resolver.problems.is_empty() {
        Ok(Settings { shown: resolver.shown, ..settings })
    } else {
        Err(Problems(resolver.problems))
    }
}

/// Returns the Milvus release line, as major and minor: from `version`, else from the tag of `image`, else
/// the default of `operator`, if known.
pub(super) fn milvus_line(
    operator: &Version,
    version: Option<&Version>,
    image: Option<&ImageSetting>,
) -> Option<(u64, u64)> {
    if let Some(version) = version {
        return Some((version.major, version.minor));
    }
    if let Some(image) = image {
        return image.version().map(|version| (version.major, version.minor));
    }
    match (operator.major, operator.minor) {
        (1, 0 | 1) => Some((2, 4)),
        (1, 2) => Some((2, 5)),
        (1, 3) => Some((2, 6)),
        _ => None,
    }
}

impl Resolver {
    fn settings(&mut self, kind_file: Option<KindFile>) -> Settings {
        let small = self.boolean(keys::SMALL, false);
        let cluster = self.cluster(small, kind_file);
        let mirror = self.mirror();
        let operator = self.operator();
        let mut milvus = self.milvus(small, cluster.context.is_some());
        let line = milvus_line(&operator.version, milvus.version.as_ref(), milvus.image.as_ref());
        let has_woodpecker =
            line.is_some_and(|line| line >= (2, 6)) && operator.version >= Version::new(1, 3, 0);
        if small && milvus.mode == Mode::Cluster && milvus.message_store.is_none() && has_woodpecker {
            // Woodpecker needs no pods of its own; Pulsar needs seven.
            milvus.message_store = Some(MessageStore::Woodpecker);
            self.show(keys::MILVUS_MESSAGE_STORE, "woodpecker".into(), Origin::Small);
        }
        let attu = self.attu(line);
        let timeout = self.read(keys::UP_TIMEOUT, "20m", validate::duration);
        let up = Up { timeout, smoke: self.boolean(keys::UP_SMOKE, false) };
        let images = self.images();
        Settings { small, cluster, mirror, operator, milvus, attu, images, up, shown: BTreeMap::new() }
    }

    fn cluster(&mut self, small: bool, kind_file: Option<KindFile>) -> Cluster {
        let workers = if small { (0, Origin::Small) } else { (3, Origin::Default) };
        let mut cluster = Cluster {
            name: self.read(keys::CLUSTER_NAME, "milvus-cluster", validate::cluster_name),
            context: self.read_optional(keys::CLUSTER_CONTEXT, validate::text),
            control_planes: 1,
            workers: self.integer(keys::CLUSTER_WORKERS, workers),
            node_image: self.read_optional(keys::CLUSTER_NODE_IMAGE, validate::node_image),
            service_subnet: self.read(keys::CLUSTER_SERVICE_SUBNET, "10.0.0.0/16", validate::subnet),
            ports: self.list(keys::CLUSTER_PORTS, &["31000:31000", "19530:31530"], validate::port_mapping),
            listen_address: self.read(keys::CLUSTER_LISTEN_ADDRESS, "127.0.0.1", validate::address),
            kind_config: self.read_optional(keys::CLUSTER_KIND_CONFIG, |path| Ok(path.into())),
            own: None,
        };
        if let Some(file) = kind_file {
            own_cluster::apply(self, &mut cluster, file);
        }
        cluster
    }

    fn mirror(&mut self) -> Mirror {
        Mirror {
            preset: self.word(keys::MIRROR_PRESET, (Preset::Aliyun, Origin::Default)),
            rules: self.rules(keys::MIRROR_RULES),
            push: self.read_optional(keys::MIRROR_PUSH, validate::registry_prefix),
        }
    }

    fn operator(&mut self) -> Operator {
        const REPO: &str = "https://zilliztech.github.io/milvus-operator/";
        Operator {
            version: self.read(keys::OPERATOR_VERSION, OPERATOR_VERSION, validate::version),
            repo: self.read(keys::OPERATOR_REPO, REPO, validate::chart_repository),
            namespace: self.read(keys::OPERATOR_NAMESPACE, "milvus-operator", validate::namespace),
            image: self.read_optional(keys::OPERATOR_IMAGE, validate::image),
            values_file: self.read_optional(keys::OPERATOR_VALUES_FILE, |path| Ok(path.into())),
        }
    }

    fn milvus(&mut self, small: bool, on_existing_cluster: bool) -> Milvus {
        let mode = if small { (Mode::Standalone, Origin::Small) } else { (Mode::Cluster, Origin::Default) };
        let sizing = match (small, on_existing_cluster) {
            (true, _) => (Sizing::Small, Origin::Small),
            // kind nodes share one machine, so per-node requests mean nothing there.
            (false, false) => (Sizing::Laptop, Origin::Default),
            (false, true) => (Sizing::Operator, Origin::Default),
        };
        let mut milvus = Milvus {
            name: self.read(keys::MILVUS_NAME, "my-release", validate::milvus_name),
            namespace: self.read(keys::MILVUS_NAMESPACE, "default", validate::namespace),
            mode: self.word(keys::MILVUS_MODE, mode),
            version: self.read_optional(keys::MILVUS_VERSION, validate::version),
            image: self.read_optional(keys::MILVUS_IMAGE, validate::image),
            message_store: self.message_store(),
            topic_prefix: self.read_optional(keys::MILVUS_TOPIC_PREFIX, validate::text),
            node_port: self.integer(keys::MILVUS_NODE_PORT, (31530, Origin::Default)),
            sizing: self.word(keys::MILVUS_SIZING, sizing),
            deletion_policy: self
                .word(keys::MILVUS_DELETION_POLICY, (DeletionPolicy::Delete, Origin::Default)),
            delete_volumes: self.boolean(keys::MILVUS_DELETE_VOLUMES, false),
            etcd: Etcd {
                external: self.list(keys::MILVUS_ETCD_EXTERNAL, &[], validate::endpoint),
                root_path: self.read_optional(keys::MILVUS_ETCD_ROOT_PATH, validate::text),
            },
            storage: storage::resolve(self),
            pulsar: self.read_optional(keys::MILVUS_PULSAR_EXTERNAL, validate::endpoint),
            kafka: self.list(keys::MILVUS_KAFKA_EXTERNAL, &[], validate::endpoint),
            resources: self.resources(),
            volumes: self.volumes(),
            replicas: self.replicas(),
            spec: self.tree(keys::MILVUS_SPEC),
        };
        own_spec::apply(self, &mut milvus);
        milvus
    }

    fn volumes(&mut self) -> BTreeMap<Volume, String> {
        let mut volumes = BTreeMap::new();
        for (key, volume) in keys::VOLUME_KEYS {
            if let Some(size) = self.read_optional(*key, validate::quantity) {
                volumes.insert(*volume, size);
            }
        }
        volumes
    }

    fn message_store(&mut self) -> Option<MessageStore> {
        let given = self.read_optional(keys::MILVUS_MESSAGE_STORE, |word| {
            MessageStore::from_str(word).map_err(|unknown| unknown.to_string())
        });
        // An external endpoint implies its message store.
        given
            .or_else(|| self.is_set(keys::MILVUS_PULSAR_EXTERNAL).then_some(MessageStore::Pulsar))
            .or_else(|| self.is_set(keys::MILVUS_KAFKA_EXTERNAL).then_some(MessageStore::Kafka))
    }

    fn resources(&mut self) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut resources: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (key, list, name) in [
            (keys::MILVUS_REQUESTS_CPU, "requests", "cpu"),
            (keys::MILVUS_REQUESTS_MEMORY, "requests", "memory"),
            (keys::MILVUS_LIMITS_CPU, "limits", "cpu"),
            (keys::MILVUS_LIMITS_MEMORY, "limits", "memory"),
        ] {
            if let Some(quantity) = self.read_optional(key, validate::quantity) {
                resources.entry(list.to_owned()).or_default().insert(name.to_owned(), quantity);
            }
        }
        resources
    }

    fn replicas(&mut self) -> BTreeMap<String, u32> {
        let mut replicas = BTreeMap::new();
        for (key, component) in keys::REPLICA_KEYS {
            if self.values.contains_key(key.path) {
                replicas.insert((*component).to_owned(), self.integer(*key, (1, Origin::Default)));
            }
        }
        replicas
    }

    fn attu(&mut self, line: Option<(u64, u64)>) -> Attu {
        let fitting =
            if line.is_some_and(|line| line < (2, 5)) { ATTU_FOR_MILVUS_2_4 } else { ATTU_FOR_MILVUS_2_5 };
        Attu {
            enabled: self.boolean(keys::ATTU_ENABLED, true),
            node_port: self.integer(keys::ATTU_NODE_PORT, (31000, Origin::Default)),
            version: self.read(keys::ATTU_VERSION, fitting, validate::tag),
        }
    }

    fn images(&mut self) -> Images {
        Images {
            pull_with: self.word(keys::IMAGES_PULL_WITH, (PullWith::Auto, Origin::Default)),
            store: self.read_optional(keys::IMAGES_STORE, |path| Ok(path.into())),
            jobs: self.integer(keys::IMAGES_JOBS, (3, Origin::Default)),
            loader: self.word(keys::IMAGES_LOADER, (Loader::Auto, Origin::Default)),
            nodes: self.word(keys::IMAGES_NODES, (NodeChoice::All, Origin::Default)),
            bundle: self.read_optional(keys::IMAGES_BUNDLE, |path| Ok(path.into())),
        }
    }

    fn check_together(&mut self, settings: &Settings) {
        for (index, port) in settings.cluster.ports.iter().enumerate() {
            // In the user's own kind config each may listen on another address; kind checks that.
            if settings.cluster.own.is_none()
                && settings.cluster.ports[..index].iter().any(|other| other.host == port.host)
            {
                self.problem(keys::CLUSTER_PORTS, format!("host port {} is given twice", port.host));
            }
        }
        if settings.attu.enabled && settings.attu.node_port == settings.milvus.node_port {
            let port = settings.attu.node_port;
            self.problem(keys::ATTU_NODE_PORT, format!("node port {port} is also Milvus's; choose another"));
        }
        if settings.mirror.push.is_some() && settings.cluster.context.is_none() {
            let message = "images are pushed only for an existing cluster; name it with `cluster.context` or `--context`";
            self.problem(keys::MIRROR_PUSH, message.to_owned());
        }
        if settings.mirror.push.is_some()
            && settings.milvus.version.is_none()
            && settings.milvus.image.is_none()
            && !has_known_milvus(&settings.operator.version)
        {
            let message =
                "needs `milvus.version`, since the Milvus version that this operator deploys is unknown";
            self.problem(keys::MIRROR_PUSH, message.to_owned());
        }
        for (key, message) in compatible::refusals(settings, std::env::consts::ARCH) {
            self.problem(key, message);
        }
    }
}

/// Whether the catalog knows the Milvus version that this operator deploys by default.
fn has_known_milvus(operator: &Version) -> bool {
    Catalog::builtin().release(operator).is_some_and(|release| release.milvus.is_some())
}
