//! Checks from inside a node that Milvus's external dependencies are reachable: a Milvus that cannot reach
//! its etcd only reports that it is unhealthy.
//!
//! Skips names that only cluster DNS resolves, and existing clusters, whose nodes are not containers of the
//! local engine.

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::milvus::{Dependency, external_dependencies};
use crate::tools::node::NoConnection;

/// Tries to connect to every external dependency that can be checked.
///
/// # Errors
/// Fails with every unreachable dependency and the reason.
pub(crate) fn reach_external(context: &Context) -> anyhow::Result<()> {
    let dependencies = external_dependencies(&context.settings);
    if dependencies.is_empty() || context.settings.cluster.context.is_some() {
        return Ok(());
    }
    let nodes = context.tools.docker.node_containers(&context.settings.cluster.name)?;
    // Pods run on the workers, if there are any.
    let running = || nodes.iter().filter(|node| node.running);
    let Some(node) = running().find(|node| node.role == "worker").or_else(|| running().next()) else {
        return Ok(());
    };
    let mut lines = Vec::new();
    let mut is_loopback = false;
    for dependency in dependencies {
        let Dependency { what, host, port } = &dependency;
        if dependency.resolves_only_in_pods() {
            context
                .ui
                .verbose(&format!("{what} `{host}:{port}` is known only inside the cluster; not trying it"));
            continue;
        }
        let why = match context.tools.node(&node.name).connect(host, *port) {
            Ok(()) => continue,
            Err(NoConnection::Refused(why)) => why,
            Err(NoConnection::Untried(error)) if error.is_interrupt() => return Err(error.into()),
            Err(NoConnection::Untried(error)) => {
                context.ui.verbose(&format!("{what} `{host}:{port}` could not be tried: {error}"));
                continue;
            }
        };
        is_loopback |= dependency.is_loopback();
        lines.push(format!("{what} `{host}:{port}` cannot be reached from node `{}`: {why}", node.name));
    }
    if lines.is_empty() {
        return Ok(());
    }
    let hint = if is_loopback {
        "inside a pod, `localhost` is the pod itself: use an address of this machine that its containers can reach"
    } else {
        "check the address and firewalls, and that it does not listen on loopback only; nothing was changed"
    };
    Err(Failure::new(Exit::Failed, lines.join("\n")).hint(hint).into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::exit_of;
    use crate::process::ScriptedRunner;
    use crate::settings::{Layer, file, resolve};
    use crate::tools::node;

    const PS: &str = "docker ps --all --no-trunc --filter label=io.x-k8s.kind.cluster=milvus-cluster --format \
                      '{{.Names}}|{{.Label \"io.x-k8s.kind.role\"}}|{{.State}}|{{.Image}}|{{.Ports}}'";
    const NODES: &str = "n0|control-plane|running|i|\nn1|worker|running|i|\n";

    fn tried(runner: ScriptedRunner, milvus: &str) -> (anyhow::Result<()>, Vec<String>) {
        let runner = Arc::new(runner);
        let file = file::parse(std::path::Path::new("m.yaml"), &format!("milvus: {milvus}"));
        let settings = resolve(Layer::default(), Some(file)).unwrap();
        let result = reach_external(&Context { settings, ..Context::for_test(runner.clone()) });
        (result, runner.asked())
    }

    fn line(host: &str, port: u16) -> String {
        node::connect("n1", host, port).to_string()
    }

    #[test]
    fn all_unreachable_dependencies_are_reported_with_reasons() {
        let refused = "bash: connect: Connection refused\nbash: /dev/tcp/10.0.0.1/2379: Connection refused";
        let runner = ScriptedRunner::default()
            .answer(PS, NODES)
            .fail(&line("10.0.0.1", 2379), refused)
            .answer(&line("10.0.0.2", 2379), "")
            .fail(&line("localhost", 6650), refused);
        let (result, _) = tried(
            runner,
            "{etcd: {external: ['10.0.0.1:2379', '10.0.0.2:2379']}, pulsar: {external: 'localhost:6650'}}",
        );
        let error = result.unwrap_err();
        assert_eq!(exit_of(&error), Exit::Failed);
        assert_eq!(
            error.to_string(),
            "etcd `10.0.0.1:2379` cannot be reached from node `n1`: connection refused\n\
             Pulsar `localhost:6650` cannot be reached from node `n1`: connection refused"
        );
    }

    #[test]
    fn cluster_names_and_nodes_without_bash_are_skipped() {
        let no_bash =
            "OCI runtime exec failed: exec: \"timeout\": executable file not found in $PATH: unknown";
        let runner =
            ScriptedRunner::default().answer(PS, NODES).fail(&line("etcd.example.com", 2379), no_bash);
        let (result, asked) =
            tried(runner, "{etcd: {external: ['etcd.data.svc:2379', 'etcd.example.com:2379']}}");
        result.unwrap();
        assert_eq!(asked.len(), 2, "{asked:?}");
    }

    #[test]
    fn without_external_dependencies_no_tool_runs() {
        let (result, asked) = tried(ScriptedRunner::default(), "{mode: cluster}");
        result.unwrap();
        assert_eq!(asked, [""; 0]);
    }
}
