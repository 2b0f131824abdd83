//! Checks whether a registry or mirror answers, and how fast.

use std::time::{Duration, Instant};

use super::facts::{Registry, RegistryState};

/// Requests the root of the registry API, `https://HOST/v2/`, through the environment's proxy.
///
/// Any HTTP status counts as an answer. Like Docker, uses plain HTTP and no proxy for a host on this machine;
/// for others, plain HTTP if `plain`. Takes at most about `timeout`.
pub fn probe_registry(host: &str, plain: bool, timeout: Duration) -> Registry {
    let bare = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_here = bare == "localhost"
        || bare
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    let scheme = if is_here || plain { "http" } else { "https" };
    let proxy = if is_here { None } else { ureq::Proxy::try_from_env() };
    let agent = ureq::Agent::config_builder()
        .proxy(proxy)
        .http_status_as_error(false)
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("milvusctl/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let begin = Instant::now();
    let state = match agent.get(format!("{scheme}://{host}/v2/")).call() {
        Ok(response) => RegistryState::Answered(response.status().as_u16()),
        Err(ureq::Error::Timeout(_)) => {
            RegistryState::Failed(format!("no answer within {} s", timeout.as_secs_f32()))
        }
        Err(ureq::Error::HostNotFound) => RegistryState::Failed("its name could not be resolved".to_owned()),
        Err(ureq::Error::Io(error)) => RegistryState::Failed(why(&error)),
        Err(error) => RegistryState::Failed(error.to_string()),
    };
    let millis = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    Registry { host: host.to_owned(), millis, state }
}

/// Returns the system's message, reworded for a name that does not resolve.
fn why(error: &std::io::Error) -> String {
    let text = error.to_string();
    // The standard library's message for a failed `getaddrinfo`, whose own messages differ between systems.
    if text.starts_with("failed to lookup address information") {
        return "its name could not be resolved".to_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    fn serve(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 1024];
                let read = stream.read(&mut buffer).unwrap();
                assert!(buffer[..read].starts_with(b"GET /v2/ HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).unwrap();
                if answer.is_empty() {
                    std::thread::sleep(Duration::from_secs(5));
                }
            }
        });
        host
    }

    #[test]
    fn a_registry_that_requires_a_token_answers() {
        let host = serve("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let registry = probe_registry(&host, false, Duration::from_secs(5));
        assert_eq!((registry.host, registry.state), (host, RegistryState::Answered(401)));
    }

    #[test]
    fn a_silent_registry_times_out() {
        let host = serve("");
        let registry = probe_registry(&host, false, Duration::from_millis(200));
        assert_eq!(registry.state, RegistryState::Failed("no answer within 0.2 s".to_owned()));
        assert!((200..3000).contains(&registry.millis), "{}", registry.millis);
    }

    #[test]
    fn a_refused_connection_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        drop(listener);
        let state = probe_registry(&host, false, Duration::from_secs(5)).state;
        assert!(matches!(&state, RegistryState::Failed(why) if why.contains("refused")), "{state:?}");
    }

    #[test]
    fn an_unknown_name_is_reported_in_plain_words() {
        let unknown = "failed to lookup address information: Name or service not known";
        assert_eq!(why(&std::io::Error::other(unknown)), "its name could not be resolved");
        assert_eq!(why(&std::io::Error::other("connection reset")), "connection reset");
    }
}
