//! The logins of `docker login`, from Docker's `config.json` or a credential helper.
//!
//! Without a login, the registry is asked anonymously, after a warning if there should have been one.
//! `docker_credential` parses the file. The helper is run by our own runner, as it may hang and must end with all its
//! children.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde_json::Value;

use super::auth::Logins;
use crate::process::{ExecError, Interrupt, read_text};
use crate::text::Mask;
use crate::tools::Tools;

/// The user name that a helper returns with an identity token.
const TOKEN: &str = "<token>";

/// This user's logins; `warn` is called with the reason if one should exist but cannot be read.
pub fn docker_logins(
    tools: &Tools,
    interrupt: &Interrupt,
    warn: impl Fn(&str) + Send + Sync + 'static,
) -> Logins {
    let (tools, interrupt) = (tools.clone(), interrupt.clone());
    let file = config_file(|name| std::env::var_os(name).map(PathBuf::from));
    Arc::new(move |server: &str| {
        let file = file.as_ref()?;
        find(file, server, &tools, &interrupt).unwrap_or_else(|why| {
            if !interrupt.is_set() {
                warn(&format!("{why}; `{server}` is asked without a login"));
            }
            None
        })
    })
}

/// The folder of the Docker client's configuration.
fn config_file(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let set = |name: &str| var(name).filter(|value| !value.as_os_str().is_empty());
    let folder = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")))?;
    Some(folder.join("config.json"))
}

fn find(
    file: &Path,
    server: &str,
    tools: &Tools,
    interrupt: &Interrupt,
) -> Result<Option<DockerCredential>, String> {
    let shown = file.display();
    let text = match read_text(file, interrupt) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("could not read `{shown}`: {error}")),
    };
    // Give the position of the error only: the text there may be a password.
    let mut config: Value = serde_json::from_str(&text).map_err(|error| {
        format!("could not read `{shown}`: it is not JSON (line {}, column {})", error.line(), error.column())
    })?;
    let name = |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
    let of_server = name(&config["credHelpers"][server]);
    let store = name(&config["credsStore"]);
    if let Some(helper) = of_server {
        return by_helper(file, server, &helper, tools);
    }
    if let Some(fields) = config.as_object_mut() {
        fields.remove("credHelpers");
        fields.remove("credsStore");
    }
    match docker_credential::get_credential_from_reader(config.to_string().as_bytes(), server) {
        Ok(login) => Ok(Some(login)),
        Err(CredentialRetrievalError::NoCredentialConfigured) => match store {
            Some(store) => by_helper(file, server, &store, tools),
            None => Ok(None),
        },
        Err(CredentialRetrievalError::ConfigReadError) => {
            Err(format!("could not read `{shown}`: it is not a Docker configuration"))
        }
        Err(_) => Err(format!("the login for `{server}` in `{shown}` cannot be read")),
    }
}

fn by_helper(
    file: &Path,
    server: &str,
    name: &str,
    tools: &Tools,
) -> Result<Option<DockerCredential>, String> {
    let helper = tools.credential_helper(name);
    match helper.login(server) {
        Ok(kept) => Ok(kept.map(|kept| match kept.username.as_str() {
            TOKEN => DockerCredential::IdentityToken(kept.secret),
            _ => DockerCredential::UsernamePassword(kept.username, kept.secret),
        })),
        Err(error) => {
            let why = match &error {
                ExecError::NotFound { .. } => "it was not found in PATH".to_owned(),
                ExecError::TimedOut { limit, .. } => {
                    format!("it did not answer within {}", humantime::format_duration(*limit))
                }
                // A helper's message may contain the very secret.
                error => Mask::new([]).text(&error.last_words()),
            };
            Err(format!(
                "could not ask the credential helper `{}`, which `{}` names: {why}",
                helper.program(),
                file.display()
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ScriptedRunner;

    const HOST: &str = "r.example.com";
    const GET: &str = "docker-credential-test get";

    /// The login found in a configuration with `text`, with `runner` in place of helpers.
    fn found(text: &str, runner: ScriptedRunner) -> Result<Option<DockerCredential>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, text).unwrap();
        let found = find(&file, HOST, &Tools::new(Arc::new(runner)), &Interrupt::default());
        found.map_err(|why| why.replace(&file.display().to_string(), "FILE"))
    }

    fn me() -> DockerCredential {
        DockerCredential::UsernamePassword("me".into(), "hunter2".into())
    }

    #[test]
    fn a_login_in_the_file_is_taken_and_none_is_no_failure() {
        let quiet = ScriptedRunner::default;
        assert_eq!(
            found(r#"{"auths": {"r.example.com": {"auth": "bWU6aHVudGVyMg=="}}}"#, quiet()),
            Ok(Some(me()))
        );
        for none in ["{}", r#"{"auths": {"other": {"auth": "bWU6aHVudGVyMg=="}}}"#, r#"{"credsStore": ""}"#] {
            assert_eq!(found(none, quiet()), Ok(None), "{none}");
        }
        let absent = Path::new("/absent/config.json");
        let tools = Tools::new(Arc::new(quiet()));
        assert_eq!(find(absent, HOST, &tools, &Interrupt::default()), Ok(None));
    }

    #[test]
    fn a_helper_for_the_server_wins_and_the_store_is_asked_last() {
        let kept = r#"{"Username": "me", "Secret": "hunter2"}"#;
        let runner = || ScriptedRunner::default().answer(GET, kept);
        let both =
            r#"{"auths": {"r.example.com": {"auth": "eDp5"}}, "credHelpers": {"r.example.com": "test"}}"#;
        assert_eq!(found(both, runner()), Ok(Some(me())));
        assert_eq!(
            found(r#"{"auths": {"r.example.com": {}}, "credsStore": "test"}"#, runner()),
            Ok(Some(me()))
        );
        let token = ScriptedRunner::default().answer(GET, r#"{"Username": "<token>", "Secret": "t"}"#);
        let identity = Some(DockerCredential::IdentityToken("t".into()));
        assert_eq!(found(r#"{"credsStore": "test"}"#, token), Ok(identity));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_said_without_its_words() {
        let rows = [
            ("{\"auths\": hunter2", "could not read `FILE`: it is not JSON (line 1, column 11)"),
            (r#"{"auths": "hunter2"}"#, "could not read `FILE`: it is not a Docker configuration"),
            (
                r#"{"auths": {"r.example.com": {"auth": "hunter2!"}}}"#,
                "the login for `r.example.com` in `FILE` cannot be read",
            ),
        ];
        for (text, why) in rows {
            assert_eq!(found(text, ScriptedRunner::default()), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_helper_that_fails_is_said_with_its_words_and_where_it_is_named() {
        let failing = ScriptedRunner::default().fail(GET, "error: the keychain is locked");
        assert_eq!(
            found(r#"{"credsStore": "test"}"#, failing),
            Err("could not ask the credential helper `docker-credential-test`, which `FILE` names: error: the \
                 keychain is locked"
                .to_owned())
        );
    }

    #[test]
    fn dockers_folder_is_where_its_variable_says() {
        let with = |known: &'static [(&str, &str)]| {
            config_file(|name| known.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        assert_eq!(with(&[("HOME", "/h")]), Some("/h/.docker/config.json".into()));
        assert_eq!(with(&[("HOME", "/h"), ("DOCKER_CONFIG", "/d")]), Some("/d/config.json".into()));
        assert_eq!(with(&[]), None);
    }
}
