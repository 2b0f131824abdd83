//! `smoke`: finds the Milvus to test, runs the smoke test against it and reports.

use std::time::{Duration, Instant};

use crate::cli::SmokeArgs;
use crate::context::Context;
use crate::error::{Exit, Note};
use crate::reach::smoke::{self, SmokeTarget};
use crate::smoke::{Options, OptionsError, check_built, one_database, without_database};
use crate::text::comment;

/// How long to wait for a pod when a forward is needed.
const POD: Duration = Duration::from_secs(60);

/// Runs the smoke test.
///
/// # Errors
/// Fails with [`Exit::Usage`] when the options cannot be carried out or this build has no smoke test, and when a
/// step fails.
pub(super) fn run(args: &SmokeArgs, context: &Context) -> anyhow::Result<Exit> {
    check_built().exit(Exit::Usage)?;
    let mut options = options(args).exit(Exit::Usage)?;
    options.login = smoke::login(|name| std::env::var(name).ok())?;
    // The address is checked later, when it is not given.
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
    // Stands in until the address is known; it passes every check.
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
