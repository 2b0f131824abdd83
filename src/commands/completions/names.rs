//! Completes live names: clusters, contexts, namespaces, Services, images.

use std::ffi::{OsStr, OsString};

use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};

use super::live::{answers, context_of, settings_of};
use crate::cli::Cli;
use crate::milvus::images::planned_images;
use crate::settings::{Settings, keys};
use crate::tools::Tools;

/// Adds candidates to the command line's arguments; `typed` are the words before the one being typed.
pub(super) fn with_names(typed: &[OsString]) -> Command {
    let typed = typed.to_vec();
    let of_cluster = move || settings_of(&typed);
    let command = Cli::command()
        .mut_arg(keys::CLUSTER_NAME.path, |arg| {
            arg.add(ask(|tools| tools.kind.clusters().unwrap_or_default()))
        })
        .mut_arg(keys::CLUSTER_CONTEXT.path, |arg| {
            arg.add(ask(|tools| tools.kubectl("").contexts().unwrap_or_default()))
        });
    let command = in_all(command, "command", &commands);
    let settings = of_cluster.clone();
    let command = in_all(command, "namespace", &move || {
        let settings = settings.clone();
        ask(move |tools| {
            let Some(context) = settings().map(|settings| context_of(&settings)) else { return Vec::new() };
            tools.kubectl(&context).namespaces().unwrap_or_default()
        })
    });
    let settings = of_cluster.clone();
    let command = in_all(command, "images", &move || planned(settings.clone()));
    let settings = of_cluster.clone();
    let command = in_all(command, "image", &move || planned(settings.clone()));
    targets(command, &of_cluster)
}

/// Adds candidates to the argument `id` in every command that has it.
fn in_all(command: Command, id: &str, candidates: &dyn Fn() -> ArgValueCandidates) -> Command {
    let has_it = command.get_arguments().any(|arg| arg.get_id() == id);
    let command = if has_it { command.mut_arg(id, |arg| arg.add(candidates())) } else { command };
    command.mut_subcommands(|inner| in_all(inner, id, candidates))
}

/// Adds candidates to the targets of `expose` and `forward`. The cluster is only asked for Services.
fn targets(
    command: Command,
    settings: &(impl Fn() -> Option<Settings> + Clone + Send + Sync + 'static),
) -> Command {
    let mut command = command;
    for name in ["expose", "forward"] {
        let settings = settings.clone();
        let candidates = move |typed: &OsStr| -> Vec<CompletionCandidate> {
            let typed = typed.to_string_lossy().into_owned();
            let mut found = vec!["attu".to_owned(), "milvus".to_owned()];
            if typed.starts_with("svc/") {
                let settings = settings.clone();
                found.extend(answers(move |tools| {
                    let context = settings().map(|settings| context_of(&settings)).unwrap_or_default();
                    let services = tools.kubectl(&context).services().unwrap_or_default();
                    services.into_iter().map(|(namespace, name)| format!("svc/{namespace}/{name}")).collect()
                }));
            } else {
                found.push("svc/".to_owned());
            }
            found
                .into_iter()
                .filter(|target| target.starts_with(&typed))
                .map(CompletionCandidate::new)
                .collect()
        };
        command = command.mut_subcommand(name, |inner| {
            inner.mut_arg("target", |arg| arg.add(ArgValueCompleter::new(candidates)))
        });
    }
    command
}

/// The commands that have a manual page.
fn commands() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let program = Cli::command();
        program.get_subcommands().map(|command| CompletionCandidate::new(command.get_name())).collect()
    })
}

fn planned(settings: impl Fn() -> Option<Settings> + Send + Sync + 'static) -> ArgValueCandidates {
    ArgValueCandidates::new(move || {
        let images = settings().map(|settings| planned_images(&settings).images).unwrap_or_default();
        images.iter().map(|planned| CompletionCandidate::new(planned.image.to_string())).collect()
    })
}

/// Candidates from a tool.
fn ask(question: impl Fn(&Tools) -> Vec<String> + Clone + Send + Sync + 'static) -> ArgValueCandidates {
    ArgValueCandidates::new(move || {
        answers(question.clone()).into_iter().map(CompletionCandidate::new).collect()
    })
}
