//! Decides what an existing Milvus keeps when the operator's defaults have changed. Pure.
//!
//! The operator writes its defaults into a Milvus once: a newer operator changes neither the image nor the
//! dependencies' charts (milvus-operator, `SetDefaultValues` of `apis/milvus.io/v1beta1`). So the image is
//! written into the resource. A newer patch of the running release is an upgrade; the user must name another
//! minor release, since Milvus requires intermediate ones on the way.

use semver::Version;
use serde_json::Value;

use super::images::{Planned, images_of, planned_images};
use super::resource::Resource;
use super::{custom_resource, merge};
use crate::images::catalog::{Catalog, PlannedImage};
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

/// Computes what `settings` change in the Milvus `live`; `is_upgrade` tells whether the operator is upgraded.
pub(crate) fn keep(settings: &Settings, live: &Value, is_upgrade: bool) -> Kept {
    let image = Resource::new(live).image();
    let default = Catalog::builtin().release(&settings.operator.version).and_then(|release| release.milvus);
    let is_patched = |image: &&str| {
        let (Some(from), Some(to)) = (version_of(image), &default) else { return false };
        is_upgrade && (from.major, from.minor) == (to.major, to.minor) && from < *to
    };
    let unnamed = image.filter(|_| !names_image(settings));
    let (patched, running) = (unnamed.filter(is_patched), unnamed.filter(|image| !is_patched(image)));
    let mut settings = settings.clone();
    if patched.is_some() {
        settings.milvus.version.clone_from(&default);
    }
    let settings = &settings;
    let mut resource = custom_resource(settings);
    let mut published = resource_of_publishers(settings);
    if let Some(image) = running {
        resource["spec"]["components"]["image"] = image.into();
        published["spec"]["components"]["image"] = published_name(settings, image).into();
    }
    let planned = if settings.mirror.push.is_some() {
        published
    } else {
        let mut whole = live.clone();
        merge(&mut whole, &published);
        whole
    };
    let images = images_of(settings, &planned);
    let stays = stays(settings, running.zip(default.as_ref()), &images);
    let from = image.and_then(version_of);
    let leap = from.zip(settings.milvus.version.as_ref()).filter(|(from, to)| leaps(from, to));
    let leap = leap.map(|(from, to)| {
        format!("Milvus {to} supports upgrades from {BEFORE_2_6} or newer: the upgrade from {from} may fail")
    });
    Kept { resource, images, stays, leap }
}

/// The resource with the publishers' image names.
fn resource_of_publishers(settings: &Settings) -> Value {
    let mut published = settings.clone();
    published.mirror.push = None;
    custom_resource(&published)
}

/// The publisher's name of an image that may be named by its copy in the push registry.
fn published_name<'i>(settings: &Settings, image: &'i str) -> &'i str {
    let prefix = settings.mirror.push.as_ref();
    prefix.and_then(|prefix| image.strip_prefix(prefix.as_str())?.strip_prefix('/')).unwrap_or(image)
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
        && let Some(version) = version_of(image).filter(|version| version < default)
    {
        let first = if leaps(&version, default) {
            format!("`--milvus-version {BEFORE_2_6}`, then ")
        } else {
            String::new()
        };
        said.push(format!("Milvus stays at `{image}`: {first}`--milvus-version {default}` upgrades it"));
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

    use super::super::tests::settings;
    use super::*;

    /// A standalone Milvus as operator 1.1.4 writes it back.
    fn live() -> Value {
        json!({
            "metadata": {"name": "my-release"},
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
                    "Milvus stays at `milvusdb/milvus:v2.4.17`: `--milvus-version 2.5.16`, then `--milvus-version 2.6.11` \
                     upgrades it"
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
            assert_eq!(resource["spec"]["components"]["image"], running);
        }
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
            Some("Milvus 2.6.11 supports upgrades from 2.5.16 or newer: the upgrade from 2.4.17 may fail")
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
    fn with_a_push_registry_the_running_image_is_pushed_again() {
        let text = "cluster: {context: c}\nmirror: {push: 'r:5000/x'}\nattu: {enabled: false}\nmilvus: {mode: standalone}";
        let mut live = live();
        live["spec"]["components"]["image"] = "r:5000/x/milvusdb/milvus:v2.4.17".into();
        let Kept { resource, images, .. } = keep(&settings(text), &live, true);
        assert_eq!(resource["spec"]["components"]["image"], "r:5000/x/milvusdb/milvus:v2.4.17");
        let names: Vec<String> = images.images.iter().map(|planned| planned.image.familiar()).collect();
        assert!(names.contains(&"milvusdb/milvus:v2.4.17".to_owned()), "{names:?}");
    }

    #[test]
    fn an_up_to_date_milvus_reports_nothing() {
        let settings = settings("operator: {version: 1.3.8}\nmilvus: {mode: standalone}");
        let mut live = custom_resource(&settings);
        live["spec"]["components"]["image"] = "milvusdb/milvus:v2.6.11".into();
        assert_eq!(keep(&settings, &live, true).stays, [""; 0]);
    }
}
