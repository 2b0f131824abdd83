//! Checks whether the expected service answers at a URL.

use std::time::Duration;

use crate::smoke::{self, NotReached};

/// The timeout of one request.
const ANSWER: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    /// It does not answer yet.
    NotYet(String),
    /// Something else answers, so waiting is pointless.
    SomethingElse(String),
}

/// Checks whether Milvus answers at `url`, even if it only demands a login.
pub(crate) fn milvus(url: &str) -> Answer {
    match smoke::reachable(url, ANSWER) {
        Ok(_) => Answer::Yes,
        Err(why) if why.is_from_milvus() => Answer::Yes,
        Err(why @ NotReached::NotMilvus { .. }) => Answer::SomethingElse(why.to_string()),
        Err(why) => Answer::NotYet(why.to_string()),
    }
}

/// Checks whether an HTTP server answers at `url`, with any status.
pub(crate) fn web(url: &str) -> Answer {
    // No proxy of the environment stands between this machine and its own ports.
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .build()
        .into();
    match agent.get(url).call() {
        Ok(_) => Answer::Yes,
        Err(error @ (ureq::Error::Http(_) | ureq::Error::Protocol(_))) => {
            Answer::SomethingElse(format!("`{url}` does not speak HTTP: {error}"))
        }
        Err(error) => Answer::NotYet(format!("no answer from `{url}`: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// A server that says `answer` to the one client it takes.
    fn serve(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            _ = client.read(&mut [0; 1024]);
            _ = client.write_all(answer.as_bytes());
        });
        url
    }

    #[test]
    fn any_status_is_an_answer() {
        for status in ["200 OK", "302 Found\r\nLocation: http://127.0.0.1:1/", "404 Not Found", "500 No"] {
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").leak();
            assert_eq!(web(&serve(answer)), Answer::Yes, "{status}");
        }
    }

    #[test]
    fn a_connection_that_is_closed_is_no_answer() {
        assert!(matches!(web(&serve("")), Answer::NotYet(_)));
    }

    #[test]
    fn a_port_that_nobody_has_is_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        assert!(matches!(web(&url), Answer::NotYet(_)));
        assert!(matches!(milvus(&url), Answer::NotYet(_)));
    }

    #[test]
    fn a_web_page_is_not_milvus() {
        let url = serve("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        assert!(matches!(milvus(&url), Answer::SomethingElse(_)));
    }
}
