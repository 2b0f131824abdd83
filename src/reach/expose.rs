//! Exposes a target at a node port, by a Service of milvusctl's own, and checks that it answers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::kube::endpoint;
use crate::reach::answer::{self, Answer};
use crate::reach::surroundings;
use crate::reach::{self, ExposePlan, ExposeRefusal, WantedPort};

/// The polling interval for pods and answers.
const POLL: Duration = Duration::from_secs(1);

/// What was exposed; serialises to the JSON of `milvusctl expose -o json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Exposed {
    /// The Service with the node port, as `NAMESPACE/NAME`.
    pub(crate) service: String,
    pub(crate) node_port: u16,
    /// The URL for this machine.
    pub(crate) url: String,
    /// Whether the URL answered.
    pub(crate) answered: bool,
    pub(crate) changed: bool,
    /// Why the URL did not answer.
    #[serde(skip)]
    pub(crate) problem: Option<String>,
}

/// Exposes `wanted` and waits up to `timeout` until its pods are ready and its URL answers; tells `on_wait`
/// what it waits for. Applies nothing that is already right.
///
/// A URL that does not answer is an outcome, not an error. A dry run does not wait.
///
/// # Errors
/// Fails with [`Exit::Usage`], before applying anything, when the port is not available; with
/// [`Exit::TimedOut`] when no pod becomes ready; and when the cluster or the engine does not answer.
pub(crate) fn expose(
    context: &Context,
    wanted: WantedPort<'_>,
    timeout: Duration,
    on_wait: &mut dyn FnMut(&str),
) -> anyhow::Result<Exposed> {
    let end = Instant::now() + timeout;
    let plan = observe_and_plan(context, wanted)?;
    let mut exposed = Exposed {
        service: format!("{}/{}", plan.namespace, plan.name),
        node_port: wanted.node_port,
        url: plan.url.clone(),
        answered: false,
        changed: plan.write.is_some(),
        problem: None,
    };
    if let Some(service) = &plan.write {
        context
            .kubectl()
            .apply(&service.render()?)
            .with_context(|| format!("could not write Service `{}`", exposed.service))?;
    }
    if context.dry_run {
        return Ok(exposed);
    }
    wait_for_pods(context, &plan, timeout, end, on_wait)?;
    exposed.problem = wait_for_answer(context, &plan, end, on_wait)?;
    exposed.answered = exposed.problem.is_none();
    Ok(exposed)
}

fn observe_and_plan(context: &Context, wanted: WantedPort<'_>) -> anyhow::Result<ExposePlan> {
    // Check what needs no cluster first.
    reach::check_range(wanted.node_port).or_else(|refusal| refuse(&refusal, wanted))?;
    let milvus = &context.settings.milvus;
    let candidates = wanted.target.candidates(&milvus.namespace, &milvus.name);
    let reach = surroundings::reach(context)?;
    let services = surroundings::services(context)?;
    let planned = reach::plan(wanted, &candidates, &services, &reach);
    planned.or_else(|refusal| refuse(&refusal, wanted))
}

fn refuse<T>(refusal: &ExposeRefusal, wanted: WantedPort<'_>) -> anyhow::Result<T> {
    let exit = if refusal.is_usage() { Exit::Usage } else { Exit::Failed };
    let message = format!("could not expose `{}`: {refusal}", wanted.target);
    Err(Failure::new(exit, message).hints(refusal.hints(wanted)).into())
}

fn wait_for_pods(
    context: &Context,
    plan: &ExposePlan,
    timeout: Duration,
    end: Instant,
    on_wait: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    loop {
        let pods = surroundings::pods_behind(context, &plan.namespace, &plan.selector)?;
        let Some(why) = endpoint::why_not_ready(&pods) else { return Ok(()) };
        if Instant::now() >= end {
            let message = format!(
                "Service `{}/{}` exists, but none of its pods became ready within {}: {why}",
                plan.namespace,
                plan.name,
                crate::ui::seconds(timeout)
            );
            bail!(Failure::new(Exit::TimedOut, message).hint(
                "`milvusctl status` shows what is missing; `milvusctl load-missing-images` loads images",
            ));
        }
        on_wait(&why);
        context.sleep(POLL)?;
    }
}

/// Returns why the URL did not answer, or `None` if it did.
fn wait_for_answer(
    context: &Context,
    plan: &ExposePlan,
    end: Instant,
    on_wait: &mut dyn FnMut(&str),
) -> anyhow::Result<Option<String>> {
    loop {
        let answer = if plan.is_milvus { answer::milvus(&plan.url) } else { answer::web(&plan.url) };
        match answer {
            Answer::Yes => return Ok(None),
            Answer::SomethingElse(why) => return Ok(Some(why)),
            Answer::NotYet(why) if Instant::now() >= end => return Ok(Some(why)),
            Answer::NotYet(why) => on_wait(&why),
        }
        context.sleep(POLL)?;
    }
}

#[cfg(test)]
#[path = "expose_tests.rs"]
mod tests;
