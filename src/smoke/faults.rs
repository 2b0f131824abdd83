//! Errors of a step, and what the client's errors mean in plain words.

use milvus::v2::error::Error;
use tonic::Code;

use super::check::Wrong;
use super::why::NotReached;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum StepFault {
    /// The server answered, and the answer is wrong.
    #[error("wrong answer: {0}")]
    Wrong(#[from] Wrong),
    /// No usable server at the address.
    #[error(transparent)]
    NoServer(#[from] NotReached),
    /// The server refused a request, or did not answer it.
    #[error("{0}")]
    Refused(String),
    /// The time for all steps is up.
    #[error(
        "timed out after {seconds:.1} s, the time limit for all steps; the server answers too slowly or hangs, \
         allow more time or look at `milvusctl status`"
    )]
    TimedOut {
        /// How long the test had run.
        seconds: f64,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Stopped,
}

impl From<Error> for StepFault {
    fn from(error: Error) -> Self {
        Self::Refused(in_words(&error))
    }
}

/// Explains a client error on an established connection.
fn in_words(error: &Error) -> String {
    match error {
        Error::Grpc(status) => match status.code() {
            _ if is_connection_lost(status) => format!(
                "the server stopped answering: {}; is Milvus still running (`milvusctl status`)?",
                reason(status.message())
            ),
            Code::Unauthenticated => format!("the server refused the login: {}", reason(status.message())),
            Code::PermissionDenied => {
                format!("the account may not do this: {}", reason(status.message()))
            }
            Code::Unimplemented => {
                format!("the server does not know this request: {}", reason(status.message()))
            }
            code => format!("the request failed: {} ({code:?})", reason(status.message())),
        },
        Error::Server(error) => {
            format!("the server refused: {} (code {})", reason(error.reason()), error.code())
        }
        Error::RetryExhausted { attempts, source } => {
            format!("{}; tried {attempts} times", in_words(source))
        }
        Error::Timeout(what) => format!("timed out: {what}"),
        Error::MalformedResponse(what) => format!("the server's answer cannot be understood: {what}"),
        other => other.to_string(),
    }
}

/// Explains a client error while connecting to `uri`.
pub(super) fn no_server(uri: &str, error: &Error, seconds: f64) -> NotReached {
    let uri = uri.to_owned();
    match error {
        Error::Grpc(status) => match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => {
                NotReached::LoginRefused { uri, reason: reason(status.message()) }
            }
            Code::Unimplemented => NotReached::NotMilvus { uri, what: "a server of another kind".into() },
            _ => NotReached::Trouble { uri, reason: reason(status.message()) },
        },
        Error::Server(error) if sounds_like_login(error.reason()) => {
            NotReached::LoginRefused { uri, reason: reason(error.reason()) }
        }
        Error::Server(error) => NotReached::Trouble { uri, reason: reason(error.reason()) },
        Error::RetryExhausted { source, .. } => no_server(&uri, source, seconds),
        Error::Timeout(_) => NotReached::Silent { uri, seconds },
        other => NotReached::Trouble { uri, reason: in_words(other) },
    }
}

/// A connection that breaks during a request has the code `Unknown`, like many other errors.
fn is_connection_lost(status: &tonic::Status) -> bool {
    match status.code() {
        Code::Unavailable => true,
        Code::Unknown => status.message() == "transport error",
        _ => false,
    }
}

/// Milvus before 2.3 reports a refused login as an ordinary error status.
fn sounds_like_login(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    ["auth check failure", "unauthenticated", "authorization", "incorrect password"]
        .iter()
        .any(|word| reason.contains(word))
}

fn reason(message: &str) -> String {
    let message = message.trim();
    if message.is_empty() { "it gave no reason".to_owned() } else { message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_server_is_reported_with_the_number_of_attempts() {
        let error = Error::RetryExhausted {
            attempts: 3,
            source: Box::new(Error::Grpc(tonic::Status::unavailable("tcp connect error"))),
        };
        assert_eq!(
            StepFault::from(error).to_string(),
            "the server stopped answering: tcp connect error; is Milvus still running (`milvusctl status`)?; \
             tried 3 times"
        );
    }

    #[test]
    fn a_broken_connection_is_a_lost_server() {
        let error = Error::Grpc(tonic::Status::unknown("transport error"));
        assert!(StepFault::from(error).to_string().starts_with("the server stopped answering"));
        let error = Error::Grpc(tonic::Status::unknown("odd"));
        assert_eq!(StepFault::from(error).to_string(), "the request failed: odd (Unknown)");
    }

    #[test]
    fn errors_while_connecting_are_distinguished() {
        let uri = || "http://h:1".to_owned();
        let table = [
            (
                tonic::Status::unauthenticated("auth check failure"),
                NotReached::LoginRefused { uri: uri(), reason: "auth check failure".into() },
            ),
            (
                tonic::Status::unimplemented("unknown service"),
                NotReached::NotMilvus { uri: uri(), what: "a server of another kind".into() },
            ),
            (
                tonic::Status::internal(""),
                NotReached::Trouble { uri: uri(), reason: "it gave no reason".into() },
            ),
        ];
        for (status, expected) in table {
            assert_eq!(no_server("http://h:1", &Error::Grpc(status), 1.0), expected);
        }
        assert_eq!(
            no_server("http://h:1", &Error::Timeout("connecting".into()), 1.0),
            NotReached::Silent { uri: uri(), seconds: 1.0 }
        );
    }

    #[test]
    fn an_old_servers_refused_login_is_recognised() {
        assert!(sounds_like_login("auth check failure, please check username and password are correct"));
        assert!(!sounds_like_login("collection not found"));
    }
}
