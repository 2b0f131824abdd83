//! Downloads from servers that misbehave.

use super::*;

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
fn a_server_that_drips_is_abandoned_and_what_it_sent_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let server = kind_server(|body, _, _| ServerReply { pieces: body.len(), ..ServerReply::body(body) });
    let mut request = request(Tool::Kind, dir.path(), ToolSource::Mirror(server.url.clone()));
    request.patience.idle = Duration::from_secs(60);
    request.patience.drip = Duration::from_millis(500);
    let error = run(&request).0.unwrap_err();
    assert!(
        matches!(&error, FetchError::Network { why, attempts: 3, .. } if why.contains("next to nothing")),
        "{error}"
    );
    assert!(server.asked().last().unwrap().from.is_some_and(|from| from > 0));
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
