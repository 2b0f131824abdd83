//! The kind cluster, and the mirror configuration of its nodes.

use crate::cluster::create::{ensure_running, ensure_running_script};
use crate::cluster::mirrors::{self, Hosts};
use crate::cluster::state::ClusterState;
use crate::context::Context;
use crate::images::catalog::PlannedImage;
use crate::up::work::{Progress, StepOutcome, Work};

/// Creates the cluster, or starts it and writes its kubeconfig.
pub(crate) struct EnsureRunning {
    pub(crate) state: ClusterState,
    /// The kind config.
    pub(crate) config: String,
    /// Images to pull in the meantime.
    pub(crate) images: Vec<PlannedImage>,
}

impl Work for EnsureRunning {
    fn script(&self, context: &Context) -> anyhow::Result<String> {
        Ok(ensure_running_script(&context.settings.cluster.name, &self.state, &self.config))
    }

    fn run(&self, context: &Context, progress: &mut Progress) -> anyhow::Result<StepOutcome> {
        ensure_running(context, &self.state, &self.config, &self.images, &progress.made)?;
        Ok(StepOutcome::Done)
    }
}

/// Configures the mirrors in each node's containerd.
pub(crate) struct ConfigureMirrors {
    pub(crate) hosts: Vec<Hosts>,
    /// The nodes that kind will create.
    pub(crate) nodes: Vec<String>,
}

impl Work for ConfigureMirrors {
    fn script(&self, _: &Context) -> anyhow::Result<String> {
        let commands = mirrors::commands(&self.hosts, &self.nodes);
        Ok(commands.iter().map(|(_, cmd)| cmd.to_script()).collect::<Vec<_>>().join("\n"))
    }

    fn run(&self, context: &Context, _: &mut Progress) -> anyhow::Result<StepOutcome> {
        let step = context.ui.step("Configuring the nodes' mirrors");
        mirrors::write_hosts(context, &self.hosts)?;
        step.done("Configured the nodes' mirrors");
        Ok(StepOutcome::Done)
    }
}
