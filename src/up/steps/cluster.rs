//! The kind cluster, and what its nodes know of the mirrors.

use super::{StepOutcome, Work};
use crate::cluster::create::{bring_to_run, bring_to_run_commands};
use crate::cluster::mirrors::{self, Hosts};
use crate::cluster::state::ClusterState;
use crate::context::Context;
use crate::images::catalog::PlannedImage;
use crate::process::Cmd;
use crate::up::run::Progress;

/// Makes the cluster, or gets it to run and its kubeconfig written.
pub(in crate::up) struct BringToRun {
    pub(in crate::up) state: ClusterState,
    /// The kind configuration.
    pub(in crate::up) config: String,
    /// What is pulled meanwhile.
    pub(in crate::up) images: Vec<PlannedImage>,
}

impl Work for BringToRun {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        let commands = bring_to_run_commands(&context.settings.cluster.name, &self.state, &self.config);
        Ok(lines(&commands))
    }

    fn run(&self, context: &Context, progress: &mut Progress) -> anyhow::Result<StepOutcome> {
        let jobs = usize::from(context.settings.images.jobs);
        bring_to_run(context, &self.state, &self.config, &self.images, jobs, &progress.made)?;
        Ok(StepOutcome::Done)
    }
}

/// Tells each node's containerd about the mirrors.
pub(in crate::up) struct TellMirrors {
    pub(in crate::up) hosts: Vec<Hosts>,
    /// The nodes that kind is going to make.
    pub(in crate::up) nodes: Vec<String>,
}

impl Work for TellMirrors {
    fn script(&self, _: &Context) -> anyhow::Result<String> {
        let commands: Vec<Cmd> =
            mirrors::commands(&self.hosts, &self.nodes).into_iter().map(|(_, cmd)| cmd).collect();
        Ok(lines(&commands))
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        let step = context.ui.step("Telling the nodes about the mirrors");
        mirrors::write_hosts(context, &self.hosts)?;
        step.done("The nodes know the mirrors");
        Ok(StepOutcome::Done)
    }
}

fn lines(commands: &[Cmd]) -> String {
    commands.iter().map(Cmd::to_script).collect::<Vec<_>>().join("\n")
}
