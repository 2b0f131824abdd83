//! Finds the cluster's Milvus and runs the smoke test against it, showing each step.

use std::time::Instant;

use anyhow::Context as _;

use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::kube::service::pick_port;
use crate::reach::forward::{self, Connection};
use crate::reach::local_port::free_port;
pub(crate) use crate::reach::login::login;
use crate::reach::surroundings;
use crate::reach::{self, Target};
use crate::smoke::{self, Options, SmokeError, SmokeReport, StepEvent};
use crate::ui;

/// Where to test a Milvus. Dropping this ends the forward, if any.
pub(crate) enum SmokeTarget {
    /// An address that the user gave.
    Given(String),
    /// A node port that is mapped to this machine.
    Exposed(String),
    /// A forward that the test opened.
    Forwarded(Box<Connection>),
}

impl SmokeTarget {
    /// The URI for a client.
    pub(crate) fn uri(&self) -> &str {
        match self {
            Self::Given(uri) | Self::Exposed(uri) => uri,
            Self::Forwarded(connection) => connection.url(),
        }
    }
}

/// Finds a way to the cluster's Milvus: its node port, or else a forward to a pod, which it waits for until
/// `end`.
///
/// # Errors
/// Fails when the cluster does not answer or has no Milvus, or when none of its pods becomes ready.
pub(crate) fn find_place(context: &Context, end: Instant) -> anyhow::Result<SmokeTarget> {
    if let Some(uri) = exposed(context)? {
        return Ok(SmokeTarget::Exposed(uri));
    }
    let step = context.ui.step("Forwarding a port to Milvus");
    let backend = forward::find_backend(context, &Target::Milvus)?;
    let pod = forward::await_pod(context, &backend, end, &mut |what| step.waits_for(what))?;
    let address = "127.0.0.1";
    let connection = forward::connect(context, &backend, pod, address, free_port(address)?)
        .context("could not forward a port to Milvus")?;
    step.done(&format!("No node port of Milvus is mapped; forwarding it to {}", connection.url()));
    Ok(SmokeTarget::Forwarded(Box::new(connection)))
}

/// The URL where Milvus is exposed, whether or not it answers.
///
/// # Errors
/// Fails when the cluster or the engine does not answer.
pub(crate) fn exposed(context: &Context) -> anyhow::Result<Option<String>> {
    let milvus = &context.settings.milvus;
    let (namespace, name) = (milvus.namespace.clone(), format!("{}-milvus", milvus.name));
    let own = (namespace.clone(), format!("{name}-nodeport"));
    let reach = surroundings::reach(context)?;
    let services = surroundings::services(context)?;
    for candidate in [own, (namespace, name)] {
        let Ok(service) = reach::find(&[candidate], &services) else { continue };
        let port = pick_port(service, None).ok().and_then(|port| port.node_port);
        if let Some(url) = port.and_then(|port| reach.url(port)) {
            return Ok(Some(url));
        }
    }
    Ok(None)
}

/// Runs the smoke test and shows each step. A failed step is reported, not an error.
///
/// # Errors
/// Fails before sending anything: with [`Exit::Usage`] for invalid options, and in a build without the
/// client.
pub(crate) fn run_against(context: &Context, options: &Options) -> anyhow::Result<SmokeReport> {
    let mut under_way = None;
    let mut on_step = |event: StepEvent<'_>| match event {
        StepEvent::Started(name) => under_way = Some(context.ui.step(&format!("smoke: {}", name.as_str()))),
        StepEvent::Finished(step) => {
            let Some(shown) = under_way.take() else { return };
            if step.ok { shown.done(&format!("smoke: {}", step.name.as_str())) } else { shown.failed() }
        }
    };
    match smoke::run(options, &mut on_step, context.interrupt.flag()) {
        Ok(report) => Ok(report),
        Err(error @ SmokeError::Options(_)) => Err(error).exit(Exit::Usage),
        Err(error) => Err(error.into()),
    }
}

/// Turns a report into the run's exit.
///
/// # Errors
/// Names the failed step and the reason.
pub(crate) fn judge(report: &SmokeReport) -> anyhow::Result<Exit> {
    if report.interrupted {
        return Ok(Exit::Interrupted);
    }
    let Some(step) = report.failed_step() else { return Ok(Exit::Done) };
    let why = step.error.as_deref().unwrap_or("it did not end");
    let message = format!("the smoke test of `{}` failed at `{}`: {why}", report.uri, step.name.as_str());
    Err(Failure::new(Exit::Failed, message).into())
}

/// A line about a passed test.
pub(crate) fn summary(report: &SmokeReport) -> String {
    let took = report.steps.iter().map(|step| step.seconds).sum::<f64>();
    let took = ui::seconds(std::time::Duration::from_secs_f64(took.max(0.0)));
    format!("{} passed the smoke test: {} in {took}", report.uri, ui::count(report.steps.len(), "step"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_of;
    use crate::smoke::{SmokeStep, SmokeStepName};

    fn report(error: Option<&str>, interrupted: bool) -> SmokeReport {
        let step = |name, error: Option<&str>| SmokeStep {
            name,
            ok: error.is_none(),
            seconds: 0.5,
            error: error.map(str::to_owned),
        };
        let steps = vec![step(SmokeStepName::Connect, None), step(SmokeStepName::Search, error)];
        SmokeReport { ok: error.is_none(), uri: "http://h:1".into(), steps, interrupted }
    }

    #[test]
    fn a_failed_step_is_named_with_its_reason() {
        let error = judge(&report(Some("found 9 rows"), false)).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Failed);
        assert_eq!(error.to_string(), "the smoke test of `http://h:1` failed at `search`: found 9 rows");
    }

    #[test]
    fn an_interrupted_test_is_not_a_failure() {
        assert_eq!(judge(&report(Some("interrupted"), true)).unwrap(), Exit::Interrupted);
    }

    #[test]
    fn a_passed_test_reports_its_duration() {
        assert_eq!(judge(&report(None, false)).unwrap(), Exit::Done);
        assert_eq!(summary(&report(None, false)), "http://h:1 passed the smoke test: 2 steps in 1.0s");
    }
}
