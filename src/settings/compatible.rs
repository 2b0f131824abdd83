//! Which modes, message stores and releases go together, and why others do not.

use semver::Version;

use super::Settings;
use super::keys::{self, Key};
use super::types::{MessageStore, Mode};

/// Returns what does not go together, each with the key that says it.
pub(super) fn refusals(settings: &Settings) -> Vec<(Key, String)> {
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
                    "`{store}` lives inside one pod, so it goes only with `mode: standalone`; a cluster takes `pulsar`, `kafka` or, from Milvus 2.6, `woodpecker`"
                ),
            );
        }
        Some(MessageStore::Woodpecker) if line.is_some_and(|line| line < (2, 6)) => {
            refuse(
                keys::MILVUS_MESSAGE_STORE,
                format!(
                    "`woodpecker` came with Milvus 2.6, and this is {shown_line}; choose a newer `milvus.version` or another message store"
                ),
            );
        }
        Some(MessageStore::Woodpecker) if settings.operator.version < Version::new(1, 3, 0) => {
            refuse(
                keys::MILVUS_MESSAGE_STORE,
                format!(
                    "`woodpecker` came with milvus-operator 1.3, and this is {}",
                    settings.operator.version
                ),
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
            format!("a Pulsar is named but the message store is {}", shown(store)),
        );
    }
    if !milvus.kafka.is_empty() && store != Some(MessageStore::Kafka) {
        refuse(
            keys::MILVUS_KAFKA_EXTERNAL,
            format!("a Kafka is named but the message store is {}", shown(store)),
        );
    }
    for (key, component) in keys::REPLICA_KEYS.iter().filter(|(_, name)| milvus.replicas.contains_key(*name))
    {
        let is_of_standalone = *component == "standalone";
        if is_of_standalone != (milvus.mode == Mode::Standalone) {
            refuse(*key, format!("a Milvus of mode `{}` has no component `{component}`", milvus.mode));
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

fn shown(store: Option<MessageStore>) -> String {
    store.map_or_else(|| "left to the operator".to_owned(), |store| format!("`{store}`"))
}
