//! Parses the answer of `docker info`, or why there is none.

use std::path::Path;

use super::facts::{CgroupVersion, Engine, EngineInfo};
use crate::tools::{DockerInfo, EngineRefusal};

/// Parses the output of `docker info --format '{{json .}}'`; `client` is the path of the `docker` command.
///
/// Without an engine, some clients print the errors as JSON and exit successfully, so output does not prove
/// that an engine runs.
pub fn parse_docker_info(text: &str, client: Option<&Path>) -> Engine {
    let info = match DockerInfo::read(text) {
        Ok(info) => info,
        Err(error) => {
            return Engine::Failed { message: format!("`docker info` did not print JSON: {error}") };
        }
    };
    if let Some(errors) = info.errors() {
        return classify_failure(&errors);
    }
    if !info.is_from_an_engine() {
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

/// Derives the engine's state from what `docker` wrote to standard error.
pub fn classify_failure(stderr: &str) -> Engine {
    let message = stderr.trim().to_owned();
    match EngineRefusal::of(&message) {
        EngineRefusal::PermissionDenied => Engine::PermissionDenied { message },
        EngineRefusal::NotRunning => Engine::NotRunning { message },
        EngineRefusal::Other => Engine::Failed { message },
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
    fn a_real_engine_is_parsed() {
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
    fn the_containerd_store_is_recognised_by_driver_type() {
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
    fn null_lists_are_empty() {
        let info = running(r#"{"ServerVersion":"28.0.0","DriverStatus":null,"SecurityOptions":null}"#);
        assert_eq!((info.containerd_image_store, info.rootless, info.cgroup), (false, false, None));
    }

    #[test]
    fn a_rootless_engine_is_recognised_by_security_options() {
        let info = running(
            r#"{"ServerVersion":"28.0.0","SecurityOptions":["name=seccomp,profile=builtin","name=rootless"]}"#,
        );
        assert!(info.rootless);
    }

    #[test]
    fn a_snap_is_recognised_by_its_folders() {
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
    fn errors_in_the_json_mean_that_no_engine_answered() {
        let message = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon \
                       running?";
        let text = format!(r#"{{"ServerErrors":["{message}"],"ClientInfo":{{"Debug":false}}}}"#);
        let expected = Engine::NotRunning { message: message.to_owned() };
        assert_eq!(parse_docker_info(&text, None), expected);
    }

    #[test]
    fn other_answers_are_failures() {
        for text in ["", "Client: Docker Engine", "{}", r#"{"ServerVersion":""}"#, r#"{"ServerVersion":1}"#] {
            assert!(matches!(parse_docker_info(text, None), Engine::Failed { .. }), "{text}");
        }
    }
}
