//! `smoke`: finds the Milvus to test, runs the smoke test against it and reports.

use std::time::{Duration, Instant};

use crate::cli::SmokeArgs;
use crate::context::{Context, parse_duration};
use crate::error::{Exit, Note, failure};
use crate::reach::smoke::{self, Place};
use crate::smoke::{Login, Options, check_built};
use crate::text::{Secret, comment};

/// How long to wait for a pod when a forward is needed.
const POD: Duration = Duration::from_secs(60);

/// Runs the smoke test.
///
/// # Errors
/// Fails with [`Exit::Usage`] when the options cannot be carried out or this build has no smoke test, and when a
/// step fails.
pub(super) fn run(args: &SmokeArgs, context: &Context) -> anyhow::Result<Exit> {
    check_built().exit(Exit::Usage)?;
    let mut options = options(args)?;
    options.login = login(|name| std::env::var(name).ok())?;
    // The address is checked later, when it is not given.
    options.check().exit(Exit::Usage)?;
    let place = match &args.uri {
        Some(uri) => Place::Given(uri.clone()),
        None => smoke::find_place(context, Instant::now() + POD)?,
    };
    place.uri().clone_into(&mut options.uri);
    if context.dry_run {
        let plan = format!("would run the smoke test against {}, in a collection of its own", options.uri);
        context.ui.document(&comment(&plan));
        return Ok(Exit::Done);
    }
    let report = smoke::run_against(context, &options)?;
    if context.wants_json() {
        context.answer_json(&report)?;
    }
    let exit = smoke::judge(&report)?;
    if exit == Exit::Done && !context.wants_json() {
        context.ui.data(&smoke::summary(&report));
    }
    Ok(exit)
}

fn options(args: &SmokeArgs) -> anyhow::Result<Options> {
    // Stands in until the address is known; it passes every check.
    let uri = args.uri.clone().unwrap_or_else(|| "http://127.0.0.1:19530".to_owned());
    Ok(Options {
        database: args.database.clone(),
        rows: args.rows,
        dim: args.dim,
        index: args.index,
        metric: args.metric,
        consistency: args.consistency,
        timeout: parse_duration("--timeout", &args.timeout)?,
        ..Options::new(uri)
    })
}

/// The login that the environment gives: `MILVUSCTL_TOKEN`, or `MILVUSCTL_USER` with `MILVUSCTL_PASSWORD`.
///
/// # Errors
/// Fails with [`Exit::Usage`] when it gives both or half of one.
pub(super) fn login(env: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Login>> {
    let given = |name: &str| env(name).filter(|value| !value.is_empty());
    let usage = |message: &str| Err(failure(Exit::Usage, message));
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
    fn half_a_login_or_two_are_a_mistake_in_the_usage() {
        let (token, user, password) =
            (("MILVUSCTL_TOKEN", "t0ken"), ("MILVUSCTL_USER", "root"), ("MILVUSCTL_PASSWORD", "s3cret"));
        for variables in [vec![user], vec![password], vec![token, user], vec![token, user, password]] {
            let error = login_of(&variables).unwrap_err();
            assert_eq!(exit_of(&error), Exit::Usage);
            assert!(!error.to_string().contains("s3cret") && !error.to_string().contains("t0ken"), "{error}");
        }
    }
}
