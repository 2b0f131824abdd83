//! `forward`: forwards a local port to a pod, and to its replacement if the pod goes away.

use std::net::IpAddr;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::json;

use crate::cli::ForwardArgs;
use crate::context::Context;
use crate::error::Exit;
use crate::reach::Target;
use crate::reach::forward::{
    Backend, Connection, ForwardEvent, await_pod, command, connect, find_backend, keep,
};
use crate::reach::local_port::{check_port, free_port, parse_address};

/// Forwards until the user interrupts.
///
/// # Errors
/// Fails with [`Exit::Usage`] before starting anything if the address or port is not available, and fails if
/// the target does not exist or none of its pods becomes ready.
pub(super) fn run(args: &ForwardArgs, context: &Context) -> anyhow::Result<Exit> {
    let timeout = args.timeout;
    let address = parse_address(&args.address)?;
    // Except for user-defined Services, the port is known before asking the cluster.
    if let Some(port) = args.port.or_else(|| args.target.usual_port()) {
        check_port(address, port)?;
    }
    warn_if_public(context, &args.target, address);
    let result = forward(args, context, address, Instant::now() + timeout);
    // Interrupting is the normal way to end a forward.
    if context.interrupt.is_set() { Ok(Exit::Interrupted) } else { result }
}

fn forward(args: &ForwardArgs, context: &Context, address: IpAddr, end: Instant) -> anyhow::Result<Exit> {
    let step = context.ui.step(&format!("Forwarding to `{}`", args.target));
    let backend = find_backend(context, &args.target)?;
    let address_text = address.to_string();
    let port = match args.port.unwrap_or(backend.service_port) {
        0 => free_port(&address_text)?,
        port => port,
    };
    if args.port.is_none() && args.target.usual_port() != Some(port) {
        check_port(address, port)?;
    }
    let pod = await_pod(context, &backend, end, &mut |what| step.waits_for(what))?;
    if context.dry_run {
        step.vanish();
        context.ui.document(&command(context, &backend, &pod, &address_text, port)?.to_script());
        return Ok(Exit::Done);
    }
    let connection = connect(context, &backend, pod, &address_text, port)
        .with_context(|| format!("could not forward to `{}`", args.target))?;
    step.done(&format!("Forwarding to pod `{}`; stop with Ctrl-C", connection.pod.name));
    announce(context, &backend, &connection, &address_text)?;
    keep(context, &backend, connection, &mut |event| report(context, &event))?;
    Ok(Exit::Done)
}

fn announce(
    context: &Context,
    backend: &Backend,
    connection: &Connection,
    address: &str,
) -> anyhow::Result<()> {
    let url = connection.url();
    if context.wants_json() {
        let service = format!("{}/{}", backend.namespace, backend.name);
        return context.answer_json(
            &json!({"service": service, "address": address, "port": connection.port, "url": url}),
        );
    }
    context.ui.data(url);
    Ok(())
}

fn report(context: &Context, event: &ForwardEvent) {
    match event {
        ForwardEvent::Lost { pod, why } => {
            context.ui.line(&format!("The connection to pod `{pod}` is lost ({why}); reconnecting"));
        }
        ForwardEvent::Waiting(why) => context.ui.verbose(&format!("still reconnecting: {why}")),
        ForwardEvent::Reconnected(pod) => context.ui.line(&format!("Reconnected to pod `{pod}`")),
    }
}

fn warn_if_public(context: &Context, target: &Target, address: IpAddr) {
    if !address.is_loopback() && *target != Target::Attu {
        context.ui.warn(&format!(
            "anyone who can reach `{address}` can use the forwarded port, and Milvus has no password by default; listen on `127.0.0.1` unless others need it"
        ));
    } else if !address.is_loopback() {
        context.ui.warn(&format!(
            "anyone who can reach `{address}` can use Attu, and through it a Milvus without a password; listen on `127.0.0.1` unless others need it"
        ));
    }
}
