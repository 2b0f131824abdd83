//! `up --dry-run`: the whole story as a shell script that works when it is pasted.

use crate::cluster::mirrors;
use crate::cluster::state::ClusterState;
use crate::commands::up::install;
use crate::context::Context;
use crate::images::plan::{ImageLoad, Platform, Pull};
use crate::load::find::load_script;
use crate::load::{Method, Source};
use crate::milvus::images::Planned;
use crate::process::{Cmd, quote};
use crate::settings::Credentials;
use crate::text::comment;
use crate::tools::Helm;
use crate::tools::docker::{PLATFORM_SAVE_API, start_command};
use crate::tools::kind::{create_command, delete_command, export_command};
use crate::tools::kubectl::MILVUSES;
use crate::up::observe::Documents;
use crate::up::plan::Action;
use crate::up::plan::Observed;
use crate::up::plan::OperatorState;
use crate::up::plan::StepName;

/// The steps that would be carried out, as a script.
///
/// # Errors
/// Fails when a document cannot be rendered.
pub(crate) fn script(
    context: &Context,
    documents: &Documents,
    planned: &Planned,
    observed: &Observed,
    steps: &[(StepName, Action)],
) -> anyhow::Result<String> {
    let settings = &context.settings;
    let name = &settings.cluster.name;
    let kube_context = context.kube_context();
    let mut parts = vec!["#!/bin/sh\nset -eu".to_owned()];
    let apply = |text: &str| context.kubectl().apply_command().input(text).to_script();
    for (step, action) in steps {
        if *action != Action::Do {
            continue;
        }
        let text = match step {
            StepName::Cluster => match &observed.cluster {
                ClusterState::Stopped(nodes) => format!("{}\n{}", start_command(nodes), export_command(name)),
                ClusterState::Running => export_command(name).to_string(),
                ClusterState::HalfMade => format!(
                    "{}\n{}",
                    delete_command(name),
                    create_command(name, &documents.cluster, None, false).to_script()
                ),
                ClusterState::Absent => create_command(name, &documents.cluster, None, false).to_script(),
                ClusterState::Foreign => continue,
            },
            StepName::Mirrors => {
                let commands = mirrors::commands(context, &nodes(context));
                commands.iter().map(|(_, cmd)| cmd.to_script()).collect::<Vec<_>>().join("\n")
            }
            StepName::Images => images(context, planned),
            StepName::Operator => {
                let install = install(context, documents);
                let mut text = String::new();
                if matches!(observed.operator, OperatorState::Differs(_)) {
                    let apply =
                        "apply --server-side --force-conflicts --field-manager milvusctl --filename -";
                    let crds = Helm::crds_command(&install);
                    text = format!("{crds} | kubectl --context {} {apply}\n", quote(&kube_context));
                }
                text + &context.tools.helm(&kube_context).install_command(&install).to_script()
            }
            StepName::Milvus => {
                let mut text = String::new();
                if let Some(Credentials::Made { .. }) =
                    settings.milvus.storage.external.as_ref().map(|storage| &storage.credentials)
                {
                    let secret = crate::milvus::masked_storage_secret(settings).to_string();
                    let head = comment("the storage's Secret, its keys left out:");
                    text = format!("{head}\n{}\n", comment(&secret));
                }
                text + &apply(&crate::templates::document(&documents.milvus)?)
            }
            StepName::Attu => apply(&documents.attu),
            StepName::Healthy => {
                let timeout = format!("--timeout={}s", settings.up.timeout.as_secs());
                let resource = format!("{MILVUSES}/{}", settings.milvus.name);
                Cmd::write("kubectl", settings.up.timeout)
                    .args(["--context", &kube_context, "--namespace", &settings.milvus.namespace])
                    .args(["wait", "--for=condition=MilvusReady", &resource, &timeout])
                    .to_string()
            }
            StepName::ExposeAttu => expose(context, "attu", settings.attu.node_port),
            StepName::ExposeMilvus => expose(context, "milvus", settings.milvus.node_port),
            StepName::Smoke => format!("milvusctl smoke --name {}", quote(name)),
        };
        parts.push(text);
    }
    Ok(parts.join("\n\n"))
}

fn expose(context: &Context, target: &str, node_port: u16) -> String {
    let name = quote(&context.settings.cluster.name);
    format!("milvusctl expose {target} --nodeport {node_port} --name {name}")
}

/// The nodes that kind is going to make, the control plane first.
fn nodes(context: &Context) -> Vec<String> {
    let cluster = &context.settings.cluster;
    let worker = |n: u8| if n == 1 { "worker".to_owned() } else { format!("worker{n}") };
    let roles = std::iter::once("control-plane".to_owned()).chain((1..=cluster.workers).map(worker));
    roles.map(|role| format!("{}-{role}", cluster.name)).collect()
}

/// Loading the planned images into the nodes that kind is going to make.
fn images(context: &Context, planned: &Planned) -> String {
    let settings = &context.settings;
    let name = &settings.cluster.name;
    let api = context.tools.docker.version().map_or(PLATFORM_SAVE_API, |version| version.api);
    let method = Method {
        jobs: usize::from(settings.images.jobs),
        loader: settings.images.loader,
        api,
        cluster: name.clone(),
        source: Source::Engine,
        nodes: std::sync::Arc::default(),
    };
    let mut nodes = nodes(context);
    if nodes.len() > 1 {
        // With workers, the control plane is left to itself.
        nodes.remove(0);
    }
    let rules = context.mirror_rules();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let scripts: Vec<String> = planned
        .images
        .iter()
        .map(|planned| {
            let load = ImageLoad {
                image: planned.image.clone(),
                reasons: std::collections::BTreeSet::new(),
                pods: std::collections::BTreeSet::new(),
                pull: Some(Pull { candidates: rules.candidates(&planned.image) }),
                first: nodes.clone(),
                then: Vec::new(),
                platform: Platform { os: "linux".into(), architecture: architecture.into() },
            };
            load_script(&method, &load)
        })
        .collect();
    scripts.join("\n")
}
