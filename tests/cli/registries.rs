//! Registries as found in practice: with their own certificates, behind proxies, with logins from a
//! credential helper. No name here resolves; only the proxy knows the way.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::fixture::{Fixture, Outcome};

const HOST: &str = "registry.example.com";
const IMAGE: &str = "registry.example.com/test/one:1";
const PASSWORD: &str = "pass-w0rd-of-mine";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

type Lines = Arc<Mutex<Vec<String>>>;

/// Accepts connections for as long as the test lives, each on its own thread, and returns the port.
pub(crate) fn serve(answer: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            std::thread::spawn(move || answer(stream));
        }
    });
    port
}

/// The first line of a request, and its headers.
fn read_head(stream: &mut impl Read) -> Option<(String, Vec<String>)> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    // Byte by byte, because what follows belongs to somebody else.
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
        // A TLS handshake has no end of a head.
        if bytes[0] == 0x16 {
            return None;
        }
    }
    let mut lines = BufReader::new(&bytes[..]).lines().map_while(Result::ok);
    Some((lines.next()?, lines.collect()))
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The registry's content by path: media type and bytes.
fn files() -> Vec<(String, &'static str, Vec<u8>)> {
    let layer = vec![0; 1024];
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({"os": "linux", "architecture": architecture,
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}});
    let config = config.to_string().into_bytes();
    let described =
        |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()});
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described("application/vnd.oci.image.layer.v1.tar", &layer)]});
    let manifest = manifest.to_string().into_bytes();
    let blob = |bytes: &[u8]| format!("/v2/test/one/blobs/{}", digest(bytes));
    vec![
        (blob(&layer), "application/octet-stream", layer),
        (blob(&config), "application/octet-stream", config),
        (format!("/v2/test/one/manifests/{}", digest(&manifest)), MANIFEST, manifest.clone()),
        ("/v2/test/one/manifests/1".to_owned(), MANIFEST, manifest),
    ]
}

/// Answers one request. With a `login`, refuses requests without it.
pub(crate) fn answer(stream: &mut (impl Read + Write), login: Option<&str>) {
    let Some((request, headers)) = read_head(stream) else { return };
    let (method, path) =
        request.split_once(' ').map(|(method, rest)| (method, rest.split(' ').next())).unwrap();
    let brings = |login: &str| {
        headers.iter().any(|line| line.eq_ignore_ascii_case(&format!("authorization: {login}")))
    };
    let found = files().into_iter().find(|(known, _, _)| Some(known.as_str()) == path);
    let (status, more, body) = match found {
        _ if login.is_some_and(|login| !brings(login)) => {
            ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"test\"\r\n".to_owned(), Vec::new())
        }
        Some((_, kind, body)) => {
            let more = format!("Content-Type: {kind}\r\nDocker-Content-Digest: {}\r\n", digest(&body));
            ("200 OK", more, body)
        }
        None => ("404 Not Found", String::new(), Vec::new()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
    if method != "HEAD" {
        let _ = stream.write_all(&body);
    }
    let _ = stream.flush();
}

/// A registry that speaks TLS under the name [`HOST`]: its port, and the certificate of the authority that
/// signed its own.
pub(crate) fn tls_registry(login: Option<&'static str>) -> (u16, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![HOST.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let port = serve(move |stream| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut tls = StreamOwned::new(connection, stream);
        answer(&mut tls, login);
        tls.conn.send_close_notify();
        let _ = tls.flush();
    });
    (port, authority_pem)
}

/// A proxy that leads every tunnel to `port`, or refuses it; returns its port and the lines of its requests.
fn proxy(port: u16, refuses: bool) -> (u16, Lines) {
    let asked = Lines::default();
    let noted = asked.clone();
    let own = serve(move |mut stream| {
        let Some((request, headers)) = read_head(&mut stream) else { return };
        let login = headers.into_iter().filter(|line| line.to_lowercase().starts_with("proxy-authorization"));
        noted.lock().unwrap().extend([request].into_iter().chain(login));
        if refuses {
            let _ =
                stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
        let mut far = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut near_in, mut far_out) = (stream.try_clone().unwrap(), far.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut near_in, &mut far_out);
            let _ = far_out.shutdown(std::net::Shutdown::Write);
        });
        let _ = std::io::copy(&mut far, &mut stream);
        let _ = stream.shutdown(std::net::Shutdown::Write);
    });
    (own, asked)
}

/// A machine whose engine holds nothing.
pub(crate) fn machine() -> Fixture {
    let machine = Fixture::new();
    machine.on("docker version").says("20.10.24 1.41 1.41\n");
    machine.on("docker info").says("{\"OSType\": \"linux\"}\n");
    machine.on("docker image inspect").says("[]\n").fails(1, "Error: No such image\n");
    machine
}

fn save(machine: &Fixture, proxies: &[(&str, String)], flags: &[&str]) -> Outcome {
    let args =
        ["images", "save", "-o", "one.tar", IMAGE, "--pull-with", "registry", "--mirror-preset", "none"];
    let proxies: Vec<(&str, &str)> = proxies.iter().map(|(name, value)| (*name, value.as_str())).collect();
    machine.milvusctl_with(&proxies, &[&args[..], flags].concat())
}

fn trust(machine: &Fixture, authority: &str) {
    let folder = machine.home().join(".config/docker/certs.d").join(HOST);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ca.crt"), authority).unwrap();
}

/// Installs a credential helper where Docker looks for it; it records in `asked` whom it was asked for.
fn helper(machine: &Fixture, does: &str) {
    let folder = machine.home().join(".docker");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), json!({"credHelpers": {HOST: "test"}}).to_string()).unwrap();
    let program = machine.home().parent().unwrap().join("bin/docker-credential-test");
    let asked = machine.path("asked");
    // The input has no line break at its end, so `read` fails although it reads.
    let script =
        format!("#!/bin/sh\nread -r server || true\necho \"$1 $server\" >>'{}'\n{does}\n", asked.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_private_authority_is_trusted_through_the_certificates_of_docker_and_a_proxy() {
    let (registry, authority) = tls_registry(None);
    let (proxy, asked) = proxy(registry, false);
    let machine = machine();
    trust(&machine, &authority);
    let through = format!("http://us%65r:{PASSWORD}@127.0.0.1:{proxy}");
    let outcome = save(&machine, &[("HTTPS_PROXY", through)], &["--verbose"]).ends_with(0);
    assert!(machine.path("one.tar").is_file());
    let login = base64::engine::general_purpose::STANDARD.encode(format!("user:{PASSWORD}"));
    let asked = asked.lock().unwrap().clone();
    assert!(!asked.is_empty());
    for lines in asked.chunks(2) {
        assert_eq!(lines[0], format!("CONNECT {HOST}:443 HTTP/1.1"));
        assert!(lines[1].ends_with(&format!(" Basic {login}")), "{lines:?}");
    }
    assert!(!format!("{}{}", outcome.out, outcome.err).contains(PASSWORD));
}

#[test]
fn a_registry_with_an_unknown_authority_is_refused() {
    let (registry, _) = tls_registry(None);
    let (proxy, _) = proxy(registry, false);
    let machine = machine();
    save(&machine, &[("https_proxy", format!("http://127.0.0.1:{proxy}"))], &[])
        .ends_with(1)
        .complains_of(&[HOST, "UnknownIssuer"]);
    assert!(!machine.path("one.tar").exists());
}

#[test]
fn a_credential_helper_is_asked_and_its_answer_stays_secret() {
    let login = "Basic bWU6cGFzcy13MHJkLW9mLW1pbmU=";
    let (registry, authority) = tls_registry(Some(login));
    let (proxy, _) = proxy(registry, false);
    let machine = machine();
    trust(&machine, &authority);
    let answer = json!({"ServerURL": HOST, "Username": "me", "Secret": PASSWORD});
    helper(&machine, &format!("echo '{answer}'"));
    let outcome =
        save(&machine, &[("HTTPS_PROXY", format!("http://127.0.0.1:{proxy}"))], &["--verbose"]).ends_with(0);
    assert_eq!(fs::read_to_string(machine.path("asked")).unwrap(), format!("get {HOST}\n"));
    let said = format!("{}{}", outcome.out, outcome.err);
    assert!(!said.contains(PASSWORD) && !said.contains(&login[6..]), "{said}");
}

#[test]
fn without_a_login_from_the_helper_the_registry_refuses() {
    let (registry, authority) = tls_registry(Some("Basic bWU6cGFzcy13MHJkLW9mLW1pbmU="));
    let (proxy, _) = proxy(registry, false);
    let machine = machine();
    trust(&machine, &authority);
    helper(&machine, "echo 'credentials not found in native keychain'; exit 1");
    save(&machine, &[("HTTPS_PROXY", format!("http://127.0.0.1:{proxy}"))], &[])
        .ends_with(1)
        .complains_of(&[HOST, &format!("docker login {HOST}")]);
}

/// Runs `prepare`, then saves an image from a registry that requires a login.
fn saved_with(prepare: impl FnOnce(&Fixture)) -> (Fixture, Outcome) {
    let (registry, authority) = tls_registry(Some("Basic bWU6cGFzcy13MHJkLW9mLW1pbmU="));
    let (proxy, _) = proxy(registry, false);
    let machine = machine();
    trust(&machine, &authority);
    prepare(&machine);
    let outcome = save(&machine, &[("HTTPS_PROXY", format!("http://127.0.0.1:{proxy}"))], &[]);
    (machine, outcome)
}

fn docker_config(machine: &Fixture, text: &str) -> String {
    let folder = machine.home().join(".docker");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), text).unwrap();
    folder.join("config.json").display().to_string()
}

#[test]
fn a_broken_configuration_of_docker_is_said_without_its_words_and_the_registry_asked_without_a_login() {
    let (machine, outcome) = saved_with(|machine| {
        docker_config(machine, &format!("{{\"auths\": {PASSWORD}"));
    });
    let file = machine.home().join(".docker/config.json");
    let outcome = outcome.ends_with(1).complains_of(&[
        &format!("warning: could not read `{}`: it is not JSON (line 1, column 11)", file.display()),
        &format!("`{HOST}` is asked without a login"),
        &format!("docker login {HOST}"),
    ]);
    assert!(!outcome.err.contains(PASSWORD), "{}", outcome.err);
    assert_eq!(outcome.err.matches("is not JSON").count(), 1, "{}", outcome.err);
}

#[test]
fn a_credential_helper_that_is_missing_is_named_with_the_file_that_names_it() {
    let (machine, outcome) = saved_with(|machine| {
        docker_config(machine, r#"{"credsStore": "absent"}"#);
    });
    let file = machine.home().join(".docker/config.json");
    outcome.ends_with(1).complains_of(&[&format!(
        "warning: could not ask the credential helper `docker-credential-absent`, which `{}` names: it was not found in \
         PATH; `{HOST}` is asked without a login",
        file.display()
    )]);
}

#[test]
fn a_credential_helper_that_fails_is_told_in_its_words() {
    let (_machine, outcome) =
        saved_with(|machine| helper(machine, "echo 'the keychain is locked' >&2; exit 1"));
    outcome
        .ends_with(1)
        .complains_of(&["names: the keychain is locked; `registry.example.com` is asked without"]);
}

/// A helper that hangs, with a child.
const HANGS: &str = "echo $$ >>\"$FAKE_TOOL_DIR/pids\"\n/bin/sleep 60";

#[test]
fn a_credential_helper_that_hangs_is_ended_and_told() {
    let (machine, outcome) = saved_with(|machine| helper(machine, HANGS));
    outcome
        .ends_with(1)
        .complains_of(&["names: it did not answer within 20s; `registry.example.com` is asked"]);
    assert_eq!(fs::read_to_string(machine.path("asked")).unwrap(), format!("get {HOST}\n"));
    machine.assert_all_ended();
}

#[test]
fn a_proxy_that_is_none_is_said_by_all_that_would_use_it() {
    let variables = [("HTTPS_PROXY", format!("ftp://user:{PASSWORD}@proxy:1"))];
    let why = "`HTTPS_PROXY` is not a valid proxy address";
    let hint = "correct the variable, or unset it";
    let images = save(&machine(), &variables, &[]);
    let pair = [("HTTPS_PROXY", variables[0].1.as_str())];
    let tools = Fixture::with_tools(&["docker"]);
    crate::troubleshooting::has_engine(&tools);
    let tools = tools.milvusctl_with(&pair, &["doctor", "--fix"]);
    for (outcome, code) in [(images, 1), (tools, 1)] {
        let outcome = outcome.ends_with(code).complains_of(&[why, hint]);
        assert!(!format!("{}{}", outcome.out, outcome.err).contains(PASSWORD), "{}", outcome.err);
    }
    let doctor = machine();
    crate::troubleshooting::has_engine(&doctor);
    crate::troubleshooting::has_tools(&doctor, "v0.33.0");
    let doctor = doctor.milvusctl_with(&pair, &["doctor"]);
    assert!(doctor.out.contains(why) && doctor.out.contains(hint), "{}", doctor.out);
    assert!(!format!("{}{}", doctor.out, doctor.err).contains(PASSWORD), "{}", doctor.out);
}

#[test]
fn tools_are_fetched_from_a_mirror_whose_authority_a_variable_names_through_the_proxy() {
    let (mirror, authority) = tls_registry(None);
    let (proxy, asked) = proxy(mirror, false);
    let machine = Fixture::with_tools(&["docker", "helm", "kubectl"]);
    crate::troubleshooting::has_engine(&machine);
    crate::troubleshooting::has_tools(&machine, "v0.33.0");
    let file = machine.file("authority.pem", &authority).display().to_string();
    let through = format!("http://127.0.0.1:{proxy}");
    let from = format!("https://{HOST}");
    let fix = |variables: &[(&str, &str)]| {
        let always = [("MILVUSCTL_TOOLS_MIRROR", from.as_str()), ("HTTPS_PROXY", through.as_str())];
        machine.milvusctl_with(&[&always[..], variables].concat(), &["doctor", "--fix"])
    };
    // The mirror answers 404 over TLS.
    fix(&[("SSL_CERT_FILE", &file)]).ends_with(3).complains_of(&["does not exist (HTTP status 404)"]);
    assert!(asked.lock().unwrap()[0].starts_with(&format!("CONNECT {HOST}:443")));
    fix(&[]).ends_with(3).complains_of(&["UnknownIssuer"]);
    fix(&[("SSL_CERT_FILE", "/absent.pem")]).ends_with(1).complains_of(&["set by `SSL_CERT_FILE`"]);
}

#[test]
fn a_refusing_proxy_is_reported_without_its_password() {
    let (proxy, asked) = proxy(0, true);
    let through = format!("http://user:{PASSWORD}@127.0.0.1:{proxy}");
    let machine = machine();
    let outcome = save(&machine, &[("HTTPS_PROXY", through)], &["--verbose"])
        .ends_with(1)
        .complains_of(&[HOST, "proxy"]);
    assert!(!format!("{}{}", outcome.out, outcome.err).contains(PASSWORD), "{}", outcome.err);
    assert!(!asked.lock().unwrap().is_empty());
}

#[test]
fn a_mirror_without_tls_is_reached_through_the_proxy_for_http() {
    let registry = serve(|mut stream| answer(&mut stream, None));
    let (proxy, asked) = proxy(registry, false);
    let machine = machine();
    let proxies =
        [("HTTP_PROXY", format!("http://127.0.0.1:{proxy}")), ("NO_PROXY", "other.example.com".to_owned())];
    save(&machine, &proxies, &["--mirror", "registry.example.com=http://mirror.example.com:5000"])
        .ends_with(0);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked[0], "CONNECT mirror.example.com:5000 HTTP/1.1");
}
