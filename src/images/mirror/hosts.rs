//! Renders mirrors for containerd: `certs.d/<registry>/hosts.toml` in the nodes.
//!
//! The older `registry.mirrors` tables are never written: containerd 2.2 refuses to start its CRI plugin with
//! them (containerd#12612).

use std::fmt::Write as _;

use crate::images::mirror::Rules;
use crate::images::mirror::rule::is_loopback;
use crate::images::reference::{DOCKER_HUB, DOCKER_HUB_API};

/// The first line of each `hosts.toml` that milvusctl writes, which marks the file as its own.
pub const MARK: &str =
    "# Written by milvusctl, which writes it anew; without this line it leaves the file alone.";

/// Renders the `hosts.toml` that gives a node's containerd the mirrors of `registry`, in the rules' order.
///
/// Returns `None` if no rule mirrors it. The file can only express whole-registry rules, not path rewrites,
/// nor the Aliyun preset, which keeps only the last path component. To containerd, a loopback mirror is the
/// node itself, so it skips one that the node does not run.
pub fn hosts_toml(registry: &str, rules: &Rules) -> Option<String> {
    let mirrors = rules.mirrors_of(registry);
    if mirrors.is_empty() {
        return None;
    }
    let scheme = if is_loopback(registry) { "http" } else { "https" };
    let host = if registry == DOCKER_HUB { DOCKER_HUB_API } else { registry };
    let mut toml = format!("{MARK}\nserver = {}\n", quoted(&format!("{scheme}://{host}")));
    for mirror in mirrors {
        let (endpoint, has_path) = mirror.endpoint();
        // Writing to a String cannot fail.
        let _ = write!(toml, "\n[host.{}]\n  capabilities = [\"pull\", \"resolve\"]\n", quoted(&endpoint));
        if has_path {
            // containerd#5518: without this, containerd appends `/v2` to the path.
            toml.push_str("  override_path = true\n");
        }
    }
    Some(toml)
}

/// Returns the registries that [`hosts_toml`] renders a file for, sorted.
pub fn mirrored_registries(rules: &Rules) -> Vec<String> {
    let mut registries: Vec<String> =
        rules.all_mirrors().into_iter().map(|rule| rule.registry().to_owned()).collect();
    registries.sort();
    registries.dedup();
    registries
}

/// Quotes `text` as a TOML basic string, where JSON's escapes are valid.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::mirror::Preset;

    fn rules(texts: &[&str], preset: Preset) -> Rules {
        Rules::new(texts.iter().map(|text| text.parse().unwrap()).collect(), preset)
    }

    #[test]
    fn mirrors_keep_their_order_and_their_paths() {
        let rules =
            rules(&["docker.io=m.daocloud.io/docker.io", "docker.io=http://172.17.0.1:5000"], Preset::None);
        assert_eq!(
            hosts_toml("docker.io", &rules).unwrap(),
            r#"# Written by milvusctl, which writes it anew; without this line it leaves the file alone.
server = "https://registry-1.docker.io"

[host."https://m.daocloud.io/v2/docker.io"]
  capabilities = ["pull", "resolve"]
  override_path = true

[host."http://172.17.0.1:5000"]
  capabilities = ["pull", "resolve"]
"#
        );
    }

    #[test]
    fn a_loopback_mirror_has_no_tls() {
        let toml = hosts_toml("quay.io", &rules(&["quay.io=localhost:5000"], Preset::None)).unwrap();
        assert_eq!(
            toml.strip_prefix(MARK).unwrap(),
            "\nserver = \"https://quay.io\"\n\n[host.\"http://localhost:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
        );
    }

    #[test]
    fn a_registry_without_a_mirror_has_no_file() {
        let rules = rules(&["docker.io=example.com", "quay.io/a=quay.io/b"], Preset::Aliyun);
        assert_eq!(hosts_toml("quay.io", &rules), None);
        assert_eq!(hosts_toml("registry.k8s.io", &rules), None);
        assert_eq!(mirrored_registries(&rules), ["docker.io"]);
    }

    #[test]
    fn a_preset_mirrors_each_of_its_registries() {
        let rules = rules(&[], Preset::DaoCloud);
        let registries = mirrored_registries(&rules);
        assert!(
            ["docker.io", "quay.io", "registry.k8s.io"]
                .iter()
                .all(|known| registries.iter().any(|r| r == known))
        );
        assert!(registries.iter().all(|registry| hosts_toml(registry, &rules).is_some()));
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\n""#);
    }
}
