//! Decides what an existing Milvus keeps when the operator's defaults have changed. Pure.
//!
//! The operator writes its defaults into a Milvus once: a newer operator changes neither the image nor the
//! dependencies' charts (milvus-operator, `SetDefaultValues` of `apis/milvus.io/v1beta1`). So the image is
//! written into the resource. A newer patch of the running release is an upgrade; the user must name another
//! minor release, since Milvus requires intermediate ones on the way.

use semver::Version;
use serde_json::Value;

use super::charts::PulsarChart;
use super::dependencies::pulsar_chart;
use super::images::{Planned, images_of, planned_images};
use super::merge;
use super::resource::{Part, Resource};
use super::resource_on;
use crate::images::catalog::{Catalog, PlannedImage, release_order};
use crate::settings::Settings;

/// What to apply to an existing Milvus of milvusctl's.
pub(crate) struct Kept {
    /// The resource to apply, with the running image if the user names none.
    pub(crate) resource: Value,
    /// The images that it needs.
    pub(crate) images: Planned,
    /// Messages about versions that stay although a fresh installation would get others.
    pub(crate) stays: Vec<String>,
    /// A warning against the version the user names.
    pub(crate) leap: Option<String>,
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

/// Computes what `settings` change in the Milvus `live`; with `follows`, it moves to the operator's newer patch.
pub(crate) fn keep(settings: &Settings, live: &Value, follows: bool) -> Kept {
    let image = Resource::new(live).image();
    let default = Catalog::builtin().release(&settings.operator.version).and_then(|release| release.milvus);
    let is_upgrade = follows && is_of_another_operator(settings, live);
    let is_patched = |image: &&str| {
        let (Some(from), Some(to)) = (version_of(image), &default) else { return false };
        is_upgrade
            && (from.major, from.minor) == (to.major, to.minor)
            && release_order(&from) < release_order(to)
    };
    let unnamed = image.filter(|_| !names_image(settings));
    let (patched, running) = (unnamed.filter(is_patched), unnamed.filter(|image| !is_patched(image)));
    let mut settings = settings.clone();
    if patched.is_some() {
        settings.milvus.version.clone_from(&default);
    }
    let settings = &settings;
    let chart = running_pulsar(live).unwrap_or_else(|| pulsar_chart(settings));
    let mut resource = resource_on(settings, chart);
    let mut published = resource_of_publishers(settings, chart);
    if let Some(image) = running {
        resource["spec"]["components"]["image"] = image.into();
        published["spec"]["components"]["image"] = image.into();
    }
    if follows {
        resource["metadata"]["annotations"][APPLIED_FOR] = settings.operator.version.to_string().into();
    }
    let mut whole = live.clone();
    merge(&mut whole, &published);
    let images = with_publishers_names(settings, images_of(settings, &whole));
    let stays = stays(settings, running.zip(default.as_ref()), &images);
    let from = image.and_then(version_of);
    let leap = from.zip(settings.milvus.version.as_ref()).filter(|(from, to)| leaps(from, to));
    let leap = leap.map(|(from, to)| {
        format!(
            "Milvus {to} supports upgrades from {BEFORE_2_6} or newer: the upgrade from {from} may fail; \
             `--milvus-version {BEFORE_2_6}` first is the documented way"
        )
    });
    Kept { resource, images, stays, leap }
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

/// The images with their publishers' names in place of those in the push registry.
fn with_publishers_names(settings: &Settings, mut planned: Planned) -> Planned {
    let Some(prefix) = &settings.mirror.push else { return planned };
    let mut named: Vec<PlannedImage> = Vec::new();
    for PlannedImage { image, wanted_by } in planned.images {
        let name = image.to_string();
        let published =
            name.strip_prefix(prefix.as_str()).and_then(|path| path.strip_prefix('/')?.parse().ok());
        let image = published.unwrap_or(image);
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

/// The oldest release that upgrades to 2.6, which merged the coordinators (milvus-docs,
/// `upgrade_milvus_standalone-operator.md`).
const BEFORE_2_6: Version = Version::new(2, 5, 16);

/// Whether an upgrade skips the required intermediate release.
fn leaps(from: &Version, to: &Version) -> bool {
    *from < BEFORE_2_6 && *to >= Version::new(2, 6, 0)
}

/// The Milvus version in an image's tag.
fn version_of(image: &str) -> Option<Version> {
    Version::parse(image.rsplit_once(':')?.1.trim_start_matches('v')).ok()
}

fn stays(settings: &Settings, running: Option<(&str, &Version)>, images: &Planned) -> Vec<String> {
    let mut said = Vec::new();
    if let Some((image, default)) = running
        && let Some(version) =
            version_of(image).filter(|version| release_order(version) < release_order(default))
    {
        let first = if leaps(&version, default) {
            format!("with `--milvus-version {BEFORE_2_6}`, and once that runs ")
        } else {
            String::new()
        };
        said.push(format!(
            "Milvus stays at `{image}`; to upgrade it, run this again {first}with `--milvus-version {default}`"
        ));
    }
    let fresh = planned_images(settings);
    let is_dependency = |planned: &&PlannedImage| {
        !planned.wanted_by.iter().any(|by| ["operator", "milvus", "attu"].contains(by))
    };
    let others = images.images.iter().filter(is_dependency);
    let others: Vec<String> = others
        .filter(|planned| fresh.images.iter().all(|fresh| fresh.image != planned.image))
        .map(|planned| format!("`{}`", planned.image.familiar()))
        .collect();
    if !others.is_empty() {
        said.push(format!(
            "{} stay as installed: the operator does not upgrade the dependencies of an existing Milvus",
            others.join(", ")
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::custom_resource;
    use super::super::tests::settings;
    use super::*;

    /// A standalone Milvus as operator 1.1.4 writes it back.
    fn live() -> Value {
        json!({
            "metadata": {
                "name": "my-release",
                "labels": {"milvus.io/operator-version": "1.1.4"},
                "annotations": {"milvus.io/dependency-values-merged": "true"},
            },
            "spec": {
                "mode": "standalone",
                "components": {"image": "milvusdb/milvus:v2.4.17"},
                "dependencies": {
                    "msgStreamType": "rocksmq",
                    "etcd": {"inCluster": {"values": {"image": {"repository": "milvusdb/etcd", "tag": "3.5.14-r1"}}}},
                    "storage": {"inCluster": {"values": {"image": {"tag": "RELEASE.2023-03-20T20-16-18Z"}}}},
                },
            },
        })
    }

    fn kept(text: &str) -> (Value, Vec<String>, Vec<String>) {
        let settings = settings(&format!("operator: {{version: 1.3.8}}\nattu: {{enabled: false}}\n{text}"));
        let Kept { resource, images, stays, .. } = keep(&settings, &live(), true);
        let images = images.images.iter().map(|planned| planned.image.familiar()).collect();
        (resource["spec"]["components"]["image"].clone(), images, stays)
    }

    #[test]
    fn upgrading_only_the_operator_keeps_and_reports_what_runs() {
        assert_eq!(
            kept("milvus: {mode: standalone}"),
            (
                json!("milvusdb/milvus:v2.4.17"),
                vec![
                    "milvusdb/milvus-operator:v1.3.8".to_owned(),
                    "milvusdb/etcd:3.5.14-r1".to_owned(),
                    "minio/minio:RELEASE.2023-03-20T20-16-18Z".to_owned(),
                    "milvusdb/milvus:v2.4.17".to_owned(),
                ],
                vec![
                    "Milvus stays at `milvusdb/milvus:v2.4.17`; to upgrade it, run this again with `--milvus-version \
                     2.5.16`, and once that runs with `--milvus-version 2.6.11`"
                        .to_owned(),
                    "`milvusdb/etcd:3.5.14-r1`, `minio/minio:RELEASE.2023-03-20T20-16-18Z` stay as installed: the \
                     operator does not upgrade the dependencies of an existing Milvus"
                        .to_owned(),
                ],
            )
        );
    }

    #[test]
    fn a_named_version_is_applied() {
        let (image, images, stays) = kept("milvus: {mode: standalone, version: 2.6.11}");
        assert_eq!(image, "milvusdb/milvus:v2.6.11");
        assert!(images.contains(&"milvusdb/milvus:v2.6.11".to_owned()), "{images:?}");
        assert!(!images.contains(&"milvusdb/milvus:v2.4.17".to_owned()), "{images:?}");
        assert_eq!(stays.len(), 1);
    }

    #[test]
    fn a_newer_patch_release_comes_with_the_operator() {
        let settings = settings("operator: {version: 1.3.8}\nmilvus: {mode: standalone}");
        for (running, expected) in [
            ("milvusdb/milvus:v2.6.0", "milvusdb/milvus:v2.6.11"),
            ("milvusdb/milvus:v2.6.11", "milvusdb/milvus:v2.6.11"),
            ("milvusdb/milvus:v2.6.99", "milvusdb/milvus:v2.6.99"),
            ("milvusdb/milvus:v2.5.27", "milvusdb/milvus:v2.5.27"),
            ("mine/milvus:main", "mine/milvus:main"),
        ] {
            let mut live = live();
            live["spec"]["components"]["image"] = running.into();
            let Kept { resource, .. } = keep(&settings, &live, true);
            assert_eq!(resource["spec"]["components"]["image"], expected, "{running}");
            let Kept { resource, .. } = keep(&settings, &live, false);
            assert_eq!(resource["spec"]["components"]["image"], running, "the operator is somebody else's");
        }
    }

    #[test]
    fn a_hotfix_follows_its_release() {
        let settings = settings("operator: {version: 1.1.1}\nmilvus: {mode: standalone}");
        let mut live = live();
        live["metadata"]["labels"][MADE_BY] = "1.1.0".into();
        live["spec"]["components"]["image"] = "milvusdb/milvus:v2.4.13".into();
        let Kept { resource, .. } = keep(&settings, &live, true);
        assert_eq!(resource["spec"]["components"]["image"], "milvusdb/milvus:v2.4.13-hotfix");
    }

    #[test]
    fn a_milvus_follows_its_operator_until_it_was_applied_for_that_release() {
        let settings = settings("operator: {version: 1.3.8}\nmilvus: {mode: standalone}");
        let mut live = live();
        live["spec"]["components"]["image"] = "milvusdb/milvus:v2.6.0".into();
        let image =
            |live: &Value| keep(&settings, live, true).resource["spec"]["components"]["image"].clone();
        assert_eq!(image(&live), "milvusdb/milvus:v2.6.11");
        let applied = keep(&settings, &live, true).resource;
        live["metadata"]["annotations"][APPLIED_FOR] =
            applied["metadata"]["annotations"][APPLIED_FOR].clone();
        assert!(!is_of_another_operator(&settings, &live));
        assert_eq!(image(&live), "milvusdb/milvus:v2.6.0", "one that was named since stays");
        assert!(
            !is_of_another_operator(&settings, &json!({"metadata": {"name": "m"}})),
            "none has seen it yet"
        );
    }

    /// Operators before 1.2.0 write no `chartVersion`.
    #[test]
    fn pulsar_stays_with_the_chart_that_it_was_installed_from() {
        let settings = settings("operator: {version: 1.3.8}\nattu: {enabled: false}");
        let part = json!({"repository": "apachepulsar/pulsar", "tag": "2.9.5"});
        let parts = ["zookeeper", "bookie", "autorecovery", "broker", "proxy"].map(|name| (name, &part));
        let images: serde_json::Map<String, Value> =
            parts.into_iter().map(|(name, image)| (name.to_owned(), image.clone())).collect();
        let mut live = live();
        live["spec"]["mode"] = "cluster".into();
        live["spec"]["dependencies"]["msgStreamType"] = "pulsar".into();
        live["spec"]["dependencies"]["pulsar"] = json!({"inCluster": {"values": {"images": images}}});
        let pulsar = |live: &Value| {
            let Kept { resource, images, .. } = keep(&settings, live, true);
            let pulsar = &resource["spec"]["dependencies"]["pulsar"]["inCluster"];
            let proxy = pulsar["values"]["proxy"]["configData"]["PULSAR_GC"].is_string();
            let images = images.images.iter().map(|planned| planned.image.familiar());
            (
                pulsar["chartVersion"].clone(),
                proxy,
                images.filter(|name| name.contains("pulsar")).collect::<Vec<_>>(),
            )
        };
        let old = vec!["apachepulsar/pulsar:2.9.5".to_owned()];
        assert_eq!(pulsar(&live), (json!("pulsar-v2"), true, old));
        live["metadata"]["annotations"][MERGED] = Value::Null;
        assert_eq!(pulsar(&live).0, Value::Null, "no operator has seen it yet");
    }

    #[test]
    fn skipping_the_intermediate_release_is_warned_about() {
        let leap = |named: &str, running: &str| {
            let text =
                format!("operator: {{version: 1.3.8}}\nmilvus: {{mode: standalone, version: {named}}}");
            let mut live = live();
            live["spec"]["components"]["image"] = format!("milvusdb/milvus:v{running}").into();
            keep(&settings(&text), &live, true).leap
        };
        assert_eq!(
            leap("2.6.11", "2.4.17").as_deref(),
            Some(
                "Milvus 2.6.11 supports upgrades from 2.5.16 or newer: the upgrade from 2.4.17 may fail; \
                 `--milvus-version 2.5.16` first is the documented way"
            )
        );
        assert_eq!(leap("2.6.11", "2.5.16"), None);
        assert_eq!(leap("2.5.16", "2.4.17"), None);
    }

    #[test]
    fn an_image_in_the_spec_counts_as_named() {
        let text = "milvus: {mode: standalone, spec: {components: {image: 'mine:1'}}}";
        assert_eq!(kept(text).0, "mine:1");
    }

    #[test]
    fn with_a_push_registry_the_running_images_are_pushed_again() {
        let text = "cluster: {context: c}\nmirror: {push: 'r:5000/x'}\nattu: {enabled: false}\nmilvus: {mode: standalone}";
        let mut live = live();
        live["spec"]["components"]["image"] = "r:5000/x/milvusdb/milvus:v2.4.17".into();
        let dependencies = &mut live["spec"]["dependencies"];
        dependencies["etcd"]["inCluster"]["values"]["image"]["registry"] = "r:5000/x".into();
        dependencies["storage"]["inCluster"]["values"]["image"]["repository"] = "r:5000/x/minio/minio".into();
        let Kept { resource, images, .. } = keep(&settings(text), &live, true);
        assert_eq!(resource["spec"]["components"]["image"], "r:5000/x/milvusdb/milvus:v2.4.17");
        let names: Vec<String> = images.images.iter().map(|planned| planned.image.familiar()).collect();
        assert_eq!(
            names,
            [
                "milvusdb/milvus-operator:v1.3.8",
                "milvusdb/etcd:3.5.14-r1",
                "minio/minio:RELEASE.2023-03-20T20-16-18Z",
                "milvusdb/milvus:v2.4.17",
            ]
        );
    }

    #[test]
    fn an_up_to_date_milvus_reports_nothing() {
        let settings = settings("operator: {version: 1.3.8}\nmilvus: {mode: standalone}");
        let mut live = custom_resource(&settings);
        live["spec"]["components"]["image"] = "milvusdb/milvus:v2.6.11".into();
        assert_eq!(keep(&settings, &live, true).stays, [""; 0]);
    }
}
