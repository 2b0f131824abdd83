//! The kind cluster, and what its nodes know of the mirrors.

use crate::cluster::create::{bring_to_run, bring_to_run_commands, bring_to_run_remark};
use crate::cluster::mirrors::{self, Hosts};
use crate::cluster::state::ClusterState;
use crate::context::Context;
use crate::images::catalog::PlannedImage;
use crate::process::Cmd;
use crate::text::comment;
use crate::up::work::{Progress, StepOutcome, Work};

/// Makes the cluster, or gets it to run and its kubeconfig written.
pub(crate) struct BringToRun {
    pub(crate) state: ClusterState,
    /// The kind configuration.
    pub(crate) config: String,
    /// What is pulled meanwhile.
    pub(crate) images: Vec<PlannedImage>,
}

impl Work for BringToRun {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        let commands = bring_to_run_commands(&context.settings.cluster.name, &self.state, &self.config);
        let remark = bring_to_run_remark(&self.state, &self.config).map(|remark| comment(&remark) + "\n");
        Ok(remark.unwrap_or_default() + &lines(&commands))
    }

    fn run(&self, context: &Context, progress: &mut Progress) -> anyhow::Result<StepOutcome> {
        let jobs = usize::from(context.settings.images.jobs);
        bring_to_run(context, &self.state, &self.config, &self.images, jobs, &progress.made)?;
        Ok(StepOutcome::Done)
    }
}

/// Tells each node's containerd about the mirrors.
pub(crate) struct TellMirrors {
    pub(crate) hosts: Vec<Hosts>,
    /// The nodes that kind is going to make.
    pub(crate) nodes: Vec<String>,
}

impl Work for TellMirrors {
    fn script(&self, _: &Context) -> anyhow::Result<String> {
        let commands: Vec<Cmd> =
            mirrors::commands(&self.hosts, &self.nodes).into_iter().map(|(_, cmd)| cmd).collect();
        Ok(lines(&commands))
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        let step = context.ui.step("Configuring the nodes' mirrors");
        mirrors::write_hosts(context, &self.hosts)?;
        step.done("Configured the nodes' mirrors");
        Ok(StepOutcome::Done)
    }
}

fn lines(commands: &[Cmd]) -> String {
    commands.iter().map(Cmd::to_script).collect::<Vec<_>>().join("\n")
}
