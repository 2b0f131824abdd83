//! Who we are to a registry: the logins of `docker login`, and the tokens that they or nobody's name buy.
//!
//! A login is for the registry's host and the token service that it names, never for where it redirects to.
//! A token is bought once for each host and scope.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use docker_credential::DockerCredential;
use serde::Deserialize;

use super::net::{Agents, describe, host_of};
use super::place::Place;
use super::scheme::Scheme;
use crate::images::reference::DOCKER_HUB;

/// The name under which Docker keeps its login to Docker Hub.
const DOCKER_HUB_LOGIN: &str = "https://index.docker.io/v1/";
/// How long a token is used that does not say for how long it holds, by the token specification.
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// How long before its end a token is renewed.
const MARGIN: Duration = Duration::from_secs(5);
/// How long a credential helper may think.
const HELPER: Duration = Duration::from_secs(20);

/// Finds the login for a server, by the name that Docker has for it.
pub type Logins = Arc<dyn Fn(&str) -> Option<DockerCredential> + Send + Sync>;

/// What a registry asks for before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// The logins and tokens of a run. Nothing of it is ever printed.
pub(super) struct Auth {
    logins: Logins,
    /// What each host asked for, so that it need not refuse first.
    challenges: Mutex<HashMap<String, Challenge>>,
    known: Mutex<HashMap<String, Option<Arc<DockerCredential>>>>,
    /// By host and scope.
    tokens: Mutex<HashMap<(String, String), TokenSlot>>,
}

/// A token, or the place of one that is being bought.
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

/// The logins of `docker login`: those in `config.json`, and those of credential helpers, which may hang.
pub fn docker_logins() -> Logins {
    Arc::new(|server: &str| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let server = server.to_owned();
        // Not joined: a helper that hangs is left behind.
        std::thread::spawn(move || {
            // Without a login the registry is asked in nobody's name, and says itself if that is not enough.
            let _ = sender.send(docker_credential::get_credential(&server).ok());
        });
        receiver.recv_timeout(HELPER).ok().flatten()
    })
}

impl Auth {
    pub(super) fn new(logins: Logins) -> Self {
        Self { logins, challenges: Mutex::default(), known: Mutex::default(), tokens: Mutex::default() }
    }

    /// The `Authorization` for a request to `place`, as far as it is known that it wants one.
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
                self.token(agents, place, &realm, service.as_deref(), &scope).map(Some)
            }
        }
    }

    /// Takes note of what a refusal (401) asks for; `false` when it asks for nothing new.
    pub(super) fn challenged(&self, place: &Place, header: &str) -> bool {
        let Some(challenge) = parse_challenge(header) else { return false };
        let mut challenges = self.challenges.lock().unwrap_or_else(PoisonError::into_inner);
        challenges.insert(place.api.clone(), challenge);
        true
    }

    /// Forgets the token for `place`, which the registry no longer takes.
    pub(super) fn expire(&self, place: &Place, actions: &str) {
        let scope = format!("repository:{}:{actions}", place.repository);
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(&(place.api.clone(), scope));
    }

    fn login(&self, host: &str) -> Option<Arc<DockerCredential>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let server = if host == DOCKER_HUB { DOCKER_HUB_LOGIN } else { host };
        known.entry(host.to_owned()).or_insert_with(|| (self.logins)(server).map(Arc::new)).clone()
    }

    fn token(
        &self,
        agents: &Agents,
        place: &Place,
        realm: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<String, String> {
        let key = (place.api.clone(), scope.to_owned());
        let slot = {
            let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tokens.entry(key).or_default())
        };
        // Whoever comes second waits here for the first one's token.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = slot.as_ref().filter(|token| token.until > Instant::now()) {
            return Ok(format!("Bearer {}", token.value));
        }
        let token = self.buy(agents, place, realm, service, scope)?;
        let header = format!("Bearer {}", token.value);
        *slot = Some(token);
        Ok(header)
    }

    fn buy(
        &self,
        agents: &Agents,
        place: &Place,
        realm: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<Token, String> {
        let uri: ureq::http::Uri =
            realm.parse().map_err(|_| "its token service has no valid address".to_owned())?;
        let host = host_of(&uri).unwrap_or_default();
        let scheme = match (uri.scheme_str(), place.scheme) {
            (Some("https"), Scheme::Unverified) if host == place.api => Scheme::Unverified,
            (Some("https"), _) => Scheme::Https,
            // A login must not travel in the clear unless the registry itself is spoken with so.
            (Some("http"), Scheme::Http) => Scheme::Http,
            _ => return Err("its token service is not encrypted".to_owned()),
        };
        let agent = agents.of(&host, scheme)?;
        let login = self.login(&place.host);
        let answer = if let Some(DockerCredential::IdentityToken(identity)) = login.as_deref() {
            agent.post(realm).send_form([
                ("grant_type", "refresh_token"),
                ("service", service.unwrap_or_default()),
                ("client_id", "milvusctl"),
                ("scope", scope),
                ("refresh_token", identity),
            ])
        } else {
            let mut request = agent.get(realm).query("scope", scope);
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
        let garbled = |_| format!("its token service `{host}` gave something else than a token");
        let body = answer.body_mut().with_config().limit(1024 * 1024).read_to_vec().map_err(garbled)?;
        let body: TokenAnswer =
            serde_json::from_slice(&body).map_err(|_| garbled(ureq::Error::BodyStalled))?;
        let life = body.expires_in.map_or(TOKEN_LIFE, Duration::from_secs);
        let value = body.token.or(body.access_token).filter(|token| !token.is_empty());
        let value = value.ok_or_else(|| garbled(ureq::Error::BodyStalled))?;
        Ok(Token { value, until: Instant::now() + life.saturating_sub(MARGIN).max(MARGIN) })
    }
}

/// Reads a `WWW-Authenticate` header.
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
            // A scope has commas of its own within the quotes.
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
    fn a_login_is_written_as_basic_authorization_wants_it() {
        assert_eq!(basic("user", "pass:word"), "Basic dXNlcjpwYXNzOndvcmQ=");
    }
}
