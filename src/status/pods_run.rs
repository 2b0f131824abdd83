//! Watches until every pod runs and every Milvus is healthy.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::context::Context;
use crate::images::missing::{MissingImage, NamespaceFilter, collect};
use crate::images::outcome::LoadReport;
use crate::kube::pod::{Pod, PodName};
use crate::load::find::{pods_json, read_pods};
use crate::load::restart::restart_pods;
use crate::load::waves::{Hopeless, Watch, WatchState};
use crate::tools::kubectl::{MILVUSES, is_absent};
use crate::ui::count;

/// Watches the pods of some namespaces.
pub(crate) struct PodsRun<'a> {
    context: &'a Context,
    namespaces: NamespaceFilter,
    /// Whether to restart pods once their image is loaded.
    restart: bool,
    /// The pods that were pending at the last look.
    waiting: Vec<PodName>,
}

impl<'a> PodsRun<'a> {
    pub(crate) fn new(context: &'a Context, namespaces: NamespaceFilter, restart: bool) -> Self {
        Self { context, namespaces, restart, waiting: Vec::new() }
    }

    /// A Milvus that the operator still works on, if any. Skips one with a pod in `hopeless`, which will not
    /// become healthy.
    fn unhealthy_milvus(&self, hopeless: &BTreeSet<&PodName>) -> anyhow::Result<Option<String>> {
        let answer: Value = match self.context.kubectl().get(&[MILVUSES, "--all-namespaces"]) {
            Ok(answer) => answer,
            // The cluster may have no operator.
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let all = answer["items"].as_array().into_iter().flatten().map(crate::status::milvus);
        let mut unhealthy = all
            .filter(|milvus| self.namespaces.holds(&milvus.namespace) && !milvus.is_settled())
            .filter(|milvus| {
                // Its name prefixes its pods and those of its dependencies.
                let start = format!("{}-", milvus.name);
                !hopeless.iter().any(|pod| pod.namespace == milvus.namespace && pod.name.starts_with(&start))
            });
        Ok(unhealthy.next().map(|milvus| format!("{}/{}", milvus.namespace, milvus.name)))
    }
}

impl Watch for PodsRun<'_> {
    fn look(&mut self) -> anyhow::Result<Vec<MissingImage>> {
        let json = pods_json(self.context)?;
        let pods = read_pods(&json)?;
        let waiting = pods.items.iter().filter(|pod| !pod.is_over() && &*pod.status.phase == "Pending");
        self.waiting =
            waiting.map(Pod::full_name).filter(|pod| self.namespaces.holds(&pod.namespace)).collect();
        Ok(collect(&pods, &self.namespaces))
    }

    fn judge(&mut self, hopeless: Hopeless<'_>) -> anyhow::Result<WatchState> {
        if hopeless.others_wait {
            return Ok(WatchState::Wait("the next try".to_owned()));
        }
        // An image that cannot be loaded only blocks its own pods; later waves of the others still load.
        let hopeless: BTreeSet<&PodName> = hopeless.images.iter().flat_map(|image| &image.pods).collect();
        let waiting: Vec<&PodName> = self.waiting.iter().filter(|pod| !hopeless.contains(pod)).collect();
        if let Some(example) = waiting.first() {
            return Ok(WatchState::Wait(format!(
                "{} to run, such as {example}",
                count(waiting.len(), "pod")
            )));
        }
        // Between waves all pods run, but the operator has not created the next ones yet.
        Ok(match self.unhealthy_milvus(&hopeless)? {
            Some(name) => WatchState::Wait(format!("Milvus {name} to get healthy")),
            None => WatchState::Over,
        })
    }

    fn loaded(&mut self, wave: &LoadReport) -> anyhow::Result<()> {
        if self.restart { restart_pods(self.context, wave) } else { Ok(()) }
    }
}
