//! `up`: from nothing to a Milvus that answers. Observes, plans, carries out each step, reports.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

use super::render;
use crate::cli::UpArgs;
use crate::cluster::create::{Made, bring_to_run, discard};
use crate::cluster::lock;
use crate::cluster::mirrors;
use crate::context::Context;
use crate::error::{Exit, Note, failure};
use crate::load::find;
use crate::load::push;
use crate::machine::check::check_machine;
use crate::machine::observe::{observe_machine, planned_needs};
use crate::milvus;
use crate::milvus::images::{Planned, planned_images};
use crate::milvus::reach_external::reach_external;
use crate::milvus::wait;
use crate::reach::expose::expose;
use crate::reach::smoke::{find_place, judge, run_against};
use crate::reach::{Target, Wanted};
use crate::settings::{Credentials, SecretSource};
use crate::smoke;
use crate::status::observe::observe_cluster;
use crate::status::{Status, Urls};
use crate::text::Secret;
use crate::toolbox::fetch::{choose_tools, install_missing_tools};
use crate::tools::helm::Install;
use crate::ui::count;
use crate::up::observe::{Documents, RELEASE, observe};
use crate::up::plan;
use crate::up::plan::Action;
use crate::up::plan::Observed;
use crate::up::plan::StepName;

/// How long an exposed URL may take to answer.
const ANSWER: Duration = Duration::from_secs(120);

/// How long the operator may take to come round after it was replaced or its resource was changed.
const SETTLE: Duration = Duration::from_secs(15);

/// What came of a step.
#[derive(Debug, Clone, Serialize)]
struct StepReport {
    name: StepName,
    outcome: &'static str,
    seconds: f64,
}

/// The whole answer: the state, and what was done to get there.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    status: Status,
    steps: Vec<StepReport>,
}

/// Brings everything up.
///
/// # Errors
/// Fails with the step that failed; everything is left as it is, so that another run goes on from there.
pub(super) fn run(args: &UpArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let _lift = context.deadline.set_for_each(context.settings.up.timeout);
    let wants_smoke = context.settings.up.smoke;
    if wants_smoke {
        // Else this would be told when all the rest is done.
        smoke::check_built().exit(Exit::Usage)?;
    }
    let documents = documents(context)?;
    let planned = planned_images(&context.settings);
    push::check_known(context, planned.is_known)?;
    // A dry run shows the keys no place, so it needs none.
    let keys = if context.dry_run { None } else { storage_keys(context)? };
    let _lock = lock::take(context, "up")?;
    check(args, context)?;
    let step = context.ui.step("Looking at what is there");
    let observed = observe(context, &documents);
    step.vanish();
    let observed = observed?;
    refuse_downgrades(args, context, &observed)?;
    let wanted = plan::Wanted {
        attu: context.settings.attu.enabled,
        smoke: wants_smoke,
        push: context.settings.mirror.push.is_some(),
        expose: context.settings.cluster.context.is_none(),
        mirrors: mirrors::are_wanted(context),
    };
    let steps = plan::up(wanted, &observed);
    if context.dry_run {
        context.ui.document(&crate::up::script::script(context, &documents, &planned, &observed, &steps)?);
        return Ok(Exit::Done);
    }
    let run = Run {
        keys,
        context,
        documents: &documents,
        planned: &planned,
        observed: &observed,
        made: Made::new(),
    };
    let result = run.carry_out(&steps);
    if result.is_err() && args.no_keep_on_failure && !context.interrupt.is_set() {
        discard(context, &run.made)?;
    }
    let (reports, urls) = result?;
    report(context, reports, urls, started)
}

/// Stops before anything is changed when something would go back to an older release.
fn refuse_downgrades(args: &UpArgs, context: &Context, observed: &Observed) -> anyhow::Result<()> {
    let said: Vec<String> = observed
        .downgrades
        .iter()
        .map(|downgrade| {
            let plan::Downgrade { part, from, to } = downgrade;
            format!("{part} {from} runs, and {to} is older")
        })
        .collect();
    if said.is_empty() {
        return Ok(());
    }
    if args.force {
        context.ui.warn(&format!("{}; going back as `--force` says", said.join("; ")));
        return Ok(());
    }
    Err(failure(Exit::Usage, format!("{}; nothing was changed", said.join("; ")))).hint(
        "an older release may not read what a newer one wrote: choose a release with `--operator-version` and \
         `--milvus-version`, or go back all the same with `--force`",
    )
}

fn documents(context: &Context) -> anyhow::Result<Documents> {
    Ok(Documents {
        cluster: render::cluster(context)?,
        values: render::values(context)?,
        milvus: milvus::custom_resource(&context.settings),
        attu: crate::render::attu(&context.settings)?,
    })
}

/// Checks the machine, and gets the tools that it lacks, before anything is created.
fn check(args: &UpArgs, context: &Context) -> anyhow::Result<()> {
    if args.no_install_tools {
        choose_tools(context);
    } else {
        install_missing_tools(context)?;
    }
    let facts = observe_machine(context, false);
    context.check_interrupt()?;
    let needs = planned_needs(context, &facts);
    check_machine(context, &facts, &needs)
}

struct Run<'a> {
    /// What the external storage is used with, read before anything is done.
    keys: Option<(Secret, Secret)>,
    context: &'a Context,
    documents: &'a Documents,
    planned: &'a Planned,
    observed: &'a Observed,
    /// The cluster, where this run has made it.
    made: Made,
}

impl Run<'_> {
    fn carry_out(&self, steps: &[(StepName, Action)]) -> anyhow::Result<(Vec<StepReport>, Urls)> {
        let mut reports = Vec::new();
        let mut urls = Urls::default();
        for (name, action) in steps {
            self.context.check_interrupt()?;
            let started = Instant::now();
            let outcome = match action {
                Action::Do => {
                    // Images may take as long as they get further, which depends on the line.
                    let deadline = &self.context.deadline;
                    let _lift =
                        (*name != StepName::Images).then(|| deadline.set(self.context.settings.up.timeout));
                    self.step(*name, &mut urls)?
                }
                Action::Unchanged => {
                    if let Some(line) = self.unchanged(*name) {
                        self.context.ui.step("").unchanged(&line);
                    }
                    "unchanged"
                }
                Action::Skip(why) => {
                    if *name == StepName::Milvus {
                        self.context.ui.warn(&format!(
                            "Milvus `{}` differs from what is wanted, but {why}; it is left as it is",
                            self.context.settings.milvus.name
                        ));
                    }
                    if let (StepName::Operator, plan::OperatorState::NotOurs(chart)) =
                        (*name, &self.observed.operator)
                    {
                        self.context.ui.line(&format!("Using {chart}, which {why}"));
                    }
                    "skipped"
                }
            };
            let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
            reports.push(StepReport { name: *name, outcome, seconds });
        }
        Ok((reports, urls))
    }

    fn unchanged(&self, name: StepName) -> Option<String> {
        let settings = &self.context.settings;
        Some(match name {
            StepName::Cluster => match &settings.cluster.context {
                Some(context) => format!("Context `{context}` leads to a cluster"),
                None => format!("Cluster `{}` runs", settings.cluster.name),
            },
            StepName::Operator => format!("milvus-operator {} is installed", settings.operator.version),
            StepName::Milvus => format!("Milvus `{}` is as wanted", settings.milvus.name),
            StepName::Attu => format!("Attu {} is installed", settings.attu.version),
            StepName::Healthy => "Milvus is healthy and no image is missing".to_owned(),
            _ => return None,
        })
    }

    fn step(&self, name: StepName, urls: &mut Urls) -> anyhow::Result<&'static str> {
        let settings = &self.context.settings;
        match name {
            StepName::Cluster => {
                let jobs = usize::from(self.context.settings.images.jobs);
                bring_to_run(
                    self.context,
                    &self.observed.cluster,
                    &self.documents.cluster,
                    &self.planned.images,
                    jobs,
                    &self.made,
                )?;
                Ok("done")
            }
            StepName::Mirrors => {
                let step = self.context.ui.step("Telling the nodes about the mirrors");
                mirrors::write_hosts(self.context)?;
                step.done("The nodes know the mirrors");
                Ok("done")
            }
            StepName::Images if settings.mirror.push.is_some() => self.push_planned(),
            StepName::Images => self.load_planned(),
            StepName::Operator => self.install_operator(),
            StepName::Milvus => self.apply_milvus(),
            StepName::Attu => {
                let step = self.context.ui.step(&format!("Installing Attu {}", settings.attu.version));
                self.context.kubectl().apply(&self.documents.attu).context("could not install Attu")?;
                step.done(&format!("Installed Attu {}", settings.attu.version));
                Ok("done")
            }
            StepName::Healthy => {
                let timeout = settings.up.timeout;
                wait::wait_healthy(self.context, self.settle(), Instant::now() + timeout, timeout)?;
                Ok("done")
            }
            StepName::ExposeAttu => {
                let (outcome, url) = self.expose(&Target::Attu, "Attu", settings.attu.node_port)?;
                urls.attu = Some(url);
                Ok(outcome)
            }
            StepName::ExposeMilvus => {
                let (outcome, url) = self.expose(&Target::Milvus, "Milvus", settings.milvus.node_port)?;
                urls.milvus = Some(url);
                Ok(outcome)
            }
            StepName::Smoke => {
                let uri = match &urls.milvus {
                    Some(url) => url.clone(),
                    None => find_place(self.context, Instant::now() + ANSWER)?.uri().to_owned(),
                };
                let mut options = crate::smoke::Options::new(uri);
                options.login = super::smoke::login(|name| std::env::var(name).ok())?;
                let report = run_against(self.context, &options)?;
                match judge(&report)? {
                    Exit::Done => Ok("done"),
                    exit => Err(failure(exit, "the smoke test was stopped")),
                }
            }
        }
    }

    /// How long Milvus has to stay healthy before it is believed: where one was there and something changes.
    fn settle(&self) -> Duration {
        let Observed { milvus, operator, .. } = self.observed;
        let was_there = !matches!(milvus, plan::ResourceState::Absent);
        let changes = matches!(milvus, plan::ResourceState::Differs)
            || matches!(operator, plan::OperatorState::Differs(_));
        if was_there && changes { SETTLE } else { Duration::ZERO }
    }

    fn push_planned(&self) -> anyhow::Result<&'static str> {
        let images = &self.planned.images;
        let step = self.context.ui.step(&format!("Pushing {}", count(images.len(), "image")));
        push::push_images(self.context, images, usize::from(self.context.settings.images.jobs))?;
        let to = self.context.settings.mirror.push.as_deref().unwrap_or_default();
        step.done(&format!("Pushed {} to {to}", count(images.len(), "image")));
        Ok("done")
    }

    fn load_planned(&self) -> anyhow::Result<&'static str> {
        use crate::images::missing::{ImageName, MissingImage};
        if !self.planned.is_known {
            self.context.ui.warn(&format!(
                "milvus-operator {} is not known; its images are found when pods wait for them",
                self.context.settings.operator.version
            ));
            return Ok("skipped");
        }
        let images: Vec<MissingImage> = self
            .planned
            .images
            .iter()
            .map(|planned| MissingImage::new(ImageName::Valid(planned.image.clone())))
            .collect();
        let step = self.context.ui.step(&format!("Loading {}", count(images.len(), "image")));
        let report = find::load_wave(self.context, &images)?;
        if report.missing == 0 {
            step.unchanged(&format!("All {} are on their nodes", count(images.len(), "planned image")));
            return Ok("unchanged");
        }
        if report.failed > 0 {
            // Pods that really want one of them wait for it later, and then it counts.
            step.failed();
            for image in report.images.iter().filter(|image| image.error.is_some()) {
                let error = image.error.as_deref().unwrap_or_default();
                self.context.ui.warn(&format!("{} was not loaded: {error}", image.image));
            }
        } else {
            step.done(&format!("Loaded {}", count(report.loaded, "image")));
        }
        Ok("done")
    }

    fn install_operator(&self) -> anyhow::Result<&'static str> {
        let operator = &self.context.settings.operator;
        if let plan::OperatorState::Differs(why) = &self.observed.operator {
            self.context.ui.verbose(&format!("the operator is upgraded: {why}"));
        }
        let step = self.context.ui.step(&format!("Installing milvus-operator {}", operator.version));
        let helm = self.context.tools.helm(&self.context.kube_context());
        let install = install(self.context, self.documents);
        if matches!(self.observed.operator, plan::OperatorState::Differs(_)) {
            // helm leaves what is in a chart's `crds` folder as it was first installed.
            let crds = helm.chart_crds(&install).with_context(|| {
                format!("could not read the resource definitions of milvus-operator {}", operator.version)
            })?;
            if !crds.trim().is_empty() {
                step.waits_for("its resource definitions");
                self.context.kubectl().apply(&crds).context("could not upgrade the resource definitions")?;
            }
        }
        helm.install(&install)
            .with_context(|| format!("could not install milvus-operator {} from {}", operator.version, operator.repo))
            .hint("check `--operator-repo` and `--operator-version`; `helm search repo --versions` shows what there is")?;
        step.done(&format!("Installed milvus-operator {}", operator.version));
        Ok("done")
    }

    fn apply_milvus(&self) -> anyhow::Result<&'static str> {
        let settings = &self.context.settings;
        let name = &settings.milvus.name;
        reach_external(self.context)?;
        let step = self.context.ui.step(&format!("Applying Milvus `{name}`"));
        let kubectl = self.context.kubectl();
        if settings.milvus.namespace != "default" {
            let namespace = serde_json::json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": settings.milvus.namespace},
            });
            kubectl.apply(&namespace.to_string()).context("could not make Milvus's namespace")?;
        }
        if let Some((access, secret)) = &self.keys {
            let document = milvus::storage_secret(settings, access, secret).to_string();
            kubectl
                .apply_secret(&document, [access.expose(), secret.expose()])
                .context("could not make the storage's Secret")?;
        }
        let resource = self.documents.milvus.to_string();
        // The API server knows a resource definition only a moment after helm has made it.
        let end = Instant::now() + Duration::from_secs(30);
        while let Err(error) = kubectl.apply(&resource) {
            let is_early = error.says("no matches for kind") || error.says("resource mapping not found");
            if !is_early || Instant::now() > end {
                return Err(error).with_context(|| format!("could not apply Milvus `{name}`"));
            }
            self.context.sleep(Duration::from_secs(1))?;
        }
        step.done(&format!("Applied Milvus `{name}` ({} mode)", settings.milvus.mode));
        Ok("done")
    }

    fn expose(&self, target: &Target, name: &str, node_port: u16) -> anyhow::Result<(&'static str, String)> {
        let step = self.context.ui.step(&format!("Exposing {name}"));
        let wanted = Wanted { target, node_port, service_port: None };
        let exposed = expose(self.context, wanted, ANSWER, &mut |what| step.waits_for(what))
            .with_context(|| format!("could not expose {name} on node port {node_port}"))?;
        if !exposed.answered {
            step.failed();
            let why = exposed.problem.unwrap_or_else(|| "it does not answer".to_owned());
            return Err(failure(Exit::Failed, format!("{name} is exposed at {}, but {why}", exposed.url)))
                .hint("`milvusctl status` shows the pods behind it");
        }
        let line = format!("{name} answers at {}", exposed.url);
        if exposed.changed {
            step.done(&line);
            Ok(("done", exposed.url))
        } else {
            step.unchanged(&line);
            Ok(("unchanged", exposed.url))
        }
    }
}

/// The operator's chart as helm is to install it.
pub(crate) fn install(context: &Context, documents: &Documents) -> Install {
    let operator = &context.settings.operator;
    Install {
        release: RELEASE.to_owned(),
        namespace: operator.namespace.clone(),
        chart: "milvus-operator".to_owned(),
        repo: Some(operator.repo.clone()),
        version: Some(operator.version.to_string()),
        values: documents.values.clone(),
        description: crate::milvus::removal::DESCRIPTION.to_owned(),
    }
}

/// The keys of an external storage, from environment variables or files; none where nobody has to give them.
fn storage_keys(context: &Context) -> anyhow::Result<Option<(Secret, Secret)>> {
    let external = context.settings.milvus.storage.external.as_ref();
    let Some(Credentials::Made { access_key, secret_key }) = external.map(|storage| &storage.credentials)
    else {
        return Ok(None);
    };
    Ok(Some((read_secret(access_key)?, read_secret(secret_key)?)))
}

/// A secret from where the settings say that it is.
pub(super) fn read_secret(source: &SecretSource) -> anyhow::Result<Secret> {
    let value = match source {
        SecretSource::Environment(name) => std::env::var(name).ok().filter(|value| !value.is_empty()),
        SecretSource::File(path) => std::fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned()),
    };
    value.map(Secret::new).ok_or_else(|| failure(Exit::Usage, format!("there is no secret in {source}")))
}

fn report(context: &Context, steps: Vec<StepReport>, urls: Urls, started: Instant) -> anyhow::Result<Exit> {
    let changed = steps.iter().any(|step| step.outcome == "done");
    let took = crate::ui::seconds(started.elapsed());
    if context.wants_json() {
        let mut status = observe_cluster(context)?;
        status.urls = urls;
        context.answer_json(&Report { status, steps })?;
        return Ok(Exit::Done);
    }
    let line =
        if changed { format!("Milvus is up after {took}") } else { "Nothing had to be changed".to_owned() };
    context.ui.line(&format!("\n{line}"));
    for (what, url) in [("Attu", &urls.attu), ("Milvus", &urls.milvus)] {
        if let Some(url) = url {
            context.ui.data(&format!("{what:<7} {url}"));
        }
    }
    context.ui.line("\nNext: open Attu, or connect a client to Milvus");
    let cluster = context.same_cluster();
    let takes_away = if context.settings.cluster.context.is_some() { "removes it" } else { "deletes it all" };
    context.ui.line(&format!("  milvusctl status {cluster}  shows the state"));
    context.ui.line(&format!("  milvusctl down {cluster}    {takes_away}"));
    Ok(Exit::Done)
}
