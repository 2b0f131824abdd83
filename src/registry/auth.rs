//! Authentication: the logins of `docker login`, and the tokens they or anonymous access get.
//!
//! A login is only sent to the registry's host and the token service it names, never to where it redirects. A
//! token is requested once per host and scope.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use docker_credential::DockerCredential;
use serde::Deserialize;

use super::agents::{Agents, describe};
use super::place::Place;
use crate::images::reference::DOCKER_HUB;
use crate::net::{Scheme, host_of};

/// The name Docker stores its Docker Hub login under.
const DOCKER_HUB_LOGIN: &str = "https://index.docker.io/v1/";
/// How long to use a token that does not say when it expires, per the token specification.
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// How long before it expires to renew a token.
const MARGIN: Duration = Duration::from_secs(5);

/// Finds the login for a server, by Docker's name for it.
pub type Logins = Arc<dyn Fn(&str) -> Option<DockerCredential> + Send + Sync>;

/// The authentication a registry demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// The logins and tokens of a run. None of it is ever printed.
pub(super) struct Auth {
    logins: Logins,
    /// What each host demanded, so it need not refuse first.
    challenges: Mutex<HashMap<String, Challenge>>,
    known: Mutex<HashMap<String, Option<Arc<DockerCredential>>>>,
    /// By host and scope.
    tokens: Mutex<HashMap<(String, String), TokenSlot>>,
}

/// A token, or the place for one that is being requested.
type TokenSlot = Arc<Mutex<Option<Token>>>;

#[derive(Clone)]
struct Token {
    value: String,
    until: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// What a token is requested for.
struct TokenRequest<'a> {
    /// The address of the token service.
    realm: &'a str,
    service: Option<&'a str>,
    /// The repository and what to do there.
    scope: String,
}

impl Auth {
    pub(super) fn new(logins: Logins) -> Self {
        Self { logins, challenges: Mutex::default(), known: Mutex::default(), tokens: Mutex::default() }
    }

    /// The `Authorization` header for a request to `place`, if it is known to need one.
    pub(super) fn header(
        &self,
        agents: &Agents,
        place: &Place,
        actions: &str,
    ) -> Result<Option<String>, String> {
        let challenges = self.challenges.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(challenge) = challenges.get(&place.api).cloned() else { return Ok(None) };
        drop(challenges);
        match challenge {
            Challenge::Basic => Ok(match self.login(&place.host).as_deref() {
                Some(DockerCredential::UsernamePassword(user, password)) => Some(basic(user, password)),
                _ => None,
            }),
            Challenge::Bearer { realm, service, .. } => {
                let scope = format!("repository:{}:{actions}", place.repository);
                let ask = TokenRequest { realm: &realm, service: service.as_deref(), scope };
                self.token(agents, place, &ask).map(Some)
            }
        }
    }

    /// Records the challenge of a 401 response; false if there is none to act on.
    pub(super) fn challenged(&self, place: &Place, header: &str) -> bool {
        let Some(challenge) = parse_challenge(header) else { return false };
        let mut challenges = self.challenges.lock().unwrap_or_else(PoisonError::into_inner);
        challenges.insert(place.api.clone(), challenge);
        true
    }

    /// Discards the token for `place`, which the registry no longer accepts.
    pub(super) fn expire(&self, place: &Place, actions: &str) {
        let scope = format!("repository:{}:{actions}", place.repository);
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(&(place.api.clone(), scope));
    }

    fn login(&self, host: &str) -> Option<Arc<DockerCredential>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let server = if host == DOCKER_HUB { DOCKER_HUB_LOGIN } else { host };
        known.entry(host.to_owned()).or_insert_with(|| (self.logins)(server).map(Arc::new)).clone()
    }

    fn token(&self, agents: &Agents, place: &Place, ask: &TokenRequest<'_>) -> Result<String, String> {
        let key = (place.api.clone(), ask.scope.clone());
        let slot = {
            let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tokens.entry(key).or_default())
        };
        // A second caller waits here for the first one's token.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = slot.as_ref().filter(|token| token.until > Instant::now()) {
            return Ok(format!("Bearer {}", token.value));
        }
        let token = self.request_token(agents, place, ask)?;
        let header = format!("Bearer {}", token.value);
        *slot = Some(token);
        Ok(header)
    }

    fn request_token(&self, agents: &Agents, place: &Place, ask: &TokenRequest<'_>) -> Result<Token, String> {
        let TokenRequest { realm, service, scope } = ask;
        let uri: ureq::http::Uri =
            realm.parse().map_err(|_| "its token service has an invalid address".to_owned())?;
        let host = host_of(&uri).unwrap_or_default();
        let scheme = match (uri.scheme_str(), place.scheme) {
            (Some("https"), Scheme::Unverified) if host == place.api => Scheme::Unverified,
            (Some("https"), _) => Scheme::Https,
            // Never send a login in the clear unless the registry itself uses plain HTTP.
            (Some("http"), Scheme::Http) => Scheme::Http,
            _ => return Err("its token service is not encrypted".to_owned()),
        };
        let agent = agents.of(&host, scheme)?;
        let login = self.login(&place.host);
        let answer = if let Some(DockerCredential::IdentityToken(identity)) = login.as_deref() {
            agent.post(*realm).send_form([
                ("grant_type", "refresh_token"),
                ("service", service.unwrap_or_default()),
                ("client_id", "milvusctl"),
                ("scope", scope.as_str()),
                ("refresh_token", identity),
            ])
        } else {
            let mut request = agent.get(*realm).query("scope", scope);
            if let Some(service) = service {
                request = request.query("service", service);
            }
            if let Some(DockerCredential::UsernamePassword(user, password)) = login.as_deref() {
                request = request.header("Authorization", basic(user, password));
            }
            request.call()
        };
        let mut answer = answer
            .map_err(|error| format!("its token service `{host}` gave no token: {}", describe(&error)))?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(format!("its token service `{host}` answered with HTTP status {status}"));
        }
        let garbled = |_| format!("its token service `{host}` did not return a token");
        let body = answer.body_mut().with_config().limit(1024 * 1024).read_to_vec().map_err(garbled)?;
        let body: TokenAnswer =
            serde_json::from_slice(&body).map_err(|_| garbled(ureq::Error::BodyStalled))?;
        let life = body.expires_in.map_or(TOKEN_LIFE, Duration::from_secs);
        let value = body.token.or(body.access_token).filter(|token| !token.is_empty());
        let value = value.ok_or_else(|| garbled(ureq::Error::BodyStalled))?;
        Ok(Token { value, until: Instant::now() + life.saturating_sub(MARGIN).max(MARGIN) })
    }
}

/// Parses a `WWW-Authenticate` header.
fn parse_challenge(header: &str) -> Option<Challenge> {
    let (kind, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if kind.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !kind.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut fields: HashMap<String, String> = HashMap::new();
    let mut rest = rest.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            // A quoted scope may contain commas.
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        fields.insert(name.trim().to_ascii_lowercase(), value.to_owned());
        rest = next.trim_start_matches([',', ' ']);
    }
    let mut field = |name: &str| fields.remove(name);
    Some(Challenge::Bearer { realm: field("realm")?, service: field("service"), scope: field("scope") })
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        };
        let rows = [
            (
                r#"Bearer realm="https://auth.example.com/token",service="r.example.com",scope="repository:a/b:pull,push""#,
                Some(bearer(
                    "https://auth.example.com/token",
                    Some("r.example.com"),
                    Some("repository:a/b:pull,push"),
                )),
            ),
            (
                "bearer realm=https://a.example.com/t, service=x",
                Some(bearer("https://a.example.com/t", Some("x"), None)),
            ),
            (r#"Basic realm="Registry""#, Some(Challenge::Basic)),
            ("Basic", Some(Challenge::Basic)),
            ("Negotiate", None),
            (r#"Bearer service="x""#, None),
        ];
        for (header, expected) in rows {
            assert_eq!(parse_challenge(header), expected, "{header}");
        }
    }

    #[test]
    fn a_login_becomes_a_basic_authorization_header() {
        assert_eq!(basic("user", "pass:word"), "Basic dXNlcjpwYXNzOndvcmQ=");
    }
}
