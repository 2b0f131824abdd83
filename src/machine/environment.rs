//! Reads proxies, kubeconfig files and the engine's address from environment variables.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::facts::{EnvironmentFacts, Kubeconfig, KubeconfigState, Proxy};

/// The variables that docker, kind, helm, kubectl and milvusctl use.
const PROXY_VARIABLES: [&str; 8] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// Reads the variables with `lookup`, which is `std::env::var_os` except in tests.
pub fn observe_environment(lookup: impl Fn(&str) -> Option<OsString>) -> EnvironmentFacts {
    let path = |name: &str| lookup(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let text = |name: &str| {
        lookup(name).filter(|value| !value.is_empty()).map(|value| value.to_string_lossy().into_owned())
    };
    let home = path("HOME");
    EnvironmentFacts {
        proxies: PROXY_VARIABLES
            .into_iter()
            .filter_map(|name| {
                Some(Proxy { name: name.to_owned(), value: without_credentials(&text(name)?) })
            })
            .collect(),
        kubeconfigs: kubeconfig_paths(lookup("KUBECONFIG").as_deref(), home.as_deref())
            .into_iter()
            .map(|path| Kubeconfig { state: state_of(&path), path })
            .collect(),
        temporary: path("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp")),
        docker_host: text("DOCKER_HOST").as_deref().map(without_credentials),
        kind_provider: text("KIND_EXPERIMENTAL_PROVIDER"),
        home,
        network_fault: None,
    }
}

/// Returns the files that kubectl and kind read: those of `KUBECONFIG`, or `~/.kube/config`.
fn kubeconfig_paths(variable: Option<&OsStr>, home: Option<&Path>) -> Vec<PathBuf> {
    let listed: Vec<PathBuf> = variable
        .into_iter()
        .flat_map(|value| std::env::split_paths(value).collect::<Vec<_>>())
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    if listed.is_empty() { home.map(|home| home.join(".kube/config")).into_iter().collect() } else { listed }
}

fn state_of(path: &Path) -> KubeconfigState {
    // Reading a named pipe would block until somebody writes to it.
    let opened = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
    match opened.and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_dir() => KubeconfigState::Unreadable("it is a folder".to_owned()),
        Ok(_) => KubeconfigState::Readable,
        Err(error) if error.kind() == ErrorKind::NotFound => KubeconfigState::Missing,
        Err(error) => KubeconfigState::Unreadable(error.to_string()),
    }
}

/// Masks the user and password in an address.
fn without_credentials(value: &str) -> String {
    let (scheme, rest) = value.split_once("://").map_or(("", value), |(scheme, rest)| (scheme, rest));
    let end = rest.find('/').unwrap_or(rest.len());
    let Some(at) = rest[..end].rfind('@') else { return value.to_owned() };
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}***@{}", &rest[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(variables: &[(&str, &str)]) -> EnvironmentFacts {
        observe_environment(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn credentials_are_masked() {
        let rows = [
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://me:secret@proxy:3128/", "http://***@proxy:3128/"),
            ("me:se@cret@proxy:3128", "***@proxy:3128"),
            ("localhost,10.0.0.0/8", "localhost,10.0.0.0/8"),
        ];
        for (value, expected) in rows {
            assert_eq!(without_credentials(value), expected, "{value}");
        }
    }

    #[test]
    fn only_proxies_that_are_set_are_listed() {
        let facts =
            observe(&[("HTTPS_PROXY", "http://u:p@h:1"), ("HTTP_PROXY", ""), ("no_proxy", "localhost")]);
        let proxy = |name: &str, value: &str| Proxy { name: name.to_owned(), value: value.to_owned() };
        assert_eq!(facts.proxies, [proxy("HTTPS_PROXY", "http://***@h:1"), proxy("no_proxy", "localhost")]);
    }

    #[test]
    fn the_kubeconfig_variable_replaces_the_one_at_home() {
        let home = Path::new("/home/u");
        let default = vec![PathBuf::from("/home/u/.kube/config")];
        assert_eq!(kubeconfig_paths(None, Some(home)), default);
        assert_eq!(kubeconfig_paths(Some(OsStr::new("")), Some(home)), default);
        assert_eq!(
            kubeconfig_paths(Some(OsStr::new("/a::/b")), Some(home)),
            [PathBuf::from("/a"), PathBuf::from("/b")]
        );
        assert_eq!(kubeconfig_paths(None, None), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_kubeconfig_is_readable_missing_or_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config"), "").unwrap();
        assert_eq!(state_of(&dir.path().join("config")), KubeconfigState::Readable);
        assert_eq!(state_of(&dir.path().join("other")), KubeconfigState::Missing);
        assert_eq!(state_of(dir.path()), KubeconfigState::Unreadable("it is a folder".to_owned()));
    }

    #[test]
    fn the_engine_and_kind_variables_are_kept() {
        let facts = observe(&[
            ("HOME", "/home/u"),
            ("TMPDIR", "/home/u/tmp"),
            ("DOCKER_HOST", "ssh://me@builder"),
            ("KIND_EXPERIMENTAL_PROVIDER", "podman"),
        ]);
        assert_eq!(facts.home, Some(PathBuf::from("/home/u")));
        assert_eq!(facts.temporary, PathBuf::from("/home/u/tmp"));
        assert_eq!(facts.docker_host.as_deref(), Some("ssh://***@builder"));
        assert_eq!(facts.kind_provider.as_deref(), Some("podman"));
    }
}
