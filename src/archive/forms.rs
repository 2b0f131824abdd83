//! The two archive formats: which images they describe, and which files make up each.
//!
//! Works on the JSON documents kept from the archive, not on which layers went where. Both formats share one
//! file because they share their parsing and checks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::ArchiveError;
use super::read::{LayerBlob, Scanned, blob_path};
use super::{Expected, Platform};

pub const NAME: &str = "io.containerd.image.name";
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Nesting of indexes; Docker writes two levels.
const DEPTH: usize = 4;
/// Layers that all images of an archive may name together. Docker allows up to 127 per image; many names for
/// one long list would fill memory.
const LAYERS_LIMIT: usize = 100_000;

/// An image in the archive, for one platform.
#[derive(Debug, Clone)]
pub(super) struct Image<'a> {
    pub(super) name: String,
    pub(super) platform: Platform,
    pub(super) config: Digest,
    pub(super) config_bytes: &'a [u8],
    /// From the bottom up, each with its diff ID.
    pub(super) layers: Vec<(Digest, LayerSource<'a>)>,
    /// The manifest as the archive has it. The old format has none that containerd could use.
    pub(super) manifest: Option<Manifest<'a>>,
    /// The indexes from the one the name pins down to the manifest; empty if it pins none.
    pub(super) indexes: Vec<Manifest<'a>>,
    /// The name pins the manifest or an index above it, so the manifest must not change.
    pub(super) is_pinned: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Manifest<'a> {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) bytes: &'a [u8],
}

/// Where a layer comes from.
#[derive(Debug, Clone)]
pub(super) struct LayerSource<'a> {
    /// Its name in the archive, for messages.
    pub(super) shown: String,
    /// `None` if the archive names the layer but does not hold it.
    pub(super) layer: Option<&'a LayerBlob>,
    /// The manifest's descriptor, in the OCI format.
    pub(super) descriptor: Option<Descriptor>,
}

/// Points to a blob, as in OCI manifests and indexes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformJson>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformJson {
    pub architecture: String,
    pub os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(flatten)]
    platform: PlatformJson,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    /// Docker's classic builder writes `null` for an image without layers.
    diff_ids: Option<Vec<Digest>>,
}

impl Config {
    fn diff_ids(&self) -> &[Digest] {
        self.rootfs.diff_ids.as_deref().unwrap_or_default()
    }
}

/// An entry of the old format's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManifestEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// An index or a manifest, depending on which fields are set.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexOrManifest {
    #[serde(default)]
    media_type: String,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

/// An archive's content under each name.
type Names = Vec<(Option<String>, Named)>;

fn names(found: &Scanned) -> Result<Names, ArchiveError> {
    if found.descriptions.contains_key("index.json") {
        oci_names(found)
    } else if found.descriptions.contains_key("manifest.json") {
        docker_names(found)
    } else {
        let reason = "neither `index.json` nor `manifest.json` is there".to_owned();
        Err(ArchiveError::Unsupported { reason })
    }
}

/// Returns every named image, once per platform present.
pub(super) fn variants(found: &Scanned) -> Result<Vec<Image<'_>>, ArchiveError> {
    let named = names(found)?;
    let (mut images, mut seen, mut layers) = (Vec::new(), BTreeSet::new(), 0);
    for (name, what) in &named {
        let Some(name) = name.as_ref().filter(|name| seen.insert(*name)) else { continue };
        let wanted = Expected::named(name);
        let mut variants = match what {
            Named::Docker(saved) => vec![docker_image(found, saved, &wanted)?],
            Named::Oci(roots) => oci_variants(found, roots, &wanted)?.0,
        };
        if let (true, Named::Oci(roots)) = (variants.is_empty(), what) {
            // Its error says what is missing.
            variants.push(oci_image(found, roots, &wanted)?);
        }
        variants.iter().try_for_each(|image| within_limit(image, &mut layers))?;
        images.extend(variants);
    }
    if images.is_empty() {
        return Err(nameless());
    }
    Ok(images)
}

fn nameless() -> ArchiveError {
    ArchiveError::Unsupported { reason: "no image in it has a name".to_owned() }
}

/// Adds an image's layers to the total of all images.
fn within_limit(image: &Image<'_>, layers: &mut usize) -> Result<(), ArchiveError> {
    *layers += image.layers.len() + 1;
    if *layers > LAYERS_LIMIT {
        let reason = format!("its images name more than {LAYERS_LIMIT} layers");
        return Err(ArchiveError::Unsupported { reason });
    }
    Ok(())
}

/// Returns the expected images, or every named image if none are expected.
pub(super) fn images<'a>(found: &'a Scanned, expected: &[Expected]) -> Result<Vec<Image<'a>>, ArchiveError> {
    let named = names(found)?;
    let every: Vec<Expected>;
    let expected = if expected.is_empty() {
        every = named.iter().filter_map(|(name, _)| name.as_ref()).map(Expected::named).collect();
        &every
    } else {
        expected
    };
    if expected.is_empty() {
        return Err(nameless());
    }
    let by_name: HashMap<&str, &Named> =
        named.iter().rev().filter_map(|(name, what)| Some((name.as_deref()?, what))).collect();
    let mut images = Vec::new();
    let mut layers = 0;
    for wanted in expected {
        let image = match select(&named, &by_name, wanted)? {
            Named::Docker(saved) => docker_image(found, saved, wanted)?,
            Named::Oci(roots) => oci_image(found, roots, wanted)?,
        };
        unchanged(&image, wanted)?;
        within_limit(&image, &mut layers)?;
        images.push(image);
    }
    Ok(images)
}

/// An archive's content under one name.
enum Named {
    Docker(Rc<ManifestEntry>),
    Oci(Vec<Descriptor>),
}

fn select<'n>(
    named: &'n [(Option<String>, Named)],
    by_name: &HashMap<&str, &'n Named>,
    wanted: &Expected,
) -> Result<&'n Named, ArchiveError> {
    // An image saved by ID has no name in the archive.
    let nameless = || {
        let is_it = |(name, what): &&(Option<String>, Named)| match what {
            Named::Docker(saved) => wanted.config.is_some() && config_digest(&saved.config) == wanted.config,
            Named::Oci(_) => name.is_none() && named.len() == 1,
        };
        named.iter().find(is_it).map(|(_, what)| what)
    };
    let what = by_name.get(wanted.name.as_str()).copied().or_else(nameless);
    what.ok_or_else(|| ArchiveError::ImageAbsent {
        image: wanted.name.clone(),
        found: named.iter().filter_map(|(name, _)| name.clone()).collect(),
    })
}

fn unchanged(image: &Image<'_>, wanted: &Expected) -> Result<(), ArchiveError> {
    let changed = |what| Err(ArchiveError::Changed { image: wanted.name.clone(), what });
    if wanted.config.is_some_and(|config| config != image.config) {
        return changed("configuration");
    }
    let diff_ids = image.layers.iter().map(|(diff_id, _)| diff_id);
    if !wanted.diff_ids.is_empty() && !diff_ids.eq(&wanted.diff_ids) {
        return changed("list of layers");
    }
    Ok(())
}

fn docker_names(found: &Scanned) -> Result<Vec<(Option<String>, Named)>, ArchiveError> {
    let mut named = Vec::new();
    for saved in parse::<Vec<ManifestEntry>>("manifest.json", &found.descriptions["manifest.json"])? {
        let saved = Rc::new(saved);
        let tags = saved.repo_tags.iter().flatten().map(|tag| canonical(tag));
        named.extend(tags.map(|tag| (Some(tag), Named::Docker(Rc::clone(&saved)))));
        named.push((None, Named::Docker(saved)));
    }
    Ok(named)
}

fn docker_image<'a>(
    found: &'a Scanned,
    saved: &ManifestEntry,
    wanted: &Expected,
) -> Result<Image<'a>, ArchiveError> {
    let missing = || ArchiveError::ConfigMissing { image: wanted.name.clone(), config: saved.config.clone() };
    let bytes = found.descriptions.get(found.follow(&saved.config)).ok_or_else(missing)?;
    let digest = Digest::of(bytes);
    if let Some(expected) = config_digest(&saved.config).filter(|&expected| expected != digest) {
        return Err(ArchiveError::DigestMismatch { path: saved.config.clone(), expected, found: digest });
    }
    let config: Config = parse(&saved.config, bytes)?;
    let platform = platform_of(&config.platform);
    if let Some(asked) = wanted.platform.as_ref().filter(|asked| !asked.fits(&platform)) {
        return Err(absent(wanted, asked, vec![platform.to_string()]));
    }
    let paths = saved.layers.as_deref().unwrap_or_default();
    same_number("manifest.json", wanted, paths.len(), config.diff_ids().len())?;
    let mut layers = Vec::new();
    for (path, &diff_id) in paths.iter().zip(config.diff_ids()) {
        let layer = found
            .layers
            .get(found.follow(path))
            .ok_or_else(|| ArchiveError::LayerAbsent { image: wanted.name.clone(), layer: path.clone() })?;
        if let Some(digest) = layer.plain_digest().filter(|&digest| digest != diff_id) {
            return Err(ArchiveError::DigestMismatch {
                path: path.clone(),
                expected: diff_id,
                found: digest,
            });
        }
        layers.push((diff_id, LayerSource { shown: path.clone(), layer: Some(layer), descriptor: None }));
    }
    let name = wanted.name.clone();
    Ok(Image {
        name,
        platform,
        config: digest,
        config_bytes: bytes,
        layers,
        manifest: None,
        indexes: Vec::new(),
        is_pinned: false,
    })
}

/// Parses the digest in a configuration's file name: `<hex>.json`, `blobs/sha256/<hex>`, `sha256:<hex>`.
fn config_digest(path: &str) -> Option<Digest> {
    let name = path.trim_start_matches("blobs/sha256/").trim_start_matches("sha256:");
    Digest::from_hex(name.trim_end_matches(".json"))
}

fn oci_names(found: &Scanned) -> Result<Vec<(Option<String>, Named)>, ArchiveError> {
    let index: IndexOrManifest = parse("index.json", &found.descriptions["index.json"])?;
    let mut names: Vec<(Option<String>, Vec<Descriptor>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for root in index.manifests.unwrap_or_default() {
        // Podman's and skopeo's `ref.name` is a full reference, or only a tag, which names nothing.
        let full = root.annotations.get(REF_NAME).filter(|name| name.contains(['/', ':']));
        let name = root.annotations.get(NAME).or(full).map(|name| canonical(name));
        if let Some(&place) = name.as_ref().and_then(|name| places.get(name)) {
            names[place].1.push(root);
            continue;
        }
        places.extend(name.clone().map(|name| (name, names.len())));
        names.push((name, vec![root]));
    }
    Ok(names.into_iter().map(|(name, roots)| (name, Named::Oci(roots))).collect())
}

/// A manifest below an index, for one platform.
struct Variant<'a> {
    descriptor: Descriptor,
    bytes: &'a [u8],
    node: IndexOrManifest,
    /// The indexes above it, outermost first.
    indexes: Vec<Manifest<'a>>,
}

/// Returns the image for each platform present, and a configuration that is missing.
fn oci_variants<'a>(
    found: &'a Scanned,
    roots: &[Descriptor],
    wanted: &Expected,
) -> Result<(Vec<Image<'a>>, Option<Digest>), ArchiveError> {
    let (mut variants, mut seen) = (Vec::new(), BTreeSet::new());
    for root in roots {
        collect(found, root, &[], &mut seen, &mut variants)?;
    }
    let mut images: Vec<Image<'a>> = Vec::new();
    let mut without_config = None;
    for variant in &variants {
        let Some(config) = &variant.node.config else { continue };
        match found.blob(&config.digest) {
            Some(bytes) => images.push(oci_variant(found, variant, config, bytes, wanted)?),
            None => without_config = Some(config.digest),
        }
    }
    Ok((images, without_config))
}

fn oci_image<'a>(
    found: &'a Scanned,
    roots: &[Descriptor],
    wanted: &Expected,
) -> Result<Image<'a>, ArchiveError> {
    let (images, without_config) = oci_variants(found, roots, wanted)?;
    let present: Vec<String> = images.iter().map(|image| image.platform.to_string()).collect();
    let several = images.iter().any(|image| image.platform != images[0].platform);
    if several && wanted.platform.is_none() {
        return Err(ArchiveError::PlatformUnclear { image: wanted.name.clone(), found: present });
    }
    let fits = |image: &Image<'_>| wanted.platform.as_ref().is_none_or(|asked| asked.fits(&image.platform));
    if let Some(image) = images.into_iter().find(fits) {
        return Ok(image);
    }
    match (&wanted.platform, without_config) {
        // Without its configuration, a lone manifest says nothing about its platform.
        (_, Some(config)) if present.is_empty() => {
            Err(ArchiveError::ConfigMissing { image: wanted.name.clone(), config: config.to_string() })
        }
        (Some(asked), _) => Err(absent(wanted, asked, present)),
        (None, _) => Err(bad("index.json", format!("no manifest of `{}` is there", wanted.name))),
    }
}

/// Collects the manifests below `descriptor` that the archive holds.
///
/// Manifests it lacks belong to platforms the engine did not pull (kind#3795). Skips those already `seen`: a
/// few indexes that name each other many times would otherwise yield millions.
fn collect<'a>(
    found: &'a Scanned,
    descriptor: &Descriptor,
    indexes: &[Manifest<'a>],
    seen: &mut BTreeSet<Digest>,
    variants: &mut Vec<Variant<'a>>,
) -> Result<(), ArchiveError> {
    // Build attestations appear beside the images as platform `unknown/unknown`.
    let unknown = descriptor.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
    let Some(bytes) = found.blob(&descriptor.digest).filter(|_| !unknown) else { return Ok(()) };
    if !seen.insert(descriptor.digest) {
        return Ok(());
    }
    let path = blob_path(&descriptor.digest);
    let node: IndexOrManifest = parse(&path, bytes)?;
    let Some(children) = &node.manifests else {
        let indexes = indexes.to_vec();
        variants.push(Variant { descriptor: descriptor.clone(), bytes, node, indexes });
        return Ok(());
    };
    if indexes.len() == DEPTH {
        return Err(bad(&path, "its indexes are nested too deeply".to_owned()));
    }
    let media_type = if node.media_type.is_empty() { &descriptor.media_type } else { &node.media_type };
    let this = Manifest { media_type: media_type.clone(), digest: descriptor.digest, bytes };
    let indexes: Vec<Manifest<'a>> = indexes.iter().cloned().chain([this]).collect();
    children.iter().try_for_each(|child| collect(found, child, &indexes, seen, variants))
}

fn oci_variant<'a>(
    found: &'a Scanned,
    variant: &Variant<'a>,
    config: &Descriptor,
    bytes: &'a [u8],
    wanted: &Expected,
) -> Result<Image<'a>, ArchiveError> {
    let parsed: Config = parse(&blob_path(&config.digest), bytes)?;
    let layers = variant.node.layers.clone().unwrap_or_default();
    let path = blob_path(&variant.descriptor.digest);
    same_number(&path, wanted, layers.len(), parsed.diff_ids().len())?;
    let source = |descriptor: Descriptor| LayerSource {
        shown: descriptor.digest.to_string(),
        layer: found.layers.get(&blob_path(&descriptor.digest)),
        descriptor: Some(descriptor),
    };
    let node_type = &variant.node.media_type;
    let media_type = [node_type, &variant.descriptor.media_type].into_iter().find(|text| !text.is_empty());
    let pin = wanted.pin();
    let pinned = variant.indexes.iter().position(|index| Some(index.digest) == pin);
    Ok(Image {
        name: wanted.name.clone(),
        platform: platform_of(&parsed.platform),
        config: config.digest,
        config_bytes: bytes,
        layers: parsed.diff_ids().iter().copied().zip(layers.into_iter().map(source)).collect(),
        manifest: Some(Manifest {
            media_type: media_type.map_or(OCI_MANIFEST, String::as_str).to_owned(),
            digest: variant.descriptor.digest,
            bytes: variant.bytes,
        }),
        indexes: pinned.map(|at| variant.indexes[at..].to_vec()).unwrap_or_default(),
        is_pinned: pinned.is_some() || Some(variant.descriptor.digest) == pin,
    })
}

fn platform_of(json: &PlatformJson) -> Platform {
    let variant = json.variant.clone().filter(|variant| !variant.is_empty());
    Platform { os: json.os.clone(), architecture: json.architecture.clone(), variant }
}

fn same_number(path: &str, wanted: &Expected, named: usize, layers: usize) -> Result<(), ArchiveError> {
    if named == layers {
        return Ok(());
    }
    let image = &wanted.name;
    Err(bad(path, format!("it names {named} layers for `{image}`, whose configuration has {layers}")))
}

fn absent(wanted: &Expected, asked: &Platform, found: Vec<String>) -> ArchiveError {
    ArchiveError::PlatformAbsent { image: wanted.name.clone(), wanted: asked.clone(), found }
}

fn bad(path: &str, reason: String) -> ArchiveError {
    ArchiveError::BadMetadata { path: path.to_owned(), reason }
}

fn parse<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, ArchiveError> {
    serde_json::from_slice(bytes).map_err(|error| bad(path, error.to_string()))
}

/// Returns a name from an archive the way nodes know it: with registry, `library/` and tag.
fn canonical(name: &str) -> String {
    let (registry, path) = match name.split_once('/') {
        Some(("index.docker.io", path)) => ("docker.io", path),
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path),
        _ => ("docker.io", name),
    };
    let library = if registry == "docker.io" && !path.contains('/') { "library/" } else { "" };
    let tag = if path.contains([':', '@']) { "" } else { ":latest" };
    format!("{registry}/{library}{path}{tag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_canonical() {
        for (name, expected) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("milvusdb/milvus:v2", "docker.io/milvusdb/milvus:v2"),
            ("docker.io/test/two:1", "docker.io/test/two:1"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("index.docker.io/a/b:1", "docker.io/a/b:1"),
            ("localhost/x:1", "localhost/x:1"),
            ("host:5000/x", "host:5000/x:latest"),
            ("quay.io/a/b@sha256:00", "quay.io/a/b@sha256:00"),
        ] {
            assert_eq!(canonical(name), expected, "{name}");
        }
    }

    #[test]
    fn configurations_are_named_by_their_digest() {
        let digest = Digest::of(b"x");
        let hex = digest.hex();
        for name in [format!("{hex}.json"), format!("blobs/sha256/{hex}"), format!("sha256:{hex}")] {
            assert_eq!(config_digest(&name), Some(digest), "{name}");
        }
        assert_eq!(config_digest("config.json"), None);
    }
}
