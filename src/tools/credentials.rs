//! Docker's credential helpers: programs named `docker-credential-NAME` that store logins.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use crate::process::{Cmd, ExecError, Runner};

/// How long a helper may take.
const ANSWER: Duration = Duration::from_secs(20);
/// A working helper's message if it has no login for a server (docker-credential-helpers, `credentials/error.go`).
const NONE: &str = "credentials not found in native keychain";

/// The helpers that did not answer in time; each is asked only once per run.
pub(super) type SlowHelpers = Arc<Mutex<BTreeSet<String>>>;

/// A credential helper.
pub struct CredentialHelper {
    program: String,
    runner: Arc<dyn Runner>,
    slow: SlowHelpers,
}

/// A stored login. Has no `Debug`, so that it cannot be printed by accident.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeptLogin {
    /// `<token>` if the secret is an identity token.
    pub username: String,
    pub secret: String,
}

impl CredentialHelper {
    pub(super) fn new(name: &str, runner: Arc<dyn Runner>, slow: SlowHelpers) -> Self {
        Self { program: format!("docker-credential-{name}"), runner, slow }
    }

    /// The program's name.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Returns the login for `server`, or `None` if the helper has none.
    ///
    /// # Errors
    /// Fails if the helper is missing, fails, times out or returns something else. Errors never include its standard
    /// output.
    pub fn login(&self, server: &str) -> Result<Option<KeptLogin>, ExecError> {
        let cmd = Cmd::read(self.program.as_str(), ANSWER).arg("get").input(server);
        let mut slow = self.slow.lock().unwrap_or_else(PoisonError::into_inner);
        if slow.contains(&self.program) {
            return Err(ExecError::TimedOut { cmd: cmd.line(), limit: ANSWER, tail: Vec::new() });
        }
        let output = match self.runner.run(&cmd) {
            Ok(output) => output,
            Err(ExecError::Failed { tail, stdout, .. }) if says_none(&tail, &stdout) => return Ok(None),
            Err(ExecError::Failed { cmd, status, code, tail, stdout }) => {
                // Without any standard error, the last lines are from standard output.
                let is_of_stdout =
                    tail.last().is_some_and(|last| String::from_utf8_lossy(&stdout).contains(last));
                let tail = if is_of_stdout { Vec::new() } else { tail };
                return Err(ExecError::Failed { cmd, status, code, tail, stdout: Vec::new() });
            }
            Err(error) => {
                if let ExecError::TimedOut { cmd, limit, .. } = error {
                    slow.insert(self.program.clone());
                    return Err(ExecError::TimedOut { cmd, limit, tail: Vec::new() });
                }
                return Err(error);
            }
        };
        let kept: Result<KeptLogin, _> = serde_json::from_slice(&output.stdout);
        kept.map(Some).map_err(|_| ExecError::Garbage { cmd: cmd.line(), problem: "no login".to_owned() })
    }
}

fn says_none(tail: &[String], stdout: &[u8]) -> bool {
    String::from_utf8_lossy(stdout).trim() == NONE || tail.iter().any(|line| line.trim() == NONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ScriptedRunner;

    fn asked(runner: ScriptedRunner) -> Result<Option<KeptLogin>, ExecError> {
        CredentialHelper::new("test", Arc::new(runner), SlowHelpers::default()).login("r.example.com")
    }

    const GET: &str = "docker-credential-test get";

    #[test]
    fn a_login_is_read_and_its_absence_is_no_failure() {
        let answer = r#"{"ServerURL":"r.example.com","Username":"me","Secret":"hunter2"}"#;
        let login = asked(ScriptedRunner::default().answer(GET, answer)).unwrap().unwrap();
        assert_eq!((login.username.as_str(), login.secret.as_str()), ("me", "hunter2"));
        assert!(asked(ScriptedRunner::default().fail(GET, NONE)).unwrap().is_none());
    }

    #[test]
    fn an_answer_that_is_no_login_is_not_repeated() {
        let answer = ScriptedRunner::default().answer(GET, r#"{"Username":"me","Secret":{"hunter2":1}}"#);
        let error = asked(answer).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        assert_eq!(error.to_string(), "`docker-credential-test get` returned unexpected output: no login");
    }
}
