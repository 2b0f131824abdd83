//! `images`: lists, loads, saves, plans and explains.

mod list;
mod plan;
mod prune;

use serde_json::json;

use crate::cli::{ImagesCommand, SaveArgs};
use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::images::ImageRef;
use crate::images::outcome::LoadReport;
use crate::images::plan::Presence;
use crate::load::archive_file::load_archive;
use crate::load::find::{load_wave, named_images};
use crate::load::report::show_table;
use crate::process::quote;
use crate::up;

/// Runs one of the image commands.
///
/// # Errors
/// Fails if an image name is invalid, or the cluster or engine does not respond.
pub(super) fn run(command: &ImagesCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        ImagesCommand::List { missing, namespace } => list::run(context, namespace, *missing),
        ImagesCommand::Load { input: Some(path), .. } => report(context, &load_archive(context, path)?),
        ImagesCommand::Load { images, .. } => load_named(context, images),
        ImagesCommand::Save(args) => save(context, args),
        ImagesCommand::Prune(args) => prune::run(context, args),
        ImagesCommand::Plan(_) => plan::run(context),
        ImagesCommand::Explain { image, .. } => explain(context, image),
    }
}

fn parse(image: &str) -> anyhow::Result<ImageRef> {
    image
        .parse::<ImageRef>()
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))
        .hint("a name looks like `busybox:1.36` or `quay.io/coreos/etcd:v3.5.0`")
}

fn explain(context: &Context, image: &str) -> anyhow::Result<Exit> {
    let image = parse(image)?;
    let candidates: Vec<String> = context
        .mirror_rules()
        .candidates(&image)
        .iter()
        .map(|candidate| candidate.image.to_string())
        .collect();
    if context.wants_json() {
        context.answer_json(&json!({"image": image, "candidates": candidates}))?;
    } else {
        context.ui.data(&format!("{image}\n"));
        for (n, candidate) in candidates.iter().enumerate() {
            context.ui.data(&format!("  {}. {candidate}\n", n + 1));
        }
    }
    Ok(Exit::Done)
}

fn load_named(context: &Context, names: &[String]) -> anyhow::Result<Exit> {
    let images: Vec<ImageRef> = names.iter().map(|name| parse(name)).collect::<anyhow::Result<_>>()?;
    report(context, &load_wave(context, &named_images(context, images)?, Presence::ByContent)?)
}

fn report(context: &Context, report: &LoadReport) -> anyhow::Result<Exit> {
    if context.dry_run {
        return Ok(Exit::Done);
    }
    if context.wants_json() {
        context.answer_json(report)?;
    } else {
        show_table(context, report);
    }
    Ok(if report.failed > 0 { Exit::Partial } else { Exit::Done })
}

fn save(context: &Context, args: &SaveArgs) -> anyhow::Result<Exit> {
    let images: Vec<ImageRef> = args.images.iter().map(|name| parse(name)).collect::<Result<_, _>>()?;
    let to = args.output.file()?;
    let request = up::save::Request {
        to,
        images: &images,
        platform: up::save::platform(args.platform.as_deref())?,
        force: args.force,
    };
    let Some(saved) = up::save::save(context, request)? else { return Ok(Exit::Done) };
    context.ui.data(&to.display().to_string());
    if let Some(plan) = &saved.contents.plan {
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let flags: Vec<_> = plan.flags.iter().map(|flag| quote(flag)).collect();
        let command = [&[format!("milvusctl up --bundle {}", quote(&name))], &flags[..]].concat().join(" ");
        context.ui.line(&format!("\nNext, on a machine without a network:\n  {command}"));
    }
    Ok(Exit::Done)
}
