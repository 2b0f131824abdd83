//! The engine's registry settings, from `docker info`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The engine's `registry-mirrors` and `insecure-registries`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineRegistries {
    /// The addresses of its mirrors, which only serve Docker Hub's images.
    pub mirrors: Vec<String>,
    /// The hosts and networks (CIDR) that need no valid certificate.
    pub insecure: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    registry_config: Option<RegistryConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RegistryConfig {
    mirrors: Option<Vec<String>>,
    #[serde(rename = "InsecureRegistryCIDRs")]
    networks: Option<Vec<String>>,
    index_configs: Option<BTreeMap<String, IndexConfig>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IndexConfig {
    #[serde(default)]
    secure: bool,
}

impl EngineRegistries {
    /// Parses the JSON of `docker info`; without registry settings, both lists are empty.
    pub fn parse(info: &str) -> Self {
        let config = serde_json::from_str::<Info>(info).ok().and_then(|info| info.registry_config);
        let Some(config) = config else { return Self::default() };
        let hosts = config.index_configs.unwrap_or_default();
        let hosts = hosts.into_iter().filter(|(_, host)| !host.secure).map(|(name, _)| name);
        Self {
            mirrors: config.mirrors.unwrap_or_default(),
            insecure: hosts.chain(config.networks.unwrap_or_default()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_and_insecure_registries_are_parsed() {
        let found = EngineRegistries::parse(include_str!("../../tests/fixtures/docker-info-20.10.24.json"));
        let expected = EngineRegistries {
            mirrors: vec!["http://127.0.0.1:5000/".to_owned()],
            insecure: ["172.17.0.1:5000", "127.0.0.0/8"].map(str::to_owned).to_vec(),
        };
        assert_eq!(found, expected);
        assert_eq!(EngineRegistries::parse("{}"), EngineRegistries::default());
    }
}
