//! Forwards a local port to a pod behind a Service, and reconnects when the pod is replaced.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::kube::endpoint::{self, Endpoint, Next};
use crate::kube::service::pick_port;
use crate::process::{Backoff, Cmd, Running, each_line};
use crate::reach::surroundings;
use crate::reach::{self, Target, host_of};
use crate::tools::kubectl;

/// How often to check the pods.
const LOOK: Duration = Duration::from_secs(2);

/// How often to check whether the forward has ended.
const TICK: Duration = Duration::from_millis(200);

/// How long kubectl may take to start forwarding.
const START: Duration = Duration::from_secs(20);

/// The waits between attempts to reconnect, which never stop.
const BACKOFF: Backoff =
    Backoff { tries: u32::MAX, first: Duration::from_millis(500), longest: Duration::from_secs(10) };

/// Where connections are forwarded to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Backend {
    pub(crate) namespace: String,
    pub(crate) name: String,
    selector: Vec<(String, String)>,
    /// The pods' port: a number or a name.
    port: Value,
    pub(crate) service_port: u16,
}

/// A forwarded local port. Dropping this ends the forward.
pub(crate) struct Connection {
    running: Box<dyn Running>,
    /// The pod at the other end.
    pub(crate) pod: Endpoint,
    pub(crate) port: u16,
    address: String,
    url: String,
}

/// An event while a forward is kept open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ForwardEvent {
    /// The connection to this pod broke.
    Lost { pod: String, why: String },
    /// Reconnecting failed so far.
    Waiting(String),
    /// Reconnected to this pod.
    Reconnected(String),
}

impl Connection {
    /// The URL for a client on this machine.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn has_ended(&mut self) -> bool {
        self.running.has_ended()
    }
}

/// Finds the Service that `target` names, and its port.
///
/// # Errors
/// Fails when the cluster does not answer or has no such Service; with [`Exit::Usage`] when the port is
/// ambiguous.
pub(crate) fn find_backend(context: &Context, target: &Target) -> anyhow::Result<Backend> {
    let milvus = &context.settings.milvus;
    let candidates = target.candidates(&milvus.namespace, &milvus.name);
    let services = surroundings::services(context)?;
    let service = reach::find(&candidates, &services)
        .map_err(|refusal| Failure::new(Exit::Failed, format!("could not forward `{target}`: {refusal}")))
        .hint("`milvusctl up` installs Milvus and Attu; `milvusctl status` shows what is there")?;
    let port = pick_port(service, None).map_err(|ports| {
        let message = format!("Service `{}` has no obvious port, found: {ports}", service.full_name());
        Failure::new(Exit::Usage, message)
    })?;
    if service.spec.selector.is_empty() {
        let message = format!("Service `{}` has no selector, so no pod can be found", service.full_name());
        bail!(Failure::new(Exit::Failed, message));
    }
    Ok(Backend {
        namespace: service.metadata.namespace.clone(),
        name: service.metadata.name.clone(),
        selector: service.spec.selector.clone().into_iter().collect(),
        port: port.pod_port(),
        service_port: port.port,
    })
}

/// The command that forwards `port` of `address` to a pod.
///
/// # Errors
/// Fails when the pod lacks the port.
pub(crate) fn command(
    context: &Context,
    backend: &Backend,
    pod: &Endpoint,
    address: &str,
    port: u16,
) -> anyhow::Result<Cmd> {
    let name = &pod.name;
    let remote = pod
        .port_number(&backend.port)
        .with_context(|| format!("pod `{name}` has no port {}", backend.port))?;
    let target = format!("pod/{name}");
    Ok(context.kubectl().port_forward(&backend.namespace, &target, address, &format!("{port}:{remote}")))
}

/// Waits until `end` for a ready pod of `backend`; tells `on_wait` what it waits for.
///
/// # Errors
/// Fails with [`Exit::TimedOut`] when none is ready by then.
pub(crate) fn await_pod(
    context: &Context,
    backend: &Backend,
    end: Instant,
    on_wait: &mut dyn FnMut(&str),
) -> anyhow::Result<Endpoint> {
    loop {
        let pods = surroundings::pods_behind(context, &backend.namespace, &backend.selector)?;
        let why = endpoint::why_not_ready(&pods);
        if let Some(pod) = pods.into_iter().find(|pod| pod.is_ready) {
            return Ok(pod);
        }
        let why = why.unwrap_or_default();
        if Instant::now() >= end {
            let message =
                format!("no pod behind Service `{}/{}` is ready: {why}", backend.namespace, backend.name);
            bail!(Failure::new(Exit::TimedOut, message).hint("`milvusctl status` shows what is missing"));
        }
        on_wait(&why);
        context.sleep(Duration::from_secs(1))?;
    }
}

/// Forwards `port` of `address` to `pod` and returns once it is open.
///
/// # Errors
/// Fails when kubectl does or does not start forwarding in time; with [`Exit::Usage`] when it cannot listen.
pub(crate) fn connect(
    context: &Context,
    backend: &Backend,
    pod: Endpoint,
    address: &str,
    port: u16,
) -> anyhow::Result<Connection> {
    let cmd = command(context, backend, &pod, address, port)?;
    let mut running = context.tools.runner().start(&cmd)?;
    let opened = announce(running.as_mut());
    let end = Instant::now() + START;
    loop {
        context.check_interrupt()?;
        match opened.recv_timeout(TICK) {
            Ok(()) => {
                let (address, url) = (address.to_owned(), format!("http://{}:{port}", host_of(address)));
                return Ok(Connection { running, pod, port, address, url });
            }
            Err(RecvTimeoutError::Timeout) if Instant::now() < end => {}
            Err(RecvTimeoutError::Timeout) => {
                bail!(Failure::new(Exit::Failed, format!("`{cmd}` did not start forwarding in time")));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return match running.wait(&context.interrupt) {
                    Err(error) if kubectl::cannot_listen(&error) => Err(error).exit(Exit::Usage),
                    Err(error) => Err(error.into()),
                    Ok(()) => Err(Failure::new(Exit::Failed, format!("`{cmd}` exited immediately")).into()),
                };
            }
        }
    }
}

/// Signals once forwarding starts, and keeps reading the output, so that the program never blocks on it.
fn announce(running: &mut dyn Running) -> Receiver<()> {
    let (sender, receiver) = channel();
    if let Some(output) = running.take_output() {
        std::thread::spawn(move || {
            each_line(output, |line| {
                if kubectl::says_forwarding(&line) {
                    // Fails after the first line, when nobody listens any more.
                    _ = sender.send(());
                }
                true
            });
        });
    }
    receiver
}

/// Keeps `connection` open until the user interrupts, reconnecting when it breaks or its pod is replaced.
///
/// # Errors
/// Fails only with [`Exit::Interrupted`].
pub(crate) fn keep(
    context: &Context,
    backend: &Backend,
    mut connection: Connection,
    on_event: &mut dyn FnMut(ForwardEvent),
) -> anyhow::Result<()> {
    loop {
        let why = watch(context, backend, &mut connection)?;
        let (address, port) = (connection.address.clone(), connection.port);
        on_event(ForwardEvent::Lost { pod: connection.pod.name.clone(), why });
        // Free the port before it is opened again.
        drop(connection);
        connection = reconnect(context, backend, &address, port, on_event)?;
        on_event(ForwardEvent::Reconnected(connection.pod.name.clone()));
    }
}

/// Watches a connection and returns why it ended.
fn watch(context: &Context, backend: &Backend, connection: &mut Connection) -> anyhow::Result<String> {
    let mut looked = Instant::now();
    loop {
        context.sleep(TICK)?;
        if connection.has_ended() {
            // An interrupt ends kubectl too, and is what to report then.
            context.sleep(TICK)?;
            let ended = connection.running.wait(&context.interrupt).err();
            let last = ended.as_ref().and_then(|error| error.tail().last().cloned());
            return Ok(last.unwrap_or_else(|| "kubectl ended".to_owned()));
        }
        if looked.elapsed() < LOOK {
            continue;
        }
        looked = Instant::now();
        // A cluster that does not answer tells nothing about the pod.
        let Ok(pods) = surroundings::pods_behind(context, &backend.namespace, &backend.selector) else {
            continue;
        };
        match endpoint::next(&connection.pod, &pods) {
            Next::Keep => {}
            Next::Switch(_) => return Ok("the pod was replaced".to_owned()),
            Next::Wait => return Ok("the pod is gone".to_owned()),
        }
    }
}

fn reconnect(
    context: &Context,
    backend: &Backend,
    address: &str,
    port: u16,
    on_event: &mut dyn FnMut(ForwardEvent),
) -> anyhow::Result<Connection> {
    let mut tries = 0;
    loop {
        let attempt =
            surroundings::pods_behind(context, &backend.namespace, &backend.selector).and_then(|pods| {
                let why = endpoint::why_not_ready(&pods).unwrap_or_default();
                let pod = pods.into_iter().find(|pod| pod.is_ready).with_context(|| why)?;
                connect(context, backend, pod, address, port)
            });
        context.check_interrupt()?;
        match attempt {
            Ok(connection) => return Ok(connection),
            Err(error) => on_event(ForwardEvent::Waiting(format!("{error:#}"))),
        }
        context.sleep(BACKOFF.wait(tries, 0.0))?;
        tries += 1;
    }
}
