//! Decides from the findings whether `up` may begin.

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::machine::observe::{needs_beside, observe_engine};
use crate::machine::{Finding, Level, MachineFacts, Needs, findings};
use crate::settings::Settings;
use crate::ui::count;

/// Fails before anything is created if a tool, the engine or a port does not meet the cluster's needs.
///
/// So does too little memory, unless forced. Possible problems become warnings; `doctor` shows the details.
///
/// # Errors
/// Fails with [`Exit::ToolMissing`] or [`Exit::Usage`], listing all obstacles.
pub(crate) fn check_machine(
    context: &Context,
    facts: &MachineFacts,
    needs: &Needs,
    force: bool,
) -> anyhow::Result<()> {
    context.check_interrupt()?;
    let mut found = relevant_findings(&context.settings, facts, needs);
    // An existing cluster passed this check, or was forced.
    for memory in found.iter_mut().filter(|finding| finding.id == "memory" && !needs.exists && !force) {
        if memory.level == Level::Fail {
            memory.exit = Some(Exit::Usage as u8);
            memory.fix.push("continue anyway with `--force`".to_owned());
        }
    }
    if let Some(error) = obstacles(&found) {
        return Err(error.into());
    }
    for finding in found.iter().filter(|finding| finding.level == Level::Fail) {
        context.ui.warn(&warning(finding));
    }
    let doubts: Vec<&Finding> = found.iter().filter(|finding| finding.level == Level::Warn).collect();
    for finding in &doubts {
        context.ui.verbose(&format!("{}: {}", finding.id, warning(finding)));
    }
    if !doubts.is_empty() {
        let bullet = context.ui.look().bullet();
        let warnings = count(doubts.len(), "warning");
        context.ui.line(&format!("{bullet} Machine check passed with {warnings}: see `milvusctl doctor`"));
    }
    Ok(())
}

/// Fails if the engine does not run, ignoring other findings.
///
/// # Errors
/// Fails with [`Exit::ToolMissing`].
pub(crate) fn check_engine(context: &Context) -> anyhow::Result<()> {
    let facts = MachineFacts { engine: observe_engine(context), ..MachineFacts::default() };
    context.check_interrupt()?;
    let found = relevant_findings(&context.settings, &facts, &needs_beside(context, &[]));
    let of_engine: Vec<Finding> =
        found.into_iter().filter(|finding| finding.id.starts_with("engine")).collect();
    obstacles(&of_engine).map_or(Ok(()), |error| Err(error.into()))
}

/// Returns the findings relevant to the configured cluster: an existing one needs neither kind nor ports.
pub(crate) fn relevant_findings(settings: &Settings, facts: &MachineFacts, needs: &Needs) -> Vec<Finding> {
    let is_existing = settings.cluster.context.is_some();
    let pushes = settings.mirror.push.is_some();
    let concerns = |finding: &Finding| match finding.id {
        "tool_kubectl" | "tool_helm" | "kubeconfig" | "network" | "proxy" | "registry" | "requests" => true,
        id if is_existing => pushes && id.starts_with("engine"),
        _ => true,
    };
    findings(facts, needs).into_iter().filter(concerns).collect()
}

/// Returns the exit code for a finding; `None` if it is not a failure.
pub(crate) fn exit_for(finding: &Finding) -> Option<Exit> {
    match (finding.level, finding.exit) {
        (Level::Fail, Some(3)) => Some(Exit::ToolMissing),
        (Level::Fail, Some(2)) => Some(Exit::Usage),
        (Level::Fail, _) => Some(Exit::Failed),
        _ => None,
    }
}

/// Returns one error for everything that prevents creating a cluster.
fn obstacles(found: &[Finding]) -> Option<Failure> {
    let stopping: Vec<(Exit, &Finding)> = found
        .iter()
        .filter_map(|finding| Some((exit_for(finding)?, finding)))
        .filter(|(exit, _)| *exit > Exit::Failed)
        .collect();
    let exit = stopping.iter().map(|(exit, _)| *exit).max()?;
    let message = match stopping.as_slice() {
        [(_, finding)] => explained(finding),
        many => {
            let lines: Vec<String> = many.iter().map(|(_, finding)| explained(finding)).collect();
            format!("{} prevent creating the cluster\n{}", count(many.len(), "problem"), lines.join("\n"))
        }
    };
    Some(Failure::new(exit, message).hints(stopping.iter().flat_map(|(_, finding)| hints(finding))))
}

fn explained(finding: &Finding) -> String {
    match &finding.why {
        Some(why) => format!("{}: {why}", finding.what),
        None => finding.what.clone(),
    }
}

/// Returns what to do about a finding, one line per fix, commands last.
fn hints(finding: &Finding) -> Vec<String> {
    let mut hints = finding.fix.clone();
    if !finding.commands.is_empty() {
        let commands: Vec<String> = finding.commands.iter().map(|command| format!("`{command}`")).collect();
        hints.push(format!("run {}", commands.join(", then ")));
    }
    hints
}

fn warning(finding: &Finding) -> String {
    match finding.fix.first() {
        Some(fix) => format!("{}; {fix}", finding.what),
        None => finding.what.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::error::{exit_of, hints_of};
    use crate::machine::observe::tests::context;
    use crate::machine::{Engine, Holder, Mode, Port, PortState, ToolFacts, facts};
    use crate::milvus::MilvusMemory;
    use crate::process::ScriptedRunner;

    const NEEDS: Needs = Needs {
        mode: Mode::Cluster,
        workers: 1,
        kubernetes: None,
        image_bytes: None,
        memory: MilvusMemory { requests: 5 * GB, heaps: 2 * GB, direct: 2 * GB, least: 8 * GB },
        pods: Vec::new(),
        exists: false,
        ours: Vec::new(),
    };
    const GB: u64 = 1_000_000_000;

    fn machine() -> MachineFacts {
        let tool = |name: &str, version: &str| ToolFacts {
            name: name.to_owned(),
            path: Some(format!("/usr/bin/{name}").into()),
            version: Some(version.to_owned()),
        };
        MachineFacts {
            tools: vec![tool("kind", "0.33.0"), tool("helm", "3.19.0"), tool("kubectl", "1.36.4")],
            engine: Engine::Running(Box::default()),
            ..MachineFacts::default()
        }
    }

    fn taken(port: u16) -> Port {
        let holder = Holder { pid: 42, name: "python3".to_owned() };
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Port { address, port, state: PortState::Taken(vec![holder]) }
    }

    fn check(facts: &MachineFacts) -> anyhow::Result<()> {
        check_machine(&context(ScriptedRunner::default()), facts, &NEEDS, false)
    }

    #[test]
    fn a_good_machine_passes() {
        check(&machine()).unwrap();
    }

    #[test]
    fn a_taken_port_exits_with_2_and_names_its_holder() {
        let error = check(&MachineFacts { ports: vec![taken(31000)], ..machine() }).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Usage);
        assert_eq!(
            error.to_string(),
            "port 127.0.0.1:31000 is taken by `python3` (process 42): Docker would refuse to create the node: \
             `port is already allocated`"
        );
        assert_eq!(
            hints_of(&error),
            ["stop what listens there, or map another host port with `--port HOST:NODE`"]
        );
    }

    #[test]
    fn a_missing_docker_exits_with_3_and_how_to_install_it() {
        let error = check(&MachineFacts { engine: Engine::Missing, ..machine() }).unwrap_err();
        assert_eq!(exit_of(&error), Exit::ToolMissing);
        assert_eq!(
            hints_of(&error),
            ["install Docker Engine or Docker Desktop: https://docs.docker.com/engine/install/"]
        );
    }

    #[test]
    fn all_obstacles_are_one_error_with_the_highest_code() {
        let message = "Cannot connect to the Docker daemon".to_owned();
        let mut facts = machine();
        facts.tools.remove(0);
        facts.engine = Engine::NotRunning { message };
        facts.ports = vec![taken(31000), taken(19530)];
        let error = check(&facts).unwrap_err();
        assert_eq!(exit_of(&error), Exit::ToolMissing);
        let text = error.to_string();
        assert!(text.starts_with("4 problems prevent creating the cluster\n`kind` was not found"), "{text}");
        assert_eq!(
            hints_of(&error),
            [
                "let milvusctl download what is missing into its own directory",
                "run `milvusctl doctor --fix`",
                "start the engine",
                "run `sudo systemctl start docker`",
                "stop what listens there, or map another host port with `--port HOST:NODE`",
            ]
        );
    }

    #[test]
    fn too_little_memory_exits_with_2_unless_forced_or_existing() {
        let mut facts = machine();
        facts.host.memory = Some(facts::Memory { total_bytes: 7 * GB, available_bytes: None });
        let error = check(&facts).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Usage);
        assert_eq!(
            error.to_string(),
            "7 GB of memory for cluster mode: at least 8 GB are needed: its pods request 5 GB, their JVMs take \
             2 GB of heap and up to 2 GB outside it; Kubernetes and Milvus itself come on top"
        );
        assert_eq!(
            hints_of(&error),
            [
                "choose standalone mode on one node, for which 8 GB are enough",
                "continue anyway with `--force`",
                "run `milvusctl up --small`",
            ]
        );
        let context = context(ScriptedRunner::default());
        check_machine(&context, &facts, &NEEDS, true).unwrap();
        check_machine(&context, &facts, &Needs { exists: true, ..NEEDS }, false).unwrap();
    }

    #[test]
    fn little_memory_that_suffices_only_warns() {
        let mut facts = machine();
        facts.host.memory = Some(facts::Memory { total_bytes: 8 * GB, available_bytes: None });
        check(&facts).unwrap();
    }

    #[test]
    fn an_existing_cluster_needs_neither_kind_nor_an_engine() {
        let mut context = context(ScriptedRunner::default());
        context.settings.cluster.context = Some("minikube".to_owned());
        let mut facts = machine();
        facts.tools.remove(0);
        facts.engine = Engine::Missing;
        check_machine(&context, &facts, &NEEDS, false).unwrap();
        context.settings.mirror.push = Some("127.0.0.1:5000".to_owned());
        let error = check_machine(&context, &facts, &NEEDS, false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`docker` was not found in PATH: kind runs the cluster's nodes as containers"
        );
    }

    #[test]
    fn an_interrupt_is_not_mistaken_for_a_broken_machine() {
        let context = context(ScriptedRunner::default());
        context.interrupt.set();
        let error = check_machine(&context, &MachineFacts::default(), &NEEDS, false).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Interrupted);
    }
}
