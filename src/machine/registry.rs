//! Checks whether a registry or mirror answers, and how fast.

use std::time::{Duration, Instant};

use super::facts::{Registry, RegistryState};
use crate::net::{Network, Scheme, describe, is_this_machine};

/// Requests the root of the registry API, `https://HOST/v2/`, through `network`.
///
/// Any HTTP status counts as an answer. Like Docker, uses plain HTTP for a host on this machine; for others, plain HTTP
/// if `plain`. Takes at most about `timeout`.
pub fn probe_registry(network: &Network, host: &str, plain: bool, timeout: Duration) -> Registry {
    let is_plain = plain || is_this_machine(host);
    let (scheme, prefix) = if is_plain { (Scheme::Http, "http") } else { (Scheme::Https, "https") };
    let begin = Instant::now();
    let state = match network.config(host, scheme) {
        Err(why) => RegistryState::Failed(why),
        Ok(config) => {
            let agent = config.timeout_global(Some(timeout)).build().new_agent();
            match agent.get(format!("{prefix}://{host}/v2/")).call() {
                Ok(response) => RegistryState::Answered(response.status().as_u16()),
                Err(ureq::Error::Timeout(_)) => {
                    RegistryState::Failed(format!("no answer within {} s", timeout.as_secs_f32()))
                }
                Err(error) => RegistryState::Failed(describe(&error, timeout)),
            }
        }
    };
    let millis = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    Registry { host: host.to_owned(), millis, state }
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
        let registry = probe_registry(&Network::default(), &host, false, Duration::from_secs(5));
        assert_eq!((registry.host, registry.state), (host, RegistryState::Answered(401)));
    }

    #[test]
    fn a_silent_registry_times_out() {
        let host = serve("");
        let registry = probe_registry(&Network::default(), &host, false, Duration::from_millis(200));
        assert_eq!(registry.state, RegistryState::Failed("no answer within 0.2 s".to_owned()));
        assert!((200..3000).contains(&registry.millis), "{}", registry.millis);
    }

    #[test]
    fn a_refused_connection_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        drop(listener);
        let state = probe_registry(&Network::default(), &host, false, Duration::from_secs(5)).state;
        assert!(matches!(&state, RegistryState::Failed(why) if why.contains("refused")), "{state:?}");
    }
}
