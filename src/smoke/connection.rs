//! Configures the SDK's connection, and asks a server for its version.

use std::time::{Duration, Instant};

use milvus::v2::prelude as sdk;
use milvus::v2::prelude::{ClientV2, ConnectConfig};

use super::Login;
use super::faults::no_server;
use super::why::{NotReached, ServerVersion};

/// Asks the server at `uri` for its version, without logging in.
pub(super) fn ask_version(uri: &str, timeout: Duration) -> Result<ServerVersion, NotReached> {
    let trouble = |reason: String| NotReached::Trouble { uri: uri.to_owned(), reason };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| trouble(error.to_string()))?;
    let begun = Instant::now();
    runtime.block_on(async {
        let ask = async {
            let client = ClientV2::new(&configuration(uri, None, None, timeout)).await?;
            client.server_version(sdk::GetServerVersionRequest::builder().build()?).await
        };
        let seconds = || begun.elapsed().as_secs_f64();
        match tokio::time::timeout(timeout, ask).await {
            Ok(Ok(answer)) => Ok(ServerVersion { version: Some(answer.version().to_owned()) }),
            Ok(Err(error)) => Err(no_server(uri, &error, seconds())),
            Err(_) => Err(NotReached::Silent { uri: uri.to_owned(), seconds: seconds() }),
        }
    })
}

/// The SDK's connection configuration for `uri`.
pub(super) fn configuration(
    uri: &str,
    login: Option<&Login>,
    database: Option<&str>,
    connect_timeout: Duration,
) -> ConnectConfig {
    // A few attempts bridge a restarting proxy; the SDK's default of 75 would hide a dead server for minutes.
    let retry = sdk::RetryConfig::new()
        .max_attempts(6)
        .initial_backoff(Duration::from_millis(100))
        .max_backoff(Duration::from_secs(2));
    let config = ConnectConfig::new()
        .uri(uri)
        .connect_timeout(connect_timeout)
        .retry(retry)
        .telemetry(sdk::TelemetryConfig::new().enabled(false));
    let config = match login {
        None => config,
        Some(Login::Token(token)) => config.token(token.expose()),
        Some(Login::Password { user, password }) => config.username(user).password(password.expose()),
    };
    match database {
        None => config,
        Some(database) => config.database(database),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_sends_no_telemetry() {
        let config = configuration("http://localhost:1", None, None, Duration::from_secs(1));
        assert!(format!("{config:?}").contains("enabled: false"), "{config:?}");
    }
}
