//! Reads what `docker info` and `docker version` answered, or why they did not.
//!
//! The commands themselves are run elsewhere.

use std::path::Path;

use serde::Deserialize;

use super::facts::{CgroupVersion, Engine, EngineInfo};
use crate::tools::DockerInfo;

/// The part of `docker version --format '{{json .}}'` that is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    server: Option<Server>,
}

#[derive(Deserialize)]
struct Server {
    #[serde(rename = "ApiVersion")]
    api_version: Option<String>,
}

/// Reads what `docker info --format '{{json .}}'` printed; `client` is where the `docker` command was found.
///
/// With no engine to ask, some clients print the errors as JSON and end with success, so the text alone does not
/// mean that an engine runs.
pub fn parse_docker_info(text: &str, client: Option<&Path>) -> Engine {
    let info = match DockerInfo::read(text) {
        Ok(info) => info,
        Err(error) => {
            return Engine::Failed {
                message: format!("`docker info` printed something else than JSON: {error}"),
            };
        }
    };
    if let Some(errors) = info.errors() {
        return classify_failure(&errors);
    }
    if !info.is_of_an_engine() {
        return Engine::Failed { message: "`docker info` names no engine version".to_owned() };
    }
    Engine::Running(Box::new(EngineInfo {
        api_version: None,
        memory_bytes: info.mem_total,
        cpus: info.cpus,
        cgroup: match info.cgroup_version.as_str() {
            "1" => Some(CgroupVersion::V1),
            "2" => Some(CgroupVersion::V2),
            _ => None,
        },
        containerd_image_store: info.has_containerd_store(),
        rootless: info.is_rootless(),
        snap: is_snap(client, &info.docker_root_dir),
        version: info.server_version,
        name: info.name,
        operating_system: info.operating_system,
        architecture: info.architecture,
        root_dir: info.docker_root_dir,
        storage_driver: info.driver,
    }))
}

/// Returns the newest API version of the engine, from what `docker version --format '{{json .}}'` printed.
pub fn parse_api_version(text: &str) -> Option<String> {
    serde_json::from_str::<Version>(text).ok()?.server?.api_version
}

/// Tells an engine that does not run from one that this user may not use, by what `docker` said.
pub fn classify_failure(stderr: &str) -> Engine {
    let message = stderr.trim().to_owned();
    let lower = message.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
    if says(&["permission denied"]) {
        Engine::PermissionDenied { message }
    } else if says(&[
        "cannot connect to the docker daemon",
        "failed to connect to the docker api",
        "is the docker daemon running",
        "connection refused",
        "no such file or directory",
        "error during connect",
    ]) {
        Engine::NotRunning { message }
    } else {
        Engine::Failed { message }
    }
}

fn is_snap(client: Option<&Path>, root_dir: &Path) -> bool {
    client.is_some_and(|client| client.starts_with("/snap")) || root_dir.starts_with("/var/snap")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn running(text: &str) -> EngineInfo {
        match parse_docker_info(text, Some(Path::new("/usr/bin/docker"))) {
            Engine::Running(info) => *info,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_real_engine_is_read() {
        let text = include_str!("../../tests/fixtures/docker-info-20.10.24.json");
        assert_eq!(
            running(text),
            EngineInfo {
                version: "20.10.24+dfsg1".to_owned(),
                api_version: None,
                name: "vm".to_owned(),
                operating_system: "Debian GNU/Linux 12 (bookworm)".to_owned(),
                architecture: "x86_64".to_owned(),
                memory_bytes: 25_276_514_304,
                cpus: 2,
                cgroup: Some(CgroupVersion::V1),
                root_dir: PathBuf::from("/var/lib/docker"),
                storage_driver: "overlay2".to_owned(),
                containerd_image_store: false,
                rootless: false,
                snap: false,
            }
        );
    }

    #[test]
    fn the_api_version_is_the_engines_not_the_clients() {
        let text = include_str!("../../tests/fixtures/docker-version-20.10.24.json");
        assert_eq!(parse_api_version(text).as_deref(), Some("1.41"));
        let newer = text.replacen(r#""ApiVersion":"1.41""#, r#""ApiVersion":"1.50""#, 1);
        assert_eq!(parse_api_version(&newer).as_deref(), Some("1.41"));
        assert_eq!(parse_api_version(r#"{"Client":{"ApiVersion":"1.50"},"Server":null}"#), None);
    }

    #[test]
    fn the_containerd_store_is_told_by_its_driver_type() {
        let info = running(
            r#"{"ServerVersion":"29.0.0","Driver":"overlayfs",
                "DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]]}"#,
        );
        assert!(info.containerd_image_store);
        let info = running(
            r#"{"ServerVersion":"28.0.0","Driver":"overlay2",
                "DriverStatus":[["Backing Filesystem","extfs"],["Supports d_type","true"]]}"#,
        );
        assert!(!info.containerd_image_store);
    }

    #[test]
    fn lists_that_are_null_are_empty() {
        let info = running(r#"{"ServerVersion":"28.0.0","DriverStatus":null,"SecurityOptions":null}"#);
        assert_eq!((info.containerd_image_store, info.rootless, info.cgroup), (false, false, None));
    }

    #[test]
    fn a_rootless_engine_is_told_by_its_security_options() {
        let info = running(
            r#"{"ServerVersion":"28.0.0","SecurityOptions":["name=seccomp,profile=builtin","name=rootless"]}"#,
        );
        assert!(info.rootless);
    }

    #[test]
    fn a_snap_is_told_by_its_folders() {
        let rows = [
            ("/snap/bin/docker", "/var/lib/docker", true),
            ("/usr/bin/docker", "/var/snap/docker/common/var-lib-docker", true),
            ("/usr/bin/docker", "/var/lib/docker", false),
            ("/home/u/snap/docker", "/srv/snap", false),
        ];
        for (client, root_dir, expected) in rows {
            assert_eq!(
                is_snap(Some(Path::new(client)), Path::new(root_dir)),
                expected,
                "{client} {root_dir}"
            );
        }
    }

    #[test]
    fn errors_inside_the_answer_mean_that_no_engine_answered() {
        let message = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon \
                       running?";
        let text = format!(r#"{{"ServerErrors":["{message}"],"ClientInfo":{{"Debug":false}}}}"#);
        let expected = Engine::NotRunning { message: message.to_owned() };
        assert_eq!(parse_docker_info(&text, None), expected);
    }

    #[test]
    fn other_answers_are_failures_and_not_engines() {
        for text in ["", "Client: Docker Engine", "{}", r#"{"ServerVersion":""}"#, r#"{"ServerVersion":1}"#] {
            assert!(matches!(parse_docker_info(text, None), Engine::Failed { .. }), "{text}");
        }
    }

    #[test]
    fn failures_are_told_apart_by_what_docker_says() {
        let not_running = [
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct and \
             if the daemon is running: dial unix /var/run/docker.sock: connect: no such file or directory",
            "error during connect: Get \"http://builder:2375/v1.24/info\": dial tcp: connection refused",
        ];
        let denied = [
            "Got permission denied while trying to connect to the Docker daemon socket at \
             unix:///var/run/docker.sock: dial unix /var/run/docker.sock: connect: permission denied",
            "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock",
        ];
        for text in not_running {
            assert_eq!(classify_failure(text), Engine::NotRunning { message: text.to_owned() });
        }
        for text in denied {
            assert_eq!(classify_failure(text), Engine::PermissionDenied { message: text.to_owned() });
        }
        let text = "context \"desktop\" does not exist";
        assert_eq!(classify_failure(text), Engine::Failed { message: text.to_owned() });
    }

    #[test]
    fn the_api_version_is_the_servers() {
        let text = r#"{"Client":{"ApiVersion":"1.51"},"Server":{"Version":"20.10.24","ApiVersion":"1.41"}}"#;
        assert_eq!(parse_api_version(text).as_deref(), Some("1.41"));
        assert_eq!(parse_api_version(r#"{"Client":{"ApiVersion":"1.51"},"Server":null}"#), None);
        assert_eq!(parse_api_version("Client: 28"), None);
    }
}
