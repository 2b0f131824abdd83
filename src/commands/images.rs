//! `images`: lists, loads, saves, plans and explains.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::json;

use crate::cli::{ImagesCommand, PruneArgs, SaveArgs};
use crate::context::Context;
use crate::error::{Exit, Failure, Note};
use crate::images::ImageRef;
use crate::images::missing::{ImageName, MissingImage, NamespaceFilter, wanted};
use crate::images::outcome::LoadReport;
use crate::images::plan;
use crate::images::plan::Presence;
use crate::kube::node::can_run;
use crate::load::archive_file::load_archive;
use crate::load::fetch::store_folder;
use crate::load::find::{load_wave, nodes, pods_json, read_pods};
use crate::load::held_by_nodes;
use crate::load::report::show_table;
use crate::load::whereabouts::whereabouts;
use crate::milvus::images::planned_images;
use crate::process::quote;
use crate::store;
use crate::toolbox::Platform;
use crate::ui::{bytes, count, table};
use crate::up;

/// Carries out one of the commands.
///
/// # Errors
/// Fails when a name is none, or cluster or engine cannot be asked.
pub(super) fn run(command: &ImagesCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        ImagesCommand::List { missing, namespace } => list(context, namespace, *missing),
        ImagesCommand::Load { input: Some(path), .. } => report(context, &load_archive(context, path)?),
        ImagesCommand::Load { images, .. } => load_named(context, images),
        ImagesCommand::Save(args) => save(context, args),
        ImagesCommand::Prune(args) => prune(context, args),
        ImagesCommand::Plan(_) => plan(context),
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
    let images: Vec<MissingImage> = names
        .iter()
        .map(|name| Ok(MissingImage::new(ImageName::Valid(parse(name)?))))
        .collect::<anyhow::Result<_>>()?;
    report(context, &load_wave(context, &images, Presence::ByContent)?)
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
    let to = args.file()?;
    let request = up::save::Request { to, images: &images, platform: platform(args)?, force: args.force };
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

/// The machine that a bundle is to be for.
fn platform(args: &SaveArgs) -> anyhow::Result<Platform> {
    let known = "a platform is `linux/amd64`, `linux/arm64`, `darwin/amd64` or `darwin/arm64`";
    match &args.platform {
        Some(text) => Platform::parse(text).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("`{text}` is not a platform that milvusctl knows"))
                .hint(known)
                .into()
        }),
        None => Platform::host().ok_or_else(|| {
            Failure::new(Exit::Usage, "kind, helm and kubectl are not published for this machine")
                .hint("say for which machine with `--platform`")
                .into()
        }),
    }
}

fn prune(context: &Context, args: &PruneArgs) -> anyhow::Result<Exit> {
    let keep = store::Keep {
        newer_than: args.older_than,
        bytes: args.keep.map(|size| size.as_u64()),
        nothing: args.all,
    };
    let folder = store_folder(context)?;
    let pruned = store::prune(&folder, keep, context.dry_run, &context.interrupt)
        .with_context(|| format!("could not prune the image store `{}`", folder.display()))?;
    if context.wants_json() {
        context.answer_json(&json!({
            "store": folder,
            "images": pruned.images,
            "freed_bytes": pruned.freed_bytes,
            "left_bytes": pruned.left_bytes,
        }))?;
        return Ok(Exit::Done);
    }
    for image in &pruned.images {
        context.ui.data(&image.familiar());
    }
    let would = if context.dry_run { "would delete" } else { "deleted" };
    context.ui.line(&format!(
        "{would} {} and freed {}; {} left in `{}`",
        count(pruned.images.len(), "image"),
        bytes(pruned.freed_bytes),
        bytes(pruned.left_bytes),
        folder.display()
    ));
    Ok(Exit::Done)
}

fn plan(context: &Context) -> anyhow::Result<Exit> {
    let planned = planned_images(&context.settings);
    if !planned.is_known {
        context.ui.warn(&format!(
            "milvus-operator {} is not known; its images are found when pods wait for them",
            context.settings.operator.version
        ));
    }
    if context.wants_json() {
        let images: Vec<_> = planned
            .images
            .iter()
            .map(|image| json!({"image": image.image, "wanted_by": image.wanted_by}))
            .collect();
        context.answer_json(&json!({
            "operator_version": context.settings.operator.version.to_string(),
            "known": planned.is_known,
            "images": images,
        }))?;
    } else {
        let rows: Vec<_> = planned
            .images
            .iter()
            .map(|image| {
                let by: Vec<&str> = image.wanted_by.iter().map(AsRef::as_ref).collect();
                [image.image.to_string(), by.join(", ")]
            })
            .collect();
        context.ui.data(&table(["IMAGE", "WANTED BY"], &rows, context.ui.width()));
    }
    Ok(Exit::Done)
}

fn list(context: &Context, namespaces: &[String], only_missing: bool) -> anyhow::Result<Exit> {
    let filter = NamespaceFilter::new(namespaces.iter().cloned());
    let json = pods_json(context)?;
    let pods = read_pods(&json)?;
    let nodes = nodes(context)?;
    let names: Vec<String> = nodes.iter().map(|node| node.name().to_owned()).collect();
    let held = held_by_nodes(context, &names).context("could not ask the nodes which images they hold")?;
    for (node, why) in &held.closed {
        context.ui.warn(&format!("node `{node}` is left out: {why}"));
    }
    let images = wanted(&pods, &filter);
    let references: Vec<&ImageRef> = images.iter().filter_map(|image| image.image.reference()).collect();
    let platform = nodes.first().map_or_else(plan::Platform::of_this_machine, plan::Platform::of);
    let whereabouts = whereabouts(context, &references, &platform);
    let mut rows = Vec::new();
    let mut answer = Vec::new();
    for image in &images {
        let open = nodes.iter().filter(|node| !held.closed.contains_key(node.name()));
        let needing = open.filter(|node| {
            image.nodes.contains(node.name()) || image.placements.iter().any(|place| can_run(place, node))
        });
        let mut on: BTreeMap<bool, Vec<String>> = BTreeMap::new();
        for node in needing {
            let holds = image.image.reference().is_some_and(|name| held.images.holds(node.name(), name));
            on.entry(holds).or_default().push(node.name().to_owned());
        }
        let (present, absent) = (on.remove(&true).unwrap_or_default(), on.remove(&false).unwrap_or_default());
        if only_missing && absent.is_empty() {
            continue;
        }
        let pods: Vec<String> = image.pods.iter().map(ToString::to_string).collect();
        let reference = image.image.reference();
        let elsewhere = reference.and_then(|name| whereabouts.get(name)).copied().unwrap_or_default();
        let on_node = || {
            let name = reference?.node_name().to_string();
            nodes.iter().find_map(|node| node.image_bytes(&name))
        };
        let (in_engine, in_store) = (elsewhere.engine_bytes.is_some(), elsewhere.store_bytes.is_some());
        let size = elsewhere.store_bytes.or_else(on_node).or(elsewhere.engine_bytes);
        let places = [(in_engine, "engine"), (in_store, "store")];
        let places: Vec<&str> =
            places.into_iter().filter_map(|(is_there, name)| is_there.then_some(name)).collect();
        rows.push([
            image.image.to_string(),
            pods.len().to_string(),
            size.map_or_else(|| "?".to_owned(), bytes),
            format!("{} of {}", present.len(), present.len() + absent.len()),
            places.join(", "),
            absent.join(", "),
        ]);
        answer.push(json!({
            "image": image.image.to_string(), "wanted_by": pods, "present_on": present, "missing_on": absent,
            "in_engine": in_engine, "in_store": in_store, "size_bytes": size,
        }));
    }
    if context.wants_json() {
        context.answer_json(&json!({"cluster": context.settings.cluster.name, "images": answer}))?;
    } else if rows.is_empty() {
        context.ui.line(if only_missing { "No node is missing an image" } else { "No pod uses an image" });
    } else {
        let header = ["IMAGE", "PODS", "SIZE", "ON NODES", "ALSO IN", "MISSING ON"];
        context.ui.data(&table(header, &rows, context.ui.width()));
    }
    Ok(Exit::Done)
}
