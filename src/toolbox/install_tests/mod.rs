//! Tools fetched from a test server and from test folders.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Instant;

use super::super::download::DownloadLimits;
use super::super::release::{Arch, HostPlatform, Os, Tool};
use super::super::test_server::{SeenRequest, Server, ServerReply};
use super::super::unpack::tests::archive;
use super::*;
use crate::net::Proxies;

mod downloads;
mod folders;

const LINUX: HostPlatform = HostPlatform { os: Os::Linux, arch: Arch::Amd64 };
const KIND: &str = "/v0.33.0/kind-linux-amd64";

/// A program large enough to be cut.
fn program() -> Vec<u8> {
    let mut bytes = b"#!/bin/sh\n".to_vec();
    bytes.extend((0..200_000_u32).map(|i| u8::try_from(i % 251).unwrap()));
    bytes
}

fn sum_of(bytes: &[u8]) -> Sha256Sum {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    Sha256Sum::of_file(file.path(), &AtomicBool::new(false)).unwrap().unwrap()
}

fn sum_line(bytes: &[u8], name: &str) -> String {
    format!("{}  {name}\n", sum_of(bytes))
}

/// Starts a server for kind that responds with `answer`, given the program.
fn kind_server(answer: impl Fn(&[u8], &SeenRequest, usize) -> ServerReply + Send + Sync + 'static) -> Server {
    let body = program();
    Server::start(move |asked, before| match asked.path.as_str() {
        KIND => answer(&body, asked, before),
        _ => ServerReply::status(404),
    })
}

fn request(tool: Tool, dir: &Path, source: ToolSource) -> ToolRequest {
    let patience = DownloadLimits {
        connect: Duration::from_secs(5),
        idle: Duration::from_millis(300),
        drip: Duration::from_secs(20),
        attempts: 3,
        first_delay: Duration::from_millis(5),
    };
    let (dir, sha256) = (dir.to_path_buf(), sum_of(&program()));
    ToolRequest { tool, version: tool.pinned(), platform: LINUX, dir, sha256, source, patience }
}

fn run(request: &ToolRequest) -> (Result<Installed, FetchError>, Vec<FetchProgress>) {
    let mut seen = Vec::new();
    let result = fetch(request, &Network::default(), &mut |step| seen.push(step), &AtomicBool::new(false));
    (result, seen)
}

fn from_server(server: &Server, dir: &Path) -> Result<Installed, FetchError> {
    run(&request(Tool::Kind, dir, ToolSource::Mirror(server.url.clone()))).0
}

/// Returns the executable files in `dir`.
fn programs(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.metadata().unwrap().mode() & 0o111 != 0)
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn part(dir: &Path) -> PathBuf {
    dir.join(format!(".kind.0.33.0-{}.part", &sum_of(&program()).as_str()[..16]))
}

#[test]
fn a_checked_program_is_put_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let server = kind_server(|body, asked, _| ServerReply::ranged(body, asked));
    let installed = from_server(&server, &dir.path().join("new/bin")).unwrap();
    let path = dir.path().join("new/bin/kind");
    assert_eq!(
        installed,
        Installed {
            tool: Tool::Kind,
            path: path.clone(),
            version: Some("0.33.0".to_owned()),
            sha256: sum_of(&program()),
            from: format!("{}{KIND}", server.url),
            checked: Checked::Pinned,
            unchanged: false,
        }
    );
    assert_eq!(std::fs::read(path).unwrap(), program());
    assert_eq!(programs(&dir.path().join("new/bin")), ["kind"]);
}

#[test]
fn a_second_run_fetches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = kind_server(|body, asked, _| ServerReply::ranged(body, asked));
    let first = from_server(&server, dir.path()).unwrap();
    let second = from_server(&server, dir.path()).unwrap();
    assert_eq!(second, Installed { unchanged: true, ..first });
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_program_that_was_changed_is_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = kind_server(|body, asked, _| ServerReply::ranged(body, asked));
    from_server(&server, dir.path()).unwrap();
    std::fs::write(dir.path().join("kind"), "#!/bin/false").unwrap();
    assert!(!from_server(&server, dir.path()).unwrap().unchanged);
    assert_eq!(std::fs::read(dir.path().join("kind")).unwrap(), program());
}

#[test]
fn a_program_with_the_wrong_sum_is_refused_and_the_old_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("kind"), "older").unwrap();
    let server = kind_server(|_, _, _| ServerReply::body("#!/bin/sh\nevil"));
    let error = from_server(&server, dir.path()).unwrap_err();
    let FetchError::WrongChecksum { expected, found, .. } = &error else { panic!("{error}") };
    assert_eq!(*expected, sum_of(&program()).to_string());
    assert_eq!(*found, sum_of(b"#!/bin/sh\nevil").to_string());
    assert_eq!(std::fs::read_to_string(dir.path().join("kind")).unwrap(), "older");
    assert_eq!(programs(dir.path()), [""; 0]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_and_installs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", part(dir.path())).unwrap();
    let server = kind_server(|body, asked, _| ServerReply::ranged(body, asked));
    let error = from_server(&server, dir.path()).unwrap_err();
    let expected = format!("could not write `{}`: the disk is full", part(dir.path()).display());
    assert_eq!(error.to_string(), expected);
    assert!(!dir.path().join("kind").exists());
}

#[test]
fn concurrent_runs_fetch_once() {
    let dir = tempfile::tempdir().unwrap();
    let silence = Duration::from_millis(100);
    let server = Arc::new(kind_server(move |body, asked, _| ServerReply {
        silence,
        ..ServerReply::ranged(body, asked)
    }));
    let unchanged: Vec<bool> = std::thread::scope(|scope| {
        let runs = [(); 3].map(|()| scope.spawn(|| from_server(&server, dir.path()).unwrap().unchanged));
        let mut unchanged = runs.map(|run| run.join().unwrap()).to_vec();
        unchanged.sort_unstable();
        unchanged
    });
    assert_eq!(unchanged, [false, true, true]);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn helm_is_extracted_from_its_archive() {
    let dir = tempfile::tempdir().unwrap();
    let helm = b"#!/bin/sh\necho helm\n";
    let bytes = archive(&[("linux-amd64/helm", tar::EntryType::Regular, helm)]);
    let sha256 = sum_of(&bytes);
    let server = Server::start(move |asked, _| ServerReply::ranged(&bytes, asked));
    let source = ToolSource::Mirror(server.url.clone());
    let request = ToolRequest { sha256, ..request(Tool::Helm, dir.path(), source) };
    let installed = run(&request).0.unwrap();
    assert_eq!(installed.sha256, sum_of(helm));
    assert_eq!(programs(dir.path()), ["helm"]);
    let paths: Vec<_> = server.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["/helm-v3.19.0-linux-amd64.tar.gz"]);
}

#[test]
fn an_archive_with_escaping_paths_installs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bytes = archive(&[
        ("../evil", tar::EntryType::Regular, b"evil"),
        ("linux-amd64/helm", tar::EntryType::Regular, b"#!"),
    ]);
    std::fs::write(folder.path().join("helm-v3.19.0-linux-amd64.tar.gz"), &bytes).unwrap();
    let source = ToolSource::Folder(folder.path().to_path_buf());
    let request = ToolRequest { sha256: sum_of(&bytes), ..request(Tool::Helm, dir.path(), source) };
    let error = run(&request).0.unwrap_err();
    assert!(matches!(error, FetchError::Archive { .. }), "{error}");
    assert_eq!(programs(dir.path()), [""; 0]);
}
