//! Decides what an existing Milvus keeps when the operator's defaults have changed. Pure.
//!
//! The operator writes its defaults into a Milvus once: a newer operator changes neither the image nor the
//! dependencies' charts (milvus-operator, `SetDefaultValues` of `apis/milvus.io/v1beta1`). So the image is
//! written into the resource: with a newer operator comes its Milvus, by way of the releases in between.

use semver::Version;
use serde_json::Value;

use super::charts::PulsarChart;
use super::dependencies::pulsar_chart;
use super::images::{Planned, images_of, planned_images};
use super::resource::{Part, Resource};
use super::way::{self, Hop, NoWay, Start, hops, is_release, leap_warning, leaps};
use super::{merge, pushed, resource_on};
use crate::images::ImageRef;
use crate::images::catalog::{Catalog, PlannedImage, release_order};
use crate::settings::Settings;

/// What to apply to an existing Milvus of milvusctl's.
pub(crate) struct Kept {
    /// The resource to apply, with the running image if nothing else is due.
    pub(crate) resource: Value,
    /// The releases that must run before, in order.
    pub(crate) stages: Vec<Stage>,
    /// The images that it and they need.
    pub(crate) images: Planned,
    /// The new images of Milvus itself, without which it must not be changed.
    pub(crate) required: Vec<ImageRef>,
    /// Messages about the upgrade, and about versions that stay although a fresh installation would get others.
    pub(crate) notes: Vec<String>,
    /// Why the version that the user names cannot be reached.
    pub(crate) refusal: Option<String>,
    /// A warning against the image that the user names.
    pub(crate) leap: Option<String>,
}

/// A release that must run before the next one is applied.
pub(crate) struct Stage {
    pub(crate) version: Version,
    /// The image as the resource names it.
    pub(crate) image: String,
    /// The image that runs before.
    pub(crate) before: String,
    pub(crate) resource: Value,
}

/// What is known of the running Milvus and its operator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunningMilvus<'a> {
    pub(crate) live: &'a Value,
    /// Whether milvusctl manages the operator, so that Milvus follows its release.
    pub(crate) follows: bool,
    /// Whether all of Milvus runs what its resource says.
    pub(crate) is_settled: bool,
}

/// The annotation with the operator release that a Milvus was last applied for. It stays behind if a run stops between
/// the operator and the Milvus.
const APPLIED_FOR: &str = "milvusctl/operator-version";
/// The operator's label with the release that first reconciled the Milvus (`label_annotations.go`).
const MADE_BY: &str = "milvus.io/operator-version";
/// The operator's annotation on a Milvus that has its defaults.
const MERGED: &str = "milvus.io/dependency-values-merged";

/// Whether the Milvus `live` was last applied for another operator release than that of `settings`.
pub(crate) fn is_of_another_operator(settings: &Settings, live: &Value) -> bool {
    applied_for(live).is_some_and(|version| version != settings.operator.version)
}

/// The operator release that a Milvus was last applied for; `None` before any operator reconciled it.
fn applied_for(live: &Value) -> Option<Version> {
    let metadata = &live["metadata"];
    let said = metadata["annotations"][APPLIED_FOR].as_str().or_else(|| metadata["labels"][MADE_BY].as_str());
    Version::parse(said?.trim_start_matches('v')).ok()
}

/// Computes what `settings` change in a running Milvus, and how.
pub(crate) fn keep(settings: &Settings, running: RunningMilvus<'_>) -> Kept {
    let RunningMilvus { live, follows, .. } = running;
    let image = Resource::new(live).image();
    let default = Catalog::builtin().release(&settings.operator.version).and_then(|release| release.milvus);
    let is_named = names_image(settings);
    let chart = running_pulsar(live).unwrap_or_else(|| pulsar_chart(settings));
    let mut notes = Vec::new();
    let mut followed = settings.clone();
    let mut way = Vec::new();
    let mut refusal = None;
    let mut leap = None;
    if is_named {
        let named = resource_on(settings, chart);
        match named_way(settings, running, &named) {
            NamedWay::Way(hops) => way = hops,
            NamedWay::Refused(why) => refusal = Some(why),
            NamedWay::Leap(why) => leap = Some(why),
        }
    } else if let Some((image, default)) = image.zip(default.as_ref()) {
        let is_due = follows && is_of_another_operator(settings, live);
        match unnamed_way(settings, running, image, default, is_due) {
            UnnamedWay::Way(hops) => {
                way = hops;
                followed.milvus.version = Some(default.clone());
            }
            UnnamedWay::Stays(note) => notes.extend(note),
        }
    }
    let stays = image.filter(|_| !is_named && followed.milvus.version.is_none());
    let with_image = |mut resource: Value| {
        if let Some(image) = stays {
            resource["spec"]["components"]["image"] = image.into();
        }
        resource
    };
    let mut resource = with_image(resource_on(&followed, chart));
    if follows {
        resource["metadata"]["annotations"][APPLIED_FOR] = settings.operator.version.to_string().into();
    }
    let stages = stages(settings, live, &resource, way);
    let mut whole = live.clone();
    merge(&mut whole, &with_image(resource_of_publishers(&followed, chart)));
    let images = with_publishers_names(&followed, images_of(&followed, &whole));
    let wanted = Resource::new(&resource).image();
    if let Some(note) = upgrade(image, &stages, wanted) {
        notes.insert(0, note);
    }
    notes.extend(dependencies_stay(&followed, &images));
    let new = stages.iter().map(|stage| stage.image.as_str()).chain(wanted);
    let new: Vec<&str> = new.filter(|new| image.is_some_and(|image| image != *new)).collect();
    let required: Vec<ImageRef> = new.iter().filter_map(|image| published(settings, image)).collect();
    Kept { resource, stages, images: with_required(images, &required), required, notes, refusal, leap }
}

/// How to get to the image that the user names.
enum NamedWay {
    Way(Vec<Hop>),
    Refused(String),
    /// At once, with a warning: what lies in between is unknown.
    Leap(String),
}

fn named_way(settings: &Settings, running: RunningMilvus<'_>, named: &Value) -> NamedWay {
    let from = Resource::new(running.live).image().and_then(version_of);
    let image = Resource::new(named).image();
    let said = named["spec"]["components"]["version"].as_str().and_then(parse);
    let to = settings.milvus.version.clone().or(said).or_else(|| version_of(image?));
    let Some(((from, to), image)) = from.zip(to).zip(image) else { return NamedWay::Way(Vec::new()) };
    if !is_published(settings, image) {
        return if leaps(&from, &to) {
            NamedWay::Leap(leap_warning(&from, &to))
        } else {
            NamedWay::Way(Vec::new())
        };
    }
    match ways(settings, running, &from, &to, named) {
        Ok(hops) => NamedWay::Way(hops),
        Err(why) => NamedWay::Refused(format!("Milvus {from} cannot be upgraded to {to}: {why}")),
    }
}

/// Whether a Milvus whose version nobody names moves to the operator's default.
enum UnnamedWay {
    Way(Vec<Hop>),
    Stays(Option<String>),
}

fn unnamed_way(
    settings: &Settings,
    running: RunningMilvus<'_>,
    image: &str,
    default: &Version,
    is_due: bool,
) -> UnnamedWay {
    let stays = |why: &str| UnnamedWay::Stays(Some(format!("Milvus stays at `{image}`{why}")));
    let Some(from) = version_of(image).filter(|_| is_published(settings, image)) else {
        let why = format!(", which is not a release of `{MILVUS}`; `--milvus-version {default}` replaces it");
        return if is_due { stays(&why) } else { UnnamedWay::Stays(None) };
    };
    if release_order(&from) >= release_order(default) {
        return UnnamedWay::Stays(None);
    }
    if !is_due {
        return stays(&format!("; `--milvus-version {default}` upgrades it"));
    }
    if !is_release(&from) && !from.pre.starts_with("rc") {
        // Such as `2.6.0-gpu`, which the release would not replace.
        return stays(&format!(", a build of its own; `--milvus-version {default}` replaces it"));
    }
    let wanted = resource_on(settings, pulsar_chart(settings));
    match ways(settings, running, &from, default, &wanted) {
        Ok(hops) => UnnamedWay::Way(hops),
        Err(why) => stays(&format!(": {why}")),
    }
}

/// The releases between `from` and `to`.
fn ways(
    settings: &Settings,
    running: RunningMilvus<'_>,
    from: &Version,
    to: &Version,
    wanted: &Value,
) -> Result<Vec<Hop>, NoWay> {
    let has_coordinators = way::has_coordinators(running.live);
    let start = Start { version: from, has_coordinators, is_settled: running.is_settled };
    let hops = hops(start, to, &settings.operator.version)?;
    if way::crosses(from, to) && way::has_coordinators(wanted) {
        return Err(NoWay::Coordinators);
    }
    Ok(hops)
}

/// The resources of the releases on the way to `wanted`.
fn stages(settings: &Settings, live: &Value, wanted: &Value, way: Vec<Hop>) -> Vec<Stage> {
    let mut before = Resource::new(live).image().unwrap_or_default().to_owned();
    let has_gpu = Resource::new(wanted).image().is_some_and(|image| image.ends_with(GPU));
    let build = if has_gpu { GPU } else { "" };
    let mut stages = Vec::new();
    for Hop { version, merges_coordinators } in way {
        let image = if version_of(&before).as_ref() == Some(&version) {
            before.clone()
        } else {
            pushed(settings, &format!("{MILVUS}:v{version}{build}"))
        };
        let mut resource = wanted.clone();
        let components = &mut resource["spec"]["components"];
        components["image"] = image.as_str().into();
        if let Some(components) = components.as_object_mut() {
            // The image's tag says it, and these nodes come with 2.6.
            components.remove("version");
            components.remove("streamingNode");
        }
        if merges_coordinators && components["mixCoord"].is_null() {
            components["mixCoord"] = serde_json::json!({"replicas": 1});
        }
        // Until the last one is applied, the next run goes on.
        let annotations = &mut resource["metadata"]["annotations"];
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.remove(APPLIED_FOR);
        }
        if let Some(applied_for) = applied_for(live) {
            annotations[APPLIED_FOR] = applied_for.to_string().into();
        }
        let stage =
            Stage { version, image: image.clone(), before: std::mem::replace(&mut before, image), resource };
        stages.push(stage);
    }
    stages
}

/// What is going to happen to the image, in words.
fn upgrade(from: Option<&str>, stages: &[Stage], to: Option<&str>) -> Option<String> {
    let (from, to) = (from?, to?);
    let is_newer = version_of(from)
        .zip(version_of(to))
        .is_some_and(|(from, to)| release_order(&from) < release_order(&to));
    if !is_newer {
        return None;
    }
    let by = match stages
        .iter()
        .map(|stage| stage.image.as_str())
        .filter(|image| *image != from)
        .collect::<Vec<_>>()
    {
        by if by.is_empty() => String::new(),
        by => format!(" by way of `{}`", by.join("`, `")),
    };
    Some(format!("Milvus goes from `{from}` to `{to}`{by}"))
}

/// The plan with the images of the releases on the way, in front of the last one.
fn with_required(mut planned: Planned, required: &[ImageRef]) -> Planned {
    let is_new = |image: &&ImageRef| planned.images.iter().all(|known| known.image != **image);
    let new: Vec<PlannedImage> = required
        .iter()
        .filter(is_new)
        .map(|image| PlannedImage { image: image.clone(), wanted_by: vec!["milvus"] })
        .collect();
    let place = planned.images.iter().position(|known| known.wanted_by.contains(&"milvus"));
    let place = place.unwrap_or(planned.images.len());
    planned.images.splice(place..place, new);
    planned
}

/// The chart that Pulsar of a running Milvus was installed from.
///
/// An operator with both charts uses the older one for an existing Milvus without `chartVersion`
/// (`setDefaultMsgStreamConfigs`).
fn running_pulsar(live: &Value) -> Option<PulsarChart> {
    match Resource::new(live).chart(Part::Pulsar) {
        Some("pulsar-v2") => Some(PulsarChart::V2),
        Some("pulsar-v3") => Some(PulsarChart::V3),
        _ => {
            let has_pulsar = Resource::new(live).values(Part::Pulsar).is_some();
            let is_seen = live["metadata"]["annotations"][MERGED] == "true";
            (has_pulsar && is_seen).then_some(PulsarChart::V2)
        }
    }
}

/// The resource with the publishers' image names.
fn resource_of_publishers(settings: &Settings, chart: PulsarChart) -> Value {
    let mut published = settings.clone();
    published.mirror.push = None;
    resource_on(&published, chart)
}

/// The images with their publishers' names in place of those in the push registry, where those are known.
fn with_publishers_names(settings: &Settings, mut planned: Planned) -> Planned {
    if settings.mirror.push.is_none() {
        return planned;
    }
    let mut named: Vec<PlannedImage> = Vec::new();
    for PlannedImage { image, wanted_by } in planned.images {
        let image = published(settings, &image.to_string()).unwrap_or(image);
        match named.iter_mut().find(|known| known.image == image) {
            Some(known) => known.wanted_by.extend(wanted_by),
            None => named.push(PlannedImage { image, wanted_by }),
        }
    }
    planned.images = named;
    planned
}

/// Whether the user names the Milvus image or version.
fn names_image(settings: &Settings) -> bool {
    let milvus = &settings.milvus;
    milvus.version.is_some()
        || milvus.image.is_some()
        || ["/components/image", "/components/version"].iter().any(|path| milvus.spec.pointer(path).is_some())
}

/// How the tags of the images for GPUs end.
const GPU: &str = "-gpu";
/// Milvus's image without its tag.
const MILVUS: &str = "milvusdb/milvus";

/// Whether `image` is one that Milvus's project publishes, possibly by way of the push registry.
fn is_published(settings: &Settings, image: &str) -> bool {
    published(settings, image)
        .is_some_and(|image| (image.registry(), image.repository()) == ("docker.io", MILVUS))
}

/// `image` under its publisher's name; one of an unknown publisher keeps that in the push registry, which has it.
fn published(settings: &Settings, image: &str) -> Option<ImageRef> {
    let prefix = settings.mirror.push.as_deref();
    let path = prefix.and_then(|prefix| image.strip_prefix(prefix)?.strip_prefix('/'));
    let known = path.and_then(|path| path.parse::<ImageRef>().ok());
    known.filter(|image| Catalog::builtin().publishes(image.repository())).or_else(|| image.parse().ok())
}

/// The Milvus version in an image's tag.
fn version_of(image: &str) -> Option<Version> {
    parse(image.rsplit_once(':')?.1)
}

fn parse(text: &str) -> Option<Version> {
    Version::parse(text.trim_start_matches('v')).ok()
}

/// A message about dependencies that a fresh installation would get in other releases.
fn dependencies_stay(settings: &Settings, images: &Planned) -> Option<String> {
    let fresh = planned_images(settings);
    let is_dependency = |planned: &&PlannedImage| {
        !planned.wanted_by.iter().any(|by| ["operator", "milvus", "attu"].contains(by))
    };
    let others = images.images.iter().filter(is_dependency);
    let others: Vec<String> = others
        .filter(|planned| fresh.images.iter().all(|fresh| fresh.image != planned.image))
        .map(|planned| format!("`{}`", planned.image.familiar()))
        .collect();
    (!others.is_empty()).then(|| {
        format!(
            "{} stay as installed: the operator does not upgrade the dependencies of an existing Milvus",
            others.join(", ")
        )
    })
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
