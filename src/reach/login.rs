//! The smoke test's login to Milvus, from the environment.

use crate::error::{Exit, Failure};
use crate::smoke::Login;
use crate::text::Secret;

/// Reads the login from the environment: `MILVUSCTL_TOKEN`, or `MILVUSCTL_USER` with `MILVUSCTL_PASSWORD`.
///
/// # Errors
/// Fails with [`Exit::Usage`] when both are set, or half of one.
pub(crate) fn login(env: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Login>> {
    let given = |name: &str| env(name).filter(|value| !value.is_empty());
    let usage = |message: &str| Err(Failure::new(Exit::Usage, message).into());
    match (given("MILVUSCTL_TOKEN"), given("MILVUSCTL_USER"), given("MILVUSCTL_PASSWORD")) {
        (None, None, None) => Ok(None),
        (Some(token), None, None) => Ok(Some(Login::Token(Secret::new(token)))),
        (None, Some(user), Some(password)) => {
            Ok(Some(Login::Password { user, password: Secret::new(password) }))
        }
        (Some(_), _, _) => {
            usage("set either `MILVUSCTL_TOKEN`, or `MILVUSCTL_USER` and `MILVUSCTL_PASSWORD`, not both")
        }
        (None, Some(_), None) => usage("`MILVUSCTL_USER` is set; set `MILVUSCTL_PASSWORD` too"),
        (None, None, Some(_)) => usage("`MILVUSCTL_PASSWORD` is set; set `MILVUSCTL_USER` too"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_of;

    fn login_of(variables: &[(&str, &str)]) -> anyhow::Result<Option<Login>> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        login(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_login_comes_from_the_environment() {
        let (token, user, password) = ("MILVUSCTL_TOKEN", "MILVUSCTL_USER", "MILVUSCTL_PASSWORD");
        assert_eq!(login_of(&[]).unwrap(), None);
        assert_eq!(login_of(&[(token, ""), (user, "")]).unwrap(), None);
        assert_eq!(login_of(&[(token, "t")]).unwrap(), Some(Login::Token(Secret::new("t"))));
        assert_eq!(
            login_of(&[(user, "root"), (password, "p")]).unwrap(),
            Some(Login::Password { user: "root".into(), password: Secret::new("p") })
        );
    }

    #[test]
    fn half_a_login_or_two_logins_are_a_usage_error() {
        let (token, user, password) =
            (("MILVUSCTL_TOKEN", "t0ken"), ("MILVUSCTL_USER", "root"), ("MILVUSCTL_PASSWORD", "s3cret"));
        for variables in [vec![user], vec![password], vec![token, user], vec![token, user, password]] {
            let error = login_of(&variables).unwrap_err();
            assert_eq!(exit_of(&error), Exit::Usage);
            assert!(!error.to_string().contains("s3cret") && !error.to_string().contains("t0ken"), "{error}");
        }
    }
}
