//! Waits until Milvus is healthy, loading missing images in waves: the operator starts Milvus's pods only
//! once etcd, storage and message store are ready.

use std::time::{Duration, Instant};

use crate::context::Context;
use crate::images::missing::MissingImage;
use crate::images::outcome::LoadReport;
use crate::load::waves::{Hopeless, Watch, WatchState, load_in_waves};
use crate::milvus::OPERATOR;
use crate::milvus::wait_failures::{cluster_cannot_pull, crashes_for_good, images_failed, timed_out};
use crate::status::observe::observe_cluster;
use crate::status::{CrashLoop, Crashes, MilvusStatus, Status, progress};
use crate::ui::count;

/// How long an existing cluster may keep failing to pull the same images.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long the operator may lag behind the current resource before that is reported. Replacing a query node
/// takes more than a minute; a dependency's failing helm release blocks it for ever.
const BEHIND: Duration = Duration::from_secs(180);

/// Waits until `end` at most, and returns what was loaded on the way.
///
/// Milvus must stay healthy for `settle`: until an operator that was just replaced or reconfigured
/// reconciles, the status is still the old one.
///
/// # Errors
/// Fails with [`Exit::Partial`] when an image cannot be loaded, with [`Exit::Failed`] when a pod will not recover,
/// and with [`Exit::TimedOut`] at `end`, all with what the pods report.
pub(crate) fn wait_healthy(
    context: &Context,
    settle: Duration,
    end: Instant,
    timeout: Duration,
) -> anyhow::Result<LoadReport> {
    let step = context.ui.step("Waiting for Milvus");
    let mut report = LoadReport::new(&context.settings.cluster.name, Vec::new());
    let mut watch = Healthy::new(context, settle);
    let is_over = match load_in_waves(context, &step, end, &mut watch, &mut report) {
        Ok(is_over) => is_over,
        Err(error) => {
            step.failed();
            return Err(error);
        }
    };
    let status = watch.status.map_or_else(|| observe_cluster(context), Ok)?;
    if !is_over {
        step.failed();
        return Err(timed_out(context, status, timeout));
    }
    let mode = status.milvus.as_ref().map(|milvus| milvus.mode.clone()).unwrap_or_default();
    let own = status.workloads.iter().filter(|workload| workload.is_own).count();
    step.done(&format!("Milvus is healthy ({mode} mode, {} ready)", count(own, "workload")));
    warn_of_others(context, &status.foreign_trouble());
    Ok(report)
}

/// Warns about trouble in the cluster that is not this Milvus's.
pub(crate) fn warn_of_others(context: &Context, others: &[String]) {
    for what in others {
        context.ui.warn(&format!("{what}; it is not part of this Milvus and was left alone"));
    }
}

/// Watches until Milvus is healthy and stays healthy.
struct Healthy<'a> {
    context: &'a Context,
    settle: Duration,
    /// The latest status.
    status: Option<Status>,
    /// When it became healthy, if it is.
    since: Option<Instant>,
    behind: Behind,
    /// What an existing cluster fails to pull, and since when.
    lacking: Option<(Vec<String>, Instant)>,
    crashes: Crashes,
    /// A pod that will not recover, as last observed.
    given_up: Option<CrashLoop>,
}

impl<'a> Healthy<'a> {
    fn new(context: &'a Context, settle: Duration) -> Self {
        Self {
            context,
            settle,
            status: None,
            since: None,
            behind: Behind::default(),
            lacking: None,
            crashes: Crashes::default(),
            given_up: None,
        }
    }
}

impl Watch for Healthy<'_> {
    fn look(&mut self) -> anyhow::Result<Vec<MissingImage>> {
        let status = observe_cluster(self.context)?;
        let now = Instant::now();
        let is_healthy = status.is_settled();
        self.since = self.since.filter(|_| is_healthy).or_else(|| is_healthy.then_some(now));
        if self.behind.is_long(status.milvus.as_ref(), now) {
            self.context.ui.warn(&behind_for_long(self.context));
        }
        self.given_up = self.crashes.hopeless(&status.crashes).cloned();
        let missing = status.own_missing_images.clone();
        self.status = Some(status);
        // Images can only be loaded into kind's nodes.
        if self.context.settings.cluster.context.is_none() {
            return Ok(missing);
        }
        let names: Vec<String> = missing.iter().map(|missing| missing.image.to_string()).collect();
        self.lacking = still_lacking(self.lacking.take(), &names, now);
        Ok(Vec::new())
    }

    fn judge(&mut self, hopeless: Hopeless<'_>) -> anyhow::Result<WatchState> {
        if self.since.is_some_and(|since| since.elapsed() >= self.settle) {
            return Ok(WatchState::Over);
        }
        if !hopeless.images.is_empty() && !hopeless.others_wait {
            return Err(images_failed(hopeless.report));
        }
        if let Some(crash) = &self.given_up {
            return Err(crashes_for_good(self.context, crash));
        }
        if let Some((images, _)) = self.lacking.as_ref().filter(|(_, since)| since.elapsed() > PATIENCE) {
            return Err(cluster_cannot_pull(self.context, images));
        }
        Ok(WatchState::Wait(self.status.as_ref().map(progress).unwrap_or_default()))
    }
}

/// Tracks since when the operator has lagged behind the current resource.
#[derive(Debug, Default)]
struct Behind {
    since: Option<Instant>,
    was_reported: bool,
}

impl Behind {
    /// Whether it has lagged for longer than [`BEHIND`]; true only once.
    fn is_long(&mut self, milvus: Option<&MilvusStatus>, now: Instant) -> bool {
        // It cannot lag before its first reconcile.
        if milvus.is_none_or(|milvus| milvus.generations.0.is_none() || milvus.is_current()) {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let is_long = !self.was_reported && now.duration_since(since) > BEHIND;
        self.was_reported |= is_long;
        is_long
    }
}

fn behind_for_long(context: &Context) -> String {
    let settings = &context.settings;
    format!(
        "the operator has not applied the latest change to Milvus `{}` for {}, whatever its status says; a dependency's helm release may keep failing: see `helm --kube-context {} --namespace {} list --failed` \
         and `kubectl --context {} --namespace {} logs deployment/{}`",
        settings.milvus.name,
        humantime::format_duration(BEHIND),
        context.kube_context(),
        settings.milvus.namespace,
        context.kube_context(),
        settings.operator.namespace,
        OPERATOR,
    )
}

/// The images that an existing cluster still fails to pull, and since when.
fn still_lacking(
    before: Option<(Vec<String>, Instant)>,
    missing: &[String],
    now: Instant,
) -> Option<(Vec<String>, Instant)> {
    let (before, since) = before.unwrap_or_else(|| (missing.to_vec(), now));
    let still: Vec<String> = before.into_iter().filter(|image| missing.contains(image)).collect();
    match (still.is_empty(), missing.is_empty()) {
        (false, _) => Some((still, since)),
        (true, false) => Some((missing.to_vec(), now)),
        (true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::{Exit, exit_of};
    use crate::images::missing::ImageName;
    use crate::images::outcome::{ImageOutcome, Outcome};
    use crate::process::ScriptedRunner;
    use crate::status::CrashCause;

    #[test]
    fn a_lagging_operator_is_reported_once() {
        let milvus = |observed: Option<u64>| {
            crate::status::milvus(&serde_json::json!({
                "metadata": {"generation": 9}, "status": {"status": "Healthy", "observedGeneration": observed},
            }))
        };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut behind = Behind::default();
        for (observed, seconds, expected) in [
            (None, 0, false),
            (Some(7), 0, false),
            (Some(7), 77, false),
            (Some(7), 181, true),
            (Some(7), 200, false),
            (Some(9), 210, false),
        ] {
            let milvus = milvus(observed);
            assert_eq!(behind.is_long(Some(&milvus), at(seconds)), expected, "{observed:?} at {seconds}");
        }
        let mut rolling = Behind::default();
        for (observed, seconds) in [(7, 0), (9, 100), (8, 101), (8, 250)] {
            assert!(!rolling.is_long(Some(&milvus(Some(observed))), at(seconds)), "{observed} at {seconds}");
        }
    }

    #[test]
    fn an_image_that_no_place_has_ends_the_wait_with_what_each_said() {
        let image = "docker.io/milvusdb/milvus-operator:v9";
        let missing = MissingImage::new(ImageName::Valid(image.parse().unwrap()));
        let outcome = ImageOutcome {
            error: Some("`docker.io` has no such image".to_owned()),
            ..ImageOutcome::new(image.to_owned(), Outcome::PullFailed)
        };
        let report = LoadReport::new("c", vec![outcome]);
        let context = Context::for_test(Arc::new(ScriptedRunner::default()));
        let judged = |others_wait| {
            let images = std::slice::from_ref(&missing);
            watch(&context).judge(Hopeless { images, others_wait, report: &report })
        };
        let error = judged(false).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Partial);
        assert!(error.to_string().contains(&format!("{image}: `docker.io` has no such image")), "{error}");
        assert!(judged(true).is_ok());
    }

    #[test]
    fn an_operator_that_crashes_for_good_ends_the_wait_with_its_last_words() {
        let logs = "kubectl --context kind-milvus-cluster logs --namespace o p --container manager --tail 5 --previous";
        let runner = ScriptedRunner::default().answer(logs, "panic: no such flag\npassword=hunter2hunter2\n");
        let context = Context::for_test(Arc::new(runner));
        let mut watch = watch(&context);
        watch.given_up = Some(CrashLoop {
            pod: "o/p".to_owned(),
            container: "manager".to_owned(),
            restarts: 4,
            cause: CrashCause::Operator,
        });
        let report = LoadReport::new("c", Vec::new());
        let error = watch.judge(Hopeless { images: &[], others_wait: false, report: &report }).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Failed);
        let words = error.to_string();
        assert!(words.starts_with("the operator keeps crashing: pod o/p was restarted 4 times"), "{words}");
        assert!(words.contains("panic: no such flag") && !words.contains("hunter2"), "{words}");
    }

    fn watch(context: &Context) -> Healthy<'_> {
        Healthy::new(context, Duration::ZERO)
    }

    #[test]
    fn an_image_is_lacking_since_it_was_first_seen_missing() {
        let start = Instant::now();
        let later = start + Duration::from_secs(60);
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let first = still_lacking(None, &names(&["a", "b"]), start);
        assert_eq!(first, Some((names(&["a", "b"]), start)));
        assert_eq!(still_lacking(first.clone(), &names(&["b", "c"]), later), Some((names(&["b"]), start)));
        assert_eq!(still_lacking(first.clone(), &names(&["c"]), later), Some((names(&["c"]), later)));
        assert_eq!(still_lacking(first, &[], later), None);
    }
}
