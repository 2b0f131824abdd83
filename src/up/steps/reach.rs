//! The node ports of Attu and Milvus, and the final smoke test.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::reach::expose::expose;
use crate::reach::smoke::{SmokeTarget, find_place, judge, login, run_against};
use crate::reach::{Target, WantedPort};
use crate::smoke::Options;
use crate::up::work::{Progress, StepOutcome, Work};

/// How long an exposed URL may take to answer.
const ANSWER: Duration = Duration::from_secs(120);

/// Exposes Attu or Milvus on its node port and tests the URL.
pub(crate) struct ExposeTarget {
    pub(crate) target: Target,
    pub(crate) node_port: u16,
}

impl Work for ExposeTarget {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        let Self { target, node_port } = self;
        Ok(format!("milvusctl expose {target} --nodeport {node_port} {}", context.same_cluster()))
    }

    fn run(&self, context: &Context, progress: &mut Progress) -> anyhow::Result<StepOutcome> {
        let Self { target, node_port } = self;
        let (name, url) = match target {
            Target::Attu => ("Attu", &mut progress.urls.attu),
            _ => ("Milvus", &mut progress.urls.milvus),
        };
        let step = context.ui.step(&format!("Exposing {name}"));
        let wanted = WantedPort { target, node_port: *node_port, service_port: None };
        let exposed = expose(context, wanted, ANSWER, &mut |what| step.waits_for(what))
            .with_context(|| format!("could not expose {name} on node port {node_port}"))?;
        if !exposed.answered {
            step.failed();
            let why = exposed.problem.unwrap_or_else(|| "it does not answer".to_owned());
            bail!(
                Failure::new(Exit::Failed, format!("{name} is exposed at {}, but {why}", exposed.url))
                    .hint("`milvusctl status` shows the pods behind it")
            );
        }
        let line = format!("{name} answers at {}", exposed.url);
        *url = Some(exposed.url);
        Ok(if exposed.changed {
            step.done(&line);
            StepOutcome::Done
        } else {
            step.unchanged(&line);
            StepOutcome::Unchanged
        })
    }
}

/// Runs the smoke test.
pub(crate) struct SmokeTest;

impl Work for SmokeTest {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        Ok(format!("milvusctl smoke {}", context.same_cluster()))
    }

    fn run(&self, context: &Context, progress: &mut Progress) -> anyhow::Result<StepOutcome> {
        // A temporary port forward lasts as long as `place`.
        let place = match &progress.urls.milvus {
            Some(url) => SmokeTarget::Exposed(url.clone()),
            None => find_place(context, Instant::now() + ANSWER)?,
        };
        let mut options = Options::new(place.uri());
        options.login = login(|name| std::env::var(name).ok())?;
        let report = run_against(context, &options)?;
        match judge(&report)? {
            Exit::Done => Ok(StepOutcome::Done),
            exit => Err(Failure::new(exit, "the smoke test was stopped").into()),
        }
    }
}
