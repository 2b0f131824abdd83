//! `forward`: a port of this machine that leads to a pod, also after the pod was replaced.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::json;

use crate::cli::ForwardArgs;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::machine::PortState;
use crate::machine::ports::observe_port;
use crate::reach::Target;
use crate::reach::forward::{
    Backend, Connection, Event, await_pod, command, connect, find_backend, free_port, keep,
};

/// Forwards until the user interrupts.
///
/// # Errors
/// Fails with [`Exit::Usage`] before anything starts when the address or the port cannot be had, and when the
/// target is not there or no pod of it gets ready.
pub(super) fn run(args: &ForwardArgs, context: &Context) -> anyhow::Result<Exit> {
    let timeout = args.timeout;
    let address = parse_address(&args.address)?;
    // What the port would be is known before the cluster is asked, except for a Service of the user's own.
    if let Some(port) = args.port.or_else(|| usual_port(&args.target)) {
        check_port(address, port)?;
    }
    warn_of_strangers(context, &args.target, address);
    let result = forward(args, context, address, Instant::now() + timeout);
    // The user ends a forward by interrupting it; there is nothing wrong then.
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
    if args.port.is_none() && usual_port(&args.target) != Some(port) {
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
    keep(context, &backend, connection, &mut |event| tell(context, &event))?;
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

fn tell(context: &Context, event: &Event) {
    match event {
        Event::Lost { pod, why } => {
            context.ui.line(&format!("The connection to pod `{pod}` is lost ({why}); reconnecting"));
        }
        Event::Waiting(why) => context.ui.verbose(&format!("still reconnecting: {why}")),
        Event::Reconnected(pod) => context.ui.line(&format!("Reconnected to pod `{pod}`")),
    }
}

/// The local port for a target, unless the user wants another one.
fn usual_port(target: &Target) -> Option<u16> {
    match target {
        Target::Milvus => Some(19530),
        Target::Attu => Some(3000),
        Target::Service { .. } => None,
    }
}

fn parse_address(text: &str) -> anyhow::Result<IpAddr> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.trim_matches(['[', ']']).parse().map_err(|_| {
        Failure::new(
            Exit::Usage,
            format!("--address: expected an IP address of this machine, found `{text}`"),
        )
        .into()
    })
}

/// Checks that `port` of `address` can be listened on; 0 stands for any.
fn check_port(address: IpAddr, port: u16) -> anyhow::Result<()> {
    let usage = |message: String| Err(Failure::new(Exit::Usage, message).into());
    match observe_port(Path::new("/"), address, port).state {
        PortState::Free => Ok(()),
        PortState::NoSuchAddress => {
            usage(format!("--address: this machine does not have the address `{address}`"))
        }
        PortState::Published(container) => usage(format!(
            "port {port} of `{address}` is in use by the container `{container}`; choose another with `--port`, \
             or any with `--port 0`"
        )),
        PortState::Taken(holders) => {
            let who: Vec<_> =
                holders.iter().map(|who| format!("`{}` (process {})", who.name, who.pid)).collect();
            let who = if who.is_empty() { String::new() } else { format!(" by {}", who.join(", ")) };
            usage(format!(
                "port {port} of `{address}` is in use{who}; choose another with `--port`, or any with `--port 0`"
            ))
        }
    }
}

fn warn_of_strangers(context: &Context, target: &Target, address: IpAddr) {
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::error::exit_of;

    #[test]
    fn what_is_no_address_is_a_mistake_in_the_usage() {
        for text in ["", "example.org", "1.2.3", "127.0.0.1:80"] {
            assert_eq!(exit_of(&parse_address(text).unwrap_err()), Exit::Usage, "{text}");
        }
        assert_eq!(parse_address("[::1]").unwrap().to_string(), "::1");
        assert_eq!(parse_address("localhost").unwrap().to_string(), "127.0.0.1");
    }

    #[test]
    fn a_port_in_use_is_a_mistake_in_the_usage() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = check_port(Ipv4Addr::LOCALHOST.into(), port).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Usage);
        assert!(error.to_string().contains(&format!("port {port} of `127.0.0.1` is in use")), "{error}");
        drop(listener);
        check_port(Ipv4Addr::LOCALHOST.into(), port).unwrap();
    }

    #[test]
    fn an_address_of_another_machine_is_a_mistake_in_the_usage() {
        // 192.0.2.0/24 is for documentation (RFC 5737): no machine has it.
        let error = check_port("192.0.2.1".parse().unwrap(), 19530).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Usage);
        assert_eq!(error.to_string(), "--address: this machine does not have the address `192.0.2.1`");
    }
}
