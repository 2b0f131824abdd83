//! `smoke`: finds a Milvus, runs the smoke test against it and reports the result.

use std::time::{Duration, Instant};

use crate::cli::SmokeArgs;
use crate::context::Context;
use crate::error::{Exit, Note};
use crate::reach::smoke::{self, SmokeTarget};
use crate::smoke::{Options, OptionsError, check_built, one_database, without_database};
use crate::text::comment;

/// How long to wait for a pod if a port forward is needed.
const POD: Duration = Duration::from_secs(60);

/// Runs the smoke test.
///
/// # Errors
/// Fails with [`Exit::Usage`] if the options are invalid or this build has no smoke test, and fails if a step
/// fails.
pub(super) fn run(args: &SmokeArgs, context: &Context) -> anyhow::Result<Exit> {
    check_built().exit(Exit::Usage)?;
    let mut options = options(args).exit(Exit::Usage)?;
    options.login = smoke::login(|name| std::env::var(name).ok())?;
    // If no address is given, it is checked once known.
    options.check().exit(Exit::Usage)?;
    let place = match &args.uri {
        Some(_) => SmokeTarget::Given(options.uri.clone()),
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

fn options(args: &SmokeArgs) -> Result<Options, OptionsError> {
    // A placeholder that passes every check until the address is known.
    let uri = args.uri.as_deref().unwrap_or("http://127.0.0.1:19530");
    let (uri, database) = without_database(uri);
    Ok(Options {
        database: one_database(database, args.database.clone())?,
        rows: args.rows,
        dim: args.dim,
        index: args.index,
        metric: args.metric,
        consistency: args.consistency,
        timeout: args.timeout,
        ..Options::new(uri)
    })
}
