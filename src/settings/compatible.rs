//! Refuses combinations of mode, message store and release that cannot work.

use semver::Version;

use super::Settings;
use super::keys::{self, Key};
use super::types::{MessageStore, Mode};

/// The first operator whose Milvus resource has `components.version`; older ones reject the field.
pub(crate) const COMPONENTS_VERSION: Version = Version::new(1, 3, 0);

/// The first operator to deploy Pulsar 3, the first Pulsar with an arm64 image.
const PULSAR_3: Version = Version::new(1, 2, 0);

/// Returns each incompatible setting with a message.
///
/// `architecture` is this machine's, as `std::env::consts::ARCH` names it; kind clusters run on it.
pub(super) fn refusals(settings: &Settings, architecture: &str) -> Vec<(Key, String)> {
    let milvus = &settings.milvus;
    let mut refused = Vec::new();
    let mut refuse = |key: Key, message: String| refused.push((key, message));
    let store = milvus.message_store;
    let line = settings.milvus_line();
    let shown_line = line.map_or_else(String::new, |(major, minor)| format!("{major}.{minor}"));

    match store {
        Some(store @ (MessageStore::Rocksmq | MessageStore::Natsmq)) if milvus.mode == Mode::Cluster => {
            refuse(
                keys::MILVUS_MESSAGE_STORE,
                format!(
                    "`{store}` runs inside one pod, so it needs `mode: standalone`; in cluster mode use `pulsar`, `kafka` or, from Milvus 2.6, `woodpecker`"
                ),
            );
        }
        Some(MessageStore::Woodpecker) if line.is_some_and(|line| line < (2, 6)) => {
            refuse(
                keys::MILVUS_MESSAGE_STORE,
                format!(
                    "`woodpecker` needs Milvus 2.6, and this is {shown_line}; choose a newer `milvus.version` or another message store"
                ),
            );
        }
        Some(MessageStore::Woodpecker) if settings.operator.version < Version::new(1, 3, 0) => {
            refuse(
                keys::MILVUS_MESSAGE_STORE,
                format!("`woodpecker` needs milvus-operator 1.3, and this is {}", settings.operator.version),
            );
        }
        Some(MessageStore::Natsmq) if line.is_some_and(|line| line >= (2, 6)) => {
            refuse(
                keys::MILVUS_MESSAGE_STORE,
                format!(
                    "`natsmq` was removed in Milvus 2.6 (milvus#41564), and this is {shown_line}; choose `rocksmq` or `woodpecker`"
                ),
            );
        }
        _ => {}
    }
    if milvus.pulsar.is_some() && store != Some(MessageStore::Pulsar) {
        refuse(
            keys::MILVUS_PULSAR_EXTERNAL,
            format!("an external Pulsar is set, but the message store is {}", shown(store)),
        );
    }
    if !milvus.kafka.is_empty() && store != Some(MessageStore::Kafka) {
        refuse(
            keys::MILVUS_KAFKA_EXTERNAL,
            format!("an external Kafka is set, but the message store is {}", shown(store)),
        );
    }
    let operator = &settings.operator.version;
    if milvus.spec.pointer("/components/version").is_some() && *operator < COMPONENTS_VERSION {
        refuse(
            keys::MILVUS_SPEC,
            format!(
                "`components.version` needs milvus-operator {COMPONENTS_VERSION}, and this is {operator}, which reads \
                 the version from the image's tag; leave it out"
            ),
        );
    }
    refused.extend(pulsar_on_arm64(settings, architecture));
    let mut refuse = |key: Key, message: String| refused.push((key, message));
    for (key, component) in keys::REPLICA_KEYS.iter().filter(|(_, name)| milvus.replicas.contains_key(*name))
    {
        let is_standalone_component = *component == "standalone";
        if is_standalone_component != (milvus.mode == Mode::Standalone) {
            refuse(*key, format!("mode `{}` has no component `{component}`", milvus.mode));
        }
        let since = |message: &str| format!("{message}, and this is {shown_line}");
        match (*component, line) {
            ("streamingNode", Some(line)) if line < (2, 6) => {
                refuse(*key, since("`streamingNode` came with Milvus 2.6"));
            }
            ("indexNode", Some(line)) if line >= (2, 6) => {
                refuse(*key, since("`indexNode` became part of `dataNode` in Milvus 2.6"));
            }
            _ => {}
        }
    }
    refused
}

/// Refuses Pulsar 2 in a kind cluster on arm64, for which it has no image.
fn pulsar_on_arm64(settings: &Settings, architecture: &str) -> Option<(Key, String)> {
    let (milvus, operator) = (&settings.milvus, &settings.operator.version);
    let is_pulsar = match milvus.message_store {
        Some(store) => store == MessageStore::Pulsar,
        None => milvus.mode == Mode::Cluster,
    };
    let has_own_images = milvus.spec.pointer("/dependencies/pulsar/inCluster/values/images").is_some();
    let deploys_pulsar =
        is_pulsar && milvus.pulsar.is_none() && !has_own_images && settings.cluster.context.is_none();
    let is_pulsar_2 = *operator < PULSAR_3 || settings.needs_pulsar_2();
    if !deploys_pulsar || !is_pulsar_2 || architecture != "aarch64" {
        return None;
    }
    let way_out = if *operator < PULSAR_3 {
        format!("choose `--operator-version {PULSAR_3}` or newer")
    } else {
        "choose a node image of Kubernetes 1.21 or newer".to_owned()
    };
    let key =
        if milvus.message_store.is_some() { keys::MILVUS_MESSAGE_STORE } else { keys::OPERATOR_VERSION };
    Some((
        key,
        format!(
            "apachepulsar/pulsar:2.9.5, which milvus-operator {operator} deploys here, was not built for arm64; {way_out}, \
             or `--mode standalone`, which needs no Pulsar"
        ),
    ))
}

fn shown(store: Option<MessageStore>) -> String {
    store.map_or_else(|| "left to the operator".to_owned(), |store| format!("`{store}`"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::{Layer, file, resolve};

    fn refused_on(architecture: &str, text: &str) -> Vec<&'static str> {
        // Resolving may refuse the settings on this machine too; only `refusals` is under test.
        let settings = resolve(Layer::default(), Some(file::parse(Path::new("m.yaml"), text))).unwrap();
        refusals(&settings, architecture).into_iter().map(|(key, _)| key.path).collect()
    }

    #[test]
    fn pulsar_2_is_refused_on_arm64() {
        if std::env::consts::ARCH == "aarch64" {
            return;
        }
        let on_arm = |text| refused_on("aarch64", text);
        assert_eq!(on_arm("operator: {version: 1.1.9}"), ["operator.version"]);
        assert_eq!(
            on_arm("operator: {version: 1.1.9}\nmilvus: {messageStore: pulsar}"),
            ["milvus.messageStore"]
        );
        assert_eq!(on_arm("cluster: {nodeImage: 'kindest/node:v1.20.2'}"), ["operator.version"]);
        let fine = [
            "operator: {version: 1.2.0}",
            "operator: {version: 1.1.9}\nmilvus: {mode: standalone}",
            "operator: {version: 1.1.9}\nmilvus: {pulsar: {external: 'p:6650'}}",
            "operator: {version: 1.1.9}\ncluster: {context: c}",
            "operator: {version: 1.1.9}\nmilvus: {spec: {dependencies: {pulsar: {inCluster: {values: {images: {}}}}}}}",
        ];
        for text in fine {
            assert_eq!(on_arm(text), [""; 0], "{text}");
        }
        assert_eq!(refused_on("x86_64", "operator: {version: 1.1.9}"), [""; 0]);
    }

    #[test]
    fn components_version_needs_an_operator_that_supports_it() {
        let of = |operator: &str| {
            let text = format!(
                "operator: {{version: {operator}}}\nmilvus: {{spec: {{components: {{version: v2.5.4}}}}}}"
            );
            resolve(Layer::default(), Some(file::parse(Path::new("m.yaml"), &text)))
                .map_err(|p| p.to_string())
        };
        assert!(of("1.2.8").unwrap_err().contains("`components.version` needs milvus-operator 1.3.0"));
        of("1.3.0").unwrap();
    }
}
