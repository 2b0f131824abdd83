//! Tools fetched from a test server and from test folders.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Instant;

use super::super::download::DownloadLimits;
use super::super::release::{Arch, HostPlatform, Os};
use super::super::test_server::{SeenRequest, Server, ServerReply};
use super::super::unpack::tests::archive;
use super::*;
use crate::net::Proxies;

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

#[test]
fn a_cut_download_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let server = kind_server(|body, asked, before| {
        let reply = ServerReply::ranged(body, asked);
        if before < 2 { reply.cut_after(60_000) } else { reply }
    });
    from_server(&server, dir.path()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("kind")).unwrap(), program());
    let from: Vec<_> = server.asked().into_iter().map(|asked| asked.from).collect();
    assert_eq!(from, [None, Some(60_000), Some(120_000)]);
}

#[test]
fn a_later_run_resumes_a_failed_download() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(part(dir.path()), &program()[..150_000]).unwrap();
    let server = kind_server(|body, asked, _| ServerReply::ranged(body, asked));
    from_server(&server, dir.path()).unwrap();
    assert_eq!(server.asked()[0], SeenRequest { path: KIND.to_owned(), from: Some(150_000) });
}

#[test]
fn a_complete_part_is_only_checked() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(part(dir.path()), program()).unwrap();
    let server = kind_server(|body, asked, _| ServerReply::ranged(body, asked));
    from_server(&server, dir.path()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("kind")).unwrap(), program());
}

#[test]
fn a_corrupt_part_is_discarded_and_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(part(dir.path()), [7; 1000]).unwrap();
    let server = kind_server(|body, asked, _| ServerReply::ranged(body, asked));
    from_server(&server, dir.path()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("kind")).unwrap(), program());
}

#[test]
fn a_server_without_ranges_is_read_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(part(dir.path()), &program()[..150_000]).unwrap();
    let server = kind_server(|body, _, _| ServerReply::body(body));
    from_server(&server, dir.path()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("kind")).unwrap(), program());
}

#[test]
fn a_server_that_always_cuts_at_the_same_place_is_abandoned() {
    let dir = tempfile::tempdir().unwrap();
    let server = kind_server(|body, _, _| ServerReply::body(body).cut_after(5000));
    let error = from_server(&server, dir.path()).unwrap_err();
    assert!(matches!(error, FetchError::Network { attempts: 3, .. }), "{error}");
    assert!(part(dir.path()).exists());
    assert_eq!(programs(dir.path()), [""; 0]);
}

#[test]
fn a_missing_release_is_not_retried() {
    let dir = tempfile::tempdir().unwrap();
    let server = kind_server(|_, _, _| ServerReply::status(404));
    let error = from_server(&server, dir.path()).unwrap_err();
    let expected = format!("could not fetch kind: `{}{KIND}` does not exist (HTTP status 404)", server.url);
    assert_eq!(error.to_string(), expected);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_sign_in_page_is_not_the_pinned_program() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| ServerReply::body("<html>please sign in</html>"));
    let error = from_server(&server, dir.path()).unwrap_err();
    assert!(matches!(error, FetchError::WrongChecksum { .. }), "{error}");
    assert_eq!(programs(dir.path()), [""; 0]);
}

/// Fetches kind from a server whose response exceeds the limit, and returns the files left.
fn too_large(
    answer: impl Fn(&[u8], &SeenRequest, usize) -> ServerReply + Send + Sync + 'static,
) -> (String, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let server = kind_server(answer);
    let request = request(Tool::Kind, dir.path(), ToolSource::Mirror(server.url.clone()));
    let client = Downloader {
        tool: Tool::Kind,
        patience: request.patience,
        stop: &AtomicBool::new(false),
        limit_bytes: 100_000,
        network: &Network::default(),
    };
    let url = format!("{}{KIND}", server.url);
    let error = client.file(&url, &part(dir.path()), &mut |_| ()).unwrap_err().to_string();
    let left = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    (error.replace(&server.url, ""), left.map(|name| name.into_string().unwrap()).collect())
}

#[test]
fn a_download_that_is_too_large_is_refused_and_leaves_nothing() {
    let refused = format!("refused kind from `{KIND}`: it is larger than 100000 bytes");
    assert_eq!(too_large(|body, _, _| ServerReply::body(body)), (refused.clone(), vec![]));
    assert_eq!(
        too_large(|body, _, _| ServerReply { endless: true, ..ServerReply::body(body) }),
        (refused, vec![])
    );
}

#[test]
fn redirects_are_followed_with_their_range() {
    let dir = tempfile::tempdir().unwrap();
    let target = Server::start(|asked, _| ServerReply::ranged(&program(), asked));
    let location = format!("{}/elsewhere", target.url);
    let server = kind_server(move |_, _, _| ServerReply {
        headers: vec![("Location", location.clone())],
        ..ServerReply::status(302)
    });
    std::fs::write(part(dir.path()), &program()[..9000]).unwrap();
    from_server(&server, dir.path()).unwrap();
    assert_eq!(target.asked(), [SeenRequest { path: "/elsewhere".to_owned(), from: Some(9000) }]);
}

#[test]
fn a_failing_server_is_retried_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let server =
        kind_server(
            |body, asked, before| {
                if before < 1 { ServerReply::status(503) } else { ServerReply::ranged(body, asked) }
            },
        );
    let (result, seen) = run(&request(Tool::Kind, dir.path(), ToolSource::Mirror(server.url.clone())));
    result.unwrap();
    let why = "the server answered with HTTP status 503".to_owned();
    assert_eq!(seen[0], FetchProgress::Retrying { why, after: Duration::from_millis(5) });
    let whole = program().len() as u64;
    assert!(seen.contains(&FetchProgress::Fetching { received: whole, total: Some(whole) }));
}

#[test]
fn a_silent_server_is_abandoned() {
    let dir = tempfile::tempdir().unwrap();
    let silence = Duration::from_secs(20);
    let server = kind_server(move |body, _, _| ServerReply { silence, ..ServerReply::body(body) });
    let begin = Instant::now();
    let error = from_server(&server, dir.path()).unwrap_err();
    assert!(
        matches!(&error, FetchError::Network { why, .. } if why == "it was silent for too long"),
        "{error}"
    );
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_slow_server_that_keeps_sending_is_not_abandoned() {
    let dir = tempfile::tempdir().unwrap();
    // All pieces together take longer than the server may be silent.
    let server = kind_server(|body, _, _| ServerReply { pieces: 6, ..ServerReply::body(body) });
    from_server(&server, dir.path()).unwrap();
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn an_interrupt_ends_a_silent_download_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let silence = Duration::from_secs(20);
    let server = kind_server(move |body, _, _| ServerReply { silence, ..ServerReply::body(body) });
    let mut request = request(Tool::Kind, dir.path(), ToolSource::Mirror(server.url.clone()));
    request.patience.idle = Duration::from_secs(20);
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            stop.store(true, Ordering::Relaxed);
        });
        fetch(&request, &Network::default(), &mut |_| (), &stop).unwrap_err()
    });
    assert!(matches!(error, FetchError::Interrupted { tool: Tool::Kind }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_refused_connection_is_a_network_error() {
    let dir = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = run(&request(Tool::Kind, dir.path(), ToolSource::Mirror(url))).0.unwrap_err();
    assert!(matches!(error, FetchError::Network { attempts: 3, .. }), "{error}");
}

#[test]
fn a_failure_names_the_proxy_it_went_through() {
    let dir = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = |name: &str| (name == "HTTP_PROXY").then(|| format!("http://user:secret@{address}"));
    let network = Network { proxies: Proxies::from(proxy).unwrap(), ..Network::default() };
    let request = request(Tool::Kind, dir.path(), ToolSource::Mirror("http://tools.invalid".to_owned()));
    let error = fetch(&request, &network, &mut |_| (), &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.ends_with(&format!("(through the proxy `{address}`)")), "{error}");
    assert!(!error.contains("secret"));
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

#[test]
fn a_folder_of_plain_programs_is_trusted_and_reported_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for tool in Tool::ALL {
        std::fs::write(folder.path().join(tool.name()), program()).unwrap();
        let source = ToolSource::Folder(folder.path().to_path_buf());
        let installed = run(&request(tool, dir.path(), source)).0.unwrap();
        assert_eq!((installed.checked, installed.version), (Checked::Trusted, None));
    }
    assert_eq!(programs(dir.path()), ["helm", "kind", "kubectl"]);
}

#[test]
fn a_release_file_in_a_folder_must_be_the_pinned_one() {
    let dir = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kind-linux-amd64");
    let request = request(Tool::Kind, dir.path(), ToolSource::Folder(folder.path().to_path_buf()));
    let evil = b"#!/bin/sh\nevil";
    std::fs::write(&file, evil).unwrap();
    std::fs::write(folder.path().join("kind-linux-amd64.sha256"), sum_of(evil).as_str()).unwrap();
    assert!(matches!(run(&request).0, Err(FetchError::WrongChecksum { .. })));
    std::fs::write(&file, program()).unwrap();
    let installed = run(&request).0.unwrap();
    assert_eq!((installed.checked, installed.version), (Checked::Pinned, Some("0.33.0".to_owned())));
}

#[test]
fn a_checksum_beside_a_plain_program_must_match() {
    let dir = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sum = folder.path().join("kind.sha256");
    std::fs::write(folder.path().join("kind"), program()).unwrap();
    std::fs::write(&sum, sum_of(b"other").as_str()).unwrap();
    let request = request(Tool::Kind, dir.path(), ToolSource::Folder(folder.path().to_path_buf()));
    assert!(matches!(run(&request).0, Err(FetchError::WrongChecksum { .. })));
    std::fs::write(&sum, sum_line(&program(), "kind")).unwrap();
    assert_eq!(run(&request).0.unwrap().checked, Checked::Against(sum.display().to_string()));
}

#[test]
fn a_folder_without_the_tool_is_reported_with_the_paths_searched() {
    let dir = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = ToolSource::Folder(folder.path().to_path_buf());
    let error = run(&request(Tool::Kind, dir.path(), source)).0.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "could not find kind in the folder `{}`: looked for `kind/v0.33.0/kind-linux-amd64`, \
             `v0.33.0/kind-linux-amd64`, `kind-linux-amd64`, `kind`",
            folder.path().display()
        )
    );
}

#[test]
fn a_web_page_saved_as_a_tool_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kubectl"), "<html>not found</html>").unwrap();
    let source = ToolSource::Folder(folder.path().to_path_buf());
    let error = run(&request(Tool::Kubectl, dir.path(), source)).0.unwrap_err();
    assert!(matches!(error, FetchError::NotAProgram { .. }), "{error}");
    assert_eq!(programs(dir.path()), [""; 0]);
}

#[test]
fn a_login_in_the_address_of_a_mirror_is_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let server = kind_server(|body, asked, _| ServerReply::ranged(body, asked));
    let with_login = |url: &str| ToolSource::Mirror(url.replace("http://", "http://me:s3cr3t@"));
    let installed = run(&request(Tool::Kind, dir.path(), with_login(&server.url))).0.unwrap();
    assert_eq!(installed.from, format!("{}{KIND}", server.url.replace("http://", "http://***@")));
    let missing = Server::start(|_, _| ServerReply::status(404));
    let other = tempfile::tempdir().unwrap();
    let error = run(&request(Tool::Kind, other.path(), with_login(&missing.url))).0.unwrap_err().to_string();
    assert!(error.contains("http://***@127.0.0.1"), "{error}");
}
