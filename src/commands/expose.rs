//! `expose`: exposes a Service on a node port and prints a URL that has been tested.

use anyhow::bail;

use crate::cli::ExposeArgs;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::reach::WantedPort;
use crate::reach::expose::{Exposed, expose};

/// Exposes the target and prints its URL.
///
/// # Errors
/// Fails if the port is not available, no pod becomes ready, or the URL does not answer.
pub(super) fn run(args: &ExposeArgs, context: &Context) -> anyhow::Result<Exit> {
    let timeout = args.timeout;
    let _lift = context.deadline.set(timeout);
    let wanted = WantedPort {
        target: &args.target,
        node_port: args.nodeport,
        service_port: args.service_port.as_deref(),
    };
    let step = context.ui.step(&format!("Exposing `{}` on node port {}", args.target, args.nodeport));
    let exposed = match expose(context, wanted, timeout, &mut |what| step.waits_for(what)) {
        Ok(exposed) => exposed,
        Err(error) => {
            step.failed();
            return Err(error);
        }
    };
    if context.dry_run {
        step.vanish();
        if !exposed.changed {
            context.ui.line(&format!("Service `{}` is up to date", exposed.service));
        }
        return Ok(Exit::Done);
    }
    if exposed.answered {
        let title = format!("Service `{}` answers on node port {}", exposed.service, exposed.node_port);
        if exposed.changed { step.done(&title) } else { step.unchanged(&format!("{title}, as before")) }
    } else {
        step.failed();
    }
    answer(context, &exposed)
}

fn answer(context: &Context, exposed: &Exposed) -> anyhow::Result<Exit> {
    if context.wants_json() {
        context.answer_json(exposed)?;
    }
    if let Some(problem) = &exposed.problem {
        let message = format!(
            "Service `{}` exists and its pods are ready, but `{}` does not answer: {problem}",
            exposed.service, exposed.url
        );
        bail!(
            Failure::new(Exit::Failed, message).hint(
                "run the same command again with a longer `--timeout`, or look with `milvusctl status`"
            )
        );
    }
    if !context.wants_json() {
        context.ui.data(&exposed.url);
    }
    Ok(Exit::Done)
}
