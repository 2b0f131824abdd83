//! Renders a load for a shell script: the commands it would run, and as comments what milvusctl does without
//! commands, where each image would come from and which nodes would get it.

use std::collections::BTreeSet;

use anyhow::Context as _;

use crate::archive::Platform;
use crate::context::Context;
use crate::images::loading::PullWith;
use crate::images::plan::{ImageLoad, LoadPlan, Pull};
use crate::load::Method;
use crate::load::fetch::existing_store;
use crate::load::pull::LIMIT;
use crate::process::quote;
use crate::registry::places;
use crate::store::Store;
use crate::text::comment;
use crate::tools::docker::{Docker, tag_command};
use crate::tools::{EngineRegistries, pull_command};

/// Renders what would be done about each image in `plan`.
///
/// # Errors
/// Fails if the engine does not list its mirrors or the image store cannot be read.
pub(crate) fn plan_script(context: &Context, method: &Method, plan: &LoadPlan) -> anyhow::Result<String> {
    let mut parts = left_alone(plan);
    parts.extend(Sources::look(context)?.script(method, &plan.loads)?);
    Ok(joined(&parts))
}

/// Renders what would be done about each image in `plan`, all of which come from the file `from`.
pub(crate) fn file_script(plan: &LoadPlan, from: &str) -> String {
    let mut parts = left_alone(plan);
    let told = plan.loads.iter().map(|load| (load, vec![from.to_owned()])).collect::<Vec<_>>();
    parts.extend(by_milvusctl(&told));
    joined(&parts)
}

fn joined(parts: &[String]) -> String {
    if parts.is_empty() {
        comment("nothing to load: each image is on every node that needs it")
    } else {
        parts.join("\n")
    }
}

/// The images and nodes left out, with reasons.
fn left_alone(plan: &LoadPlan) -> Vec<String> {
    let refused = plan.refused.iter().map(|refusal| format!("{}: {}", refusal.image, refusal.error));
    let left_out = plan.left_out.iter().flat_map(|left_out| {
        let image = &left_out.image;
        left_out
            .nodes
            .iter()
            .map(move |(node, why)| format!("{image} is not loaded into node `{node}`: {why}"))
    });
    refused.chain(left_out).map(|text| comment(&text)).collect()
}

/// Where images would come from.
struct Sources<'a> {
    context: &'a Context,
    engine: EngineRegistries,
    store: Option<Store>,
}

impl<'a> Sources<'a> {
    fn look(context: &'a Context) -> anyhow::Result<Self> {
        if context.settings.images.pull_with == PullWith::Docker && context.settings.images.bundle.is_none() {
            return Ok(Self { context, engine: EngineRegistries::default(), store: None });
        }
        let info = context.tools.docker.info().context("could not ask the container engine")?;
        Ok(Self { context, engine: EngineRegistries::parse(&info), store: existing_store(context)? })
    }

    fn script(&self, method: &Method, loads: &[ImageLoad]) -> anyhow::Result<Vec<String>> {
        let (mut told, mut commands) = (Vec::new(), Vec::new());
        for load in loads {
            match &load.pull {
                Some(pull) if !self.is_by_docker() => told.push((load, self.places_of(load, pull)?)),
                _ => commands.push(by_docker(method, load)),
            }
        }
        Ok(by_milvusctl(&told).into_iter().chain(commands).collect())
    }

    fn is_by_docker(&self) -> bool {
        let images = &self.context.settings.images;
        images.pull_with == PullWith::Docker && images.bundle.is_none()
    }

    /// The places to look for an image, best first.
    fn places_of(&self, load: &ImageLoad, pull: &Pull) -> anyhow::Result<Vec<String>> {
        let images = &self.context.settings.images;
        if let Some(bundle) = &images.bundle {
            return Ok(vec![format!("the bundle `{}`", bundle.display())]);
        }
        let platform = load.platform.clone();
        if let Some(store) = &self.store
            && store.find(&load.image, &[platform])?.is_some()
        {
            return Ok(vec!["the image store".to_owned()]);
        }
        let mut shown: Vec<String> = places(&load.image, &self.context.mirror_rules(), &self.engine)
            .iter()
            .map(|place| {
                let has_own_path = place.repository != load.image.repository();
                if has_own_path { format!("{}/{}", place.host, place.repository) } else { place.host.clone() }
            })
            .collect();
        if images.pull_with == PullWith::Auto && !pull.candidates.is_empty() {
            shown.push("`docker pull`".to_owned());
        }
        Ok(shown)
    }
}

/// Describes images that milvusctl moves itself, grouped by nodes.
fn by_milvusctl(told: &[(&ImageLoad, Vec<String>)]) -> Vec<String> {
    let nodes_of = |load: &ImageLoad| load.nodes().map(str::to_owned).collect::<Vec<_>>();
    let mut groups: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for (load, places) in told {
        let line = format!("  {}: {}", load.image.familiar(), places.join(", "));
        let nodes = nodes_of(load);
        match groups.iter_mut().find(|(of_group, _)| *of_group == nodes) {
            Some((_, lines)) => lines.push(line),
            None => groups.push((nodes, vec![line])),
        }
    }
    let group = |(nodes, lines): (Vec<String>, Vec<String>)| {
        let head = format!(
            "milvusctl loads these images into {}, each from the first place that has it:",
            nodes.join(", ")
        );
        [vec![head], lines].concat().iter().map(|line| comment(line)).collect::<Vec<_>>().join("\n")
    };
    groups.into_iter().map(group).collect()
}

/// The commands that move an image through the engine.
fn by_docker(method: &Method, load: &ImageLoad) -> String {
    let name = load.image.familiar();
    let mut lines = Vec::new();
    lines.extend(load.pull.as_ref().map(|pull| pull_script(&name, pull, &load.platform)));
    let save = Docker::save(&[name], method.platform(load).as_deref());
    let nodes: BTreeSet<&str> = load.nodes().collect();
    for node in nodes {
        lines.push(format!("{save} | docker exec -i {} ctr --namespace k8s.io images import -", quote(node)));
    }
    lines.join("\n")
}

/// The commands to pull an image for `platform` manually from the first place that has it.
pub(crate) fn pull_script(name: &str, pull: &Pull, platform: &Platform) -> String {
    let platform = platform.is_known().then(|| platform.to_string());
    let tries = pull.candidates.iter().map(|candidate| {
        let from = candidate.image.familiar();
        let pulled = pull_command(&from, platform.as_deref(), LIMIT.time);
        if candidate.is_original {
            pulled.to_string()
        } else {
            format!("{pulled} && {}", tag_command(&from, name))
        }
    });
    tries.collect::<Vec<_>>().join(" || ")
}
